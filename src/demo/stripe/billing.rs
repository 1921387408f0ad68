//! Subscriptions: begun by a checkout, changed and ended by requests, renewed by time.

use super::api::Refusal;
use super::card::Verdict;
use super::form::{flag, object, text};
use super::world::{Kind, World};
use super::{catalog, invoices, payments};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde_json::{Map, Value, json};

/// Begins the subscription of a checkout: the subscription and its first invoice.
pub(super) fn begin(world: &mut World, session: &str, method: &str, intent: Option<&str>) -> Result<(String, String), Refusal> {
    let data = world.get(session)["_subscription_data"].clone();
    let (price, now) = (world.text(session, "/_price"), world.now());
    let trial = world.get(session)["_trial"].as_i64().map(|days| now + days * 86_400);
    let fields = json!({
        "customer": world.get(session)["customer"], "currency": world.get(session)["currency"], "metadata": object(&data, "/metadata"), "status": "incomplete",
        "default_payment_method": method, "billing_cycle_anchor": trial.unwrap_or(now), "start_date": now, "trial_start": trial.map(|_| now), "trial_end": trial,
        "_periods": 0,
    });
    let subscription = world.make(Kind::Subscription, fields);
    let end = trial.unwrap_or_else(|| period_end(world, &subscription, &price, 1));
    set_item(world, &subscription, &price, now, end);
    world.emit("customer.subscription.created", &subscription);
    let lines = [invoices::period_line(world, &subscription, world.number(session, "/amount_total"))];
    let invoice = invoices::write(world, &subscription, "subscription_create", &lines);
    if let Some(intent) = intent {
        world.set(intent, json!({"_invoice": invoice}));
        invoices::paid_by(world, &invoice, intent);
    }
    if intent.is_none_or(|intent| world.text(intent, "/status") == "succeeded") {
        world.set(&subscription, json!({"status": if trial.is_some() { "trialing" } else { "active" }, "_periods": i64::from(trial.is_none())}));
        invoices::paid(world, &invoice, intent);
        world.emit("customer.subscription.updated", &subscription);
    }
    Ok((subscription, invoice))
}

/// The money of a first invoice has come later than the subscription.
pub(super) fn first_invoice_paid(world: &mut World, subscription: &str, intent: &str) {
    let invoice = world.text(subscription, "/latest_invoice");
    world.set(subscription, json!({"status": "active", "_periods": 1}));
    invoices::paid(world, &invoice, Some(intent));
    world.emit("customer.subscription.updated", subscription);
}

fn set_item(world: &mut World, subscription: &str, price: &str, start: i64, end: i64) {
    let known = world.text(subscription, "/items/data/0/id");
    let fields = json!({"subscription": subscription, "price": world.show(price), "quantity": 1, "current_period_start": start, "current_period_end": end});
    let mut item = world.shape(Kind::Item, fields);
    if !known.is_empty() {
        item["id"] = json!(known);
    }
    let url = format!("/v1/subscription_items?subscription={subscription}");
    world.set(subscription, json!({"items": {"object": "list", "data": [item], "has_more": false, "url": url}}));
}

/// The end of the `periods`-th period after the anchor, by the calendar: the 31st becomes the last day of a shorter month, and comes back.
fn period_end(world: &World, subscription: &str, price: &str, periods: i64) -> i64 {
    let anchor = world.number(subscription, "/billing_cycle_anchor");
    let count = world.number(price, "/recurring/interval_count").max(1) * periods;
    let span = match world.text(price, "/recurring/interval").as_str() {
        "day" => Span::new().try_days(count),
        "week" => Span::new().try_weeks(count),
        "year" => Span::new().try_years(count),
        _ => Span::new().try_months(count),
    };
    let begin = Timestamp::from_second(anchor).map(|at| at.to_zoned(TimeZone::UTC));
    let end = span.ok().zip(begin.ok()).and_then(|(span, begin)| begin.checked_add(span).ok());
    end.map_or(i64::MAX, |end| end.timestamp().as_second())
}

fn price(world: &World, subscription: &str) -> String {
    world.text(subscription, "/items/data/0/price/id")
}

/// When the running period ends.
pub(super) fn ends_at(subscription: &Value) -> i64 {
    subscription.pointer("/items/data/0/current_period_end").and_then(Value::as_i64).unwrap_or(i64::MAX)
}

/// Whether time alone does something to a subscription at its period's end.
pub(super) fn runs(subscription: &Value) -> bool {
    ["active", "trialing"].contains(&subscription["status"].as_str().unwrap_or_default())
}

/// The period is over: the next one begins, or the subscription ends.
pub(super) fn turn(world: &mut World, subscription: &str) {
    if world.get(subscription)["cancel_at_period_end"] == json!(true) {
        end(world, subscription);
        return;
    }
    let (price, start, periods) = (price(world, subscription), ends_at(world.get(subscription)), world.number(subscription, "/_periods") + 1);
    let end = period_end(world, subscription, &price, periods);
    set_item(world, subscription, &price, start, end);
    world.set(subscription, json!({"_periods": periods, "status": "active"}));
    let amount = world.number(&price, "/unit_amount");
    let lines = [invoices::period_line(world, subscription, amount)];
    let invoice = invoices::write(world, subscription, "subscription_cycle", &lines);
    invoices::collect(world, &invoice);
    world.emit("customer.subscription.updated", subscription);
}

