// What was created is cancelled, deleted, listed.
import { NotFoundError, BadRequestError } from 'openai';
import { MODEL, openai, report, take, untilEnded } from './client.mjs';

const hanging = await openai.responses.create({ model: MODEL, input: '[[hang]]', background: true });
const cancelled = await openai.responses.cancel(hanging.id);
const cancelled_again = await openai.responses.cancel(hanging.id);

const finished = await openai.responses.create({ model: MODEL, input: 'done', background: true });
await untilEnded(finished.id);
const refused = await openai.responses.cancel(finished.id).catch((error) => error);

const lines = Array.from({ length: 45 }, (_, number) => ({ role: 'user', content: `line ${number}` }));
const long = await openai.responses.create({ model: MODEL, input: lines });
const items = await take(openai.responses.inputItems.list(long.id, { order: 'asc', limit: 20 }));

await openai.responses.delete(long.id);
const gone = await openai.responses.retrieve(long.id).catch((error) => error);

report({
  cancelled,
  cancelled_again,
  refused: [refused instanceof BadRequestError, refused.message],
  items: items.map((item) => item.content[0].text),
  gone: [gone instanceof NotFoundError, gone.code],
  models: (await take(openai.models.list())).map((model) => model.id),
  model: await openai.models.retrieve('once'),
});
