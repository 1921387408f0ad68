//! How long a request may be: for a model, and for the channels that say how much room they have.

use super::{ask, error_of, model};
use crate::harness::TestApp;
use farebox::catalog::ModelFields;
use farebox::channels::ChannelFields;
use farebox::kernel::Usd;
use serde_json::json;

/// Every letter as an escape, as it may be written and as some clients write all but English.
fn escaped(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// A request as its bytes.
fn body(text_as_written: &str, rest: &str) -> String {
    format!(r#"{{"model":"demo-chat","messages":[{{"role":"user","content":"{text_as_written}"}}]{rest}}}"#)
}

/// What needs fewer than 1,000 tokens and has many bytes, and what needs more and has few.
fn cases() -> Vec<(&'static str, String, bool)> {
    vec![
        ("two hundred words", body(&"hello ".repeat(200), ""), true),
        ("two hundred words in escapes", body(&escaped(&"hello ".repeat(200)), ""), true),
        ("a long row of spaces", body(&format!("a{}b", " ".repeat(8_000)), ""), true),
        ("short words", body(&"x y z ".repeat(450), ""), false),
        ("short words in escapes", body(&escaped(&"x y z ".repeat(450)), ""), false),
        ("a short question with a short answer", body(&"hello ".repeat(200), r#","max_tokens":700"#), true),
        ("a short question with a long answer", body(&"hello ".repeat(200), r#","max_tokens":900"#), false),
    ]
}

async fn send(shop: &TestApp, key: &str, body: String) -> reqwest::Response {
    let request = shop.http.post(shop.at("/v1/chat/completions")).bearer_auth(key).header("content-type", "application/json");
    request.body(body).send().await.unwrap()
}

#[tokio::test]
async fn a_model_s_context_refuses_what_does_not_fit_and_nothing_else() {
    let shop = TestApp::new().await;
    shop.sell_as(ModelFields { context_length: "1000".to_owned(), ..model("demo-chat", "1", "10") }).await;
    shop.channel("upstream", &shop.upstream.base_url(), &["demo-chat"], 0).await;
    let customer = shop.customer(Usd::dollars(5)).await;
    for (what, body, fits) in cases() {
        let (asked, answer) = (shop.upstream.log().count(), send(&shop, &customer.key, body).await);
        if fits {
            assert_eq!(answer.status(), 200, "{what}");
            continue;
        }
        let (status, error) = error_of(answer).await;
        assert_eq!((status, &error["code"]), (400, &json!("context_length_exceeded")), "{what}");
        assert_eq!(shop.upstream.log().count(), asked, "nobody was asked: {what}");
    }
    // Texts that are embedded are read one by one.
    for (texts, status) in [(vec!["hello ".repeat(600); 5], 200), (vec!["x y z ".repeat(450)], 400)] {
        let request = shop.http.post(shop.at("/v1/embeddings")).bearer_auth(&customer.key).json(&json!({"model": "demo-chat", "input": texts}));
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    shop.finish().await;
}

#[tokio::test]
async fn what_does_not_fit_goes_to_a_channel_with_more_room() {
    let shop = TestApp::new().await;
    shop.sell("demo-chat", "1", "10").await;
    let narrow = ChannelFields {
        context_length: "1000".to_owned(),
        priority: "9".to_owned(),
        model_mapping: "demo-chat = demo-narrow".to_owned(),
        ..TestApp::channel_fields("narrow", &shop.upstream.base_url(), &["demo-chat"])
    };
    shop.channel_as(None, &narrow).await;
    shop.channel("wide", &shop.upstream.base_url(), &["demo-chat"], 0).await;
    let customer = shop.customer(Usd::dollars(5)).await;
    for (what, body, fits) in cases() {
        assert_eq!(send(&shop, &customer.key, body).await.status(), 200, "{what}");
        let asked = shop.upstream.log().last().unwrap();
        assert_eq!(asked.model(), if fits { "demo-narrow" } else { "demo-chat" }, "{what}");
    }
    assert_eq!(shop.chat(&customer.key, ask("demo-chat", "Hello")).await.status(), 200);
    shop.finish().await;
}
