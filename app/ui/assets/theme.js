// Not a module: it runs before the page is drawn, so that a dark page does not flash.
(() => {
  const chosen = localStorage.getItem('simmer.theme');
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
})();
