/** The HTTP API as this page uses it; docs at /docs. The key travels in a header alone. */
import { ApiError, ConnectionError } from './errors.js';
import { frames } from './sse.js';

const TIMEOUT = 30_000;
const SILENCE = 45_000; // The server writes a comment every 15 s: three missed, and the connection is dead.

/**
 * @typedef {{id: string, status: string, model: string, created_at: number, output: object[], [name: string]: any}} Job
 * @typedef {{type: string, sequence_number: number, [name: string]: any}} StreamEvent
 * @typedef {{data: Job[], has_more: boolean, last_id: string | null}} Page
 */

export class Api {
  #key;
  #connection;
  #wrongKey;

  /**
   * @param {string} key
   * @param {import('./connection.js').Connection} connection hears how requests go
   * @param {(error: ApiError) => void} [wrongKey] called when the key is not, or no longer, good
   */
  constructor(key, connection, wrongKey = () => {}) {
    this.#key = key;
    this.#connection = connection;
    this.#wrongKey = wrongKey;
  }

  /** @returns {Promise<string[]>} the names that are listed; patterns may serve others */
  async models() {
    return (await this.#json('GET', '/v1/models')).data.map((model) => model.id);
  }

  /** @param {Record<string, string | number>} query @param {AbortSignal} [signal] @returns {Promise<Page>} */
  list(query, signal) {
    const given = Object.entries(query).filter(([, value]) => value !== '').map(([name, value]) => [name, String(value)]);
    return this.#json('GET', `/v1/responses?${new URLSearchParams(given)}`, { signal });
  }

  /** @param {string} id @param {{wait?: number, signal?: AbortSignal}} [options] seconds to wait for the end @returns {Promise<Job>} */
  get(id, { wait = 0, signal } = {}) {
    const timeout = TIMEOUT + wait * 1000;
    return this.#json('GET', `/v1/responses/${id}${wait ? `?wait=${wait}` : ''}`, { signal, timeout });
  }

  /** All that the model was shown, in its order. */
  async inputItems(id, signal) {
    const items = [];
    let page = { has_more: true, last_id: '' };
    while (page.has_more) {
      const after = page.last_id ? `&after=${encodeURIComponent(page.last_id)}` : '';
      page = await this.#json('GET', `/v1/responses/${id}/input_items?order=asc&limit=100${after}`, { signal });
      items.push(...page.data);
    }
    return items;
  }

  /** @returns {Promise<object | undefined>} the item that the model was shown last */
  async lastInputItem(id) {
    return (await this.#json('GET', `/v1/responses/${id}/input_items?limit=1`)).data[0];
  }

  /** @returns {Promise<Job>} */
  cancel(id) {
    return this.#json('POST', `/v1/responses/${id}/cancel`);
  }

  remove(id) {
    return this.#json('DELETE', `/v1/responses/${id}`);
  }

  /**
   * Create a response, and read its stream. With the same key and body it is the same response, however often it is sent.
   * @returns {AsyncGenerator<StreamEvent>}
   */
  create(body, idempotencyKey, signal) {
    const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': idempotencyKey };
    return this.#events('POST', '/v1/responses', { headers, body: JSON.stringify(body), signal });
  }

  /** @param {number} after the last event's number, -1 for all @returns {AsyncGenerator<StreamEvent>} */
  stream(id, after, signal) {
    const from = after < 0 ? '' : `&starting_after=${after}`;
    return this.#events('GET', `/v1/responses/${id}?stream=true${from}`, { signal });
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{headers?: Record<string, string>, body?: string, signal?: AbortSignal}} options
   */
  async *#events(method, path, { headers, body, signal }) {
    const silence = new AbortController();
    const abort = () => silence.abort();
    let timer = setTimeout(abort, SILENCE);
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(abort, SILENCE);
    };
    try {
      const either = AbortSignal.any([silence.signal, ...(signal ? [signal] : [])]);
      const response = await this.#send(method, path, { headers, body, signal: either });
      for await (const frame of frames(response.body, heard)) {
        if (frame.data === '[DONE]') return;
        yield JSON.parse(frame.data);
      }
    } catch (error) {
      throw this.#translated(error, signal);
    } finally {
      clearTimeout(timer);
    }
    // Cut off, by the network or by a server that restarts.
    throw new ConnectionError();
  }

  /** @param {string} method @param {string} path @param {{signal?: AbortSignal, timeout?: number}} [options] */
  async #json(method, path, { signal, timeout = TIMEOUT } = {}) {
    const limit = AbortSignal.timeout(timeout);
    try {
      const response = await this.#send(method, path, { signal: AbortSignal.any([limit, ...(signal ? [signal] : [])]) });
      return await response.json();
    } catch (error) {
      throw this.#translated(error, signal);
    }
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{headers?: Record<string, string>, body?: string, signal: AbortSignal}} options
   */
  async #send(method, path, { headers = {}, body, signal }) {
    const sent = { ...headers, Authorization: `Bearer ${this.#key}` };
    const response = await fetch(path, { method, headers: sent, body, signal, cache: 'no-store', redirect: 'error' });
    this.#connection.reached(response.headers.get('Date'));
    if (response.ok) return response;
    const told = await response.json().catch(() => ({}));
    const error = new ApiError(response.status, told.error ?? {}, Number(response.headers.get('Retry-After')) || 0);
    if (error.wrongKey) this.#wrongKey(error);
    throw error;
  }

  /** What the caller's own signal ended stays an AbortError; all else that is not the API's word is the connection's. */
  #translated(error, signal) {
    if (error instanceof ApiError || signal?.aborted) return error;
    this.#connection.lost();
    return new ConnectionError();
  }
}
