//! The pages of documents.

use super::documents;
use crate::payments::Till;
use crate::web::{Visitor, owner};
use reqwest::StatusCode;

const TERMS: [(&str, &str); 13] = [
    ("called", "invoice"),
    ("name", "Tokens & Co"),
    ("address", "Hauptstraße 5\n10115 Berlin"),
    ("tax_id", "DE1"),
    ("email", ""),
    ("footer", "HRB 1"),
    ("tax_name", "VAT"),
    ("tax_rate", "19"),
    ("prefix", "INV-"),
    ("first", "0042"),
    ("credit_prefix", "CN-"),
    ("credit_first", "1"),
    ("mailing", "off"),
];

#[tokio::test]
async fn the_owner_says_who_sells_a_customer_who_buys_and_both_see_the_document() {
    let till = Till::held().await;
    let admin = Visitor::logged_in(&till.shop, &owner(&till.shop).await).await;
    let customer = till.customer().await;
    let buyer = Visitor::logged_in(&till.shop, &customer.user).await;

    let path = "/admin/invoices/terms";
    let bad: Vec<(&str, &str)> = TERMS.iter().map(|(name, _)| (*name, "\u{202E}")).collect();
    let answer = admin.submit(path, path, &bad).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.text().await.unwrap().matches("aria-invalid").count() >= 10);
    assert_eq!(admin.submit(path, path, &TERMS).await.status(), StatusCode::SEE_OTHER);
    let page = admin.read(path).await;
    assert!(page.contains("value=\"0042\"") && page.contains("10115 Berlin"), "{page}");

    let long = "x".repeat(1_000);
    for (name, address) in [(long.as_str(), ""), ("Ann", "a\u{200F}b"), ("a\u{7}b", "")] {
        let answer = buyer.submit("/account/billing", "/account/billing", &[("name", name), ("address", address)]).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    let answer = buyer.submit("/account/billing", "/account/billing", &[("name", "=Ann \"<b>\" Ltd"), ("address", "1 Road"), ("tax_id", "GB1")]).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert!(buyer.read("/account/billing").await.contains("&#60;b&#62;"));

    let order = till.paid(customer.user.id, 20, 0).await;
    till.refund(&order, 500, true).await.unwrap();
    let all = documents(&till).await;
    let (invoice, note) = (&all[0], &all[1]);
    assert_eq!((invoice.number.as_str(), note.number.as_str()), ("INV-0042", "CN-1"));
    let page = buyer.read(&format!("/account/invoices/{}", invoice.id)).await;
    for text in ["INV-0042", "Tokens &#38; Co", "10115 Berlin", "=Ann &#34;&#60;b&#62;&#34; Ltd", "$3.19", "$20.00", "VAT 19%"] {
        assert!(page.contains(text), "{text} in {page}");
    }
    for path in ["/account/invoices".to_owned(), format!("/account/orders/{}", order.id)] {
        let page = buyer.read(&path).await;
        assert!(page.contains("INV-0042") && page.contains("CN-1") && page.contains("-$5.00"), "{page}");
    }
    let answer = buyer.get(&format!("/account/invoices/{}/pdf", note.id)).await;
    assert_eq!(
        (answer.headers()["content-type"].to_str().unwrap(), answer.headers()["content-disposition"].to_str().unwrap()),
        ("application/pdf", "attachment; filename=\"CN-1.pdf\"")
    );
    assert!(answer.bytes().await.unwrap().starts_with(b"%PDF-"));
    assert!(admin.read(&format!("/admin/invoices/{}", note.id)).await.contains("INV-0042"));
    assert!(admin.read(&format!("/admin/orders/{}", order.id)).await.contains("/admin/invoices/"));
    assert_eq!(admin.get(&format!("/admin/invoices/{}/pdf", note.id)).await.status(), StatusCode::OK);

    let stranger = Visitor::logged_in(&till.shop, &till.customer().await.user).await;
    for path in [format!("/account/invoices/{}", invoice.id), format!("/account/invoices/{}/pdf", invoice.id)] {
        assert_eq!(stranger.get(&path).await.status(), StatusCode::NOT_FOUND);
    }
    for path in ["/admin/invoices", "/admin/invoices.csv", "/admin/invoices/terms"] {
        assert_eq!(stranger.get(path).await.status(), StatusCode::FORBIDDEN);
    }
    assert!(!stranger.read("/account/invoices").await.contains("INV-0042"));
    till.finish().await;
}

#[tokio::test]
async fn documents_are_searched_and_downloaded_as_they_are_found() {
    let till = Till::held().await;
    let admin = Visitor::logged_in(&till.shop, &owner(&till.shop).await).await;
    let (ann, bob) = (till.customer().await, till.customer().await);
    let buyer = Visitor::logged_in(&till.shop, &ann.user).await;
    buyer.submit("/account/billing", "/account/billing", &[("name", "=cmd|' /C calc'!A0, \"Ann\""), ("address", ""), ("tax_id", "")]).await;
    let first = till.paid(ann.user.id, 10, 0).await;
    till.clock.advance(24 * 3_600_000);
    till.paid(bob.user.id, 20, 0).await;
    till.refund(&first, 100, true).await.unwrap();
    for (query, found) in [
        ("", &["R-000001", "R-000002", "C-000001"][..]),
        ("?q=R-000002", &["R-000002"]),
        ("?q=r-0000", &["R-000001", "R-000002"]),
        ("?q=%25", &[]),
        ("?q=cmd", &["R-000001", "C-000001"]),
        ("?kind=credit", &["C-000001"]),
        ("?kind=invoice&until=2026-03-01", &["R-000001"]),
        ("?from=2026-03-02", &["R-000002", "C-000001"]),
        ("?from=2026-03-03&until=2026-03-04", &[]),
        ("?from=someday", &["R-000001", "R-000002", "C-000001"]),
    ] {
        let page = admin.read(&format!("/admin/invoices{query}")).await;
        let file = admin.read(&format!("/admin/invoices.csv{query}")).await;
        for number in ["R-000001", "R-000002", "C-000001"] {
            assert_eq!(page.contains(&format!(">{number}</a>")), found.contains(&number), "{number} with {query}");
            assert_eq!(file.lines().any(|line| line.starts_with(&format!("{number},"))), found.contains(&number), "{number} in the file with {query}");
        }
    }
    assert!(admin.read("/admin/invoices?from=someday").await.contains("aria-invalid"));
    let by_order = admin.read(&format!("/admin/invoices.csv?q={}", first.id)).await;
    assert_eq!(by_order.lines().count(), 3, "{by_order}");
    let line = by_order.lines().find(|line| line.starts_with("C-")).unwrap();
    assert!(line.contains(",\"'=cmd|' /C calc'!A0, \"\"Ann\"\"\",") && line.ends_with(",USD,-1.00,0.00,-1.00,0"), "{line}");
    till.finish().await;
}
