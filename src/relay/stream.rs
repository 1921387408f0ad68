//! A stream on its way to the client. The body is polled by the connection itself, so no event waits for another task; the end
//! ([DONE], `message_stop`, `response.completed` and what belongs to them) waits until the charge is durable. When the client goes away the
//! body is dropped, and the stream goes on for a while without it ([`left`]).

mod left;

use super::Relay;
use super::cache::{CacheKey, Kept, Recording};
use super::charge::{Charge, Ending, Settled, Used, apart};
use super::count;
use super::dialect::{Dialect, gemini};
use super::error::ApiError;
use super::flow::{Flow, Taken};
use super::operation::Operation;
use super::report;
use super::scan::Made;
use crate::channels::Verdict;
use crate::failpoint;
use crate::kernel::{Usage, Usd};
use crate::ledger::LedgerError;
use crate::usage::Outcome;
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// A silent upstream's client gets a sign of life this often, so that no proxy between gives up.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How many events or tokens over the cap are forgiven: tokenizers differ, and some events carry no text.
const CAP_GRACE: u64 = 64;
/// Pieces of an upstream's stream are taken in parts of this size at most, so that no more than this of it passes a cap unseen.
const PIECE: usize = 16 * 1024;
/// Why a stream is cut.
const TOO_MUCH: &str = "it gave more output than was asked for";
/// The same, by what is no text, and by what is told of the usage on the way.
const TOO_DEAR: &str = "its cost has reached what is held";
/// The longest answer, in bytes of text: more than any model gives, and would be memory without bound.
const MAX_TEXT: usize = 64 * 1024 * 1024;

type Settling = Pin<Box<dyn Future<Output = Result<Settled, LedgerError>> + Send>>;

/// The most tokens that may come when so many were asked for.
fn forgiven(cap: u64) -> u64 {
    cap.saturating_add(cap / 10).saturating_add(CAP_GRACE)
}

enum State {
    /// Passing events on.
    Flowing,
    /// The upstream is done; the charge is being made durable, then the end of the stream follows, or the error that broke it off.
    Settling(Settling, Box<After>),
    /// Nothing more.
    Ended,
}

/// What follows once the charge is durable.
struct After {
    /// What broke the stream off.
    error: Option<ApiError>,
    keeping: Option<Keeping>,
}

/// A stream that is to be kept for identical requests.
struct Keeping {
    relay: Relay,
    recording: Recording,
    key: CacheKey,
    content_type: &'static str,
    at_ms: i64,
}

impl Keeping {
    fn keep(mut self, tail: &[u8], usage: Usage) {
        self.recording.add(tail);
        if let Some(body) = self.recording.finish() {
            self.relay.cache.keep(self.key, Kept { body, content_type: self.content_type.to_owned(), usage, kept_at_ms: self.at_ms });
        }
    }
}

/// How many bytes are gathered at most before they are sent.
const GATHER: usize = 16 * 1024;
/// How often a connection may ask for more of a body in one turn: hyper asks again before it yields.
const ASKS: u8 = 2;

/// What goes to the client with the next write.
///
/// The upstream's connection, a task of its own, hands over one event and waits until it is taken, though a read may have brought many. A write
/// costs more than all else that is done to an event, so the first one waits until that task had its turn, and another, as long as more come of it: no time
/// passes, for everything that can run does.
#[derive(Default)]
struct Gathered {
    bytes: Bytes,
    more: BytesMut,
    /// How often nothing more had come since the last event.
    waited: u8,
}

