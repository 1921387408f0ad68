// Chat completions through the official SDK: at once, streamed, with tools; each charged to the nano-dollar.

import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import OpenAI from "openai";
import { costNanos, openShop, spentNanos, waitFor } from "./shop.mjs";

let shop;
let client;
before(async () => {
  shop = await openShop();
  // No retries: an error that the SDK repeats in silence would be counted twice and seen late.
  client = new OpenAI({ baseURL: `${shop.url}/v1`, apiKey: shop.key, maxRetries: 0, timeout: 60_000 });
});
after(() => shop?.stop());

const ask = (content, more = {}) => ({ model: "demo-chat", messages: [{ role: "user", content }], ...more });
const tools = [
  {
    type: "function",
    function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } },
  },
];

async function priced(content) {
  const { data, response } = await client.chat.completions.create(ask(content)).withResponse();
  return { usage: data.usage, cost: costNanos(response) };
}

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

test("an answer is charged what its header says", async () => {
  const start = await spentNanos(shop);
  const { data, response, request_id } = await client.chat.completions.create(ask("How do ships float?")).withResponse();
  assert.match(data.choices[0].message.content, /How do ships float\?/);
  assert.equal(data.choices[0].finish_reason, "stop");
  assert.ok(request_id);
  assert.equal(response.headers.get("x-request-id"), request_id);
  assert.ok(costNanos(response) > 0);
  assert.equal((await spentNanos(shop)) - start, costNanos(response));
});

test("a stream with usage", async () => {
  const { usage, cost } = await priced("Why is the sky blue? [[tokens=30]]");
  const start = await spentNanos(shop);
  const request = ask("Why is the sky blue? [[tokens=30]]", { stream: true, stream_options: { include_usage: true } });
  const chunks = await collect(await client.chat.completions.create(request));
  assert.equal(chunks[0].choices[0].delta.role, "assistant");
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.deepEqual(chunks.at(-1).usage, usage);
  assert.ok(chunks.slice(0, -1).every((chunk) => !chunk.usage));
  assert.equal((await spentNanos(shop)) - start, cost);
});

test("a stream without usage shows none and is charged all the same", async () => {
  const { cost } = await priced("Why is the sea salty? [[tokens=30]]");
  const start = await spentNanos(shop);
  const chunks = await collect(await client.chat.completions.create(ask("Why is the sea salty? [[tokens=30]]", { stream: true })));
  assert.ok(chunks.every((chunk) => !chunk.usage && chunk.choices.length === 1));
  assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
  assert.equal((await spentNanos(shop)) - start, cost);
});

test("the streaming helper puts the answer together", async () => {
  const whole = await client.chat.completions.create(ask("Name three rivers"));
  const streamed = await client.chat.completions.stream(ask("Name three rivers")).finalContent();
  assert.equal(streamed, whole.choices[0].message.content);
});

test("a tool is called and its result is answered", async () => {
  const question = ask("What is the weather in Kyoto?", { tools });
  const { message, finish_reason } = (await client.chat.completions.create(question)).choices[0];
  assert.equal(finish_reason, "tool_calls");
  assert.equal(message.tool_calls[0].function.name, "get_weather");
  assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), { city: "Kyoto" });
  question.messages.push(message, { role: "tool", tool_call_id: message.tool_calls[0].id, content: "rain" });
  assert.equal((await client.chat.completions.create(question)).choices[0].finish_reason, "stop");
});

test("a tool call is streamed in parts", async () => {
  const final = await client.chat.completions.stream(ask("What is the weather in Kyoto?", { tools })).finalChatCompletion();
  assert.deepEqual(JSON.parse(final.choices[0].message.tool_calls[0].function.arguments), { city: "Kyoto" });
});

test("a client that goes away pays for what it got", async () => {
  const short = await priced("Say something [[tokens=10]]");
  const long = await priced("Say something [[tokens=60]]");
  const output = (long.cost - short.cost) / 50;
  const start = await spentNanos(shop);
  // At this pace the whole answer would take more than ten seconds.
  const stream = await client.chat.completions.create(ask("Tell me a very long story [[tokens=600, slow=18]]", { stream: true }));
  let read = 0;
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta.content && ++read === 10) break; // leaving the loop closes the connection
  }
  const charged = await waitFor(async () => (await spentNanos(shop)) - start, "a stream whose client went away is settled");
  assert.ok(charged >= 10 * output, `${charged} for ten tokens at ${output}`);
  assert.ok(charged < 300 * output, `${charged} for ten of six hundred tokens at ${output}`);
  const { cost } = await priced("Is it over? [[tokens=3]]");
  assert.equal((await spentNanos(shop)) - start, charged + cost, "it is charged once");
});

test("models, balance and usage can be asked for", async () => {
  const models = await collect(await client.models.list());
  assert.ok(models.some((model) => model.id === "demo-chat"));
  assert.equal((await client.models.retrieve("demo-chat")).id, "demo-chat");
  assert.ok((await client.get("/dashboard/billing/subscription")).hard_limit_usd > 0);
  await priced("Hi");
  const day = (offset) => new Date(Date.now() + offset * 86_400_000).toISOString().slice(0, 10);
  assert.equal(await spentNanos(shop, `?start_date=${day(-1)}&end_date=${day(2)}`), await spentNanos(shop));
  assert.equal(await spentNanos(shop, `?start_date=${day(-40)}&end_date=${day(-30)}`), 0);
});