/// Ends a subscription now.
pub(super) fn end(world: &mut World, subscription: &str) {
    let now = world.now();
    let canceled = world.get(subscription)["canceled_at"].as_i64().unwrap_or(now);
    world.set(subscription, json!({"status": "canceled", "ended_at": now, "canceled_at": canceled}));
    world.emit("customer.subscription.deleted", subscription);
}

/// Answers `DELETE /v1/subscriptions/{id}`.
pub(super) fn cancel(world: &mut World, subscription: &str) -> Result<Value, Refusal> {
    over(world, subscription)?;
    end(world, subscription);
    Ok(world.show(subscription))
}

fn over(world: &World, subscription: &str) -> Result<(), Refusal> {
    if world.text(subscription, "/status") != "canceled" {
        return Ok(());
    }
    // As Stripe does: what has ended cannot be found any more, except by looking at it.
    Err(Refusal::missing("id", subscription, "subscription"))
}

/// Answers `POST /v1/subscriptions/{id}`.
pub(super) fn update(world: &mut World, subscription: &str, form: &Value) -> Result<Value, Refusal> {
    over(world, subscription)?;
    if let Some(data) = form.pointer("/items/0/price_data").cloned() {
        let known = world.text(subscription, "/items/data/0/id");
        if text(form, "/items/0/id") != Some(known.as_str()) {
            return Err(Refusal::invalid("items[0][id]", "A subscription of this simulation has one item, whose id must be given.", ""));
        }
        let price = catalog::price_of(world, &data)?;
        // An invoice that is written now shows the metadata that come with the request.
        let before = world.get(subscription)["metadata"].clone();
        set_metadata(world, subscription, form);
        if let Err(refusal) = change_price(world, subscription, &price, form) {
            world.set(subscription, json!({"metadata": before}));
            return Err(refusal);
        }
    }
    if form.get("cancel_at_period_end").is_some() {
        let cancels = flag(form, "/cancel_at_period_end");
        let (at, now) = (ends_at(world.get(subscription)), world.now());
        let (cancel_at, canceled_at) = if cancels { (json!(at), json!(now)) } else { (Value::Null, Value::Null) };
        world.set(subscription, json!({"cancel_at_period_end": cancels, "cancel_at": cancel_at, "canceled_at": canceled_at}));
    }
    if let Some(method) = text(form, "/default_payment_method") {
        world.find(Kind::Method, method).ok_or_else(|| Refusal::missing("default_payment_method", method, "PaymentMethod"))?;
        world.set(subscription, json!({"default_payment_method": method}));
    }
    set_metadata(world, subscription, form);
    world.emit("customer.subscription.updated", subscription);
    Ok(world.show(subscription))
}

fn set_metadata(world: &mut World, subscription: &str, form: &Value) {
    let mut metadata: Map<String, Value> = world.get(subscription)["metadata"].as_object().cloned().unwrap_or_default();
    metadata.extend(object(form, "/metadata").as_object().cloned().unwrap_or_default());
    world.set(subscription, json!({"metadata": metadata}));
}

/// Another price: from the next period on, or at once with a new period and its invoice.
fn change_price(world: &mut World, subscription: &str, price: &str, form: &Value) -> Result<(), Refusal> {
    let item = world.get(subscription)["items"]["data"][0].clone();
    let (start, end) = (item["current_period_start"].as_i64().unwrap_or_default(), ends_at(world.get(subscription)));
    if world.text(price, "/currency") != world.text(subscription, "/currency") {
        return Err(Refusal::invalid("items[0][price_data][currency]", "The price specified must use the subscription's currency.", ""));
    }
    if text(form, "/billing_cycle_anchor/type") != Some("now") {
        set_item(world, subscription, price, start, end);
        return Ok(());
    }
    let before = world.get(subscription).clone();
    let now = world.now();
    let old = world.number(item["price"]["id"].as_str().unwrap_or_default(), "/unit_amount");
    world.set(subscription, json!({"billing_cycle_anchor": now, "_periods": 1, "status": "active", "trial_end": null}));
    let new_end = period_end(world, subscription, price, 1);
    set_item(world, subscription, price, now, new_end);
    let amount = world.number(price, "/unit_amount");
    let mut lines = Vec::new();
    if text(form, "/proration_behavior") != Some("none") && end > start && before["status"] == "active" {
        let left = i128::from(old) * i128::from((end - now).max(0)) / i128::from(end - start);
        lines.push(invoices::unused_line(world, subscription, -i64::try_from(left).unwrap_or_default(), now, end));
    }
    lines.push(invoices::period_line(world, subscription, amount));
    let written = world.messages.len();
    let invoice = invoices::write(world, subscription, "subscription_update", &lines);
    match invoices::collect(world, &invoice) {
        Some(Verdict::Declined(_)) if text(form, "/payment_behavior") == Some("error_if_incomplete") => {
            let intent = world.text(&invoice, "/_intent");
            let refusal = payments::declined(world, &intent);
            world.messages.truncate(written); // as if it had never been
            world.set(&invoice, json!({"status": "void", "next_payment_attempt": null}));
            world.set(subscription, before);
            Err(refusal)
        }
        _ => Ok(()),
    }
}
