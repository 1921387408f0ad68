// The official SDKs of OpenAI, Anthropic and Google, each to a channel of every kind: what the provider says arrives, and is charged once.

import { after, before, beforeEach, test } from "node:test";
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI, { toFile } from "openai";
import { Bill, openShop, saidBy, Visitor } from "./shop.mjs";

const MODELS = { openai: "demo-chat", responses: "responses-demo", anthropic: "claude-demo", gemini: "gemini-demo", azure: "azure-demo" };
const QUESTION = "How do ships float?";
// The provider calls the tools that a question speaks of, with its last capitalised word.
const ERRAND = "What are the weather and the time in Kyoto?";
const PARAMETERS = {
  get_weather: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false },
  get_time: { type: "object", properties: { zone: { type: "string" } }, required: ["zone"], additionalProperties: false },
};
const CALLS = [
  ["get_weather", { city: "Kyoto" }],
  ["get_time", { zone: "Kyoto" }],
];
const TRIP = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

let shop;
let bill;
let openai;
let anthropic;
let google;
before(async () => {
  shop = await openShop();
  bill = new Bill(shop);
  const options = { apiKey: shop.key, maxRetries: 0, timeout: 60_000, fetch: bill.fetch };
  openai = new OpenAI({ ...options, baseURL: `${shop.url}/v1` });
  anthropic = new Anthropic({ ...options, baseURL: shop.url });
  // Google's SDK takes no fetch of one's own.
  google = new GoogleGenAI({ apiKey: shop.key, httpOptions: { baseUrl: shop.url } });
});
after(() => shop?.stop());
beforeEach(() => bill.open());

/** A test for each kind of channel, whose answers are each charged once. */
function each(name, run, kinds = Object.keys(MODELS)) {
  for (const kind of kinds) {
    test(`${name}: ${kind}`, async () => {
      await run(MODELS[kind], kind);
      await bill.check();
    });
  }
}

/** The same for an SDK whose answers are not seen: the requests are counted by the shop. */
function eachUnseen(name, requests, run, kinds = Object.keys(MODELS)) {
  const usage = async () => (await fetch(`${shop.url}/api/v1/usage/me?range=24h`, { headers: { authorization: `Bearer ${shop.key}` } })).json();
  for (const kind of kinds) {
    test(`${name}: ${kind}`, async () => {
      const start = await usage();
      await run(MODELS[kind], kind);
      const end = await usage();
      assert.equal(end.requests - start.requests, requests, "each request leaves one row");
      assert.ok(end.cost > start.cost);
    });
  }
}

async function collect(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}

// OpenAI: chat

const chatTools = Object.entries(PARAMETERS).map(([name, parameters]) => ({ type: "function", function: { name, parameters } }));
const user = (content) => ({ role: "user", content });

each("chat, whole and streamed", async (model) => {
  const said = await saidBy(shop, QUESTION);
  const whole = await openai.chat.completions.create({ model, messages: [user(QUESTION)] });
  assert.equal(whole.choices[0].message.content, said);
  const stream = await openai.chat.completions.create({ model, messages: [user(QUESTION)], stream: true, stream_options: { include_usage: true } });
  const chunks = await collect(stream);
  assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""), said);
  assert.deepEqual(chunks.at(-1).usage, whole.usage);
  const final = await openai.chat.completions.stream({ model, messages: [user(QUESTION)] }).finalContent();
  assert.equal(final, said);
});

each("chat with tools in parallel, streamed, and their results", async (model) => {
  const question = { model, messages: [user(ERRAND)], tools: chatTools };
  const { message, finish_reason } = (await openai.chat.completions.stream(question).finalChatCompletion()).choices[0];
  assert.equal(finish_reason, "tool_calls");
  assert.deepEqual(message.tool_calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]), CALLS);
  const { parsed: _, ...said } = message;
  said.tool_calls = message.tool_calls.map(({ function: { name, arguments: text }, id, type, extra_content }) => ({
    id, type, function: { name, arguments: text }, ...(extra_content && { extra_content }),
  }));
  question.messages.push(said, ...message.tool_calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: "Fine." })));
  const last = (await openai.chat.completions.create(question)).choices[0];
  assert.equal(last.finish_reason, "stop");
  assert.ok(last.message.content);
});

each("chat with a schema and with a picture", async (model) => {
  const response_format = { type: "json_schema", json_schema: { name: "trip", strict: true, schema: TRIP } };
  const { message } = (await openai.chat.completions.parse({ model, messages: [user("A trip to Kyoto")], response_format })).choices[0];
  assert.equal(JSON.parse(message.content).city, "Kyoto");
  const content = [{ type: "text", text: QUESTION }, { type: "image_url", image_url: { url: `data:image/png;base64,${PNG}` } }];
  const seen = await openai.chat.completions.create({ model, messages: [user(content)] });
  assert.equal(seen.choices[0].message.content, await saidBy(shop, QUESTION));
  assert.ok(seen.usage.prompt_tokens > 85);
});

// OpenAI: Responses

