// The owner's way: a channel, a model with prices, gift cards, a correction by hand. And who may not.

import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { logIn, openBrowser, visitor } from "./browser.mjs";
import { callModel, openShop, waitFor } from "./shop.mjs";

let shop;
let browser;
let owner;
before(async () => {
  [shop, browser] = await Promise.all([openShop(), openBrowser()]);
  owner = await visitor(browser, shop);
  await logIn(owner.page, shop.owner);
});
after(async () => {
  assert.deepEqual(owner?.complaints ?? [], []);
  await browser?.close();
  await shop?.stop();
});

const balanceOf = (page) => page.locator("dt", { hasText: "Available balance" }).locator("xpath=following-sibling::dd").textContent();

async function findUser(page, email) {
  await page.goto("/admin/users");
  await page.getByLabel("E-mail address contains").fill(email);
  await page.getByRole("button", { name: "Search" }).click();
  await page.waitForURL(/q=/);
  await page.getByRole("link", { name: email }).click();
  await page.getByRole("heading", { level: 1, name: email }).waitFor();
}

test("a channel and a model with prices: then it can be called, at these prices", async () => {
  const { page } = owner;
  assert.equal(new URL(page.url()).pathname, "/admin", "an owner lands in the back office");
  assert.equal((await callModel(shop, shop.key, "demo-fresh")).status, 404);

  await page.getByRole("link", { name: "Channels" }).click();
  const base = await page.locator("table code").first().textContent();
  await page.getByRole("link", { name: "Add a channel" }).click();
  await page.getByLabel("Name").fill("Second");
  await page.getByLabel("Base URL").fill(base);
  await page.getByLabel("API key").fill("upstream-demo-key");
  await page.getByLabel("Models").fill("demo-fresh\ndemo-other");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved.").waitFor();
  assert.ok((await page.locator("tr", { hasText: "Second" }).textContent()).includes("Active"));
  await page.getByRole("link", { name: "Second" }).click();
  assert.equal(await page.getByLabel("API key").inputValue(), "", "the key does not come back");
  await page.getByText("ends in -key").waitFor();

  await page.getByRole("link", { name: "Models and prices" }).first().click();
  await page.getByRole("link", { name: "Add a model" }).click();
  await page.getByLabel("Name").fill("demo-fresh");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved.").waitFor();
  assert.ok((await page.locator("tr", { hasText: "demo-fresh" }).textContent()).includes("No price"));
  assert.equal((await callModel(shop, shop.key, "demo-fresh")).status, 403, "a model without a price is not callable");

  await page.getByRole("link", { name: "demo-fresh" }).click();
  await page.getByRole("textbox", { name: "Input", exact: true }).fill("1.25");
  await page.getByRole("textbox", { name: "Output", exact: true }).fill("10");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved.").waitFor();
  const row = await page.locator("tr", { hasText: "demo-fresh" }).textContent();
  assert.ok(row.includes("$1.25") && row.includes("$10.00"), row);

  const answer = await callModel(shop, shop.key, "demo-fresh");
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  const { prompt_tokens: input, completion_tokens: output } = answer.body.usage;
  assert.equal(Math.round(answer.cost * 1e9), input * 1250 + output * 10000);
});

test("a model is deleted only after a question", async () => {
  const { page } = owner;
  await page.goto("/admin/models");
  await page.getByRole("link", { name: "demo-stall" }).click();
  await page.getByRole("link", { name: "Delete" }).click();
  await page.getByText("Customers who call it get an error from now on.").waitFor();
  await page.getByRole("link", { name: "Keep it" }).click();
  await page.getByRole("link", { name: "Delete" }).click();
  await page.getByRole("button", { name: "Delete the model" }).click();
  await page.getByText("demo-stall was deleted.").waitFor();
  assert.equal(await page.getByRole("link", { name: "demo-stall" }).count(), 0);
});

test("a batch of gift cards: codes are shown once and each is worth its amount", async () => {
  const { page } = owner;
  await page.goto("/admin/gift-cards");
  await page.getByLabel("Worth of each card").fill("7.50");
  await page.getByLabel("Number of cards").fill("3");
  await page.getByLabel("Note").fill("Fair");
  await page.getByRole("button", { name: "Make the cards" }).click();
  await page.getByText("Copy them now.").waitFor();
  const codes = (await page.locator("#codes").textContent()).trim().split("\n");
  assert.equal(codes.length, 3);
  await page.reload();
  assert.equal(await page.locator("#codes").count(), 0, "reloading neither shows the codes again nor makes new ones");

  const customer = await visitor(browser, shop);
  await logIn(customer.page, shop.customer);
  const before = await balanceOf(customer.page);
  await customer.page.getByLabel("Gift card code").fill(codes[0].toLowerCase());
  await customer.page.getByRole("button", { name: "Redeem" }).click();
  await customer.page.getByText("$7.50 was added to your balance.").waitFor();
  assert.notEqual(await balanceOf(customer.page), before);
  await customer.page.getByLabel("Gift card code").fill(codes[0]);
  await customer.page.getByRole("button", { name: "Redeem" }).click();
  await customer.page.getByText("You have redeemed this gift card already.").first().waitFor();

  await page.goto("/admin/gift-cards");
  const row = page.locator("tr", { hasText: "Fair" });
  assert.deepEqual((await row.locator("td").allTextContents()).slice(1, 5), ["$7.50", "3", "1", "2"]);
  await row.getByRole("link").click();
  await page.getByRole("link", { name: shop.customer.email }).waitFor();
  await page.getByRole("link", { name: "Void what is left" }).click();
  await page.getByText("2 cards worth $7.50 each become worthless.").waitFor();
  await page.getByRole("button", { name: "Void the cards" }).click();
  await page.getByText("Voided cards: 2").waitFor();
  await customer.page.getByLabel("Gift card code").fill(codes[1]);
  await customer.page.getByRole("button", { name: "Redeem" }).click();
  await customer.page.getByText("This gift card was voided by the shop.").first().waitFor();
  await customer.context.close();
});

