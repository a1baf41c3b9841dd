// The SDK's streams: plain, and through the helper that accumulates them.
import { MODEL, openai, report, take } from './client.mjs';

const input = '[[tokens 4 rate=50]]';
const plain = await take(await openai.responses.create({ model: MODEL, input, stream: true }));

const helper = openai.responses.stream({ model: MODEL, input, background: true });
const deltas = [];
helper.on('response.output_text.delta', (event) => deltas.push([event.delta, event.snapshot]));
const final = await helper.finalResponse();

const calling = openai.responses.stream({ model: MODEL, input: '[[tool weather {"city": "Bern"}]]' });
const called = await calling.finalResponse();
report({ plain, deltas, final, called });