const responseTools = Object.entries(PARAMETERS).map(([name, parameters]) => ({ type: "function", name, parameters, strict: true }));

each("a response, whole and streamed", async (model) => {
  const said = await saidBy(shop, QUESTION);
  assert.equal((await openai.responses.create({ model, input: QUESTION })).output_text, said);
  const events = await collect(await openai.responses.create({ model, input: QUESTION, stream: true }));
  assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, at) => at));
  assert.equal(events.at(-1).type, "response.completed");
  assert.equal((await openai.responses.stream({ model, input: QUESTION }).finalResponse()).output_text, said);
});

each("responses with thoughts, tools and their results", async (model) => {
  const input = [{ role: "user", content: ERRAND }];
  const asked = { model, tools: responseTools, store: false, include: ["reasoning.encrypted_content"], reasoning: { effort: "high", summary: "auto" } };
  const first = await openai.responses.stream({ ...asked, input }).finalResponse();
  const calls = first.output.filter((item) => item.type === "function_call");
  assert.deepEqual(calls.map((call) => [call.name, JSON.parse(call.arguments)]), CALLS);
  input.push(...first.output.map(({ parsed_arguments: _, ...item }) => item));
  input.push(...calls.map((call) => ({ type: "function_call_output", call_id: call.call_id, output: "Fine." })));
  assert.ok((await openai.responses.create({ ...asked, input })).output_text);
});

each("responses with a schema", async (model) => {
  const text = { format: { type: "json_schema", name: "trip", strict: true, schema: TRIP } };
  const response = await openai.responses.parse({ model, input: "A trip to Kyoto", text });
  assert.equal(response.output_parsed.city, "Kyoto");
});

// OpenAI: the rest

test("vectors, pictures, sound and moderation", async () => {
  for (const model of ["embed-demo", "gemini-embed-demo", "azure-demo"]) {
    const packed = await openai.embeddings.create({ model, input: ["one", "two"] });
    const numbers = await openai.embeddings.create({ model, input: ["one", "two"], encoding_format: "float" });
    assert.equal(packed.data[1].embedding.length, numbers.data[1].embedding.length);
    assert.ok(packed.data[1].embedding.every((x, at) => Math.abs(x - numbers.data[1].embedding[at]) < 1e-6));
  }
  const picture = await openai.images.generate({ model: "image-demo", prompt: "A ship", quality: "low" });
  assert.ok(Buffer.from(picture.data[0].b64_json, "base64").subarray(1, 4).equals(Buffer.from("PNG")));
  const image = await toFile(Buffer.from(PNG, "base64"), "a.png", { type: "image/png" });
  assert.equal((await openai.images.edit({ model: "image-demo", image, prompt: "Blue", quality: "low" })).data.length, 1);
  const speech = await openai.audio.speech.create({ model: "speech-demo", voice: "alloy", input: "All aboard", response_format: "wav" });
  const sound = Buffer.from(await speech.arrayBuffer());
  assert.equal(sound.subarray(0, 4).toString(), "RIFF");
  for (const model of ["whisper-demo", "transcribe-demo"]) {
    assert.ok((await openai.audio.transcriptions.create({ model, file: await toFile(sound, "a.wav", { type: "audio/wav" }) })).text);
  }
  assert.ok((await openai.audio.translations.create({ model: "whisper-demo", file: await toFile(sound, "a.wav", { type: "audio/wav" }) })).text);
  assert.equal((await openai.moderations.create({ model: "moderation-demo", input: "violence!" })).results[0].flagged, true);
  await bill.check();
});

// Anthropic

const messageTools = Object.entries(PARAMETERS).map(([name, input_schema]) => ({ name, input_schema }));
const textOf = (message) => message.content.map((block) => block.text ?? "").join("");

each("messages, whole and streamed", async (model) => {
  const said = await saidBy(shop, QUESTION);
  const system = [{ type: "text", text: "You are brief.", cache_control: { type: "ephemeral" } }];
  const whole = await anthropic.messages.create({ model, max_tokens: 1024, system, messages: [user(QUESTION)] });
  assert.equal(textOf(whole), said);
  assert.equal(whole.stop_reason, "end_turn");
  const final = await anthropic.messages.stream({ model, max_tokens: 1024, system, messages: [user(QUESTION)] }).finalMessage();
  assert.equal(textOf(final), said);
  assert.equal(final.usage.output_tokens, whole.usage.output_tokens);
  const counted = (await anthropic.messages.countTokens({ model, system, messages: [user(QUESTION)] })).input_tokens;
  assert.ok(counted > 8 && counted < 3 * whole.usage.input_tokens, counted);
});

