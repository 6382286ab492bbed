// Messages as Anthropic's SDK for JavaScript asks for them, unpatched.

import Anthropic from '@anthropic-ai/sdk';
import { GATEWAY, KEY, MODEL, tell } from './told.mjs';

const client = new Anthropic({ apiKey: KEY, baseURL: `${GATEWAY}/anthropic`, maxRetries: 0 });
const messages = [{ role: 'user', content: 'How is the weather in Delft?' }];
const schema = { type: 'object', properties: { place: { type: 'string' } }, required: ['place'] };
const weather = { name: 'weather', description: 'The weather at a place.', input_schema: schema };
const asked = { model: MODEL, max_tokens: 100, messages };

await tell({
  async plain() {
    const got = await client.messages.create(asked);
    return { model: got.model, text: got.content[0].text, reason: got.stop_reason, usage: got.usage };
  },

  async streamed() {
    const kinds = [];
    const got = await client.messages.create({ ...asked, stream: true });
    for await (const event of got) kinds.push(event.type);
    return { kinds };
  },

  async helper() {
    const texts = [];
    const stream = client.messages.stream(asked);
    stream.on('text', (text) => texts.push(text));
    const whole = await stream.finalMessage();
    return { texts, text: await stream.finalText(), usage: whole.usage, model: whole.model };
  },

  async tools() {
    const first = await client.messages.create({ ...asked, tools: [weather], tool_choice: { type: 'any' } });
    const call = first.content.find((block) => block.type === 'tool_use');
    const result = { type: 'tool_result', tool_use_id: call.id, content: [{ type: 'text', text: 'rain' }] };
    const turns = [...messages, { role: 'assistant', content: first.content }, { role: 'user', content: [result] }];
    const second = await client.messages.create({ ...asked, messages: turns, tools: [weather] });
    return { name: call.name, input: call.input, reason: first.stop_reason, text: second.content[0].text };
  },

  async streamedTools() {
    const pieces = [];
    const stream = client.messages.stream({ ...asked, tools: [weather] });
    stream.on('inputJson', (piece) => pieces.push(piece));
    const whole = await stream.finalMessage();
    const call = whole.content.find((block) => block.type === 'tool_use');
    return { pieces: pieces.filter(Boolean), name: call.name, input: call.input };
  },

  async runner() {
    const given = [];
    const run = async (input) => {
      given.push(input);
      return 'rain';
    };
    const tool = { ...weather, run, parse: (input) => input };
    const last = await client.beta.messages.toolRunner({ ...asked, tools: [tool] });
    return { given, text: last.content[0].text };
  },

  async counted() {
    return client.messages.countTokens({ model: MODEL, messages });
  },

  async refused() {
    return client.messages.create({ ...asked, temperature: 1.5 });
  },
});
