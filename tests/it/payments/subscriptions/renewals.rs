//! Renewals: each bill makes one term and one order, in whatever order its messages come.

use super::{MONTH, TEN, TWELVE, object, telling};
use crate::payments::{Till, permutations};
use crate::plans::at;
use farebox::demo::stripe::{Card, Message, Post};
use farebox::kernel::Id;
use farebox::payments::{Order, State};
use farebox::plans::State as PlanState;
use farebox::settings;
use futures_util::future::join_all;
use std::collections::HashMap;

/// What a renewed subscription must look like: two terms that follow each other, and an order for each.
async fn is_renewed_once(till: &Till, user: Id, first: Id) {
    let (orders, view) = (till.orders_of(user).await, till.subscription(user).await);
    assert_eq!(orders.iter().map(|order| (order.state, order.price.minor, order.worth)).collect::<Vec<_>>(), [(State::Paid, 1000, TEN); 2]);
    let bill = till.stripe.object(orders[0].subscription.as_deref().unwrap())["latest_invoice"].as_str().unwrap().to_owned();
    assert_eq!((orders[0].id, orders[1].details.as_str(), &orders[1].subscription), (first, format!("invoice:{bill}").as_str(), &orders[0].subscription));
    assert!(orders[1].payment.is_some() && orders[1].payment != orders[0].payment);
    assert_eq!((view.state, view.terms.len(), view.terms[0].ends_at), (PlanState::Active, 2, view.terms[1].starts_at));
    assert_eq!((view.paid_until, till.left(user).await.0), (till.period(&orders[0]).1, TWELVE));
}

#[tokio::test]
async fn a_beginning_and_a_renewal_in_every_order_of_their_messages_and_each_five_times() {
    let till = Till::held().await;
    let plan = till.plan(MONTH).await;
    let mut all: Vec<(Id, Order, Vec<Message>)> = Vec::new();
    for _ in 0..120 {
        let user = till.customer().await.user.id;
        let (order, checkout) = till.opened_subscription(user, plan).await;
        let mut messages = telling(till.messages_of(|| _ = till.stripe.pay(&checkout, Card::Good).unwrap()));
        messages.retain(|message| ["checkout.session.completed", "invoice.paid", "customer.subscription.created"].contains(&message.kind.as_str()));
        all.push((user, order, messages));
    }
    let before = till.stripe.messages().len();
    till.clock.advance(at("2026-04-01T12:00:00Z") - at("2026-03-01T12:00:00Z"));
    let mut later: HashMap<String, Vec<Message>> = HashMap::new();
    for message in till.stripe.messages().split_off(before) {
        let object = object(&message);
        let order = object["parent"]["subscription_details"]["metadata"]["farebox_order"].as_str().or(object["metadata"]["farebox_order"].as_str());
        if let (Some(order), "invoice.paid" | "customer.subscription.updated") = (order, message.kind.as_str()) {
            later.entry(order.to_owned()).or_default().push(message);
        }
    }
    for (turn, (user, order, mut messages)) in permutations(5).into_iter().zip(all) {
        messages.extend(later.remove(&order.id.to_string()).unwrap());
        assert_eq!(messages.len(), 5);
        for at in turn {
            assert_eq!(join_all((0..5).map(|_| till.stripe.deliver(&messages[at].id))).await, [200; 5]);
        }
        till.handled().await;
        is_renewed_once(&till, user, order.id).await;
    }
    till.finish().await;
}

#[tokio::test]
async fn fifty_deliveries_of_a_renewal_at_once_renew_once() {
    let till = Till::held().await;
    let (user, plan) = (till.customer().await.user.id, till.plan(MONTH).await);
    let order = till.subscribed(user, plan).await;
    let before = till.stripe.messages().len();
    till.clock.advance(till.period(&order).1 - order.paid_at.unwrap());
    let messages = telling(till.stripe.messages().split_off(before));
    let answers = join_all((0..50).map(|n| till.stripe.deliver(&messages[n % messages.len()].id))).await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    till.handled().await;
    is_renewed_once(&till, user, order.id).await;
    till.finish().await;
}

