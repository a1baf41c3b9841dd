/** Follows one job to its end: by its stream, or, if it has none, by waiting for it. */
import { ApiError, isPassing } from './errors.js';
import { Transcript } from './transcript.js';
import { isActive } from './words.js';

const WAIT = 30; // Seconds of one long poll.
const HIDDEN_FOR = 30_000;

/** @typedef {{events: AsyncGenerator<import('./api.js').StreamEvent>, close: () => void}} Stream one that is open */

/** Says `text` when the transcript has grown, `change` when `state` has. */
export class Follower extends EventTarget {
  transcript = new Transcript();
  /** @type {'loading' | 'following' | 'waiting' | 'reconnecting' | 'done' | 'gone' | 'refused'} */
  state = 'loading';
  /** @type {Error | null} why it was refused */
  error = null;
  #api;
  #jobs;
  #connection;
  #stop = new AbortController();
  #line = new AbortController();
  #hidden;

  constructor({ api, jobs, connection, id }) {
    super();
    this.id = id;
    this.#api = api;
    this.#jobs = jobs;
    this.#connection = connection;
    document.addEventListener('visibilitychange', () => this.#watched(), { signal: this.#stop.signal });
  }

  /** @param {Stream} [stream] the create's own, to go on with */
  async start(stream) {
    try {
      await this.#follow(stream);
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#fail(error);
    }
  }

  /** Let go of the connection. What was read stays in `transcript`. */
  stop() {
    clearTimeout(this.#hidden);
    this.#stop.abort();
    this.#line.abort();
  }

  async #follow(stream) {
    for (let attempt = 0; ; attempt += 1) {
      this.#stop.signal.throwIfAborted();
      const before = this.transcript.last;
      this.#line = new AbortController();
      try {
        if (this.#jobs.streamless.has(this.id)) await this.#wait(this.#line.signal);
        else await this.#stream(stream, this.#line.signal);
        if (!isActive(this.#jobs.get(this.id) ?? {})) return this.#finish();
      } catch (error) {
        if (this.#stop.signal.aborted) throw error;
        if (error instanceof ApiError && error.code === 'not_a_stream') {
          this.#jobs.streamless.add(this.id);
          continue;
        }
        if (!this.#line.signal.aborted && !isPassing(error)) throw error;
        this.#become('reconnecting');
        if (this.transcript.last > before) attempt = 0;
        // A server that restarts cuts streams off: the first try again comes soon.
        await this.#pause(attempt, error);
      }
      stream = undefined;
    }
  }

  async #pause(attempt, error) {
    const { signal } = this.#stop;
    if (document.hidden) await visible(signal);
    else if (attempt === 0 && this.#connection.state === 'online') await this.#connection.sleep(250, { signal });
    else await this.#connection.pause(attempt, { atLeast: error.retryAfter ?? 0, signal });
  }

  async #stream(stream, signal) {
    if (stream) signal.addEventListener('abort', stream.close);
    else {
      this.#showKnown();
      const job = await this.#api.get(this.id, { signal });
      this.#jobs.put(job);
      if (!isActive(job) && hasSpoken(job)) return;
    }
    for await (const event of stream?.events ?? this.#api.stream(this.id, this.transcript.last, signal)) {
      signal.throwIfAborted();
      this.#become('following');
      if (event.response) this.#jobs.put(event.response);
      if (this.transcript.apply(event)) this.dispatchEvent(new Event('text'));
    }
    // An end that was read before, or that the list has told.
    this.#jobs.put(await this.#api.get(this.id, { signal }));
  }

  /** What ended, and stands in the list, need not wait for a slow network. */
  #showKnown() {
    const known = this.#jobs.get(this.id);
    if (!known || isActive(known) || !hasSpoken(known)) return;
    this.transcript.settle(known.output ?? []);
    this.dispatchEvent(new Event('text'));
  }

  async #wait(signal) {
    this.#jobs.put(await this.#api.get(this.id, { signal }));
    while (isActive(this.#jobs.get(this.id) ?? {})) {
      this.#become('waiting');
      this.#jobs.put(await this.#api.get(this.id, { wait: WAIT, signal }));
    }
  }

  #finish() {
    const job = this.#jobs.get(this.id);
    if (!job) return this.#become('gone');
    this.transcript.settle(job.output ?? []);
    this.dispatchEvent(new Event('text'));
    this.#become('done');
  }

  #fail(error) {
    this.error = error;
    const gone = error instanceof ApiError && error.status === 404;
    if (gone) this.#jobs.remove(this.id);
    this.#become(gone ? 'gone' : 'refused');
  }

  /** A browser has few connections to one host: a tab that nobody looks at gives its own back. */
  #watched() {
    clearTimeout(this.#hidden);
    if (document.hidden) this.#hidden = setTimeout(() => this.#line.abort(), HIDDEN_FOR);
  }

  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new Event('change'));
  }
}

/** Whether all there is to show stands in the response; what ended otherwise may have said something in its stream. */
function hasSpoken(job) {
  return job.status === 'completed' || job.status === 'incomplete' || job.output?.length > 0;
}

function visible(signal) {
  return new Promise((resolve, reject) => {
    const seen = () => document.hidden || resolve();
    document.addEventListener('visibilitychange', seen, { signal });
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
