//! What a key may call, and from where.

use super::{ask, ask_stream, error_of, told};
use crate::harness::TestApp;
use farebox::kernel::Usd;
use reqwest::Response;
use serde_json::{Value, json};

#[tokio::test]
async fn a_key_calls_the_models_that_it_may_call_and_sees_no_others() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat", "demo-mini", "other/model"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let listed = async |key: &str| {
        let list: Value = shop.http.get(shop.at("/v1/models")).bearer_auth(key).send().await.unwrap().json().await.unwrap();
        list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (rule, list, allowed) in [
        ("allow", "demo-*", &["demo-chat", "demo-mini"][..]),
        ("allow", "demo-mini\nother/*", &["demo-mini", "other/model"]),
        ("deny", "*mini", &["demo-chat", "other/model"]),
        ("deny", "", &["demo-chat", "demo-mini", "other/model"]),
    ] {
        let key = shop.limited_key(customer.user.id, &[("model_rule", rule), ("models", list)]).await;
        assert_eq!(listed(&key).await, allowed);
        for model in ["demo-chat", "demo-mini", "other/model"] {
            let may = allowed.contains(&model);
            let one = shop.http.get(shop.at(&format!("/v1/models/{model}"))).bearer_auth(&key).send().await.unwrap();
            assert_eq!(one.status(), if may { 200 } else { 404 }, "{model}");
            for body in [ask(model, "Hello"), ask_stream(model, "Hello")] {
                let answer = shop.chat(&key, body).await;
                if may {
                    assert_eq!(answer.status(), 200, "{rule} {list} {model}");
                    answer.bytes().await.unwrap();
                    continue;
                }
                let (status, error) = error_of(answer).await;
                assert_eq!(
                    (status, &error["type"], &error["code"], &error["param"]),
                    (403, &json!("permission_error"), &json!("model_not_allowed"), &json!("model"))
                );
            }
        }
    }
    shop.finish().await;
}

#[tokio::test]
async fn what_the_shop_sets_for_a_customer_narrows_every_key_of_theirs() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat", "demo-mini", "other/model"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let narrow = shop.limited_key(customer.user.id, &[("models", "demo-*")]).await;
    let status = async |key: &str, model: &str| told(shop.chat(key, ask(model, "Hello")).await).await;
    let refused = (403, "permission_error".to_owned(), json!("model_not_allowed"));
    let listed = async |key: &str| {
        let list: Value = shop.http.get(shop.at("/v1/models")).bearer_auth(key).send().await.unwrap().json().await.unwrap();
        list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // The key's list is wider than the customer's, or has none of its own, or both say something.
    for (limits, of_free, of_narrow) in [
        (&[("models", "demo-mini")][..], &["demo-mini"][..], &["demo-mini"][..]),
        (&[("model_rule", "deny"), ("models", "*mini")], &["demo-chat", "other/model"], &["demo-chat"]),
        (&[("models", "other/*")], &["other/model"], &[]),
        (&[], &["demo-chat", "demo-mini", "other/model"], &["demo-chat", "demo-mini"]),
    ] {
        shop.limit_user(customer.user.id, limits).await;
        let told: Value = shop.http.get(shop.at("/api/usage/token/")).bearer_auth(&customer.key).send().await.unwrap().json().await.unwrap();
        assert_eq!(told["data"]["model_limits_enabled"], json!(!limits.is_empty()));
        for (key, allowed) in [(&customer.key, of_free), (&narrow, of_narrow)] {
            assert_eq!(listed(key).await, allowed, "{limits:?}");
            for model in ["demo-chat", "demo-mini", "other/model"] {
                if allowed.contains(&model) {
                    assert_eq!(shop.chat(key, ask(model, "Hello")).await.status(), 200);
                } else {
                    assert_eq!(status(key, model).await, refused, "{limits:?} {model}");
                }
            }
        }
    }
    shop.limit_user(customer.user.id, &[("addresses", "203.0.113.0/24")]).await;
    let near = shop.limited_key(customer.user.id, &[("addresses", "127.0.0.0/8")]).await;
    for key in [&customer.key, &near] {
        assert_eq!(status(key, "demo-chat").await, (403, "permission_error".to_owned(), json!("ip_not_allowed")));
        assert_eq!(shop.http.get(shop.at("/v1/models")).bearer_auth(key).send().await.unwrap().status(), 403);
    }
    for (moment, works) in [(1, false), (shop.app.kit.clock.now_ms() + 3_600_000, true)] {
        shop.limit_user(customer.user.id, &[("expires_at", &moment.to_string())]).await;
        let answer = shop.chat(&customer.key, ask("demo-chat", "Hello")).await;
        assert_eq!(answer.status(), if works { 200 } else { 401 });
        assert_eq!(shop.http.get(shop.at("/v1/models")).bearer_auth(&customer.key).send().await.unwrap().status(), if works { 200 } else { 401 });
    }
    shop.finish().await;
}

