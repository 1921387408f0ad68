//! Money that went back, and money that did not after all.

use super::{documents, set};
use crate::payments::Till;
use farebox::invoices::{Kind, Listed, Terms};
use serde_json::{Value, json};

/// Kind, number, gross and tax of each.
fn lines(all: &[Listed]) -> Vec<(Kind, &str, i64, i64)> {
    all.iter().map(|one| (one.kind, one.number.as_str(), one.gross.minor, one.tax.minor)).collect()
}

async fn taxed(till: &Till, actor: farebox::kernel::Id) {
    set(till, actor, Terms { tax_rate: 1900, tax_name: "VAT".into(), ..Terms::default() }).await;
}

#[tokio::test]
async fn each_refund_has_its_note_and_together_they_have_the_tax_of_the_whole() {
    let till = Till::held().await;
    let customer = till.customer().await;
    taxed(&till, customer.user.id).await;
    let order = till.paid(customer.user.id, 10, 0).await;
    set(&till, customer.user.id, Terms { tax_rate: 700, tax_name: "Less".into(), ..Terms::default() }).await;
    for minor in [333, 333, 334] {
        till.refund(&order, minor, true).await.unwrap();
        till.deliver_all().await;
    }
    let all = documents(&till).await;
    let expected = [
        (Kind::Invoice, "R-000001", 1_000, 160),
        (Kind::Credit, "C-000001", -333, -54),
        (Kind::Credit, "C-000002", -333, -53),
        (Kind::Credit, "C-000003", -334, -53),
    ];
    assert_eq!(lines(&all), expected, "at the rate of the purchase");
    assert!(all[1..].iter().all(|note| note.document.about.as_ref().unwrap().number == "R-000001" && note.document.tax_name == "VAT"));
    till.finish().await;
}

#[tokio::test]
async fn a_refund_on_the_providers_pages_has_a_note_once_it_is_taken() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let order = till.paid(customer.user.id, 10, 0).await;
    let payment = order.payment.clone().unwrap();
    let messages = till.messages_of(|| till.stripe.refund_by_hand(&payment, Some(400)).unwrap());
    for _ in 0..5 {
        for message in &messages {
            assert_eq!(till.stripe.deliver(&message.id).await, 200);
        }
        till.handled().await;
        till.shop.app.payments.refund_due().await.unwrap();
    }
    assert_eq!(lines(&documents(&till).await), [(Kind::Invoice, "R-000001", 1_000, 0), (Kind::Credit, "C-000001", -400, 0)]);
    till.finish().await;
}

/// The provider tells that a refund of its list failed.
async fn tell_failed(till: &Till, refund: &Value, n: usize) {
    let mut object = refund.clone();
    object["status"] = json!("failed");
    let created = till.clock.now_ms() / 1000;
    let body = json!({"id": format!("evt_failed_{n}"), "object": "event", "type": "refund.failed", "created": created, "data": {"object": object}}).to_string();
    let request = till.shop.http.post(till.shop.at("/webhooks/stripe")).header("stripe-signature", till.stripe.sign(&body)).body(body);
    assert_eq!(request.send().await.unwrap().status(), 200);
    till.handled().await;
}

