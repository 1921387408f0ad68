//! A top-up from the order to the credit, whatever order its messages come in.

use super::{Till, permutations};
use farebox::demo::stripe::{Card, Fault};
use farebox::kernel::Usd;
use farebox::payments::{PaymentError, State};

#[tokio::test]
async fn a_paid_page_becomes_credit_with_what_is_given_on_top() {
    let till = Till::open().await;
    let customer = till.customer().await;
    let (order, checkout) = till.opened(customer.user.id, 50, 5).await;
    assert_eq!((order.state, till.available(customer.user.id).await), (State::Pending, Usd::ZERO));
    till.stripe.pay(&checkout, Card::Good).unwrap();
    till.stripe.settled().await;
    till.handled().await;
    let order = till.find(order.id).await;
    assert_eq!((order.state, till.available(customer.user.id).await), (State::Paid, Usd::dollars(55)));
    assert!(order.payment.is_some() && order.paid_at.is_some() && order.checkout_url.is_none());
    till.finish().await;
}

#[tokio::test]
async fn messages_of_a_payment_in_every_order_and_each_five_times_credit_once() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let mut expected = Usd::ZERO;
    for turn in permutations(4) {
        let (order, checkout) = till.opened(customer.user.id, 5, 0).await;
        let messages = till.messages_of(|| _ = till.stripe.pay(&checkout, Card::Good).unwrap());
        let kinds: Vec<&str> = messages.iter().map(|message| message.kind.as_str()).collect();
        assert!(kinds.contains(&"checkout.session.completed") && kinds.contains(&"payment_intent.succeeded"), "{kinds:?}");
        let turn: Vec<usize> = turn.into_iter().filter(|at| *at < messages.len()).collect();
        for at in turn {
            for _ in 0..5 {
                assert_eq!(till.stripe.deliver(&messages[at].id).await, 200);
            }
        }
        till.handled().await;
        expected += Usd::dollars(5);
        assert_eq!((till.state(order.id).await, till.available(customer.user.id).await), (State::Paid, expected));
    }
    till.finish().await;
}

#[tokio::test]
async fn fifty_deliveries_at_once_credit_once() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let (order, checkout) = till.opened(customer.user.id, 10, 1).await;
    let messages = till.messages_of(|| _ = till.stripe.pay(&checkout, Card::Good).unwrap());
    let deliveries = (0..50).map(|n| till.stripe.deliver(&messages[n % messages.len()].id));
    let answers = futures_util::future::join_all(deliveries).await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    till.handled().await;
    assert_eq!((till.state(order.id).await, till.available(customer.user.id).await), (State::Paid, Usd::dollars(11)));
    till.finish().await;
}

#[tokio::test]
async fn what_was_paid_stays_paid_when_the_end_of_the_page_is_told_late_and_what_ended_is_paid_when_money_comes() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let (first, checkout) = till.opened(customer.user.id, 10, 0).await;
    let paid = till.messages_of(|| _ = till.stripe.pay(&checkout, Card::Good).unwrap());
    // The shop hears of an end that never was: an older message of the same page.
    let mut forged: serde_json::Value = serde_json::from_str(&paid.last().unwrap().body).unwrap();
    forged["id"] = "evt_of_an_end".into();
    forged["type"] = "checkout.session.expired".into();
    forged["data"]["object"]["status"] = "expired".into();
    forged["data"]["object"]["payment_status"] = "unpaid".into();
    let late = forged.to_string();
    let send = async |body: &str| {
        let request = till.shop.http.post(till.shop.at("/webhooks/stripe")).header("stripe-signature", till.stripe.sign(body)).body(body.to_owned());
        assert_eq!(request.send().await.unwrap().status(), 200);
        till.handled().await;
    };
    till.deliver_all().await;
    send(&late).await;
    assert_eq!((till.state(first.id).await, till.available(customer.user.id).await), (State::Paid, Usd::dollars(10)));

    let (second, checkout) = till.opened(customer.user.id, 10, 0).await;
    let paid = till.messages_of(|| _ = till.stripe.pay(&checkout, Card::Good).unwrap());
    let mut forged: serde_json::Value = serde_json::from_str(&paid.last().unwrap().body).unwrap();
    forged["id"] = "evt_of_another_end".into();
    forged["type"] = "checkout.session.expired".into();
    forged["data"]["object"]["status"] = "expired".into();
    forged["data"]["object"]["payment_status"] = "unpaid".into();
    send(&forged.to_string()).await;
    assert_eq!(till.state(second.id).await, State::Expired);
    till.deliver_all().await;
    assert_eq!((till.state(second.id).await, till.available(customer.user.id).await), (State::Paid, Usd::dollars(20)));
    till.finish().await;
}

#[tokio::test]
async fn a_transfer_that_comes_days_later_credits_then_and_one_that_does_not_never() {
    let till = Till::held().await;
    let customer = till.customer().await;
    for (comes, state, credit) in [(true, State::Paid, Usd::dollars(10)), (false, State::Failed, Usd::dollars(10))] {
        let (order, checkout) = till.opened(customer.user.id, 10, 0).await;
        till.stripe.pay(&checkout, Card::Transfer).unwrap();
        till.deliver_all().await;
        assert_eq!(till.state(order.id).await, State::Pending, "the page is complete, the money is not there");
        till.stripe.settle(&checkout, comes).unwrap();
        till.deliver_all().await;
        assert_eq!((till.state(order.id).await, till.available(customer.user.id).await), (state, credit));
    }
    till.finish().await;
}

#[tokio::test]
async fn a_declined_card_leaves_the_page_open_for_another_one() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let (order, checkout) = till.opened(customer.user.id, 10, 0).await;
    for card in [Card::Declined, Card::Poor, Card::Expired] {
        assert!(till.stripe.pay(&checkout, card).is_err());
        till.deliver_all().await;
        assert_eq!(till.state(order.id).await, State::Pending);
    }
    till.stripe.pay(&checkout, Card::Good).unwrap();
    till.deliver_all().await;
    assert_eq!(till.state(order.id).await, State::Paid);
    till.finish().await;
}

#[tokio::test]
async fn the_page_of_an_order_is_made_once_even_when_the_answer_is_lost() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let order = till.order(customer.user.id, 10, 0).await;
    let payments = &till.shop.app.payments;
    till.stripe.fail_next(&[Fault::Status(500)]);
    let first = payments.pay_page(&order).await;
    assert!(matches!(first, Err(PaymentError::Provider(_)) | Ok(Some(_))), "{first:?}");
    let pages: Vec<String> =
        futures_util::future::join_all((0..8).map(|_| payments.pay_page(&order))).await.into_iter().map(|page| page.unwrap().unwrap()).collect();
    assert!(pages.iter().all(|page| *page == pages[0]), "{pages:?}");
    let sessions = till.stripe.asked().iter().filter(|asked| asked.method == "POST" && asked.path == "checkout/sessions" && asked.status == 200).count();
    assert!(sessions >= 1);
    assert_eq!(till.stripe.object(&till.find(order.id).await.checkout.unwrap())["amount_total"], 1000);
    till.finish().await;
}

#[tokio::test]
async fn too_many_unpaid_orders_are_refused() {
    let till = Till::held().await;
    let customer = till.customer().await;
    for _ in 0..20 {
        till.order(customer.user.id, 5, 0).await;
    }
    let new = till.wish(customer.user.id, 5);
    assert!(matches!(till.shop.app.payments.order(&new).await, Err(PaymentError::TooManyPending)));
    till.finish().await;
}
