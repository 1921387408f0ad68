//! The lists of models and the balance that clients ask for.

use super::{ask, error_of, model};
use crate::harness::TestApp;
use farebox::catalog::ModelFields;
use farebox::kernel::{Usd, money};
use jiff::ToSpan;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

async fn get(shop: &TestApp, key: &str, path: &str) -> Value {
    let answer = shop.http.get(shop.at(path)).bearer_auth(key).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    assert_eq!(answer.headers()["content-type"], "application/json");
    answer.json().await.unwrap()
}

/// A field of an answer as it is written, digit for digit.
async fn digits(shop: &TestApp, key: &str, path: &str, field: &str) -> String {
    let text = shop.http.get(shop.at(path)).bearer_auth(key).send().await.unwrap().text().await.unwrap();
    let rest = text.split(&format!("\"{field}\":")).nth(1).unwrap_or_else(|| panic!("{path}: {text}"));
    rest.split([',', '}']).next().unwrap().to_owned()
}

#[tokio::test]
async fn the_list_has_what_can_be_called() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-b", "vendor/demo-a"]).await;
    shop.sell_as(ModelFields { enabled: String::new(), ..model("demo-off", "1", "10") }).await;
    shop.sell_as(model("demo-unpriced", "", "")).await;
    let customer = shop.customer(Usd::ZERO).await;
    let list = get(&shop, &customer.key, "/v1/models").await;
    assert_eq!(list["object"], "list");
    let names: Vec<&str> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["demo-b", "vendor/demo-a"]);
    let one = get(&shop, &customer.key, "/v1/models/vendor/demo-a").await;
    assert_eq!((&one["object"], &one["id"], &one), (&json!("model"), &json!("vendor/demo-a"), &list["data"][1]));
    assert!(one["created"].as_i64().unwrap() > 1_700_000_000);
    assert_eq!(get(&shop, &customer.key, "/v1/models/vendor%2Fdemo-a").await, one);
    for name in ["demo-off", "demo-unpriced", "demo-nowhere"] {
        let answer = shop.http.get(shop.at(&format!("/v1/models/{name}"))).bearer_auth(&customer.key).send().await.unwrap();
        let (status, error) = error_of(answer).await;
        assert_eq!((status, &error["code"]), (404, &json!("model_not_found")), "{name}");
    }
    shop.finish().await;
}

#[tokio::test]
async fn the_balance_is_told_to_the_last_digit() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd(12_345_678_901)).await;
    for prefix in ["", "/v1"] {
        let (subscription, usage) = (format!("{prefix}/dashboard/billing/subscription"), format!("{prefix}/dashboard/billing/usage"));
        assert_eq!(digits(&shop, &customer.key, &subscription, "hard_limit_usd").await, "12.345678901");
        let body = get(&shop, &customer.key, &subscription).await;
        assert_eq!((&body["object"], &body["has_payment_method"], &body["access_until"]), (&json!("billing_subscription"), &json!(true), &json!(0)));
        assert_eq!(digits(&shop, &customer.key, &usage, "total_usage").await, "0");
    }
    let answer = shop.chat(&customer.key, ask("demo-chat", "[[tokens=33]] Hello")).await;
    let cost: Usd = answer.headers()["x-farebox-cost-usd"].to_str().unwrap().parse().unwrap();
    // What the shop granted and what was spent of it: their difference is what is left.
    assert_eq!(digits(&shop, &customer.key, "/v1/dashboard/billing/subscription", "hard_limit_usd").await, "12.345678901");
    let cents = digits(&shop, &customer.key, "/v1/dashboard/billing/usage", "total_usage").await;
    assert_eq!(cents.parse::<rust_decimal::Decimal>().unwrap(), rust_decimal::Decimal::from(cost.0) / rust_decimal::Decimal::from(money::NANOS_PER_CENT));
    assert_eq!(get(&shop, &customer.key, "/v1/dashboard/billing/usage").await["object"], "list");
    shop.finish().await;
}

