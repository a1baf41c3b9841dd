/** What can go wrong between the page and the API. */

/** The API refused a request. `code` never changes its meaning, and `message` says what to do. */
export class ApiError extends Error {
  /** @param {number} status @param {{code?: string, message?: string}} error @param {number} retryAfter seconds, or 0 */
  constructor(status, error, retryAfter) {
    super(error.message || `The server answered with status ${status}.`);
    this.name = 'ApiError';
    this.status = status;
    this.code = error.code || `http_${status}`;
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may succeed later. */
  get passing() {
    return this.status === 429 || this.status >= 500;
  }

  get wrongKey() {
    return this.status === 401;
  }
}

/** Nothing came back, or the connection broke: nobody knows whether the request arrived. */
export class ConnectionError extends Error {
  constructor(message = 'The connection to Simmer was lost.') {
    super(message);
    this.name = 'ConnectionError';
  }
}

/** @param {unknown} error whether it is worth trying again by itself */
export function isPassing(error) {
  return error instanceof ConnectionError || (error instanceof ApiError && error.passing);
}
