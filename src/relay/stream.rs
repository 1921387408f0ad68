//! A stream on its way to the client. The body is polled by the connection itself, so no event waits for another task; the end
//! ([DONE], and the usage chunk for those who asked) waits until the charge is durable. When the client goes away the
//! body is dropped, and what had been delivered is charged.

use super::charge::{Charge, Ending, Used};
use super::count;
use super::error::ApiError;
use super::scan::{self, Scanner};
use crate::failpoint;
use crate::kernel::Usage;
use crate::ledger::{self, LedgerError};
use crate::usage::Outcome;
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// A silent upstream's client gets a comment this often, so that no proxy between gives up.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How many events or tokens over the cap are forgiven: tokenizers differ, and some events carry no text.
const CAP_GRACE: u64 = 64;
/// The longest answer, in bytes of text: more than any model gives, and would be memory without bound.
const MAX_TEXT: usize = 64 * 1024 * 1024;
/// Delivered events are reduced to their text when they pass this many bytes.
const REDUCE_AT: usize = 64 * 1024;

type Settling = Pin<Box<dyn Future<Output = Result<ledger::Charge, LedgerError>> + Send>>;

enum State {
    /// Passing events on.
    Flowing,
    /// The upstream is done; the charge is being made durable, then these bytes end the stream.
    Settling(Settling, Bytes),
    /// Nothing more.
    Ended,
}

/// What was delivered, in case it has to be counted.
#[derive(Default)]
struct Delivered {
    events: Vec<u8>,
    text: String,
    count: u64,
}

impl Delivered {
    fn add(&mut self, events: &[u8], count: u64) {
        self.events.extend_from_slice(events);
        self.count += count;
        if self.events.len() > REDUCE_AT {
            self.reduce();
        }
    }

    fn reduce(&mut self) {
        scan::append_text(&self.events, &mut self.text);
        self.events.clear();
    }

    fn count_text(&mut self, model: &str) -> u64 {
        self.reduce();
        count::text(model, &self.text)
    }

    fn take_text(&mut self) -> String {
        self.reduce();
        std::mem::take(&mut self.text)
    }
}

