//! Every caller's dialect through every kind of channel: the same words, the same charge.

use super::{INPUT, OUTPUT, chunks, words};
use crate::harness::TestApp;
use crate::harness::app::Customer;
use farebox::channels::ChannelFields;
use farebox::demo::upstream::answer_to;
use farebox::kernel::Usd;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

/// The kinds of channels, and an OpenAI that speaks only Responses.
const KINDS: [&str; 5] = ["openai", "responses", "anthropic", "gemini", "azure-openai"];
pub(super) const CALLERS: [&str; 4] = ["chat", "responses", "messages", "gemini"];

/// A shop with a channel of each kind, each for a model of its name.
async fn shop() -> TestApp {
    let shop = TestApp::new().await;
    for kind in KINDS {
        let model = format!("by-{kind}");
        shop.sell(&model, "1", "10").await;
        let fields = TestApp::channel_fields(kind, &shop.upstream.base_url(), &[&model]);
        let fields = match kind {
            "responses" => ChannelFields { chat: String::new(), responses: "on".into(), ..fields },
            "azure-openai" => ChannelFields { kind: kind.into(), responses: "on".into(), ..fields },
            _ => ChannelFields { kind: kind.into(), ..fields },
        };
        shop.channel_as(None, &fields).await;
    }
    shop
}

impl TestApp {
    /// A question in a caller's dialect.
    pub(super) fn question(&self, caller: &str, customer: &Customer, model: &str, text: &str, stream: bool) -> RequestBuilder {
        let post = |path: &str, body: Value| self.http.post(self.at(path)).json(&body);
        let turns = json!([{"role": "user", "content": text}]);
        match caller {
            "chat" => {
                let messages = json!([{"role": "system", "content": "Be kind."}, turns[0]]);
                post("/v1/chat/completions", json!({"model": model, "messages": messages, "stream": stream, "max_tokens": 500})).bearer_auth(&customer.key)
            }
            "responses" => {
                let body = json!({"model": model, "instructions": "Be kind.", "input": turns, "stream": stream, "max_output_tokens": 500, "store": false});
                post("/v1/responses", body).bearer_auth(&customer.key)
            }
            "messages" => {
                let body = json!({"model": model, "system": "Be kind.", "messages": turns, "stream": stream, "max_tokens": 500});
                post("/v1/messages", body).header("x-api-key", &customer.key).header("anthropic-version", "2023-06-01")
            }
            _ => {
                let verb = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
                let body = json!({"systemInstruction": {"parts": [{"text": "Be kind."}]}, "contents": [{"role": "user", "parts": [{"text": text}]}],
                    "generationConfig": {"maxOutputTokens": 500}});
                post(&format!("/v1beta/models/{model}:{verb}"), body).header("x-goog-api-key", &customer.key)
            }
        }
    }
}

fn joined(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten().filter_map(|part| part["text"].as_str()).collect()
}

