//! Renewals that cannot be collected.

use super::{MONTH, TWELVE};
use crate::payments::Till;
use crate::web::{Visitor, location};
use farebox::demo::stripe::{Card, Fault};
use farebox::kernel::Usd;
use farebox::kernel::clock::DAY_MS;
use farebox::payments::{PaidAgain, PaymentError, State};
use farebox::plans::State as PlanState;

/// The subjects of the letters to somebody, the oldest first, receipts aside.
async fn letters(till: &Till, email: &str) -> Vec<String> {
    let mut conn = till.shop.app.db.read().await.unwrap();
    let all = sqlx::query_scalar("SELECT subject FROM outbox WHERE recipient = $1 ORDER BY id").bind(email.to_owned());
    let all: Vec<String> = all.fetch_all(&mut *conn).await.unwrap();
    all.into_iter().filter(|subject| !subject.starts_with("Receipt")).collect()
}

/// Pays a bill on the provider's page, by this card.
async fn pay_there(till: &Till, bill: &str, card: Card) {
    let page = format!("{}/i/{bill}", till.stripe.base_url());
    till.shop.http.post(page).form(&[("number", card.number())]).send().await.unwrap();
}

#[tokio::test]
async fn a_failed_renewal_is_told_once_for_each_try_and_paid_on_our_page() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let (user, email) = (customer.user.id, customer.user.email.to_string());
    let plan = till.plan(MONTH).await;
    let order = till.subscribed(user, plan).await;
    let external = order.subscription.clone().unwrap();
    let payer = till.stripe.object(&external)["customer"].as_str().unwrap().to_owned();
    let end = till.period(&order).1;
    till.stripe.card_becomes(&payer, Card::Declined);
    till.go_to(end).await;
    till.deliver_all().await;
    assert_eq!((till.subscription(user).await.state, till.left(user).await.0), (PlanState::PastDue, Usd::ZERO));
    assert_eq!(letters(&till, &email).await, ["Starter could not be renewed"]);
    for message in till.stripe.messages() {
        till.deliver(&message).await;
    }
    till.handled().await;
    assert_eq!(letters(&till, &email).await.len(), 1, "told again, not mailed again");

    let buyer = Visitor::logged_in(&till.shop, &customer.user).await;
    let view = till.subscription(user).await;
    let at = |action: &str| format!("/account/plan/{}/{action}", view.id);
    let page = buyer.read("/account/plan").await;
    assert!(page.contains("Pay $10.00 now") && page.contains(&at("pay")), "{page}");
    let page = buyer.read(&at("pay")).await;
    assert!(page.contains("$10.00") && page.contains(&at("bill")), "{page}");
    let bill = location(&buyer.get(&at("bill")).await).to_owned();
    assert!(bill.starts_with(&till.stripe.base_url()), "{bill}");
    assert_eq!(location(&buyer.submit(&at("pay"), &at("pay"), &[]).await), at("pay"));
    assert!(buyer.read(&at("pay")).await.contains("Your card was declined again."));
    assert_eq!(letters(&till, &email).await, ["Starter could not be renewed", "Starter is still not paid"]);
    till.go_to(end + 3 * DAY_MS).await;
    till.deliver_all().await;
    assert_eq!(till.subscription(user).await.state, PlanState::PastDue);

    let stranger = Visitor::logged_in(&till.shop, &till.customer().await.user).await;
    for action in ["pay", "bill", "change?plan=0000000000001"] {
        assert_eq!(stranger.get(&at(action)).await.status(), 404);
    }
    assert_eq!(stranger.submit("/account/plan", &at("pay"), &[]).await.status(), 404);

    till.stripe.card_becomes(&payer, Card::Good);
    assert_eq!(location(&buyer.submit(&at("pay"), &at("pay"), &[]).await), "/account/plan");
    let page = buyer.read("/account/plan").await;
    assert!(page.contains("Paid. Your plan goes on.") && !page.contains("Pay $10.00 now"), "{page}");
    let (view, orders) = (till.subscription(user).await, till.orders_of(user).await);
    assert_eq!((view.state, view.paid_until, till.left(user).await.0, orders.len()), (PlanState::Active, till.period(&order).1, TWELVE, 2));
    till.deliver_all().await;
    for message in till.stripe.messages() {
        till.deliver(&message).await;
    }
    till.handled().await;
    let view = till.subscription(user).await;
    assert_eq!((view.state, view.terms.len(), till.orders_of(user).await.len()), (PlanState::Active, 2, 2), "late words of failures change nothing");
    assert_eq!(location(&buyer.get(&at("pay")).await), "/account/plan");
    till.finish().await;
}

