//! What messages tell, in the shapes of several versions of the API, and what is not believed.

use super::event;
use super::objects;
use crate::kernel::{Currency, Money};
use crate::payments::provider::Event;
use proptest::prelude::*;
use serde_json::{Value, json};

fn message(kind: &str, object: Value) -> Vec<u8> {
    json!({"id": "evt_1", "object": "event", "type": kind, "created": 1_800_000_000, "data": {"object": object}, "a_new_field": {"x": [1]}})
        .to_string()
        .into_bytes()
}

fn session() -> Value {
    json!({
        "id": "cs_1", "object": "checkout.session", "mode": "payment", "status": "complete", "payment_status": "paid", "amount_total": 5000, "currency": "usd",
        "customer": {"id": "cus_1", "object": "customer"}, "payment_intent": "pi_1", "subscription": null, "created": 1, "expires_at": 2,
        "metadata": {"farebox_order": "0000000000007"}, "client_reference_id": "0000000000008", "brand_new": true,
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut session = session();
    session[pointer] = value;
    session
}

#[test]
fn unknown_fields_and_kinds_are_passed_over() {
    let Event::CheckoutCompleted(told) = event::read(&message("checkout.session.completed", session())).unwrap() else { panic!() };
    assert_eq!((told.customer.as_deref(), told.total), (Some("cus_1"), Money::new(5000, Currency::USD)));
    assert_eq!(told.order, Some(crate::kernel::Id(7)), "the metadata counts, and not the reference that a link may carry");
    assert_eq!(event::read(&message("brand.new.kind", json!({"object": "brand_new"}))), Ok(Event::Other));
    let foreign = json!({"id": "sub_1", "object": "subscription", "status": "active", "items": {"data": []}});
    assert_eq!(event::read(&message("customer.subscription.updated", foreign)), Ok(Event::Other), "what another program sells in the same account");
}

#[test]
fn amounts_currencies_and_ids_must_be_as_they_should() {
    for (field, value) in [
        ("amount_total", json!(50.0)),
        ("amount_total", json!("5000")),
        ("amount_total", json!(-1)),
        ("amount_total", Value::Null),
        ("amount_total", json!(1e30)),
        ("currency", json!("dollars")),
        ("currency", Value::Null),
        ("id", json!("")),
        ("id", json!("cs_1/../x")),
        ("customer", json!(7)),
        ("payment_intent", json!({"object": "payment_intent"})),
        ("status", json!("unheard_of")),
        ("payment_status", json!("mostly_paid")),
        ("created", json!("yesterday")),
        ("object", json!("payment_intent")),
    ] {
        let error = event::read(&message("checkout.session.completed", with(field, value.clone()))).unwrap_err();
        assert!(error.0.contains(field), "{field} {value}: {error}");
    }
    for order in [json!("7"), json!(7), Value::Null, json!("ZZZZZZZZZZZZZ")] {
        let read = event::read(&message("checkout.session.completed", with("metadata", json!({"farebox_order": order}))));
        assert!(matches!(read, Ok(Event::CheckoutCompleted(told)) if told.order.is_none()));
    }
}

#[test]
fn invoices_of_old_and_new_versions_tell_the_same() {
    let line = json!({"period": {"start": 100, "end": 200}});
    let old_line = |proration: bool, start: i64| json!({"type": "subscription", "proration": proration, "period": {"start": start, "end": start + 100}});
    let common = json!({
        "id": "in_1", "object": "invoice", "status": "paid", "billing_reason": "subscription_cycle", "total": 900, "amount_paid": 900, "currency": "eur", "created": 5,
        "period_start": 0, "period_end": 100, "customer": "cus_1", "attempt_count": 1,
    });
    let mut old = common.clone();
    old["subscription"] = json!("sub_1");
    old["payment_intent"] = json!("pi_1");
    old["subscription_details"] = json!({"metadata": {"farebox_order": "0000000000007"}});
    old["lines"] = json!({"data": [old_line(true, 900), old_line(false, 100)]});
    let mut new = common;
    new["parent"] = json!({"type": "subscription_details", "subscription_details": {"subscription": "sub_1", "metadata": {"farebox_order": "0000000000007"}}});
    new["payments"] = json!({"data": [{"payment": {"type": "payment_intent", "payment_intent": "pi_1"}}]});
    let mut period = line.clone();
    period["parent"] = json!({"type": "subscription_item_details", "subscription_item_details": {"proration": false}});
    let mut unused = json!({"period": {"start": 900, "end": 1000}});
    unused["parent"] = json!({"type": "subscription_item_details", "subscription_item_details": {"proration": true}});
    new["lines"] = json!({"data": [period, unused]});
    let read = objects::invoice(&old).unwrap();
    assert_eq!(read, objects::invoice(&new).unwrap());
    assert_eq!((read.period_start, read.period_end, read.payment.as_deref()), (100_000, 200_000, Some("pi_1")));
}

#[test]
fn a_subscription_has_its_period_on_itself_or_on_its_item() {
    let with_item = |item: Value, own: Value| {
        let mut value = json!({
            "id": "sub_1", "object": "subscription", "status": "active", "currency": "jpy", "customer": "cus_1", "cancel_at_period_end": false,
            "items": {"data": [item]}, "metadata": {"farebox_plan": "0000000000009"},
        });
        for (name, moment) in own.as_object().unwrap() {
            value[name] = moment.clone();
        }
        objects::subscription(&value).unwrap()
    };
    let period = json!({"current_period_start": 10, "current_period_end": 20});
    let mut item = json!({"price": {"unit_amount": 500}, "quantity": 2});
    let old = with_item(item.clone(), period.clone());
    item["current_period_start"] = json!(10);
    item["current_period_end"] = json!(20);
    assert_eq!(old, with_item(item, json!({})));
    assert_eq!((old.price.display().as_str(), old.period_end), ("JPY 1,000", 20_000));
}

proptest! {
    #[test]
    fn no_message_makes_it_panic(raw in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = event::read(&raw);
        let _ = event::incoming(&raw);
    }

    #[test]
    fn no_value_in_any_field_makes_it_panic(field in 0_usize..12, kind in 0_usize..7, number in any::<i64>(), text in ".{0,30}") {
        let object = session();
        let name = object.as_object().unwrap().keys().nth(field).unwrap().clone();
        let kinds = ["checkout.session.completed", "payment_intent.succeeded", "invoice.paid", "customer.subscription.updated", "charge.refunded", "charge.dispute.created", "refund.created"];
        for value in [json!(number), json!(text), json!([number]), json!({"id": text}), Value::Null] {
            let _ = event::read(&message(kinds[kind], with(&name, value)));
        }
    }
}
