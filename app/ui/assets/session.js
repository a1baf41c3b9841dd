/** All that runs for as long as somebody is signed in. */
import { copy } from './clipboard.js';
import { Composer } from './composer.js';
import { Detail } from './detail.js';
import { byId } from './dom.js';
import { ApiError, isPassing } from './errors.js';
import { Feed } from './feed.js';
import { firstLine } from './format.js';
import { Jobs } from './jobs.js';
import { listenToKeys } from './keys.js';
import { List } from './list.js';
import { confirmed, say } from './notices.js';
import { Outbox, askedBy } from './outbox.js';
import { Prompts, promptOf } from './prompts.js';
import { STATUSES, refusal } from './words.js';

const TICK = 1000;

export class Session {
  #api;
  #connection;
  #stop = new AbortController();
  #jobs = new Jobs();
  #prompts;
  #feed;
  #outbox;
  #composer;
  #list;
  #detail;
  #ticking;
  #writesNext = false;
  /** A stream that a create opened, for the job that is about to be shown. */
  #opened = null;
  /** What was open when a prompt was submitted: if it still is when the answer comes, the new job takes its place. */
  #openWhenSubmitted = new Map();

  /** @param {{api: import('./api.js').Api, connection: import('./connection.js').Connection, models: string[]}} options */
  constructor({ api, connection, models }) {
    this.#api = api;
    this.#connection = connection;
    const { signal } = this.#stop;
    const parts = /** @type {any} */ ({ api, connection, models, signal, jobs: this.#jobs, patiently: (...given) => this.#patiently(...given) });
    this.#prompts = parts.prompts = new Prompts(parts);
    this.#feed = parts.feed = new Feed(parts);
    this.#outbox = parts.outbox = new Outbox({ ...parts, accepted: (...given) => this.#accepted(...given) });
    this.#composer = parts.composer = new Composer({ ...parts, submit: (asked) => this.#submit(asked) });
    this.#list = parts.list = new List(parts);
    this.#detail = new Detail({ ...parts, actions: this.#actions() });
  }

  /** Prompts that the server has not taken yet. */
  get unsent() {
    return this.#outbox.items.length;
  }

  start() {
    const { signal } = this.#stop;
    window.addEventListener('hashchange', () => this.#route(), { signal });
    this.#jobs.addEventListener('ended', ({ detail }) => this.#announce(detail), { signal });
    listenToKeys({ search: () => this.#list.focusSearch(), write: () => this.#write(), close: () => this.#close(), signal });
    this.#ticking = setInterval(() => this.#tick(), TICK);
    this.#outbox.resume();
    this.#route();
    this.#feed.refresh();
    if (!this.#detail.id) this.#composer.focus();
  }

  stop() {
    this.#stop.abort();
    clearInterval(this.#ticking);
    for (const part of [this.#feed, this.#outbox, this.#prompts, this.#list]) part.stop();
    this.#detail.close();
    delete byId('app').dataset.open;
  }

  #actions() {
    return {
      close: () => this.#close(),
      cancel: (job) => this.#cancel(job),
      copy: async (_, detail) => say((await copy(detail.text)) ? 'Copied.' : 'The browser does not allow it. Select the text, and copy it.'),
      edit: (job, detail) => this.#edit(job, detail.items),
      again: (job, detail) => this.#again(job, detail.items),
      remove: (job) => this.#remove(job),
    };
  }

  #tick() {
    if (document.hidden) return;
    this.#list.tick();
    this.#detail.tick();
  }

  #route() {
    const id = /^#\/(resp_[0-9a-f]+)$/.exec(location.hash)?.[1] ?? '';
    const before = this.#detail.id;
    if (id === before) return;
    const fromList = byId('rows').contains(document.activeElement);
    byId('app').toggleAttribute('data-open', Boolean(id));
    if (id) this.#detail.open(id, this.#opened?.id === id ? this.#opened.stream : undefined);
    else this.#detail.close();
    this.#opened = null;
    this.#list.mark(id);
    if (!id) this.#focusAfterClosing(before);
    else if (fromList) this.#detail.focus();
  }

  #focusAfterClosing(before) {
    if (this.#writesNext) this.#composer.focus();
    else this.#list.focus(before);
    this.#writesNext = false;
  }

  /** To the prompt; on a phone what is open hides it. */
  #write() {
    this.#writesNext = Boolean(this.#detail.id) && isNarrow();
    if (this.#writesNext) this.#close();
    else this.#composer.focus();
  }

  #close() {
    if (this.#detail.id) location.hash = '#/';
  }

  #submit(asked) {
    const item = this.#outbox.add(asked);
    this.#openWhenSubmitted.set(item.key, this.#detail.id);
  }

  #accepted(item, job, stream) {
    if (typeof item.body.input === 'string') this.#prompts.set(job.id, item.body.input);
    this.#jobs.put(job, { listed: true });
    const stays = isNarrow() && !this.#detail.id;
    if (stays || this.#openWhenSubmitted.get(item.key) !== this.#detail.id) stream.close();
    else {
      this.#opened = { id: job.id, stream };
      location.hash = `#/${job.id}`;
    }
    if (stays) say('Submitted.');
    this.#openWhenSubmitted.delete(item.key);
  }

  /** Back to the form with it; of a conversation, its last prompt. */
  #edit(job, items) {
    this.#composer.edit({ model: job.model, input: promptOf(items.at(-1)), instructions: job.instructions });
    if (isNarrow()) this.#write();
  }

  async #again(job, known) {
    try {
      this.#submit(askedBy(job, known.length ? known : await this.#api.inputItems(job.id)));
    } catch (error) {
      say(refusal(error));
    }
  }

  async #cancel(job) {
    try {
      this.#jobs.put(await this.#api.cancel(job.id));
    } catch (error) {
      const ended = error instanceof ApiError && error.code === 'illegal_move';
      say(ended ? 'It had ended already.' : refusal(error));
    }
  }

  async #remove(job) {
    const text = `“${firstLine(this.#prompts.get(job.id) ?? job.id).slice(0, 80)}”: its prompt and its text are gone for good. If it runs, it is stopped.`;
    if (!(await confirmed({ title: 'Delete this response?', text, yes: 'Delete', no: 'Keep it' }))) return;
    try {
      await this.#api.remove(job.id);
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) return say(refusal(error));
    }
    if (this.#detail.id === job.id) this.#close();
    this.#jobs.remove(job.id);
    say('Deleted.');
    return undefined;
  }

  #announce(job) {
    const prompt = firstLine(this.#prompts.get(job.id) ?? '').slice(0, 60);
    say(`${STATUSES[job.status]}${prompt ? `: ${prompt}` : ''}`, { seen: job.id === this.#detail.id });
  }

  /** Ask until there is an answer. @returns {Promise<any>} undefined if nobody wants it any more, or it is refused */
  async #patiently(ask, isOver) {
    for (let attempt = 0; !isOver() && !this.#stop.signal.aborted; attempt += 1) {
      try {
        return await ask();
      } catch (error) {
        if (!isPassing(error)) return undefined;
        await this.#connection.pause(attempt, { atLeast: error.retryAfter ?? 0 });
      }
    }
    return undefined;
  }
}

function isNarrow() {
  return !window.matchMedia('(min-width: 60rem)').matches;
}
