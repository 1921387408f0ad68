//! Finding an upstream that answers: channels in order, the next one on anything that is not the caller's fault, until the first
//! byte of an answer.

mod ask;
mod prepare;
mod refusal;
mod room;
mod translated;

pub(super) use translated::Translated;

use super::Relay;
use super::charge::{Call, Charge};
use super::error::ApiError;
use super::flow::Flow;
use super::rename::Rename;
use super::report::UsageReport;
use super::route::{self, Attempt, Decision, Route, Unserved};
use crate::channels::{Channel, Verdict};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use reqwest::Response;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// An answer that is no stream.
pub(super) struct Whole {
    /// As the upstream sent it.
    pub(super) body: Bytes,
    /// What it says of its usage.
    pub(super) usage: UsageReport,
    /// Whether it is JSON.
    pub(super) is_json: bool,
    /// What the client is told that it is.
    pub(super) content_type: String,
    /// The public name of the model, when the upstream has another.
    pub(super) rename: Option<Rename>,
    /// Embeddings that were written anew for an OpenAI caller.
    pub(super) is_embedded: bool,
    /// The answer in the form between the dialects, when the upstream speaks another one than the caller.
    pub(super) translated: Option<Box<Translated>>,
}

/// What came of asking the upstreams.
pub(super) enum Dispatched {
    /// A whole answer.
    Whole(Whole),
    /// A stream, the first piece of it, and the way it goes.
    Stream { response: Response, first: Bytes, flow: Flow },
    /// The upstream says that the request itself is wrong.
    Refused { status: StatusCode, body: String, why: String },
    /// Nobody answered.
    Failed { error: ApiError, why: String },
}

/// Why one attempt did not do.
struct Miss {
    verdict: Verdict,
    why: String,
    /// The pause that the upstream asks for.
    retry_after: Option<Duration>,
}

impl Miss {
    fn new(verdict: Verdict, why: impl Into<String>) -> Self {
        Self { verdict, why: why.into(), retry_after: None }
    }

    fn broken(why: impl Into<String>) -> Self {
        Self::new(Verdict::Broken, why)
    }

    fn timeout(why: impl Into<String>) -> Self {
        Self::new(Verdict::Timeout, why)
    }
}

/// How long an upstream may take.
#[derive(Clone, Copy)]
struct Patience {
    /// Until then something of an answer must be here.
    first_byte: Instant,
    /// Until then the body of an answer that is no stream must have begun.
    begun: Instant,
    /// It is the request's own time that ends first, and not the channel's.
    is_cut: bool,
}

impl Patience {
    fn new(own: Duration, deadline: Instant) -> Self {
        let first_byte = Instant::now() + own;
        Self { first_byte: first_byte.min(deadline), begun: deadline, is_cut: deadline < first_byte }
    }

    /// Nothing has come until now.
    fn over(self, why: &str) -> Miss {
        Miss::new(if self.is_cut { Verdict::TimeUp } else { Verdict::Timeout }, why)
    }
}

/// The way of a request, and its first attempt. `context` is what the model itself has room for.
///
/// # Errors
/// When there is nobody to ask, or nobody needs to be, as the request is longer than the model's context: what the caller is told, and who was
/// passed over.
pub(super) async fn plan(relay: &Relay, call: &Arc<Call>, context: Option<u64>, headers: &HeaderMap) -> Result<(Route, Attempt), (ApiError, Option<Decision>)> {
    let candidates = relay.channels.candidates(&call.envelope.model);
    let room = candidates.iter().filter_map(|channel| channel.options.capabilities.context_length).chain(context);
    let tokens = room::needed(relay, call, room.clone().min(), room.max()).await;
    if let Some(limit) = context.filter(|limit| tokens > *limit) {
        return Err((ApiError::context_exceeded(limit), None));
    }
    // Who is alone needs to be told nothing.
    let is_choice = candidates.len() > 1 || candidates.iter().any(|channel| channel.keys.len() > 1) || route::has_pool(&candidates, &call.envelope.model);
    let affinity = if is_choice { call.affinity(headers) } else { None };
    let mut route = Route::new(candidates, &call.envelope.model, call.needs(tokens), affinity, &relay.kit.random);
    match route.next_attempt() {
        Some(attempt) => Ok((route, attempt)),
        None => Err((unserved(relay, &route, &call.envelope.model), Some(route.decision().clone()))),
    }
}

