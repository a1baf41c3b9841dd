/** The text of a response as it grows: each piece is added once, and what stands there is not touched. */
import { arrange, element } from './dom.js';

const LABELS = { refusal: 'Refused', reasoning: 'Reasoning', call: 'Function call' };

export class Answer {
  #root;
  #drawn = [];

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
  }

  clear() {
    this.#drawn = [];
    this.#root.replaceChildren();
  }

  /** @param {import('./transcript.js').Part[]} parts */
  draw(parts) {
    const kept = parts.map((part, index) => {
      const drawn = this.#drawn[index];
      return drawn?.kind === part.kind && drawn.name === part.name ? drawn : create(part);
    });
    kept.forEach((drawn, index) => grow(drawn.node, parts[index].text));
    this.#drawn = kept;
    arrange(this.#root, kept.map((drawn) => drawn.block));
  }
}

function create({ kind, name }) {
  const node = document.createTextNode('');
  const text = element(kind === 'call' ? 'code' : 'div', { class: 'part-text' }, node);
  const label = LABELS[kind] && element('p', { class: 'part-label' }, name ? `${LABELS[kind]}: ${name}` : LABELS[kind]);
  return { kind, name, node, block: element('div', { class: `part ${kind}` }, ...(label ? [label] : []), text) };
}

/** Append what is new; set all of it only if the beginning is another. */
function grow(node, text) {
  const has = node.length;
  if (text.length === has && text === node.data) return;
  if (text.length > has && text.startsWith(node.data)) node.appendData(text.slice(has));
  else node.data = text;
}
