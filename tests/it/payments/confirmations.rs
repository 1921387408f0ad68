//! A bank that wants its customer to confirm what was charged while they were away.

use super::Till;
use crate::harness::app::Customer;
use crate::web::{Visitor, location};
use farebox::demo::stripe::Card;
use farebox::kernel::clock::DAY_MS;
use farebox::kernel::{Id, Usd};
use farebox::payments::State;
use farebox::payments::automatic::Reason;
use reqwest::StatusCode;

/// A customer whose bank always asks, and the order that waits for them.
async fn waiting(till: &Till) -> (Customer, Id) {
    let customer = till.keeper(Card::ConfirmsAlways).await;
    till.agree(customer.user.id, 1000).await;
    till.drain(customer.user.id).await;
    let order = till.look_at(customer.user.id).await.expect("an order");
    (customer, order)
}

#[tokio::test]
async fn a_customer_confirms_by_the_link_in_the_mail() {
    let till = Till::held().await;
    let (customer, order) = waiting(&till).await;
    let id = customer.user.id;
    assert_eq!((till.state(order).await, till.mails(&customer, "Please confirm").await), (State::Pending, 1));
    for _ in 0..3 {
        till.deliver_all().await;
        till.shop.app.payments.look_at_due().await.unwrap();
    }
    assert_eq!((till.state(order).await, till.mails(&customer, "Please confirm").await), (State::Pending, 1), "one mail");
    assert_eq!(till.look_at(id).await, None, "one at a time");
    let link = format!("/account/orders/{order}/confirm");
    let guest = Visitor::new(&till.shop);
    assert!(location(&guest.get(&link).await).starts_with("/log-in?next="), "the link leads back after logging in");
    let stranger = Visitor::logged_in(&till.shop, &till.customer().await.user).await;
    assert_eq!(stranger.get(&link).await.status(), StatusCode::NOT_FOUND);
    let buyer = Visitor::logged_in(&till.shop, &customer.user).await;
    assert!(buyer.read(&format!("/account/orders/{order}")).await.contains(&link));
    // The bank says no, or the customer does: the link still works.
    for yes in [false, true] {
        assert!(buyer.read(&link).await.contains(&format!("/account/orders/{order}/bank")));
        let bank = buyer.get(&format!("/account/orders/{order}/bank")).await;
        assert!(location(&bank).contains("/bank/"), "{bank:?}");
        let payment = till.find(order).await.payment.unwrap();
        let back = till.stripe.confirm(&payment, yes).unwrap();
        assert!(back.starts_with(&till.shop.at(&format!("/account/orders/{order}?paid"))), "{back}");
        let page = buyer.read(&back[till.shop.url.len()..]).await;
        assert_eq!((page.contains(&link), page.contains("hx-trigger")), (!yes, false), "{page}");
    }
    assert_eq!((till.state(order).await, till.available(id).await), (State::Paid, Usd::dollars(24)));
    till.deliver_all().await;
    assert_eq!((till.available(id).await, till.charged()), (Usd::dollars(24), vec!["succeeded".to_owned()]));
    assert_eq!(location(&buyer.get(&link).await), format!("/account/orders/{order}"), "there is nothing to confirm any more");
    let known = till.shop.app.payments.automatic(id).await.unwrap().unwrap();
    assert_eq!((known.is_on, known.failures, known.reason), (true, 0, None));
    till.finish().await;
}

#[tokio::test]
async fn what_nobody_confirms_is_given_up_at_the_provider() {
    let till = Till::held().await;
    let (customer, order) = waiting(&till).await;
    till.clock.advance(DAY_MS);
    let has_ended = || async {
        till.shop.app.payments.look_at_due().await.unwrap();
        till.state(order).await == State::Failed
    };
    till.shop.until("it is given up", has_ended).await;
    assert_eq!(till.charged(), ["canceled"]);
    let known = till.shop.app.payments.automatic(customer.user.id).await.unwrap().unwrap();
    assert_eq!((known.is_on, known.failures, known.reason), (true, 1, Some(Reason::Confirmation)));
    assert!(known.paused_until > till.clock.now_ms());
    till.deliver_all().await;
    assert_eq!(till.available(customer.user.id).await, Usd::dollars(4));
    till.finish().await;
}

#[tokio::test]
async fn a_confirmation_and_its_end_race_and_one_of_them_counts() {
    for yes_first in [true, false] {
        let till = Till::held().await;
        let (customer, order) = waiting(&till).await;
        let id = customer.user.id;
        let order_now = till.find(order).await;
        till.shop.app.payments.confirm_page(&order_now).await.unwrap().expect("the bank's page");
        let payment = order_now.payment.unwrap();
        if yes_first {
            till.stripe.confirm(&payment, true).unwrap();
        }
        till.clock.advance(DAY_MS);
        let looks = (0..50).map(|_| till.shop.app.payments.look(order));
        futures_util::future::join_all(looks).await;
        if !yes_first {
            assert!(till.stripe.confirm(&payment, true).is_err(), "it was given up");
        }
        till.deliver_all().await;
        let (state, left, status) = if yes_first { (State::Paid, 24, "succeeded") } else { (State::Failed, 4, "canceled") };
        assert_eq!((till.state(order).await, till.available(id).await, till.charged()), (state, Usd::dollars(left), vec![status.to_owned()]));
        till.finish().await;
    }
}

#[tokio::test]
async fn switching_off_gives_up_what_waits() {
    let till = Till::held().await;
    let (customer, order) = waiting(&till).await;
    let buyer = Visitor::logged_in(&till.shop, &customer.user).await;
    assert_eq!(buyer.submit("/account/payment", "/account/payment/automatic/off", &[]).await.status(), StatusCode::SEE_OTHER);
    assert_eq!((till.state(order).await, till.charged()), (State::Failed, vec!["canceled".to_owned()]));
    let known = till.shop.app.payments.automatic(customer.user.id).await.unwrap().unwrap();
    assert_eq!((known.is_on, known.reason, till.mails(&customer, "switched off").await), (false, None, 0), "they know it");
    till.deliver_all().await;
    till.clock.advance(40 * DAY_MS);
    till.shop.app.payments.automatic_due().await.unwrap();
    assert_eq!(till.look_at(customer.user.id).await, None);
    till.finish().await;
}