#[tokio::test]
async fn renewals_follow_the_calendar_over_month_ends_leap_days_and_summer_time() {
    for (zone, begin, months) in
        [("UTC", "2028-01-31T12:00:00Z", 14), ("Europe/Berlin", "2026-03-28T23:30:00Z", 9), ("America/New_York", "2027-12-31T04:30:00Z", 4)]
    {
        let till = Till::held().await;
        let mut tx = till.shop.app.db.write().await.unwrap();
        settings::put(&mut tx, till.clock.now_ms(), settings::Name::TimeZone, zone).await.unwrap();
        tx.commit().await.unwrap();
        till.shop.app.settings.refresh(&till.shop.app.db).await.unwrap();
        till.go_to_day(begin).await;
        let (user, plan) = (till.customer().await.user.id, till.plan(MONTH).await);
        let order = till.subscribed(user, plan).await;
        for month in 1..=months {
            let (_, end) = till.period(&order);
            till.go_to(end - 1).await;
            assert_eq!((till.subscription(user).await.state, till.left(user).await.0), (PlanState::Active, TWELVE), "{zone} {month}");
            till.go_to(end).await;
            assert_eq!(till.left(user).await.0, farebox::kernel::Usd::ZERO, "{zone} {month}: the old allowance is over");
            till.deliver_all().await;
            let view = till.subscription(user).await;
            let (start, next) = till.period(&order);
            let (last, before) = (view.terms.last().unwrap(), &view.terms[view.terms.len() - 2]);
            assert_eq!((view.terms.len(), before.ends_at, last.starts_at, last.ends_at), (month + 1, end, start, next), "{zone} {month}");
            assert_eq!((view.state, till.left(user).await.0, view.periods[0].number), (PlanState::Active, TWELVE, month as i64), "{zone} {month}");
        }
        assert_eq!(till.orders_of(user).await.len(), months + 1);
        till.finish().await;
    }
}

#[tokio::test]
async fn renewals_whose_messages_are_lost_are_found_and_none_is_left_out() {
    let till = Till::held().await;
    let (user, plan) = (till.customer().await.user.id, till.plan(MONTH).await);
    let order = till.subscribed(user, plan).await;
    till.stripe.post(Post { lose: vec!["*".into()], ..Post::default() });
    let payments = &till.shop.app.payments;
    till.go_to_day("2026-04-01T13:00:00Z").await;
    assert_eq!((payments.look_at_renewals().await.unwrap(), till.orders_of(user).await.len()), (0, 1), "it is not time yet");
    till.go_to_day("2026-04-01T14:00:01Z").await;
    assert_eq!(payments.look_at_renewals().await.unwrap(), 1);
    is_renewed_once(&till, user, order.id).await;
    // The next two are heard of by the message of the last one alone.
    till.go_to_day("2026-05-01T12:00:00Z").await;
    till.stripe.post(Post { held: true, ..Post::default() });
    till.go_to_day("2026-06-01T12:00:00Z").await;
    let last = till.stripe.messages().into_iter().rev().find(|message| message.kind == "invoice.paid").unwrap();
    till.deliver(&last).await;
    till.handled().await;
    let view = till.subscription(user).await;
    assert_eq!((view.terms.len(), view.paid_until, view.state), (4, at("2026-07-01T12:00:00Z"), PlanState::Active));
    assert_eq!((till.orders_of(user).await.len(), till.left(user).await.0), (4, TWELVE));
    payments.fetch_messages().await.unwrap();
    till.handled().await;
    assert_eq!(till.orders_of(user).await.len(), 4, "what was lost is fetched, and changes nothing any more");
    till.finish().await;
}

#[tokio::test]
async fn a_refund_of_a_renewal_that_is_told_before_the_renewal_hears_of_it_first() {
    let till = Till::held().await;
    let (user, plan) = (till.customer().await.user.id, till.plan(MONTH).await);
    let order = till.subscribed(user, plan).await;
    till.go_to(till.period(&order).1).await;
    let bill = till.stripe.object(order.subscription.as_deref().unwrap())["latest_invoice"].as_str().unwrap().to_owned();
    let paid = till.stripe.messages().into_iter().rev().find(|message| message.kind == "payment_intent.succeeded").unwrap();
    let before = till.stripe.messages().len();
    till.stripe.refund_by_hand(object(&paid)["id"].as_str().unwrap(), None).unwrap();
    for message in till.stripe.messages().split_off(before) {
        till.deliver(&message).await;
    }
    till.handled().await;
    till.shop.app.payments.refund_due().await.unwrap();
    let orders = till.orders_of(user).await;
    assert_eq!((orders.len(), orders[1].details.clone(), orders[1].state), (2, format!("invoice:{bill}"), State::Refunded));
    assert_eq!((till.subscription(user).await.state, till.left(user).await.0), (PlanState::Ended, farebox::kernel::Usd::ZERO));
    till.deliver_all().await;
    assert_eq!(till.orders_of(user).await.len(), 2);
    till.finish().await;
}
