// A customer's way: sign up, follow the mailed link, redeem a card, make a key, use it, see the charge. With and without scripts.

import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { logIn, openBrowser, visitor } from "./browser.mjs";
import { callModel, mailedLink, openShop, waitFor } from "./shop.mjs";

const PASSWORD = "three words in a row";
let shop;
let browser;
before(async () => {
  [shop, browser] = await Promise.all([openShop(), openBrowser()]);
});
after(async () => {
  await browser?.close();
  await shop?.stop();
});

/** Signs up and follows the mailed link; ends on the dashboard. */
async function join(page, email) {
  await page.goto("/");
  await page.getByRole("link", { name: "Create an account" }).click();
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByText(`We have sent a mail to ${email}`).waitFor();
  await logIn(page, { email, password: PASSWORD });
  assert.equal(new URL(page.url()).pathname, "/account");
  await page.getByText("Please confirm your address").waitFor();
}

async function confirm(page, email) {
  await page.goto(await mailedLink(shop, email, "/verify"));
  await page.getByRole("button", { name: "Confirm the address" }).click();
  await page.getByText("Your address is confirmed.").waitFor();
  assert.equal(await page.getByText("Please confirm your address").count(), 0);
}

async function redeem(page, code) {
  await page.getByLabel("Gift card code").fill(code);
  await page.getByRole("button", { name: "Redeem" }).click();
  await page.getByText("$10.00 was added to your balance.").waitFor();
}

async function makeKey(page, name, budget) {
  await page.goto("/account/keys");
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Total budget").fill(budget);
  await page.getByLabel("Expires").selectOption("30");
  await page.getByRole("button", { name: "Make the key" }).click();
  await page.getByText("Copy your new key now.").waitFor();
  return (await page.locator("#new-key").textContent()).trim();
}

