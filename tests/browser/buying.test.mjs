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

/** Fills in what a plan's form asks for, as the owner, and puts it on sale. */
async function sellPlan(name, sold, price) {
  const { context, page } = await visitor(browser, shop);
  await logIn(page, shop.owner);
  await page.goto("/admin/plans/new");
  await page.locator('[name="name"]').fill(name);
  await page.locator('[name="price"]').fill(price);
  await page.locator('[name="length"]').fill("1");
  await page.locator('[name="length_unit"]').selectOption("month");
  await page.locator('[name="sold"]').selectOption(sold);
  await page.locator('[name="allowance"]').fill("12");
  await page.locator('[name="visibility"]').selectOption("public");
  await page.getByRole("button", { name: "Save" }).click();
  await page.waitForURL((url) => url.pathname === "/admin/plans");
  await context.close();
}

/** Pays on the provider's page, and waits until the shop says that the order is paid. */
async function payByCard(page) {
  await page.waitForURL((url) => url.href.startsWith(shop.stripe.url));
  await page.getByLabel("Card number").fill("4242 4242 4242 4242");
  await page.getByRole("button", { name: "Pay", exact: true }).click();
  await page.waitForURL((url) => url.href.startsWith(`${shop.url}/account/orders/`));
  await page.locator("dl .tag", { hasText: "Paid" }).waitFor();
}

test("a plan is bought once by card, and again out of the balance", async () => {
  await sellPlan("Month at once", "once", "3");
  const { context, page } = await visitor(browser, shop);
  await logIn(page, shop.customer);
  const plan = () => page.locator("section.plan", { has: page.getByRole("link", { name: "Month at once" }) });
  await page.goto("/account/plans");
  await plan().getByRole("button", { name: "Buy once by card" }).click();
  await payByCard(page);
  await page.goto("/account/plans");
  await plan().getByRole("button", { name: "Buy once from the balance" }).click();
  await page.waitForURL((url) => url.pathname !== "/account/plans");
  await page.goto("/account/plan");
  const mine = page.locator("section.block", { has: page.getByRole("heading", { name: "Month at once" }) });
  await mine.getByText("$12.00").first().waitFor();
  await mine.locator("summary").click();
  assert.equal(await mine.locator("tbody tr").count(), 2, "the second month follows the first");
  await context.close();
});

for (const javaScriptEnabled of [true, false]) {
  test(`a plan is subscribed to by card, cancelled and resumed ${javaScriptEnabled ? "with" : "without"} scripts`, async () => {
    const name = javaScriptEnabled ? "Every month" : "Each month";
    await sellPlan(name, "subscription", "4");
    const { context, page } = await visitor(browser, shop, { javaScriptEnabled });
    await logIn(page, shop.customer);
    await page.goto("/account/plans");
    await page.locator("section.plan", { has: page.getByRole("link", { name }) }).getByRole("button", { name: "Subscribe" }).click();
    await payByCard(page);
    await page.goto("/account/plan");
    const mine = page.locator("section.block", { has: page.getByRole("heading", { name }) });
    await mine.getByText("$12.00").first().waitFor();
    await mine.getByRole("link", { name: "Do not renew" }).click();
    await page.locator("main form button").first().click();
    await mine.getByRole("button", { name: "Renew it after all" }).click();
    await mine.getByRole("link", { name: "Do not renew" }).waitFor();
    await mine.getByRole("link", { name: "End it now" }).click();
    await page.locator("main form button").first().click();
    await page.waitForURL((url) => url.pathname === "/account/plan");
    await mine.waitFor({ state: "detached" });
    await context.close();
  });
}
