//! What the upstream was asked and what it handed over, for tests to look at and to wait for.

use super::call::{Auth, Call, Dialect, Task};
use super::fault::Fault;
use super::script::Frame;
use super::usage::Usage;
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
    /// How the caller speaks; none when nothing answers at that path.
    pub dialect: Option<Dialect>,
    /// What the path is for; none when nothing answers there.
    pub task: Option<Task>,
    /// Where the caller's key stood.
    pub auth: Auth,
    /// The key that the caller sent.
    pub key: Option<String>,
    /// All headers as they came.
    pub headers: HeaderMap,
    /// The body as it came.
    pub raw: Bytes,
    /// The body as JSON: null when it is none, and for a form an object of its fields, each file as
    /// `{"filename", "content_type", "bytes"}`.
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
    /// The whole of the usage that the answer reports.
    pub report: Option<Usage>,
    /// What went wrong on purpose or by chance.
    pub fault: Option<Fault>,
    /// The model that the path names.
    path_model: Option<String>,
}

impl Served {
    /// A header as text, empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The model that was asked for, in the path or in the body; empty when none was.
    pub fn model(&self) -> &str {
        self.path_model.as_deref().or(self.body["model"].as_str()).unwrap_or_default()
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

    pub(super) fn open(&self, asked: Asked, closing: CancellationToken) -> Ticket {
        let mut rows = self.rows();
        rows.count += 1;
        let number = rows.count;
        rows.kept.push_back(asked.into_row(number));
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

/// A request as it came.
#[derive(Debug)]
pub(super) struct Asked {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub raw: Bytes,
    pub body: Value,
    pub call: Option<Call>,
}

impl Asked {
    fn into_row(self, number: u64) -> Served {
        let (auth, key) = self.call.as_ref().map_or((Auth::None, None), |call| call.key(&self.uri, &self.headers));
        Served {
            number,
            method: self.method,
            path: self.uri.path().to_owned(),
            query: self.uri.query().map(str::to_owned),
            dialect: self.call.as_ref().map(|call| call.dialect),
            task: self.call.as_ref().map(|call| call.task),
            auth,
            key,
            headers: self.headers,
            raw: self.raw,
            body: self.body,
            status: 0,
            outcome: Outcome::Answering,
            chunks: 0,
            output_tokens: 0,
            text: String::new(),
            usage: None,
            report: None,
            fault: None,
            path_model: self.call.and_then(|call| call.model),
        }
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
        self.log.update(self.number, |row| {
            row.usage = usage.map(|u| (u.prompt, u.cached, u.completion));
            row.report = usage;
        });
    }

    pub fn suffers(&self, fault: Option<Fault>) {
        self.log.update(self.number, |row| row.fault = fault);
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
