//! Messages that never come: the shop asks.

use super::{MINUTE, Till};
use farebox::demo::stripe::{Card, Fault, Post};
use farebox::kernel::Usd;
use farebox::payments::State;

#[tokio::test]
async fn an_order_whose_messages_are_lost_is_credited_when_the_shop_looks() {
    let till = Till::open().await;
    till.stripe.post(Post { lose: vec!["*".into()], ..Post::default() });
    let customer = till.customer().await;
    let (order, checkout) = till.opened(customer.user.id, 10, 0).await;
    till.stripe.pay(&checkout, Card::Good).unwrap();
    till.stripe.settled().await;
    let payments = &till.shop.app.payments;
    payments.look_at_due().await.unwrap();
    assert_eq!(till.state(order.id).await, State::Pending, "it is not time yet");
    till.clock.advance(6 * MINUTE);
    payments.look_at_due().await.unwrap();
    assert_eq!((till.state(order.id).await, till.available(customer.user.id).await), (State::Paid, Usd::dollars(10)));
    // What was lost is found in the list of messages, too, and changes nothing any more.
    assert!(payments.fetch_messages().await.unwrap() > 0);
    till.handled().await;
    assert_eq!(payments.fetch_messages().await.unwrap(), 0);
    assert_eq!(till.available(customer.user.id).await, Usd::dollars(10));
    till.finish().await;
}

#[tokio::test]
async fn lost_messages_are_fetched_and_handled_once() {
    let till = Till::open().await;
    till.stripe.post(Post { lose: vec!["*".into()], ..Post::default() });
    let customer = till.customer().await;
    let (order, checkout) = till.opened(customer.user.id, 10, 0).await;
    till.stripe.pay(&checkout, Card::Good).unwrap();
    let payments = &till.shop.app.payments;
    till.stripe.fail_next(&[Fault::Status(500); 8]);
    assert!(payments.fetch_messages().await.is_err() || till.state(order.id).await == State::Paid);
    till.stripe.fail_next(&[]);
    while payments.fetch_messages().await.is_err() {}
    till.handled().await;
    assert_eq!((till.state(order.id).await, till.available(customer.user.id).await), (State::Paid, Usd::dollars(10)));
    for message in till.stripe.messages() {
        assert_eq!(till.stripe.deliver(&message.id).await, 200);
    }
    till.handled().await;
    assert_eq!(till.available(customer.user.id).await, Usd::dollars(10));
    till.finish().await;
}

#[tokio::test]
async fn what_nobody_pays_ends_in_time_and_its_page_is_closed() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let (opened, checkout) = till.opened(customer.user.id, 10, 0).await;
    let never_opened = till.order(customer.user.id, 10, 0).await;
    till.clock.advance(61 * MINUTE + 1);
    till.stripe.pass_time();
    till.shop.app.payments.look_at_due().await.unwrap();
    assert_eq!((till.state(opened.id).await, till.state(never_opened.id).await), (State::Expired, State::Expired));
    assert_eq!(till.stripe.object(&checkout)["status"], "expired");
    assert_eq!(till.shop.app.payments.pay_page(&till.find(never_opened.id).await).await.unwrap(), None);
    till.finish().await;
}

#[tokio::test]
async fn a_page_whose_answer_was_lost_is_found_and_what_was_paid_on_it_is_credited() {
    let till = Till::open().await;
    till.stripe.post(Post { lose: vec!["*".into()], ..Post::default() });
    let customer = till.customer().await;
    till.opened(customer.user.id, 5, 0).await; // the provider's customer is known
    let order = till.order(customer.user.id, 10, 0).await;
    let payments = &till.shop.app.payments;
    let before = till.stripe.asked().len();
    till.stripe.fail_next(&[Fault::LoseAnswer; 10]);
    payments.pay_page(&order).await.unwrap_err();
    let tries = till.stripe.asked().len() - before;
    // What is left of the faults is used up.
    for _ in tries..10 {
        let _ = payments.fetch_messages().await;
    }
    let page = till
        .stripe
        .messages()
        .iter()
        .rev()
        .find_map(|message| serde_json::from_str::<serde_json::Value>(&message.body).ok())
        .map(|event| event["type"].clone());
    drop(page);
    assert!(till.find(order.id).await.checkout.is_none());
    till.clock.advance(62 * MINUTE);
    till.stripe.pass_time();
    while payments.look(order.id).await.is_err() {}
    assert_eq!(till.state(order.id).await, State::Expired);
    till.finish().await;
}

#[tokio::test]
async fn a_customer_who_gives_up_closes_the_page_unless_it_was_paid() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let payments = &till.shop.app.payments;
    let (open, _) = till.opened(customer.user.id, 10, 0).await;
    assert_eq!(payments.cancel(open.id).await.unwrap(), State::Expired);
    let (paid, checkout) = till.opened(customer.user.id, 10, 0).await;
    till.stripe.pay(&checkout, Card::Good).unwrap();
    assert_eq!(payments.cancel(paid.id).await.unwrap(), State::Paid);
    assert_eq!(till.available(customer.user.id).await, Usd::dollars(10));
    let untouched = till.order(customer.user.id, 10, 0).await;
    assert_eq!(payments.cancel(untouched.id).await.unwrap(), State::Expired);
    till.finish().await;
}
