// A background stream, dropped after each of its events and taken up again.
import { MODEL, openai, report, take } from './client.mjs';

const EVENTS = 12;

async function dropAfter(kept) {
  const stream = await openai.responses.create({
    model: MODEL,
    input: '[[tokens 3 rate=25]]',
    stream: true,
    background: true,
  });
  const before = await take(stream, kept);
  const id = before[0].response.id;
  const query = { stream: true, starting_after: before.at(-1).sequence_number };
  const after = await take(await openai.responses.retrieve(id, query));
  const whole = await take(await openai.responses.retrieve(id, { stream: true }));
  return { id, joined: [...before, ...after], whole };
}

const runs = await Promise.all(Array.from({ length: EVENTS }, (_, dropped) => dropAfter(dropped + 1)));
const helper = openai.responses.stream({ response_id: runs[0].id, starting_after: 4 });
report({ runs, taken_up: await take(helper), final: await helper.finalResponse() });