#[tokio::test]
async fn a_refund_that_the_bank_returns_has_its_note_cancelled_once() {
    let till = Till::held().await;
    let customer = till.customer().await;
    taxed(&till, customer.user.id).await;
    let order = till.paid(customer.user.id, 10, 0).await;
    let id = till.refund(&order, 600, true).await.unwrap();
    let refund = till.shop.app.payments.history(&mut till.shop.app.db.read().await.unwrap(), order.id).await.unwrap().refunds;
    assert_eq!((refund[0].id, refund[0].state.as_str()), (id, "done"));
    let theirs = till.stripe.object(refund[0].provider_refund.as_deref().unwrap());
    for n in 0..3 {
        tell_failed(&till, &theirs, n).await;
    }
    let expected = [(Kind::Invoice, "R-000001", 1_000, 160), (Kind::Credit, "C-000001", -600, -96), (Kind::Cancellation, "C-000002", 600, 96)];
    let all = documents(&till).await;
    assert_eq!(lines(&all), expected);
    assert_eq!(all[2].document.about.as_ref().unwrap().number, "C-000001");
    // The rest can still go back; what the bank has returned lies with the provider.
    let order = till.find(order.id).await;
    till.refund(&order, 400, true).await.unwrap();
    let all = documents(&till).await;
    assert_eq!(lines(&all)[3], (Kind::Credit, "C-000003", -400, -64));
    assert_eq!((all.iter().map(|one| one.gross.minor).sum::<i64>(), all.iter().map(|one| one.tax.minor).sum::<i64>()), (600, 96));
    till.finish().await;
}

#[tokio::test]
async fn a_refund_that_the_provider_never_made_leaves_no_document() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let order = till.paid(customer.user.id, 10, 0).await;
    // Somebody else has paid it back meanwhile, which was not told yet: the provider refuses ours.
    till.stripe.refund_by_hand(order.payment.as_deref().unwrap(), None).unwrap();
    till.refund(&order, 1_000, true).await.unwrap();
    assert_eq!(lines(&documents(&till).await), [(Kind::Invoice, "R-000001", 1_000, 0)]);
    till.deliver_all().await;
    till.shop.app.payments.refund_due().await.unwrap();
    assert_eq!(lines(&documents(&till).await), [(Kind::Invoice, "R-000001", 1_000, 0), (Kind::Credit, "C-000001", -1_000, 0)]);
    till.finish().await;
}

#[tokio::test]
async fn a_lost_dispute_has_a_note_over_what_was_not_given_back_before() {
    for (refunded, won, expected) in [(0, false, Some(-1_000)), (400, false, Some(-600)), (0, true, None)] {
        let till = Till::held().await;
        let customer = till.customer().await;
        let order = till.paid(customer.user.id, 10, 0).await;
        if refunded > 0 {
            till.refund(&order, refunded, true).await.unwrap();
            till.deliver_all().await;
        }
        let dispute = till.stripe.dispute(order.payment.as_deref().unwrap()).unwrap();
        till.deliver_all().await;
        assert_eq!(documents(&till).await.len(), if refunded > 0 { 2 } else { 1 }, "nothing is decided yet");
        till.stripe.close_dispute(&dispute, won).unwrap();
        for _ in 0..3 {
            till.deliver_all().await;
            till.shop.app.payments.settle_disputes().await.unwrap();
        }
        let all = documents(&till).await;
        assert_eq!(all.iter().filter(|one| one.document.reason == Some(farebox::invoices::Reason::Dispute)).map(|one| one.gross.minor).next(), expected);
        let sum: i64 = all.iter().map(|one| one.gross.minor).sum();
        assert_eq!(sum, if won { 1_000 } else { 0 });
        till.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_refunds_at_once_have_notes_over_no_more_than_was_paid() {
    let till = Till::held().await;
    let customer = till.customer().await;
    taxed(&till, customer.user.id).await;
    let order = till.paid(customer.user.id, 10, 0).await;
    let refunds = futures_util::future::join_all((0..50).map(|_| till.refund(&order, 300, true))).await;
    assert_eq!(refunds.iter().filter(|refund| refund.is_ok()).count(), 3);
    let all = documents(&till).await;
    let numbers: Vec<&str> = all.iter().map(|one| one.number.as_str()).collect();
    assert_eq!(numbers, ["R-000001", "C-000001", "C-000002", "C-000003"]);
    assert_eq!(all.iter().map(|one| one.gross.minor).sum::<i64>(), 100);
    assert_eq!(all.iter().map(|one| one.tax.minor).sum::<i64>(), 16, "what is left has the tax of what is left");
    till.finish().await;
}
