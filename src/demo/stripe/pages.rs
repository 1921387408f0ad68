//! The pages of the simulated Stripe, which work without scripts: a checkout, a bank that asks, the billing portal, an invoice, and the controls.

use super::card::Card;
use super::world::{Kind, World, word};
use crate::kernel::{Currency, Money};
use serde_json::Value;
use std::fmt::Write;

/// The cards that the checkout page explains.
const CARDS: [(Card, &str); 6] = [
    (Card::Good, "pays"),
    (Card::Declined, "is declined"),
    (Card::Poor, "has insufficient funds"),
    (Card::ConfirmsOnce, "asks for confirmation once"),
    (Card::ConfirmsAlways, "asks for confirmation each time"),
    (Card::GoodOnce, "pays now and is declined at every renewal"),
];

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:2rem auto;padding:0 1rem;color:#1a1a2e;background:#f6f8fb}\
    main{background:#fff;border:1px solid #d8dee9;border-radius:12px;padding:1.5rem}h1{font-size:1.25rem;margin:0 0 .25rem}.amount{font-size:2rem;font-weight:600}\
    label{display:block;margin:.75rem 0 .25rem}input,select{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;border:1px solid #b6c0d0;border-radius:6px}\
    button{font:inherit;padding:.6rem 1rem;border:0;border-radius:6px;background:#4a3fcf;color:#fff;margin:.75rem .5rem 0 0;cursor:pointer}button.plain{background:#5b6577}\
    .error{background:#fde8e8;color:#9b1c1c;padding:.5rem .75rem;border-radius:6px}.note{color:#5b6577;font-size:.875rem}table{width:100%;border-collapse:collapse;font-size:.875rem}\
    td,th{text-align:left;padding:.25rem;border-bottom:1px solid #e5e9f0;overflow-wrap:anywhere}";

/// A page in full.
pub(super) fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><main><p class=\"note\">Simulated Stripe: no real money moves here.</p>{body}</main></body></html>",
        title = escaped(title)
    )
}

/// A text inside of HTML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

fn amount(thing: &Value, pointer: &str) -> String {
    let minor = thing.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
    let currency = word(thing, "/currency").parse().unwrap_or(Currency::USD);
    escaped(&Money::new(minor, currency).display())
}

/// The page of a checkout, with what went wrong at the last attempt.
pub(super) fn checkout(world: &World, session: &str, error: Option<&str>) -> Option<String> {
    let thing = world.find(Kind::Session, session)?;
    let title = escaped(word(thing, "/_title"));
    if word(thing, "/status") != "open" {
        let back = word(thing, "/cancel_url");
        let link = if back.is_empty() { String::new() } else { format!("<p><a href=\"{}\">Back to the shop</a></p>", escaped(back)) };
        return Some(page("Checkout", &format!("<h1>{title}</h1><p>This page is closed: it is {}.</p>{link}", escaped(word(thing, "/status")))));
    }
    let each = match (word(world.get(word(thing, "/_price")), "/recurring/interval"), world.number(word(thing, "/_price"), "/recurring/interval_count")) {
        ("", _) => String::new(),
        (unit, 1) => format!(" <span class=\"note\">every {}</span>", escaped(unit)),
        (unit, count) => format!(" <span class=\"note\">every {count} {}s</span>", escaped(unit)),
    };
    let mut body = format!("<h1>{title}</h1><p class=\"amount\">{}{each}</p>", amount(thing, "/amount_total"));
    if let Some(error) = error {
        let _ = write!(body, "<p class=\"error\" role=\"alert\">{}</p>", escaped(error));
    }
    let email = escaped(word(world.get(word(thing, "/customer")), "/email"));
    let _ = write!(
        body,
        "<p class=\"note\">{email}</p><form method=\"post\"><label for=\"number\">Card number</label><input id=\"number\" name=\"number\" inputmode=\"numeric\" \
         autocomplete=\"cc-number\" value=\"{}\"><button name=\"do\" value=\"pay\">Pay</button><button class=\"plain\" name=\"do\" value=\"transfer\">Pay by bank transfer</button></form>",
        Card::Good.number()
    );
    if !word(thing, "/cancel_url").is_empty() {
        let _ = write!(body, "<p><a href=\"{}\">Cancel and go back</a></p>", escaped(word(thing, "/cancel_url")));
    }
    body.push_str("<table><tr><th>Card</th><th>What it does</th></tr>");
    for (card, what) in CARDS {
        let _ = write!(body, "<tr><td>{}</td><td>{what}</td></tr>", card.number());
    }
    body.push_str("</table>");
    Some(page("Checkout", &body))
}

/// The page on which a bank asks.
pub(super) fn bank(world: &World, intent: &str) -> Option<String> {
    let thing = world.find(Kind::Intent, intent)?;
    if word(thing, "/status") != "requires_action" {
        return Some(page("Your bank", "<h1>Nothing to confirm</h1><p>This payment waits for no confirmation.</p>"));
    }
    let body = format!(
        "<h1>Your bank asks</h1><p>Do you want to pay <strong>{}</strong>?</p><form method=\"post\"><button name=\"answer\" value=\"yes\">Confirm</button>\
         <button class=\"plain\" name=\"answer\" value=\"no\">Refuse</button></form>",
        amount(thing, "/amount")
    );
    Some(page("Your bank", &body))
}

/// The portal, in which a customer looks after subscriptions and cards.
pub(super) fn portal(world: &World, portal: &str) -> Option<String> {
    let thing = world.find(Kind::Portal, portal)?;
    let customer = word(thing, "/customer");
    let mut body = String::from("<h1>Billing</h1>");
    for subscription in world.all(Kind::Subscription).filter(|one| word(one, "/customer") == customer) {
        let (id, status) = (escaped(word(subscription, "/id")), escaped(word(subscription, "/status")));
        let ends = subscription["cancel_at_period_end"] == true;
        let _ = write!(body, "<p>Subscription {id}: {status}{}</p>", if ends { ", ends with its period" } else { "" });
        if status != "canceled" {
            let (word, label) = if ends { ("resume", "Keep it") } else { ("cancel", "Cancel at the end of the period") };
            let _ = write!(
                body,
                "<form method=\"post\"><input type=\"hidden\" name=\"subscription\" value=\"{id}\"><button name=\"do\" value=\"{word}\">{label}</button></form>"
            );
        }
    }
    for method in world.all(Kind::Method).filter(|one| word(one, "/customer") == customer) {
        let _ = write!(body, "<p>Card ending in {}</p>", escaped(word(method, "/card/last4")));
    }
    for invoice in world.all(Kind::Invoice).rev().filter(|one| word(one, "/customer") == customer) {
        let link = escaped(word(invoice, "/hosted_invoice_url"));
        let _ = write!(
            body,
            "<p><a href=\"{link}\">{}</a> {} {}</p>",
            escaped(word(invoice, "/number")),
            amount(invoice, "/total"),
            escaped(word(invoice, "/status"))
        );
    }
    let _ = write!(
        body,
        "<form method=\"post\"><label for=\"number\">Another card for every subscription</label><input id=\"number\" name=\"number\" value=\"{}\"><button name=\"do\" \
         value=\"card\">Save</button></form><p><a href=\"{}\">Back to the shop</a></p>",
        Card::Good.number(),
        escaped(word(thing, "/return_url"))
    );
    Some(page("Billing", &body))
}

/// An invoice, which can be paid while it is open.
pub(super) fn invoice(world: &World, invoice: &str) -> Option<String> {
    let thing = world.find(Kind::Invoice, invoice)?;
    let status = word(thing, "/status");
    let mut body = format!("<h1>Invoice {}</h1><p class=\"amount\">{}</p><p>{}</p>", escaped(word(thing, "/number")), amount(thing, "/total"), escaped(status));
    if status == "open" {
        let number = Card::Good.number();
        let _ = write!(
            body,
            "<form method=\"post\"><label for=\"number\">Card number</label><input id=\"number\" name=\"number\" value=\"{number}\"><button>Pay</button></form>"
        );
    }
    Some(page("Invoice", &body))
}