#[tokio::test]
async fn usage_is_told_for_days_that_are_both_included() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let day = || jiff::Timestamp::from_millisecond(shop.app.kit.clock.now_ms()).unwrap().to_zoned(TimeZone::UTC).date();
    let today = day();
    let cost: Usd = shop.chat(&customer.key, ask("demo-chat", "Hello")).await.headers()["x-farebox-cost-usd"].to_str().unwrap().parse().unwrap();
    let today = if today == day() { today } else { return shop.finish().await }; // once in a while it is midnight
    let cents = (cost.to_decimal() * rust_decimal::Decimal::ONE_HUNDRED).normalize().to_string();
    let (before, after) = (today.yesterday().unwrap(), today.tomorrow().unwrap());
    for (query, expected) in [
        (format!("start_date={today}&end_date={today}"), cents.as_str()),
        (format!("start_date={before}&end_date={after}"), cents.as_str()),
        (format!("start_date={today}"), cents.as_str()),
        (format!("end_date={today}"), cents.as_str()),
        (format!("start_date={}&end_date={today}", today - 99.days()), cents.as_str()),
        (format!("start_date={after}&end_date={after}"), "0"),
        (format!("start_date={before}&end_date={before}"), "0"),
        (format!("start_date={after}&end_date={before}"), "0"),
        ("start_date=0001-01-01".to_owned(), cents.as_str()),
    ] {
        let told = digits(&shop, &customer.key, &format!("/v1/dashboard/billing/usage?{query}"), "total_usage").await;
        assert_eq!(told, expected, "{query}");
    }
    for query in ["start_date=yesterday", "end_date=2026-13-01", "start_date=2026-02-30", "end_date=%E6%97%A5%E6%97%A5%E6%97%A5%E6%97%A5"] {
        let answer = shop.http.get(shop.at(&format!("/v1/dashboard/billing/usage?{query}"))).bearer_auth(&customer.key).send().await.unwrap();
        let (status, error) = error_of(answer).await;
        assert_eq!((status, error["param"].as_str()), (400, query.split('=').next()), "{query}");
    }
    shop.finish().await;
}

#[tokio::test]
async fn a_key_with_a_budget_sees_its_own_budget_and_spending_only() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(5)).await;
    let (key, _) = shop.key(customer.user.id, Some(Usd(2_500_000_000))).await;
    shop.chat(&customer.key, ask("demo-chat", "[[tokens=50]] Hello")).await.text().await.unwrap();
    let cost: Usd = shop.chat(&key, ask("demo-chat", "[[tokens=20]] Hello")).await.headers()["x-farebox-cost-usd"].to_str().unwrap().parse().unwrap();
    let cents = (cost.to_decimal() * rust_decimal::Decimal::ONE_HUNDRED).normalize().to_string();
    assert_eq!(digits(&shop, &key, "/v1/dashboard/billing/subscription", "hard_limit_usd").await, "2.5");
    for query in ["", "?start_date=2020-01-01", "?start_date=2020-01-01&end_date=2100-01-01"] {
        assert_eq!(digits(&shop, &key, &format!("/v1/dashboard/billing/usage{query}"), "total_usage").await, cents, "{query}");
    }
    shop.finish().await;
}

#[tokio::test]
async fn what_is_left_is_what_the_tightest_budget_leaves_now() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(5)).await;
    let day = shop.limited_key(customer.user.id, &[("budget_day", "0.5"), ("budget", "2")]).await;
    let left = async |key: &str| {
        let (told, token) = (digits(&shop, key, "/v1/usage", "remaining").await, get(&shop, key, "/api/usage/token/").await["data"].take());
        let nanos = told.parse::<Usd>().unwrap();
        assert_eq!(token["total_available"], nanos.0 / 2_000, "both say the same");
        assert_eq!(token["unlimited_quota"], false);
        nanos
    };
    assert_eq!(left(&day).await, Usd(500_000_000));
    let cost: Usd = shop.chat(&day, ask("demo-chat", "[[tokens=20]] Hello")).await.headers()["x-farebox-cost-usd"].to_str().unwrap().parse().unwrap();
    assert_eq!(left(&day).await, Usd(500_000_000) - cost);
    // The customer's own budget bounds every key, and what all of them have spent counts.
    shop.limit_user(customer.user.id, &[("budget_month", "0.3")]).await;
    assert_eq!(left(&day).await, Usd(300_000_000) - cost);
    assert_eq!(left(&customer.key).await, Usd(300_000_000) - cost);
    shop.limit_user(customer.user.id, &[("budget_week", "0")]).await;
    assert_eq!(left(&customer.key).await, Usd::ZERO);
    // What is in flight is not there for another.
    shop.limit_user(customer.user.id, &[]).await;
    let mut body = ask("demo-chat", "[[gate=0]] Hello");
    body["max_tokens"] = json!(1_000);
    let waiting = tokio::spawn(shop.http.post(shop.at("/v1/chat/completions")).bearer_auth(&day).json(&body).send());
    let told = async || digits(&shop, &day, "/v1/usage", "remaining").await.parse::<Usd>().unwrap();
    shop.until("the budget is held", || async { told().await <= Usd(500_000_000) - cost - Usd(10_000_000) }).await;
    waiting.abort();
    shop.upstream.release_gate();
    shop.until("it is given back", || async { told().await > Usd(500_000_000) - cost - Usd(1_000_000) }).await;
    shop.finish().await;
}
