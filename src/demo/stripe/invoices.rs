//! Invoices: written for each period, collected from the saved card, tried again after some days.

use super::api::Refusal;
use super::billing;
use super::card::Verdict;
use super::form::text;
use super::payments;
use super::world::{Kind, World, word};
use serde_json::{Value, json};

/// Days after which an invoice is tried again; then the subscription ends.
const RETRIES: [i64; 3] = [3, 5, 7];

/// The line that pays for the running period.
pub(super) fn period_line(world: &World, subscription: &str, amount: i64) -> Value {
    let item = &world.get(subscription)["items"]["data"][0];
    let period = json!({"start": item["current_period_start"], "end": item["current_period_end"]});
    line(world, subscription, amount, period, false)
}

/// The line that takes off what is left of a period that was paid.
pub(super) fn unused_line(world: &World, subscription: &str, amount: i64, from: i64, until: i64) -> Value {
    line(world, subscription, amount, json!({"start": from, "end": until}), true)
}

fn line(world: &World, subscription: &str, amount: i64, period: Value, proration: bool) -> Value {
    let item = &world.get(subscription)["items"]["data"][0];
    let details = json!({
        "invoice_item": null, "proration": proration, "proration_details": {"credited_items": null}, "subscription": subscription, "subscription_item": item["id"],
    });
    let price = json!({"price": item["price"]["id"], "product": item["price"]["product"]});
    let fields = json!({
        "amount": amount, "subtotal": amount, "currency": world.get(subscription)["currency"], "period": period, "quantity": 1, "description": "Subscription",
        "parent": {"type": "subscription_item_details", "subscription_item_details": details, "invoice_item_details": null}, "subscription": subscription,
        "pricing": {"type": "price_details", "price_details": price, "unit_amount_decimal": amount.to_string()},
    });
    world.shape(Kind::Line, fields)
}

/// Writes an invoice and makes it the subscription's newest. Nobody has paid it yet.
pub(super) fn write(world: &mut World, subscription: &str, reason: &str, lines: &[Value]) -> String {
    let total: i64 = lines.iter().filter_map(|line| line["amount"].as_i64()).sum();
    let now = world.now();
    // As Stripe does: the invoice's own period is the one before, and only its lines tell what it pays for.
    let before = world.all(Kind::Invoice).rev().find(|invoice| word(invoice, "/parent/subscription_details/subscription") == subscription);
    let before = before.and_then(|invoice| invoice["created"].as_i64()).unwrap_or(now);
    let customer = world.text(subscription, "/customer");
    let number = format!("DEMO-{:04}", world.all(Kind::Invoice).count() + 1);
    let details = json!({"subscription": subscription, "metadata": world.get(subscription)["metadata"]});
    let due = total.max(0);
    let fields = json!({
        "customer": customer, "customer_email": world.get(&customer)["email"], "currency": world.get(subscription)["currency"], "billing_reason": reason,
        "amount_due": due, "amount_paid": 0, "amount_remaining": due, "subtotal": total, "subtotal_excluding_tax": total, "total": total,
        "total_excluding_tax": total, "period_start": before, "period_end": now, "status": "open", "number": number, "effective_at": now, "auto_advance": true,
        "parent": {"type": "subscription_details", "subscription_details": details, "quote_details": null},
        "status_transitions": {"finalized_at": now, "marked_uncollectible_at": null, "paid_at": null, "voided_at": null},
    });
    let invoice = world.make(Kind::Invoice, fields);
    let lines: Vec<Value> = lines
        .iter()
        .cloned()
        .map(|mut line| {
            line["invoice"] = json!(invoice);
            line
        })
        .collect();
    let list = json!({"object": "list", "data": lines, "has_more": false, "url": format!("/v1/invoices/{invoice}/lines")});
    let page = format!("{}/i/{invoice}", world.base);
    world.set(&invoice, json!({"lines": list, "hosted_invoice_url": page}));
    world.set(subscription, json!({"latest_invoice": invoice}));
    world.emit("invoice.created", &invoice);
    invoice
}

/// Notes which payment is for an invoice.
pub(super) fn paid_by(world: &mut World, invoice: &str, intent: &str) {
    world.set(invoice, json!({"_intent": intent}));
    world.set(intent, json!({"_invoice": invoice}));
    note_payment(world, invoice, intent, "open");
}