impl Gathered {
    fn add(&mut self, bytes: Bytes) {
        self.waited = 0;
        if self.is_empty() {
            self.bytes = bytes;
            return;
        }
        if self.more.is_empty() {
            self.more.reserve(GATHER.min(self.bytes.len() * 8));
            self.more.extend_from_slice(&self.bytes);
        }
        self.more.extend_from_slice(&bytes);
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn is_full(&self) -> bool {
        self.bytes.len().max(self.more.len()) >= GATHER
    }

    fn take(&mut self) -> Bytes {
        let first = std::mem::take(&mut self.bytes);
        if self.more.is_empty() { first } else { self.more.split().freeze() }
    }
}

/// The body of a streamed answer.
pub(super) struct StreamBody(Option<Stream>);

struct Stream {
    upstream: Pin<Box<reqwest::Body>>,
    /// What has come and is not taken yet.
    first: Option<Bytes>,
    gathered: Gathered,
    flow: Flow,
    /// What the client gets, when it may be kept.
    recording: Option<Recording>,
    charge: Option<Charge>,
    /// How many events make it worth counting whether the cap was kept.
    review_at: u64,
    /// The tokens of the text that was counted for it, and how long that text is.
    counted: (u64, usize),
    /// What was told and made beside words when its cost was last looked at.
    weighed: (u64, Made),
    state: State,
    idle_timeout: Duration,
    checkpoint_every: Duration,
    last_byte: Instant,
    last_sent: Instant,
    last_checkpoint: Instant,
    alarm: Pin<Box<Sleep>>,
    /// What is sent while the upstream is silent.
    keep_alive: &'static str,
}

impl StreamBody {
    pub(super) fn new(charge: Charge, response: reqwest::Response, first: Bytes, flow: Flow) -> Self {
        Self(Some(Stream::new(charge, response, first, flow)))
    }
}

impl Stream {
    fn new(charge: Charge, response: reqwest::Response, first: Bytes, flow: Flow) -> Self {
        let config = &charge.relay().config;
        let now = Instant::now();
        let own = charge.serving.as_ref().and_then(|(channel, _)| channel.options.idle_timeout);
        let (idle_timeout, checkpoint_every) = (own.unwrap_or(config.idle_timeout), config.checkpoint_every);
        let review_at = charge.output_cap.saturating_add(CAP_GRACE);
        let recording = charge.cache_key.map(|_| charge.relay().cache.recording());
        let keep_alive = match charge.call.envelope.operation {
            Operation::Generate(Dialect::Gemini) => gemini::keep_alive(charge.call.array),
            _ => ": keep-alive\n\n",
        };
        Self {
            upstream: Box::pin(reqwest::Body::from(response)),
            first: Some(first),
            gathered: Gathered::default(),
            flow,
            recording,
            charge: Some(charge),
            review_at,
            counted: (0, 0),
            weighed: Default::default(),
            state: State::Flowing,
            idle_timeout,
            checkpoint_every,
            last_byte: now,
            last_sent: now,
            last_checkpoint: now,
            alarm: Box::pin(tokio::time::sleep(idle_timeout.min(KEEP_ALIVE))),
            keep_alive,
        }
    }

    /// What to charge for: the report, when it can be true of what was asked, else what was delivered.
    fn used(&mut self) -> Used {
        if let Some(used) = self.used_as_reported() {
            return used;
        }
        let believes = |usage: &Usage| self.charge.as_ref().is_some_and(|charge| charge.call.believes(usage, charge.output_cap));
        let told = match self.flow.reported() {
            Some(unbelievable) => believes(&unbelievable).then_some(unbelievable),
            None => Some(self.flow.told()).filter(believes),
        };
        self.delivered(told.unwrap_or_default())
    }

    /// What to charge for by the report, when there is one that can be true of what was asked.
    fn used_as_reported(&self) -> Option<Used> {
        let charge = self.charge.as_ref()?;
        let usage = self.flow.reported().filter(|usage| report::plausible(usage, charge.call.report_bound(charge.output_cap)))?;
        Some(Used::Reported(charge.call.by_the_piece(usage)))
    }

    /// What was delivered, beside what was told of it and what the request itself says.
    fn delivered(&mut self, told: Usage) -> Used {
        let text = self.flow.take_text();
        let made = self.flow.made();
        let told = self.charge.as_ref().map_or(told, |charge| charge.call.known_beside(told, made.pictures));
        Used::Delivered { text, told, spoken_ms: Some(made.sound_ms).filter(|ms| *ms > 0) }
    }

