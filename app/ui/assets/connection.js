/** Whether the server can be reached, how its clock stands to ours, and pauses that end early when it is back. */

const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 30_000;

/** @typedef {'online' | 'offline' | 'unreachable'} State */

/** Says `change` when the state changes, and `again` when those who pause should try at once. */
export class Connection extends EventTarget {
  /** @type {State} */
  state = navigator.onLine ? 'online' : 'offline';
  #ahead = 0;

  constructor() {
    super();
    window.addEventListener('offline', () => this.#become('offline'));
    window.addEventListener('online', () => this.tryAgain());
  }

  /** A reply came. @param {string | null} date its Date header */
  reached(date) {
    const server = Date.parse(date ?? '');
    if (server) this.#ahead = server - Date.now();
    this.#become('online');
  }

  /** A request got no reply. */
  lost() {
    this.#become(navigator.onLine ? 'unreachable' : 'offline');
  }

  /** End all pauses. */
  tryAgain() {
    this.dispatchEvent(new Event('again'));
  }

  /** The server's time in seconds: the user's clock may be wrong. The header knows no fractions: half a second off is near. */
  now() {
    const ahead = Math.abs(this.#ahead) < 2000 ? 0 : this.#ahead;
    return (Date.now() + ahead) / 1000;
  }

  /**
   * Wait before try number `attempt` (0, 1, …), longer each time; at least `atLeast` seconds, which nothing shortens.
   * @param {number} attempt
   * @param {{atLeast?: number, signal?: AbortSignal}} [options]
   * @returns {Promise<void>} rejected if the signal aborts
   */
  async pause(attempt, { atLeast = 0, signal } = {}) {
    const backoff = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** attempt) * (0.75 + Math.random() / 2);
    await this.sleep(Math.max(backoff, atLeast * 1000), { signal, wakes: !atLeast });
  }

  /** @param {number} ms @param {{signal?: AbortSignal, wakes?: boolean}} [options] @returns {Promise<void>} */
  sleep(ms, { signal, wakes = true } = {}) {
    return new Promise((resolve, reject) => {
      const over = new AbortController();
      const end = (settle) => () => {
        clearTimeout(timer);
        over.abort();
        settle(signal?.reason);
      };
      const timer = setTimeout(end(resolve), ms);
      if (wakes) this.addEventListener('again', end(resolve), { signal: over.signal });
      if (signal?.aborted) end(reject)();
      else signal?.addEventListener('abort', end(reject), { signal: over.signal });
    });
  }

  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new Event('change'));
  }
}
