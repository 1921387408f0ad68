//! What is charged, and where a stream is cut, when an answer is not made of words alone, or an upstream reports what cannot be.

use super::wild::{DONE, Step, Wild, head, send, stream_head, usage, word};
use super::{ask, ask_stream, model};
use crate::harness::TestApp;
use crate::harness::app::Customer;
use data_encoding::BASE64;
use farebox::catalog::ModelFields;
use farebox::channels::ChannelFields;
use farebox::demo::upstream::count_tokens;
use farebox::kernel::Usd;
use farebox::usage::RequestView;
use serde_json::{Value, json};

/// What a token of sound costs here.
const SOUND: i64 = 20_000;

/// A shop with one model, behind an upstream of this kind.
async fn shop_of(kind: &str, base_url: &str) -> (TestApp, Customer) {
    let shop = TestApp::new().await;
    shop.sell_as(ModelFields { audio_output: "20".to_owned(), ..model("demo-chat", "1", "10") }).await;
    let fields = TestApp::channel_fields("wild", base_url, &["demo-chat"]);
    shop.channel_as(None, &ChannelFields { kind: kind.into(), ..fields }).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    (shop, customer)
}

async fn last(shop: &TestApp, customer: &Customer) -> RequestView {
    shop.requests(customer.user.id).await.remove(0)
}

async fn post(shop: &TestApp, customer: &Customer, path: &str, body: &Value) -> reqwest::Response {
    shop.http.post(shop.at(path)).bearer_auth(&customer.key).json(body).send().await.unwrap()
}

/// So much sound as samples, encoded.
fn samples(ms: usize) -> String {
    BASE64.encode(&vec![0; ms * 48])
}

/// A form with a quiet WAV of 20 seconds.
pub(super) fn sound_form(fields: &[(&str, &str)]) -> Vec<u8> {
    let data = vec![0u8; 20 * 32_000];
    let length = data.len() as u32;
    let wav =
        [&b"RIFF"[..], &(36 + length).to_le_bytes(), b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data", &length.to_le_bytes(), &data];
    let field = |(name, value): &(&str, &str)| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let file = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n";
    [fields.iter().map(field).collect::<String>().as_bytes(), file.as_bytes(), &wav.concat(), b"\r\n--b--\r\n"].concat()
}

async fn hear(shop: &TestApp, customer: &Customer, fields: &[(&str, &str)]) -> reqwest::Response {
    let request = shop.http.post(shop.at("/v1/audio/transcriptions")).bearer_auth(&customer.key);
    request.header("content-type", "multipart/form-data; boundary=b").body(sound_form(fields)).send().await.unwrap()
}

#[tokio::test]
async fn a_long_transcript_is_streamed_to_its_end() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-hear"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    // Often enough to take a channel out of use that was to blame.
    for _ in 0..8 {
        let answer = hear(&shop, &customer, &[("model", "demo-hear"), ("stream", "true"), ("prompt", "[[tokens=600]] Hello")]).await;
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.unwrap();
        assert!(text.contains("transcript.text.done") && !text.contains("\"error\""), "{text:.300}");
        let row = last(&shop, &customer).await;
        assert_eq!((row.outcome.as_str(), row.output_tokens, row.counted), ("complete", 600, false));
    }
    shop.finish().await;
}

#[tokio::test]
async fn a_transcript_without_end_is_cut() {
    let delta = format!("data: {}\n\n", json!({"type": "transcript.text.delta", "delta": " word"}));
    let wild = Wild::start(vec![stream_head(), Step::Repeat(delta.into_bytes(), 1_000_000)]).await;
    let (shop, customer) = shop_of("openai", &wild.base_url).await;
    let text = hear(&shop, &customer, &[("model", "demo-chat"), ("stream", "true")]).await.text().await.unwrap();
    assert!(text.contains("\"error\""), "{text:.300}");
    // Ten words a second of what 640 seconds would be if it were a telephone's, and what is forgiven.
    let row = last(&shop, &customer).await;
    assert!((6_900..11_500).contains(&row.output_tokens), "{row:?}");
    shop.finish().await;
}

