// The class of each refusal.
import { connect, MODEL, openai, report } from './client.mjs';

const stranger = connect('sk-simmer-wrong');
const refusals = {
  key: () => stranger.responses.create({ model: MODEL, input: 'no' }),
  parameter: () => openai.responses.create({ model: MODEL, input: 'no', temperature: 9 }),
  unknown: () => openai.responses.retrieve('resp_00000000000000000000000000000000'),
  failed: () => openai.responses.create({ model: 'once', input: '[[error code=context_length_exceeded]]' }),
};

const raised = {};
for (const [name, refusal] of Object.entries(refusals)) {
  const error = await refusal().catch((error) => error);
  raised[name] = [error.constructor.name, error.status, error.code, error.param, Boolean(error.requestID)];
}
report(raised);
