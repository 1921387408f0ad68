//! Payments that a bank wants back.

use super::{Till, permutations};
use farebox::kernel::Usd;
use farebox::payments::State;

#[tokio::test]
async fn a_dispute_freezes_the_credit_and_a_won_one_gives_it_back() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let order = till.paid(customer.user.id, 10, 1).await;
    let other = till.paid(customer.user.id, 5, 0).await;
    let dispute = till.stripe.dispute(order.payment.as_deref().unwrap()).unwrap();
    till.deliver_all().await;
    assert_eq!((till.state(order.id).await, till.available(customer.user.id).await), (State::Disputed, Usd::dollars(5)));
    till.stripe.close_dispute(&dispute, true).unwrap();
    till.deliver_all().await;
    assert_eq!((till.state(order.id).await, till.available(customer.user.id).await), (State::Paid, Usd::dollars(16)));
    assert_eq!(till.state(other.id).await, State::Paid);
    till.finish().await;
}

#[tokio::test]
async fn a_lost_dispute_takes_what_is_left_and_what_was_spent_is_owed() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let order = till.paid(customer.user.id, 10, 0).await;
    let mut tx = till.shop.app.db.write().await.unwrap();
    till.shop.app.books.adjust(&mut tx, customer.user.id, -Usd::dollars(4), "spent".into(), "spent".into()).await.unwrap();
    tx.commit().await.unwrap();
    let dispute = till.stripe.dispute(order.payment.as_deref().unwrap()).unwrap();
    till.stripe.close_dispute(&dispute, false).unwrap();
    till.deliver_all().await;
    till.shop.app.payments.settle_disputes().await.unwrap();
    let balance = till.shop.app.books.balance(&mut till.shop.app.db.read().await.unwrap(), customer.user.id).await.unwrap();
    assert_eq!((balance.available, balance.owed, till.state(order.id).await), (Usd::ZERO, Usd::dollars(4), State::Disputed));
    till.finish().await;
}

#[tokio::test]
async fn messages_of_a_dispute_in_every_order_end_the_same() {
    let till = Till::held().await;
    for won in [true, false] {
        for turn in permutations(4) {
            let customer = till.customer().await;
            let order = till.paid(customer.user.id, 10, 0).await;
            let messages = till.messages_of(|| {
                let dispute = till.stripe.dispute(order.payment.as_deref().unwrap()).unwrap();
                till.stripe.close_dispute(&dispute, won).unwrap();
            });
            for at in turn.into_iter().filter(|at| *at < messages.len()) {
                for _ in 0..2 {
                    assert_eq!(till.stripe.deliver(&messages[at].id).await, 200);
                }
            }
            till.deliver_all().await;
            till.shop.app.payments.settle_disputes().await.unwrap();
            let expected = if won { (State::Paid, Usd::dollars(10)) } else { (State::Disputed, Usd::ZERO) };
            assert_eq!((till.state(order.id).await, till.available(customer.user.id).await), expected, "won {won}");
        }
    }
    till.finish().await;
}