fn gemini(part: &Value, usage: Option<Value>) -> String {
    let mut chunk = json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}}]});
    if let Some(usage) = usage {
        chunk["usageMetadata"] = usage;
    }
    format!("data: {chunk}\r\n\r\n")
}

const GEMINI: &str = "/v1beta/models/demo-chat:streamGenerateContent?alt=sse";

fn gemini_body() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}], "generationConfig": {"maxOutputTokens": 1_000}})
}

#[tokio::test]
async fn sound_of_gemini_is_charged_as_sound() {
    let part = gemini(&json!({"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": samples(100)}}), None);
    let told = |count: i64| gemini(&json!({"text": ""}), Some(json!({"promptTokenCount": 5, "candidatesTokenCount": count})));
    // Two seconds at 32 tokens; what is told without its kinds has the sound in it.
    for (end, output) in [(String::new(), 64), (told(50), 64), (told(70), 70)] {
        let wild = Wild::start(vec![stream_head(), send(part.repeat(20) + &end)]).await;
        let (shop, customer) = shop_of("gemini", &wild.base_url).await;
        post(&shop, &customer, GEMINI, &gemini_body()).await.text().await.unwrap();
        let row = last(&shop, &customer).await;
        assert_eq!((row.outcome.as_str(), row.counted, row.output_tokens), ("upstream_error", true, output), "{row:?}");
        assert_eq!(row.cost, Usd(row.input_tokens * 1_000 + 64 * SOUND + (output - 64) * 10_000));
        shop.finish().await;
    }
}

#[tokio::test]
async fn a_stream_of_gemini_is_cut_by_what_it_tells_and_by_its_pictures() {
    let picture = gemini(&json!({"inlineData": {"mimeType": "image/png", "data": samples(2_000)}}), None);
    let thoughts = json!({"promptTokenCount": 5, "candidatesTokenCount": 1, "thoughtsTokenCount": 9_000});
    for (event, most) in [(picture, 3 * 6_240), (gemini(&json!({"text": "a"}), Some(thoughts)), 10_000)] {
        let wild = Wild::start(vec![stream_head(), Step::Repeat(event.into_bytes(), 1_000_000)]).await;
        let (shop, customer) = shop_of("gemini", &wild.base_url).await;
        let text = post(&shop, &customer, GEMINI, &gemini_body()).await.text().await.unwrap();
        assert!(text.contains("\"error\""), "{text:.300}");
        let row = last(&shop, &customer).await;
        assert_eq!((row.outcome.as_str(), row.counted), ("upstream_error", true));
        assert!((1_000..=most).contains(&row.output_tokens), "{row:?}");
        shop.until("the upstream is hung up on", || async { wild.left() == 1 }).await;
        shop.finish().await;
    }
}

/// A chat that is to be spoken.
fn spoken(stream: bool) -> Value {
    let mut body = if stream { ask_stream("demo-chat", "Hello") } else { ask("demo-chat", "Hello") };
    body["modalities"] = json!(["text", "audio"]);
    body["audio"] = json!({"voice": "alloy", "format": if stream { "pcm16" } else { "wav" }});
    body["max_tokens"] = json!(100);
    body
}

fn spoken_event(audio: &Value) -> String {
    format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"audio": audio}}]}))
}

#[tokio::test]
async fn a_spoken_chat_without_a_report_is_charged_for_what_was_spoken() {
    let said = "two words and some";
    let words = count_tokens(said) as i64;
    let audio = json!({"id": "a", "data": samples(3_000), "transcript": said, "expires_at": 9});
    let whole = json!({"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": null, "audio": audio}}]});
    let events = spoken_event(&json!({"id": "a", "transcript": said})) + &spoken_event(&json!({"data": samples(1_000)})).repeat(3);
    let cases = [
        (false, vec![head("200 OK", "application/json"), send(whole.to_string())], "complete"),
        (true, vec![stream_head(), send(events.clone()), send(DONE)], "complete"),
        (true, vec![stream_head(), send(events)], "upstream_error"),
    ];
    for (streamed, steps, outcome) in cases {
        let wild = Wild::start(steps).await;
        let (shop, customer) = shop_of("openai", &wild.base_url).await;
        let answer = shop.chat(&customer.key, spoken(streamed)).await;
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap();
        let row = last(&shop, &customer).await;
        assert_eq!((row.outcome.as_str(), row.counted, row.output_tokens), (outcome, true, words + 96), "{row:?}");
        assert_eq!(row.cost, Usd(row.input_tokens * 1_000 + words * 10_000 + 96 * SOUND));
        shop.finish().await;
    }
}

