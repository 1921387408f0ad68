//! What the door for messages refuses, and messages that are signed and still wrong.

use super::{MINUTE, SECRET, Till};
use crate::harness::TestApp;
use farebox::demo::stripe::{Card, signature};
use farebox::kernel::Usd;
use farebox::payments::State;
use serde_json::Value;

async fn send(shop: &TestApp, signature: Option<&str>, body: &str) -> u16 {
    let mut request = shop.http.post(shop.at("/webhooks/stripe")).body(body.to_owned());
    if let Some(signature) = signature {
        request = request.header("stripe-signature", signature);
    }
    request.send().await.expect("an answer").status().as_u16()
}

async fn stored(shop: &TestApp) -> i64 {
    let mut conn = shop.app.db.read().await.unwrap();
    sqlx::query_scalar("SELECT COUNT(*) FROM payment_event").fetch_one(&mut *conn).await.unwrap()
}

#[tokio::test]
async fn what_is_not_signed_by_the_provider_now_is_refused_and_not_stored() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let (order, checkout) = till.opened(customer.user.id, 10, 0).await;
    let messages = till.messages_of(|| _ = till.stripe.pay(&checkout, Card::Good).unwrap());
    let body = messages.last().unwrap().body.clone();
    let now = till.clock.now_ms() / 1000;
    let altered = body.replace("1000", "9000");
    let refused = [
        (None, body.as_str()),
        (Some(String::new()), &body),
        (Some("t=1,v1=".to_owned()), &body),
        (Some(signature("whsec_other", now, &body)), &body),
        (Some(signature("", now, &body)), &body),
        (Some(signature(SECRET, now - 301, &body)), &body),
        (Some(signature(SECRET, now + 301, &body)), &body),
        (Some(signature(SECRET, now, &body)), &altered),
        (Some(signature(SECRET, now, "not an event")), "not an event"),
    ];
    for (signature, body) in refused {
        assert_eq!(send(&till.shop, signature.as_deref(), body).await, 400, "{signature:?}");
    }
    assert_eq!((stored(&till.shop).await, till.state(order.id).await), (0, State::Pending));
    assert_eq!(send(&till.shop, Some(&signature(SECRET, now - 299, &body)), &body).await, 200);
    till.handled().await;
    assert_eq!(till.state(order.id).await, State::Paid);
    till.finish().await;
}

#[tokio::test]
async fn without_a_secret_nothing_is_believed() {
    for settings in [
        &[][..],
        &[("STRIPE_SECRET_KEY", "sk_test_of_the_test"), ("STRIPE_API_BASE", "http://127.0.0.1:9")],
        &[("STRIPE_SECRET_KEY", "sk_test_of_the_test"), ("STRIPE_WEBHOOK_SECRET", "")],
    ] {
        let shop = TestApp::with(settings).await;
        let now = shop.app.kit.clock.now_ms() / 1000;
        for secret in ["", SECRET] {
            assert_eq!(send(&shop, Some(&signature(secret, now, "{}")), "{}").await, 400);
        }
        assert_eq!(stored(&shop).await, 0);
        shop.finish().await;
    }
}

/// A message that is signed well and claims something else than was ordered.
#[tokio::test]
async fn what_does_not_match_the_order_credits_nothing_and_is_shown_to_an_admin() {
    let till = Till::held().await;
    let (customer, other) = (till.customer().await, till.customer().await);
    let (stranger, foreign) = till.opened(other.user.id, 10, 0).await;
    till.stripe.pay(&foreign, Card::Declined).unwrap_err();
    let strangers_customer = till.stripe.object(&foreign)["customer"].clone();
    type Change = Box<dyn Fn(&mut Value)>;
    let changes: Vec<(&str, Change)> = vec![
        ("amount", Box::new(|object| object["amount_total"] = 999.into())),
        ("zero amount", Box::new(|object| object["amount_total"] = 0.into())),
        ("currency", Box::new(|object| object["currency"] = "eur".into())),
        ("mode", Box::new(|object| object["mode"] = "setup".into())),
        ("customer", Box::new(move |object| object["customer"] = strangers_customer.clone())),
    ];
    for (n, (what, change)) in changes.into_iter().enumerate() {
        let (order, checkout) = till.opened(customer.user.id, 10, 0).await;
        let messages = till.messages_of(|| _ = till.stripe.pay(&checkout, Card::Good).unwrap());
        let completed = messages.iter().find(|message| message.kind == "checkout.session.completed").unwrap();
        let mut event: Value = serde_json::from_str(&completed.body).unwrap();
        event["id"] = format!("evt_altered_{n}").into();
        change(&mut event["data"]["object"]);
        let body = event.to_string();
        assert_eq!(send(&till.shop, Some(&till.stripe.sign(&body)), &body).await, 200, "{what}");
        till.handled().await;
        let after = till.find(order.id).await;
        assert_eq!((after.state, till.available(customer.user.id).await), (State::Pending, Usd::ZERO), "{what}");
        let refused = till.shop.app.payments.messages_to_look_at(&mut till.shop.app.db.read().await.unwrap(), None, 10).await.unwrap();
        assert_eq!(refused.len(), n + 1, "{what}: {refused:?}");
        assert!(after.note.is_some() && refused[0].error.is_some(), "{what}");
    }
    assert_eq!(till.state(stranger.id).await, State::Pending);
    till.finish().await;
}

#[tokio::test]
async fn an_order_of_somebody_else_and_an_unknown_event_change_nothing() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let (order, checkout) = till.opened(customer.user.id, 10, 0).await;
    let messages = till.messages_of(|| _ = till.stripe.pay(&checkout, Card::Good).unwrap());
    let completed = messages.iter().find(|message| message.kind == "checkout.session.completed").unwrap();
    for (n, (kind, reference)) in
        [("checkout.session.completed", "another shop's"), ("checkout.session.completed", "1"), ("customer.tickled", "")].into_iter().enumerate()
    {
        let mut event: Value = serde_json::from_str(&completed.body).unwrap();
        event["id"] = format!("evt_foreign_{n}").into();
        event["type"] = kind.into();
        event["data"]["object"]["client_reference_id"] = reference.into();
        event["data"]["object"]["metadata"] = serde_json::json!({});
        let body = event.to_string();
        assert_eq!(send(&till.shop, Some(&till.stripe.sign(&body)), &body).await, 200);
    }
    till.handled().await;
    assert_eq!((till.state(order.id).await, till.available(customer.user.id).await), (State::Pending, Usd::ZERO));
    till.clock.advance(MINUTE);
    till.finish().await;
}
