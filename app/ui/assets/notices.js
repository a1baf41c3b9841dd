/** What the page tells in passing: a toast for the eye, the same for screen readers, and the banner about the connection. */
import { byId, setText, show } from './dom.js';

const SHOWN_FOR = 5000;
let timer;

/** @param {string} text @param {{seen?: boolean}} [options] `seen`: it stands on the page already, and needs no toast */
export function say(text, { seen = false } = {}) {
  const toast = byId('toast');
  clearTimeout(timer);
  setText(toast, seen ? '' : text);
  toast.classList.toggle('shown', !seen);
  setText(byId('told'), text);
  timer = setTimeout(() => {
    toast.classList.remove('shown');
    byId('told').textContent = '';
  }, SHOWN_FOR);
}

const LOST = {
  offline: 'You are offline. Jobs go on; this page catches up when the connection is back.',
  unreachable: 'Simmer does not answer. Jobs that it has taken are safe; this page keeps trying.',
};

/** @param {import('./connection.js').Connection} connection */
export function watchConnection(connection) {
  const draw = () => {
    const text = LOST[connection.state] ?? '';
    setText(byId('banner-text'), text);
    show(byId('banner'), Boolean(text));
    show(byId('try-again'), connection.state === 'unreachable');
  };
  connection.addEventListener('change', draw);
  byId('try-again').addEventListener('click', () => connection.tryAgain());
  draw();
}

/**
 * Ask before something is gone for good.
 * @param {{title: string, text: string, yes: string, no: string}} asked
 * @returns {Promise<boolean>}
 */
export function confirmed({ title, text, yes, no }) {
  const dialog = byId('confirm');
  setText(byId('confirm-title'), title);
  setText(byId('confirm-text'), text);
  setText(byId('confirm-yes'), yes);
  setText(byId('confirm-no'), no);
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    const closed = () => {
      setText(byId('confirm-text'), '');
      resolve(dialog.returnValue === 'yes');
    };
    dialog.addEventListener('close', closed, { once: true });
  });
}

/** Wire the dialog's buttons, once. */
export function prepareDialog() {
  const dialog = byId('confirm');
  byId('confirm-yes').addEventListener('click', () => dialog.close('yes'));
  byId('confirm-no').addEventListener('click', () => dialog.close());
}
