//! Channels that fail in every way at once, many callers of every dialect: every answer is right or a proper error, each finished one is charged once, and nothing
//! is left over.

use super::dialects::{CALLERS, is_complete, said};
use super::{INPUT, OUTPUT, chunks};
use crate::harness::TestApp;
use crate::harness::app::Customer;
use farebox::channels::{Channel, ChannelFields, Standing};
use farebox::demo::upstream::{Options, Upstream, answer_to};
use farebox::kernel::Usd;
use farebox::limits::{Rules, Scope, ScopeId, Whose};
use serde_json::{Value, json};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const CLIENTS: usize = 50;
const REQUESTS: usize = 2_000;
const BALANCE: Usd = Usd::dollars(100);
/// Every way to fail, one upstream each with its own. Some are soon taken out of use; those of the other kinds fail seldom enough that hardly ever
/// all of them are out at once, when nothing but refusals would be left to test.
const FAULTS: [&str; 9] = [
    "chaos=60, no-retry-after",
    "flaky=15, no-retry-after",
    "chaos=15, no-retry-after",
    "flaky=10, no-retry-after",
    "500, no-retry-after",
    "chaos=15, no-retry-after",
    "429, retry-after=1",
    "stall",
    "stall=4",
];
/// `responses` is an OpenAI that speaks nothing else.
const KINDS: [&str; 9] = ["openai", "anthropic", "gemini", "azure-openai", "openai", "responses", "openai", "openai", "responses"];
/// Every so many requests one is no chat, and one is left by its client.
const NO_CHAT: usize = 20;
const LEFT: usize = 50;

/// What became of one request.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    /// The whole answer.
    Answer,
    /// A stream that said itself that it broke off.
    Broken,
    /// An error.
    Error,
    /// Nobody waited for it.
    Left,
}

/// The word by which an error is known in a caller's dialect.
fn word<'v>(caller: &str, error: &'v Value) -> &'v str {
    let field = match caller {
        "messages" => "type",
        "gemini" => "status",
        _ => "code",
    };
    error[field].as_str().unwrap_or_default()
}

/// Whether the last event of a stream says in the caller's dialect that it broke off.
fn is_broken(caller: &str, text: &str) -> bool {
    let last = chunks(text).pop().unwrap_or_default();
    match caller {
        "responses" => last["type"] == "response.failed",
        "messages" => last["type"] == "error" && word(caller, &last["error"]) == "api_error",
        "gemini" => ["INTERNAL", "UNAVAILABLE"].contains(&word(caller, &last["error"])),
        _ => word(caller, &last["error"]) == "upstream_error",
    }
}

fn is_in_use(channel: &Arc<Channel>) -> bool {
    let view = channel.health().view();
    view.standing < Standing::HalfOpen && view.models_out.is_empty()
}

async fn one(shop: &TestApp, customer: &Customer, n: usize) -> Came {
    let question = format!("[[tokens=12]] Question {n}");
    let (caller, stream) = (CALLERS[n / 2 % CALLERS.len()], n.is_multiple_of(2));
    let is_chat = !n.is_multiple_of(NO_CHAT);
    let request = match is_chat {
        true => shop.question(caller, customer, "demo-chat", &question, stream),
        false => shop.http.post(shop.at("/v1/embeddings")).bearer_auth(&customer.key).json(&json!({"model": "demo-chat", "input": question})),
    };
    let caller = if is_chat { caller } else { "embeddings" };
    let answer = request.send().await.expect("an answer");
    if n % LEFT == 1 {
        return Came::Left;
    }
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("the answer to the client ends well");
    if status != 200 {
        assert!(matches!(status, 502..=504), "{caller} {n}: {status} {text}");
        let body: Value = serde_json::from_str(&text).expect("an error in the dialect");
        let known = ["upstream_error", "no_channel", "api_error", "overloaded_error", "INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED"];
        assert!(known.contains(&word(caller, &body["error"])), "{caller} {n}: {text}");
        // As a client does that was told to come back: else all that is left would be refused within the moment in which every channel rests.
        shop.until("a channel is in use", || async { shop.app.channels.all().iter().any(is_in_use) }).await;
        return Came::Error;
    }
    if !is_chat {
        let body: Value = serde_json::from_str(&text).expect("an answer");
        assert!(body["data"][0]["embedding"].as_array().is_some_and(|vector| !vector.is_empty()), "{text}");
        return Came::Answer;
    }
    if stream && !is_complete(caller, &text) {
        assert!(is_broken(caller, &text), "{caller} {n}: {text}");
        return Came::Broken;
    }
    assert_eq!(said(caller, stream, &text), answer_to(&question), "{caller} {n}: {text}");
    Came::Answer
}

