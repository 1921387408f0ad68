//! What the upstream was asked and what it handed over, for tests to look at and to wait for.

use super::answer::Usage;
use super::script::Frame;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Longer than anything that a test waits for takes, even on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where an answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// On its way.
    Answering,
    /// Held at a gate until [`Upstream::release_gate`](super::Upstream::release_gate).
    Held,
    /// Silent for good, as its switch asked.
    Silent,
    /// Handed over to its end, whatever that end was.
    Completed,
    /// The upstream broke the connection, as its switch asked.
    Cut,
    /// The caller went away first.
    CallerLeft,
    /// The upstream was stopped first.
    Stopped,
}

impl Outcome {
    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Cut | Self::CallerLeft | Self::Stopped)
    }
}

/// One request and what came of it.
#[derive(Clone, Debug)]
pub struct Served {
    /// Counts requests from 1.
    pub number: u64,
    /// The HTTP method.
    pub method: Method,
    /// The path without the query.
    pub path: String,
    /// The query, if there was one.
    pub query: Option<String>,
    /// All headers as they came.
    pub headers: HeaderMap,
    /// The body as it came.
    pub raw: Bytes,
    /// The body as JSON; null when it is none.
    pub body: Value,
    /// The status that was answered; 0 until then.
    pub status: u16,
    /// Where the answer stands.
    pub outcome: Outcome,
    /// Chunks of content handed over, without opening and closing events; 1 for an answer that is not streamed.
    pub chunks: u64,
    /// Tokens of the content handed over.
    pub output_tokens: u64,
    /// Words handed over, of all choices, arguments of tools included.
    pub text: String,
    /// The usage that the answer reports, as `(prompt, cached, completion)`; none when it reports nothing.
    pub usage: Option<(i64, i64, i64)>,
}

impl Served {
    /// A header as text, empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The model that was asked for, empty when none was.
    pub fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or_default()
    }
}

/// A test waited for something that did not come.
#[derive(Debug, thiserror::Error)]
#[error("the simulated upstream did not get there in {PATIENCE:?}; it has: {seen:#?}")]
pub struct WaitedInVain {
    /// The requests at that time: path, model, status, outcome and chunks.
    pub seen: Vec<String>,
}

/// The requests of one upstream, oldest first. Clones share them.
#[derive(Clone, Debug)]
pub struct Log(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rows: Mutex<Rows>,
    changed: watch::Sender<()>,
    remember: usize,
}

#[derive(Debug, Default)]
struct Rows {
    count: u64,
    kept: VecDeque<Served>,
}

impl Log {
    pub(super) fn new(remember: usize) -> Self {
        Self(Arc::new(Inner { rows: Mutex::default(), changed: watch::Sender::new(()), remember }))
    }

    /// The requests that are remembered, oldest first.
    pub fn requests(&self) -> Vec<Served> {
        self.rows().kept.iter().cloned().collect()
    }

    /// How many requests came since the start, forgotten ones included.
    pub fn count(&self) -> u64 {
        self.rows().count
    }

    /// The latest request.
    pub fn last(&self) -> Option<Served> {
        self.rows().kept.back().cloned()
    }

    /// Forgets all requests; the count goes on.
    pub fn clear(&self) {
        self.rows().kept.clear();
    }

    /// Waits until the requests fulfil a condition and returns them.
    pub async fn wait_until(&self, condition: impl Fn(&[Served]) -> bool) -> Result<Vec<Served>, WaitedInVain> {
        let mut changed = self.0.changed.subscribe();
        let wait = async {
            loop {
                changed.mark_unchanged();
                let requests = self.requests();
                if condition(&requests) {
                    return requests;
                }
                if changed.changed().await.is_err() {
                    std::future::pending::<()>().await; // unreachable while `self` lives, since it owns the sender
                }
            }
        };
        let summary = |r: &Served| format!("{} {} {} {:?} after {} chunks", r.path, r.model(), r.status, r.outcome, r.chunks);
        tokio::time::timeout(PATIENCE, wait).await.map_err(|_| WaitedInVain { seen: self.requests().iter().map(summary).collect() })
    }

    /// Waits until an answer is held at a gate.
    pub async fn wait_held(&self) -> Result<Vec<Served>, WaitedInVain> {
        self.wait_until(|requests| requests.iter().any(|request| request.outcome == Outcome::Held)).await
    }

    /// Waits until at least one request came and none is under way.
    pub async fn wait_idle(&self) -> Result<Vec<Served>, WaitedInVain> {
        self.wait_until(|requests| !requests.is_empty() && requests.iter().all(|request| request.outcome.is_final())).await
    }

    pub(super) fn open(&self, method: Method, uri: &Uri, headers: HeaderMap, raw: Bytes, closing: CancellationToken) -> Ticket {
        let body = serde_json::from_slice(&raw).unwrap_or_default();
        let (path, query) = (uri.path().to_owned(), uri.query().map(str::to_owned));
        let mut rows = self.rows();
        rows.count += 1;
        let number = rows.count;
        let outcome = Outcome::Answering;
        rows.kept.push_back(Served {
            number,
            method,
            path,
            query,
            headers,
            raw,
            body,
            status: 0,
            outcome,
            chunks: 0,
            output_tokens: 0,
            text: String::new(),
            usage: None,
        });
        if rows.kept.len() > self.0.remember {
            rows.kept.pop_front();
        }
        drop(rows);
        self.0.changed.send_replace(());
        Ticket { log: self.clone(), number, closing, ended: false }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.rows.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn update(&self, number: u64, change: impl FnOnce(&mut Served)) {
        let mut rows = self.rows();
        let first = rows.kept.front().map_or(u64::MAX, |row| row.number);
        if let Some(row) = number.checked_sub(first).and_then(|at| rows.kept.get_mut(at as usize)) {
            change(row);
        }
        drop(rows);
        self.0.changed.send_replace(());
    }
}

/// The hand that writes one row of the log. Dropped before the end, it notes that the caller went away.
#[derive(Debug)]
pub(super) struct Ticket {
    log: Log,
    pub number: u64,
    closing: CancellationToken,
    ended: bool,
}

impl Ticket {
    pub fn answered(&self, status: u16) {
        self.log.update(self.number, |row| row.status = status);
    }

    pub fn reports(&self, usage: Option<Usage>) {
        self.log.update(self.number, |row| row.usage = usage.map(|u| (u.prompt, u.cached, u.completion)));
    }

    pub fn stands(&self, outcome: Outcome) {
        self.log.update(self.number, |row| row.outcome = outcome);
    }

    pub fn sent(&self, frame: &Frame) {
        self.log.update(self.number, |row| {
            row.chunks += u64::from(frame.is_content());
            row.output_tokens += frame.tokens;
            row.text.push_str(&frame.text);
        });
    }

    pub fn end(&mut self, outcome: Outcome) {
        self.ended = true;
        self.stands(outcome);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.ended {
            self.stands(if self.closing.is_cancelled() { Outcome::Stopped } else { Outcome::CallerLeft });
        }
    }
}
