/**
 * What a model said, put together from the events of a stream; each event counts once.
 * @typedef {{kind: 'text' | 'refusal' | 'reasoning' | 'call', name: string, text: string}} Part
 */

const DELTAS = {
  'response.output_text.delta': 'text',
  'response.refusal.delta': 'refusal',
  'response.reasoning_summary_text.delta': 'reasoning',
  'response.function_call_arguments.delta': 'call',
};

export class Transcript {
  /** The number of the last event: a stream goes on after it. */
  last = -1;
  #parts = new Map();
  #names = new Map();

  /** @returns {Part[]} in the order of the output */
  get parts() {
    return [...this.#parts.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, part]) => part);
  }

  /** What there is to copy. */
  get text() {
    const spoken = this.parts.filter((part) => part.kind === 'text' || part.kind === 'refusal');
    return spoken.map((part) => part.text).join('\n\n');
  }

  /** @param {import('./api.js').StreamEvent} event @returns {boolean} whether there is more to show */
  apply(event) {
    if (event.sequence_number <= this.last) return false;
    this.last = event.sequence_number;
    if (event.type === 'response.output_item.added') this.#names.set(event.output_index, event.item.name ?? '');
    const kind = DELTAS[event.type];
    if (!kind) return false;
    const key = keyOf(event.output_index, event.content_index ?? event.summary_index ?? 0);
    const part = this.#parts.get(key) ?? { kind, name: this.#names.get(event.output_index) ?? '', text: '' };
    part.text += event.delta;
    this.#parts.set(key, part);
    return true;
  }

  /** Take what a response that has ended holds; one that holds nothing leaves what was streamed. @param {object[]} output */
  settle(output) {
    const parts = new Map();
    output.forEach((item, index) => {
      partsOf(item).forEach((part, place) => parts.set(keyOf(index, place), part));
    });
    if (parts.size) this.#parts = parts;
  }
}

/** The text of a response, as a list shows it. @param {object[]} output */
export function textOf(output) {
  const transcript = new Transcript();
  transcript.settle(output ?? []);
  return transcript.text;
}

function keyOf(item, place) {
  return item * 10_000 + place;
}

function partsOf(item) {
  if (item.type === 'function_call') return [{ kind: 'call', name: item.name, text: item.arguments }];
  if (item.type === 'reasoning') return (item.summary ?? []).map((part) => ({ kind: 'reasoning', name: '', text: part.text }));
  return (item.content ?? []).flatMap((part) => {
    if (part.type === 'output_text') return [{ kind: 'text', name: '', text: part.text }];
    return part.type === 'refusal' ? [{ kind: 'refusal', name: '', text: part.refusal }] : [];
  });
}
