//! How a subscription begins.

use super::{MONTH, TEN, TWELVE, telling};
use crate::payments::{Till, permutations};
use crate::plans::at;
use crate::web::{Visitor, location};
use farebox::demo::stripe::Card;
use farebox::kernel::Usd;
use farebox::kernel::clock::DAY_MS;
use farebox::payments::{PaymentError, State};
use farebox::plans::Refused;
use futures_util::future::join_all;

#[tokio::test]
async fn a_customer_subscribes_on_the_pages() {
    let till = Till::open().await;
    let customer = till.customer().await;
    let plan = till.plan(MONTH).await;
    let buyer = Visitor::logged_in(&till.shop, &customer.user).await;
    let page = buyer.read("/account/plans").await;
    assert!(page.contains("value=\"subscription\"") && !page.contains("value=\"once\""), "{page}");
    let form = [("what", "plan"), ("plan", &*plan.to_string()), ("way", "subscription")];
    let order_page = location(&buyer.submit("/account/plans", "/account/orders", &form).await).trim_end_matches("?go").to_owned();
    // A second page on which the same is subscribed to would be paid twice.
    assert_eq!(location(&buyer.submit("/account/plans", "/account/orders", &form).await), format!("{order_page}?go"));
    let pay_page = location(&buyer.get(&format!("{order_page}/pay")).await).to_owned();
    let checkout = pay_page.rsplit('/').next().unwrap().to_owned();
    let session = till.stripe.object(&checkout);
    assert_eq!((session["mode"].as_str(), session["amount_total"].as_i64()), (Some("subscription"), Some(1000)));
    till.stripe.pay(&checkout, Card::Good).unwrap();
    till.stripe.settled().await;
    till.handled().await;
    assert!(buyer.read(&format!("{order_page}?paid")).await.contains("/account/plan\""));
    let page = buyer.read("/account/plan").await;
    assert!(page.contains("It is renewed, $10.00 for 1 month.") && page.contains("$12.00"), "{page}");
    let order = till.orders_of(customer.user.id).await.remove(0);
    let view = till.subscription(customer.user.id).await;
    assert_eq!((view.terms[0].starts_at, view.paid_until, view.renewing), (till.period(&order).0, till.period(&order).1, true));
    assert!(order.payment.is_some() && order.subscription.is_some());
    assert_eq!((view.terms[0].paid, till.left(customer.user.id).await.0), (TEN, TWELVE));
    assert!(!buyer.read("/account/plans").await.contains("value=\"subscription\""), "it is had already");
    till.finish().await;
}

#[tokio::test]
async fn messages_of_a_beginning_in_every_order_and_each_five_times_begin_once() {
    let till = Till::held().await;
    let plan = till.plan(MONTH).await;
    for turn in permutations(5) {
        let customer = till.customer().await;
        let (order, checkout) = till.opened_subscription(customer.user.id, plan).await;
        let messages = telling(till.messages_of(|| _ = till.stripe.pay(&checkout, Card::Good).unwrap()));
        assert_eq!(messages.len(), 5);
        for at in turn {
            let five = join_all((0..5).map(|_| till.stripe.deliver(&messages[at].id))).await;
            assert_eq!(five, [200; 5]);
        }
        till.handled().await;
        let view = till.subscription(customer.user.id).await;
        assert_eq!((till.state(order.id).await, view.terms.len(), till.left(customer.user.id).await.0), (State::Paid, 1, TWELVE));
        assert_eq!(till.orders_of(customer.user.id).await.len(), 1);
    }
    assert_eq!(till.money().await[1].0.abs(), 120 * TEN.0, "each has paid once");
    till.finish().await;
}

