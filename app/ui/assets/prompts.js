/** The prompts of jobs. A list does not hold them, so they are asked for as their rows come into view, few at a time. */
import { isPassing } from './errors.js';

const AT_ONCE = 2;

/** Says `change`, with the job's id as `detail`, when a prompt has come. */
export class Prompts extends EventTarget {
  #api;
  #connection;
  #known = new Map();
  #wanted = new Set();
  #running = 0;
  #stopped = false;

  constructor({ api, connection }) {
    super();
    this.#api = api;
    this.#connection = connection;
  }

  /** @returns {string | undefined} undefined until it has come */
  get(id) {
    return this.#known.get(id);
  }

  set(id, text) {
    this.#known.set(id, text);
    this.#wanted.delete(id);
    this.dispatchEvent(new CustomEvent('change', { detail: id }));
  }

  want(id) {
    if (this.#known.has(id)) return;
    this.#wanted.add(id);
    this.#next();
  }

  stop() {
    this.#stopped = true;
  }

  async #next() {
    const [id] = this.#wanted;
    if (!id || this.#running >= AT_ONCE || this.#stopped) return;
    this.#wanted.delete(id);
    this.#running += 1;
    try {
      this.set(id, promptOf(await this.#api.lastInputItem(id)));
    } catch (error) {
      // What was deleted meanwhile has no prompt.
      if (isPassing(error)) {
        await this.#connection.pause(1, { atLeast: error.retryAfter ?? 0 });
        this.#wanted.add(id);
      }
    } finally {
      this.#running -= 1;
      this.#next();
    }
  }
}

/** The words of an input item. @param {object | undefined} item */
export function promptOf(item) {
  const content = item?.content ?? item?.output ?? item?.arguments ?? '';
  if (typeof content === 'string') return content;
  return content.map((part) => part.text ?? (part.type === 'input_image' ? '[image]' : '[file]')).join('\n');
}
