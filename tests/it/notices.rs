//! What customers are told without having asked: once, in their language, and not when they have switched it off.

use crate::harness::TestApp;
use crate::harness::app::Customer;
use crate::plans::Shop;
use crate::web::{Visitor, location, owner};
use farebox::kernel::clock::DAY_MS;
use farebox::kernel::{Clock, Id, Usd};
use farebox::ledger::{CreditKind, EVERYTHING, Grant, House};
use farebox::notices::{self, Choice, Sender};
use farebox::referrals::{self, Rules};
use futures_util::future::join_all;
use jiff::tz::TimeZone;
use reqwest::StatusCode;
use serde_json::json;

fn sender() -> Sender {
    Sender { site: "Tokens & Co".into(), url: "https://shop.example.com".into(), zone: TimeZone::get("Asia/Shanghai").unwrap() }
}

async fn mails(db: &farebox::db::Db, to: Option<&str>) -> Vec<(String, String)> {
    let mut conn = db.read().await.unwrap();
    let all: Vec<(String, String, String)> =
        sqlx::query_as("SELECT recipient, subject, body_text FROM outbox ORDER BY id").fetch_all(&mut *conn).await.unwrap();
    all.into_iter().filter(|(recipient, ..)| to.is_none_or(|to| to == recipient)).map(|(_, subject, text)| (subject, text)).collect()
}

async fn set(app: &TestApp, customer: &Customer, left: Usd) {
    let now = app.available(customer.user.id).await;
    let mut tx = app.app.db.write().await.unwrap();
    app.app.books.adjust(&mut tx, customer.user.id, left - now, "moved".into(), format!("moved:{}", app.app.kit.ids.next())).await.unwrap();
    tx.commit().await.unwrap();
}

async fn told(app: &TestApp, customer: &Customer) -> usize {
    mails(&app.app.db, Some(&customer.user.email)).await.iter().filter(|(subject, _)| subject.contains("is below $5.00")).count()
}

#[tokio::test]
async fn a_balance_that_falls_is_told_once_for_each_fall() {
    let shop = TestApp::new().await;
    let customer = shop.customer(Usd::dollars(10)).await;
    let app = &shop.app;
    let choice = Choice { low_below: Some(Usd::dollars(5)), expiry_days: 7, plan_days: 3 };
    notices::choose(&app.db, &app.books, customer.user.id, &choice).await.unwrap();
    for fall in 1..=2 {
        set(&shop, &customer, Usd::dollars(5)).await;
        let look = || async { notices::look_at(&app.db, &app.kit, &app.books, &sender(), customer.user.id).await };
        assert!(!look().await.unwrap(), "the level itself is not below it");
        set(&shop, &customer, Usd::dollars(4)).await;
        let looks = join_all((0..50).map(|_| look())).await;
        assert_eq!(looks.into_iter().filter(|told| *told.as_ref().unwrap()).count(), 1);
        assert_eq!(told(&shop, &customer).await, fall);
        // It falls further, and is told no more; saving the same level again changes nothing.
        set(&shop, &customer, Usd::dollars(1)).await;
        notices::choose(&app.db, &app.books, customer.user.id, &choice).await.unwrap();
        look().await.unwrap();
        assert_eq!(told(&shop, &customer).await, fall);
        set(&shop, &customer, Usd::dollars(20)).await;
        look().await.unwrap();
    }
    notices::choose(&app.db, &app.books, customer.user.id, &Choice { low_below: None, ..choice }).await.unwrap();
    set(&shop, &customer, Usd::dollars(1)).await;
    assert!(!notices::look_at(&app.db, &app.kit, &app.books, &sender(), customer.user.id).await.unwrap(), "it is switched off");
    notices::choose(&app.db, &app.books, customer.user.id, &choice).await.unwrap();
    assert!(!notices::look_at(&app.db, &app.kit, &app.books, &sender(), customer.user.id).await.unwrap(), "who is below already has not fallen");
    assert_eq!(told(&shop, &customer).await, 2);
    shop.finish().await;
}

