// What the SDK tests share: a running demo, its website as a customer uses it, and what it charged.

import assert from "node:assert/strict";

export { openShop, waitFor } from "../../demo.mjs";

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
