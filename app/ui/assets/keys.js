/** The keys of the whole page. Single letters are left alone while somebody writes. */
import { byId } from './dom.js';

/** @param {{write: () => void, search: () => void, close: () => void, signal: AbortSignal}} acts */
export function listenToKeys({ write, search, close, signal }) {
  const acts = { n: write, '/': search };
  const listen = (event) => {
    if (event.defaultPrevented || event.isComposing || byId('confirm').open) return;
    if (event.key === 'Escape') return escape(event, close);
    const act = acts[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target)) return;
    event.preventDefault();
    act();
  };
  document.addEventListener('keydown', listen, { signal });
}

function escape(event, close) {
  // The first Escape leaves a field (and empties a search), the next one closes what is open.
  if (isWriting(event.target)) event.target.blur();
  else close();
}

function isWriting(target) {
  return target.matches?.('textarea, select, input') ?? false;
}