/// The list that is shown when it is asked for.
fn note_payment(world: &mut World, invoice: &str, intent: &str, status: &str) {
    let due = world.number(invoice, "/amount_due");
    let fields = json!({
        "amount_paid": if status == "paid" { Some(due) } else { None }, "amount_requested": due, "currency": world.get(invoice)["currency"], "invoice": invoice,
        "status": status, "payment": {"type": "payment_intent", "payment_intent": intent},
    });
    let payment = world.shape(Kind::InvoicePayment, fields);
    world.set(invoice, json!({"_payments": {"object": "list", "data": [payment], "has_more": false, "url": "/v1/invoice_payments"}}));
}

/// An invoice's money is there.
pub(super) fn paid(world: &mut World, invoice: &str, intent: Option<&str>) {
    if world.text(invoice, "/status") == "paid" {
        return;
    }
    let (due, now) = (world.number(invoice, "/amount_due"), world.now());
    let mut transitions = world.get(invoice)["status_transitions"].clone();
    transitions["paid_at"] = json!(now);
    let attempts = world.number(invoice, "/attempt_count") + i64::from(intent.is_some());
    world.set(
        invoice,
        json!({
            "status": "paid", "amount_paid": due, "amount_remaining": 0, "attempted": true, "attempt_count": attempts, "next_payment_attempt": null,
            "status_transitions": transitions,
        }),
    );
    if let Some(intent) = intent {
        note_payment(world, invoice, intent, "paid");
    }
    world.emit("invoice.paid", invoice);
    world.emit("invoice.payment_succeeded", invoice);
    let subscription = world.text(invoice, "/parent/subscription_details/subscription");
    if ["past_due", "unpaid"].contains(&world.text(&subscription, "/status").as_str()) {
        world.set(&subscription, json!({"status": "active"}));
        world.emit("customer.subscription.updated", &subscription);
    }
}

/// Tries to collect an invoice from the subscription's card while its owner is away. `None` when there was nothing to collect.
pub(super) fn collect(world: &mut World, invoice: &str) -> Option<Verdict> {
    let due = world.number(invoice, "/amount_due");
    if due == 0 {
        paid(world, invoice, None);
        return None;
    }
    let subscription = world.text(invoice, "/parent/subscription_details/subscription");
    let mut intent = world.text(invoice, "/_intent");
    if intent.is_empty() {
        let (customer, currency) = (world.text(invoice, "/customer"), world.text(invoice, "/currency"));
        intent = payments::new_intent(world, due, &currency, json!({"customer": customer, "description": "Subscription update"}));
        paid_by(world, invoice, &intent);
    }
    let method = world.text(&subscription, "/default_payment_method");
    let verdict = payments::attempt(world, &intent, &method, false);
    match verdict {
        Verdict::Paid => paid(world, invoice, Some(&intent)),
        Verdict::Declined(_) => failed(world, invoice, &subscription),
        Verdict::Later | Verdict::Confirm => {}
    }
    payments::open_disputes(world);
    Some(verdict)
}

fn failed(world: &mut World, invoice: &str, subscription: &str) {
    let attempts = world.number(invoice, "/attempt_count") + 1;
    let next = RETRIES.get(attempts as usize - 1).map(|days| world.now() + days * 86_400);
    world.set(invoice, json!({"attempted": true, "attempt_count": attempts, "next_payment_attempt": next}));
    if world.text(subscription, "/status") == "active" {
        world.set(subscription, json!({"status": "past_due"}));
    }
    world.emit("invoice.payment_failed", invoice);
}

/// It is time to try an invoice again.
pub(super) fn again(world: &mut World, invoice: &str) {
    world.set(invoice, json!({"next_payment_attempt": null}));
    let subscription = world.text(invoice, "/parent/subscription_details/subscription");
    if world.text(&subscription, "/status") == "canceled" {
        return;
    }
    collect(world, invoice);
    let given_up = world.text(invoice, "/status") == "open" && world.get(invoice)["next_payment_attempt"].is_null();
    if given_up {
        billing::end(world, &subscription);
    }
}

/// Answers `POST /v1/invoices/{id}/pay`.
pub(super) fn pay(world: &mut World, invoice: &str, form: &Value) -> Result<Value, Refusal> {
    match world.text(invoice, "/status").as_str() {
        "open" => {}
        "paid" => return Err(Refusal::invalid("", "Invoice is already paid", "invoice_already_paid")),
        _ => return Err(Refusal::invalid("", "Invoice is not open", "invoice_not_editable")),
    }
    if let Some(method) = text(form, "/payment_method") {
        let subscription = world.text(invoice, "/parent/subscription_details/subscription");
        world.set(&subscription, json!({"default_payment_method": method}));
    }
    match collect(world, invoice) {
        Some(Verdict::Declined(_)) => Err(payments::declined(world, &world.text(invoice, "/_intent"))),
        _ => Ok(world.show(invoice)),
    }
}
