//! Answers and streams that go well, and their charge.

use crate::harness::TestApp;
use farebox::kernel::Usd;
use serde_json::{Value, json};

#[tokio::test]
async fn an_answer_is_charged_to_the_nano_dollar() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let answer =
        shop.chat(&customer.key, json!({"model": "demo-chat", "messages": [{"role": "user", "content": "Hello"}], "x_unknown": {"kept": [1, null]}})).await;
    assert_eq!(answer.status(), 200);
    let cost: Usd = answer.headers()["x-farebox-cost-usd"].to_str().unwrap().parse().unwrap();
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let body: Value = answer.json().await.unwrap();
    let (input, output) = (body["usage"]["prompt_tokens"].as_i64().unwrap(), body["usage"]["completion_tokens"].as_i64().unwrap());
    assert_eq!(cost, Usd(input * 1_000 + output * 10_000));
    assert_eq!(shop.available(customer.user.id).await, Usd::dollars(1) - cost);
    let rows = shop.requests(customer.user.id).await;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].id.to_string(), rows[0].cost, rows[0].outcome.as_str(), rows[0].counted), (id, cost, "complete", false));
    assert_eq!(shop.upstream.log().requests()[0].body["x_unknown"], json!({"kept": [1, null]}), "unknown fields pass through");
    shop.finish().await;
}

#[tokio::test]
async fn a_stream_passes_through_and_is_charged_before_it_ends() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    for include_usage in [false, true] {
        let mut body = json!({"model": "demo-chat", "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
        if include_usage {
            body["stream_options"] = json!({"include_usage": true});
        }
        let before = shop.available(customer.user.id).await;
        let answer = shop.chat(&customer.key, body).await;
        assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
        let text = answer.text().await.unwrap();
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        assert_eq!(text.contains("\"usage\":{"), include_usage, "{text}");
        let charged = before - shop.available(customer.user.id).await;
        let row = &shop.requests(customer.user.id).await[0];
        assert_eq!((charged, row.streamed, row.counted), (row.cost, true, false));
        assert!(charged > Usd::ZERO);
    }
    shop.finish().await;
}
