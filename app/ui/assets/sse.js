/**
 * Server-sent events (WHATWG HTML, section 9.2) out of the body of a fetch: EventSource can send no Authorization header.
 * @typedef {{type: string, data: string}} Frame
 */

/** Takes text in pieces of any size, and gives the frames that are whole. */
export class FrameParser {
  #rest = '';
  #type = '';
  #data = [];

  /** @param {string} text @returns {Frame[]} */
  feed(text) {
    this.#rest += text;
    const found = [];
    for (let line = this.#line(); line !== null; line = this.#line()) {
      const frame = this.#read(line);
      if (frame) found.push(frame);
    }
    return found;
  }

  #line() {
    const end = this.#rest.search(/[\r\n]/);
    // A CR at the very end may be half of a CRLF.
    if (end < 0 || (this.#rest[end] === '\r' && end === this.#rest.length - 1)) return null;
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + (this.#rest.startsWith('\r\n', end) ? 2 : 1));
    return line;
  }

  #read(line) {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.#type = value;
    if (field === 'data') this.#data.push(value);
    return null;
  }

  #dispatch() {
    const frame = this.#data.length ? { type: this.#type || 'message', data: this.#data.join('\n') } : null;
    this.#type = '';
    this.#data = [];
    return frame;
  }
}

/**
 * The frames of a body, until it ends. `onBytes` hears of all that comes, comments too: the connection is alive.
 * @param {ReadableStream<Uint8Array>} body
 * @param {() => void} [onBytes]
 * @returns {AsyncGenerator<Frame>}
 */
export async function* frames(body, onBytes = () => {}) {
  const parser = new FrameParser();
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      onBytes();
      yield* parser.feed(decoder.decode(piece.value, { stream: true }));
    }
  } finally {
    // Who leaves early closes the connection.
    reader.cancel().catch(() => {});
  }
}
