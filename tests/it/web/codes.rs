//! Gift cards, coupons and links to bring others, over HTTP.

use super::{PASSWORD, Visitor, location, owner};
use crate::harness::TestApp;
use farebox::gift_cards::{self, NewBatch};
use farebox::kernel::Usd;
use farebox::referrals::{self, Rules, Search, State};
use reqwest::StatusCode;
use std::sync::Arc;
use tokio::task::JoinSet;

#[tokio::test]
async fn a_large_batch_is_made_in_the_background_and_its_file_is_downloaded_once() {
    let shop = TestApp::new().await;
    let admin = Arc::new(Visitor::logged_in(&shop, &owner(&shop).await).await);
    let fields = [("amount", "5"), ("count", "1200"), ("origin", "sold"), ("prefix", "fair"), ("per_customer", "2"), ("expires_at", "30"), ("note", "Fair")];
    let answer = admin.submit("/admin/gift-cards", "/admin/gift-cards", &fields).await;
    let batch = location(&answer).to_owned();
    shop.until("the batch is whole", || async { admin.read(&batch).await.contains("/codes.csv\"") }).await;
    assert!(!admin.read(&batch).await.contains(&format!("{batch}/codes\"")), "too many for a page");
    let token = admin.token(&batch).await;
    let mut sent = JoinSet::new();
    for _ in 0..8 {
        let (admin, path, token) = (Arc::clone(&admin), format!("{batch}/codes.csv"), token.clone());
        sent.spawn(async move { admin.post(&path, &[("csrf", &token)]).await });
    }
    let answers = sent.join_all().await;
    let (files, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status() == StatusCode::OK);
    assert!(files.len() == 1 && others.iter().all(|answer| answer.status() == StatusCode::SEE_OTHER));
    let file = files.into_iter().next().unwrap();
    let header = |name: &str| file.headers()[name].to_str().unwrap().to_owned();
    assert!(header("content-type").starts_with("text/csv") && header("content-disposition").contains("attachment") && header("cache-control") == "no-store");
    let text = file.text().await.unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (1_201, "code,amount_usd,expires_at"));
    assert!(lines[1..].iter().all(|line| line.starts_with("FAIR-") && line.contains(",5,20")), "{}", lines[1]);
    assert!(admin.read(&batch).await.contains("fetched already"), "who comes late is told");
    let code = lines[7].split(',').next().unwrap();
    let found = admin.read(&format!("/admin/gift-cards/find?q={}", &code[code.len() - 4..])).await;
    assert!(found.contains(&batch));
    let card = found.split("/admin/gift-cards/card/").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
    let void = format!("/admin/gift-cards/card/{card}/void");
    assert_eq!(location(&admin.submit(&void, &void, &[]).await), batch);
    assert!(admin.read(&format!("{batch}?state=voided")).await.contains(&code[code.len() - 4..]));
    assert_eq!(admin.get("/admin/gift-cards/find?q=abc").await.status(), StatusCode::OK);
    shop.finish().await;
}

