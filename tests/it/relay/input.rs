//! Requests that are wrong in themselves: refused in the dialect, and free.

use super::{ask, error_of};
use crate::harness::TestApp;
use farebox::kernel::Usd;
use serde_json::{Value, json};

const HELLO: &str = r#"{"model":"demo-chat","messages":[{"role":"user","content":"hi"}]"#;

async fn post(shop: &TestApp, key: &str, body: impl Into<reqwest::Body>) -> reqwest::Response {
    shop.http.post(shop.at("/v1/chat/completions")).bearer_auth(key).header("content-type", "application/json").body(body).send().await.expect("an answer")
}

/// Bodies that are no requests, and the field that is to blame.
fn wrong() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let with = |rest: &str| format!("{HELLO},{rest}}}").into_bytes();
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let mut bodies: Vec<(Vec<u8>, Option<&'static str>)> = Vec::new();
    for text in ["", " ", "{", "null", "[]", "\"x\"", "{\"model\":\"demo-chat\",}", "not json", "{}trailing", "\u{feff}{}"] {
        bodies.push((text.into(), None));
    }
    bodies.push((b"\xff\xfe\x00".to_vec(), None));
    bodies.push((b"{\"model\":\"demo-chat\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}".to_vec(), None));
    bodies.push((deep("[", "").into(), None));
    bodies.push((deep("{\"a\":", "").into(), None));
    bodies.push((format!(r#"{{"model":"demo-chat","messages":{}}}"#, deep("[", "]")).into(), Some("messages")));
    for (rest, param) in [
        (r#""max_tokens":-1"#, "max_tokens"),
        (r#""max_tokens":0"#, "max_tokens"),
        (r#""max_tokens":9223372036854775807"#, "max_tokens"),
        (r#""max_tokens":1e400"#, "max_tokens"),
        (r#""max_tokens":"many""#, "max_tokens"),
        (r#""max_tokens":[5]"#, "max_tokens"),
        (r#""max_completion_tokens":-5"#, "max_completion_tokens"),
        (r#""max_completion_tokens":1.5"#, "max_completion_tokens"),
        (r#""max_tokens":5,"max_\u0074okens":100000"#, "max_tokens"),
        (r#""Max_Tokens":100000"#, "max_tokens"),
        (r#""Model":"demo-dear""#, "model"),
        (r#""n":0"#, "n"),
        (r#""n":-3"#, "n"),
        (r#""n":1000000000"#, "n"),
        (r#""n":"2""#, "n"),
        (r#""model":"demo-other""#, "model"),
        (r#""stream":"true""#, "stream"),
        (r#""stream":1"#, "stream"),
        (r#""stream_options":[]"#, "stream_options"),
        (r#""stream_options":{"include_usage":"yes"}"#, "stream_options"),
        (r#""messages":[]"#, "messages"),
    ] {
        bodies.push((with(rest), Some(param)));
    }
    for messages in ["[]", "{}", "\"hi\"", "5", "null", "true", "[1]", "[null]", "[\"hi\"]", "[[]]"] {
        bodies.push((format!(r#"{{"model":"demo-chat","messages":{messages}}}"#).into(), Some("messages")));
    }
    bodies.push((br#"{"model":"demo-chat"}"#.to_vec(), Some("messages")));
    for model in ["null", "\"\"", "7", "[]", &format!("\"{}\"", "m".repeat(5000))] {
        bodies.push((format!(r#"{{"model":{model},"messages":[{{"role":"user","content":"hi"}}]}}"#).into(), Some("model")));
    }
    bodies.push((br#"{"messages":[{"role":"user","content":"hi"}]}"#.to_vec(), Some("model")));
    bodies
}

#[tokio::test]
async fn a_body_that_is_no_request_is_a_400_that_names_the_field_and_costs_nothing() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    for (body, param) in wrong() {
        let shown: String = String::from_utf8_lossy(&body).chars().take(200).collect();
        let (status, error) = error_of(post(&shop, &customer.key, body).await).await;
        assert_eq!((status, &error["type"], error["param"].as_str()), (400, &json!("invalid_request_error"), param), "{shown}");
    }
    assert_eq!((shop.upstream.log().count(), shop.open_holds().await), (0, 0));
    assert_eq!(shop.available(customer.user.id).await, Usd::dollars(1));
    shop.finish().await;
}

#[tokio::test]
async fn what_only_the_upstream_can_judge_is_its_to_refuse() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    // Deep inside a message: the stack must hold, and the upstream, whose parser refuses it, has the last word.
    let deep = format!(r#"{{"model":"demo-chat","messages":[{{"role":"user","content":{}{}}}]}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let (status, error) = error_of(post(&shop, &customer.key, deep).await).await;
    assert_eq!((status, &error["type"]), (400, &json!("invalid_request_error")));
    assert_eq!(shop.upstream.log().count(), 1);
    assert_eq!((shop.available(customer.user.id).await, shop.open_holds().await), (Usd::dollars(1), 0));
    let row = &shop.requests(customer.user.id).await[0];
    assert_eq!((row.status, row.cost), (400, Usd::ZERO));
    shop.finish().await;
}

#[tokio::test]
async fn nesting_and_repetition_do_not_hide_input_from_a_short_balance() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    // Less than the input costs, more than the floor.
    let customer = shop.customer(Usd(1_000_000)).await;
    let long = "word ".repeat(5_000);
    let deep = format!("{}\"{long}\"{}", "[".repeat(300), "]".repeat(300));
    for content in [
        format!(r#"{{"role":"user","content":{deep}}}"#),
        format!(r#"{{"role":"user","content":"{long}","content":"short"}}"#),
        format!(r#"{{"role":"user","content":"data:{long}"}}"#),
        format!(r#"{{"role":"{long}","content":"short"}}"#),
    ] {
        let body = format!(r#"{{"model":"demo-chat","messages":[{content}]}}"#);
        let (status, error) = error_of(post(&shop, &customer.key, body).await).await;
        assert_eq!((status, &error["code"]), (402, &json!("insufficient_quota")), "{:.80}", content);
    }
    // What a tool was given, as it is written; a number of the customer's own; a text in the place of a picture; a type.
    let numbers = vec!["1234567"; 4_000].join(",");
    for content in [
        format!(r#"{{"role":"user","content":[{{"type":"tool_use","id":"i","name":"f","input":{{"data":"{long}"}}}}]}}"#),
        format!(r#"{{"role":"user","content":[{{"type":"tool_use","id":"i","name":"f","input":{{"n":[{numbers}]}}}}]}}"#),
        format!(r#"{{"role":"user","content":[{{"type":"tool_use","id":"i","name":"f","input":{{"{long}":1}}}}]}}"#),
        format!(r#"{{"role":"user","content":[{{"type":"text","text":"x","url":"{long}"}}]}}"#),
        format!(r#"{{"role":"user","content":[{{"type":"document","source":{{"type":"text","data":"{long}"}}}}]}}"#),
        format!(r#"{{"role":"user","content":[{{"type":"{long}"}}]}}"#),
    ] {
        let body = format!(r#"{{"model":"demo-chat","max_tokens":20,"messages":[{content}]}}"#);
        for path in ["/v1/chat/completions", "/v1/messages"] {
            let answer = shop.http.post(shop.at(path)).bearer_auth(&customer.key).body(body.clone()).send().await.unwrap();
            assert_eq!(answer.status(), 402, "{path}: {content:.100}");
        }
    }
    let response = format!(r#"{{"contents":[{{"parts":[{{"functionResponse":{{"name":"f","response":{{"data":"{long}","n":[{numbers}]}}}}}}]}}]}}"#);
    let answer = shop.http.post(shop.at("/v1beta/models/demo-chat:generateContent")).bearer_auth(&customer.key).body(response).send().await.unwrap();
    assert_eq!(answer.status(), 402);
    // Tokens count by their number.
    for (path, field) in [("/v1/embeddings", "input"), ("/v1/completions", "prompt")] {
        for (tokens, status) in [(5_000, 402), (100, 200)] {
            let body = format!(r#"{{"model":"demo-chat","{field}":[{}]}}"#, vec!["100000"; tokens].join(","));
            let short = shop.customer(Usd(1_000_000)).await;
            let answer = shop.http.post(shop.at(path)).bearer_auth(&short.key).body(body).send().await.unwrap();
            assert_eq!(answer.status(), status, "{path}: {tokens}");
        }
    }
    let served = shop.upstream.log().count();
    let body = format!(r#"{HELLO},"response_format":{{"type":"json_schema","json_schema":{{"description":"{long}"}}}}}}"#);
    assert_eq!(post(&shop, &customer.key, body).await.status(), 402);
    assert_eq!((shop.upstream.log().count(), served, shop.open_holds().await), (2, 2, 0));
    assert_eq!(shop.available(customer.user.id).await, Usd(1_000_000));
    shop.finish().await;
}

#[tokio::test]
async fn a_body_of_forty_megabytes_is_refused_and_the_client_reads_why() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let answer = post(&shop, &customer.key, vec![b' '; 40 * 1024 * 1024]).await;
    let (status, error) = error_of(answer).await;
    assert_eq!((status, &error["type"], &error["code"]), (413, &json!("invalid_request_error"), &json!("request_too_large")));
    assert_eq!(shop.available(customer.user.id).await, Usd::dollars(1));
    shop.finish().await;
}

#[tokio::test]
async fn a_large_body_without_a_key_is_refused_and_the_client_reads_why() {
    let shop = TestApp::new().await;
    for path in ["/v1/chat/completions", "/v1/nothing", "/v1/models"] {
        let answer = shop.http.post(shop.at(path)).body(vec![b' '; 8 * 1024 * 1024]).send().await.expect("an answer");
        let (status, _) = error_of(answer).await;
        assert!(matches!(status, 401 | 404 | 405), "{path}: {status}");
    }
    shop.finish().await;
}

#[tokio::test]
async fn the_body_limit_is_a_setting_and_exact() {
    let shop = TestApp::with(&[("BODY_LIMIT", "64KiB")]).await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let padded = |length: usize| {
        let mut body = ask("demo-chat", "Hello").to_string();
        body.push_str(&" ".repeat(length - body.len()));
        body
    };
    assert_eq!(post(&shop, &customer.key, padded(64 * 1024)).await.status(), 200);
    let (status, error) = error_of(post(&shop, &customer.key, padded(64 * 1024 + 1)).await).await;
    assert_eq!((status, &error["code"]), (413, &json!("request_too_large")));
    assert!(error["message"].as_str().unwrap().contains("65536"), "{error}");
    shop.finish().await;
}

#[tokio::test]
async fn unknown_fields_reach_the_upstream_byte_for_byte() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let odd =
        format!("  {HELLO} ,\t\"temperature\" : 1.50, \"x\":{{\"y\":[1e2,null, \"\\u00e9\"]}},\"metadata\":{{}}, \"big\":123456789012345678901234567890 }} ");
    let answer = post(&shop, &customer.key, odd.clone()).await;
    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await.unwrap();
    assert_eq!((&body["system_fingerprint"], &body["choices"][0]["message"]["annotations"]), (&json!("fp_demo"), &json!([])), "and come back");
    assert_eq!(shop.upstream.log().last().unwrap().raw, odd.as_bytes());
    shop.finish().await;
}
