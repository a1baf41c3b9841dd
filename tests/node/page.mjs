// The page's modules that need no browser: `node --test`, run by tests/unit/test_page_modules.py.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { duration, firstLine } from '../../app/ui/assets/format.js';
import { Jobs } from '../../app/ui/assets/jobs.js';
import { FrameParser, frames } from '../../app/ui/assets/sse.js';
import { Transcript, textOf } from '../../app/ui/assets/transcript.js';

const STREAM =
  ': keep-alive\r\n\r\nevent: a\r\ndata: {"x":"ü€😀"}\r\n\r\ndata:one\ndata: two\n\nevent: b\rdata:  c\r\rid: 1\n\nevent: none\n\ndata\n\ndata: [DONE]\n\ndata: cut';
const FRAMES = [
  { type: 'a', data: '{"x":"ü€😀"}' },
  { type: 'message', data: 'one\ntwo' },
  { type: 'b', data: ' c' },
  { type: 'message', data: '' },
  { type: 'message', data: '[DONE]' },
];

test('frames come out the same, wherever the text is cut', () => {
  for (let size = 1; size <= STREAM.length; size += 1) {
    const parser = new FrameParser();
    const found = [];
    for (let at = 0; at < STREAM.length; at += size) found.push(...parser.feed(STREAM.slice(at, at + size)));
    assert.deepEqual(found, FRAMES, `pieces of ${size}`);
  }
});

test('frames come out of bytes that are cut within a character, and every piece is heard', async () => {
  const bytes = new TextEncoder().encode(STREAM);
  let heard = 0;
  const pieces = Array.from(bytes, (byte) => Uint8Array.of(byte));
  const found = [];
  for await (const frame of frames(ReadableStream.from(pieces), () => (heard += 1))) found.push(frame);
  assert.deepEqual(found, FRAMES);
  assert.equal(heard, bytes.length);
});

test('who leaves a stream early closes it', async () => {
  let cancelled = false;
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode('data: 1\n\n')),
    cancel: () => (cancelled = true),
  });
  for await (const _ of frames(body)) break;
  assert.ok(cancelled);
});

const delta = (number, text, more = {}) => ({
  type: 'response.output_text.delta', sequence_number: number, output_index: 0, content_index: 0, delta: text, ...more,
});

test('an event counts once', () => {
  const transcript = new Transcript();
  const events = [delta(4, 'a'), delta(5, 'b'), delta(6, 'c')];
  for (const event of [...events.slice(0, 2), ...events]) transcript.apply(event);
  assert.equal(transcript.text, 'abc');
  assert.equal(transcript.last, 6);
});

test('parts stand in the order of the output', () => {
  const transcript = new Transcript();
  transcript.apply({ type: 'response.output_item.added', sequence_number: 3, output_index: 2, item: { name: 'f' } });
  transcript.apply({ type: 'response.function_call_arguments.delta', sequence_number: 4, output_index: 2, delta: '{}' });
  transcript.apply(delta(5, 'later', { output_index: 11 }));
  transcript.apply(delta(6, 'second', { output_index: 1, content_index: 1 }));
  transcript.apply(delta(7, 'first', { output_index: 1 }));
  transcript.apply({ type: 'response.reasoning_summary_text.delta', sequence_number: 8, output_index: 0, summary_index: 0, delta: 'hm' });
  assert.deepEqual(transcript.parts.map((part) => [part.kind, part.name, part.text]), [
    ['reasoning', '', 'hm'], ['text', '', 'first'], ['text', '', 'second'], ['call', 'f', '{}'], ['text', '', 'later'],
  ]);
  assert.equal(transcript.text, 'first\n\nsecond\n\nlater');
});

test('what has ended is taken as it stands, and an empty end leaves what was streamed', () => {
  const output = [{ type: 'message', content: [{ type: 'output_text', text: 'whole' }] }];
  const transcript = new Transcript();
  transcript.apply(delta(3, 'who'));
  transcript.settle([]);
  assert.equal(transcript.text, 'who');
  transcript.settle(output);
  assert.equal(transcript.text, 'whole');
  assert.equal(textOf(output), 'whole');
  assert.equal(textOf(undefined), '');
});

const job = (id, status = 'completed') => ({ id, status });
const page = (ids, hasMore) => ({ data: ids.map((id) => job(id)), last_id: ids.at(-1) ?? null, has_more: hasMore });
const ids = (jobs) => jobs.all.map(({ id }) => id).join('');

test('a list that is asked for again loses what is gone, and keeps what is below', () => {
  const jobs = new Jobs();
  jobs.refresh(page(['e', 'd', 'c'], true));
  jobs.append(page(['b', 'a'], false));
  jobs.refresh(page(['f', 'e', 'c'], true));
  assert.equal(ids(jobs), 'fecba');
  assert.equal(jobs.hasMore, false);
  jobs.refresh(page(['z', 'y', 'x'], true));
  assert.equal(ids(jobs), 'zyx', 'a gap: what is below is loaded again');
  assert.equal(jobs.hasMore, true);
  jobs.refresh(page(['z'], false));
  assert.equal(ids(jobs), 'z');
  jobs.remove('z');
  jobs.refresh(page(['z'], false));
  assert.equal(ids(jobs), '', 'a reply that was on its way brings nothing back');
});

test('news that is overtaken changes nothing, and an end is told once', () => {
  const jobs = new Jobs();
  const ended = [];
  jobs.addEventListener('ended', ({ detail }) => ended.push(detail.status));
  for (const status of ['queued', 'in_progress', 'queued', 'in_progress', 'failed', 'in_progress', 'failed']) {
    jobs.put(job('a', status), { listed: true });
  }
  assert.equal(jobs.get('a').status, 'failed');
  assert.deepEqual(ended, ['failed']);
  jobs.put({ ...job('b', 'queued'), queue_position: 3 });
  jobs.put(job('b', 'queued'));
  assert.equal(jobs.get('b').queue_position, 3);
});

test('words for people', () => {
  assert.deepEqual([0, 59.9, 60, 3599, 3600, -3].map(duration), ['0 s', '59 s', '1 min 00 s', '59 min 59 s', '1 h 00 min', '0 s']);
  assert.equal(firstLine('\n  \n here \nnot'), 'here');
  assert.equal(firstLine(''), '');
});
