// Every page: no accessibility violation, nothing that the browser complains of, nothing that scrolls sideways on a phone; in
// light and dark, wide and narrow.

import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { fitsItsWidth, logIn, openBrowser, passesAxe, visitor } from "./browser.mjs";
import { callModel, openShop } from "./shop.mjs";

const LOOKS = [
  { name: "wide and light", colorScheme: "light", viewport: { width: 1280, height: 800 } },
  { name: "narrow and light", colorScheme: "light", viewport: { width: 360, height: 740 } },
  { name: "narrow and dark", colorScheme: "dark", viewport: { width: 360, height: 740 } },
  { name: "wide and dark", colorScheme: "dark", viewport: { width: 1280, height: 800 } },
];

let shop;
let browser;
before(async () => {
  [shop, browser] = await Promise.all([openShop(), openBrowser()]);
  for (const model of ["demo-chat", "demo-500", "demo-no-usage"]) await callModel(shop, shop.key, model);
});
after(async () => {
  await browser?.close();
  await shop?.stop();
});

/** Colours change at once, so that they are measured as they stay. */
const still = (options = {}) => visitor(browser, shop, { reducedMotion: "reduce", ...options });

/** Looks at the page that is open, in every look. */
async function inspect({ page, complaints }, what) {
  assert.equal(await page.locator("h1").count(), 1, `${what} has one h1`);
  for (const look of LOOKS) {
    await page.setViewportSize(look.viewport);
    await page.emulateMedia({ colorScheme: look.colorScheme });
    await passesAxe(page, `${what}, ${look.name}`);
    await fitsItsWidth(page, `${what}, ${look.name}`);
  }
  assert.deepEqual(complaints, [], what);
}

async function inspectPaths(someone, paths) {
  for (const path of paths) {
    const answer = await someone.page.goto(path);
    assert.equal(answer.status(), 200, path);
    await inspect(someone, path);
  }
}

/** The address behind the first link whose address matches. */
async function linked(page, from, pattern) {
  await page.goto(from);
  const links = await page.locator("main a").evaluateAll((all) => all.map((link) => link.getAttribute("href")));
  const found = links.find((href) => pattern.test(href));
  assert.ok(found, `${from} has no link like ${pattern}`);
  return found;
}

test("the shop window", async () => {
  const guest = await still();
  await inspectPaths(guest, ["/", "/sign-up", "/log-in", "/forgot", "/verify?token=x"]);
  await guest.page.goto("/sign-up");
  await guest.page.getByLabel("E-mail address").fill("ann@example");
  await guest.page.getByLabel("Password").fill("short");
  await guest.page.getByRole("button", { name: "Create account" }).click();
  await guest.page.getByRole("alert").waitFor();
  await inspect(guest, "/sign-up with mistakes");
  for (const [path, status] of [["/nothing", 404], ["/reset?token=x", 410], ["/setup?token=x", 404]]) {
    assert.equal((await guest.page.goto(path)).status(), status, path);
    await inspect(guest, path);
  }
  await guest.context.close();
});

test("a customer's pages", async () => {
  const customer = await still();
  await logIn(customer.page, shop.customer);
  await inspectPaths(customer, ["/account", "/account/requests", "/account/keys", "/account/gift-cards", "/account/referrals"]);
  await inspectPaths(customer, ["/account/top-up", "/account/orders", "/account/plan", "/account/plans"]);
  await inspectPaths(customer, ["/account/wallet", "/account/wallet?view=all&from=2026-12-31&until=2026-01-01", await linked(customer.page, "/account/wallet", /sort=charge/)]);
  await inspectPaths(customer, [await linked(customer.page, "/account/wallet?view=all", /requests\?only=/)]);
  await customer.page.goto("/account/keys");
  await customer.page.getByLabel("Name").fill("A name that is long enough to need more than one line in a narrow table");
  await customer.page.getByLabel("Total budget").fill("12345.678901234");
  await customer.page.getByRole("button", { name: "Make the key" }).click();
  await customer.page.locator("#new-key").waitFor();
  await inspect(customer, "a new key");
  await inspectPaths(customer, [await linked(customer.page, "/account/keys", /\/delete$/)]);
  await customer.page.setViewportSize({ width: 360, height: 740 });
  await customer.page.goto("/account");
  await customer.page.locator("label[for=menu]").click();
  await inspect(customer, "the open menu");
  await customer.context.close();
});

