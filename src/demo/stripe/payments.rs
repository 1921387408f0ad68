//! Payment intents and what follows from them: charges, fees, refunds, disputes.

use super::api::Refusal;
use super::card::{Card, NOT_CONFIRMED, Reason, Verdict};
use super::form::{flag, object, text};
use super::world::{Kind, World};
use super::{checkout, invoices};
use serde_json::{Value, json};

/// What the bank takes for a dispute, won or lost, in minor units.
const DISPUTE_FEE: i64 = 1500;

/// Answers `POST /v1/payment_intents`.
pub(super) fn create(world: &mut World, form: &Value) -> Result<Value, Refusal> {
    let amount = amount(form, "/amount")?;
    let currency = currency(form, "/currency")?;
    let customer = text(form, "/customer").map(str::to_owned);
    if let Some(customer) = &customer {
        world.find(Kind::Customer, customer).ok_or_else(|| Refusal::missing("customer", customer, "customer"))?;
    }
    let intent =
        new_intent(world, amount, &currency, json!({"customer": customer, "description": text(form, "/description"), "metadata": object(form, "/metadata")}));
    if !flag(form, "/confirm") {
        return Ok(world.show(&intent));
    }
    confirm(world, &intent, form)
}

/// A payment intent that waits for a card.
pub(super) fn new_intent(world: &mut World, amount: i64, currency: &str, fields: Value) -> String {
    let intent = world.make(Kind::Intent, fields);
    let secret = format!("{intent}_secret_{}", world.letters(24));
    world.set(&intent, json!({"amount": amount, "currency": currency, "client_secret": secret}));
    world.emit("payment_intent.created", &intent);
    intent
}

/// Answers `POST /v1/payment_intents/{id}/confirm`.
pub(super) fn confirm(world: &mut World, intent: &str, form: &Value) -> Result<Value, Refusal> {
    let status = world.text(intent, "/status");
    if !["requires_payment_method", "requires_confirmation", "requires_action"].contains(&status.as_str()) {
        return Err(unexpected(world, intent, &format!("You cannot confirm this PaymentIntent because it has a status of {status}.")));
    }
    let method = text(form, "/payment_method").map_or_else(|| world.text(intent, "/_method"), str::to_owned);
    if world.find(Kind::Method, &method).is_none() {
        return Err(Refusal::invalid(
            "payment_method",
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            "payment_intent_unexpected_state",
        ));
    }
    let owner = world.text(&method, "/customer");
    if owner != world.text(intent, "/customer") {
        return Err(Refusal::invalid("payment_method", "The PaymentMethod does not belong to the Customer of this PaymentIntent.", ""));
    }
    let away = flag(form, "/off_session");
    match attempt(world, intent, &method, !away) {
        Verdict::Paid | Verdict::Later => {}
        Verdict::Declined(_) => return Err(declined(world, intent)),
        Verdict::Confirm => {
            let Some(return_url) = text(form, "/return_url") else {
                return Err(Refusal::invalid("return_url", "A return_url is needed: this PaymentIntent redirects to the customer's bank.", ""));
            };
            ask_to_confirm(world, intent, return_url);
        }
    }
    Ok(world.show(intent))
}

/// Charges a payment method, and notes on the payment intent what came of it.
pub(super) fn attempt(world: &mut World, intent: &str, method: &str, owner_is_there: bool) -> Verdict {
    let card = world.cards.get(method).copied().unwrap_or(Card::Declined);
    let verdict = card.verdict(owner_is_there);
    world.set(intent, json!({"_method": method, "next_action": null}));
    match verdict {
        Verdict::Paid => charge(world, intent),
        Verdict::Later => {
            world.set(intent, json!({"status": "processing", "payment_method": method, "last_payment_error": null}));
            world.emit("payment_intent.processing", intent);
        }
        Verdict::Declined(reason) => fail(world, intent, reason),
        Verdict::Confirm => {
            world.set(intent, json!({"status": "requires_action", "payment_method": method}));
            world.emit("payment_intent.requires_action", intent);
        }
    }
    verdict
}