/// Nothing that a request takes is still taken: its hold, its place among the requests at once of its owner and of a channel, a task that settles it. What holds
/// the memory of a request, such as the body of a stream, holds these too.
async fn nothing_is_left(shop: &TestApp, customer: &Customer) {
    shop.until("every hold has ended", || async { shop.open_holds().await == 0 }).await;
    shop.until("no channel has a running request", || async { shop.app.channels.all().iter().all(|channel| channel.health().view().in_flight == 0) }).await;
    shop.until("no charge is being settled", || async { shop.app.relay.tasks.is_empty() }).await;
    // Room for one at once is there only when nobody is.
    let rules = Rules { concurrency: NonZeroU64::new(1), ..Rules::default() };
    let alone = [Scope { id: ScopeId { whose: Whose::User, id: customer.user.id }, rules }];
    shop.until("no request counts as running", || async { shop.app.limits.admit(&alone, 0).await.is_ok() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_requests_through_channels_that_fail_at_random() {
    let settings = [("UPSTREAM_FIRST_BYTE_TIMEOUT_MS", "5000"), ("UPSTREAM_IDLE_TIMEOUT_MS", "5000")];
    let shop = Arc::new(TestApp::with(&settings).await);
    shop.sell("demo-chat", "1", "10").await;
    let mut upstreams = Vec::new();
    for (n, (fault, kind)) in FAULTS.into_iter().zip(KINDS).enumerate() {
        let upstream = Upstream::start(Options::default()).await.expect("an upstream");
        // An upstream that asks for a pause gets it: with all of them at rest there would be nothing to see.
        upstream.behave(&format!("{fault}, seed={n}")).expect("a known switch");
        let fields = TestApp::channel_fields(&format!("channel {n}"), &upstream.base_url(), &["demo-chat"]);
        let fields = match (kind, fault) {
            ("responses", _) => ChannelFields { chat: String::new(), responses: "on".into(), ..fields },
            _ => ChannelFields { kind: kind.into(), ..fields },
        };
        let patience = if fault.starts_with("stall") { "0.5" } else { "" };
        shop.channel_as(None, &ChannelFields { first_byte_timeout: patience.into(), idle_timeout: patience.into(), ..fields }).await;
        upstreams.push(upstream);
    }
    let customer = Arc::new(shop.customer(BALANCE).await);
    // More than run at once, fewer than all: what was never given back would be missed.
    shop.limit_user(customer.user.id, &[("concurrency", "100")]).await;
    let next = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (shop, customer, next) = (Arc::clone(&shop), Arc::clone(&customer), Arc::clone(&next));
            tokio::spawn(async move {
                let mut came = Vec::new();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= REQUESTS {
                        return came;
                    }
                    came.push(one(&shop, &customer, n).await);
                }
            })
        })
        .collect();
    let mut came = Vec::new();
    for client in clients {
        came.extend(client.await.expect("a client that ended well"));
    }
    let count = |what: Came| came.iter().filter(|one| **one == what).count() as i64;
    let (answers, broken, errors, left) = (count(Came::Answer), count(Came::Broken), count(Came::Error), count(Came::Left));
    assert_eq!(answers + broken + errors + left, REQUESTS as i64);
    assert!(answers > REQUESTS as i64 / 4 && broken + errors > 0, "{answers} answers, {broken} broken, {errors} errors");
    nothing_is_left(&shop, &customer).await;
    let rows = rows(&shop, &customer).await;
    assert_eq!(rows.iter().map(|(_, n, _)| n).sum::<i64>(), REQUESTS as i64, "each request has one row: {rows:?}");
    let of = |outcome: &str| rows.iter().find(|(word, ..)| word == outcome).map_or((0, 0), |(_, n, paid)| (*n, *paid));
    // One that its client has left may have ended before.
    let (complete, gone) = (of("complete"), of("client_gone"));
    assert!(complete.0 == complete.1 && (answers..=answers + left).contains(&complete.0), "each finished request was charged: {rows:?}");
    assert!(gone.0 == gone.1 && gone.0 <= left, "each that was left was charged for what it had: {rows:?}");
    every_row_was_charged_what_it_says(&shop, &customer).await;
    for upstream in upstreams {
        upstream.log().wait_idle().await.expect("no connection to an upstream is busy");
        upstream.stop().await;
    }
    Arc::into_inner(shop).expect("nobody holds the shop any more").finish().await;
}

/// By the tokens in it, of which no answer had more than was asked for; and all of them together are what the customer has paid.
async fn every_row_was_charged_what_it_says(shop: &TestApp, customer: &Customer) {
    let sql = "SELECT input_tokens, output_tokens, cost FROM request WHERE user_id = $1";
    let mut conn = shop.db.db.read().await.expect("a connection");
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(sql).bind(customer.user.id.0).fetch_all(&mut *conn).await.expect("the rows");
    drop(conn);
    for (input, output, cost) in &rows {
        assert_eq!(*cost, input * INPUT + output * OUTPUT);
        assert!(*input <= 40 && *output <= 20, "{input} {output}");
    }
    assert_eq!(shop.spent(customer, BALANCE).await, Usd(rows.iter().map(|(.., cost)| cost).sum()));
}

/// The rows by outcome: how many, and how many of them cost something.
async fn rows(shop: &TestApp, customer: &Customer) -> Vec<(String, i64, i64)> {
    let sql = "SELECT outcome, COUNT(*), CAST(SUM(CASE WHEN cost > 0 THEN 1 ELSE 0 END) AS BIGINT) FROM request WHERE user_id = $1 GROUP BY outcome";
    let mut conn = shop.db.db.read().await.expect("a connection");
    sqlx::query_as(sql).bind(customer.user.id.0).fetch_all(&mut *conn).await.expect("the rows")
}
