//! What a caller is told when a request cannot be served, in OpenAI's dialect.

use super::{ask, ask_stream, error_of, model, told};
use crate::harness::{TestApp, TestDb, kit, people, verified_user};
use farebox::catalog::ModelFields;
use farebox::kernel::{Id, Usd};
use farebox::keys::{self, NewKey};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

const UNUSABLE: (u16, &str, &str) = (401, "authentication_error", "invalid_api_key");

async fn is_unusable(request: RequestBuilder) -> bool {
    let answer = request.send().await.expect("an answer");
    if answer.status() == 200 {
        return false;
    }
    let (status, kind, code) = told(answer).await;
    assert_eq!((status, kind.as_str(), code.as_str().unwrap_or_default()), UNUSABLE);
    true
}

/// A key that is well-formed and that no shop of this test knows.
async fn foreign_key() -> String {
    let (db, kit) = (TestDb::new().await, kit());
    let user = verified_user(&db.db, &kit).await;
    let created = keys::create(&db.db, &kit, user, NewKey::named("k")).await.expect("a key");
    created.key.reveal().clone()
}

#[tokio::test]
async fn a_request_without_a_usable_key_is_refused_and_costs_nobody() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let foreign = foreign_key().await;
    let post = || shop.http.post(shop.at("/v1/chat/completions")).json(&ask("demo-chat", "Hello"));
    let mut texts = Vec::new();
    for header in ["", "Bearer", "Bearer ", "Bearer sk-", "Basic abc", "Bearer sk-proj-abc", &format!("Bearer {foreign}"), &format!("Bearer {}x", customer.key)]
    {
        let answer = post().header("authorization", header).send().await.unwrap();
        assert!(!answer.headers().contains_key("x-farebox-cost-usd"));
        let (status, error) = error_of(answer).await;
        assert_eq!((status, &error["type"], &error["code"], &error["param"]), (401, &json!(UNUSABLE.1), &json!(UNUSABLE.2), &Value::Null), "{header}");
        texts.push(error["message"].clone());
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "nobody learns which keys exist: {texts:?}");
    assert!(is_unusable(post()).await && is_unusable(post().header("x-api-key", &foreign)).await);
    for path in ["/v1/models", "/v1/models/demo-chat", "/v1/dashboard/billing/subscription", "/dashboard/billing/usage"] {
        assert!(is_unusable(shop.http.get(shop.at(path))).await, "{path}");
    }
    assert_eq!(post().header("x-api-key", &customer.key).send().await.unwrap().status(), 200, "either header will do");
    assert_eq!(post().header("authorization", format!("bearer  {}", customer.key)).send().await.unwrap().status(), 200);
    assert_eq!(shop.upstream.log().count(), 2);
    shop.finish().await;
}

async fn set_verified(shop: &TestApp, user: Id, at: Option<i64>) {
    let mut tx = shop.app.db.write().await.unwrap();
    sqlx::query("UPDATE users SET verified_at = $2 WHERE id = $1").bind(user.0).bind(at).execute(&mut *tx).await.unwrap();
    keys::touch_user(&mut tx, user).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_key_stops_by_itself_when_anything_about_it_ends() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let (db, kit, user) = (&shop.app.db, &shop.app.kit, customer.user.id);
    let refused = |key: &str| is_unusable(shop.http.get(shop.at("/v1/models")).bearer_auth(key));
    assert!(!refused(&customer.key).await);
    // Nothing here refreshes the snapshot: the shop must notice by itself.
    keys::set_disabled(db, kit, user, customer.key_id, true).await.unwrap();
    shop.until("a disabled key stops", || refused(&customer.key)).await;
    keys::set_disabled(db, kit, user, customer.key_id, false).await.unwrap();
    shop.until("an enabled key works", || async { !refused(&customer.key).await }).await;
    people::disable(db, user, Some(kit.clock.now_ms())).await;
    shop.until("the keys of a disabled user stop", || refused(&customer.key)).await;
    people::disable(db, user, None).await;
    shop.until("the keys of an enabled user work", || async { !refused(&customer.key).await }).await;
    set_verified(&shop, user, None).await;
    shop.until("the keys of an unverified user stop", || refused(&customer.key)).await;
    set_verified(&shop, user, Some(1)).await;
    let expires_at = kit.clock.now_ms() + 1000;
    let soon = NewKey { expires_at, ..NewKey::named("soon") };
    let soon = keys::create(db, kit, user, soon).await.unwrap();
    shop.until("a new key works, or its time is up", || async { !refused(soon.key.reveal()).await || kit.clock.now_ms() > expires_at }).await;
    shop.until("an expired key stops", || refused(soon.key.reveal())).await;
    keys::delete(db, kit, user, customer.key_id).await.unwrap();
    shop.until("a deleted key stops", || refused(&customer.key)).await;
    shop.finish().await;
}

