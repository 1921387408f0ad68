//! The relay, from a caller's bytes to the charge, against a simulated upstream and against one that keeps no rules.

mod account;
mod attempts;
mod billing;
mod bodies;
mod cache;
mod cap;
mod chaos;
mod chat;
mod cut;
mod dialects;
mod disconnect;
mod errors;
mod extras;
mod failover;
mod health;
mod input;
mod left;
mod limits;
mod media;
mod metering;
mod nonsense;
mod permissions;
mod plans;
mod prices;
mod room;
mod routing;
mod rush;
mod sent;
mod shutdown;
mod usage;
mod wild;

use crate::harness::TestApp;
use crate::harness::app::Customer;
use farebox::catalog::{self, ModelDraft, ModelFields};
use farebox::demo::upstream::count_tokens;
use farebox::kernel::Usd;
use serde_json::{Value, json};

/// What a token of input costs where `TestApp::stock` sells.
const INPUT: i64 = 1_000;
/// What a token of output costs there.
const OUTPUT: i64 = 10_000;

/// A request with one message.
fn ask(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}]})
}

/// The same as a stream.
fn ask_stream(model: &str, text: &str) -> Value {
    let mut body = ask(model, text);
    body["stream"] = json!(true);
    body
}

/// The input tokens of a request with one message, as the shop counts them and as the simulated upstream reports them.
fn input_tokens(text: &str) -> i64 {
    count_tokens(text) as i64 + 7
}

/// An error answer: its status, and its `error` object.
async fn error_of(answer: reqwest::Response) -> (u16, Value) {
    assert!(answer.headers().contains_key("x-request-id"), "every answer has its id");
    assert_eq!(answer.headers()["content-type"], "application/json");
    let status = answer.status().as_u16();
    let mut body: Value = answer.json().await.expect("an error in the dialect");
    let error = body["error"].take();
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
    (status, error)
}

/// Status, type and code of an error answer.
async fn told(answer: reqwest::Response) -> (u16, String, Value) {
    let (status, error) = error_of(answer).await;
    (status, error["type"].as_str().unwrap_or_default().to_owned(), error["code"].clone())
}

/// The chunks of a stream that has ended, without `[DONE]`.
fn chunks(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).expect("a chunk is JSON")).collect()
}

/// The words of a stream.
fn words(text: &str) -> String {
    chunks(text).iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}

/// Reads a stream until its words have come this often, and returns what was read.
async fn read_words(answer: &mut reqwest::Response, pieces: usize) -> String {
    let mut text = String::new();
    while text.matches("\"content\":\"").count() < pieces + 1 {
        let piece = answer.chunk().await.expect("the stream goes on").expect("the stream has not ended");
        text.push_str(std::str::from_utf8(&piece).expect("whole events"));
    }
    text
}

impl TestApp {
    /// Puts a model on sale as the form says.
    async fn sell_as(&self, fields: ModelFields) {
        let draft = ModelDraft::parse(&fields).expect("a valid model");
        catalog::save(&self.app.db, &self.app.kit, None, &draft).await.expect("the model is saved");
        self.app.refresh().await.expect("the snapshots follow");
    }

    /// How many holds are open.
    async fn open_holds(&self) -> i64 {
        let mut conn = self.db.db.read().await.expect("a connection");
        sqlx::query_scalar("SELECT COUNT(*) FROM hold WHERE state = 'open'").fetch_one(&mut *conn).await.expect("a number")
    }

    /// Waits until the customer has this many usage rows and nothing is held.
    async fn settled(&self, customer: &Customer, rows: usize) {
        let all = || async { self.requests(customer.user.id).await.len() == rows && self.open_holds().await == 0 };
        self.until("the requests are settled", all).await;
    }

    /// What the customer has spent of `balance`.
    async fn spent(&self, customer: &Customer, balance: Usd) -> Usd {
        balance - self.available(customer.user.id).await
    }
}

/// A model form: dollars per million tokens. Cache writes cost as input.
fn model(name: &str, input: &str, output: &str) -> ModelFields {
    let [name, enabled, input, output, cache_write] = [name, "on", input, output, input].map(str::to_owned);
    ModelFields { name, enabled, input, output, cache_write, ..ModelFields::default() }
}