test("an adjustment needs a reason and lands in the ledger once", async () => {
  const { page } = owner;
  await findUser(page, shop.customer.email);
  const cents = async () => Math.round(Number((await balanceOf(page)).slice(1)) * 100);
  const before = await cents();
  await page.getByLabel("Amount").fill("-1");
  await page.getByRole("button", { name: "Adjust" }).click();
  assert.equal(await page.getByLabel("Reason").evaluate((input) => input.validity.valueMissing), true, "the browser asks for the reason");
  await page.getByLabel("Reason").fill(" ");
  await page.getByRole("button", { name: "Adjust" }).click();
  await page.getByText("Fill this in.").first().waitFor();
  assert.equal(await page.getByLabel("Amount").inputValue(), "-1");
  await page.getByLabel("Reason").fill("Goodwill");
  await page.getByRole("button", { name: "Adjust" }).click();
  await page.getByText("Adjusted by -$1.00").waitFor();
  assert.equal(await cents(), before - 100);
  const row = await page.locator("tr", { hasText: "Goodwill" }).first().textContent();
  assert.ok(row.includes("-$1.00"), row);
  await page.getByLabel("Amount").fill("-1000");
  await page.getByLabel("Reason").fill("Too much");
  await page.getByRole("button", { name: "Adjust" }).click();
  await page.getByText("That is more than is available.").first().waitFor();
});

test("an account that is switched off is out at once, everywhere", async () => {
  const { page } = owner;
  const customer = await visitor(browser, shop);
  await logIn(customer.page, shop.customer);
  await findUser(page, shop.customer.email);
  await page.getByRole("link", { name: "Switch off" }).click();
  await page.getByText("All sessions end").waitFor();
  await page.getByRole("button", { name: "Switch off the account" }).click();
  await page.getByText("Saved.").waitFor();
  await customer.page.goto("/account");
  assert.equal(new URL(customer.page.url()).pathname, "/log-in");
  await waitFor(async () => (await callModel(shop, shop.key, "demo-mini")).status === 401, "the key stops", 1000);
  await page.getByRole("button", { name: "Switch on" }).click();
  await page.getByText("Saved.").waitFor();
  await waitFor(async () => (await callModel(shop, shop.key, "demo-mini")).status === 200, "the key works again", 1000);
  await customer.context.close();
});

test("people are found while their address is being typed", async () => {
  const { page } = owner;
  await page.goto("/admin/users");
  const found = page.locator("#results tbody tr");
  assert.equal(await found.count(), 2);
  await page.getByLabel("E-mail address contains").pressSequentially("cust");
  await waitFor(async () => (await found.count()) === 1, "only the customer is left");
  assert.ok((await found.textContent()).includes(shop.customer.email));
  assert.equal(await page.locator("#results time[data-local]").count(), 0, "what arrives later is in the visitor's zone too");
  await page.getByLabel("E-mail address contains").pressSequentially("nobody");
  await page.getByText("Nobody was found.").waitFor();
  assert.match(page.url(), /q=custnobody/, "the address can be kept");
});

test("the shop's name is everywhere at once", async () => {
  const { page } = owner;
  await page.goto("/admin/settings");
  await page.getByLabel("Name of the shop").fill("Tokens & Co");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved.").waitFor();
  await page.goto("/");
  assert.match(await page.title(), /Tokens & Co$/);
});

test("the back office is closed to customers and to strangers", async () => {
  const { context, page } = await visitor(browser, shop);
  await page.goto("/admin/users");
  assert.equal(page.url(), `${shop.url}/log-in?next=%2Fadmin%2Fusers`);
  await logIn(page, shop.customer);
  for (const path of ["/admin", "/admin/users", "/admin/channels/new", "/admin/settings"]) {
    assert.equal((await page.goto(path)).status(), 403, path);
    await page.getByRole("heading", { name: "This page is not for your account" }).waitFor();
  }
  await context.close();
});
