//! What was issued stays as it was.

use super::{documents, numbers, set};
use crate::payments::Till;
use farebox::invoices::{self, Billing, Called, Party, Terms};
use farebox::kernel::{Id, Usd};
use farebox::payments::{NewOrder, Wish};
use farebox::settings::{Tier, TopUpTerms};

async fn billing(till: &Till, user: Id, name: &str) {
    let mut tx = till.shop.app.db.write().await.unwrap();
    let billing = Billing { name: name.to_owned(), address: "1 Road\nTown".into(), tax_id: "GB1".into() };
    invoices::set_billing(&mut tx, &till.shop.app.kit, user, &billing).await.unwrap();
    tx.commit().await.unwrap();
}

fn terms(name: &str, rate: i64) -> Terms {
    let seller = Party { name: name.to_owned(), address: "Street 1\nBerlin".into(), tax_id: "DE1".into(), email: "billing@shop.test".into() };
    Terms { called: Called::Invoice, seller, footer: "HRB 1".into(), tax_rate: rate, tax_name: "VAT".into(), ..Terms::default() }
}

#[tokio::test]
async fn a_later_change_of_either_side_changes_no_document() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let user = customer.user.id;
    let old = till.paid(user, 10, 0).await;
    set(&till, user, terms("Tokens & Co", 1900)).await;
    billing(&till, user, "北京示例科技有限公司").await;
    let order = till.paid(user, 10, 0).await;
    let before: Vec<Vec<u8>> = documents(&till).await.iter().map(|one| invoices::pdf(&one.document)).collect();

    set(&till, user, terms("Somebody Else", 700)).await;
    billing(&till, user, "Another Name").await;
    let mut tx = till.shop.app.db.write().await.unwrap();
    sqlx::query("UPDATE users SET email = 'changed@example.test' WHERE id = $1").bind(user.0).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let all = documents(&till).await;
    assert_eq!(all.iter().map(|one| invoices::pdf(&one.document)).collect::<Vec<_>>(), before);
    let sheets: Vec<_> = all.iter().map(|one| one.document.sheet()).collect();
    assert_eq!((sheets[0].heading.as_str(), sheets[0].seller.as_slice(), all[0].order), ("Receipt", &["Farebox".to_owned()][..], old.id));
    assert_eq!((sheets[1].heading.as_str(), sheets[1].seller[0].as_str(), sheets[1].buyer[0].as_str()), ("Invoice", "Tokens & Co", "北京示例科技有限公司"));
    assert_eq!((sheets[1].parts[1].1.as_str(), sheets[1].total.1.as_str(), all[1].order), ("$1.60", "$10.00", order.id));

    // A note is written by who sells now, to whom it was sold, at the rate at which it was.
    till.refund(&order, 500, true).await.unwrap();
    let note = documents(&till).await[2].document.sheet();
    assert_eq!((note.seller[0].as_str(), note.buyer[0].as_str(), note.parts[1].1.as_str()), ("Somebody Else", "北京示例科技有限公司", "-$0.80"));
    assert_eq!(numbers(&till).await, ["R-000001", "R-000002", "C-000001"]);
    till.finish().await;
}

#[tokio::test]
async fn a_document_is_in_the_language_and_the_currency_of_its_order() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let terms = TopUpTerms { currency: "CNY".parse().unwrap(), rate: "7.2".parse().unwrap(), ..TopUpTerms::default() };
    till.sell(&TopUpTerms { tiers: vec![Tier { from: Usd::dollars(50), bonus: Usd::dollars(5) }], ..terms }).await;
    let new = NewOrder { wish: Wish::TopUp(Usd::dollars(50)), language: "zh-Hans".into(), title: "额度 $50.00".into(), ..till.wish(customer.user.id, 50) };
    let order = till.shop.app.payments.order(&new).await.unwrap();
    till.shop.app.payments.pay_page(&order).await.unwrap();
    let checkout = till.find(order.id).await.checkout.unwrap();
    till.stripe.pay(&checkout, farebox::demo::stripe::Card::Good).unwrap();
    till.deliver_all().await;
    let sheet = documents(&till).await[0].document.sheet();
    assert_eq!((sheet.lang, sheet.heading.as_str(), sheet.total.1.as_str()), ("zh-Hans", "收据", "CNY 360.00"));
    let notes = sheet.notes.join(" ");
    assert!(notes.contains("$50.00") && notes.contains("$5.00") && notes.contains("7.2 CNY"), "{notes}");
    till.finish().await;
}
