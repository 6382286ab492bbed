// Chat completions as OpenAI's SDK for JavaScript asks for them, unpatched.

import OpenAI from 'openai';
import { GATEWAY, KEY, MODEL, tell } from './told.mjs';

const client = new OpenAI({ apiKey: KEY, baseURL: `${GATEWAY}/oai/v1`, maxRetries: 0 });
const messages = [{ role: 'user', content: 'How is the weather in Delft?' }];
const parameters = {
  type: 'object',
  properties: { place: { type: 'string' } },
  required: ['place'],
  additionalProperties: false,
};
const weather = { name: 'weather', description: 'The weather at a place.', parameters };

await tell({
  async plain() {
    const got = await client.chat.completions.create({ model: MODEL, messages });
    return { model: got.model, content: got.choices[0].message.content, usage: got.usage, id: got._request_id };
  },

  async streamed() {
    const texts = [];
    let usage = null;
    const options = { include_usage: true };
    const got = await client.chat.completions.create({ model: MODEL, messages, stream: true, stream_options: options });
    for await (const chunk of got) {
      texts.push(...chunk.choices.map((choice) => choice.delta.content).filter(Boolean));
      usage = chunk.usage ?? usage;
    }
    return { texts, usage };
  },

  async helper() {
    const texts = [];
    const runner = client.chat.completions.stream({ model: MODEL, messages });
    runner.on('content', (delta) => texts.push(delta));
    const whole = await runner.finalChatCompletion();
    return { texts: texts.filter(Boolean), content: whole.choices[0].message.content, model: whole.model };
  },

  async tools() {
    const asked = [];
    const run = async (given) => {
      asked.push(given);
      return 'rain';
    };
    const tools = [{ type: 'function', function: { ...weather, function: run, parse: JSON.parse } }];
    const runner = client.chat.completions.runTools({ model: MODEL, messages, tools });
    return { asked, content: await runner.finalContent() };
  },

  async streamedTools() {
    const asked = [];
    const run = async (given) => {
      asked.push(given);
      return 'rain';
    };
    const tools = [{ type: 'function', function: { ...weather, function: run, parse: JSON.parse } }];
    const runner = client.chat.completions.runTools({ model: MODEL, messages, tools, stream: true });
    return { asked, content: await runner.finalContent() };
  },

  async parsed() {
    const schema = { name: 'rain', strict: true, schema: parameters };
    const format = { type: 'json_schema', json_schema: schema };
    const got = await client.chat.completions.parse({ model: MODEL, messages, response_format: format });
    return { content: JSON.parse(got.choices[0].message.content) };
  },

  async broken() {
    const texts = [];
    const got = await client.chat.completions.create({ model: MODEL, messages, stream: true });
    try {
      for await (const chunk of got) {
        texts.push(...chunk.choices.map((choice) => choice.delta.content).filter(Boolean));
      }
    } catch (error) {
      return { texts, code: error.code, api: error instanceof OpenAI.APIError };
    }
    return { texts };
  },

  async refused() {
    return client.chat.completions.create({ model: MODEL, messages, temperature: 1.5 });
  },
});