async function wholeWay(page, email, card) {
  await join(page, email);
  await page.goto("/account/keys");
  assert.equal(await page.getByRole("button", { name: "Make the key" }).count(), 0, "no key before the address is confirmed");
  await confirm(page, email);
  await redeem(page, card);
  const key = await makeKey(page, "My laptop", "2.50");
  assert.match(key, /^sk-[0-9A-Za-z]{40,}$/);

  const models = await (await fetch(`${shop.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).json();
  const model = models.data.map((one) => one.id).find((id) => id === "demo-mini");
  const answer = await callModel(shop, key, model);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  assert.ok(answer.cost > 0);

  await page.goto("/account");
  const row = page.locator("#requests tbody tr");
  assert.equal(await row.count(), 1);
  const text = (await row.textContent()).replaceAll(/\s+/g, " ");
  assert.ok(text.includes("demo-mini") && text.includes("200 Complete"), text);
  const shown = Number(/\$([0-9.]+)/.exec(text)[1]);
  assert.equal(shown, answer.cost, "the dashboard shows what the answer said");
  const left = await page.locator("dt", { hasText: "Available balance" }).locator("xpath=following-sibling::dd").textContent();
  assert.equal(left, "$9.99");
  assert.equal((await page.locator("dt", { hasText: "Spent today" }).locator("xpath=following-sibling::dd").textContent()).slice(1), String(shown));
  return key;
}

test("a customer's way with scripts", async () => {
  const { context, page, complaints } = await visitor(browser, shop);
  const key = await wholeWay(page, "ann@example.com", shop.gift_cards[0]);

  await page.goto("/account/keys");
  await page.getByRole("button", { name: "Switch off My laptop" }).click();
  await page.getByText("The key is switched off.").waitFor();
  assert.equal((await callModel(shop, key, "demo-mini")).status, 401);
  await page.getByRole("button", { name: "Switch on My laptop" }).click();
  await page.getByText("The key works again.").waitFor();
  assert.equal((await callModel(shop, key, "demo-mini")).status, 200);

  await page.getByRole("link", { name: "Delete My laptop" }).click();
  await page.getByText("Every program that uses My laptop").waitFor();
  await page.getByRole("button", { name: "Delete the key" }).click();
  await page.getByText("The key was deleted.").waitFor();
  assert.equal((await callModel(shop, key, "demo-mini")).status, 401);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("the same way without scripts, and out again", async () => {
  const { context, page, complaints } = await visitor(browser, shop, { javaScriptEnabled: false });
  await wholeWay(page, "bob@example.com", shop.gift_cards[1]);
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByText("You are logged out.").waitFor();
  await page.goto("/account");
  assert.equal(new URL(page.url()).pathname, "/log-in");
  await page.goto("/");
  for (const code of ["curl http", "from openai import OpenAI", "import OpenAI from"]) await page.getByText(code).waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
});

test("what cannot be is said next to the field, and what was typed is kept", async () => {
  const { context, page } = await visitor(browser, shop);
  await page.goto("/sign-up");
  await page.getByLabel("E-mail address").fill("carl@example.com");
  await page.getByLabel("Password").fill("short");
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByRole("alert").waitFor();
  assert.equal(await page.getByLabel("E-mail address").inputValue(), "carl@example.com");
  assert.equal(await page.getByLabel("Password").inputValue(), "");
  assert.equal(await page.getByLabel("Password").getAttribute("aria-invalid"), "true");
  await page.getByRole("alert").getByRole("link", { name: "Use 10 to 200 characters." }).click();
  assert.equal(await page.evaluate(() => document.activeElement.id), "password");

  await logIn(page, shop.customer, "/account/keys");
  assert.equal(new URL(page.url()).pathname, "/account/keys");
  await page.getByLabel("Name").fill("Broke");
  await page.getByLabel("Total budget").fill("1,5");
  await page.getByRole("button", { name: "Make the key" }).click();
  await page.getByText("Enter an amount in dollars, such as 12.50.").first().waitFor();
  assert.equal(await page.getByLabel("Total budget").inputValue(), "1,5");
  await page.goto("/account");
  await page.getByLabel("Gift card code").fill("not a code");
  await page.getByRole("button", { name: "Redeem" }).click();
  await page.getByText("This is not a gift card code.").first().waitFor();
  await page.getByRole("button", { name: "简体中文" }).click();
  await page.getByRole("heading", { level: 1, name: "控制台" }).waitFor();
  await page.getByRole("button", { name: "English" }).click();
  await page.getByRole("heading", { level: 1, name: "Dashboard" }).waitFor();
  await context.close();
});

test("a forgotten password: one link, once, and every session ends", async () => {
  const { context, page, complaints } = await visitor(browser, shop);
  const other = await visitor(browser, shop);
  await join(page, "dora@example.com");
  await logIn(other.page, { email: "dora@example.com", password: PASSWORD });

  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("link", { name: "Forgot your password?" }).click();
  await page.getByLabel("E-mail address").fill("dora@example.com");
  await page.getByRole("button", { name: "Send the link" }).click();
  await page.getByText("If dora@example.com has an account").waitFor();
  const link = await mailedLink(shop, "dora@example.com", "/reset");
  await page.goto(link);
  await page.getByLabel("New password").fill("another few words");
  await page.getByRole("button", { name: "Save the password" }).click();
  await page.getByText("Your new password is saved.").waitFor();
  await logIn(page, { email: "dora@example.com", password: "another few words" });
  await other.page.goto("/account");
  assert.equal(new URL(other.page.url()).pathname, "/log-in", "the other session has ended");
  assert.deepEqual(complaints, []);
  assert.equal((await page.goto(link)).status(), 410);
  await page.getByText("This link was used already").waitFor();
  await context.close();
  await other.context.close();
});

test("another site cannot post in a customer's name", async () => {
  const { context, page } = await visitor(browser, shop);
  await logIn(page, shop.customer);
  await page.goto("/account/keys");
  const answers = await page.evaluate(async () => {
    const post = async (token) => (await fetch("/account/keys", { method: "POST", body: new URLSearchParams({ name: "Stolen", expires: "", budget: "", csrf: token }) })).status;
    return [await post(""), await post("A".repeat(86)), await post(document.querySelector("[name=csrf]").value)];
  });
  assert.deepEqual(answers, [403, 403, 200]);
  const cookies = (await context.cookies()).map((cookie) => `${cookie.name}=${cookie.value}`).join("; ");
  const token = await page.locator("[name=csrf]").first().getAttribute("value");
  const body = new URLSearchParams({ name: "Stolen", expires: "", budget: "", csrf: token });
  const foreign = await fetch(`${shop.url}/account/keys`, { method: "POST", body, headers: { cookie: cookies, origin: "https://evil.example" } });
  assert.equal(foreign.status, 403);
  await context.close();
});

test("theme and language stay as chosen, the keyboard is enough", async () => {
  const { context, page, complaints } = await visitor(browser, shop, { colorScheme: "light", viewport: { width: 360, height: 740 } });
  await page.goto("/");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  await page.getByRole("button", { name: "Switch between light and dark" }).click();
  assert.equal(await page.evaluate(() => document.documentElement.className), "dark");
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await background();
  await page.getByRole("button", { name: "简体中文" }).click();
  await page.locator("html[lang=zh-Hans].dark").waitFor({ state: "attached" });
  assert.equal(await background(), dark);
  await page.getByRole("button", { name: "English" }).click();
  await page.locator("html[lang=en]").waitFor({ state: "attached" });

  await logIn(page, shop.customer);
  const menu = page.getByRole("navigation", { name: "Main" });
  assert.equal(await menu.isVisible(), false);
  await page.locator("#menu").focus();
  await page.keyboard.press("Space");
  await menu.waitFor();
  await page.keyboard.press("Escape");
  await menu.waitFor({ state: "hidden" });
  assert.deepEqual(complaints, []);
  await context.close();
});

test("older requests are added below the latest", async () => {
  const { context, page, complaints } = await visitor(browser, shop);
  for (let calls = 0; calls < 60; calls += 10) {
    await Promise.all(Array.from({ length: 10 }, () => callModel(shop, shop.key, "demo-mini", "Hi [[tokens=1]]")));
  }
  await logIn(page, shop.customer, "/account/requests");
  const rows = page.locator("#requests tbody tr");
  assert.equal(await rows.count(), 50);
  await page.getByRole("link", { name: "Show older ones" }).click();
  await waitFor(async () => (await rows.count()) === 60, "the older ones");
  assert.equal(await page.getByRole("link", { name: "Show older ones" }).count(), 0);
  assert.equal(await page.locator("#requests time[data-local]").count(), 0);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("a moment is shown in the visitor's zone", async () => {
  const { context, page } = await visitor(browser, shop, { timezoneId: "Pacific/Kiritimati" });
  await logIn(page, shop.customer);
  await callModel(shop, shop.key, "demo-mini");
  const shown = await waitFor(async () => {
    await page.goto("/account/requests");
    return page.locator("#requests time").first().textContent({ timeout: 1000 }).catch(() => null);
  }, "the request on the page");
  const moment = await page.locator("#requests time").first().getAttribute("datetime");
  const there = new Intl.DateTimeFormat("en", { timeZone: "Pacific/Kiritimati", month: "short", day: "numeric", hour: "numeric", minute: "2-digit" });
  assert.ok(shown.startsWith(there.format(new Date(moment)).slice(0, 5)), `${shown} is ${moment}`);
  await context.close();
});
