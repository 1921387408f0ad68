//! Fees, and the provider's word beside the books: each kind of difference is found and told, and where there is none, none is told.

use super::{MINUTE, NOON, Till};
use crate::web::{Visitor, location, owner};
use farebox::demo::stripe::{Card, Fault, Post};
use farebox::kernel::{Currency, Money, Usd};
use farebox::ledger::{House, audit};
use farebox::payments::compare::{Comparison, Reason, Stand, Subject};
use farebox::settings::TopUpTerms;
use reqwest::StatusCode;
use serde_json::Value;

const DAY: i64 = 24 * 60 * MINUTE;

impl Till {
    async fn compared(&self) -> Comparison {
        self.shop.app.payments.compare(NOON - DAY, NOON + DAY).await.expect("the provider answers")
    }

    /// What differs, as pairs.
    async fn differences(&self) -> Vec<(Subject, Reason)> {
        self.compared().await.differences.iter().map(|difference| (difference.subject, difference.reason)).collect()
    }

    async fn fees(&self) -> Usd {
        let report = audit(&self.shop.app.db).await.expect("the audit runs");
        report.house.iter().find(|(house, _)| *house == House::Fees).expect("the account").1
    }

    async fn change(&self, sql: &'static str) {
        let mut tx = self.shop.app.db.write().await.expect("a transaction");
        sqlx::query(sql).execute(&mut *tx).await.expect("a change");
        tx.commit().await.expect("a commit");
    }

    /// A payment that the shop knows nothing of, made with the same account of the provider.
    async fn foreign(&self, currency: &str) -> String {
        let form = [
            ("mode", "payment"),
            ("success_url", "https://elsewhere.example/ok"),
            ("cancel_url", "https://elsewhere.example/no"),
            ("line_items[0][price_data][currency]", currency),
            ("line_items[0][price_data][unit_amount]", "5000"),
            ("line_items[0][price_data][product_data][name]", "Something else"),
            ("line_items[0][quantity]", "1"),
        ];
        let url = format!("{}/v1/checkout/sessions", self.stripe.base_url());
        let answer = self.shop.http.post(url).bearer_auth("sk_test_of_the_test").form(&form).send().await.expect("an answer");
        let made: Value = answer.json().await.expect("JSON");
        let checkout = made["id"].as_str().unwrap_or_else(|| panic!("a checkout: {made}")).to_owned();
        self.stripe.pay(&checkout, Card::Good).expect("the card pays");
        self.stripe.object(&checkout)["payment_intent"].as_str().expect("a payment").to_owned()
    }
}

/// What the simulated provider keeps of so many cents.
fn fee(cents: i64) -> Usd {
    Usd((cents * 29 / 1000 + 30) * 10_000_000)
}

#[tokio::test]
async fn fees_are_posted_once_each_whoever_reads_them_how_often() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let first = till.paid(customer.user.id, 50, 0).await;
    till.paid(customer.user.id, 10, 0).await;
    let payments = &till.shop.app.payments;
    till.stripe.fail_next(&[Fault::Status(500); 12]);
    while payments.read_fees().await.is_err() {}
    let (a, b, c) = tokio::join!(payments.read_fees(), payments.read_fees(), payments.read_fees());
    for read in [a, b, c] {
        assert_eq!(read.unwrap(), 0);
    }
    assert_eq!(till.fees().await, fee(5000) + fee(1000));
    // A dispute costs a fee of its own, which comes later.
    till.clock.advance(DAY);
    till.stripe.dispute(first.payment.as_deref().unwrap()).unwrap();
    let (a, b, c) = tokio::join!(payments.read_fees(), payments.read_fees(), payments.read_fees());
    assert_eq!(a.unwrap() + b.unwrap() + c.unwrap(), 1);
    assert_eq!(till.fees().await, fee(5000) + fee(1000) + Usd::dollars(15));
    till.deliver_all().await;
    till.finish().await;
}

#[tokio::test]
async fn a_fee_in_another_currency_is_posted_at_its_orders_rate_and_waits_where_there_is_none() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let yuan = TopUpTerms { currency: "CNY".parse().unwrap(), rate: "7.2".parse().unwrap(), ..TopUpTerms::default() };
    till.sell(&yuan).await;
    let order = till.shop.app.payments.order(&till.wish(customer.user.id, 50)).await.unwrap();
    till.shop.app.payments.pay_page(&order).await.unwrap();
    till.stripe.pay(&till.find(order.id).await.checkout.unwrap(), Card::Good).unwrap();
    till.deliver_all().await;
    till.sell(&TopUpTerms::default()).await;
    till.foreign("eur").await;
    till.shop.app.payments.read_fees().await.unwrap();
    let in_yuan = Money::new(36_000 * 29 / 1000 + 30, "CNY".parse().unwrap());
    let expected = yuan.rate.credit(in_yuan).unwrap();
    assert_eq!(till.fees().await, expected);
    let differences = till.differences().await;
    assert!(differences.contains(&(Subject::Fee, Reason::NoRate)) && differences.contains(&(Subject::Payment, Reason::MissingHere)), "{differences:?}");
    // As soon as the currency has a rate, it is posted.
    till.sell(&TopUpTerms { currency: "EUR".parse().unwrap(), rate: "0.5".parse().unwrap(), ..TopUpTerms::default() }).await;
    till.shop.app.payments.read_fees().await.unwrap();
    assert_eq!(till.fees().await, expected + Usd(2 * fee(5000).0));
    assert!(!till.differences().await.contains(&(Subject::Fee, Reason::NoRate)));
    till.finish().await;
}