/// Sends the customer to the bank's page, and from there to `return_url`.
pub(super) fn ask_to_confirm(world: &mut World, intent: &str, return_url: &str) {
    let url = format!("{}/bank/{intent}", world.base);
    world
        .set(intent, json!({"_return_url": return_url, "next_action": {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": return_url}}}));
}

/// The customer has said yes or no on the bank's page. Where the customer goes from there.
pub(super) fn answered(world: &mut World, intent: &str, yes: bool) -> Result<String, Refusal> {
    if world.text(intent, "/status") != "requires_action" {
        return Err(unexpected(world, intent, "This payment waits for no confirmation."));
    }
    if yes {
        charge(world, intent);
    } else {
        fail(world, intent, NOT_CONFIRMED);
    }
    paid_for(world, intent)?;
    let session = world.text(intent, "/_session");
    if !session.is_empty() {
        return Ok(if yes { checkout::success_url(world, &session) } else { format!("{}/c/pay/{session}?failed=1", world.base) });
    }
    let (url, secret) = (world.text(intent, "/_return_url"), world.text(intent, "/client_secret"));
    let joint = if url.contains('?') { '&' } else { '?' };
    let status = if yes { "succeeded" } else { "failed" };
    Ok(format!("{url}{joint}payment_intent={intent}&payment_intent_client_secret={secret}&redirect_status={status}"))
}

/// The money of a transfer has come, or will not come.
pub(super) fn settle(world: &mut World, intent: &str, comes: bool) -> Result<(), Refusal> {
    if world.text(intent, "/status") != "processing" {
        return Err(unexpected(world, intent, "This payment is not under way."));
    }
    if comes {
        charge(world, intent);
    } else {
        fail(world, intent, super::card::GENERIC);
    }
    paid_for(world, intent)
}

/// Tells whatever the payment was for: a checkout or an invoice.
fn paid_for(world: &mut World, intent: &str) -> Result<(), Refusal> {
    let (session, invoice) = (world.text(intent, "/_session"), world.text(intent, "/_invoice"));
    if !session.is_empty() {
        checkout::paid_or_not(world, &session, intent)?;
    } else if !invoice.is_empty() && world.text(intent, "/status") == "succeeded" {
        invoices::paid(world, &invoice, Some(intent));
    }
    Ok(())
}

fn fail(world: &mut World, intent: &str, reason: Reason) {
    let method = world.show(&world.text(intent, "/_method"));
    let error = json!({
        "type": "card_error", "code": reason.code, "decline_code": Some(reason.decline_code).filter(|code| !code.is_empty()), "message": reason.message,
        "doc_url": format!("https://stripe.com/docs/error-codes/{}", reason.code.replace('_', "-")), "payment_method": method,
    });
    world.set(intent, json!({"status": "requires_payment_method", "payment_method": null, "next_action": null, "last_payment_error": error}));
    world.emit("payment_intent.payment_failed", intent);
}

/// The error with which Stripe answers a decline.
pub(super) fn declined(world: &World, intent: &str) -> Refusal {
    let mut error = world.get(intent)["last_payment_error"].clone();
    error["payment_intent"] = world.show(intent);
    Refusal { status: 402, error }
}

fn charge(world: &mut World, intent: &str) {
    let method = world.text(intent, "/_method");
    let (amount, currency) = (world.number(intent, "/amount"), world.text(intent, "/currency"));
    let card = world.get(&method)["card"].clone();
    let kind = world.text(&method, "/type");
    let details = if kind == "card" { card_details(world, &card) } else { json!({"type": kind, kind.as_str(): {}}) };
    let charge = world.make(
        Kind::Charge,
        json!({
            "amount": amount, "amount_captured": amount, "captured": true, "paid": true, "status": "succeeded", "currency": currency, "payment_intent": intent,
            "customer": world.get(intent)["customer"], "payment_method": method, "payment_method_details": details, "metadata": world.get(intent)["metadata"],
            "description": world.get(intent)["description"],
        }),
    );
    let fee = amount * 29 / 1000 + 30;
    let balance = balance(world, "charge", "charge", &charge, amount, fee);
    world.set(&charge, json!({"balance_transaction": balance}));
    let paid = json!({"status": "succeeded", "amount_received": amount, "latest_charge": charge, "payment_method": method, "next_action": null, "last_payment_error": null});
    world.set(intent, paid);
    world.emit("charge.succeeded", &charge);
    world.emit("payment_intent.succeeded", intent);
    if world.cards.get(&method) == Some(&Card::Disputes) {
        world.set(intent, json!({"_dispute": true}));
    }
}

fn card_details(world: &World, card: &Value) -> Value {
    let mut details = world.shape(Kind::Charge, json!({}))["payment_method_details"].clone();
    for field in ["brand", "last4", "exp_month", "exp_year"] {
        details["card"][field] = card[field].clone();
    }
    details
}

/// A line in the account.
fn balance(world: &mut World, kind: &str, category: &str, source: &str, amount: i64, fee: i64) -> String {
    let currency = world.text(source, "/currency");
    let details = if fee == 0 {
        json!([])
    } else {
        json!([{"amount": fee, "currency": currency, "type": "stripe_fee", "description": "Stripe processing fees", "application": null}])
    };
    let fields = json!({
        "amount": amount, "fee": fee, "net": amount - fee, "currency": currency, "type": kind, "reporting_category": category, "source": source,
        "fee_details": details, "available_on": world.now() + 172_800, "status": "pending",
    });
    world.make(Kind::Balance, fields)
}

/// Answers `POST /v1/payment_intents/{id}/cancel`.
pub(super) fn cancel(world: &mut World, intent: &str) -> Result<Value, Refusal> {
    let status = world.text(intent, "/status");
    if !status.starts_with("requires_") {
        return Err(unexpected(world, intent, &format!("You cannot cancel this PaymentIntent because it has a status of {status}.")));
    }
    world.set(intent, json!({"status": "canceled", "canceled_at": world.now(), "next_action": null}));
    world.emit("payment_intent.canceled", intent);
    Ok(world.show(intent))
}

fn unexpected(world: &World, intent: &str, message: &str) -> Refusal {
    let mut refusal = Refusal::invalid("", message, "payment_intent_unexpected_state");
    refusal.error["payment_intent"] = world.show(intent);
    refusal
}

/// Answers `POST /v1/refunds`.
pub(super) fn refund(world: &mut World, form: &Value) -> Result<Value, Refusal> {
    let charge = match (text(form, "/payment_intent"), text(form, "/charge")) {
        (Some(intent), _) => {
            world.find(Kind::Intent, intent).ok_or_else(|| Refusal::missing("payment_intent", intent, "payment_intent"))?;
            world.text(intent, "/latest_charge")
        }
        (None, Some(charge)) => charge.to_owned(),
        (None, None) => {
            return Err(Refusal::invalid("payment_intent", "One of the following params should be provided for this request: payment_intent or charge.", ""));
        }
    };
    world.find(Kind::Charge, &charge).ok_or_else(|| Refusal::missing("charge", &charge, "charge"))?;
    let left = world.number(&charge, "/amount") - world.number(&charge, "/amount_refunded");
    if left == 0 {
        return Err(Refusal::invalid("", &format!("Charge {charge} has already been refunded."), "charge_already_refunded"));
    }
    if !world.text(&charge, "/_charged_back").is_empty() {
        return Err(Refusal::invalid("", &format!("Charge {charge} has been charged back; cannot issue a refund."), "charge_disputed"));
    }
    let amount = if text(form, "/amount").is_some() { amount(form, "/amount")? } else { left };
    if amount < 1 || amount > left {
        let message = format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left})");
        return Err(Refusal::invalid("amount", &message, ""));
    }
    let refund = give_back(world, &charge, amount, object(form, "/metadata"), text(form, "/reason"));
    Ok(world.show(&refund))
}

fn give_back(world: &mut World, charge: &str, amount: i64, metadata: Value, reason: Option<&str>) -> String {
    let fields = json!({
        "amount": amount, "charge": charge, "payment_intent": world.get(charge)["payment_intent"], "currency": world.get(charge)["currency"],
        "metadata": metadata, "reason": reason, "status": "succeeded",
    });
    let refund = world.make(Kind::Refund, fields);
    let balance = balance(world, "refund", "refund", &refund, -amount, 0);
    world.set(&refund, json!({"balance_transaction": balance}));
    let refunded = world.number(charge, "/amount_refunded") + amount;
    world.set(charge, json!({"amount_refunded": refunded, "refunded": refunded == world.number(charge, "/amount")}));
    world.emit("refund.created", &refund);
    world.emit("charge.refunded", charge);
    refund
}

/// The customer's bank takes the money back. The id of the dispute.
pub(super) fn dispute(world: &mut World, intent: &str, reason: &str) -> Result<String, Refusal> {
    let charge = world.text(intent, "/latest_charge");
    if charge.is_empty() || world.get(&charge)["disputed"] == json!(true) {
        return Err(unexpected(world, intent, "There is no charge that can be disputed."));
    }
    let amount = world.number(&charge, "/amount") - world.number(&charge, "/amount_refunded");
    let fields = json!({
        "amount": amount, "charge": charge, "payment_intent": intent, "currency": world.get(&charge)["currency"], "reason": reason, "status": "needs_response",
        "is_charge_refundable": false,
    });
    let dispute = world.make(Kind::Dispute, fields);
    let balance = balance(world, "adjustment", "dispute", &dispute, -amount, DISPUTE_FEE);
    let lines = json!([world.show(&balance)]);
    world.set(&dispute, json!({"balance_transactions": lines}));
    world.set(&charge, json!({"disputed": true, "_charged_back": "yes"}));
    world.emit("charge.dispute.created", &dispute);
    world.emit("charge.dispute.funds_withdrawn", &dispute);
    Ok(dispute)
}

/// The bank has decided.
pub(super) fn close_dispute(world: &mut World, dispute: &str, won: bool) -> Result<Value, Refusal> {
    let open = ["needs_response", "under_review"].contains(&world.text(dispute, "/status").as_str());
    if world.find(Kind::Dispute, dispute).is_none() || !open {
        return Err(Refusal::invalid("", "This dispute is already closed, or there is none.", ""));
    }
    world.set(dispute, json!({"status": if won { "won" } else { "lost" }}));
    if won {
        let back = balance(world, "adjustment", "dispute_reversal", dispute, world.number(dispute, "/amount"), 0);
        let mut lines = world.get(dispute)["balance_transactions"].clone();
        lines.as_array_mut().into_iter().for_each(|lines| lines.push(world.show(&back)));
        world.set(dispute, json!({"balance_transactions": lines}));
        world.set(&world.text(dispute, "/charge"), json!({"_charged_back": ""}));
        world.emit("charge.dispute.funds_reinstated", dispute);
    }
    world.emit("charge.dispute.closed", dispute);
    Ok(world.show(dispute))
}

/// We have sent our evidence.
pub(super) fn answer_dispute(world: &mut World, dispute: &str) -> Result<Value, Refusal> {
    world.find(Kind::Dispute, dispute).ok_or_else(|| Refusal::missing("dispute", dispute, "dispute"))?;
    world.set(dispute, json!({"status": "under_review"}));
    world.emit("charge.dispute.updated", dispute);
    Ok(world.show(dispute))
}

/// Cards whose owners dispute what they paid do so now.
pub(super) fn open_disputes(world: &mut World) {
    for intent in world.ids(Kind::Intent, |intent| intent["_dispute"] == json!(true)) {
        world.set(&intent, json!({"_dispute": null}));
        let _ = dispute(world, &intent, "fraudulent"); // it has a charge: it was paid
    }
}

/// A payment method of this behaviour, for one of our customers when it is saved.
pub(super) fn new_method(world: &mut World, card: Card, customer: Option<&str>) -> String {
    let mut fields = json!({"customer": customer});
    if card == Card::Transfer {
        fields["type"] = json!("customer_balance");
        fields["card"] = Value::Null;
    } else {
        let mut shape = world.shape(Kind::Method, json!({}))["card"].clone();
        shape["last4"] = json!(&card.number()[12..]);
        fields["card"] = shape;
    }
    let method = world.make(Kind::Method, fields);
    world.cards.insert(method.clone(), card);
    method
}

/// Answers `POST /v1/payment_methods/{id}/detach`.
pub(super) fn detach(world: &mut World, method: &str) -> Result<Value, Refusal> {
    if world.text(method, "/customer").is_empty() {
        return Err(Refusal::invalid("", "The payment method you provided is not attached to a customer so detachment is impossible.", ""));
    }
    world.set(method, json!({"customer": null}));
    world.emit("payment_method.detached", method);
    Ok(world.show(method))
}

/// A whole number of minor units, zero or more.
pub(super) fn amount(form: &Value, pointer: &str) -> Result<i64, Refusal> {
    let name = pointer.rsplit('/').next().unwrap_or_default();
    let typed = text(form, pointer).ok_or_else(|| Refusal::invalid(name, &format!("Missing required param: {name}."), "parameter_missing"))?;
    let wrong = || Refusal::invalid(name, &format!("Invalid integer: {typed}"), "parameter_invalid_integer");
    let amount: i64 = typed.parse().map_err(|_| wrong())?;
    if (0..=99_999_999_999).contains(&amount) { Ok(amount) } else { Err(wrong()) }
}

/// The code of a currency, in small letters.
pub(super) fn currency(form: &Value, pointer: &str) -> Result<String, Refusal> {
    let typed = text(form, pointer).ok_or_else(|| Refusal::invalid("currency", "Missing required param: currency.", "parameter_missing"))?;
    let known = typed.parse::<crate::kernel::Currency>().map(|currency| currency.lower());
    known.map_err(|_| Refusal::invalid("currency", &format!("Invalid currency: {typed}."), ""))
}
