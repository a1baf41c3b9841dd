/** Copying, also where the page is served without TLS and browsers offer no `navigator.clipboard`. */
import { element } from './dom.js';

/** @param {string} text @returns {Promise<boolean>} whether it was allowed */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

function copySelected(text) {
  const before = /** @type {HTMLElement | null} */ (document.activeElement);
  const area = /** @type {HTMLTextAreaElement} */ (element('textarea', { class: 'unseen', readonly: true }));
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  before?.focus();
  return copied;
}