#[tokio::test]
async fn the_request_that_makes_a_balance_fall_and_the_credit_that_brings_it_back_are_seen_by_themselves() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(5)).await;
    let app = &shop.app;
    let choice = Choice { low_below: Some(Usd::dollars(5)), expiry_days: 7, plan_days: 3 };
    notices::choose(&app.db, &app.books, customer.user.id, &choice).await.unwrap();
    app.refresh().await.unwrap();
    let body = || json!({"model": "demo-chat", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]});
    assert_eq!(shop.chat(&customer.key, body()).await.status(), 200);
    shop.until("it is told", || async { told(&shop, &customer).await == 1 }).await;
    set(&shop, &customer, Usd::dollars(5)).await;
    // Nobody who writes requests sees that; whoever looks at all balances does.
    let is_back = || async {
        app.watch.sweep(&app.db, &app.kit.clock).await.unwrap();
        app.watch.sweep(&app.db, &app.kit.clock).await.unwrap() == 0
    };
    shop.until("it is seen that it is back", is_back).await;
    app.refresh().await.unwrap();
    assert_eq!(shop.chat(&customer.key, body()).await.status(), 200);
    shop.until("it is told again", || async { told(&shop, &customer).await == 2 }).await;
    shop.finish().await;
}

async fn give(shop: &Shop, user: Id, dollars: i64, days: i64) -> Id {
    let (now, key) = (shop.kit.clock.now_ms(), format!("gift:{}", shop.kit.ids.next()));
    let mut tx = shop.test.db.write().await.unwrap();
    let grant = Grant {
        user,
        kind: CreditKind::Gift,
        from: House::Promotion,
        amount: Usd::dollars(dollars),
        priority: 100,
        effective_at: now,
        expires_at: now + days * DAY_MS,
        scope: EVERYTHING,
        reference: "gift".into(),
        idempotency_key: key,
    };
    let granted = shop.books.grant(&mut tx, grant).await.unwrap();
    tx.commit().await.unwrap();
    granted.credit_id
}

async fn tell(shop: &Shop) -> usize {
    notices::tell_due(&shop.test.db, &shop.kit, &sender()).await.unwrap()
}

#[tokio::test]
async fn credit_that_expires_is_told_once_as_many_days_ahead_as_its_owner_has_chosen() {
    let shop = Shop::open().await;
    let [usual, early, never, shut] = [shop.customer().await, shop.customer().await, shop.customer().await, shop.customer().await];
    for (user, expiry_days) in [(early, 14), (never, 0)] {
        notices::choose(&shop.test.db, &shop.books, user, &Choice { low_below: None, expiry_days, plan_days: 0 }).await.unwrap();
    }
    for user in [usual, early, never, shut] {
        give(&shop, user, 3, 40).await;
        give(&shop, user, 4, 41).await;
        give(&shop, user, 100, 3650).await;
    }
    crate::harness::people::disable(&shop.test.db, shut, Some(1)).await;
    let short = shop.customer().await;
    give(&shop, short, 9, 4).await;
    assert_eq!(tell(&shop).await, 0, "what is given for four days is not told on the first one");
    shop.kit.clock.advance(2 * DAY_MS);
    assert_eq!(tell(&shop).await, 1, "but when half its time has passed");
    // 27 days before: nobody has chosen that much. 13 days before: one has. 7 days before the first: everybody else who wants it.
    shop.kit.clock.advance(11 * DAY_MS);
    assert_eq!(tell(&shop).await, 0);
    shop.kit.clock.advance(14 * DAY_MS);
    assert_eq!(tell(&shop).await, 1, "two credits, one letter");
    shop.kit.clock.advance(6 * DAY_MS);
    join_all((0..50).map(|_| tell(&shop))).await;
    let told = mails(&shop.test.db, None).await;
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[1].0.contains("$7.00") && told[1].1.contains("2026-02-10") && told[1].1.contains("https://shop.example.com/account/notices"), "{told:?}");
    assert!(told[2].0.contains("$3.00"), "what expires a day later is not due yet: {told:?}");
    shop.kit.clock.advance(DAY_MS);
    assert_eq!((tell(&shop).await, tell(&shop).await), (1, 0));
}

#[tokio::test]
async fn frozen_credit_is_not_told_and_is_told_again_when_it_has_more_time() {
    let shop = Shop::open().await;
    let user = shop.customer().await;
    let credit = give(&shop, user, 3, 40).await;
    shop.kit.clock.advance(34 * DAY_MS);
    let mut tx = shop.test.db.write().await.unwrap();
    shop.books.freeze(&mut tx, user, credit).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(tell(&shop).await, 0);
    shop.kit.clock.advance(10 * DAY_MS);
    let mut tx = shop.test.db.write().await.unwrap();
    shop.books.thaw(&mut tx, user, credit).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((tell(&shop).await, tell(&shop).await), (1, 0), "six days are left of it again");
    assert_eq!((notices::sweep(&shop.test.db, &shop.kit).await.unwrap(), tell(&shop).await), (0, 0));
    shop.kit.clock.advance(101 * DAY_MS);
    assert_eq!((notices::sweep(&shop.test.db, &shop.kit).await.unwrap(), tell(&shop).await), (1, 0));
}

