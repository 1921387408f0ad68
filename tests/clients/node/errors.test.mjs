// What goes wrong arrives as the SDK's own typed exceptions, and is free.

import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import OpenAI from "openai";
import { openShop, spentNanos, Visitor } from "./shop.mjs";

let shop;
let client;
before(async () => {
  shop = await openShop();
  client = new OpenAI({ baseURL: `${shop.url}/v1`, apiKey: shop.key, maxRetries: 0, timeout: 60_000 });
});
after(() => shop?.stop());

const ask = (by, more = {}) => by.chat.completions.create({ model: "demo-chat", messages: [{ role: "user", content: "Hi [[tokens=5]]" }], ...more });

/** The error that a call ends with, which must be of a class. */
async function fails(call, Class) {
  const error = await call.then(
    () => assert.fail("the call succeeded"),
    (error) => error,
  );
  assert.ok(error instanceof Class, `${error?.constructor?.name}: ${error?.message}`);
  return error;
}

test("a wrong key is an authentication error", async () => {
  const typo = shop.key.slice(0, -1) + (shop.key.endsWith("A") ? "B" : "A");
  for (const apiKey of [typo, "sk-nonsense"]) {
    const error = await fails(ask(client.withOptions({ apiKey })), OpenAI.AuthenticationError);
    assert.deepEqual([error.status, error.code, error.type], [401, "invalid_api_key", "authentication_error"]);
    assert.ok(error.requestID);
  }
});

test("an unknown model is not found", async () => {
  const error = await fails(ask(client, { model: "no-such-model" }), OpenAI.NotFoundError);
  assert.deepEqual([error.code, error.type], ["model_not_found", "invalid_request_error"]);
  assert.ok(error.requestID);
});

test("a request that makes no sense is a bad request and free", async () => {
  const start = await spentNanos(shop);
  for (const wrong of [{ max_tokens: -1 }, { max_tokens: 1e30 }, { n: 0 }, { n: 1e9 }, { messages: [] }, { stream: "yes" }]) {
    const error = await fails(ask(client, wrong), OpenAI.BadRequestError);
    assert.equal(error.type, "invalid_request_error", JSON.stringify(wrong));
  }
  assert.equal(await spentNanos(shop), start);
});

test("an exhausted key is a 402 that says so", async () => {
  const visitor = new Visitor(shop);
  await visitor.logIn(shop.customer);
  const poor = client.withOptions({ apiKey: await visitor.newKey({ name: "a drop", budget: "0.000001" }) });
  for (const stream of [false, true]) {
    const error = await fails(ask(poor, { stream }), OpenAI.APIError);
    assert.deepEqual([error.status, error.code, error.type], [402, "key_budget_exhausted", "insufficient_quota"]);
    assert.ok(error.requestID);
  }
});

test("a prompt that costs more than the balance is a 402 and free", async () => {
  const start = await spentNanos(shop);
  const error = await fails(ask(client, { messages: [{ role: "user", content: "word ".repeat(2_500_000) }] }), OpenAI.APIError);
  assert.deepEqual([error.status, error.code, error.type], [402, "insufficient_quota", "insufficient_quota"]);
  assert.equal(await spentNanos(shop), start);
});

test("what the upstream says of itself stays inside", async () => {
  const start = await spentNanos(shop);
  const error = await fails(ask(client, { messages: [{ role: "user", content: "Hi [[500]]" }] }), OpenAI.InternalServerError);
  assert.ok(!JSON.stringify(error.error).includes("org-upstream"));
  assert.equal(await spentNanos(shop), start);
});
