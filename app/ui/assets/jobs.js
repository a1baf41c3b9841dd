/** The jobs that the page knows, newest first as the API lists them; whoever learns of one puts it here. */
import { isActive } from './words.js';

/** @typedef {import('./api.js').Job} Job */

/** Says `change` after every change, with the job's id as `detail` where it is about one, and `ended` with the job. */
export class Jobs extends EventTarget {
  #known = new Map();
  #listed = [];
  #gone = new Set();
  /** Those that were refused a stream: a response does not tell that it has none. @type {Set<string>} */
  streamless = new Set();
  hasMore = false;

  /** @returns {Job[]} those of the list */
  get all() {
    return this.#listed.map((id) => this.#known.get(id));
  }

  /** @returns {Job | undefined} */
  get(id) {
    return this.#known.get(id);
  }

  isGone(id) {
    return this.#gone.has(id);
  }

  /** @returns {Job[]} */
  get active() {
    return this.all.filter(isActive);
  }

  /** News of one job, from anywhere. @param {Job} job @param {{listed?: boolean}} [options] `listed`: it belongs on top */
  put(job, { listed = false } = {}) {
    if (this.#gone.has(job.id)) return;
    this.#learn(job);
    if (listed && !this.#listed.includes(job.id)) this.#listed.unshift(job.id);
    this.#say(job.id);
  }

  /** The top of the list as it is now: what stood there and is not in it any more is gone. @param {import('./api.js').Page} page */
  refresh(page) {
    const ids = this.#arrived(page);
    const end = this.#listed.indexOf(page.last_id);
    const below = end < 0 || !page.has_more ? [] : this.#listed.slice(end + 1);
    if (!below.length) this.hasMore = page.has_more;
    this.#listed = [...new Set([...ids, ...below])];
    this.#say();
  }

  /** The next page. @param {import('./api.js').Page} page */
  append(page) {
    this.#listed = [...new Set([...this.#listed, ...this.#arrived(page)])];
    this.hasMore = page.has_more;
    this.#say();
  }

  /** Forget the list, for another filter; single jobs stay known. */
  clear() {
    this.#listed = [];
    this.hasMore = false;
    this.#say();
  }

  remove(id) {
    this.#gone.add(id);
    this.#known.delete(id);
    this.#listed = this.#listed.filter((other) => other !== id);
    this.#say(id);
  }

  #arrived(page) {
    const jobs = page.data.filter((job) => !this.#gone.has(job.id));
    jobs.forEach((job) => this.#learn(job));
    return jobs.map((job) => job.id);
  }

  #learn(job) {
    const before = this.#known.get(job.id);
    // Two replies may overtake each other: what has ended stays so.
    if (before && !isActive(before) && isActive(job)) return;
    // A list does not tell the place in the queue: the last one that is known stands.
    const place = job.status === 'queued' ? { queue_position: before?.queue_position } : {};
    this.#known.set(job.id, { ...place, ...job });
    if (before && isActive(before) && !isActive(job)) this.dispatchEvent(new CustomEvent('ended', { detail: job }));
  }

  #say(id) {
    this.dispatchEvent(new CustomEvent('change', { detail: id }));
  }
}