#[tokio::test]
async fn a_trial_costs_nothing_and_its_first_bill_is_a_renewal() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let plan = till.plan(&[("sold", "both"), ("trial_days", "7"), ("stacking", "stack")]).await;
    let order = till.subscribed(customer.user.id, plan).await;
    assert_eq!((order.price.minor, order.payment.clone(), till.money().await), (0, None, [Usd::ZERO; 3]));
    let view = till.subscription(customer.user.id).await;
    let start = order.paid_at.unwrap();
    assert_eq!((view.terms[0].trial, view.paid_until, till.left(customer.user.id).await.0), (true, start + 7 * DAY_MS, TWELVE));
    till.go_to(start + 7 * DAY_MS).await;
    till.deliver_all().await;
    let orders = till.orders_of(customer.user.id).await;
    assert_eq!((orders.len(), orders[1].price.minor, orders[1].state, orders[1].payment.is_some()), (2, 1000, State::Paid, true));
    let view = till.subscription(customer.user.id).await;
    assert_eq!((view.terms.len(), view.paid_until, till.left(customer.user.id).await.0), (2, at("2026-04-08T12:00:00Z"), TWELVE));
    // One trial for each customer.
    let again = till.wish_subscription(customer.user.id, plan).await.unwrap();
    assert_eq!(again.price.minor, 1000);
    till.finish().await;
}

#[tokio::test]
async fn money_that_comes_days_later_begins_it_then() {
    let till = Till::held().await;
    let plan = till.plan(MONTH).await;
    for comes in [true, false] {
        let customer = till.customer().await;
        let (order, checkout) = till.opened_subscription(customer.user.id, plan).await;
        till.stripe.pay(&checkout, Card::Transfer).unwrap();
        till.deliver_all().await;
        assert_eq!((till.state(order.id).await, till.views(customer.user.id).await.len()), (State::Pending, 0));
        till.stripe.settle(&checkout, comes).unwrap();
        till.deliver_all().await;
        let expected = if comes { (State::Paid, 1) } else { (State::Failed, 0) };
        assert_eq!((till.state(order.id).await, till.views(customer.user.id).await.len()), expected);
    }
    till.finish().await;
}

#[tokio::test]
async fn what_cannot_be_subscribed_to_is_refused_and_what_differs_begins_nothing() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let (user, once) = (customer.user.id, till.plan(&[("sold", "once")]).await);
    assert!(matches!(till.wish_subscription(user, once).await, Err(PaymentError::Refused(Refused::NotSoldThisWay))));
    let plan = till.plan(MONTH).await;
    let (order, checkout) = till.opened_subscription(user, plan).await;
    assert!(matches!(till.wish_subscription(user, plan).await, Err(PaymentError::AlreadyOrdered(open)) if open == order.id));
    let paid = telling(till.messages_of(|| _ = till.stripe.pay(&checkout, Card::Good).unwrap()));
    let completed = paid.iter().find(|message| message.kind == "checkout.session.completed").unwrap();
    let other = till.customer().await;
    till.opened(other.user.id, 5, 0).await;
    for (n, (field, value)) in
        [("mode", "payment".into()), ("amount_total", 900.into()), ("currency", "eur".into()), ("customer", "cus_other".into())].into_iter().enumerate()
    {
        let mut forged: serde_json::Value = serde_json::from_str(&completed.body).unwrap();
        forged["id"] = format!("evt_forged_{n}").into();
        forged["data"]["object"][field] = value;
        let body = forged.to_string();
        let request = till.shop.http.post(till.shop.at("/webhooks/stripe")).header("stripe-signature", till.stripe.sign(&body)).body(body);
        assert_eq!(request.send().await.unwrap().status(), 200);
        till.handled().await;
        assert_eq!((till.state(order.id).await, till.views(user).await.len()), (State::Pending, 0), "{field}");
    }
    till.deliver_all().await;
    assert_eq!((till.state(order.id).await, till.views(user).await.len()), (State::Paid, 1));
    assert!(matches!(till.wish_subscription(user, plan).await, Err(PaymentError::Refused(Refused::AlreadySubscribed))));
    till.finish().await;
}
