//! Numbers without a gap and without one twice.

use super::{documents, numbers, set, set_from};
use crate::payments::Till;
use farebox::demo::stripe::Card;
use farebox::invoices::{self, First, Office, Paid, Terms, TermsDraft};
use farebox::kernel::{Currency, Money, Rate, Usd};
use farebox::payments::{Method, NewOrder, Order, State, Wish};
use futures_util::future::join_all;
use jiff::tz::TimeZone;
use std::collections::BTreeSet;

fn first(n: usize) -> Vec<String> {
    (1..=n).map(|n| format!("R-{n:06}")).collect()
}

#[tokio::test]
async fn an_order_has_one_document_however_often_it_is_told() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let (order, checkout) = till.opened(customer.user.id, 10, 0).await;
    assert!(documents(&till).await.is_empty(), "nothing was paid");
    let messages = till.messages_of(|| _ = till.stripe.pay(&checkout, Card::Good).unwrap());
    for _ in 0..5 {
        for message in &messages {
            assert_eq!(till.stripe.deliver(&message.id).await, 200);
        }
        till.handled().await;
        till.shop.app.payments.look(order.id).await.unwrap();
    }
    let all = documents(&till).await;
    assert_eq!((all.len(), all[0].number.as_str(), all[0].order, all[0].gross), (1, "R-000001", order.id, order.price));
    till.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_orders_that_are_paid_at_once_have_numbers_that_follow_each_other() {
    let till = Till::held().await;
    let mut checkouts = Vec::new();
    for _ in 0..50 {
        let customer = till.customer().await;
        checkouts.push(till.opened(customer.user.id, 10, 0).await.1);
    }
    let messages = till.messages_of(|| checkouts.iter().for_each(|checkout| _ = till.stripe.pay(checkout, Card::Good).unwrap()));
    let twice = messages.iter().chain(&messages);
    assert!(join_all(twice.map(|message| till.stripe.deliver(&message.id))).await.into_iter().all(|status| status == 200));
    till.handled().await;
    let mut found = numbers(&till).await;
    assert!(found.is_sorted(), "the order of the numbers is that of the moments: {found:?}");
    found.sort();
    assert_eq!(found, first(50));
    let all = documents(&till).await;
    assert!(all.windows(2).all(|pair| pair[0].issued_at <= pair[1].issued_at));
    assert_eq!(all.iter().map(|document| document.order).collect::<BTreeSet<_>>().len(), 50);
    till.finish().await;
}

/// A document of an order, in a transaction that is committed or not.
async fn issue(till: &Till, order: &Order, commits: bool) {
    let office = Office { site: "Shop".into(), url: "http://shop.test".into(), zone: TimeZone::UTC };
    let (price, rate) = (order.price, Rate::ONE);
    let paid = Paid {
        order: order.id,
        user: order.user,
        title: &order.title,
        language: "en",
        list_price: price,
        price,
        rate,
        credit: Usd::dollars(5),
        bonus: Usd::ZERO,
    };
    let mut tx = till.shop.app.db.write().await.unwrap();
    invoices::issue(&mut tx, &till.shop.app.kit, &office, &paid).await.unwrap();
    if commits {
        tx.commit().await.unwrap();
    } else {
        tx.rollback().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_what_is_rolled_back_is_the_next_ones() {
    let till = Till::held().await;
    let mut orders = Vec::new();
    for _ in 0..50 {
        let customer = till.customer().await;
        orders.push(till.order(customer.user.id, 5, 0).await);
    }
    join_all(orders.iter().enumerate().map(|(at, order)| issue(&till, order, at % 3 != 1))).await;
    assert_eq!(numbers(&till).await, first(33), "17 of them failed after they had a number");
    join_all(orders.iter().map(|order| issue(&till, order, true))).await;
    let mut found = numbers(&till).await;
    found.sort();
    assert_eq!(found, first(50), "and those that had one have no second one");
    let mut conn = till.shop.app.db.read().await.unwrap();
    let mails: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM outbox WHERE subject LIKE '%R-0000%'").fetch_one(&mut *conn).await.unwrap();
    drop(conn);
    assert_eq!(mails, 50, "no mail of what did not happen");
    till.finish().await;
}

#[tokio::test]
async fn what_nobody_was_paid_for_has_no_document() {
    let till = Till::held().await;
    let customer = till.shop.customer(Usd::dollars(100)).await;
    till.paid(customer.user.id, 10, 0).await;
    let (title, language, coupon) = ("Card".to_owned(), "en".to_owned(), String::new());
    let gift = farebox::gift_cards::sale::Gift { to: "bob@example.test".into(), giver: "Ann".into(), message: String::new(), lang: "en".into(), deliver_at: 0 };
    let wish = Wish::GiftCard(Usd::dollars(10), gift);
    let order = till.shop.app.payments.order(&NewOrder { user: customer.user.id, wish, title, language, method: Method::Balance, coupon }).await.unwrap();
    assert_eq!((order.state, documents(&till).await.len()), (State::Paid, 1), "the balance was documented when it was bought");
    till.finish().await;
}

#[tokio::test]
async fn each_beginning_has_its_own_row_of_numbers_that_goes_on_where_it_stopped() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let user = customer.user.id;
    till.paid(user, 5, 0).await;
    let named = |prefix: &str| Terms { prefix: prefix.to_owned(), ..Terms::default() };
    let from = |terms, number, digits| TermsDraft { terms, first: First { number, digits }, credit_first: First { number: 1, digits: 6 } };
    set_from(&till, user, from(named("INV/"), 17, 4)).await;
    till.paid(user, 5, 0).await;
    till.paid(user, 5, 0).await;
    set_from(&till, user, from(named("INV/"), 1, 2)).await;
    till.paid(user, 5, 0).await;
    set(&till, user, named("R-")).await;
    till.paid(user, 5, 0).await;
    set_from(&till, user, from(named("X-"), 5, 1)).await;
    set_from(&till, user, from(named("X-"), 7, 2)).await;
    till.paid(user, 5, 0).await;
    assert_eq!(numbers(&till).await, ["R-000001", "INV/0017", "INV/0018", "INV/0019", "R-000002", "X-07"]);
    let next = invoices::terms(&mut till.shop.app.db.read().await.unwrap()).await.unwrap();
    assert_eq!(next.first, First { number: 8, digits: 2 });
    till.finish().await;
}

#[tokio::test]
async fn invoices_and_credit_notes_may_share_a_row() {
    let till = Till::held().await;
    let customer = till.customer().await;
    set(&till, customer.user.id, Terms { prefix: "A-".into(), credit_prefix: "A-".into(), ..Terms::default() }).await;
    let order = till.paid(customer.user.id, 5, 0).await;
    till.refund(&order, 500, true).await.unwrap();
    till.paid(customer.user.id, 5, 0).await;
    assert_eq!(numbers(&till).await, ["A-000001", "A-000002", "A-000003"]);
    assert_eq!(documents(&till).await[1].gross, Money::new(-500, Currency::USD));
    till.finish().await;
}
