// The browser: Debian's Chromium, driven over its own protocol, and what every page must hold to.

import AxeBuilder from "@axe-core/playwright";
import { chromium } from "playwright-core";
import assert from "node:assert/strict";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export function openBrowser() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
}

/** A visitor with cookies of their own. `complaints` collects what the browser reports of the pages. */
export async function visitor(browser, shop, options = {}) {
  const context = await browser.newContext({ baseURL: shop.url, locale: "en-US", ...options });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    // A page that answers with 4xx on purpose is reported by the browser too; the tests look at those themselves.
    const onPurpose = /Failed to load resource: the server responded with a status of 4\d\d/.test(message.text()) && message.location().url === page.url();
    if (["error", "warning"].includes(message.type()) && !onPurpose) complaints.push(`${page.url()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error.message}`));
  page.on("requestfailed", (request) => {
    if (request.failure()?.errorText !== "net::ERR_ABORTED") complaints.push(`${request.url()}: ${request.failure()?.errorText}`);
  });
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== shop.url && !request.url().startsWith("data:")) complaints.push(`another host: ${request.url()}`);
  });
  return { context, page, complaints };
}

export async function logIn(page, { email, password }, next = "") {
  await page.goto(next ? `/log-in?next=${encodeURIComponent(next)}` : "/log-in");
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("main").getByRole("button", { name: "Log in" }).click();
  await page.waitForURL((url) => !url.pathname.startsWith("/log-in"));
}

/** No accessibility violation, in the page as it is now. */
export async function passesAxe(page, what) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const told = violations.map((v) => `${v.id}: ${v.help}\n${v.nodes.map((n) => `    ${n.html}\n    ${n.failureSummary}`).join("\n")}`);
  assert.deepEqual(told, [], `${what} (${page.url()})`);
}

/** Nothing scrolls sideways, neither the page nor a part of it. */
export async function fitsItsWidth(page, what) {
  const wide = await page.evaluate(() => {
    // What is folded away has no size of its own until it is opened.
    const folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach((details) => (details.open = true));
    const scrolls = (element) => element.scrollWidth > element.clientWidth && ["auto", "scroll"].includes(getComputedStyle(element).overflowX);
    const found = [...document.body.querySelectorAll("*")].filter(scrolls).map((element) => element.outerHTML.slice(0, 80));
    const root = document.documentElement;
    if (root.scrollWidth > innerWidth) {
      const out = [...document.body.querySelectorAll("*")].filter((element) => element.getBoundingClientRect().right > innerWidth + 1);
      found.push(`the page is ${root.scrollWidth} wide`, ...out.slice(0, 5).map((element) => element.outerHTML.slice(0, 120)));
    }
    folded.forEach((details) => (details.open = false));
    return found;
  });
  assert.deepEqual(wide, [], `${what} (${page.url()}) scrolls sideways`);
}
