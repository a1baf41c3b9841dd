// A response while the client waits, and one in the background, polled.
import { MODEL, openai, report, untilEnded } from './client.mjs';

const { data: answered, request_id } = await openai.responses
  .create({ model: MODEL, input: 'hello there', instructions: 'Be brief.', metadata: { team: 'docs' } })
  .withResponse();
const created = await openai.responses.create({ model: MODEL, input: 'later', background: true });
const waited = await openai.responses.create(
  { model: MODEL, input: '[[sleep 0.2]] soon', background: true },
  { query: { wait: 30 } },
);
const cut = await openai.responses.create({ model: MODEL, input: '[[tokens 2]] [[finish length]]' });
report({ answered, request_id, created, ended: await untilEnded(created.id), waited, cut });
