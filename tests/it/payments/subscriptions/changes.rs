//! Another plan: at once, paid by the card, or from the next renewal on.

use super::{TEN, telling};
use crate::payments::Till;
use crate::web::{Visitor, location};
use farebox::demo::stripe::{Card, Fault};
use farebox::kernel::clock::DAY_MS;
use farebox::kernel::{Id, Usd};
use farebox::payments::{Changed, Order, PaymentError, State};
use farebox::plans::{self, Ending, State as PlanState};
use futures_util::future::join_all;

/// Two plans for a month: 10 dollars for 12 dollars' worth, and 30 for 40.
async fn two(till: &Till) -> (Id, Id) {
    let small = till.plan(&[("name", "Small"), ("sold", "subscription")]).await;
    (small, till.plan(&[("name", "Large"), ("sold", "subscription"), ("price", "30"), ("allowance", "40"), ("stock", "5")]).await)
}

/// A subscription to one of them in the middle of its month of 31 days, and its order.
async fn half_way(till: &Till, user: Id, plan: Id) -> Order {
    let order = till.subscribed(user, plan).await;
    let (start, end) = till.period(&order);
    till.go_to(start + (end - start) / 2).await;
    order
}

async fn spend(till: &Till, user: Id, amount: Usd) {
    let app = &till.shop.app;
    let scope = till.subscription(user).await.id;
    let balance = app.books.balance(&mut app.db.read().await.unwrap(), user).await.unwrap();
    let credit = balance.credits.iter().find(|credit| credit.bucket.scope == scope && credit.bucket.posted > amount).unwrap().bucket.id;
    let mut tx = app.db.write().await.unwrap();
    let back = farebox::ledger::TakeBack {
        user,
        credit,
        amount,
        to: farebox::ledger::House::Revenue,
        spent: farebox::ledger::Spent::Kept,
        kind: farebox::ledger::TransferKind::Adjustment,
        reference: "spent".into(),
        idempotency_key: format!("spent:{}", app.kit.ids.next()),
    };
    app.books.take_back(&mut tx, &back).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_larger_plan_at_once_takes_off_what_is_left_and_ends_the_old_allowance() {
    let till = Till::held().await;
    let (small, large) = two(&till).await;
    let customer = till.customer().await;
    let user = customer.user.id;
    let order = half_way(&till, user, small).await;
    let buyer = Visitor::logged_in(&till.shop, &customer.user).await;
    let view = till.subscription(user).await;
    let change = format!("/account/plan/{}/change", view.id);
    assert!(buyer.read("/account/plans").await.contains(&format!("{change}?plan={large}")));
    let page = buyer.read(&format!("{change}?plan={large}")).await;
    assert!(page.contains("about $5.00") && page.contains("Change now and pay about $25.00") && page.contains("At the next renewal"), "{page}");
    let form = [("plan", &*large.to_string()), ("when", "now")];
    assert_eq!(location(&buyer.submit(&format!("{change}?plan={large}"), &change, &form).await), "/account/plan");
    assert!(buyer.read("/account/plan").await.contains("Your plan has changed."));
    let (view, orders) = (till.subscription(user).await, till.orders_of(user).await);
    assert_eq!((view.plan, view.paid_until, view.state, view.terms.len()), (large, till.period(&order).1, PlanState::Active, 2));
    assert_eq!((orders.len(), orders[1].price.minor, orders[1].state, orders[1].title.as_str()), (2, 2500, State::Paid, "Large"));
    assert_eq!((view.terms[1].paid, till.left(user).await.0), (Usd::dollars(25), Usd::dollars(40)));
    let plan = plans::find(&mut till.shop.app.db.read().await.unwrap(), large).await.unwrap().unwrap();
    assert_eq!(plan.taken, 1, "it was bought");
    for message in till.stripe.messages() {
        till.deliver(&message).await;
    }
    till.handled().await;
    assert_eq!((till.orders_of(user).await.len(), till.subscription(user).await.terms.len(), till.left(user).await.0), (2, 2, Usd::dollars(40)));
    // The next month costs what the larger one costs.
    till.go_to(till.period(&order).1).await;
    till.deliver_all().await;
    let orders = till.orders_of(user).await;
    assert_eq!((orders.len(), orders[2].price.minor, till.left(user).await.0), (3, 3000, Usd::dollars(40)));
    till.finish().await;
}

#[tokio::test]
async fn who_has_spent_more_than_has_passed_pays_all_and_keeps_what_is_left() {
    let till = Till::held().await;
    let (small, large) = two(&till).await;
    let user = till.customer().await.user.id;
    half_way(&till, user, small).await;
    spend(&till, user, Usd::dollars(7)).await;
    let payments = &till.shop.app.payments;
    let id = till.subscription(user).await.id;
    let offer = payments.change_offer(user, id, large).await.unwrap().unwrap().now.unwrap();
    assert_eq!((offer.unused, offer.due.minor), (None, 3000));
    assert_eq!(payments.change_now(user, id, large).await.unwrap(), Changed::Done);
    assert_eq!((till.orders_of(user).await[1].price.minor, till.left(user).await.0), (3000, Usd::dollars(45)));
    till.deliver_all().await;
    till.go_to_day("2026-04-01T12:00:00Z").await;
    assert_eq!(till.left(user).await.0, Usd::dollars(40), "its period is over");
    till.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_changes_and_their_messages_at_once_are_charged_once() {
    let till = Till::open().await;
    let (small, large) = two(&till).await;
    for _ in 0..3 {
        let user = till.customer().await.user.id;
        let (order, checkout) = till.opened_subscription(user, small).await;
        till.stripe.pay(&checkout, Card::Good).unwrap();
        till.stripe.settled().await;
        till.handled().await;
        let external = till.find(order.id).await.subscription.unwrap();
        till.clock.advance(10 * DAY_MS);
        let id = till.subscription(user).await.id;
        let payments = &till.shop.app.payments;
        let all = join_all((0..50).map(|_| payments.change_now(user, id, large))).await;
        assert!(
            all.iter().all(|one| matches!(one, Ok(Changed::Done | Changed::Underway) | Err(PaymentError::CannotChange | PaymentError::Provider(_)))),
            "{all:?}"
        );
        assert!(all.iter().any(|one| matches!(one, Ok(Changed::Done))), "{all:?}");
        till.stripe.settled().await;
        till.handled().await;
        let bills = till.stripe.messages().iter().filter(|message| message.kind == "invoice.paid" && message.body.contains(&external)).count();
        assert_eq!((bills, till.orders_of(user).await.len()), (2, 2));
        assert_eq!((till.subscription(user).await.terms.len(), till.left(user).await.0), (2, Usd::dollars(40)));
    }
    till.finish().await;
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_made_by_its_message_or_by_asking_again_and_charged_once() {
    let till = Till::held().await;
    let (small, large) = two(&till).await;
    for by_message in [true, false] {
        let user = till.customer().await.user.id;
        half_way(&till, user, small).await;
        let id = till.subscription(user).await.id;
        let payments = &till.shop.app.payments;
        let before = till.stripe.messages().len();
        // The subscription is looked at, the product made, the subscription looked at once more; then it is changed.
        till.stripe.fail_next(&[Fault::Pass, Fault::Pass, Fault::Pass, Fault::LoseAnswer]);
        assert!(matches!(payments.change_now(user, id, large).await, Err(PaymentError::Provider(_))));
        assert!(till.stripe.messages()[before..].iter().any(|message| message.kind == "invoice.paid"), "it was made");
        assert_eq!(till.subscription(user).await.plan, small);
        if !by_message {
            till.clock.advance(60_000);
            assert_eq!(payments.change_now(user, id, large).await.unwrap(), Changed::Done);
        }
        till.deliver_all().await;
        assert_eq!((till.subscription(user).await.plan, till.orders_of(user).await.len()), (large, 2));
        assert_eq!(till.stripe.messages()[before..].iter().filter(|message| message.kind == "charge.succeeded").count(), 1);
    }
    till.finish().await;
}

#[tokio::test]
async fn a_declined_change_changes_nothing_and_another_card_makes_it() {
    let till = Till::held().await;
    let (small, large) = two(&till).await;
    let user = till.customer().await.user.id;
    let order = half_way(&till, user, small).await;
    let payer = till.stripe.object(order.subscription.as_deref().unwrap())["customer"].as_str().unwrap().to_owned();
    let (payments, id) = (&till.shop.app.payments, till.subscription(user).await.id);
    till.stripe.card_becomes(&payer, Card::Poor);
    for _ in 0..2 {
        assert!(matches!(payments.change_now(user, id, large).await.unwrap(), Changed::Declined(_)));
    }
    till.deliver_all().await;
    assert_eq!((till.subscription(user).await.plan, till.orders_of(user).await.len(), till.left(user).await.0), (small, 1, Usd::dollars(12)));
    till.stripe.card_becomes(&payer, Card::Good);
    assert_eq!(payments.change_now(user, id, large).await.unwrap(), Changed::Done);
    till.deliver_all().await;
    assert_eq!((till.subscription(user).await.plan, till.orders_of(user).await.len()), (large, 2));
    till.finish().await;
}

#[tokio::test]
async fn a_smaller_plan_follows_when_it_is_renewed_and_may_be_thought_better_of() {
    let till = Till::held().await;
    let (small, large) = two(&till).await;
    let customer = till.customer().await;
    let user = customer.user.id;
    let order = half_way(&till, user, large).await;
    let buyer = Visitor::logged_in(&till.shop, &customer.user).await;
    let id = till.subscription(user).await.id;
    let change = format!("/account/plan/{id}/change");
    let page = buyer.read(&format!("{change}?plan={small}")).await;
    assert!(!page.contains("value=\"now\"") && page.contains("value=\"renewal\""), "{page}");
    let form = [("plan", &*small.to_string()), ("when", "now")];
    buyer.submit(&format!("{change}?plan={small}"), &change, &form).await;
    assert!(buyer.read("/account/plan").await.contains("That is not possible any more."), "a smaller one is no change at once");
    let form = [("plan", &*small.to_string()), ("when", "renewal")];
    for keeps in [true, false] {
        buyer.submit(&format!("{change}?plan={small}"), &change, &form).await;
        till.told().await;
        assert_eq!(till.stripe.object(order.subscription.as_deref().unwrap())["items"]["data"][0]["price"]["unit_amount"], 1000);
        assert!(buyer.read("/account/plan").await.contains("It becomes Small, $10.00 for 1 month."));
        if keeps {
            buyer.submit("/account/plan", &format!("/account/plan/{id}/keep"), &[]).await;
            till.told().await;
            assert_eq!(till.stripe.object(order.subscription.as_deref().unwrap())["items"]["data"][0]["price"]["unit_amount"], 3000);
            assert!(buyer.read("/account/plan").await.contains("It is renewed, $30.00 for 1 month."));
        }
    }
    till.go_to(till.period(&order).1).await;
    till.deliver_all().await;
    let (view, orders) = (till.subscription(user).await, till.orders_of(user).await);
    assert_eq!((view.plan, view.next.is_none(), orders[1].price.minor, till.left(user).await.0), (small, true, 1000, Usd::dollars(12)));
    assert_eq!(view.terms[1].paid, TEN);
    till.finish().await;
}

#[tokio::test]
async fn a_renewal_that_the_provider_billed_before_it_heard_of_a_wish_is_what_was_billed_and_the_wish_stands() {
    let till = Till::held().await;
    let (small, large) = two(&till).await;
    let user = till.customer().await.user.id;
    let order = till.subscribed(user, large).await;
    let before = till.stripe.messages().len();
    let end = till.period(&order).1;
    // The provider has renewed; the shop has not heard of it when the wish is made.
    till.stripe.hurry((end - farebox::kernel::Clock::now_ms(&till.clock)) / 1000);
    let bill = telling(till.stripe.messages().split_off(before)).into_iter().find(|message| message.kind == "invoice.paid").unwrap();
    let (payments, id) = (&till.shop.app.payments, till.subscription(user).await.id);
    payments.change_at_renewal(user, id, small).await.unwrap();
    till.deliver(&bill).await;
    till.handled().await;
    let view = till.subscription(user).await;
    assert_eq!((view.plan, view.terms.len(), view.next.map(|(plan, _)| plan)), (large, 2, Some(small)));
    till.told().await;
    assert_eq!(till.stripe.object(order.subscription.as_deref().unwrap())["items"]["data"][0]["price"]["unit_amount"], 1000);
    till.finish().await;
}

#[tokio::test]
async fn what_cannot_be_changed_to_is_not_offered() {
    let till = Till::held().await;
    let (small, large) = two(&till).await;
    let user = till.customer().await.user.id;
    half_way(&till, user, small).await;
    let (payments, id) = (&till.shop.app.payments, till.subscription(user).await.id);
    let cannot = [
        till.plan(&[("sold", "once"), ("price", "50")]).await,
        till.plan(&[("sold", "subscription"), ("price", "50"), ("visibility", "off")]).await,
        till.plan(&[("sold", "subscription"), ("price", "50"), ("stock", "0")]).await,
        till.plan(&[("sold", "subscription"), ("price", "50"), ("currency", "EUR")]).await,
        small,
    ];
    for plan in cannot {
        assert_eq!(payments.change_offer(user, id, plan).await.unwrap(), None);
        assert!(matches!(payments.change_now(user, id, plan).await, Err(PaymentError::CannotChange)));
        assert!(matches!(payments.change_at_renewal(user, id, plan).await, Err(PaymentError::CannotChange)));
    }
    let year = till.plan(&[("sold", "subscription"), ("price", "100"), ("length", "12")]).await;
    let offer = payments.change_offer(user, id, year).await.unwrap().unwrap();
    assert_eq!((offer.now.is_some(), offer.at_renewal), (true, None), "with another length a period begins at once");
    let stranger = till.customer().await.user.id;
    assert_eq!(payments.change_offer(stranger, id, large).await.unwrap(), None);
    till.cancel(id, Ending::Now(farebox::ledger::House::Revenue)).await;
    assert_eq!(payments.change_offer(user, id, large).await.unwrap(), None);
    till.finish().await;
}
