// A running `farebox demo`, for the tests that drive it from Node: started in a folder of its own, audited when it has ended.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";

const REPOSITORY = fileURLToPath(new URL("../", import.meta.url));
const BINARY = resolve(REPOSITORY, process.env.FAREBOX_BIN ?? "target/debug/farebox");
const START_MS = 60_000;
const STOP_MS = 30_000;

/**
 * Starts the demo in a folder of its own, so that it leaves nothing in the repository. Call `stop` on it in any case.
 * `options` are further options of the command line.
 */
export async function openShop(...options) {
  const folder = await mkdtemp(join(tmpdir(), "farebox-demo-"));
  const child = spawn(BINARY, ["demo", "--json", "--listen", "127.0.0.1:0", ...options], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
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
    const audit = spawnSync(BINARY, ["audit"], { cwd: folder, env: { ...process.env, DATABASE_URL: facts.database_url }, encoding: "utf8" });
    await rm(folder, { recursive: true, force: true });
    assert.equal(end, 0, `the demo did not end well on SIGTERM:\n${log}`);
    assert.equal(audit.status, 0, `the books are not clean:\n${audit.stdout}${audit.stderr}`);
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
