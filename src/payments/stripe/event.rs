//! Reads messages: the envelope first, and what it tells when it tells something that the shop acts on.

use super::objects;
use super::thing::Thing;
use crate::payments::provider::{Event, Incoming, Unreadable};
use serde_json::Value;

/// The envelope of a message.
pub(super) fn incoming(raw: &[u8]) -> Result<Incoming, Unreadable> {
    envelope(&parse(raw)?, raw.to_vec())
}

/// The same from an event in a list, whose text is made from it.
pub(super) fn fetched(value: &Value) -> Result<Incoming, Unreadable> {
    envelope(value, value.to_string().into_bytes())
}

fn envelope(value: &Value, raw: Vec<u8>) -> Result<Incoming, Unreadable> {
    let thing = Thing::new(value, "event")?;
    Ok(Incoming { id: thing.id()?, kind: thing.word("/type")?.to_owned(), created_at: thing.moment("/created")?, raw })
}

fn parse(raw: &[u8]) -> Result<Value, Unreadable> {
    serde_json::from_slice(raw).map_err(|error| Unreadable(format!("the message is no JSON: {error}")))
}

/// What a message tells.
pub(super) fn read(raw: &[u8]) -> Result<Event, Unreadable> {
    let value = parse(raw)?;
    let thing = Thing::new(&value, "event")?;
    thing.id()?;
    let object = thing.get("/data/object").ok_or_else(|| thing.wrong("/data/object"))?;
    let event = told(thing.word("/type")?, object);
    match event {
        // Other programs may use the same account, and sell things that this one does not understand.
        Err(_) if !mentions_us(object) => Ok(Event::Other),
        event => event,
    }
}

fn told(kind: &str, object: &Value) -> Result<Event, Unreadable> {
    Ok(match kind {
        "checkout.session.completed" => Event::CheckoutCompleted(objects::checkout(object)?),
        "checkout.session.async_payment_succeeded" => Event::CheckoutPaid(objects::checkout(object)?),
        "checkout.session.async_payment_failed" => Event::CheckoutFailed(objects::checkout(object)?),
        "checkout.session.expired" => Event::CheckoutExpired(objects::checkout(object)?),
        "payment_intent.succeeded" => Event::PaymentPaid(objects::payment(object)?),
        "payment_intent.payment_failed" => Event::PaymentFailed(objects::payment(object)?),
        "payment_intent.requires_action" => Event::PaymentNeedsAction(objects::payment(object)?),
        "payment_intent.canceled" => Event::PaymentCanceled(objects::payment(object)?),
        "invoice.paid" => Event::InvoicePaid(objects::invoice(object)?),
        "invoice.payment_failed" => Event::InvoiceFailed(objects::invoice(object)?),
        "charge.refunded" => Event::Refunded(objects::refunded(object)?),
        "refund.created" | "refund.updated" | "refund.failed" => Event::Refund(objects::refund(object)?),
        _ if kind.starts_with("customer.subscription.") && object["object"] == "subscription" => Event::Subscription(objects::subscription(object)?),
        _ if kind.starts_with("charge.dispute.") && object["object"] == "dispute" => Event::Dispute(objects::dispute(object)?),
        _ => Event::Other,
    })
}

/// Whether one of our ids stands anywhere in the object, or it is of a kind that never has one.
fn mentions_us(object: &Value) -> bool {
    let kinds_without = ["charge", "refund", "dispute", "payment_intent"];
    kinds_without.iter().any(|kind| object["object"] == *kind) || object.to_string().contains(objects::ORDER)
}
