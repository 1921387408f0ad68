//! The process is killed between the steps of a charge. After a restart the books are right: what was finished is charged once, what
//! was not is settled at what it had certainly cost, and another restart changes nothing.

use crate::harness::app::{APP_SECRET, TestApp};
use crate::harness::child::{Serving, farebox};
use farebox::db::Engine;
use farebox::demo::upstream::{Options, Pace, Upstream};
use farebox::kernel::{Id, Usd};
use futures_util::StreamExt;
use rustix::process::Signal;
use serde_json::json;
use sqlx::Row;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

/// What may be found of the request in whose middle the process was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Nothing: its hold was not durable.
    Nothing,
    /// Its hold, settled by the recovery.
    Recovered,
    /// Its charge.
    Charged,
}

/// A shop with a customer, prepared and then left to child processes.
struct Scene {
    app: TestApp,
    user: Id,
    key: String,
    client: reqwest::Client,
}

const BALANCE: Usd = Usd::dollars(1);
const TABLES: [&str; 6] = [
    "SELECT id, debit, credit, amount, kind, user_id, reference FROM transfer ORDER BY id",
    "SELECT id, user_id, key_id, amount, captured, released, checkpoint, state FROM hold ORDER BY id",
    "SELECT id, user_id, granted, posted, held FROM credit ORDER BY id",
    "SELECT user_id, owed FROM wallet ORDER BY user_id",
    "SELECT key_id, spent, held, requests FROM key_meter ORDER BY key_id",
    "SELECT id, status, outcome, cost, output_tokens FROM request ORDER BY id",
];

impl Scene {
    async fn set(upstream: Options) -> Self {
        let mut app = TestApp::new().await;
        app.upstream = Upstream::start(upstream).await.unwrap();
        app.stock(&["demo-chat"]).await;
        let customer = app.customer(BALANCE).await;
        app.take_server().shutdown().await; // closes this process's database
        // Children that die leave connections open: the client must not try one of them again.
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        Self { user: customer.user.id, key: customer.key, app, client }
    }

    async fn serve(&self, kill_at: Option<&str>) -> Serving {
        let folder = self.app.folder.path();
        let data = folder.display().to_string();
        let mut settings = vec![("DATABASE_URL", self.app.db.url.as_str()), ("DATA_DIR", &data), ("APP_SECRET", APP_SECRET), ("RUST_LOG", "info")];
        settings.extend(kill_at.map(|point| ("FAREBOX_KILL_AT", point)));
        Serving::start(folder, &settings).await
    }