#[tokio::test]
async fn a_bill_paid_on_the_providers_page_brings_the_plan_back_and_one_paid_after_the_end_goes_back() {
    let till = Till::held().await;
    let plan = till.plan(MONTH).await;
    for in_time in [true, false] {
        let customer = till.customer().await;
        let (user, email) = (customer.user.id, customer.user.email.to_string());
        let order = till.subscribed(user, plan).await;
        let external = order.subscription.clone().unwrap();
        let payer = till.stripe.object(&external)["customer"].as_str().unwrap().to_owned();
        till.stripe.card_becomes(&payer, Card::Declined);
        let end = till.period(&order).1;
        till.go_to(end).await;
        let bill = till.stripe.object(&external)["latest_invoice"].as_str().unwrap().to_owned();
        if in_time {
            till.go_to(end + 2 * DAY_MS).await;
            pay_there(&till, &bill, Card::Good).await;
            till.deliver_all().await;
            assert_eq!((till.subscription(user).await.state, till.left(user).await.0), (PlanState::Active, TWELVE));
            assert!(letters(&till, &email).await.is_empty(), "it was paid before anybody heard that it was not");
            continue;
        }
        for (after, letter) in [(0, "could not be renewed"), (3, "still not paid"), (8, "still not paid"), (15, "ends if it is not paid")] {
            till.go_to(end + after * DAY_MS).await;
            till.deliver_all().await;
            assert!(letters(&till, &email).await.pop().unwrap().contains(letter), "{after}");
        }
        assert_eq!(letters(&till, &email).await.len(), 4);
        let payments = &till.shop.app.payments;
        assert_eq!((till.subscription(user).await.state, till.left(user).await.0), (PlanState::Ended, Usd::ZERO));
        assert_eq!(payments.pay_again(till.subscription(user).await.id).await.unwrap(), PaidAgain::Nothing);
        let before = till.money().await;
        pay_there(&till, &bill, Card::Good).await;
        till.deliver_all().await;
        let late = till.orders_of(user).await.pop().unwrap();
        assert_eq!((late.details.clone(), late.note.as_deref()), (format!("invoice:{bill}"), Some("the subscription had ended")));
        assert_eq!(till.available(user).await, Usd::ZERO, "nobody can spend it meanwhile");
        let is_back = || async {
            payments.refund_due().await.unwrap();
            till.state(late.id).await == State::Refunded
        };
        till.shop.until("it is paid back", is_back).await;
        let charge = till.stripe.object(late.payment.as_deref().unwrap())["latest_charge"].as_str().unwrap().to_owned();
        assert_eq!(till.stripe.object(&charge)["amount_refunded"], 1000);
        till.deliver_all().await;
        assert_eq!((till.money().await, till.subscription(user).await.terms.len()), (before, 1));
    }
    till.finish().await;
}

#[tokio::test]
async fn a_payment_whose_answer_is_lost_is_found_and_paid_once() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let user = customer.user.id;
    let plan = till.plan(MONTH).await;
    let order = till.subscribed(user, plan).await;
    let external = order.subscription.clone().unwrap();
    let payer = till.stripe.object(&external)["customer"].as_str().unwrap().to_owned();
    till.stripe.card_becomes(&payer, Card::Declined);
    till.go_to(till.period(&order).1).await;
    till.deliver_all().await;
    till.stripe.card_becomes(&payer, Card::Good);
    till.stripe.fail_next(&[Fault::LoseAnswer]);
    let (payments, view) = (&till.shop.app.payments, till.subscription(user).await);
    let first = payments.pay_again(view.id).await;
    assert!(matches!(first, Err(PaymentError::Provider(_)) | Ok(PaidAgain::Paid)), "{first:?}");
    // It was paid, as the bill says when it is asked again.
    assert!(matches!(payments.pay_again(view.id).await.unwrap(), PaidAgain::Paid | PaidAgain::Nothing));
    till.deliver_all().await;
    let paid = till.stripe.messages().iter().filter(|message| message.kind == "charge.succeeded").count();
    assert_eq!((paid, till.orders_of(user).await.len(), till.subscription(user).await.state), (2, 2, PlanState::Active));
    till.finish().await;
}
