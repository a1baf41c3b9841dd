/** One job: what was asked, what is said, how it stands, and what can be done with it. */
import { Answer } from './answer.js';
import { arrange, byId, element, inFrame, setText, show } from './dom.js';
import { drawFacts } from './facts.js';
import { Follower } from './follower.js';
import { promptOf } from './prompts.js';
import { drawStatus } from './status.js';
import { adviceFor, cutOff, isActive, refusal } from './words.js';

const ROLES = { system: 'System', developer: 'Developer', assistant: 'Assistant' };
const LINES = {
  reconnecting: 'The connection was lost. The job goes on; the text goes on here as soon as the connection is back.',
  gone: 'This response is not there any more: it was deleted, has expired, or belongs to another key.',
};

export class Detail {
  id = '';
  #parts;
  #follower = null;
  #answer = new Answer(byId('answer'));
  #items = [];

  /** @param {object} parts as in Session; `actions` do what the buttons say */
  constructor(parts) {
    this.#parts = parts;
    const { signal, jobs, actions } = parts;
    jobs.addEventListener('change', ({ detail }) => (!detail || detail === this.id) && this.#draw(), { signal });
    const on = (id, act) => byId(id).addEventListener('click', () => act(this.#job, this), { signal });
    on('close', actions.close);
    on('cancel', actions.cancel);
    on('copy', actions.copy);
    on('again', actions.again);
    on('failure-again', actions.again);
    on('edit', actions.edit);
    on('delete', actions.remove);
  }

  /** What there is to copy. */
  get text() {
    return this.#follower?.transcript.text ?? '';
  }

  /** What the model was shown. */
  get items() {
    return this.#items;
  }

  /** @param {string} id @param {import('./follower.js').Stream} [stream] the one that the create opened */
  open(id, stream) {
    if (id === this.id) return;
    this.close();
    this.id = id;
    this.#items = [];
    const follower = new Follower({ ...this.#parts, id });
    this.#follower = follower;
    const draw = inFrame(() => follower === this.#follower && this.#drawText());
    follower.addEventListener('text', draw);
    follower.addEventListener('change', () => follower === this.#follower && this.#draw());
    show(byId('no-job'), false);
    show(byId('job'), true);
    byId('content').scrollTop = 0;
    this.#draw();
    follower.start(stream);
    this.#loadItems(follower);
  }

  close() {
    this.#follower?.stop();
    this.#follower = null;
    this.id = '';
    this.#answer.clear();
    for (const id of ['asked', 'facts', 'failure-message', 'answer-note']) byId(id).replaceChildren();
    show(byId('job'), false);
    show(byId('no-job'), true);
  }

  focus() {
    byId('job-title').focus({ preventScroll: true });
  }

  /** A second has passed. */
  tick() {
    const job = this.#job;
    if (job && isActive(job)) drawFacts(byId('facts'), job, this.#parts.connection.now());
  }

  get #job() {
    return this.#parts.jobs.get(this.id);
  }

  async #loadItems(follower) {
    const { api, prompts } = this.#parts;
    this.#drawAsked([{ role: 'user', content: prompts.get(this.id) ?? '…' }]);
    const items = await this.#parts.patiently(() => api.inputItems(follower.id), () => follower !== this.#follower);
    if (!items || follower !== this.#follower) return;
    this.#items = items;
    this.#drawAsked(items);
  }

  #drawAsked(items) {
    const instructions = this.#job?.instructions;
    const told = instructions ? [{ role: 'system', label: 'Instructions', content: instructions }] : [];
    const shown = items.some((item) => item.role === 'system' && promptOf(item) === instructions) ? items : [...told, ...items];
    arrange(byId('asked'), shown.map((item) => askedBlock(item)));
  }

  #draw() {
    if (!this.id) return;
    const job = this.#job;
    const { state, error } = this.#follower;
    const known = Boolean(job) && state !== 'gone';
    setText(byId('job-title'), known ? job.model : state === 'gone' ? 'Not found' : 'Loading…');
    this.#drawLine(state, error);
    for (const part of [byId('job-status'), byId('facts'), byId('asked').parentNode, byId('answer').parentNode]) show(part, known);
    this.#drawActions(known ? job : null);
    show(byId('failure'), known && job.status === 'failed', byId('job-title'));
    if (!known) return;
    drawStatus(byId('job-status'), job);
    drawFacts(byId('facts'), job, this.#parts.connection.now());
    if (job.status === 'failed') drawFailure(job.error);
    this.#drawText();
  }

  #drawLine(state, error) {
    const text = state === 'refused' ? refusal(error) : LINES[state];
    show(byId('line'), Boolean(text));
    setText(byId('line'), text ?? '');
  }

  #drawActions(job) {
    const heir = byId('job-title');
    const ended = Boolean(job) && !isActive(job);
    show(byId('cancel'), Boolean(job) && !ended && job.background, heir);
    show(byId('copy'), Boolean(this.text), heir);
    show(byId('again'), ended && job.status !== 'failed', heir);
    show(byId('delete'), Boolean(job), heir);
  }

  #drawText() {
    const job = this.#job;
    if (!job) return;
    const pane = byId('content');
    const atEnd = pane.scrollHeight - pane.scrollTop - pane.clientHeight < 40;
    const parts = this.#follower.transcript.parts;
    this.#answer.draw(parts);
    byId('answer').setAttribute('aria-busy', String(isActive(job)));
    byId('answer').classList.toggle('growing', job.status === 'in_progress' && this.#follower.state === 'following');
    setText(byId('answer-note'), this.#note(job, parts.length > 0));
    show(byId('copy'), Boolean(this.text), byId('job-title'));
    if (atEnd && isActive(job)) pane.scrollTop = pane.scrollHeight;
  }

  #note(job, spoken) {
    if (job.status === 'incomplete') return cutOff(job.incomplete_details?.reason);
    if (job.status === 'cancelled') return spoken ? 'Cancelled: this is what there was until then.' : 'Cancelled before there was any text.';
    if (spoken) return '';
    if (job.status === 'queued') return 'It begins when a worker is free.';
    if (job.status === 'failed') return 'There is no text.';
    if (job.status === 'completed') return this.#follower.state === 'done' ? 'The model answered with no text.' : '';
    return this.#follower.state === 'waiting' ? 'It was not created as a stream: the text comes when it has ended.' : 'Waiting for the first words…';
  }
}

function askedBlock(item) {
  const label = item.label ?? (item.type === 'message' || item.role ? ROLES[item.role] : item.type?.replaceAll('_', ' '));
  const text = element('div', { class: 'part-text' }, promptOf(item));
  return element('div', { class: `said ${item.role ?? ''}` }, ...(label ? [element('p', { class: 'part-label' }, label)] : []), text);
}

function drawFailure(error) {
  const code = error.failure_code ?? error.code;
  setText(byId('failure-title'), `Failed: ${code}`);
  setText(byId('failure-message'), error.message);
  const again = error.retryable ? 'The same request may succeed when you submit it again.' : 'The same request will most likely fail again.';
  setText(byId('failure-advice'), `${adviceFor(error)} ${again}`);
}
