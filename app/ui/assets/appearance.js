/** The switch between the system's colours, light and dark ones; theme.js applies the choice before the page is drawn. */
import { byId, element } from './dom.js';

const STORED = 'simmer.theme';
const NEXT = { system: 'light', light: 'dark', dark: 'system' };
const NAMES = { system: 'Auto', light: 'Light', dark: 'Dark' };

export function prepareAppearance() {
  const button = byId('theme');
  const root = document.documentElement;
  const draw = () => {
    const now = root.dataset.theme ?? 'system';
    button.replaceChildren(element('span', { class: 'wide-only' }, 'Theme:'), NAMES[now]);
    button.setAttribute('aria-label', `Theme: ${NAMES[now]}. Switch to ${NAMES[NEXT[now]]}.`);
  };
  button.addEventListener('click', () => {
    const next = NEXT[root.dataset.theme ?? 'system'];
    if (next === 'system') delete root.dataset.theme;
    else root.dataset.theme = next;
    localStorage.setItem(STORED, next);
    draw();
  });
  draw();
}
