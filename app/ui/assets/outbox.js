/**
 * Prompts on their way. Each is sent with a key of its own until the server has answered, over a reload too: however often
 * that is, it makes one job.
 * @typedef {{model: string, input: any, instructions?: string, [name: string]: any}} Asked
 * @typedef {{key: string, body: Asked, state: 'sending' | 'waiting' | 'refused', error?: Error}} Item
 */
import { isPassing } from './errors.js';
import { keep } from './storage.js';

const STORED = 'simmer.outbox';

/** Says `change` when `items` change. */
export class Outbox extends EventTarget {
  /** @type {Item[]} */
  items = [];
  #api;
  #connection;
  #accepted;
  #stops = new Map();

  /** @param {{api: import('./api.js').Api, connection: import('./connection.js').Connection, accepted: (item: Item, job: object, stream: import('./follower.js').Stream) => void}} options */
  constructor({ api, connection, accepted }) {
    super();
    this.#api = api;
    this.#connection = connection;
    this.#accepted = accepted;
  }

  /** Send what a reload interrupted. */
  resume() {
    const stored = JSON.parse(sessionStorage.getItem(STORED) ?? '[]');
    for (const { key, body } of stored) this.#take({ key, body, state: 'sending' });
  }

  /** @param {Asked} asked @returns {Item} */
  add(asked) {
    /** @type {Item} */
    const item = { key: `page-${randomId()}`, body: { ...asked, background: true, stream: true }, state: 'sending' };
    this.#take(item);
    return item;
  }

  /** Do not send it any more. @param {Item} item */
  discard(item) {
    this.#stops.get(item.key)?.abort();
    this.#forget(item);
  }

  stop() {
    for (const stop of this.#stops.values()) stop.abort();
  }

  #take(item) {
    this.items = [item, ...this.items];
    this.#changed();
    this.#send(item);
  }

  async #send(item) {
    const stop = new AbortController();
    this.#stops.set(item.key, stop);
    for (let attempt = 0; ; attempt += 1) {
      try {
        const events = this.#api.create(item.body, item.key, stop.signal);
        const { value } = await events.next();
        this.#forget(item);
        return this.#accepted(item, value.response, { events, close: () => stop.abort() });
      } catch (error) {
        if (stop.signal.aborted) return undefined;
        item.error = error;
        item.state = isPassing(error) ? 'waiting' : 'refused';
        this.#changed();
        if (item.state === 'refused') return undefined;
        const wait = { atLeast: error.retryAfter ?? 0, signal: stop.signal };
        if (!(await this.#connection.pause(attempt, wait).then(() => true, () => false))) return undefined;
      }
    }
  }

  #forget(item) {
    this.items = this.items.filter((other) => other !== item);
    this.#changed();
  }

  #changed() {
    const stored = this.items.filter((item) => item.state !== 'refused').map(({ key, body }) => ({ key, body }));
    keep(STORED, JSON.stringify(stored));
    this.dispatchEvent(new Event('change'));
  }
}

/** All that a response tells of what was asked, with what each is if nobody asked for it. */
const UNASKED = {
  instructions: null,
  max_output_tokens: null,
  max_tool_calls: null,
  temperature: 1,
  top_p: 1,
  presence_penalty: 0,
  frequency_penalty: 0,
  top_logprobs: 0,
  reasoning: null,
  text: null,
  tools: null,
  tool_choice: 'auto',
  parallel_tool_calls: true,
  truncation: 'disabled',
  service_tier: 'default',
  safety_identifier: null,
  prompt_cache_key: null,
  user: null,
  metadata: null,
  store: true,
};

/** What asks for the same once more. @param {object} job @param {object[]} items what the model was shown */
export function askedBy(job, items) {
  const input = items.map(({ id, status, ...item }) => item);
  const told = { ...job, text: formOf(job.text) };
  const given = Object.entries(UNASKED).filter(([name, usual]) => filled(told[name]) && told[name] !== usual);
  return { model: job.model, input, ...Object.fromEntries(given.map(([name]) => [name, told[name]])) };
}

/** Plain text is what a model answers with anyway. */
function formOf(text) {
  const { format, ...more } = text ?? {};
  return format && format.type !== 'text' ? { format, ...more } : more;
}

function filled(value) {
  return value !== null && value !== undefined && (typeof value !== 'object' || Object.values(value).some(filled));
}

/** `crypto.randomUUID` is there in secure contexts alone, and a page of the local network may not be one. */
function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