    /// The stream is over: settle, then send its end.
    fn finish(&mut self, broken: Option<(String, ApiError)>) {
        let used = self.used();
        let Some(mut charge) = self.charge.take() else { return };
        let keeping = if broken.is_none() && matches!(used, Used::Reported(_)) { self.keeping(&charge) } else { None };
        let (outcome, why, error) = match broken {
            Some((why, error)) => (Outcome::UpstreamError, Some(why), Some(error)),
            None => (Outcome::Complete, None, None),
        };
        if let Some(why) = &why {
            tracing::warn!(request = %charge.call.id, why, "a stream broke after its first byte");
        }
        if let Some(way) = &mut charge.way {
            // Nobody told it where to stop.
            let is_at_fault = why.as_ref().is_some_and(|why| why != TOO_DEAR && (charge.is_capped || why != TOO_MUCH));
            way.report(if is_at_fault { Verdict::Broken } else { Verdict::Ok }, None);
        }
        let ending = Ending { outcome, status: 200, used, error: why };
        self.state = State::Settling(Box::pin(charge.settle(ending)), Box::new(After { error, keeping }));
    }

    /// What is needed to keep the stream once it has ended.
    fn keeping(&mut self, charge: &Charge) -> Option<Keeping> {
        let (recording, key) = (self.recording.take()?, charge.cache_key?);
        let content_type = if charge.call.array { "application/json" } else { "text/event-stream; charset=utf-8" };
        Some(Keeping { relay: charge.relay().clone(), recording, key, content_type, at_ms: charge.call.started_ms })
    }

    fn break_off(&mut self, why: &str) {
        self.finish(Some((why.to_owned(), ApiError::stream_broke())));
    }

    /// Takes a piece of the upstream's stream and returns what the client gets of it.
    fn take(&mut self, piece: Bytes) -> Bytes {
        let Taken { forward, done, broken } = self.flow.push(piece);
        if let Some(recording) = &mut self.recording {
            recording.add(&forward);
        }
        if done {
            self.complete();
        } else if let Some(why) = broken {
            self.break_off(&why);
        } else if self.flow.text_len() > MAX_TEXT {
            self.break_off("an answer without end");
        } else if self.is_beyond_cap() {
            self.break_off(TOO_MUCH);
        } else if self.is_beyond_hold() {
            self.break_off(TOO_DEAR);
        } else {
            self.checkpoint();
        }
        forward
    }

    /// Whether the upstream ignores the output cap, as one does whose stream never ends, or the cost has reached what is held. An event is usually a
    /// token, and a token has seldom less than two bytes: only when there is more of either than tokens may come is the text counted.
    fn is_beyond_cap(&mut self) -> bool {
        let most = self.flow.events().max(self.flow.text_len() as u64 / 2);
        if most < self.review_at {
            return false;
        }
        let Some(charge) = &self.charge else { return false };
        let (model, cap) = (&charge.call.envelope.model, charge.output_cap);
        let (sum, from) = self.counted;
        let (more, to) = self.flow.count_text(model, from);
        let counted = sum.saturating_add(more);
        self.counted = (counted, to);
        self.review_at = most + cap.saturating_sub(counted).max(CAP_GRACE);
        counted > forgiven(cap)
    }

    /// Whether what was made beside words, or what the upstream tells of its usage on the way, has come to cost more than is held, and as much more as
    /// words may. Most streams have neither.
    fn is_beyond_hold(&mut self) -> bool {
        let (told, made) = (self.flow.told(), self.flow.made());
        let seen = (told.all_output(), made);
        if seen == self.weighed || self.flow.reported().is_some() {
            return false;
        }
        self.weighed = seen;
        let Some((charge, held)) = self.charge.as_ref().and_then(|charge| Some((charge, charge.held()?))) else { return false };
        // So many tokens are held for.
        if made == Made::default() && seen.0 <= charge.output_cap {
            return false;
        }
        let (call, prices) = (&charge.call, charge.call.prices());
        let told = if report::plausible(&told, call.report_bound(charge.output_cap)) { told } else { Usage::default() };
        let input = if told.all_input() > 0 { told.input } else { count::estimate(call.size.bytes) };
        let images = if told.image_output > 0 { told.images } else { told.images.max(made.pictures) };
        let so_far = prices.in_fewest_tokens(Usage { input, images, ..told }, made.sound_ms);
        let forgiven = Usd(held.0 / 10) + prices.cost(Usage { output: CAP_GRACE, ..Usage::default() });
        prices.charge(&apart(told, self.counted.0, so_far)) > held + forgiven
    }

