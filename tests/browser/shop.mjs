// A running `farebox demo` and the mail that it writes.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";

const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));
const BINARY = resolve(REPOSITORY, process.env.FAREBOX_BIN ?? "target/debug/farebox");
const START_MS = 60_000;
const STOP_MS = 30_000;

/** Starts the demo in a folder of its own. Call `stop` on it in any case. */
export async function openShop() {
  const folder = await mkdtemp(join(tmpdir(), "farebox-browser-"));
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
    assert.doesNotMatch(log, /ERROR/, "the demo logged an error");
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

/** Asks again until the answer is true, and returns it. */
export async function waitFor(condition, what, ms = 20_000) {
  for (const deadline = Date.now() + ms; Date.now() < deadline; ) {
    const answer = await condition();
    if (answer) return answer;
    await new Promise((again) => setTimeout(again, 50));
  }
  assert.fail(`${what}: not within ${ms} ms`);
}

/** The plain text of a mail's first text part. */
function plainText(eml) {
  const part = /Content-Type: text\/plain[^\n]*\n((?:[^\n]+\n)*)\n([\s\S]*?)(?=\n--|$)/i.exec(eml.replaceAll("\r\n", "\n"));
  assert.ok(part, `no text part in:\n${eml}`);
  const head = `${eml.slice(0, part.index)}${part[0].slice(0, part[0].indexOf("\n\n"))}`.split("--").at(-1);
  const encoding = /Content-Transfer-Encoding: *([\w-]+)/i.exec(head)?.[1].toLowerCase() ?? "7bit";
  if (encoding === "base64") return Buffer.from(part[2], "base64").toString("utf8");
  if (encoding !== "quoted-printable") return part[2];
  const bytes = part[2].replaceAll("=\n", "").replace(/=([0-9A-F]{2})/gi, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}

/** The link beginning with `path` in the latest mail to `address` that has one. */
export function mailedLink(shop, address, path) {
  return waitFor(async () => {
    const names = (await readdir(shop.mail_dir).catch(() => [])).filter((name) => name.endsWith(".eml")).sort().reverse();
    for (const name of names) {
      const eml = await readFile(join(shop.mail_dir, name), "utf8");
      if (!eml.includes(address)) continue;
      const link = plainText(eml).match(/https?:\/\/\S+/g)?.find((url) => new URL(url).pathname === path);
      if (link) return link;
    }
    return null;
  }, `a mail to ${address} with a link to ${path}`);
}

/** One call of a model with a key. */
export async function callModel(shop, key, model, text = "Say hello [[tokens=40]]") {
  const response = await fetch(`${shop.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: text }] }),
  });
  return { status: response.status, body: await response.json(), cost: Number(response.headers.get("x-farebox-cost-usd")) };
}