#[tokio::test]
async fn where_both_say_the_same_nothing_differs() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let order = till.paid(customer.user.id, 50, 5).await;
    let disputed = till.paid(customer.user.id, 20, 0).await;
    till.opened(customer.user.id, 30, 0).await; // nobody pays it
    till.refund(&order, 2_000, true).await.unwrap();
    till.stripe.refund_by_hand(order.payment.as_deref().unwrap(), Some(500)).unwrap();
    till.stripe.dispute(disputed.payment.as_deref().unwrap()).unwrap();
    till.deliver_all().await;
    till.shop.app.payments.refund_due().await.unwrap();
    till.shop.app.payments.read_fees().await.unwrap();
    let compared = till.compared().await;
    assert_eq!(compared.differences, []);
    assert!(!compared.is_cut && compared.totals.iter().all(|row| row.agree()), "{:?}", compared.totals);
    let usd = |minor| Money::new(minor, Currency::USD);
    let said: Vec<_> = compared.totals.iter().map(|row| (row.subject, row.theirs)).collect();
    let fees = fee(5000) + fee(2000) + Usd::dollars(15);
    let expected = [
        (Subject::Payment, (2, usd(7_000))),
        (Subject::Refund, (2, usd(2_500))),
        (Subject::Dispute, (1, usd(2_000))),
        (Subject::Fee, (3, usd(fees.0 / 10_000_000))),
    ];
    assert_eq!(said, expected);
    till.finish().await;
}

#[tokio::test]
async fn what_is_missing_on_either_side_is_told() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let order = till.paid(customer.user.id, 50, 0).await;
    assert_eq!(till.differences().await, [(Subject::Fee, Reason::MissingHere)], "the fee was not read yet");
    till.shop.app.payments.read_fees().await.unwrap();
    let foreign = till.foreign("usd").await;
    till.shop.app.payments.read_fees().await.unwrap();
    let compared = till.compared().await;
    assert_eq!(compared.differences.len(), 1);
    let found = &compared.differences[0];
    assert_eq!((found.subject, found.reason, found.theirs_id.as_deref(), found.order), (Subject::Payment, Reason::MissingHere, Some(foreign.as_str()), None));
    // An order that is marked paid and has no payment there.
    let pending = till.order(customer.user.id, 10, 0).await;
    till.change("UPDATE orders SET state = 'paid', paid_at = created_at, payment = 'pi_nowhere' WHERE state = 'pending'").await;
    let found = till.compared().await.differences.into_iter().find(|difference| difference.order == Some(pending.id)).expect("a difference");
    assert_eq!((found.reason, found.theirs.is_none(), found.ours.unwrap().amount), (Reason::MissingThere, true, Money::new(1_000, Currency::USD)));
    till.change("UPDATE orders SET state = 'pending', paid_at = NULL, payment = NULL WHERE payment = 'pi_nowhere'").await;
    // A refund and a dispute of which no message has come.
    till.stripe.refund_by_hand(order.payment.as_deref().unwrap(), Some(700)).unwrap();
    till.stripe.dispute(order.payment.as_deref().unwrap()).unwrap();
    let differences = till.differences().await;
    assert!(differences.contains(&(Subject::Refund, Reason::MissingHere)) && differences.contains(&(Subject::Dispute, Reason::MissingHere)), "{differences:?}");
    till.deliver_all().await;
    till.shop.app.payments.refund_due().await.unwrap();
    till.shop.app.payments.read_fees().await.unwrap();
    assert_eq!(till.differences().await, [(Subject::Payment, Reason::MissingHere)]);
    till.change("UPDATE dispute SET theirs = 'dp_nowhere'").await;
    till.change("UPDATE refund SET provider_refund = 're_nowhere'").await;
    let differences = till.differences().await;
    for wanted in [Subject::Refund, Subject::Dispute] {
        assert!(differences.contains(&(wanted, Reason::MissingThere)) && differences.contains(&(wanted, Reason::MissingHere)), "{differences:?}");
    }
    till.finish().await;
}

