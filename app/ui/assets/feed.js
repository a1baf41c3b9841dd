/** Keeps the list current: one request every few seconds, only while something is active and somebody looks. */
import { ApiError, isPassing } from './errors.js';

const PAGE = 20;
const DEEPEST = 100; // What the API lists at once.
const EVERY = 3000;
const PLACES = 4; // Of so many queued jobs a round asks the place in the queue.

/** @typedef {{status: string, model: string}} Filter */

/** Says `change` when `loading` or `error` change. */
export class Feed extends EventTarget {
  /** @type {Filter} */
  filter = { status: '', model: '' };
  loading = false;
  /** @type {any} what is wrong with the list, if the connection is not */
  error = null;
  #api;
  #jobs;
  #connection;
  #stop = new AbortController();
  #round = new AbortController();
  #failures = 0;
  #turn = 0;

  constructor({ api, jobs, connection }) {
    super();
    this.#api = api;
    this.#jobs = jobs;
    this.#connection = connection;
    const { signal } = this.#stop;
    document.addEventListener('visibilitychange', () => document.hidden || this.refresh(), { signal });
    connection.addEventListener('again', () => this.refresh(), { signal });
    // A job that was made while nothing ran.
    jobs.addEventListener('change', () => this.#round.signal.aborted && this.#jobs.active.length && this.refresh(), { signal });
  }

  /** Start anew with another filter. @param {Partial<Filter>} change */
  async show(change) {
    this.filter = { ...this.filter, ...change };
    this.#jobs.clear();
    await this.refresh();
  }

  /** Ask now, and go on for as long as there is a reason to. */
  async refresh() {
    this.#round.abort();
    const round = new AbortController();
    this.#round = round;
    const signal = AbortSignal.any([round.signal, this.#stop.signal]);
    try {
      do await this.#ask(signal);
      while (await this.#again(signal));
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      round.abort();
    }
  }

  /** The next page. */
  async more() {
    const after = this.#jobs.all.at(-1)?.id;
    if (!after || this.loading) return;
    const { filter } = this;
    this.#become({ loading: true, error: null });
    try {
      const page = await this.#api.list({ limit: PAGE, after, ...filter }, this.#stop.signal);
      if (filter === this.filter) this.#jobs.append(page);
      this.#become({ loading: false, error: null });
    } catch (error) {
      this.#become({ loading: false, error });
    }
  }

  /** No more requests. */
  stop() {
    this.#stop.abort();
  }

  async #ask(signal) {
    this.#become({ loading: true, error: null });
    try {
      const page = await this.#api.list({ limit: this.#depth(), ...this.filter }, signal);
      this.#jobs.refresh(page);
      this.#failures = 0;
      this.#become({ loading: false, error: null });
      await this.#askPlaces(signal);
    } catch (error) {
      if (signal.aborted) throw error;
      this.#failures += 1;
      this.#become({ loading: false, error });
    }
  }

  /** Whether to ask again, after a pause. */
  async #again(signal) {
    const failed = this.error;
    if (failed && !isPassing(failed)) return false;
    if (!failed && (!this.#jobs.active.length || document.hidden)) return false;
    if (!failed) await this.#connection.sleep(EVERY, { signal, wakes: false });
    else await this.#connection.pause(this.#failures, { atLeast: failed.retryAfter ?? 0, signal });
    return !document.hidden;
  }

  /** As deep as the oldest active job stands; what is active below a hundred others waits for `more`. */
  #depth() {
    const active = this.#jobs.all.findLastIndex((job) => job.status === 'queued' || job.status === 'in_progress');
    return Math.min(DEEPEST, Math.max(PAGE, active + 1));
  }

  /** The list does not tell the place in the queue. Those that wait take turns. */
  async #askPlaces(signal) {
    const queued = this.#jobs.all.filter((job) => job.status === 'queued');
    const asked = [...queued, ...queued].slice(this.#turn % (queued.length || 1)).slice(0, Math.min(PLACES, queued.length));
    this.#turn += asked.length;
    for (const { id } of asked) {
      try {
        this.#jobs.put(await this.#api.get(id, { signal }));
      } catch (error) {
        if (!(error instanceof ApiError && error.status === 404)) throw error;
        this.#jobs.remove(id);
      }
    }
  }

  #become(state) {
    Object.assign(this, state);
    this.dispatchEvent(new Event('change'));
  }
}
