//! What a key may ask about itself, and the lists of models in every shape.

use super::{ask, ask_stream, error_of, input_tokens};
use crate::harness::TestApp;
use farebox::kernel::Usd;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

async fn json_of(request: RequestBuilder) -> Value {
    let answer = request.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (200, "application/json"));
    assert!(answer.headers().contains_key("x-request-id"));
    answer.json().await.unwrap()
}

async fn get(shop: &TestApp, key: &str, path: &str) -> Value {
    json_of(shop.http.get(shop.at(path)).bearer_auth(key)).await
}

#[tokio::test]
async fn what_is_left_is_told() {
    let shop = TestApp::new().await;
    let customer = shop.customer(Usd(2_500_000_000)).await;
    let told = get(&shop, &customer.key, "/v1/usage").await;
    assert_eq!(told, json!({"isValid": true, "planName": "Farebox", "remaining": 2.5, "unit": "USD"}));
    let (small, _) = shop.key(customer.user.id, Some(Usd::dollars(1))).await;
    assert_eq!(get(&shop, &small, "/v1/usage").await["remaining"], 1);
    let (large, _) = shop.key(customer.user.id, Some(Usd::dollars(9))).await;
    assert_eq!(get(&shop, &large, "/v1/usage").await["remaining"], 2.5, "no more than the balance has");
    let answer = shop.http.get(shop.at("/v1/usage")).bearer_auth("sk-nonsense").send().await.unwrap();
    assert_eq!(error_of(answer).await.0, 401);
    shop.finish().await;
}

#[tokio::test]
async fn new_api_s_tools_read_what_a_key_has_used() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat", "demo-mini", "other"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let fields = [("budget", "0.0005"), ("model_rule", "allow"), ("models", "demo-*")];
    let key = shop.limited_key(customer.user.id, &fields).await;
    while shop.chat(&key, ask("demo-chat", "[[tokens=10]] Hello")).await.status() == 200 {}
    let spent = Usd::dollars(1) - shop.available(customer.user.id).await;
    for path in ["/api/usage/token/", "/api/usage/token"] {
        let told = get(&shop, &key, path).await;
        assert_eq!((&told["code"], &told["message"]), (&json!(true), &json!("ok")));
        let used = spent.0 / 2_000;
        let expected = json!({
            "object": "token_usage", "name": "limited", "total_granted": used + (500_000 - spent.0) / 2_000, "total_used": used,
            "total_available": (500_000 - spent.0) / 2_000, "unlimited_quota": false,
            "model_limits": {"demo-chat": true, "demo-mini": true}, "model_limits_enabled": true, "expires_at": 0,
        });
        assert_eq!(told["data"], expected, "an exhausted key is told, too");
    }
    let open = &get(&shop, &customer.key, "/api/usage/token/").await["data"];
    assert_eq!((&open["unlimited_quota"], &open["model_limits_enabled"], &open["model_limits"]), (&json!(true), &json!(false), &json!({})));
    assert_eq!(open["total_available"], shop.available(customer.user.id).await.0 / 2_000);
    shop.finish().await;
}

