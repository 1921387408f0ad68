//! Pictures, sounds and files, in requests and in answers: what they cost with a report and without one, and who may be asked.

use super::wild::{DONE, Wild, head, send, stream_head};
use super::{INPUT, OUTPUT, ask_stream, input_tokens, model};
use crate::harness::TestApp;
use axum::body::Body;
use axum::http::Request;
use data_encoding::BASE64;
use farebox::catalog::ModelFields;
use farebox::channels::ChannelFields;
use farebox::kernel::Usd;
use farebox::router;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

/// The tokens of a picture that nobody measured.
const PICTURE: i64 = 6_240;

/// A shop with one model behind an upstream of this kind.
async fn shop_of(kind: &str, base_url: &str) -> TestApp {
    let shop = TestApp::new().await;
    shop.sell("demo-chat", "1", "10").await;
    let fields = TestApp::channel_fields("wild", base_url, &["demo-chat"]);
    shop.channel_as(None, &ChannelFields { kind: kind.into(), ..fields }).await;
    shop
}

fn event(data: &Value) -> String {
    format!("data: {data}\r\n\r\n")
}

fn part(part: &Value, end: Option<&str>, usage: Option<&Value>) -> String {
    let mut chunk = json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}}]});
    if let Some(end) = end {
        chunk["candidates"][0]["finishReason"] = json!(end);
    }
    if let Some(usage) = usage {
        chunk["usageMetadata"] = usage.clone();
    }
    event(&chunk)
}

