// A running `farebox demo`, its website as a customer uses it, and what it charged.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";

const REPOSITORY = fileURLToPath(new URL("../../../", import.meta.url));
const BINARY = resolve(REPOSITORY, process.env.FAREBOX_BIN ?? "target/debug/farebox");
const START_MS = 60_000;
const STOP_MS = 30_000;

/** Starts the demo in a folder of its own, so that it leaves nothing in the repository. Call `stop` on it in any case. */
export async function openShop() {
  const folder = await mkdtemp(join(tmpdir(), "farebox-sdk-"));
  const child = spawn(BINARY, ["demo", "--json", "--listen", "127.0.0.1:0"], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (log += text));
  const ended = new Promise((end) => {
    child.on("exit", (code, signal) => end(signal ?? code));
    child.on("error", (error) => end(error.message));
  });
  const stop = async () => {
    const guard = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    child.kill("SIGTERM");
    const end = await ended;
    clearTimeout(guard);
    await rm(folder, { recursive: true, force: true });
    assert.equal(end, 0, `the demo did not end well on SIGTERM:\n${log}`);
  };
  const guard = setTimeout(() => child.kill("SIGKILL"), START_MS);
  const line = await Promise.race([once(createInterface({ input: child.stdout }), "line"), ended.then(() => [])]);
  clearTimeout(guard);
  if (!line[0]) {
    await rm(folder, { recursive: true, force: true });
    assert.fail(`${BINARY} did not start (${await ended}):\n${log}`);
  }
  const facts = JSON.parse(line[0]);
  return { ...facts, url: facts.url.replace(/\/$/, ""), stop };
}

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

/** Asks again until the answer is true, and returns it. */
export async function waitFor(condition, what, ms = 20_000) {
  for (const deadline = Date.now() + ms; Date.now() < deadline; ) {
    const answer = await condition();
    if (answer) return answer;
    await new Promise((again) => setTimeout(again, 50));
  }
  assert.fail(`${what}: not within ${ms} ms`);
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