fn unserved(relay: &Relay, route: &Route, model: &str) -> ApiError {
    match route.unserved() {
        Unserved::Incapable(why) => ApiError::incapable(model, why),
        Unserved::Until(at) => {
            let wait = at.saturating_sub(relay.kit.clock.now_ms()).clamp(0, 3_600_000) / 1000 + 1;
            ApiError { retry_after: u32::try_from(wait).ok(), ..ApiError::no_channel(model) }
        }
        Unserved::Nobody | Unserved::Busy => ApiError::no_channel(model),
    }
}

/// Makes one attempt after the other.
pub(super) async fn dispatch(charge: &mut Charge, route: &mut Route, first: Attempt, cap: Option<u64>) -> Dispatched {
    let deadline = Instant::now() + charge.relay().config.total_timeout;
    let clock = charge.relay().kit.clock.clone();
    let call = Arc::clone(&charge.call);
    let (mut failures, mut next, mut left) = (Failures::default(), Some(first), charge.relay().config.attempts);
    while let Some(mut attempt) = next.take() {
        match prepare::prepare(&call, &attempt, cap) {
            Err(unfit) => {
                failures.unfit = failures.unfit.or(Some(unfit));
                route.unfit(attempt);
            }
            Ok(_) if left == 0 || Instant::now() >= deadline => break,
            Ok(prepared) => {
                left -= 1;
                charge.serving = Some((Arc::clone(&attempt.channel), attempt.permit.model.clone()));
                charge.first_byte_ms = None;
                charge.dispatched = true;
                // For the case that the client leaves while somebody is asked.
                charge.decision = route.decision().clone();
                let started = clock.now_ms();
                let outcome = ask::ask(charge, &attempt, prepared, deadline).await;
                let took = clock.now_ms() - started;
                match outcome {
                    Ok(dispatched) => {
                        route.answered(&mut attempt, dispatched.status(), took);
                        charge.decision = route.take_decision();
                        charge.way = Some(attempt.permit);
                        return dispatched;
                    }
                    Err(miss) => {
                        tracing::warn!(request = %call.id, channel = %attempt.channel.name, why = %miss.why, "a channel failed before the first byte");
                        failures.add(&attempt.channel, &miss);
                        route.missed(attempt, miss.verdict, miss.retry_after, took);
                    }
                }
            }
        }
        // Nobody else is asked for a client that has gone.
        next = if call.has_left() { None } else { following(charge.relay(), route, &call.envelope.model) };
    }
    let dispatched = failures.into_dispatched(charge.relay(), route, &call.envelope.model);
    charge.decision = route.take_decision();
    dispatched
}

/// The next attempt at a channel that still serves the model: an admin may have switched it off while another one was asked.
fn following(relay: &Relay, route: &mut Route, model: &str) -> Option<Attempt> {
    let serving = relay.channels.candidates(model);
    loop {
        let attempt = route.next_attempt()?;
        if serving.iter().any(|channel| channel.id == attempt.channel.id) {
            return Some(attempt);
        }
        route.gone(attempt);
    }
}

impl Dispatched {
    /// The upstream's status.
    fn status(&self) -> u16 {
        if let Dispatched::Refused { status, .. } = self { status.as_u16() } else { 200 }
    }
}

/// What went wrong so far.
#[derive(Default)]
struct Failures {
    missed: Vec<String>,
    asked: bool,
    timed_out: bool,
    /// The shortest pause that an upstream asked for.
    pause: Option<Duration>,
    unfit: Option<super::dialect::canonical::Unfit>,
}

impl Failures {
    fn add(&mut self, channel: &Channel, miss: &Miss) {
        self.asked = true;
        self.timed_out = matches!(miss.verdict, Verdict::Timeout | Verdict::TimeUp);
        self.pause = self.pause.into_iter().chain(miss.retry_after).min();
        self.missed.push(format!("{}: {}", channel.name, miss.why));
    }

    fn into_dispatched(self, relay: &Relay, route: &Route, model: &str) -> Dispatched {
        let (mut why, pause) = (self.missed.join("; "), self.pause_seconds());
        let error = match self.unfit {
            Some(unfit) if !self.asked => {
                why = unfit.to_string();
                ApiError::unfit(unfit)
            }
            _ if !self.asked => unserved(relay, route, model),
            _ if self.timed_out => ApiError { retry_after: pause, ..ApiError::upstream_timeout() },
            _ => ApiError { retry_after: pause, ..ApiError::upstream_failed() },
        };
        Dispatched::Failed { error, why }
    }

    /// The shortest pause in whole seconds, an hour at most.
    fn pause_seconds(&self) -> Option<u32> {
        let seconds = self.pause?.as_millis().div_ceil(1_000).clamp(1, 3_600);
        u32::try_from(seconds).ok()
    }
}
