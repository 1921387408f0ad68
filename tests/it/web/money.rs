//! Forms that move money, sent more than once and at the same time.

use super::{Visitor, field, owner};
use crate::harness::TestApp;
use farebox::gift_cards::{self, NewBatch};
use farebox::kernel::Usd;
use reqwest::StatusCode;
use std::sync::Arc;
use tokio::task::JoinSet;

#[tokio::test]
async fn an_adjustment_that_is_sent_eight_times_at_once_counts_once() {
    let shop = TestApp::new().await;
    let customer = shop.customer(Usd::ZERO).await;
    let admin = Arc::new(Visitor::logged_in(&shop, &owner(&shop).await).await);
    let person = format!("/admin/users/{}", customer.user.id);
    for (amount, expected) in [("12.34", Usd(12_340_000_000)), ("-2.34", Usd::dollars(10))] {
        let page = admin.read(&person).await;
        let (token, once) = (field(&page, "csrf"), field(&page, "once"));
        let mut sent = JoinSet::new();
        for _ in 0..8 {
            let (admin, action, token, once) = (Arc::clone(&admin), format!("{person}/adjust"), token.clone(), once.clone());
            sent.spawn(async move { admin.post(&action, &[("csrf", &token), ("once", &once), ("amount", amount), ("reason", "Goodwill")]).await.status() });
        }
        for status in sent.join_all().await {
            assert_eq!(status, StatusCode::SEE_OTHER, "who sends twice is told that it is done");
        }
        assert_eq!(shop.available(customer.user.id).await, expected);
    }
    shop.finish().await;
}

#[tokio::test]
async fn an_adjustment_says_what_is_wrong_with_it() {
    let shop = TestApp::new().await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let admin = Visitor::logged_in(&shop, &owner(&shop).await).await;
    let person = format!("/admin/users/{}", customer.user.id);
    for (amount, reason) in [("", "x"), ("0", "x"), ("1,5", "x"), ("1", ""), ("-1.01", "x"), ("999999999999", "x")] {
        let once = field(&admin.read(&person).await, "once");
        let answer = admin.submit(&person, &format!("{person}/adjust"), &[("once", &once), ("amount", amount), ("reason", reason)]).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{amount:?} {reason:?}");
        assert!(answer.text().await.unwrap().contains("aria-invalid"));
    }
    assert_eq!(shop.available(customer.user.id).await, Usd::dollars(1));
    shop.finish().await;
}

#[tokio::test]
async fn one_card_redeemed_on_the_dashboard_many_times_at_once_pays_once() {
    let shop = TestApp::new().await;
    let customer = shop.customer(Usd::ZERO).await;
    let actor = owner(&shop).await.id;
    let batch = NewBatch::of(Usd::dollars(5), 1);
    let code = gift_cards::create_batch(&shop.app.db, &shop.app.kit, &shop.app.secret, actor, batch).await.expect("a batch").codes.remove(0);
    let visitor = Arc::new(Visitor::logged_in(&shop, &customer.user).await);
    let token = visitor.token("/account").await;
    let mut sent = JoinSet::new();
    for _ in 0..8 {
        let (visitor, code, token) = (Arc::clone(&visitor), code.reveal().clone(), token.clone());
        sent.spawn(async move { visitor.post("/account/redeem", &[("csrf", &token), ("code", &code)]).await.status() });
    }
    let answers = sent.join_all().await;
    assert_eq!(answers.iter().filter(|status| **status == StatusCode::SEE_OTHER).count(), 1, "{answers:?}");
    assert_eq!(shop.available(customer.user.id).await, Usd::dollars(5));
    shop.finish().await;
}