#[tokio::test]
async fn a_spoken_chat_without_end_is_cut() {
    let event = spoken_event(&json!({"data": samples(1_000)}));
    let wild = Wild::start(vec![stream_head(), Step::Repeat(event.into_bytes(), 10_000)]).await;
    let (shop, customer) = shop_of("openai", &wild.base_url).await;
    let text = shop.chat(&customer.key, spoken(true)).await.text().await.unwrap();
    assert!(text.contains("\"error\""));
    let row = last(&shop, &customer).await;
    assert!(row.counted && (100..1_000).contains(&row.output_tokens), "{row:?}");
    shop.finish().await;
}

#[tokio::test]
async fn what_is_said_behind_an_early_report_is_charged() {
    let early = format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": "one"}}], "usage": {"prompt_tokens": 5, "completion_tokens": 1}}));
    let more = word(" two three four five six");
    for (end, outcome) in [("", "upstream_error"), (DONE, "complete")] {
        let wild = Wild::start(vec![stream_head(), send(early.clone() + &more + end)]).await;
        let (shop, customer) = shop_of("openai", &wild.base_url).await;
        shop.chat(&customer.key, ask_stream("demo-chat", "Hello")).await.text().await.unwrap();
        let row = last(&shop, &customer).await;
        assert_eq!((row.outcome.as_str(), row.counted, row.input_tokens, row.output_tokens), (outcome, true, 5, 6), "{row:?}");
        shop.finish().await;
    }
    // One that grows with every chunk is all there is when the stream breaks.
    let wild = Wild::start(vec![stream_head(), send(word("one") + &early + &usage(5, 9))]).await;
    let (shop, customer) = shop_of("openai", &wild.base_url).await;
    shop.chat(&customer.key, ask_stream("demo-chat", "Hello")).await.text().await.unwrap();
    let row = last(&shop, &customer).await;
    assert_eq!((row.outcome.as_str(), row.counted, row.output_tokens), ("upstream_error", false, 9), "{row:?}");
    shop.finish().await;
}

#[tokio::test]
async fn a_completion_that_nobody_limits_is_asked_for_what_is_held() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    for (max_tokens, sent) in [(Value::Null, 16), (json!(40), 40)] {
        let body = json!({"model": "demo-chat", "prompt": "[[tokens=300]] Hello", "max_tokens": max_tokens});
        assert_eq!(post(&shop, &customer, "/v1/completions", &body).await.status(), 200);
        assert_eq!(shop.upstream.log().last().unwrap().body["max_tokens"], sent);
    }
    assert_eq!(post(&shop, &customer, "/v1/completions", &json!({"model": "demo-chat", "prompt": "Hello"})).await.status(), 200);
    assert_eq!(shop.upstream.log().last().unwrap().body["max_tokens"], 16);
    shop.finish().await;
}

