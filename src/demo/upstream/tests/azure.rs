//! Azure: paths, the key's header, versions, filter results, errors.

use super::*;

const CHAT: &str = "/openai/deployments/demo-chat/chat/completions?api-version=2024-10-21";

#[tokio::test]
async fn a_deployment_is_a_model_and_a_version_is_needed() {
    let upstream = Upstream::start(Options { key: Some("az-right".into()), ..Options::default() }).await.unwrap();
    let body = question("ignored", "Hi");
    let answer = value(post(&upstream, CHAT, &body).header("api-key", "az-right")).await;
    assert_eq!((&answer["model"], answer["choices"][0]["message"]["content"].as_str().unwrap()), (&json!("demo-chat"), answer_to("Hi").as_str()));
    assert_eq!(answer["prompt_filter_results"][0]["content_filter_results"]["hate"]["filtered"], false);
    let served = outcome(&upstream).await;
    assert_eq!((served.dialect, served.auth, served.model()), (Some(Dialect::Azure), Auth::ApiKey, "demo-chat"));

    let unversioned = post(&upstream, CHAT.split('?').next().unwrap(), &body).header("api-key", "az-right").send().await.unwrap();
    assert_eq!(unversioned.status(), 404);
    assert_eq!(unversioned.json::<Value>().await.unwrap(), json!({"error": {"code": "404", "message": "Resource not found"}}));
    let newer = post(&upstream, "/openai/v1/chat/completions", &question("demo-chat", "Hi")).header("api-key", "az-right");
    assert_eq!(value(newer).await["model"], "demo-chat");
    let stranger = post(&upstream, CHAT, &body).header("api-key", "az-wrong").send().await.unwrap();
    assert_eq!((stranger.status().as_u16(), &stranger.json::<Value>().await.unwrap()["error"]["code"]), (401, &json!("401")));
}

#[tokio::test]
async fn a_stream_opens_with_a_chunk_that_has_no_choices() {
    let upstream = upstream().await;
    let events = stream(post(&upstream, CHAT, &streaming("x", "Hi"))).await;
    assert_eq!((&events[0]["choices"], &events[0]["id"], &events[0]["model"]), (&json!([]), &json!(""), &json!("")));
    assert!(events[0]["prompt_filter_results"].is_array());
    assert_eq!(said(&events, 0), answer_to("Hi"));
    assert_eq!(events[events.len() - 3]["choices"][0]["content_filter_results"]["violence"]["severity"], "safe");
    let elsewhere = stream(chat(&upstream, &streaming("demo-azure-chunks", "Hi"))).await;
    assert!(elsewhere[0]["prompt_filter_results"].is_array());
}

#[tokio::test]
async fn errors_and_other_paths_are_those_of_azure() {
    let upstream = upstream().await;
    let at = |deployment: &str, rest: &str| format!("/openai/deployments/{deployment}/{rest}?api-version=1");
    let limited = value(post(&upstream, &at("demo-429", "chat/completions"), &question("x", "Hi"))).await;
    assert_eq!(limited["error"]["code"], "429");
    let blocked = value(post(&upstream, &at("demo-blocked", "chat/completions"), &question("x", "Hi"))).await;
    assert_eq!((&blocked["error"]["code"], &blocked["error"]["innererror"]["code"]), (&json!("content_filter"), &json!("ResponsibleAIPolicyViolation")));
    let vectors = value(post(&upstream, &at("e", "embeddings"), &json!({"input": "x"}))).await;
    assert_eq!((&vectors["model"], &vectors["object"]), (&json!("e"), &json!("list")));
    assert!(value(post(&upstream, &at("gpt-image-1", "images/generations"), &json!({"prompt": "x"}))).await["data"][0]["b64_json"].is_string());
    assert_eq!(post(&upstream, &at("tts", "audio/speech"), &json!({"input": "x", "voice": "alloy"})).send().await.unwrap().status(), 200);
    assert_eq!(value(post(&upstream, "/openai/responses?api-version=1", &json!({"model": "demo-chat", "input": "x"}))).await["object"], "response");
    assert_eq!(post(&upstream, &at("x", "nothing"), &json!({})).send().await.unwrap().status(), 404);
}
