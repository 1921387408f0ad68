//! Money that goes back.

use super::{Till, permutations};
use farebox::demo::stripe::Fault;
use farebox::kernel::Usd;
use farebox::payments::{PaymentError, State};
use serde_json::json;

const DOLLAR: i64 = 100;

#[tokio::test]
async fn a_refund_takes_what_is_left_with_its_share_of_what_was_given_on_top() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let order = till.paid(customer.user.id, 50, 5).await;
    till.refund(&order, 20 * DOLLAR, true).await.unwrap();
    assert_eq!((till.state(order.id).await, till.available(customer.user.id).await), (State::PartlyRefunded, Usd::dollars(33)));
    assert_eq!(till.stripe.object(order.payment.as_deref().unwrap())["amount_received"], 5000);
    till.deliver_all().await;
    assert_eq!(till.available(customer.user.id).await, Usd::dollars(33), "our own refund is not made a second time when it is told");
    assert!(matches!(till.refund(&till.find(order.id).await, 30 * DOLLAR + 1, true).await, Err(PaymentError::NotRefundable)));
    till.refund(&order, 30 * DOLLAR, true).await.unwrap();
    till.deliver_all().await;
    assert_eq!((till.state(order.id).await, till.available(customer.user.id).await), (State::Refunded, Usd::ZERO));
    assert!(matches!(till.refund(&till.find(order.id).await, 1, true).await, Err(PaymentError::NotRefundable)));
    till.finish().await;
}

#[tokio::test]
async fn what_was_spent_is_owed_or_lost_as_the_admin_says() {
    for owed in [true, false] {
        let till = Till::held().await;
        let customer = till.customer().await;
        let order = till.paid(customer.user.id, 10, 0).await;
        let mut tx = till.shop.app.db.write().await.unwrap();
        till.shop.app.books.adjust(&mut tx, customer.user.id, -Usd::dollars(4), "spent".into(), "spent".into()).await.unwrap();
        tx.commit().await.unwrap();
        till.refund(&order, 10 * DOLLAR, owed).await.unwrap();
        let balance = till.shop.app.books.balance(&mut till.shop.app.db.read().await.unwrap(), customer.user.id).await.unwrap();
        assert_eq!((balance.available, balance.owed), (Usd::ZERO, if owed { Usd::dollars(4) } else { Usd::ZERO }));
        assert_eq!(till.state(order.id).await, State::Refunded);
        till.finish().await;
    }
}

#[tokio::test]
async fn a_refund_waits_for_a_request_in_flight() {
    let till = Till::held().await;
    till.shop.stock(&["demo-chat"]).await;
    let customer = till.customer().await;
    let order = till.paid(customer.user.id, 10, 0).await;
    let body = json!({"model": "demo-chat", "stream": true, "max_tokens": 1000, "messages": [{"role": "user", "content": "[[tokens=5, gate=2]] hello"}]});
    let running = till.shop.chat(&customer.key, body).await;
    assert_eq!(running.status(), 200);
    till.shop.upstream.log().wait_held().await.unwrap();
    till.refund(&order, 10 * DOLLAR, true).await.unwrap();
    assert_eq!(till.state(order.id).await, State::Paid, "it waits");
    assert_eq!(till.available(customer.user.id).await, Usd::ZERO, "and nothing new is spent of it");
    till.shop.upstream.release_gate();
    running.text().await.unwrap();
    till.clock.advance(10_000);
    till.shop
        .until("the refund goes on", || async {
            till.shop.app.payments.refund_due().await.unwrap();
            till.state(order.id).await == State::Refunded
        })
        .await;
    let balance = till.shop.app.books.balance(&mut till.shop.app.db.read().await.unwrap(), customer.user.id).await.unwrap();
    let cost = till.shop.requests(customer.user.id).await[0].cost;
    assert_eq!((balance.available, balance.owed), (Usd::ZERO, cost));
    assert!(cost > Usd::ZERO);
    till.finish().await;
}

#[tokio::test]
async fn a_refund_that_the_provider_does_not_answer_is_sent_again_with_the_same_key() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let order = till.paid(customer.user.id, 10, 0).await;
    till.stripe.fail_next(&[Fault::LoseAnswer; 4]);
    till.refund(&order, 10 * DOLLAR, true).await.unwrap();
    till.shop
        .until("the refund is done", || async {
            till.clock.advance(3_600_000);
            till.shop.app.payments.refund_due().await.unwrap();
            till.state(order.id).await == State::Refunded
        })
        .await;
    let payment = order.payment.unwrap();
    let refunds: Vec<_> = till.stripe.asked().into_iter().filter(|asked| asked.path == "refunds" && asked.method == "POST").collect();
    assert!(refunds.len() > 1 && refunds.iter().all(|asked| asked.idempotency_key == refunds[0].idempotency_key), "{refunds:?}");
    till.deliver_all().await;
    assert_eq!((till.available(customer.user.id).await, till.state(order.id).await), (Usd::ZERO, State::Refunded), "{payment}");
    till.finish().await;
}

#[tokio::test]
async fn a_refund_on_the_providers_pages_takes_the_credit_once_in_every_order_of_its_messages() {
    let till = Till::held().await;
    for turn in permutations(3) {
        let customer = till.customer().await;
        let order = till.paid(customer.user.id, 10, 0).await;
        let payment = order.payment.clone().unwrap();
        let messages = till.messages_of(|| till.stripe.refund_by_hand(&payment, Some(400)).unwrap());
        for at in turn.into_iter().filter(|at| *at < messages.len()) {
            for _ in 0..5 {
                assert_eq!(till.stripe.deliver(&messages[at].id).await, 200);
            }
        }
        till.handled().await;
        till.shop.app.payments.refund_due().await.unwrap();
        assert_eq!((till.state(order.id).await, till.available(customer.user.id).await), (State::PartlyRefunded, Usd::dollars(6)));
    }
    till.finish().await;
}

#[tokio::test]
async fn fifty_refunds_at_once_pay_back_no_more_than_was_paid() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let order = till.paid(customer.user.id, 10, 0).await;
    let refunds = futures_util::future::join_all((0..50).map(|_| till.refund(&order, 3 * DOLLAR, true))).await;
    assert_eq!(refunds.iter().filter(|refund| refund.is_ok()).count(), 3);
    assert!(refunds.iter().filter_map(|refund| refund.as_ref().err()).all(|error| matches!(error, PaymentError::NotRefundable)));
    assert_eq!((till.state(order.id).await, till.available(customer.user.id).await), (State::PartlyRefunded, Usd::dollars(1)));
    till.finish().await;
}
