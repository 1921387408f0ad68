//! The messages of whole flows, each five times and in every order: they end the same.

use super::{MINUTE, Till, permutations};
use crate::harness::app::Customer;
use farebox::demo::stripe::{Card, Message};
use farebox::kernel::Usd;
use farebox::payments::{Order, State};

/// How a flow ends: the order's state, and what its customer can spend and owes.
type End = (State, Usd, Usd);

/// Plays a flow once for each order of its messages, of up to five of them, and checks its end. `flow` goes through it and returns the order; nothing of it is told meanwhile.
async fn in_every_order(flow: impl AsyncFn(&Till, &Customer) -> Order, most: usize, end: End) {
    let till = Till::held().await;
    for turn in permutations(most) {
        let customer = till.customer().await;
        let before = till.stripe.messages().len();
        let order = flow(&till, &customer).await;
        let messages: Vec<Message> = till.stripe.messages().split_off(before).into_iter().filter(|message| is_told(&message.kind)).collect();
        assert!((2..=most).contains(&messages.len()), "{:?}", messages.iter().map(|message| &message.kind).collect::<Vec<_>>());
        for at in turn.iter().filter(|at| **at < messages.len()) {
            for _ in 0..5 {
                assert_eq!(till.stripe.deliver(&messages[*at].id).await, 200);
            }
            till.shop.app.payments.handle_due().await.unwrap();
        }
        till.clock.advance(MINUTE);
        till.handled().await;
        till.shop.app.payments.refund_due().await.unwrap();
        till.shop.app.payments.settle_disputes().await.unwrap();
        let balance = till.shop.app.books.balance(&mut till.shop.app.db.read().await.unwrap(), customer.user.id).await.unwrap();
        let kinds = || turn.iter().filter_map(|at| messages.get(*at)).map(|message| message.kind.as_str()).collect::<Vec<_>>();
        assert_eq!((till.state(order.id).await, balance.available, balance.owed), end, "{:?}", kinds());
    }
    till.finish().await;
}

/// Whether the shop does anything about messages of this kind; the others are stored and ignored, wherever they come. That money came back with a dispute is told twice.
fn is_told(kind: &str) -> bool {
    let known = ["checkout.session.", "payment_intent.", "charge.refunded", "charge.dispute.", "refund."].iter().any(|known| kind.starts_with(known));
    known && (kind == "charge.dispute.created" || !kind.ends_with(".created")) && !kind.ends_with(".funds_reinstated")
}

#[tokio::test]
async fn of_a_page_that_was_paid_with_the_second_card() {
    let flow = async |till: &Till, customer: &Customer| {
        let (order, checkout) = till.opened(customer.user.id, 10, 1).await;
        till.stripe.pay(&checkout, Card::Poor).unwrap_err();
        till.stripe.pay(&checkout, Card::Good).unwrap();
        order
    };
    in_every_order(flow, 4, (State::Paid, Usd::dollars(11), Usd::ZERO)).await;
}

#[tokio::test]
async fn of_a_transfer_that_came() {
    let flow = async |till: &Till, customer: &Customer| {
        let (order, checkout) = till.opened(customer.user.id, 10, 0).await;
        till.stripe.pay(&checkout, Card::Transfer).unwrap();
        till.stripe.settle(&checkout, true).unwrap();
        order
    };
    in_every_order(flow, 5, (State::Paid, Usd::dollars(10), Usd::ZERO)).await;
}

#[tokio::test]
async fn of_a_transfer_that_did_not_come() {
    let flow = async |till: &Till, customer: &Customer| {
        let (order, checkout) = till.opened(customer.user.id, 10, 0).await;
        till.stripe.pay(&checkout, Card::Transfer).unwrap();
        till.stripe.settle(&checkout, false).unwrap();
        order
    };
    in_every_order(flow, 5, (State::Failed, Usd::ZERO, Usd::ZERO)).await;
}

#[tokio::test]
async fn of_a_payment_that_went_back_in_two_parts() {
    let flow = async |till: &Till, customer: &Customer| {
        let (order, checkout) = till.opened(customer.user.id, 10, 0).await;
        till.stripe.pay(&checkout, Card::Good).unwrap();
        let payment = till.stripe.object(&checkout)["payment_intent"].as_str().unwrap().to_owned();
        till.stripe.refund_by_hand(&payment, Some(400)).unwrap();
        till.stripe.refund_by_hand(&payment, Some(600)).unwrap();
        order
    };
    in_every_order(flow, 5, (State::Refunded, Usd::ZERO, Usd::ZERO)).await;
}

#[tokio::test]
async fn of_a_payment_whose_dispute_was_lost_or_won() {
    for won in [true, false] {
        let flow = async |till: &Till, customer: &Customer| {
            let (order, checkout) = till.opened(customer.user.id, 10, 2).await;
            till.stripe.pay(&checkout, Card::Good).unwrap();
            let payment = till.stripe.object(&checkout)["payment_intent"].as_str().unwrap().to_owned();
            let dispute = till.stripe.dispute(&payment).unwrap();
            till.stripe.close_dispute(&dispute, won).unwrap();
            order
        };
        let end = if won { (State::Paid, Usd::dollars(12), Usd::ZERO) } else { (State::Disputed, Usd::ZERO, Usd::ZERO) };
        in_every_order(flow, 5, end).await;
    }
}
