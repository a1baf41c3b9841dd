/** The few things that the page does with elements. Text is always set as text: nothing that a model says is markup. */

/** @param {string} id @returns {any} */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no #${id}.`);
  return found;
}

/**
 * @param {string} name of the tag
 * @param {Record<string, any>} [attributes] `on…` are listeners; false and undefined leave the attribute out
 * @param {...(Node | string)} children
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (value !== false && value !== undefined) made.setAttribute(key, value === true ? '' : value);
  }
  made.append(...children);
  return made;
}

/** Set the text, if it is another one: a screen reader may be in it. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Hide or show; what hides with the focus in it gives the focus to `heir`. */
export function show(node, shown, heir) {
  if (!shown && heir && node.contains(document.activeElement)) heir.focus();
  node.hidden = !shown;
}

/** Make the children of a list be these, in this order, and move none that stands right: it may hold the focus. */
export function arrange(list, children) {
  const wanted = new Set(children);
  for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
  children.forEach((child, index) => {
    if (list.children[index] !== child) list.insertBefore(child, list.children[index] ?? null);
  });
}

/** Call once in a frame, however often it is asked for. @param {() => void} draw */
export function inFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}
