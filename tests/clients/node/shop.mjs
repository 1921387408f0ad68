// What the SDK tests share: a running demo, its website as a customer uses it, and what it charged.

import assert from "node:assert/strict";
import * as demo from "../../demo.mjs";

export { waitFor } from "../../demo.mjs";

/** A demo whose models answer at once. */
export const openShop = () => demo.openShop("--instant");

/** What the demo's key has been charged, in billionths of a dollar, which a double holds exactly here. */
export async function spentNanos(shop, query = "") {
  const response = await fetch(`${shop.url}/v1/dashboard/billing/usage${query}`, { headers: { authorization: `Bearer ${shop.key}` } });
  assert.equal(response.status, 200);
  return Math.round((await response.json()).total_usage * 1e7);
}

/** The cost that an answer names in its header, in billionths of a dollar. */
export function costNanos(response) {
  const cost = response.headers.get("x-farebox-cost-usd");
  assert.ok(cost, "an answer names its cost");
  return Math.round(Number(cost) * 1e9);
}

/** What the provider behind the shop says to a question by itself: the words that have to arrive whatever lies between. */
export async function saidBy(shop, question) {
  const response = await fetch(`${shop.upstream.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${shop.upstream.key}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "oracle", messages: [{ role: "user", content: question }] }),
  });
  return (await response.json()).choices[0].message.content;
}

/** Keeps the number of every answer, and holds what the shop has charged for each against the balance. */
export class Bill {
  constructor(shop) {
    this.shop = shop;
  }

  async open() {
    this.answers = [];
    this.start = await spentNanos(this.shop);
  }

  /** A `fetch` for the SDKs that keeps what it sees. */
  get fetch() {
    return async (input, init) => {
      const response = await fetch(input, init);
      const { origin, pathname } = new URL(input.url ?? input);
      // An SDK asks itself what its fetch can do.
      if (origin === this.shop.url) this.answers.push({ method: init?.method ?? input.method ?? "GET", path: pathname, response });
      return response;
    };
  }

  /** Every answer was charged, once, what its header says, and nothing else was. */
  async check() {
    let total = 0;
    const ids = new Set();
    for (const { method, path, response } of this.answers) {
      const id = response.headers.get("x-request-id");
      assert.ok(id && !ids.has(id), "every answer has a number of its own");
      ids.add(id);
      if (method.toUpperCase() !== "POST" || response.status !== 200 || /count_?tokens$/i.test(path)) continue;
      const row = await (await fetch(`${this.shop.url}/api/v1/generations/${id}`, { headers: { authorization: `Bearer ${this.shop.key}` } })).json();
      const cost = Math.round(row.cost * 1e9);
      assert.deepEqual([row.status, row.outcome], [200, "complete"], path);
      assert.ok(cost > 0, path);
      if (!response.headers.get("content-type").startsWith("text/event-stream")) assert.equal(costNanos(response), cost, path);
      total += cost;
    }
    assert.equal((await spentNanos(this.shop)) - this.start, total, "the balance has paid for these answers and for nothing else");
  }
}

/** Somebody with a browser that keeps cookies and fills in forms. */
export class Visitor {
  cookies = new Map();

  constructor(shop) {
    this.shop = shop;
  }

  async read(path, init = {}) {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(new URL(path, this.shop.url), { ...init, redirect: "manual", headers: { ...init.headers, cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      this.cookies.set(name, value);
    }
    if (response.status >= 300 && response.status < 400) return this.read(response.headers.get("location"));
    const page = await response.text();
    assert.ok(response.ok, `${path} answered ${response.status}:\n${page}`);
    return page;
  }

  /** Fills in a form of a page that was read; every field must exist. */
  async submit(page, action, values) {
    const form = new RegExp(`<form[^>]*action="${action}"[^>]*>(.*?)</form>`, "s").exec(page);
    assert.ok(form, `no form posts to ${action} in:\n${page}`);
    const fields = new URLSearchParams();
    for (const [tag] of form[1].matchAll(/<(?:input|select|textarea)\b[^>]*>/g)) {
      const attribute = (name) => new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1];
      if (attribute("name") && attribute("type") !== "checkbox") fields.set(attribute("name"), attribute("value") ?? "");
    }
    for (const [name, value] of Object.entries(values)) {
      assert.ok(fields.has(name), `the form at ${action} has no ${name}, only ${[...fields.keys()]}`);
      fields.set(name, value);
    }
    return this.read(action, { method: "POST", body: fields, headers: { origin: this.shop.url } });
  }

  async logIn({ email, password }) {
    return this.submit(await this.read("/log-in"), "/log-in", { email, password });
  }

  async newKey(values) {
    const page = await this.submit(await this.read("/account/keys"), "/account/keys", values);
    const key = /sk-[0-9A-Za-z]{40,}/.exec(page);
    assert.ok(key, `no key on the page:\n${page}`);
    return key[0];
  }
}
