//! Where streams are cut: an upstream that goes on past the cap it was sent, in every dialect and between any two, whatever size its events have.

use super::wild::{Step, Wild, send, stream_head};
use super::{OUTPUT, ask_stream, chunks, model};
use crate::harness::TestApp;
use farebox::catalog::ModelFields;
use farebox::channels::ChannelFields;
use farebox::demo::upstream::count_tokens;
use farebox::kernel::Usd;
use serde_json::{Value, json};

const CAP: i64 = 50;
/// A tenth of the cap and 64 tokens are forgiven, and what an event and 16 KiB of a stream hold of these words of five letters.
const MOST: i64 = CAP + CAP / 10 + 64 + 300 + 16 * 1024 / 5;
/// Whoever calls, and the address.
const CALLERS: [(&str, &str); 6] = [
    ("chat", "/v1/chat/completions"),
    ("responses", "/v1/responses"),
    ("messages", "/v1/messages"),
    ("gemini", "/v1beta/models/demo-chat:streamGenerateContent?alt=sse"),
    ("gemini", "/v1beta/models/demo-chat:streamGenerateContent"),
    ("completions", "/v1/completions"),
];

fn body(caller: &str) -> Value {
    let turns = json!([{"role": "user", "content": "Hello"}]);
    match caller {
        "chat" => json!({"model": "demo-chat", "messages": turns, "stream": true, "max_tokens": CAP}),
        "responses" => json!({"model": "demo-chat", "input": turns, "stream": true, "max_output_tokens": CAP, "store": false}),
        "messages" => json!({"model": "demo-chat", "messages": turns, "stream": true, "max_tokens": CAP}),
        "completions" => json!({"model": "demo-chat", "prompt": "Hello", "stream": true, "max_tokens": CAP}),
        _ => json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}], "generationConfig": {"maxOutputTokens": CAP}}),
    }
}