async fn from(shop: &TestApp, key: &str, header: &str, value: &str) -> Response {
    shop.http.post(shop.at("/v1/chat/completions")).bearer_auth(key).header(header, value).json(&ask("demo-chat", "Hello")).send().await.unwrap()
}

#[tokio::test]
async fn nobody_but_a_trusted_proxy_says_where_a_call_comes_from() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let far = shop.limited_key(customer.user.id, &[("addresses", "203.0.113.0/24\n2001:db8::/32")]).await;
    let near = shop.limited_key(customer.user.id, &[("addresses", "127.0.0.0/8")]).await;
    for (header, value) in [("x-forwarded-for", "203.0.113.7"), ("forwarded", "for=203.0.113.7"), ("x-real-ip", "203.0.113.7")] {
        assert_eq!(told(from(&shop, &far, header, value).await).await, (403, "permission_error".to_owned(), json!("ip_not_allowed")), "{header}");
        assert_eq!(from(&shop, &near, header, value).await.status(), 200);
    }
    let rows = shop.requests(customer.user.id).await;
    assert_eq!(
        rows.iter().filter(|row| (row.status, row.outcome.as_str(), row.cost) == (403, "refused", Usd::ZERO)).count(),
        3,
        "refused calls leave their rows"
    );
    for path in ["/v1/models", "/v1/models/demo-chat", "/v1/usage", "/api/usage/token/", "/v1/dashboard/billing/usage", "/api/v1/usage/me"] {
        assert_eq!(shop.http.get(shop.at(path)).bearer_auth(&far).send().await.unwrap().status(), 403, "{path}");
        assert_eq!(shop.http.get(shop.at(path)).bearer_auth(&near).send().await.unwrap().status(), 200, "{path}");
    }
    assert_eq!(shop.http.get(shop.at(&format!("/api/v1/usage/{far}"))).send().await.unwrap().status(), 403);
    shop.finish().await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_its_caller_s_address_counts() {
    let shop = TestApp::with(&[("TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8")]).await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let key = shop.limited_key(customer.user.id, &[("addresses", "203.0.113.0/24\n2001:db8::/32")]).await;
    for (value, status) in [
        ("203.0.113.7", 200),
        ("203.0.113.7, 10.1.2.3", 200),
        ("::ffff:203.0.113.7", 200),
        ("2001:db8::1", 200),
        ("198.51.100.1", 403),
        ("203.0.113.7, 198.51.100.1", 403),
        ("nonsense", 403),
    ] {
        assert_eq!(from(&shop, &key, "x-forwarded-for", value).await.status(), status, "{value}");
    }
    assert_eq!(from(&shop, &key, "forwarded", "for=203.0.113.7").await.status(), 403, "not the header that this shop's proxies write");
    shop.finish().await;
    let shop = TestApp::with(&[("TRUSTED_PROXIES", "127.0.0.1"), ("TRUSTED_PROXY_HEADER", "forwarded")]).await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let key = shop.limited_key(customer.user.id, &[("addresses", "203.0.113.0/24")]).await;
    assert_eq!(from(&shop, &key, "forwarded", "for=1.2.3.4, for=\"203.0.113.7:4711\";proto=https").await.status(), 200);
    assert_eq!(from(&shop, &key, "x-forwarded-for", "203.0.113.7").await.status(), 403);
    shop.finish().await;
}
