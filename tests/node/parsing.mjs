// Structured output and tools, parsed by the SDK's own helpers, and a second turn.
import { standardResponsesFunction, standardTextFormat } from 'openai/helpers/standard-schema';
import { MODEL, openai, report } from './client.mjs';

// Any library of schemas would do: this is what the SDK asks of one.
function object(properties) {
  const schema = { type: 'object', properties, required: Object.keys(properties), additionalProperties: false };
  return { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }), jsonSchema: { input: () => schema } } };
}

const { output_parsed } = await openai.responses.parse({
  model: MODEL,
  input: '[[text {"dish": "Rösti", "minutes": 40}]]',
  text: { format: standardTextFormat(object({ dish: { type: 'string' }, minutes: { type: 'integer' } }), 'recipe') },
});

const weather = standardResponsesFunction({ name: 'weather', parameters: object({ city: { type: 'string' } }) });
const first = await openai.responses.parse({ model: MODEL, input: '[[tool weather {"city": "Bern"}]]', tools: [weather] });
const [call] = first.output;
const second = await openai.responses.create({
  model: MODEL,
  previous_response_id: first.id,
  input: [
    { type: 'function_call_output', call_id: call.call_id, output: 'sunny' },
    { role: 'user', content: 'thanks' },
  ],
});
report({ output_parsed, arguments: call.parsed_arguments, second: second.output_text });