each("messages with thoughts, tools in parallel and their results", async (model, kind) => {
  const messages = [user(ERRAND)];
  const asked = { model, max_tokens: 2048, tools: messageTools, thinking: { type: "enabled", budget_tokens: 1024 } };
  const first = await anthropic.messages.stream({ ...asked, messages }).finalMessage();
  const calls = first.content.filter((block) => block.type === "tool_use");
  assert.deepEqual(calls.map((call) => [call.name, call.input]), CALLS);
  assert.equal(first.stop_reason, "tool_use");
  if (kind === "anthropic") assert.ok(first.content[0].signature);
  const results = calls.map(({ id }, at) => ({ type: "tool_result", tool_use_id: id, content: "Fine.", ...(at && { is_error: true }) }));
  messages.push({ role: "assistant", content: first.content }, { role: "user", content: results });
  const last = await anthropic.messages.create({ ...asked, messages });
  assert.equal(last.stop_reason, "end_turn");
  assert.ok(textOf(last));
});

each("messages with a picture", async (model) => {
  const content = [{ type: "image", source: { type: "base64", media_type: "image/png", data: PNG } }, { type: "text", text: QUESTION }];
  const message = await anthropic.messages.create({ model, max_tokens: 1024, messages: [user(content)] });
  assert.equal(textOf(message), await saidBy(shop, QUESTION));
});

test("errors of messages are the SDK's own", async () => {
  const ask = (more, client = anthropic) => client.messages.create({ model: "claude-demo", max_tokens: 100, messages: [user(QUESTION)], ...more });
  await assert.rejects(ask({}, anthropic.withOptions({ apiKey: "sk-nonsense" })), Anthropic.AuthenticationError);
  await assert.rejects(ask({ model: "no-such-model" }), Anthropic.NotFoundError);
  await assert.rejects(ask({ max_tokens: -1 }), (error) => error instanceof Anthropic.BadRequestError && error.error.error.type === "invalid_request_error" && error.requestID?.length > 0);
  await assert.rejects(ask({ model: "gemini-demo", mcp_servers: [{ type: "url", name: "m", url: "https://mcp.example" }] }), /mcp_servers/);
  const visitor = new Visitor(shop);
  await visitor.logIn(shop.customer);
  const poor = anthropic.withOptions({ apiKey: await visitor.newKey({ name: "a drop", budget: "0.000001" }) });
  await assert.rejects(ask({}, poor), (error) => error.status === 402 && error.error.error.type === "billing_error");
  const models = await collect(anthropic.models.list());
  assert.ok(Object.values(MODELS).every((name) => models.some((model) => model.id === name && model.type === "model")));
  await bill.check();
});

// Google

const functions = [{ functionDeclarations: Object.entries(PARAMETERS).map(([name, parametersJsonSchema]) => ({ name, parametersJsonSchema })) }];

eachUnseen("generateContent, whole and streamed", 2, async (model) => {
  const said = await saidBy(shop, QUESTION);
  const config = { systemInstruction: "Be brief." };
  const whole = await google.models.generateContent({ model, contents: QUESTION, config });
  assert.equal(whole.text, said);
  const pieces = await collect(await google.models.generateContentStream({ model, contents: QUESTION, config }));
  assert.equal(pieces.map((piece) => piece.text ?? "").join(""), said);
  assert.equal(pieces.at(-1).usageMetadata.totalTokenCount, whole.usageMetadata.totalTokenCount);
  assert.ok((await google.models.countTokens({ model, contents: QUESTION })).totalTokens > 0);
});

eachUnseen("generateContent with thoughts, functions in parallel and their results", 2, async (model) => {
  const contents = [{ role: "user", parts: [{ text: ERRAND }] }];
  const config = { tools: functions, thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 } };
  const first = await google.models.generateContent({ model, contents, config });
  assert.deepEqual(first.functionCalls.map(({ name, args }) => [name, args]), CALLS);
  const parts = first.functionCalls.map(({ id, name }) => ({ functionResponse: { id, name, response: { result: "Fine." } } }));
  contents.push(first.candidates[0].content, { role: "user", parts });
  const last = await google.models.generateContent({ model, contents, config });
  assert.ok(last.text);
  assert.equal(last.functionCalls, undefined);
});

eachUnseen("generateContent with a schema and a picture", 2, async (model) => {
  const config = { responseMimeType: "application/json", responseJsonSchema: TRIP };
  assert.equal(JSON.parse((await google.models.generateContent({ model, contents: "A trip to Kyoto", config })).text).city, "Kyoto");
  const contents = [{ inlineData: { mimeType: "image/png", data: PNG } }, QUESTION];
  assert.equal((await google.models.generateContent({ model, contents })).text, await saidBy(shop, QUESTION));
});

test("vectors, models and errors of Google's", async () => {
  for (const model of ["gemini-embed-demo", "embed-demo"]) {
    const { embeddings } = await google.models.embedContent({ model, contents: "one", config: { outputDimensionality: 8 } });
    assert.equal(embeddings[0].values.length, 8);
  }
  const names = (await collect(await google.models.list())).map((model) => model.name);
  assert.ok(Object.values(MODELS).every((name) => names.includes(`models/${name}`)));
  const wrong = google.models.generateContent({ model: "no-such-model", contents: QUESTION });
  await assert.rejects(wrong, (error) => error.status === 404 && /NOT_FOUND/.test(error.message));
});
