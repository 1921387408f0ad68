//! Checkout sessions: made by the shop, paid by a customer on a page, expired by time.

use super::api::Refusal;
use super::card::{Card, Verdict};
use super::form::{object, text};
use super::payments::{self, amount, currency};
use super::world::{Kind, World};
use super::{billing, catalog};
use serde_json::{Value, json};

const HALF_AN_HOUR: i64 = 1800;
const DAY: i64 = 86_400;

/// Answers `POST /v1/checkout/sessions`.
pub(super) fn create(world: &mut World, form: &Value) -> Result<Value, Refusal> {
    let mode = text(form, "/mode").filter(|mode| ["payment", "subscription"].contains(mode));
    let mode = mode.ok_or_else(|| Refusal::invalid("mode", "Invalid mode: must be one of payment, subscription.", ""))?.to_owned();
    let success_url = url(form, "/success_url")?;
    let customer = text(form, "/customer").map(str::to_owned);
    if let Some(customer) = &customer {
        world.find(Kind::Customer, customer).ok_or_else(|| Refusal::missing("customer", customer, "customer"))?;
    }
    let expires_at = expiry(world, form)?;
    let (price, total, title) = line(world, form, &mode)?;
    let trial = text(form, "/subscription_data/trial_period_days").and_then(|days| days.parse::<i64>().ok()).filter(|days| *days > 0 && mode == "subscription");
    let due = if trial.is_some() { 0 } else { total };
    let fields = json!({
        "mode": mode, "success_url": success_url, "cancel_url": text(form, "/cancel_url"), "client_reference_id": text(form, "/client_reference_id"),
        "customer": customer, "metadata": object(form, "/metadata"), "expires_at": expires_at, "currency": world.get(&price)["currency"], "amount_subtotal": due,
        "amount_total": due, "locale": text(form, "/locale"), "payment_method_types": ["card", "customer_balance"],
        "_price": price, "_title": title, "_trial": trial, "_intent_data": object(form, "/payment_intent_data"), "_subscription_data": object(form, "/subscription_data"),
    });
    let session = world.make(Kind::Session, fields);
    let url = format!("{}/c/pay/{session}", world.base);
    world.set(&session, json!({"url": url}));
    Ok(world.show(&session))
}

fn url(form: &Value, pointer: &str) -> Result<String, Refusal> {
    let name = &pointer[1..];
    let typed = text(form, pointer).ok_or_else(|| Refusal::invalid(name, &format!("Missing required param: {name}."), "parameter_missing"))?;
    match url::Url::parse(&typed.replace(['{', '}'], "")) {
        Ok(_) => Ok(typed.to_owned()),
        Err(_) => Err(Refusal::invalid(name, "Not a valid URL", "url_invalid")),
    }
}

fn expiry(world: &World, form: &Value) -> Result<i64, Refusal> {
    let Some(typed) = text(form, "/expires_at") else { return Ok(world.now() + DAY) };
    let at = typed.parse::<i64>().map_err(|_| Refusal::invalid("expires_at", "Invalid timestamp", ""))?;
    // A minute of grace: the request took its time.
    if (world.now() + HALF_AN_HOUR - 60..=world.now() + DAY + 60).contains(&at) {
        return Ok(at);
    }
    Err(Refusal::invalid("expires_at", "The `expires_at` timestamp must be between 30 minutes and 24 hours from the time of Checkout Session creation.", ""))
}

/// The one line that a session of this shop has: the price, the total, the title.
fn line(world: &mut World, form: &Value, mode: &str) -> Result<(String, i64, String), Refusal> {
    let lines = form.get("line_items").and_then(Value::as_array).map(Vec::len).unwrap_or_default();
    if lines != 1 {
        return Err(Refusal::invalid("line_items", "This simulation takes exactly one line item.", "parameter_missing"));
    }
    let price = match text(form, "/line_items/0/price") {
        Some(price) => world.find(Kind::Price, price).map(|_| price.to_owned()).ok_or_else(|| Refusal::missing("line_items[0][price]", price, "price"))?,
        None => catalog::price_of(world, &object(form, "/line_items/0/price_data"))?,
    };
    let quantity: i64 =
        text(form, "/line_items/0/quantity").unwrap_or("1").parse().map_err(|_| Refusal::invalid("line_items[0][quantity]", "Invalid integer", ""))?;
    let recurring = !world.get(&price)["recurring"].is_null();
    if recurring != (mode == "subscription") {
        return Err(Refusal::invalid("line_items[0]", "You must provide a recurring price in `subscription` mode and a one-time price in `payment` mode.", ""));
    }
    let product = world.text(&price, "/product");
    Ok((price.clone(), world.number(&price, "/unit_amount") * quantity, world.text(&product, "/name")))
}

/// What a customer does on the page.
pub(super) enum Step {
    /// Through with it: to the shop's page.
    Done(String),
    /// The bank asks.
    Confirm(String),
    /// No: the sentence to show.
    No(String),
}

