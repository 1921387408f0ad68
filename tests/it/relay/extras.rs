//! What providers bill beside tokens: better classes of service, searches. Sold where it has a price, and else refused before anybody is asked.

use super::{ask, error_of, model};
use crate::harness::TestApp;
use farebox::catalog::ModelFields;
use farebox::channels::ChannelFields;
use farebox::kernel::Usd;
use serde_json::{Value, json};

fn with(body: Value, more: &Value) -> Value {
    let mut body = body;
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// A request of each dialect: its address and its body.
fn requests(more: &Value) -> [(&'static str, Value); 4] {
    let turns = json!([{"role": "user", "content": "Hello"}]);
    [
        ("/v1/chat/completions", with(ask("demo-chat", "Hello"), more)),
        ("/v1/responses", with(json!({"model": "demo-chat", "input": turns, "store": false}), more)),
        ("/v1/messages", with(json!({"model": "demo-chat", "messages": turns, "max_tokens": 100}), more)),
        ("/v1beta/models/demo-chat:generateContent", with(json!({"contents": [{"parts": [{"text": "Hello"}]}]}), more)),
    ]
}

async fn send(shop: &TestApp, key: &str, path: &str, body: &Value) -> (u16, String) {
    let request = shop.http.post(shop.at(path)).bearer_auth(key).header("anthropic-version", "2023-06-01").json(body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_dearer_class_of_service_is_refused_by_its_name() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    for tier in ["priority", "flex", "scale", "Priority"] {
        for (path, body) in requests(&json!({"service_tier": tier})) {
            let (status, text) = send(&shop, &customer.key, path, &body).await;
            assert!(status == 400 && text.contains("service_tier"), "{path} {tier}: {status} {text}");
        }
    }
    for more in [json!({"speed": "fast"}), json!({"inference_geo": "us"}), json!({"service_tier": 5}), json!({"service_tier": ["auto"]})] {
        let (path, body) = requests(&more)[2].clone();
        let (status, text) = send(&shop, &customer.key, path, &body).await;
        assert!(status == 400 && text.contains(more.as_object().unwrap().keys().next().unwrap()), "{more}: {status} {text}");
    }
    assert_eq!(shop.upstream.log().count(), 0);
    for (at, more) in [
        (0, json!({"service_tier": "auto"})),
        (0, json!({"service_tier": "default"})),
        (0, json!({"service_tier": null})),
        (1, json!({"service_tier": "auto"})),
        (2, json!({"service_tier": "standard_only"})),
        (2, json!({"speed": "standard"})),
        (2, json!({"inference_geo": "global"})),
    ] {
        let (path, body) = requests(&more)[at].clone();
        let (status, text) = send(&shop, &customer.key, path, &body).await;
        assert_eq!(status, 200, "{more}: {text}");
    }
    shop.finish().await;
}

#[tokio::test]
async fn a_search_is_sold_where_it_has_a_price() {
    let cases: [(&str, usize, Value, &str); 6] = [
        ("openai", 0, json!({"web_search_options": {}}), "web_search_options"),
        ("openai", 0, json!({"search_parameters": {"mode": "on"}}), "search_parameters"),
        ("openai", 1, json!({"tools": [{"type": "web_search"}]}), "tools"),
        ("anthropic", 2, json!({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]}), "tools"),
        ("gemini", 3, json!({"tools": [{"google\\u0053earch": {}}]}), "tools"),
        ("gemini", 3, json!({"tools": [{"googleMaps": {}}]}), "tools"),
    ];
    for (kind, at, more, field) in cases {
        let shop = TestApp::new().await;
        shop.sell("demo-chat", "1", "10").await;
        let fields = TestApp::channel_fields(kind, &shop.upstream.base_url(), &["demo-chat"]);
        let responses = if kind == "openai" { "on" } else { "" };
        shop.channel_as(None, &ChannelFields { kind: kind.into(), responses: responses.into(), ..fields }).await;
        let customer = shop.customer(Usd::dollars(1)).await;
        let (path, body) = requests(&more)[at].clone();
        let body: Value = serde_json::from_str(&body.to_string().replace("\\\\u", "\\u")).unwrap();
        let (status, text) = send(&shop, &customer.key, path, &body).await;
        assert!(status == 400 && text.contains(field) && text.contains("price"), "{more}: {status} {text}");
        assert_eq!((shop.upstream.log().count(), shop.available(customer.user.id).await), (0, Usd::dollars(1)));
        let id = shop.app.catalog.get("demo-chat").unwrap().id;
        let priced = ModelFields { search: "0.01".to_owned(), ..model("demo-chat", "1", "10") };
        let draft = farebox::catalog::ModelDraft::parse(&priced).unwrap();
        farebox::catalog::save(&shop.app.db, &shop.app.kit, Some(id), &draft).await.unwrap();
        shop.app.refresh().await.unwrap();
        let (status, text) = send(&shop, &customer.key, path, &body).await;
        assert_eq!(status, 200, "{more}: {text}");
        // Who cannot pay for the searches that may come is told before.
        let poor = shop.customer(Usd(20_000_000)).await;
        let (status, _) = send(&shop, &poor.key, path, &body).await;
        assert_eq!(status, 402, "{more}");
        shop.finish().await;
    }
}

#[tokio::test]
async fn a_search_in_what_the_provider_has_stored_passes_and_costs_its_tokens() {
    let shop = TestApp::new().await;
    shop.sell("demo-chat", "1", "10").await;
    let fields = TestApp::channel_fields("openai", &shop.upstream.base_url(), &["demo-chat"]);
    shop.channel_as(None, &ChannelFields { responses: "on".to_owned(), ..fields }).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let (path, body) = requests(&json!({"tools": [{"type": "web_search", "external_web_access": false}]}))[1].clone();
    let (status, text) = send(&shop, &customer.key, path, &body).await;
    assert_eq!(status, 200, "{text}");
    let row = &shop.requests(customer.user.id).await[0];
    assert_eq!(row.cost, Usd(row.input_tokens * 1_000 + row.output_tokens * 10_000));
    shop.finish().await;
}

#[tokio::test]
async fn tools_that_are_billed_by_the_session_are_refused() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    for tool in [json!({"type": "code_interpreter"}), json!({"type": "file_search"}), json!({"type": "shell", "environment": {"type": "container_auto"}})] {
        let body = json!({"model": "demo-chat", "input": "Hello", "tools": [tool]});
        let (status, error) = error_of(shop.http.post(shop.at("/v1/responses")).bearer_auth(&customer.key).json(&body).send().await.unwrap()).await;
        assert_eq!((status, &error["param"]), (400, &json!("tools")), "{tool}");
    }
    assert_eq!(shop.upstream.log().count(), 0);
    shop.finish().await;
}