    /// On PostgreSQL a node counts as alive until its heartbeat is old. This makes it old, so that the test need not wait.
    async fn lose_touch_with_the_dead(&self) {
        let mut tx = self.app.db.db.write().await.unwrap();
        sqlx::query("UPDATE node SET heartbeat_at = 0 WHERE stopped_at IS NULL").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    fn post(&self, serving: &Serving, prompt: &str, stream: bool) -> reqwest::RequestBuilder {
        let body = json!({"model": "demo-chat", "stream": stream, "max_tokens": 2000, "messages": [{"role": "user", "content": prompt}]});
        self.client.post(format!("{}/v1/chat/completions", serving.url)).bearer_auth(&self.key).json(&body)
    }

    /// A request that is answered; returns what it should cost.
    async fn finished_request(&self, serving: &Serving) -> Usd {
        let answer: serde_json::Value = self.post(serving, "[[tokens=12]] hello", false).send().await.unwrap().json().await.unwrap();
        let tokens = |name: &str| answer["usage"][name].as_i64().unwrap();
        // A dollar per million input tokens, ten per million output tokens.
        Usd(tokens("prompt_tokens") * 1_000 + tokens("completion_tokens") * 10_000)
    }

    /// (state, charged by its transfers, checkpoint) of every hold.
    async fn holds(&self) -> Vec<(String, Usd, Usd)> {
        const CHARGED: &str = "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM transfer WHERE reference = $1 AND kind = 'capture'";
        let mut conn = self.app.db.db.read().await.unwrap();
        let rows: Vec<(i64, String, i64)> = sqlx::query_as("SELECT id, state, checkpoint FROM hold ORDER BY id").fetch_all(&mut *conn).await.unwrap();
        let mut holds = Vec::new();
        for (id, state, checkpoint) in rows {
            let charged: i64 = sqlx::query_scalar(CHARGED).bind(Id(id).to_string()).fetch_one(&mut *conn).await.unwrap();
            holds.push((state, Usd(charged), Usd(checkpoint)));
        }
        holds
    }

    /// How the usage rows say that requests ended.
    async fn outcomes(&self) -> Vec<String> {
        let mut conn = self.app.db.db.read().await.unwrap();
        sqlx::query_scalar::<sqlx::Any, String>("SELECT outcome FROM request ORDER BY id").fetch_all(&mut *conn).await.unwrap()
    }

    async fn available(&self) -> Usd {
        self.app.app.books.balance(&mut self.app.db.db.read().await.unwrap(), self.user).await.unwrap().available
    }

    /// Everything that a recovery might change.
    async fn books(&self) -> Vec<String> {
        let mut conn = self.app.db.db.read().await.unwrap();
        let mut lines = Vec::new();
        for sql in TABLES {
            for row in sqlx::query(sql).fetch_all(&mut *conn).await.unwrap() {
                let cell = |n| row.try_get::<i64, _>(n).map_or_else(|_| row.get::<String, _>(n), |number| number.to_string());
                lines.push(format!("{} {}", sql.split(" FROM ").nth(1).unwrap(), (0..row.len()).map(cell).collect::<Vec<_>>().join(" ")));
            }
        }
        lines
    }

    /// `farebox audit` finds nothing wrong.
    async fn audit(&self) {
        let mut command = farebox(&["audit"], self.app.folder.path(), &[("DATABASE_URL", &self.app.db.url)]);
        let output = tokio::task::spawn_blocking(move || command.stdout(std::process::Stdio::piped()).output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    /// Restarts until everything is proved; returns what was found of the request that was killed, and what it was charged.
    async fn recovered(&self, finished: Usd) -> (Found, Usd) {
        self.lose_touch_with_the_dead().await;
        let serving = self.serve(None).await;
        self.audit().await;
        let books = self.books().await;
        let holds = self.holds().await;
        let (first, rest) = holds.split_first().unwrap();
        assert_eq!((first.0.as_str(), first.1), ("captured", finished), "what was finished is charged exactly once");
        assert_eq!(self.outcomes().await, holds.iter().map(|(state, ..)| if state == "captured" { "complete" } else { "recovered" }).collect::<Vec<_>>());
        let (found, charged) = match rest {
            [] => (Found::Nothing, Usd::ZERO),
            [(state, charged, checkpoint)] if state == "recovered" => {
                assert_eq!(charged, checkpoint, "recovery charges the last checkpoint");
                (Found::Recovered, *charged)
            }
            [(state, charged, _)] if state == "captured" => (Found::Charged, *charged),
            other => panic!("{other:?}"),
        };
        assert_eq!(self.available().await, BALANCE - finished - charged);
        serving.kill().await;

        self.lose_touch_with_the_dead().await;
        let serving = self.serve(None).await;
        assert_eq!(self.books().await, books, "a second recovery changes nothing");
        let again = self.finished_request(&serving).await;
        assert_eq!(self.available().await, BALANCE - finished - charged - again, "the shop goes on");
        serving.stop().await;
        self.audit().await;
        (found, charged)
    }
}

/// One request is served, then the process is killed in the second, at `point`. What may be found of that one is in `expected`.
async fn killed_at(point: &str, expected: &[Found]) {
    let scene = Scene::set(Options::default()).await;
    let serving = scene.serve(Some(point)).await;
    let finished = scene.finished_request(&serving).await;
    let answer = scene.post(&serving, "[[tokens=30]] and now?", false).send().await;
    assert!(answer.is_err(), "the process should have died before it answered: {answer:?}");
    assert_eq!(serving.ended().await.signal(), Some(9), "killed at {point}");
    let (found, charged) = scene.recovered(finished).await;
    assert!(expected.contains(&found), "killed at {point}, {found:?} was found");
    assert_eq!(charged > Usd::ZERO, found != Found::Nothing);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_when_the_hold_is_queued() {
    // The first request queues a hold and a capture.
    killed_at("queued:3", &[Found::Nothing, Found::Recovered]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_when_the_hold_is_committed() {
    killed_at("hold_committed:2", &[Found::Recovered]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_when_the_upstream_has_answered() {
    killed_at("upstream_answered:2", &[Found::Recovered]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_capture() {
    killed_at("capture:2", &[Found::Recovered]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_when_the_capture_is_queued() {
    killed_at("queued:4", &[Found::Recovered, Found::Charged]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_when_the_capture_is_committed() {
    killed_at("capture_committed:2", &[Found::Charged]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_a_stream_what_was_delivered_is_charged() {
    let scene = Scene::set(Options { pace: Pace { first_byte_ms: 0, chunk_ms: 20 }, ..Options::default() }).await;
    // The second time that the cost of the stream is written down, the first is durable.
    let serving = scene.serve(Some("mid_stream:2")).await;
    let finished = scene.finished_request(&serving).await;
    let response = scene.post(&serving, "[[tokens=1500]] go on", true).send().await.unwrap();
    let pieces: Vec<_> = response.bytes_stream().collect().await;
    assert!(pieces.last().unwrap().is_err(), "the stream ended as if it were whole");
    let text: String = pieces.iter().flatten().map(|piece| String::from_utf8_lossy(piece).into_owned()).collect();
    assert!(!text.contains("[DONE]"));
    let delivered = text.matches("data: ").count() as i64;
    assert_eq!(serving.ended().await.signal(), Some(9));
    let (found, charged) = scene.recovered(finished).await;
    assert_eq!(found, Found::Recovered);
    // Ten dollars per million output tokens; an event is about a token.
    assert!(charged.0 > 30 * 10_000 && charged.0 <= (delivered + 50) * 10_000, "{delivered} events were delivered, {charged} charged");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_by_the_system_while_streams_are_held_nothing_is_lost_or_charged_twice() {
    let scene = Scene::set(Options::default()).await;
    let serving = scene.serve(None).await;
    let finished = scene.finished_request(&serving).await;
    let response = scene.post(&serving, "[[gate=5, tokens=40]] go on", true).send().await.unwrap();
    let mut stream = response.bytes_stream();
    assert!(stream.next().await.unwrap().is_ok());
    serving.kill().await;
    let ended = tokio::time::timeout(Duration::from_secs(30), async { while let Some(Ok(_)) = stream.next().await {} }).await;
    assert!(ended.is_ok(), "the client learns of it");
    assert_eq!(scene.recovered(finished).await.0, Found::Recovered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_only_seemed_dead_posts_the_difference() {
    let scene = Scene::set(Options::default()).await;
    if scene.app.db.db.engine() == Engine::Sqlite {
        return; // one node only
    }
    let (slow, other) = (scene.serve(None).await, scene.serve(None).await);
    let finished = scene.finished_request(&other).await;
    let response = scene.post(&slow, "[[gate=5, tokens=40]] go on", true).send().await.unwrap();
    let mut stream = response.bytes_stream();
    assert!(stream.next().await.unwrap().is_ok());
    slow.signal(Signal::STOP);
    let mut tx = scene.app.db.db.write().await.unwrap();
    sqlx::query("UPDATE node SET heartbeat_at = 0 WHERE slot = (SELECT node FROM hold WHERE state = 'open')").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    scene.app.until("the other node recovers the hold", || async { scene.holds().await.iter().any(|(state, ..)| state == "recovered") }).await;
    scene.audit().await;

    slow.signal(Signal::CONT);
    scene.app.upstream.release_gate();
    let text: Vec<u8> = stream.map(|piece| piece.unwrap().to_vec()).collect::<Vec<_>>().await.concat();
    assert!(String::from_utf8_lossy(&text).ends_with("data: [DONE]\n\n"), "the slow node serves its stream to the end");
    let served = scene.app.upstream.log().requests().into_iter().find_map(|served| served.usage.filter(|usage| usage.2 == 40)).unwrap();
    let cost = Usd(served.0 * 1_000 + served.2 * 10_000);
    assert_eq!(scene.available().await, BALANCE - finished - cost, "charged what it cost, once");
    assert_eq!(scene.outcomes().await, ["complete", "complete"]);
    scene.audit().await;
    slow.stop().await;
    other.stop().await;
    scene.audit().await;
}
