/** The list: filters, search, rows, and what it says when there is nothing to show. */
import { arrange, byId, element, inFrame, setText, show } from './dom.js';
import { Row, activity, outboxRow } from './rows.js';
import { textOf } from './transcript.js';
import { STATUSES, refusal } from './words.js';

export class List {
  #parts;
  #models;
  #rows = new Map();
  #unsent = new Map();
  #open = '';
  #search = byId('search');
  #seen;

  /**
   * @param {{jobs: import('./jobs.js').Jobs, feed: import('./feed.js').Feed, prompts: import('./prompts.js').Prompts,
   *   outbox: import('./outbox.js').Outbox, composer: import('./composer.js').Composer,
   *   connection: import('./connection.js').Connection, models: string[], signal: AbortSignal}} parts
   */
  constructor(parts) {
    this.#parts = parts;
    this.#models = new Set(parts.models);
    const { signal } = parts;
    const draw = inFrame(() => signal.aborted || this.#draw());
    for (const part of [parts.jobs, parts.feed, parts.prompts]) part.addEventListener('change', draw, { signal });
    parts.outbox.addEventListener('change', () => this.#drawOutbox(), { signal });
    parts.jobs.addEventListener('change', () => this.#offerModels(), { signal });
    this.#seen = new IntersectionObserver((entries) => this.#cameIntoView(entries), { root: byId('rows-scroll'), rootMargin: '100px' });
    this.#search.addEventListener('input', draw, { signal });
    byId('filter-status').addEventListener('change', () => this.#filter(), { signal });
    byId('filter-model').addEventListener('change', () => this.#filter(), { signal });
    byId('load-more').addEventListener('click', () => parts.feed.more(), { signal });
    byId('refresh').addEventListener('click', () => parts.feed.refresh(), { signal });
    byId('rows').addEventListener('keydown', (event) => this.#onKey(event), { signal });
    this.#prepare();
    draw();
  }

  /** @param {string} id of the job that is shown beside the list, or '' */
  mark(id) {
    this.#open = id;
    this.#draw();
  }

  /** Focus a job's row, or the first. */
  focus(id) {
    (this.#rows.get(id)?.link ?? byId('rows').querySelector('a') ?? this.#search).focus();
  }

  focusSearch() {
    this.#search.focus();
    this.#search.select();
  }

  /** A second has passed. */
  tick() {
    const now = this.#parts.connection.now();
    for (const job of this.#parts.jobs.active) this.#rows.get(job.id)?.tick(job, now);
  }

  stop() {
    this.#seen.disconnect();
    arrange(byId('rows'), []);
    arrange(byId('outbox'), []);
    setText(byId('activity'), '');
  }

  #prepare() {
    const statuses = Object.entries(STATUSES).map(([value, name]) => element('option', { value }, name));
    byId('filter-status').replaceChildren(element('option', { value: '' }, 'Any status'), ...statuses);
    byId('filter-model').replaceChildren(element('option', { value: '' }, 'Any model'));
    for (const name of this.#models) byId('filter-model').append(element('option', { value: name }, name));
    this.#search.value = '';
  }

  #offerModels() {
    for (const { model } of this.#parts.jobs.all) {
      if (this.#models.has(model)) continue;
      this.#models.add(model);
      byId('filter-model').append(element('option', { value: model }, model));
    }
  }

  #filter() {
    this.#parts.feed.show({ status: byId('filter-status').value, model: byId('filter-model').value });
  }

  #draw() {
    const { jobs, prompts, connection } = this.#parts;
    const shown = jobs.all.filter((job) => this.#isWanted(job));
    const now = connection.now();
    const items = shown.map((job) => {
      const row = this.#rowOf(job.id);
      row.draw(job, { prompt: prompts.get(job.id), open: job.id === this.#open, now });
      return row.item;
    });
    arrange(byId('rows'), items);
    for (const id of this.#rows.keys()) if (!jobs.get(id)) this.#rows.delete(id);
    setText(byId('activity'), activity(jobs.all));
    document.title = jobs.active.length ? `(${jobs.active.length}) Simmer` : 'Simmer';
    this.#drawEnds(shown.length);
  }

  #rowOf(id) {
    let row = this.#rows.get(id);
    if (!row) {
      row = new Row(id);
      this.#rows.set(id, row);
      this.#seen.observe(row.link);
    }
    return row;
  }

  #cameIntoView(entries) {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) this.#parts.prompts.want(target.dataset.id);
    }
  }

  #isWanted(job) {
    const { status, model } = this.#parts.feed.filter;
    const fits = !status || job.status === status || (status === 'completed' && job.status === 'incomplete');
    if (!fits || (model && job.model !== model)) return false;
    const wanted = this.#search.value.trim().toLowerCase();
    if (!wanted) return true;
    const texts = [this.#parts.prompts.get(job.id) ?? '', textOf(job.output), job.model, job.id, STATUSES[job.status]];
    return texts.some((text) => text.toLowerCase().includes(wanted));
  }

  #drawEnds(shown) {
    const { jobs, feed, outbox } = this.#parts;
    show(byId('load-more'), jobs.hasMore, byId('rows').querySelector('li:last-child a'));
    byId('load-more').disabled = feed.loading;
    byId('rows').setAttribute('aria-busy', String(feed.loading && !shown));
    const said = shown || outbox.items.length ? [] : this.#whyNothing();
    show(byId('nothing'), said.length > 0);
    const nothing = byId('nothing');
    const key = said.map((part) => part.textContent ?? part).join('\n');
    if (nothing.dataset.said === key) return;
    nothing.dataset.said = key;
    nothing.replaceChildren(...said);
  }

  #whyNothing() {
    const { jobs, feed, connection } = this.#parts;
    const p = (text, attributes) => element('p', attributes, text);
    if (feed.error && connection.state === 'online') return [p(refusal(feed.error), { class: 'error' })];
    if (feed.loading) return [p('Loading…')];
    if (feed.error) return [p('The list could not be loaded yet.')];
    if (jobs.all.length) return [p('Nothing that is loaded matches the search.')];
    if (!feed.filter.status && !feed.filter.model) return [p('No responses yet', { class: 'title' }), p('What you submit appears here.')];
    return [p('No response is like that.'), element('button', { class: 'button', type: 'button', onclick: () => this.#showAll() }, 'Show all')];
  }

  #showAll() {
    byId('filter-status').value = '';
    byId('filter-model').value = '';
    this.#filter();
    byId('filter-status').focus();
  }

  #drawOutbox() {
    const { outbox, composer } = this.#parts;
    const drawn = outbox.items.map((item) => {
      const kept = this.#unsent.get(item.key);
      if (kept?.state === item.state && kept.error === item.error) return kept.node;
      const discard = () => outbox.discard(item);
      const edit = () => {
        discard();
        composer.edit(item.body, refusal(item.error));
      };
      const node = outboxRow(item, { edit, discard });
      this.#unsent.set(item.key, { node, state: item.state, error: item.error });
      return node;
    });
    arrange(byId('outbox'), drawn);
    for (const key of this.#unsent.keys()) if (!outbox.items.some((item) => item.key === key)) this.#unsent.delete(key);
    this.#drawEnds(byId('rows').children.length);
  }

  #onKey(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const links = [...byId('rows').querySelectorAll('a')];
    const next = links[links.indexOf(document.activeElement) + step];
    if (!step || !next) return;
    event.preventDefault();
    next.focus();
  }
}
