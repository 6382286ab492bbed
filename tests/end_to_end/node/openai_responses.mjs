// Responses as OpenAI's SDK for JavaScript asks for them, unpatched.

import OpenAI from 'openai';
import { GATEWAY, KEY, MODEL, tell } from './told.mjs';

const client = new OpenAI({ apiKey: KEY, baseURL: `${GATEWAY}/oai/v1`, maxRetries: 0 });
const input = 'How is the weather in Delft?';

await tell({
  async plain() {
    const got = await client.responses.create({ model: MODEL, input, store: false });
    return { model: got.model, text: got.output_text, status: got.status, usage: got.usage };
  },

  async streamed() {
    const texts = [];
    const kinds = new Set();
    let last = null;
    const got = await client.responses.create({ model: MODEL, input, store: false, stream: true });
    for await (const event of got) {
      kinds.add(event.type);
      if (event.type === 'response.output_text.delta') texts.push(event.delta);
      if (event.type === 'response.completed') last = event.response;
    }
    return { texts, kinds: [...kinds].sort(), usage: last.usage, model: last.model };
  },

  async helper() {
    const texts = [];
    const stream = client.responses.stream({ model: MODEL, input, store: false });
    stream.on('response.output_text.delta', (event) => texts.push(event.delta));
    const whole = await stream.finalResponse();
    return { texts, text: whole.output_text };
  },
});