    /// The upstream is done, and what it had kept back for the end goes out with it, unless that is more than may come.
    fn complete(&mut self) {
        let is_reported = self.used_as_reported().is_some();
        if let Some(charge) = self.charge.as_ref().filter(|_| !is_reported) {
            let kept = self.flow.kept_text();
            if !kept.is_empty() {
                let (model, cap) = (&charge.call.envelope.model, charge.output_cap);
                let (more, _) = self.flow.count_text(model, self.counted.1);
                if self.counted.0.saturating_add(more).saturating_add(count::text(model, &kept)) > forgiven(cap) {
                    return self.break_off(TOO_MUCH);
                }
            }
            self.flow.add_kept(&kept);
        }
        self.finish(None);
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
            let input = count::estimate(charge.call.size.bytes);
            charge.checkpoint(Usage { input, output: self.flow.events(), ..Usage::default() });
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
                return Poll::Ready(Some(Bytes::from_static(self.keep_alive.as_bytes())));
            }
        }
    }

    /// As much of a piece as is taken at once; the rest is next.
    fn part(&mut self, mut piece: Bytes) -> Bytes {
        if piece.len() > PIECE {
            self.first = Some(piece.split_off(PIECE));
        }
        piece
    }

    /// The next write to the client while events flow; none when the state has changed.
    fn poll_gathered(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        while matches!(self.state, State::Flowing) && !self.gathered.is_full() {
            match self.poll_flow(cx) {
                Poll::Ready(bytes) if bytes.is_empty() => {}
                Poll::Ready(bytes) => self.gathered.add(bytes),
                Poll::Pending if self.gathered.is_empty() => return Poll::Pending,
                Poll::Pending if self.gathered.waited == ASKS => break,
                Poll::Pending => {
                    self.gathered.waited += 1;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Some(self.gathered.take()).filter(|bytes| !bytes.is_empty()))
    }

    /// The next bytes for the client while events flow; empty when the state has changed.
    fn poll_flow(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        if let Some(first) = self.first.take() {
            let piece = self.part(first);
            return Poll::Ready(self.take(piece));
        }
        match self.upstream.as_mut().poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let piece = frame.into_data().map(|piece| self.part(piece));
                Poll::Ready(piece.map_or_else(|_| Bytes::new(), |piece| self.take(piece)))
            }
            Poll::Ready(Some(Err(_))) => {
                self.break_off("the connection broke");
                Poll::Ready(Bytes::new())
            }
            Poll::Ready(None) => {
                match self.flow.end() {
                    Ok(()) => self.complete(),
                    Err(why) => self.break_off(&why),
                }
                Poll::Ready(Bytes::new())
            }
            Poll::Pending => self.poll_silence(cx).map(Option::unwrap_or_default),
        }
    }

    /// The next bytes for the client.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match &mut self.state {
                State::Flowing => {
                    if let Some(bytes) = ready!(self.poll_gathered(cx)) {
                        self.last_sent = Instant::now();
                        return Poll::Ready(Some(bytes));
                    }
                }
                State::Settling(settling, after) => {
                    let settled = ready!(settling.as_mut().poll(cx));
                    let (error, keeping) = (after.error.take(), after.keeping.take());
                    let tail = match (settled, error) {
                        (Ok(_), Some(error)) => self.flow.fail(&error),
                        (Ok(settled), None) => {
                            let tail = self.flow.finish(&settled);
                            if let Some(keeping) = keeping {
                                keeping.keep(&tail, settled.usage);
                            }
                            tail
                        }
                        (Err(_), _) => self.flow.fail(&ApiError::unavailable()),
                    };
                    self.state = State::Ended;
                    if !tail.is_empty() {
                        return Poll::Ready(Some(tail));
                    }
                }
                State::Ended => return Poll::Ready(None),
            }
        }
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(stream) = &mut self.0 else { return Poll::Ready(None) };
        stream.poll_bytes(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        if let Some(stream) = self.0.take() {
            stream.left();
        }
    }
}