#[tokio::test]
async fn a_plan_that_nobody_renews_is_told_before_it_ends() {
    let shop = Shop::open().await;
    let (month, day) = (shop.plan(&[]).await, shop.plan(&[("name", "Short"), ("length_unit", "day")]).await);
    let [usual, never] = [shop.customer().await, shop.customer().await];
    notices::choose(&shop.test.db, &shop.books, never, &Choice { low_below: None, expiry_days: 7, plan_days: 0 }).await.unwrap();
    shop.buy(usual, month).await;
    shop.buy(never, month).await;
    shop.buy(usual, day).await;
    assert_eq!(tell(&shop).await, 0, "what ends today was bought today");
    shop.go_to("2026-01-01T12:00:00Z").await;
    assert_eq!(tell(&shop).await, 1);
    shop.go_to("2026-01-28T23:59:59Z").await;
    assert_eq!(tell(&shop).await, 0);
    shop.go_to("2026-01-29T00:00:00Z").await;
    join_all((0..50).map(|_| tell(&shop))).await;
    let told = mails(&shop.test.db, None).await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].0.contains("Short") && told[1].0.contains("Starter") && told[1].0.contains("2026-02-01"), "{told:?}");
    // Made longer, it has another end.
    shop.buy(usual, month).await;
    assert_eq!(tell(&shop).await, 0);
    shop.go_to("2026-02-27T00:00:00Z").await;
    assert_eq!((tell(&shop).await, tell(&shop).await), (1, 0));
}

#[tokio::test]
async fn a_customer_chooses_on_a_page_and_who_was_invited_is_told_what_for() {
    let shop = TestApp::at_time(&Clock::manual(crate::harness::START_MS), &[]).await;
    let customer = shop.customer(Usd::ZERO).await;
    let visitor = Visitor::logged_in(&shop, &customer.user).await;
    let page = visitor.read("/account/notices").await;
    assert!(page.contains(&customer.user.email) && page.contains("value=\"7\" selected") && page.contains("value=\"3\" selected"), "{page}");
    let bad = [("low_below", "-1"), ("expiry_days", "2"), ("plan_days", "")];
    assert_eq!(visitor.submit("/account/notices", "/account/notices", &bad).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let good = [("low_below", "2.50"), ("expiry_days", "30"), ("plan_days", "0")];
    assert_eq!(location(&visitor.submit("/account/notices", "/account/notices", &good).await), "/account/notices");
    let choice = notices::choice(&mut shop.app.db.read().await.unwrap(), customer.user.id).await.unwrap();
    assert_eq!(choice, Choice { low_below: Some(Usd(2_500_000_000)), expiry_days: 30, plan_days: 0 });
    let page = visitor.read("/account/notices").await;
    assert!(page.contains("value=\"2.5\"") && page.contains("value=\"30\" selected") && page.contains("value=\"0\" selected"), "{page}");

    let admin = owner(&shop).await;
    let rules = Rules { enabled: true, welcome: Usd::dollars(3), ..Rules::default() };
    referrals::save_rules(&shop.app.db, &shop.app.kit, admin.id, &rules).await.unwrap();
    referrals::make_link(&shop.app.db, &shop.app.kit, customer.user.id, "mark").await.unwrap();
    let link = referrals::link(&mut shop.app.db.read().await.unwrap(), customer.user.id).await.unwrap().unwrap();
    let guest = Visitor::new(&shop);
    assert!(!guest.read("/sign-up").await.contains("You were invited"));
    assert_eq!(location(&guest.get(&format!("/r/{}", link.code)).await), "/sign-up");
    assert!(guest.read("/sign-up").await.contains("$3.00 of credit is yours"));
    let answer = guest.submit("/sign-up", "/sign-up", &[("email", "no"), ("password", "x")]).await;
    assert!(answer.text().await.unwrap().contains("You were invited"), "also when something is wrong");
    shop.finish().await;
}
