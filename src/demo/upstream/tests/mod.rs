//! The upstream, asked over real HTTP.

mod answers;
mod anthropic;
mod azure;
mod chaos;
mod chat;
mod faults;
mod gemini;
mod media;
mod responses;
mod small;
mod timing;

use super::switches::Report;
use super::*;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

async fn upstream() -> Upstream {
    Upstream::start(Options::default()).await.unwrap()
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default(); // fails when another test did it first, which is as good
    Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// A request for any path.
fn post(upstream: &Upstream, path: &str, body: &Value) -> RequestBuilder {
    client().post(upstream.base_url() + path).json(body)
}

/// The events of a stream.
async fn stream(request: RequestBuilder) -> Vec<Value> {
    events(&request.send().await.unwrap().text().await.unwrap())
}

/// The values of a field in all events that have it.
fn texts(events: &[Value], pointer: &str) -> String {
    events.iter().filter_map(|event| event.pointer(pointer)?.as_str()).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    kinds.dedup();
    kinds
}

fn chat(upstream: &Upstream, body: &Value) -> RequestBuilder {
    client().post(upstream.base_url() + "/v1/chat/completions").json(body)
}

fn messages(upstream: &Upstream, body: &Value) -> RequestBuilder {
    client().post(upstream.base_url() + "/v1/messages").header("anthropic-version", "2023-06-01").json(body)
}

fn question(model: &str, text: &str) -> Value {
    json!({"model": model, "max_tokens": 500, "messages": [{"role": "user", "content": text}]})
}

fn with(mut body: Value, more: Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn streaming(model: &str, text: &str) -> Value {
    with(question(model, text), json!({"stream": true, "stream_options": {"include_usage": true}}))
}

async fn value(request: RequestBuilder) -> Value {
    request.send().await.unwrap().json().await.unwrap()
}

/// The JSON of all data lines; `[DONE]` becomes a string.
fn events(body: &str) -> Vec<Value> {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| json!(data))).collect()
}

fn said(events: &[Value], index: u64) -> String {
    let choices = events.iter().flat_map(|event| event["choices"].as_array().into_iter().flatten());
    choices.filter(|choice| choice["index"] == index).filter_map(|choice| choice["delta"]["content"].as_str()).collect()
}

/// Reads until the connection ends, in order or not.
async fn drain(mut response: Response) -> (Vec<u8>, Result<(), reqwest::Error>) {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return (body, Ok(())),
            Err(error) => return (body, Err(error)),
        }
    }
}

/// Reads until so many events have come.
async fn read_events(response: &mut Response, count: usize) -> String {
    let mut body = String::new();
    while body.matches("\n\n").count() < count {
        body.push_str(std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap());
    }
    body
}

async fn outcome(upstream: &Upstream) -> Served {
    upstream.log().wait_idle().await.unwrap().pop().unwrap()
}