#[tokio::test]
async fn amounts_and_states_that_differ_are_told_with_both_sides() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let (pending, checkout) = till.opened(customer.user.id, 30, 0).await;
    till.stripe.pay(&checkout, Card::Good).unwrap();
    let read = async || {
        till.shop.app.payments.read_fees().await.unwrap();
        till.compared().await.differences
    };
    // Fees are not read before anybody has paid.
    let mut found = read().await;
    found.retain(|difference| difference.subject != Subject::Fee);
    assert_eq!((found.len(), found[0].reason, found[0].order), (1, Reason::Stand, Some(pending.id)), "it is paid there and waits here");
    assert_eq!((found[0].theirs.unwrap().stand, found[0].ours.unwrap().stand), (Stand::Done, Stand::Open));
    till.deliver_all().await;
    assert_eq!(read().await, []);
    till.change("UPDATE orders SET price = price - 1").await;
    let found = read().await;
    assert_eq!((found[0].reason, found[0].theirs.unwrap().amount.minor, found[0].ours.unwrap().amount.minor), (Reason::Amount, 3_000, 2_999));
    till.change("UPDATE orders SET price = price + 1").await;
    let dispute = till.stripe.dispute(till.find(pending.id).await.payment.as_deref().unwrap()).unwrap();
    till.deliver_all().await;
    assert_eq!(read().await, []);
    till.stripe.close_dispute(&dispute, false).unwrap();
    let found = read().await;
    assert_eq!((found[0].subject, found[0].reason, found[0].theirs.unwrap().stand), (Subject::Dispute, Reason::Stand, Stand::Lost));
    till.deliver_all().await;
    assert_eq!(read().await, []);
    till.finish().await;
}

#[tokio::test]
async fn a_payment_that_was_begun_long_before_it_was_paid_is_found_by_its_id() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let (order, checkout) = till.opened(customer.user.id, 30, 0).await;
    till.stripe.pay(&checkout, Card::Transfer).unwrap();
    till.deliver_all().await;
    till.clock.advance(6 * DAY);
    till.stripe.settle(&checkout, true).unwrap();
    till.deliver_all().await;
    till.shop.app.payments.read_fees().await.unwrap();
    let order = till.find(order.id).await;
    assert!(order.state.was_paid());
    let paid_at = order.paid_at.unwrap();
    let compared = till.shop.app.payments.compare(paid_at - DAY, paid_at + DAY).await.unwrap();
    assert_eq!(compared.differences, []);
    assert!(compared.totals.iter().any(|row| row.subject == Subject::Payment && row.theirs.0 == 1 && row.agree()), "{:?}", compared.totals);
    till.finish().await;
}

#[tokio::test]
async fn the_page_tells_kindly_what_it_cannot_do_and_fetches_what_was_lost() {
    let till = Till::open().await;
    till.stripe.post(Post { lose: vec!["*".into()], ..Post::default() });
    let customer = till.customer().await;
    let (order, checkout) = till.opened(customer.user.id, 30, 0).await;
    till.stripe.pay(&checkout, Card::Good).unwrap();
    let admin = Visitor::logged_in(&till.shop, &owner(&till.shop).await).await;
    let (blank, full) = ("/admin/reconciliation", "/admin/reconciliation?from=2026-03-01&until=2026-03-01");
    let asked = till.stripe.asked().len();
    assert!(admin.read(blank).await.contains("value=\"2026-03-01\""));
    assert_eq!(till.stripe.asked().len(), asked, "nobody is asked before somebody wants to compare");
    let page = admin.read(full).await;
    assert!(page.contains(&format!("/admin/orders/{}", order.id)) && page.contains("States differ") && page.contains("Missing in the books"), "{page}");
    let answer = admin.submit(full, blank, &[("from", "2026-03-01"), ("until", "2026-03-01")]).await;
    assert_eq!(location(&answer), full);
    till.handled().await;
    let page = admin.read(full).await;
    assert!(page.contains("There are none.") && page.contains("$30.00"), "{page}");
    till.stripe.fail_next(&[Fault::Status(401)]);
    let page = admin.read(full).await;
    assert!(page.contains("Look after the secret key") && !page.contains("401"), "{page}");
    for (bad, words) in
        [("from=x&until=2026-03-01", "Enter a day"), ("from=2026-03-02&until=2026-03-01", "before the first"), ("from=2025-01-01&until=2026-03-01", "100 days")]
    {
        assert!(admin.read(&format!("{blank}?{bad}")).await.contains(words), "{bad}");
    }
    assert_eq!(admin.post(blank, &[("from", "x")]).await.status(), StatusCode::FORBIDDEN, "a form of ours");
    till.finish().await;
}
