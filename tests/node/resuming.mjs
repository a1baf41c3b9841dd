// A background stream, dropped after each of its events and taken up again.
import { MODEL, openai, report, take } from './client.mjs';

const input = '[[tokens 3 rate=25]]';
const runs = [];
for (let kept = 1; kept <= 12; kept++) {
  const before = await take(
    await openai.responses.create({ model: MODEL, input, stream: true, background: true }),
    kept,
  );
  const id = before[0].response.id;
  const query = { stream: true, starting_after: before.at(-1).sequence_number };
  const after = await take(await openai.responses.retrieve(id, query));
  runs.push({ joined: [...before, ...after], whole: await take(await openai.responses.retrieve(id, { stream: true })) });
}
const id = runs[0].whole[0].response.id;
const helper = openai.responses.stream({ response_id: id, starting_after: 4 });
report({ runs, taken_up: await take(helper), final: await helper.finalResponse() });