test("the pages of somebody who is not verified and has nothing", async () => {
  const guest = await still();
  const email = "a.customer.with.quite.a.long.address@subdomain.example.com";
  await guest.page.goto("/sign-up");
  await guest.page.getByLabel("E-mail address").fill(email);
  await guest.page.getByLabel("Password").fill("three words in a row");
  await guest.page.getByRole("button", { name: "Create account" }).click();
  await guest.page.getByText("We have sent a mail").waitFor();
  await inspect(guest, "after sign-up");
  await logIn(guest.page, { email, password: "three words in a row" });
  await inspectPaths(guest, ["/account", "/account/requests", "/account/keys"]);
  await guest.context.close();
});

test("the back office", async () => {
  const owner = await still();
  const { page } = owner;
  await logIn(page, shop.owner);
  await inspectPaths(owner, ["/admin", "/admin/channels", "/admin/channels/new", "/admin/models", "/admin/models/new"]);
  await inspectPaths(owner, ["/admin/gift-cards", "/admin/gift-cards/find?q=abc", "/admin/coupons", "/admin/coupons/new", "/admin/referrals"]);
  await inspectPaths(owner, ["/admin/users", "/admin/users?q=nobody", "/admin/settings"]);
  await inspectPaths(owner, ["/admin/orders", "/admin/orders?state=paid", "/admin/payments", "/admin/plans", "/admin/plans/new"]);
  const today = new Date().toISOString().slice(0, 10);
  await inspectPaths(owner, ["/admin/accounting", await linked(owner.page, "/admin/accounting", /period=\d+-\d+-\d+$/), "/admin/accounting?period=2001"]);
  await inspectPaths(owner, ["/admin/reconciliation", `/admin/reconciliation?from=${today}&until=${today}`, "/admin/reconciliation?from=2026-03-02&until=2026-03-01"]);
  await inspectPaths(owner, ["/admin/requests", "/admin/requests?outcome=refused&status=x"]);
  const request = await linked(page, "/admin/requests", /requests\/[0-9A-Z]{13}$/);
  const channel = await linked(page, "/admin/channels", /channels\/[0-9A-Z]{13}$/);
  const model = await linked(page, "/admin/models", /models\/[0-9A-Z]{13}$/);
  const batch = await linked(page, "/admin/gift-cards", /gift-cards\/[0-9A-Z]{13}$/);
  const user = await linked(page, "/admin/users?q=customer", /users\/[0-9A-Z]{13}$/);
  await inspectPaths(owner, [request, channel, `${channel}/delete`, model, `${model}/delete`, batch, `${batch}/void`, user, `${user}/disable`]);
  await page.goto("/admin/gift-cards");
  await page.getByLabel("Worth of each card").fill("1");
  await page.getByLabel("Number of cards").fill("2");
  await page.getByRole("button", { name: "Make the cards" }).click();
  await page.locator("#codes").waitFor();
  await inspect(owner, "new codes");
  await owner.context.close();
});

test("Chinese pages hold to the same", async () => {
  const guest = await still({ locale: "zh-CN" });
  await inspectPaths(guest, ["/", "/log-in"]);
  assert.equal(await guest.page.locator("html").getAttribute("lang"), "zh-Hans");
  await guest.context.close();
});

test("a first visit costs less than 100 kB, and a second one next to nothing", async () => {
  const { context, page } = await visitor(browser, shop);
  const session = await context.newCDPSession(page);
  await session.send("Network.enable");
  let bytes = 0;
  session.on("Network.loadingFinished", (event) => (bytes += event.encodedDataLength));
  await page.goto("/", { waitUntil: "networkidle" });
  assert.ok(bytes > 10_000 && bytes < 100_000, `${bytes} bytes`);
  bytes = 0;
  await page.goto("/sign-up", { waitUntil: "networkidle" });
  assert.ok(bytes < 10_000, `${bytes} bytes`);
  await context.close();
});