/// The body of a streamed answer.
pub(super) struct StreamBody {
    upstream: Pin<Box<reqwest::Body>>,
    first: Option<Bytes>,
    scanner: Scanner,
    charge: Option<Charge>,
    delivered: Delivered,
    /// How many events make it worth counting whether the cap was kept.
    review_at: u64,
    state: State,
    idle_timeout: Duration,
    checkpoint_every: Duration,
    last_byte: Instant,
    last_sent: Instant,
    last_checkpoint: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl StreamBody {
    pub(super) fn new(charge: Charge, response: reqwest::Response, first: Bytes) -> Self {
        let config = &charge.relay().config;
        let now = Instant::now();
        let (idle_timeout, checkpoint_every) = (config.idle_timeout, config.checkpoint_every);
        let review_at = charge.output_cap.saturating_add(CAP_GRACE);
        Self {
            upstream: Box::pin(reqwest::Body::from(response)),
            first: Some(first),
            scanner: Scanner::new(charge.call.request.include_usage),
            charge: Some(charge),
            delivered: Delivered::default(),
            review_at,
            state: State::Flowing,
            idle_timeout,
            checkpoint_every,
            last_byte: now,
            last_sent: now,
            last_checkpoint: now,
            alarm: Box::pin(tokio::time::sleep(idle_timeout.min(KEEP_ALIVE))),
        }
    }

    fn used(&mut self) -> Used {
        match self.scanner.usage {
            Some(tokens) => Used::Reported(tokens),
            None => Used::Delivered(self.delivered.take_text()),
        }
    }

    /// The stream is over: settle, then send its end.
    fn finish(&mut self, broken: Option<String>, tail: Bytes) {
        let used = self.used();
        let Some(charge) = self.charge.take() else { return };
        let outcome = if broken.is_some() { Outcome::UpstreamError } else { Outcome::Complete };
        if let Some(why) = &broken {
            tracing::warn!(request = %charge.call.id, why, "a stream broke after its first byte");
        }
        let ending = Ending { outcome, status: 200, used, error: broken };
        self.state = State::Settling(Box::pin(charge.settle(ending)), tail);
    }

    fn complete(&mut self) {
        const DONE: &[u8] = b"data: [DONE]\n\n";
        let tail = match self.scanner.kept_back.take() {
            Some(usage) => {
                let mut tail = BytesMut::from(&usage[..]);
                tail.extend_from_slice(DONE);
                tail.freeze()
            }
            None => Bytes::from_static(DONE),
        };
        self.finish(None, tail);
    }

    fn break_off(&mut self, why: &str) {
        self.finish(Some(why.to_owned()), error_event(&ApiError::stream_broke()));
    }

    /// Takes a piece of the upstream's stream and returns what the client gets of it.
    fn take(&mut self, piece: Bytes) -> Bytes {
        let passed = self.scanner.push(piece);
        self.delivered.add(&passed.forward, passed.events);
        if passed.done {
            self.complete();
        } else if let Some(broken) = passed.broken {
            let why = self.scanner.why(broken);
            self.break_off(&why);
        } else if self.delivered.text.len() > MAX_TEXT {
            self.break_off("an answer without end");
        } else if self.is_beyond_cap() {
            self.break_off("it gave more output than was asked for");
        } else {
            self.checkpoint();
        }
        passed.forward
    }

    /// Whether the upstream ignores the output cap, as one does whose stream never ends. An event is usually a token, but may be less:
    /// only when there are more events than tokens were asked for is the text counted.
    fn is_beyond_cap(&mut self) -> bool {
        if self.delivered.count < self.review_at {
            return false;
        }
        let Some(charge) = &self.charge else { return false };
        let (model, cap) = (&charge.call.request.model, charge.output_cap);
        let counted = self.delivered.count_text(model);
        self.review_at = self.delivered.count + cap.saturating_sub(counted).max(CAP_GRACE);
        counted > cap.saturating_add(cap / 10).saturating_add(CAP_GRACE)
    }

    /// Each event is about a token: good enough for what recovery charges.
    fn checkpoint(&mut self) {
        let now = Instant::now();
        self.last_byte = now;
        if now - self.last_checkpoint < self.checkpoint_every {
            return;
        }
        self.last_checkpoint = now;
        if let Some(charge) = &self.charge {
            let input = count::estimate(charge.call.body.len());
            charge.checkpoint(Usage { input, output: self.delivered.count, ..Usage::default() });
        }
        failpoint::reach("mid_stream");
    }

    /// The upstream is silent: for too long, long enough for a comment, or not yet.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            ready!(self.alarm.as_mut().poll(cx));
            let now = Instant::now();
            if now >= self.last_byte + self.idle_timeout {
                self.break_off("it went silent");
                return Poll::Ready(None);
            }
            let comment = now >= self.last_sent + KEEP_ALIVE;
            if comment {
                self.last_sent = now;
            }
            let next = (self.last_byte + self.idle_timeout).min(self.last_sent + KEEP_ALIVE);
            self.alarm.as_mut().reset(next);
            if comment {
                return Poll::Ready(Some(Bytes::from_static(b": keep-alive\n\n")));
            }
        }
    }

    /// The next bytes for the client while events flow; empty when the state has changed.
    fn poll_flow(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(self.take(first));
        }
        match self.upstream.as_mut().poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(frame.into_data().map_or_else(|_| Bytes::new(), |piece| self.take(piece))),
            Poll::Ready(Some(Err(_))) => {
                self.break_off("the connection broke");
                Poll::Ready(Bytes::new())
            }
            Poll::Ready(None) => {
                self.break_off("it ended without [DONE]");
                Poll::Ready(Bytes::new())
            }
            Poll::Pending => self.poll_silence(cx).map(Option::unwrap_or_default),
        }
    }
}

fn error_event(error: &ApiError) -> Bytes {
    Bytes::from(format!("data: {}\n\n", error.to_openai_json()))
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            match &mut self.state {
                State::Flowing => {
                    let bytes = ready!(self.poll_flow(cx));
                    if !bytes.is_empty() {
                        self.last_sent = Instant::now();
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                }
                State::Settling(settling, tail) => {
                    let settled = ready!(settling.as_mut().poll(cx));
                    let tail = if settled.is_ok() { std::mem::take(tail) } else { error_event(&ApiError::unavailable()) };
                    self.state = State::Ended;
                    if !tail.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(tail))));
                    }
                }
                State::Ended => return Poll::Ready(None),
            }
        }
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        let used = self.used();
        if let Some(mut charge) = self.charge.take() {
            charge.abandon(Ending { outcome: Outcome::ClientGone, status: 200, used, error: None });
        }
    }
}