#[tokio::test]
async fn wrong_codes_wait_longer_each_time_and_right_ones_never() {
    let shop = TestApp::new().await;
    let actor = owner(&shop).await.id;
    let customer = shop.customer(Usd::ZERO).await;
    let visitor = Visitor::logged_in(&shop, &customer.user).await;
    let created = gift_cards::create_batch(&shop.app.db, &shop.app.kit, &shop.app.secret, actor, NewBatch::of(Usd::dollars(1), 8)).await.unwrap();
    let token = visitor.token("/account/gift-cards").await;
    let redeem = async |code: &str| visitor.post("/account/gift-cards/redeem", &[("csrf", &token), ("code", code)]).await;
    for code in &created.codes {
        assert_eq!(location(&redeem(code.reveal()).await), "/account/gift-cards");
    }
    for _ in 0..6 {
        assert_eq!(redeem("0000-0000-0000-0000-0000-0000").await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    let refused = redeem("0000-0000-0000-0000-0000-0000").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: i64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    assert_eq!(visitor.post("/account/redeem", &[("csrf", &token), ("code", "x")]).await.status(), StatusCode::TOO_MANY_REQUESTS, "by the other door, too");
    let page = visitor.read("/account/gift-cards").await;
    assert_eq!(page.matches("<code>…").count(), 8, "the cards that were redeemed");
    assert_eq!(shop.available(customer.user.id).await, Usd::dollars(8));
    shop.finish().await;
}

#[tokio::test]
async fn a_coupon_is_made_changed_and_found() {
    let shop = TestApp::new().await;
    let admin = Visitor::logged_in(&shop, &owner(&shop).await).await;
    let new = "/admin/coupons/new";
    let wrong = admin.submit(new, new, &[("code", "x"), ("kind", "percent"), ("percent", "101"), ("top_up", "on")]).await;
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(wrong.text().await.unwrap().matches("aria-invalid").count(), 2);
    let good = [("code", "spring"), ("kind", "percent"), ("percent", "12.5"), ("top_up", "on"), ("enabled", "on"), ("note", "Fair")];
    let page = location(&admin.submit(new, new, &good).await).to_owned();
    let again = admin.submit(new, new, &good).await;
    assert_eq!(again.status(), StatusCode::UNPROCESSABLE_ENTITY, "the code is taken");
    let shown = admin.read(&page).await;
    assert!(shown.contains("value=\"12.5\"") && shown.contains("SPRING"));
    let saved = admin.submit(&page, &page, &[("code", "spring"), ("kind", "amount"), ("amounts", "5 USD"), ("plans", "on"), ("enabled", "on")]).await;
    assert_eq!(location(&saved), page);
    assert!(admin.read("/admin/coupons?q=spr").await.contains("-$5.00"));
    assert!(!admin.read("/admin/coupons?q=winter").await.contains("SPRING"));
    let customer = shop.customer(Usd::ZERO).await;
    let customer = Visitor::logged_in(&shop, &customer.user).await;
    for path in ["/admin/coupons", new, &page, "/admin/referrals", "/admin/gift-cards/find"] {
        assert_eq!(customer.get(path).await.status(), StatusCode::FORBIDDEN, "{path}");
    }
    shop.finish().await;
}

#[tokio::test]
async fn a_link_is_remembered_until_sign_up_and_counts_when_the_address_is_confirmed() {
    let shop = TestApp::new().await;
    let boss = Visitor::logged_in(&shop, &owner(&shop).await).await;
    let rules = [("enabled", "on"), ("reward", "5"), ("welcome", "3"), ("minimum", "10"), ("hold_days", "0"), ("cap", "2")];
    assert_eq!(location(&boss.submit("/admin/referrals", "/admin/referrals", &rules).await), "/admin/referrals");
    let kept = referrals::rules(&mut shop.app.db.read().await.unwrap()).await.unwrap();
    assert_eq!(kept, Rules { enabled: true, reward: Usd::dollars(5), welcome: Usd::dollars(3), minimum: Usd::dollars(10), hold_days: 0, cap: 2 });
    let ann = shop.customer(Usd::ZERO).await;
    let ann_visits = Visitor::logged_in(&shop, &ann.user).await;
    ann_visits.submit("/account/referrals", "/account/referrals", &[]).await;
    let page = ann_visits.read("/account/referrals").await;
    let code = page.split("/r/").nth(1).and_then(|rest| rest.split('<').next()).expect("a link").trim().to_owned();

    let guest = Visitor::new(&shop);
    assert_eq!(location(&guest.get(&format!("/r/{code}")).await), "/sign-up");
    assert_eq!(location(&guest.get("/r/nonsense").await), "/sign-up", "a later link that leads nowhere takes nothing away");
    guest.submit("/sign-up", "/sign-up", &[("email", "bob@example.org"), ("password", PASSWORD)]).await;
    let mail: String = sqlx::query_scalar("SELECT body_text FROM outbox ORDER BY id DESC").fetch_one(&mut *shop.app.db.read().await.unwrap()).await.unwrap();
    let token = mail.split("token=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a token").to_owned();
    guest.submit(&format!("/verify?token={token}"), "/verify", &[("token", &token)]).await;
    let all = referrals::search(&mut shop.app.db.read().await.unwrap(), Search::default(), None, 10).await.unwrap();
    let [one] = &all[..] else { panic!("one came: {all:?}") };
    assert_eq!((one.referrer, one.state, one.same_source), (ann.user.id, State::Joined, true), "all of this test has one address");

    let mut tx = shop.app.db.write().await.unwrap();
    assert!(referrals::order_paid(&mut tx, &shop.app.kit, one.user, shop.app.kit.ids.next(), Usd::dollars(10)).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(referrals::grant_due(&shop.app.db, &shop.app.kit, &shop.app.books).await.unwrap(), 1);
    assert_eq!((shop.available(ann.user.id).await, shop.available(one.user).await), (Usd::dollars(5), Usd::dollars(3)));
    let page = ann_visits.read("/account/referrals").await;
    assert!(page.contains("b…@example.org") && !page.contains("bob@example.org"));
    assert!(boss.read("/admin/referrals?state=granted&same=on").await.contains("bob@example.org"));
    assert!(!boss.read("/admin/referrals?state=held").await.contains("bob@example.org"));
    shop.finish().await;
}