#[tokio::test]
async fn a_key_s_usage_is_told_to_the_key_and_to_nobody_else() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat", "demo-mini"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let (other, other_id) = shop.key(customer.user.id, None).await;
    let stranger = shop.customer(Usd::ZERO).await;
    for model in ["demo-chat", "demo-chat", "demo-mini"] {
        assert_eq!(shop.chat(&customer.key, ask(model, "[[tokens=5]] Hello")).await.status(), 200);
    }
    let spent = Usd::dollars(1) - shop.available(customer.user.id).await;
    let tokens = input_tokens("[[tokens=5]] Hello");
    for named in ["me".to_owned(), customer.key_id.to_string(), customer.key.clone()] {
        for query in ["", "?range=24h", "?range=7d", "?range=30d"] {
            let told = get(&shop, &customer.key, &format!("/api/v1/usage/{named}{query}")).await;
            assert_eq!(
                (&told["object"], &told["requests"], &told["input_tokens"], &told["output_tokens"]),
                (&json!("usage"), &json!(3), &json!(3 * tokens), &json!(15))
            );
            assert_eq!(told["cost"].to_string().parse::<Usd>().unwrap(), spent);
            let models: Vec<_> =
                told["models"].as_array().unwrap().iter().map(|of| (of["model"].as_str().unwrap(), of["requests"].as_i64().unwrap())).collect();
            assert_eq!(models, [("demo-chat", 2), ("demo-mini", 1)]);
        }
    }
    let by_path = json_of(shop.http.get(shop.at(&format!("/api/v1/usage/{}", customer.key)))).await;
    assert_eq!(by_path["requests"], 3, "the key in the path is enough when there is no header");
    assert_eq!(get(&shop, &other, "/api/v1/usage/me").await["requests"], 0);
    for named in [customer.key_id.to_string(), customer.key.clone(), "0000000000000".to_owned(), "x".to_owned()] {
        for key in [&other, &stranger.key] {
            let answer = shop.http.get(shop.at(&format!("/api/v1/usage/{named}"))).bearer_auth(key).send().await.unwrap();
            assert_eq!(error_of(answer).await.0, 404, "{named}");
        }
    }
    for named in ["me".to_owned(), other_id.to_string(), "sk-guess".to_owned()] {
        let answer = shop.http.get(shop.at(&format!("/api/v1/usage/{named}"))).send().await.unwrap();
        assert_eq!(error_of(answer).await.0, 401, "{named}");
    }
    for query in ["range=1y", "range=", "range=24h&range=7d"] {
        let answer = shop.http.get(shop.at(&format!("/api/v1/usage/me?{query}"))).bearer_auth(&other).send().await.unwrap();
        assert_eq!(error_of(answer).await.0, 400, "{query}");
    }
    shop.finish().await;
}

#[tokio::test]
async fn a_call_is_told_to_its_owner() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let (second, _) = shop.key(customer.user.id, None).await;
    let stranger = shop.customer(Usd::dollars(1)).await;
    for stream in [false, true] {
        let question = "[[tokens=5]] Hello";
        let answer = shop.chat(&customer.key, if stream { ask_stream("demo-chat", question) } else { ask("demo-chat", question) }).await;
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        answer.bytes().await.unwrap();
        let path = format!("/api/v1/generations/{id}");
        let told = get(&shop, &customer.key, &path).await;
        assert_eq!((&told["id"], &told["object"], &told["model"], &told["streamed"]), (&json!(id), &json!("generation"), &json!("demo-chat"), &json!(stream)));
        let usage = json!({"input_tokens": input_tokens(question), "cached_input_tokens": 0, "cache_write_tokens": 0, "output_tokens": 5});
        assert_eq!((&told["usage"], &told["status"], &told["outcome"], &told["counted"]), (&usage, &json!(200), &json!("complete"), &json!(false)));
        let row = &shop.requests(customer.user.id).await[0];
        assert_eq!((told["cost"].to_string().parse::<Usd>().unwrap(), told["duration_ms"].as_i64().unwrap()), (row.cost, row.duration_ms));
        assert!(told["time_to_first_byte_ms"].as_i64().unwrap() <= row.duration_ms);
        assert_eq!(get(&shop, &second, &path).await, told, "to any key of the owner");
        for (key, status) in [(stranger.key.as_str(), 404), ("sk-guess", 401)] {
            assert_eq!(error_of(shop.http.get(shop.at(&path)).bearer_auth(key).send().await.unwrap()).await.0, status);
        }
    }
    for id in ["x", "0000000000000", "7ZZZZZZZZZZZZ", "%ff"] {
        let answer = shop.http.get(shop.at(&format!("/api/v1/generations/{id}"))).bearer_auth(&customer.key).send().await.unwrap();
        assert_eq!(error_of(answer).await.0, 404, "{id}");
    }
    shop.finish().await;
}

