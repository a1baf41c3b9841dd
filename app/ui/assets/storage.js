/** What outlives a reload of the tab, as far as the browser has room for it: some five million characters. */

/** Keep it, or nothing: what was kept before is out of date. @param {string} name @param {string} text */
export function keep(name, text) {
  try {
    sessionStorage.setItem(name, text);
  } catch {
    sessionStorage.removeItem(name);
  }
}
