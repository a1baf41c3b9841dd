// A client of the official SDK, every reply to it written down as it comes off the wire, and what the scripts share.
import { setTimeout } from 'node:timers/promises';
import OpenAI from 'openai';

export const MODEL = 'gpt-4.1';
const TERMINAL = ['completed', 'incomplete', 'failed', 'cancelled'];
const replies = [];

async function recordingFetch(url, options) {
  const response = await fetch(url, options);
  const reply = {
    url: String(url),
    status: response.status,
    type: response.headers.get('content-type') ?? '',
    body: '',
    whole: false,
  };
  replies.push(reply);
  const decoder = new TextDecoder();
  const recorder = new TransformStream({
    transform(chunk, controller) {
      reply.body += decoder.decode(chunk, { stream: true });
      controller.enqueue(chunk);
    },
    flush() {
      reply.whole = true;
    },
  });
  return new Response(response.body?.pipeThrough(recorder), response);
}

export function connect(apiKey) {
  return new OpenAI({ baseURL: `${process.env.SIMMER_URL}/v1`, apiKey, maxRetries: 0, fetch: recordingFetch });
}

export const openai = connect(process.env.SIMMER_KEY);

// The response once it has ended.
export async function untilEnded(id) {
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline) {
    const response = await openai.responses.retrieve(id);
    if (TERMINAL.includes(response.status)) return response;
    await setTimeout(50);
  }
  throw new Error(`${id} has not ended in time`);
}

// Up to `number` items; leaving the loop early makes the SDK close the connection.
export async function take(items, number = Infinity) {
  const taken = [];
  for await (const item of items) {
    taken.push(item);
    if (taken.length >= number) break;
  }
  return taken;
}

// What the test that runs the script looks at.
export function report(result) {
  console.log(JSON.stringify({ result, replies }));
}
