/** The rows of the list: one for each job, and one for each prompt that is on its way. */
import { element, setText } from './dom.js';
import { counted, elapsed, firstLine } from './format.js';
import { drawStatus } from './status.js';
import { isActive, refusal } from './words.js';

/** The row of one job, which stays the same element for as long as it is shown. */
export class Row {
  #title = element('span', { class: 'row-title', dir: 'auto' });
  #status = element('span', { class: 'status' });
  #elapsed = element('span', { class: 'number' });
  #tokens = element('span', { class: 'number' });
  #model = element('span', { class: 'row-model' });

  /** @param {string} id */
  constructor(id) {
    const facts = element('span', { class: 'row-facts' }, this.#status, this.#elapsed, this.#tokens, this.#model);
    this.link = element('a', { class: 'row', href: `#/${id}`, 'data-id': id }, this.#title, facts);
    this.item = element('li', {}, this.link);
  }

  /** @param {import('./api.js').Job} job @param {{prompt: string | undefined, open: boolean, now: number}} more */
  draw(job, { prompt, open, now }) {
    setText(this.#title, prompt === undefined ? '…' : firstLine(prompt) || '(no text)');
    drawStatus(this.#status, job);
    this.tick(job, now);
    const tokens = job.usage?.total_tokens ?? 0;
    setText(this.#tokens, tokens ? counted(tokens, 'token') : '');
    setText(this.#model, job.model);
    if (open) this.link.setAttribute('aria-current', 'true');
    else this.link.removeAttribute('aria-current');
  }

  /** @param {import('./api.js').Job} job */
  tick(job, now) {
    setText(this.#elapsed, elapsed(job, now) ?? '');
  }
}

const ON_ITS_WAY = { sending: 'Sending…', waiting: 'Not sent yet; tries again by itself', refused: 'Refused' };

/**
 * @param {import('./outbox.js').Item} item
 * @param {{edit: () => void, discard: () => void}} actions
 */
export function outboxRow(item, { edit, discard }) {
  const text = typeof item.body.input === 'string' ? item.body.input : 'The same once more';
  const row = element('div', { class: 'row unsent' }, element('span', { class: 'row-title', dir: 'auto' }, firstLine(text)));
  const facts = element('span', { class: 'row-facts' });
  facts.append(element('span', { class: 'status', 'data-status': item.state }, ON_ITS_WAY[item.state]));
  row.append(facts);
  if (item.state === 'sending') return element('li', {}, row);
  if (item.error) row.append(element('span', { class: 'error' }, refusal(item.error)));
  const actions = element('span', { class: 'actions' });
  const editable = item.state === 'refused' && typeof item.body.input === 'string';
  if (editable) actions.append(element('button', { class: 'button small', type: 'button', onclick: edit }, 'Edit'));
  actions.append(element('button', { class: 'button small', type: 'button', onclick: discard }, 'Discard'));
  row.append(actions);
  return element('li', {}, row);
}

/** How many are active, for the top of the page. @param {import('./api.js').Job[]} jobs */
export function activity(jobs) {
  const active = jobs.filter(isActive);
  const queued = active.filter((job) => job.status === 'queued').length;
  const parts = [];
  if (active.length - queued) parts.push(`${active.length - queued} running`);
  if (queued) parts.push(`${queued} queued`);
  return parts.join(', ');
}