#[tokio::test]
async fn a_report_of_more_than_was_asked_for_is_not_believed() {
    let json_answer = |body: Value| vec![head("200 OK", "application/json"), send(body.to_string())];
    let picture = json!({"b64_json": "AAAA"});
    let vector = json!({"object": "embedding", "index": 0, "embedding": [0.5]});
    let cases = [
        (
            "/v1/embeddings",
            json!({"input": "Hello"}),
            json!({"object": "list", "data": [vector], "usage": {"prompt_tokens": 900_000, "total_tokens": 900_000}}),
        ),
        ("/v1/images/generations", json!({"prompt": "a cat", "n": 1}), json!({"created": 1, "data": [picture, picture, picture, picture]})),
        (
            "/v1/images/generations",
            json!({"prompt": "a cat"}),
            json!({"created": 1, "data": [picture], "usage": {"input_tokens": 5, "output_tokens": 900_000, "total_tokens": 900_005}}),
        ),
        (
            "/v1/rerank",
            json!({"query": "cat", "documents": ["a", "b"]}),
            json!({"results": [{"index": 0, "relevance_score": 0.5}], "meta": {"billed_units": {"search_units": 900}}}),
        ),
    ];
    for (path, mut body, answer) in cases {
        let wild = Wild::start(json_answer(answer)).await;
        let (shop, customer) = shop_of("openai", &wild.base_url).await;
        body["model"] = json!("demo-chat");
        assert_eq!(post(&shop, &customer, path, &body).await.status(), 200, "{path}");
        let row = last(&shop, &customer).await;
        assert!(row.counted && row.cost < Usd(130_000_000), "{path}: {row:?}");
        shop.finish().await;
    }
    // A fortnight of sound in 20 seconds.
    let wild = Wild::start(json_answer(json!({"text": "Hello", "usage": {"type": "duration", "seconds": 1_000_000}}))).await;
    let (shop, customer) = shop_of("openai", &wild.base_url).await;
    assert_eq!(hear(&shop, &customer, &[("model", "demo-chat")]).await.status(), 200);
    let row = last(&shop, &customer).await;
    assert!(row.counted && (640..660).contains(&row.input_tokens), "{row:?}");
    shop.finish().await;
}

#[tokio::test]
async fn many_documents_are_several_units_of_reranking() {
    let wild = Wild::start(vec![head("200 OK", "application/json"), send(json!({"results": [{"index": 0, "relevance_score": 0.5}]}).to_string())]).await;
    let shop = TestApp::new().await;
    shop.sell_as(ModelFields { search: "0.002".to_owned(), ..model("demo-unit", "0", "0") }).await;
    shop.sell("demo-token", "1", "10").await;
    shop.channel("wild", &wild.base_url, &["demo-unit", "demo-token"], 0).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let rerank = |model: &str, documents: Vec<String>| json!({"model": model, "query": "what is a cat", "documents": documents});
    for (documents, units) in [(vec!["a cat".to_owned(); 250], 3), (vec!["a cat".to_owned()], 1), (vec!["a cat ".repeat(1_000); 90], 4)] {
        assert_eq!(post(&shop, &customer, "/v1/rerank", &rerank("demo-unit", documents)).await.status(), 200);
        assert_eq!(last(&shop, &customer).await.cost, Usd(units * 2_000_000));
    }
    // The query is read with each document.
    assert_eq!(post(&shop, &customer, "/v1/rerank", &rerank("demo-token", vec!["a cat".to_owned(); 100])).await.status(), 200);
    let row = last(&shop, &customer).await;
    let read = 100 * (count_tokens("what is a cat") + count_tokens("a cat")) as i64;
    assert!((read..read + 10).contains(&row.input_tokens), "{row:?}");
    shop.finish().await;
}

#[tokio::test]
async fn who_embeds_through_gemini_is_told_what_was_counted() {
    let shop = TestApp::new().await;
    shop.sell("demo-embed", "1", "10").await;
    let fields = TestApp::channel_fields("gemini", &shop.upstream.base_url(), &["demo-embed"]);
    shop.channel_as(None, &ChannelFields { kind: "gemini".into(), ..fields }).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    for (input, counted) in [("[[no-usage]] Hello there", true), ("Hello there", false)] {
        let answer: Value = post(&shop, &customer, "/v1/embeddings", &json!({"model": "demo-embed", "input": input})).await.json().await.unwrap();
        let row = last(&shop, &customer).await;
        assert_eq!(row.counted, counted);
        assert!(row.input_tokens > 0);
        assert_eq!(
            (&answer["usage"]["prompt_tokens"], &answer["usage"]["total_tokens"]),
            (&json!(row.input_tokens), &json!(row.input_tokens)),
            "{answer:.300}"
        );
    }
    shop.finish().await;
}
