// What the browser tests share: a running demo, the mail that it writes, and a call with a key.

import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import assert from "node:assert/strict";
import { waitFor } from "../demo.mjs";

export { openShop, waitFor } from "../demo.mjs";

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