#[tokio::test]
async fn anthropic_s_clients_get_the_list_in_their_shape() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-a", "demo-b", "demo-c"]).await;
    let customer = shop.customer(Usd::ZERO).await;
    let ask = |path: &str| shop.http.get(shop.at(path)).header("x-api-key", &customer.key).header("anthropic-version", "2023-06-01");
    let list = json_of(ask("/v1/models")).await;
    assert_eq!((&list["has_more"], &list["first_id"], &list["last_id"]), (&json!(false), &json!("demo-a"), &json!("demo-c")));
    let first = &list["data"][0];
    assert_eq!((&first["type"], &first["id"], &first["display_name"]), (&json!("model"), &json!("demo-a"), &json!("demo-a")));
    assert!(first["created_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(first["lifecycle"], "active");
    assert_eq!(&json_of(ask("/v1/models/demo-a")).await, first);
    for (query, names, more) in [
        ("limit=2", &["demo-a", "demo-b"][..], true),
        ("limit=2&after_id=demo-b", &["demo-c"], false),
        ("limit=1&before_id=demo-c", &["demo-b"], true),
        ("limit=5&before_id=demo-c", &["demo-a", "demo-b"], false),
        ("after_id=demo-c", &[], false),
    ] {
        let page = json_of(ask(&format!("/v1/models?{query}"))).await;
        let seen: Vec<_> = page["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
        assert_eq!((seen.as_slice(), &page["has_more"]), (names, &json!(more)), "{query}");
    }
    for query in ["limit=x", "limit=-1", "after_id=nobody", "after_id=demo-a&before_id=demo-c"] {
        let answer = ask(&format!("/v1/models?{query}")).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{query}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!((&body["type"], &body["error"]["type"]), (&json!("error"), &json!("invalid_request_error")), "{query}: {body}");
    }
    let alone: Value = json_of(shop.http.get(shop.at("/v1/models")).header("x-api-key", &customer.key)).await;
    assert_eq!(alone["object"], "list", "without a version it is OpenAI's shape");
    let newer = shop.http.get(shop.at("/v1/models")).bearer_auth(&customer.key).header("anthropic-version", "2026-10-21").send().await.unwrap();
    assert_eq!(newer.headers()["request-id"], newer.headers()["x-request-id"], "their clients look for the request's number in a header of their own");
    assert_eq!(newer.json::<Value>().await.unwrap()["first_id"], "demo-a", "newer clients send the key as a bearer");
    shop.finish().await;
}

#[tokio::test]
async fn gemini_s_clients_get_the_list_in_theirs_with_their_ways_to_send_a_key() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-a", "vendor/demo-b"]).await;
    let customer = shop.customer(Usd::ZERO).await;
    let list = json_of(shop.http.get(shop.at("/v1beta/models")).header("x-goog-api-key", &customer.key)).await;
    let first = &list["models"][0];
    assert_eq!((&first["name"], &first["displayName"]), (&json!("models/demo-a"), &json!("demo-a")));
    assert!(first["supportedGenerationMethods"].as_array().unwrap().contains(&json!("generateContent")) && list.get("nextPageToken").is_none());
    assert_eq!(json_of(shop.http.get(shop.at(&format!("/v1beta/models?key={}", customer.key)))).await, list);
    assert_eq!(json_of(shop.http.get(shop.at("/v1beta/models")).bearer_auth(&customer.key)).await, list);
    let page = json_of(shop.http.get(shop.at(&format!("/v1beta/models?pageSize=1&key={}", customer.key)))).await;
    assert_eq!((page["models"].as_array().unwrap().len(), &page["nextPageToken"]), (1, &json!("demo-a")));
    let next = json_of(shop.http.get(shop.at(&format!("/v1beta/models?pageSize=1&pageToken=demo-a&key={}", customer.key)))).await;
    assert_eq!((&next["models"][0]["name"], next.get("nextPageToken")), (&json!("models/vendor/demo-b"), None));
    assert_eq!(&json_of(shop.http.get(shop.at("/v1beta/models/demo-a")).header("x-goog-api-key", &customer.key)).await, first);
    for (path, header, status, word) in [
        ("/v1beta/models/nothing", "x-goog-api-key", 404, "NOT_FOUND"),
        ("/v1beta/models?pageToken=nothing", "x-goog-api-key", 400, "INVALID_ARGUMENT"),
        ("/v1beta/models", "x-other", 401, "UNAUTHENTICATED"),
    ] {
        let answer = shop.http.get(shop.at(path)).header(header, &customer.key).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!((&body["error"]["code"], &body["error"]["status"]), (&json!(status), &json!(word)));
    }
    assert_eq!(json_of(shop.http.get(shop.at("/v1/models")).header("x-goog-api-key", &customer.key)).await, list, "newer clients ask there");
    let answer = shop.http.get(shop.at(&format!("/v1/models?key={}", customer.key))).send().await.unwrap();
    assert_eq!(error_of(answer).await.0, 401, "a key in the address counts on Gemini's own paths alone");
    shop.finish().await;
}