/// How a stream begins, and an event with a text.
fn dialect(spoken: &str, text: &str) -> (String, String) {
    let named = |name: &str, mut data: Value| {
        data["type"] = json!(name);
        format!("event: {name}\ndata: {data}\n\n")
    };
    match spoken {
        "responses" => {
            let item = json!({"id": "m", "type": "message", "role": "assistant", "status": "in_progress", "content": []});
            let begin = named("response.created", json!({"response": {"id": "r", "object": "response", "status": "in_progress", "output": []}}))
                + &named("response.output_item.added", json!({"output_index": 0, "item": item}))
                + &named(
                    "response.content_part.added",
                    json!({"item_id": "m", "output_index": 0, "content_index": 0, "part": {"type": "output_text", "text": "", "annotations": []}}),
                );
            (begin, named("response.output_text.delta", json!({"item_id": "m", "output_index": 0, "content_index": 0, "delta": text})))
        }
        "messages" => {
            let message =
                json!({"id": "m", "type": "message", "role": "assistant", "model": "x", "content": [], "usage": {"input_tokens": 5, "output_tokens": 1}});
            let begin = named("message_start", json!({"message": message}))
                + &named("content_block_start", json!({"index": 0, "content_block": {"type": "text", "text": ""}}));
            (begin, named("content_block_delta", json!({"index": 0, "delta": {"type": "text_delta", "text": text}})))
        }
        "gemini" => {
            (String::new(), format!("data: {}\r\n\r\n", json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": text}]}}]})))
        }
        "completions" => (String::new(), format!("data: {}\n\n", json!({"choices": [{"index": 0, "text": text}]}))),
        _ => (String::new(), format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": text}}]}))),
    }
}

/// What a channel of this kind is asked in.
fn spoken<'a>(kind: &str, caller: &'a str) -> &'a str {
    match (kind, caller) {
        ("anthropic", _) => "messages",
        ("gemini", _) => "gemini",
        (_, "responses" | "completions") => caller,
        _ => "chat",
    }
}

async fn shop_of(kind: &str, base_url: &str) -> TestApp {
    let shop = TestApp::new().await;
    shop.sell("demo-chat", "1", "10").await;
    let fields = TestApp::channel_fields("wild", base_url, &["demo-chat"]);
    let responses = if kind == "openai" { "on" } else { "" };
    shop.channel_as(None, &ChannelFields { kind: kind.into(), responses: responses.into(), ..fields }).await;
    shop
}

#[tokio::test]
async fn no_customer_can_be_overdrawn_by_more_than_the_declared_bound() {
    for kind in ["openai", "anthropic", "gemini"] {
        for (caller, path) in CALLERS.into_iter().filter(|(caller, _)| *caller != "completions" || kind == "openai") {
            // Large events and small ones.
            for words in [300, 1] {
                let what = format!("{path} through {kind} by {words}");
                let (begin, event) = dialect(spoken(kind, caller), &" word".repeat(words));
                let wild = Wild::start(vec![stream_head(), send(begin), Step::Repeat(event.into_bytes(), 1_000_000)]).await;
                let shop = shop_of(kind, &wild.base_url).await;
                // Enough for all that was asked for, and for a tenth of a cent: less than that.
                for balance in [Usd::dollars(1), Usd(350_000)] {
                    let customer = shop.customer(balance).await;
                    let request = shop.http.post(shop.at(path)).bearer_auth(&customer.key).header("anthropic-version", "2023-06-01");
                    let text = request.json(&body(caller)).send().await.unwrap().text().await.unwrap();
                    assert!(text.contains("error"), "{what}: {text:.300}");
                    let row = &shop.requests(customer.user.id).await[0];
                    assert_eq!((row.outcome.as_str(), row.counted, row.status), ("upstream_error", true, 200), "{what}: {row:?}");
                    assert!((CAP / 2..=MOST).contains(&row.output_tokens), "{what}: {row:?}");
                    assert!(
                        (row.output_tokens - text.matches("word").count() as i64).abs() <= row.output_tokens / 50 + 2,
                        "{what}: what was delivered is charged"
                    );
                    let spent = shop.spent(&customer, balance).await;
                    assert!(row.cost >= spent && spent >= Usd(row.output_tokens * OUTPUT).min(balance), "{what}: {row:?}");
                    assert!(shop.available(customer.user.id).await >= Usd::ZERO);
                }
                shop.until("the upstream is hung up on", || async { wild.left() == 2 }).await;
                shop.finish().await;
            }
        }
    }
}

#[tokio::test]
async fn the_models_own_cap_is_sent_in_the_place_of_a_larger_one() {
    let shop = TestApp::new().await;
    shop.sell_as(ModelFields { max_output_tokens: "200".to_owned(), ..model("demo-small", "1", "10") }).await;
    shop.channel("small", &shop.upstream.base_url(), &["demo-small"], 0).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    for (asked, sent) in [(5_000, 200), (200, 200), (150, 150)] {
        let mut body = ask_stream("demo-small", "[[tokens=300]] Hello");
        body["max_tokens"] = json!(asked);
        let text = shop.chat(&customer.key, body).await.text().await.unwrap();
        assert!(text.ends_with("data: [DONE]\n\n"), "{asked}");
        assert_eq!(shop.upstream.log().last().unwrap().body["max_tokens"], sent, "{asked}");
        assert_eq!(shop.requests(customer.user.id).await[0].output_tokens, sent);
    }
    shop.finish().await;
}

#[tokio::test]
async fn a_channel_is_not_to_blame_for_more_than_the_shop_says_that_a_model_gives() {
    let shop = TestApp::new().await;
    shop.sell_as(ModelFields { max_output_tokens: "20".to_owned(), ..model("demo-small", "1", "10") }).await;
    shop.channel("small", &shop.upstream.base_url(), &["demo-small"], 0).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    for _ in 0..12 {
        let answer = shop.chat(&customer.key, ask_stream("demo-small", "[[tokens=3000]] Hello")).await;
        assert_eq!(answer.status(), 200, "it is still asked");
        let text = answer.text().await.unwrap();
        assert!(text.contains("\"error\""), "{text:.300}");
    }
    shop.finish().await;
}

fn gemini_chunk(part: &Value, end: &Value, index: u64) -> String {
    format!("data: {}\r\n\r\n", json!({"candidates": [{"index": index, "content": {"role": "model", "parts": [part]}, "finishReason": end}]}))
}

#[tokio::test]
async fn the_last_words_of_a_gemini_stream_count_without_a_report() {
    let said = "seven words in one chunk of text";
    for (steps, output, outcome) in [
        (gemini_chunk(&json!({"text": said}), &json!("STOP"), 0), count_tokens(said) as i64, "complete"),
        // More than was asked for does not leave with the end.
        (gemini_chunk(&json!({"text": "word ".repeat(500)}), &json!("STOP"), 0), 0, "upstream_error"),
    ] {
        let wild = Wild::start(vec![stream_head(), send(steps)]).await;
        let shop = shop_of("gemini", &wild.base_url).await;
        let customer = shop.customer(Usd::dollars(1)).await;
        let path = "/v1beta/models/demo-chat:streamGenerateContent?alt=sse";
        let text = shop.http.post(shop.at(path)).bearer_auth(&customer.key).json(&body("gemini")).send().await.unwrap().text().await.unwrap();
        let row = &shop.requests(customer.user.id).await[0];
        assert_eq!((row.outcome.as_str(), row.output_tokens, row.counted), (outcome, output, true), "{text:.300}");
        assert_eq!(text.contains("STOP"), outcome == "complete", "{text:.300}");
        shop.finish().await;
    }
}

#[tokio::test]
async fn a_gemini_stream_goes_on_until_each_answer_has_ended() {
    let call = json!({"functionCall": {"name": "f", "args": {"finishReason": "x", "blockReason": "y"}}});
    let words = |text: &str, end: Value, index| gemini_chunk(&json!({"text": text}), &end, index);
    let steps = [gemini_chunk(&call, &Value::Null, 0), words("one", json!("STOP"), 0), words("two", Value::Null, 1), words("three", json!("STOP"), 1)];
    let wild = Wild::start(vec![stream_head(), send(steps.concat())]).await;
    let shop = shop_of("gemini", &wild.base_url).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let mut asked = body("gemini");
    asked["generationConfig"]["candidateCount"] = json!(2);
    let path = "/v1beta/models/demo-chat:streamGenerateContent?alt=sse";
    let text = shop.http.post(shop.at(path)).bearer_auth(&customer.key).json(&asked).send().await.unwrap().text().await.unwrap();
    assert_eq!(chunks(&text).len(), 4, "{text}");
    let row = &shop.requests(customer.user.id).await[0];
    assert_eq!((row.outcome.as_str(), row.counted), ("complete", true));
    let said = "f{\"finishReason\":\"x\",\"blockReason\":\"y\"}onetwothree";
    assert!((row.output_tokens - count_tokens(said) as i64).abs() <= 3, "{row:?}");
    shop.finish().await;
}