/// A customer pays.
pub(super) fn pay(world: &mut World, session: &str, card: Card) -> Result<Step, Refusal> {
    if world.text(session, "/status") != "open" {
        return Err(Refusal::invalid("", "This Checkout Session is no longer open.", ""));
    }
    let customer = customer(world, session);
    let method = payments::new_method(world, card, None);
    if world.number(session, "/amount_total") == 0 {
        attach(world, &method, &customer);
        world.set(session, json!({"_method": method}));
        complete(world, session, None)?;
        return Ok(Step::Done(success_url(world, session)));
    }
    let intent = intent(world, session, &customer);
    if saves_card(world, session) && !matches!(card.verdict(true), Verdict::Declined(_)) {
        attach(world, &method, &customer);
    }
    match payments::attempt(world, &intent, &method, true) {
        Verdict::Declined(reason) => return Ok(Step::No(reason.message.to_owned())),
        Verdict::Confirm => {
            let back = success_url(world, session);
            payments::ask_to_confirm(world, &intent, &back);
            return Ok(Step::Confirm(format!("{}/bank/{intent}", world.base)));
        }
        Verdict::Paid | Verdict::Later => {}
    }
    paid_or_not(world, session, &intent)?;
    payments::open_disputes(world);
    Ok(Step::Done(success_url(world, session)))
}

/// The session's payment has gone one step further.
pub(super) fn paid_or_not(world: &mut World, session: &str, intent: &str) -> Result<(), Refusal> {
    let status = world.text(intent, "/status");
    let open = world.text(session, "/status") == "open";
    match (open, status.as_str()) {
        (true, "succeeded" | "processing") => complete(world, session, Some(intent)),
        (false, "succeeded") if world.text(session, "/payment_status") == "unpaid" => {
            world.set(session, json!({"payment_status": "paid"}));
            if world.text(session, "/mode") == "subscription" {
                billing::first_invoice_paid(world, &world.text(session, "/subscription"), intent);
            }
            world.emit("checkout.session.async_payment_succeeded", session);
            Ok(())
        }
        (false, "requires_payment_method") => {
            world.emit("checkout.session.async_payment_failed", session);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn complete(world: &mut World, session: &str, intent: Option<&str>) -> Result<(), Refusal> {
    let paid = intent.is_some_and(|intent| world.text(intent, "/status") == "succeeded");
    let payment_status = match intent {
        None => "no_payment_required",
        Some(_) if paid => "paid",
        Some(_) => "unpaid",
    };
    let customer = world.text(session, "/customer");
    let details = json!({"email": world.get(&customer)["email"], "name": null, "phone": null, "address": null, "tax_exempt": "none", "tax_ids": []});
    world.set(session, json!({"status": "complete", "payment_status": payment_status, "url": null, "customer_details": details}));
    if world.text(session, "/mode") == "subscription" {
        let method = intent.map_or_else(|| world.text(session, "/_method"), |intent| world.text(intent, "/_method"));
        let (subscription, invoice) = billing::begin(world, session, &method, intent)?;
        world.set(session, json!({"subscription": subscription, "invoice": invoice}));
    } else {
        world.set(session, json!({"payment_intent": intent}));
    }
    world.emit("checkout.session.completed", session);
    Ok(())
}

/// The session's customer, made now when the shop named none.
fn customer(world: &mut World, session: &str) -> String {
    let known = world.text(session, "/customer");
    if !known.is_empty() {
        return known;
    }
    let customer = world.make(Kind::Customer, json!({"email": "guest@example.com"}));
    world.set(session, json!({"customer": customer}));
    customer
}

/// The session's payment, made at the first attempt to pay.
fn intent(world: &mut World, session: &str, customer: &str) -> String {
    let known = world.text(session, "/_intent");
    if !known.is_empty() {
        return known;
    }
    let (total, currency) = (world.number(session, "/amount_total"), world.text(session, "/currency"));
    let data = world.get(session)["_intent_data"].clone();
    let metadata = if world.text(session, "/mode") == "payment" { object(&data, "/metadata") } else { json!({}) };
    let fields = json!({
        "customer": customer, "metadata": metadata, "description": text(&data, "/description"), "setup_future_usage": text(&data, "/setup_future_usage"),
        "_session": session,
    });
    let intent = payments::new_intent(world, total, &currency, fields);
    world.set(session, json!({"_intent": intent}));
    intent
}

fn saves_card(world: &World, session: &str) -> bool {
    world.text(session, "/mode") == "subscription" || world.text(session, "/_intent_data/setup_future_usage") == "off_session"
}

fn attach(world: &mut World, method: &str, customer: &str) {
    world.set(method, json!({"customer": customer}));
    world.emit("payment_method.attached", method);
}

/// Where a customer goes who has paid.
pub(super) fn success_url(world: &World, session: &str) -> String {
    world.text(session, "/success_url").replace("{CHECKOUT_SESSION_ID}", session)
}

/// Answers `POST /v1/checkout/sessions/{id}/expire`, and what the clock does.
pub(super) fn expire(world: &mut World, session: &str) -> Result<Value, Refusal> {
    let status = world.text(session, "/status");
    if status != "open" {
        let message = format!("Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of `{status}`.");
        return Err(Refusal::invalid("", &message, ""));
    }
    world.set(session, json!({"status": "expired", "url": null}));
    world.emit("checkout.session.expired", session);
    Ok(world.show(session))
}

/// Checks a price that is written into a request: `currency`, `unit_amount`.
pub(super) fn unit(form: &Value) -> Result<(i64, String), Refusal> {
    Ok((amount(form, "/unit_amount")?, currency(form, "/currency")?))
}