/// The words of an answer in a caller's dialect.
pub(super) fn said(caller: &str, stream: bool, text: &str) -> String {
    if stream {
        return match caller {
            "chat" => words(text),
            "responses" => {
                chunks(text).iter().filter(|event| event["type"] == "response.output_text.delta").filter_map(|event| event["delta"].as_str()).collect()
            }
            "messages" => {
                chunks(text).iter().filter(|event| event["type"] == "content_block_delta").filter_map(|event| event["delta"]["text"].as_str()).collect()
            }
            _ => chunks(text).iter().map(|chunk| joined(chunk, "/candidates/0/content/parts")).collect(),
        };
    }
    let body: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{caller}: {error}: {text}"));
    match caller {
        "chat" => body["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned(),
        "responses" => joined(&body["output"].as_array().and_then(|items| items.last()).cloned().unwrap_or_default(), "/content"),
        "messages" => joined(&body, "/content"),
        _ => joined(&body, "/candidates/0/content/parts"),
    }
}

/// Whether a stream ends as its dialect ends a complete one.
pub(super) fn is_complete(caller: &str, text: &str) -> bool {
    match caller {
        "chat" => text.ends_with("data: [DONE]\n\n"),
        "responses" => text.contains("event: response.completed\n"),
        "messages" => text.trim_end().ends_with("data: {\"type\":\"message_stop\"}") || text.contains("event: message_stop\n"),
        _ => text.contains("\"finishReason\":\"STOP\""),
    }
}

async fn text_of(answer: Response, what: &str) -> String {
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert_eq!(status, 200, "{what}: {text}");
    text
}

#[tokio::test]
async fn every_dialect_is_answered_through_every_kind_of_channel_and_charged_alike() {
    let shop = shop().await;
    let customer = shop.customer(Usd::dollars(1)).await;
    for kind in KINDS {
        for caller in CALLERS {
            for stream in [false, true] {
                let what = format!("{caller} through {kind}, stream {stream}");
                let question = "[[strict, tokens=9]] Say something nice";
                let answer = shop.question(caller, &customer, &format!("by-{kind}"), question, stream).send().await.unwrap();
                let text = text_of(answer, &what).await;
                assert_eq!(said(caller, stream, &text), answer_to(question), "{what}: {text}");
                assert!(!stream || is_complete(caller, &text), "{what}: {text}");
                let (row, served) = (&shop.requests(customer.user.id).await[0], shop.upstream.log().last().unwrap());
                assert!(!row.counted && row.outcome == "complete", "{what}: {row:?}");
                let report = served.report.expect("the upstream reports");
                assert_eq!((row.input_tokens, row.output_tokens), (report.prompt, report.completion), "{what}");
                assert_eq!(row.cost, Usd(row.input_tokens * INPUT + row.output_tokens * OUTPUT), "{what}");
            }
        }
    }
    assert_eq!(shop.requests(customer.user.id).await.len(), KINDS.len() * CALLERS.len() * 2);
    shop.finish().await;
}

#[tokio::test]
async fn errors_are_told_in_the_callers_dialect() {
    let shop = shop().await;
    let (rich, poor) = (shop.customer(Usd::dollars(1)).await, shop.customer(Usd::ZERO).await);
    for caller in CALLERS {
        for (customer, model, status, kinds) in [
            (&rich, "nothing", 404, ["invalid_request_error", "not_found_error", "NOT_FOUND"]),
            (&poor, "by-openai", 402, ["insufficient_quota", "billing_error", "FAILED_PRECONDITION"]),
        ] {
            let answer = shop.question(caller, customer, model, "Hello", false).send().await.unwrap();
            assert_eq!(answer.status(), status, "{caller}");
            let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
            let body: Value = answer.json().await.unwrap();
            let kind = match caller {
                "messages" => {
                    assert_eq!((body["type"].as_str(), body["request_id"].as_str()), (Some("error"), Some(id.as_str())));
                    (&body["error"]["type"], kinds[1])
                }
                "gemini" => {
                    assert_eq!(body["error"]["code"], status);
                    (&body["error"]["status"], kinds[2])
                }
                _ => (&body["error"]["type"], kinds[0]),
            };
            assert_eq!(kind.0, kind.1, "{caller}: {body}");
            assert!(body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
        }
    }
    shop.finish().await;
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_the_callers_error_event() {
    let shop = shop().await;
    let customer = shop.customer(Usd::dollars(1)).await;
    for kind in KINDS {
        for caller in CALLERS {
            let what = format!("{caller} through {kind}");
            // Nobody may be taken out of use for what is done here on purpose.
            let question = format!("[[tokens=40, cut=12]] {what}");
            let answer = shop.question(caller, &customer, &format!("by-{kind}"), &question, true).send().await.unwrap();
            if answer.status() == 503 {
                continue;
            }
            let text = text_of(answer, &what).await;
            let events = chunks(&text);
            let last = events.last().unwrap();
            let told = match caller {
                "responses" => {
                    let numbers: Vec<u64> = events.iter().map(|event| event["sequence_number"].as_u64().expect("a number")).collect();
                    assert!(numbers.is_sorted_by(|before, after| before < after), "{what}: {numbers:?}");
                    assert_eq!(last["response"]["id"], events[0]["response"]["id"], "{what}");
                    assert_eq!((&last["response"]["status"], &last["response"]["model"]), (&json!("failed"), &json!(format!("by-{kind}"))), "{what}");
                    events[events.len() - 2]["type"] == "error" && last["type"] == "response.failed"
                }
                "messages" => last["type"] == "error",
                _ => last["error"].is_object(),
            };
            assert!(told && !is_complete(caller, &text), "{what}: {text}");
            let row = &shop.requests(customer.user.id).await[0];
            assert_eq!((row.outcome.as_str(), row.counted), ("upstream_error", true), "{what}");
            assert!(row.cost > Usd::ZERO, "{what}: what was delivered is charged");
        }
    }
    shop.finish().await;
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_by_name_and_costs_nothing() {
    let shop = shop().await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let hello = json!([{"role": "user", "content": "Hello"}]);
    for (model, field, extra) in [
        ("by-anthropic", "n", json!({"n": 2})),
        ("by-gemini", "logprobs", json!({"logprobs": true})),
        ("by-anthropic", "logit_bias", json!({"logit_bias": {"5": 1}})),
    ] {
        let mut body = json!({"model": model, "messages": hello});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let (status, error) = super::error_of(shop.chat(&customer.key, body).await).await;
        assert_eq!((status, error["param"].as_str()), (400, Some(field)), "{error}");
        let row = &shop.requests(customer.user.id).await[0];
        assert_eq!((row.status, row.cost), (400, Usd::ZERO));
    }
    assert_eq!((shop.upstream.log().count(), shop.open_holds().await), (0, 0));
    shop.finish().await;
}

#[tokio::test]
async fn a_conversation_that_began_elsewhere_goes_on_without_the_thoughts_that_are_sealed_there() {
    let shop = shop().await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let assistant = json!({"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": "farebox.gemini.c2VhbA=="},
        {"type": "redacted_thinking", "data": "farebox.chat.c2VhbA=="}, {"type": "text", "text": "Hello."}]});
    let again = json!({"role": "user", "content": "Say something nice"});
    let body = json!({"model": "by-anthropic", "max_tokens": 500, "messages": [{"role": "user", "content": "Hello"}, assistant, again]});
    let answer = shop.http.post(shop.at("/v1/messages")).header("x-api-key", &customer.key).json(&body).send().await.unwrap();
    text_of(answer, "messages").await;
    let sent = shop.upstream.log().last().unwrap().body["messages"].clone();
    assert_eq!(sent, json!([body["messages"][0], {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]}, again]));
    shop.finish().await;
}

#[tokio::test]
async fn tokens_are_counted_for_nothing() {
    let shop = shop().await;
    let customer = shop.customer(Usd::ZERO).await;
    let body = json!({"model": "by-anthropic", "system": "Be kind.", "messages": [{"role": "user", "content": "Hello there"}]});
    let post = |path: &str, body: &Value| shop.http.post(shop.at(path)).header("x-api-key", &customer.key).json(body).send();
    let counted: Value = post("/v1/messages/count_tokens", &body).await.unwrap().json().await.unwrap();
    let messages = counted["input_tokens"].as_u64().unwrap();
    assert!((5..40).contains(&messages), "{counted}");
    let contents = json!([{"role": "user", "parts": [{"text": "Hello there"}]}]);
    for body in [json!({"contents": contents}), json!({"generateContentRequest": {"model": "models/by-gemini", "contents": contents}})] {
        for version in ["v1beta", "v1"] {
            let answer =
                shop.http.post(shop.at(&format!("/{version}/models/by-gemini:countTokens"))).header("x-goog-api-key", &customer.key).json(&body).send();
            let counted: Value = answer.await.unwrap().json().await.unwrap();
            assert!((2..40).contains(&counted["totalTokens"].as_u64().unwrap()), "{counted}");
        }
    }
    let unknown = post("/v1/messages/count_tokens", &json!({"model": "nothing", "messages": body["messages"]})).await.unwrap();
    assert_eq!(unknown.status(), 404);
    let narrow = shop.limited_key(customer.user.id, &[("models", "by-openai")]).await;
    let forbidden = shop.http.post(shop.at("/v1/messages/count_tokens")).header("x-api-key", &narrow).json(&body).send().await.unwrap();
    assert_eq!((forbidden.status().as_u16(), forbidden.json::<Value>().await.unwrap()["error"]["type"].as_str()), (403, Some("permission_error")));
    assert!(shop.requests(customer.user.id).await.is_empty() && shop.upstream.log().count() == 0);
    shop.finish().await;
}