#[tokio::test]
async fn a_model_that_cannot_be_served_says_why() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    shop.sell_as(ModelFields { enabled: String::new(), ..model("demo-off", "1", "10") }).await;
    shop.sell_as(model("demo-unpriced", "", "")).await;
    shop.sell("demo-lonely", "1", "10").await;
    let customer = shop.customer(Usd::dollars(1)).await;
    for stream in [false, true] {
        for (name, status, kind, code, param) in [
            ("demo-nowhere", 404, "invalid_request_error", "model_not_found", Some("model")),
            ("demo-off", 404, "invalid_request_error", "model_not_found", Some("model")),
            ("demo-unpriced", 403, "permission_error", "model_not_priced", Some("model")),
            ("demo-lonely", 503, "api_error", "no_channel", None),
        ] {
            let answer = shop.chat(&customer.key, if stream { ask_stream(name, "Hello") } else { ask(name, "Hello") }).await;
            assert_eq!(answer.headers().contains_key("retry-after"), status == 503, "{name}");
            assert!(!answer.headers().contains_key("x-farebox-cost-usd"));
            let (got, error) = error_of(answer).await;
            assert_eq!((got, &error["type"], &error["code"], error["param"].as_str()), (status, &json!(kind), &json!(code), param), "{name}");
        }
    }
    assert_eq!((shop.upstream.log().count(), shop.available(customer.user.id).await, shop.open_holds().await), (0, Usd::dollars(1), 0));
    shop.finish().await;
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_are_told_in_the_dialect() {
    let shop = TestApp::new().await;
    let customer = shop.customer(Usd::ZERO).await;
    for (method, path, status, code) in [
        (Method::POST, "/v1/nothing", 404, "unknown_url"),
        (Method::GET, "/v1/", 404, "unknown_url"),
        (Method::GET, "/v1", 404, "unknown_url"),
        (Method::POST, "/v1//chat/completions", 404, "unknown_url"),
        (Method::POST, "/v1/chat/completions/", 404, "unknown_url"),
        (Method::GET, "/v1/chat/completions", 405, "method_not_allowed"),
        (Method::DELETE, "/v1/models", 405, "method_not_allowed"),
        (Method::POST, "/v1/dashboard/billing/usage", 405, "method_not_allowed"),
    ] {
        let answer = shop.http.request(method.clone(), shop.at(path)).bearer_auth(&customer.key).send().await.unwrap();
        assert!(answer.headers().contains_key("x-request-id"), "{method} {path}");
        let (got, kind, said) = told(answer).await;
        assert_eq!((got, kind.as_str(), said), (status, "invalid_request_error", json!(code)), "{method} {path}");
    }
    for path in ["/v1/models/%ff", "/v1/dashboard/billing/usage?start_date=2026-01-01&start_date=2026-01-02", "/v1/dashboard/billing/usage?start_date=%ff"] {
        let (status, kind, _) = told(shop.http.get(shop.at(path)).bearer_auth(&customer.key).send().await.unwrap()).await;
        assert_eq!((status, kind.as_str()), (400, "invalid_request_error"), "{path}");
    }
    shop.finish().await;
}

#[tokio::test]
async fn an_empty_balance_is_a_402_that_says_how_to_pay() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let broke = shop.customer(Usd::ZERO).await;
    let nearly = shop.customer(Usd(20_000)).await;
    for (customer, balance) in [(&broke, "$0.00"), (&nearly, "$0.00002")] {
        for body in [ask("demo-chat", "Hello"), ask_stream("demo-chat", "Hello")] {
            let (status, error) = error_of(shop.chat(&customer.key, body).await).await;
            assert_eq!((status, &error["type"], &error["code"]), (402, &json!("insufficient_quota"), &json!("insufficient_quota")));
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(balance) && message.contains(&shop.at("/account")), "{message}");
        }
        let rows = shop.requests(customer.user.id).await;
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| (row.status, row.outcome.as_str(), row.cost) == (402, "refused", Usd::ZERO)), "{rows:?}");
    }
    assert_eq!((shop.upstream.log().count(), shop.open_holds().await), (0, 0));
    assert_eq!(shop.available(nearly.user.id).await, Usd(20_000));
    shop.finish().await;
}

#[tokio::test]
async fn a_key_with_a_budget_stops_at_it_and_not_before() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let budget = Usd(600_000);
    let (key, key_id) = shop.key(customer.user.id, Some(budget)).await;
    let mut served = 0;
    loop {
        let answer = shop.chat(&key, ask("demo-chat", "[[tokens=17]] Hello")).await;
        if answer.status() != 200 {
            assert_eq!(told(answer).await, (402, "insufficient_quota".to_owned(), json!("key_budget_exhausted")));
            break;
        }
        served += 1;
        assert!(served < 20, "the budget has no effect");
    }
    let spent = keys::spent(&mut shop.app.db.read().await.unwrap(), key_id).await.unwrap();
    assert!(served > 1 && spent <= budget, "{spent} after {served}");
    assert_eq!(shop.spent(&customer, Usd::dollars(1)).await, spent);
    assert_eq!(shop.chat(&customer.key, ask("demo-chat", "Hello")).await.status(), 200, "another key of the same customer goes on");
    shop.finish().await;
}

#[tokio::test]
async fn every_answer_has_its_own_id_and_only_whole_answers_say_their_cost() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let mut ids = Vec::new();
    for (path, body, has_cost) in [
        ("/v1/chat/completions", Some(ask("demo-chat", "Hello")), true),
        ("/v1/chat/completions", Some(ask_stream("demo-chat", "Hello")), false),
        ("/v1/chat/completions", Some(json!({})), false),
        ("/v1/models", None, false),
        ("/v1/nothing", None, false),
    ] {
        let request = body.as_ref().map_or_else(|| shop.http.get(shop.at(path)), |body| shop.http.post(shop.at(path)).json(body));
        let answer = request.bearer_auth(&customer.key).send().await.unwrap();
        ids.push(answer.headers()["x-request-id"].to_str().unwrap().to_owned());
        assert_eq!(answer.headers().contains_key("x-farebox-cost-usd"), has_cost, "{path} {body:?}");
        answer.bytes().await.unwrap();
    }
    assert!(ids.iter().all(|id| id.parse::<Id>().is_ok()), "{ids:?}");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5);
    shop.finish().await;
}