fn painted() -> Value {
    let bytes: Vec<u8> = (0..150_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    json!({"inlineData": {"mimeType": "image/png", "data": BASE64.encode(&bytes)}})
}

#[tokio::test]
async fn a_picture_in_a_translated_stream_is_no_text() {
    let usage = json!({"promptTokenCount": 9, "candidatesTokenCount": 1_295, "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1_290}]});
    for (report, output, counted) in [(Some(&usage), 1_295, false), (None, 1 + PICTURE, true)] {
        let end = part(&json!({"text": "there"}), Some("STOP"), report);
        let wild = Wild::start(vec![stream_head(), send(part(&painted(), None, None)), send(end)]).await;
        let shop = shop_of("gemini", &wild.base_url).await;
        let customer = shop.customer(Usd::dollars(1)).await;
        let mut body = ask_stream("demo-chat", "Hello");
        body["max_tokens"] = json!(2_000);
        let text = shop.chat(&customer.key, body).await.text().await.unwrap();
        assert!(text.ends_with(DONE) && text.contains("![image](data:image/png;base64,"), "{:.200}", text);
        let row = &shop.requests(customer.user.id).await[0];
        assert_eq!((row.outcome.as_str(), row.output_tokens, row.counted), ("complete", output, counted));
        shop.finish().await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_after_a_streamed_picture_pays_for_the_picture() {
    let words = |n: usize| part(&json!({"text": format!("word {n} ")}), None, None);
    let wild = Wild::start(vec![stream_head(), send(part(&painted(), None, None)), send((0..2_000).map(words).collect::<String>())]).await;
    let shop = shop_of("gemini", &wild.base_url).await;
    for (path, body) in [
        ("/v1/chat/completions", ask_stream("demo-chat", "Hello")),
        ("/v1beta/models/demo-chat:streamGenerateContent?alt=sse", json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]})),
    ] {
        let customer = shop.customer(Usd::dollars(1)).await;
        let request = Request::post(path).header("authorization", format!("Bearer {}", customer.key)).body(Body::from(body.to_string())).unwrap();
        let mut body = router::build(shop.app.clone()).oneshot(request).await.unwrap().into_body();
        let mut seen = String::new();
        while !seen.contains("image/png") {
            let frame = body.frame().await.expect("the stream goes on").unwrap();
            seen.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
        drop(body);
        shop.settled(&customer, 1).await;
        let row = &shop.requests(customer.user.id).await[0];
        assert_eq!((row.outcome.as_str(), row.counted), ("client_gone", true), "{path}");
        // Words that came in the same piece count, too.
        assert!((PICTURE..PICTURE + 10_000).contains(&row.output_tokens), "{path}: {row:?}");
        assert_eq!(row.cost, Usd(row.input_tokens * INPUT + row.output_tokens * OUTPUT), "{path}");
    }
    shop.finish().await;
}

/// A picture of a thousand by a thousand pixels.
fn square() -> String {
    let mut bytes = [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &1_000u32.to_be_bytes(), &1_000u32.to_be_bytes()].concat();
    bytes.resize(300, 7);
    BASE64.encode(&bytes)
}

#[tokio::test]
async fn reports_of_media_and_of_what_the_provider_fetches_are_believed() {
    let turn = |content: Value| json!([{"role": "user", "content": content}]);
    let source = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": square()}});
    let inline = json!({"inlineData": {"mimeType": "image/png", "data": square()}});
    let messages = |extra: Value, content: Value| {
        let mut body = json!({"model": "demo-chat", "max_tokens": 100, "messages": turn(content)});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        ("anthropic", "/v1/messages", body)
    };
    let gemini = |tools: Value, parts: Value| {
        ("gemini", "/v1beta/models/demo-chat:generateContent", json!({"contents": [{"role": "user", "parts": parts}], "tools": tools}))
    };
    let responses = |tools: Value, content: Value| {
        ("openai", "/v1/responses", json!({"model": "demo-chat", "input": turn(content), "tools": tools, "max_output_tokens": 100, "store": false}))
    };
    let say = || json!("Hello");
    let cases = [
        ("pictures", messages(json!({}), json!(vec![source; 70])), 95_000),
        ("a document", messages(json!({}), json!([{"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}])), 300_000),
        ("a fetched page", messages(json!({"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}), say()), 300_000),
        ("other servers", messages(json!({"mcp_servers": [{"type": "url", "name": "m", "url": "https://mcp.example"}]}), say()), 300_000),
        ("pictures", gemini(json!([]), json!(vec![inline; 300])), 77_000),
        ("a film", gemini(json!([]), json!([{"fileData": {"mimeType": "video/mp4", "fileUri": "https://youtu.be/x"}}])), 300_000),
        ("pages", gemini(json!([{"urlContext": {}}]), json!([{"text": "Hello"}])), 300_000),
        ("a file", responses(json!([]), json!([{"type": "input_file", "file_url": "https://example.com/a.pdf"}])), 300_000),
        ("other servers", responses(json!([{"type": "mcp", "server_label": "m", "server_url": "https://mcp.example"}]), say()), 300_000),
    ];
    for (what, (kind, path, body), input) in cases {
        let answer = match kind {
            "anthropic" => json!({"id": "m", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "yes"}], "stop_reason": "end_turn",
                "usage": {"input_tokens": input, "output_tokens": 5}}),
            "gemini" => json!({"candidates": [{"content": {"parts": [{"text": "yes"}]}, "finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": input, "candidatesTokenCount": 5}}),
            _ => {
                json!({"id": "r", "object": "response", "status": "completed", "output": [{"type": "message", "content": [{"type": "output_text", "text": "yes"}]}],
                "usage": {"input_tokens": input, "output_tokens": 5}})
            }
        };
        let wild = Wild::start(vec![head("200 OK", "application/json"), send(answer.to_string())]).await;
        let shop = TestApp::new().await;
        shop.sell("demo-chat", "1", "10").await;
        let fields = TestApp::channel_fields("wild", &wild.base_url, &["demo-chat"]);
        shop.channel_as(None, &ChannelFields { kind: kind.into(), responses: "on".to_owned(), ..fields }).await;
        let customer = shop.customer(Usd::dollars(10)).await;
        let request = shop.http.post(shop.at(path)).bearer_auth(&customer.key).header("anthropic-version", "2023-06-01").json(&body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{what}: {}", answer.text().await.unwrap());
        let row = &shop.requests(customer.user.id).await[0];
        assert_eq!((row.input_tokens, row.output_tokens, row.counted), (input, 5, false), "{what} in {kind}");
        shop.finish().await;
    }
}

#[tokio::test]
async fn a_picture_of_any_dialect_needs_a_channel_that_sees() {
    let shop = TestApp::new().await;
    shop.sell("demo-chat", "1", "10").await;
    let fields = TestApp::channel_fields("blind", &shop.upstream.base_url(), &["demo-chat"]);
    shop.channel_as(None, &ChannelFields { no_vision: "on".to_owned(), ..fields }).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let url = format!("data:image/png;base64,{}", square());
    let turn = |part: Value| json!([{"role": "user", "content": [part]}]);
    for (path, body) in [
        ("/v1/chat/completions", json!({"messages": turn(json!({"type": "image_url", "image_url": {"url": url}}))})),
        ("/v1/responses", json!({"input": turn(json!({"type": "input_image", "image_url": url}))})),
        (
            "/v1/messages",
            json!({"max_tokens": 9, "messages": turn(json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": square()}}))}),
        ),
        ("/v1beta/models/demo-chat:generateContent", json!({"contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": square()}}]}]})),
    ] {
        let mut body = body;
        if path.starts_with("/v1/") {
            body["model"] = json!("demo-chat");
        }
        let answer = shop.http.post(shop.at(path)).bearer_auth(&customer.key).json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        assert!(status == 400 && text.contains("images"), "{path}: {status} {text}");
    }
    assert_eq!((shop.upstream.log().count(), shop.available(customer.user.id).await), (0, Usd::dollars(1)));
    shop.finish().await;
}

/// A quiet WAV of so many milliseconds.
fn wav(ms: u32) -> Vec<u8> {
    let data = vec![0u8; (ms * 32) as usize];
    let length = data.len() as u32;
    [&b"RIFF"[..], &(36 + length).to_le_bytes(), b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data", &length.to_le_bytes(), &data].concat()
}

#[tokio::test]
async fn sound_without_a_report_costs_its_own_duration() {
    let wild = Wild::start(vec![head("200 OK", "text/plain"), send("Hello there")]).await;
    let shop = TestApp::new().await;
    shop.sell_as(ModelFields { audio_minute: "0.006".to_owned(), ..model("by-minute", "0", "0") }).await;
    shop.sell_as(ModelFields { audio_input: "6".to_owned(), ..model("by-token", "2", "10") }).await;
    shop.channel("wild", &wild.base_url, &["by-minute", "by-token"], 0).await;
    let customer = shop.customer(Usd::dollars(10)).await;
    // 90 seconds: a minute and a half at 0.6 cents, or 32 tokens of sound a second, and what was heard.
    for (name, cost) in [("by-minute", Usd(9_000_000)), ("by-token", Usd(90 * 32 * 6_000 + 3 * 2_000 + 4 * 10_000))] {
        let field = |name: &str, value: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        let file = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n".to_owned();
        let form = [(field("model", name) + &field("response_format", "text") + &file).into_bytes(), wav(90_000), b"\r\n--b--\r\n".to_vec()].concat();
        let request = shop.http.post(shop.at("/v1/audio/transcriptions")).bearer_auth(&customer.key);
        let answer = request.header("content-type", "multipart/form-data; boundary=b").body(form).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{name}");
        let row = &shop.requests(customer.user.id).await[0];
        assert_eq!((row.cost, row.counted), (cost, true), "{name}: {row:?}");
    }
    shop.finish().await;
}

#[tokio::test]
async fn speech_without_a_report_costs_what_was_spoken() {
    let shop = TestApp::new().await;
    shop.sell_as(ModelFields { audio_output: "12".to_owned(), ..model("speech-demo", "1", "10") }).await;
    shop.channel("upstream", &shop.upstream.base_url(), &["speech-demo"], 0).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let input = "word ".repeat(100);
    for format in ["wav", "mp3", "pcm"] {
        let body = json!({"model": "speech-demo", "input": input, "voice": "alloy", "response_format": format});
        let answer = shop.http.post(shop.at("/v1/audio/speech")).bearer_auth(&customer.key).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{format}");
        let row = &shop.requests(customer.user.id).await[0];
        // Six seconds and a little, at 32 tokens a second; 500 letters by themselves are taken for 42.
        let tokens = if format == "pcm" { 1_300..1_400 } else { 190..230 };
        assert!(tokens.contains(&row.output_tokens) && row.counted, "{format}: {row:?}");
        assert_eq!(row.cost, Usd(row.input_tokens * 1_000 + row.output_tokens * 12_000), "{format}");
    }
    // As events, which tell nothing here, and which a client leaves or not.
    let body = json!({"model": "speech-demo", "input": format!("[[no-usage]] {input}"), "voice": "alloy", "stream_format": "sse"});
    shop.http.post(shop.at("/v1/audio/speech")).bearer_auth(&customer.key).json(&body).send().await.unwrap().text().await.unwrap();
    let row = &shop.requests(customer.user.id).await[0];
    assert!(row.counted && row.output_tokens > 1_300, "{row:?}");
    shop.finish().await;
}

#[tokio::test]
async fn what_a_sound_without_a_report_is_charged_is_what_was_heard() {
    let shop = TestApp::new().await;
    let text = "[[no-usage]] Hello";
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let sound = json!({"type": "input_audio", "input_audio": {"data": BASE64.encode(&wav(10_000)), "format": "wav"}});
    let body = json!({"model": "demo-chat", "messages": [{"role": "user", "content": [{"type": "text", "text": text}, sound]}]});
    assert_eq!(shop.chat(&customer.key, body).await.status(), 200);
    let row = &shop.requests(customer.user.id).await[0];
    assert!(row.counted && (input_tokens(text) + 320..input_tokens(text) + 325).contains(&row.input_tokens), "{row:?}");
    shop.finish().await;
}
