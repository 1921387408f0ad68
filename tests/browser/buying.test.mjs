// Somebody buys: credit by card on the payment provider's page, and a plan out of the balance. The provider is the demo's own.

import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { logIn, openBrowser, visitor } from "./browser.mjs";
import { openShop } from "./shop.mjs";

let shop;
let browser;
before(async () => {
  [shop, browser] = await Promise.all([openShop(), openBrowser()]);
});
after(async () => {
  await browser?.close();
  await shop?.stop();
});

for (const javaScriptEnabled of [true, false]) {
  test(`a card tops up the balance ${javaScriptEnabled ? "with" : "without"} scripts`, async () => {
    const { context, page } = await visitor(browser, shop, { javaScriptEnabled });
    await logIn(page, shop.customer);
    const before = await page.locator(".side-balance .money").textContent();
    await page.goto("/account/top-up");
    await page.getByRole("button", { name: "$20.00" }).click();
    await page.waitForURL((url) => url.href.startsWith(shop.stripe.url));
    await page.getByLabel("Card number").fill("4000 0000 0000 0002");
    await page.getByRole("button", { name: "Pay", exact: true }).click();
    await page.getByText("Your card was declined.").first().waitFor();
    await page.getByLabel("Card number").fill("4242 4242 4242 4242");
    await page.getByRole("button", { name: "Pay", exact: true }).click();
    await page.waitForURL((url) => url.href.startsWith(`${shop.url}/account/orders/`));
    await page.locator("dl .tag", { hasText: "Paid" }).waitFor();
    await page.goto("/account");
    const dollars = (text) => Number(text.replace(/[^0-9.]/g, ""));
    assert.equal((dollars(await page.locator(".side-balance .money").textContent()) - dollars(before)).toFixed(2), "20.00");
    await context.close();
  });
}

test("an own amount that is too small says so, and an order that is given up costs nothing", async () => {
  const { context, page } = await visitor(browser, shop);
  await logIn(page, shop.customer);
  await page.goto("/account/top-up");
  await page.getByLabel("Credit in dollars").fill("1");
  await page.getByRole("button", { name: "Go to payment" }).click();
  await page.getByRole("alert").waitFor();
  await page.getByLabel("Credit in dollars").fill("7.50");
  await page.getByRole("button", { name: "Go to payment" }).click();
  await page.waitForURL((url) => url.href.startsWith(shop.stripe.url));
  await page.goto("/account/orders");
  await page.locator("tbody th a").first().click();
  await page.getByRole("button", { name: "Cancel the order" }).click();
  await page.getByText("Nothing was charged").waitFor();
  await context.close();
});
