//! Finding an upstream that answers: channels in order, the next one on anything that is not the caller's fault, until the first
//! byte of an answer.

mod ask;
mod prepare;
mod refusal;
mod translated;

pub(super) use translated::Translated;

use super::Relay;
use super::charge::{Call, Charge};
use super::error::ApiError;
use super::flow::Flow;
use super::report::UsageReport;
use super::route;
use super::whole::Rename;
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

/// The channels to try, in order.
///
/// # Errors
/// When there is none.
pub(super) fn plan(relay: &Relay, call: &Call, headers: &HeaderMap) -> Result<Vec<Arc<Channel>>, ApiError> {
    let channels = route::order(relay, call, headers);
    if channels.is_empty() { Err(ApiError::no_channel(&call.envelope.model)) } else { Ok(channels) }
}

/// Asks one channel after the other, each with another key when it is the key that failed.
pub(super) async fn dispatch(charge: &mut Charge, channels: &[Arc<Channel>], cap: Option<u64>) -> Dispatched {
    let (mut left, deadline) = (charge.relay().config.attempts, Instant::now() + charge.relay().config.total_timeout);
    let mut failures = Failures::default();
    for channel in channels {
        let mut tried_keys = Vec::new();
        while left > 0 && Instant::now() < deadline {
            let draw = u64::from_le_bytes(charge.relay().kit.random.bytes());
            let model = channel.upstream_model(&charge.call.envelope.model, draw).to_owned();
            let mut way = match channel.permit(&model, None, &tried_keys) {
                Ok(way) => way,
                Err(refusal) => {
                    if tried_keys.is_empty() {
                        failures.missed.push(format!("{}: not asked, {refusal:?}", channel.name));
                    }
                    break;
                }
            };
            let call = Arc::clone(&charge.call);
            let prepared = match prepare::prepare(&call, channel, &way, cap) {
                Ok(prepared) => prepared,
                Err(unfit) => {
                    failures.unfit.get_or_insert(unfit);
                    break;
                }
            };
            left -= 1;
            tried_keys.push(way.key);
            charge.serving = Some((Arc::clone(channel), model));
            charge.first_byte_ms = None;
            charge.dispatched = true;
            match ask::ask(charge, channel, &way, prepared).await {
                Ok(dispatched) => {
                    if !matches!(dispatched, Dispatched::Stream { .. }) {
                        way.report(Verdict::Ok, None);
                    }
                    charge.way = Some(way);
                    return dispatched;
                }
                Err(miss) => {
                    tracing::warn!(request = %charge.call.id, channel = %channel.name, why = %miss.why, "a channel failed before the first byte");
                    way.report(miss.verdict, miss.retry_after);
                    let another_key = miss.verdict.is_the_keys();
                    failures.add(channel, miss);
                    if !another_key {
                        break;
                    }
                }
            }
        }
    }
    failures.into_dispatched(&charge.call.envelope.model)
}

/// What went wrong so far.
#[derive(Default)]
struct Failures {
    missed: Vec<String>,
    asked: bool,
    timed_out: bool,
    unfit: Option<super::dialect::canonical::Unfit>,
}

impl Failures {
    fn add(&mut self, channel: &Channel, miss: Miss) {
        self.asked = true;
        self.timed_out = miss.verdict == Verdict::Timeout;
        self.missed.push(format!("{}: {}", channel.name, miss.why));
    }

    fn into_dispatched(self, model: &str) -> Dispatched {
        let mut why = self.missed.join("; ");
        let error = match self.unfit {
            Some(unfit) if !self.asked => {
                why = unfit.to_string();
                ApiError::unfit(unfit)
            }
            _ if !self.asked => ApiError::no_channel(model),
            _ if self.timed_out => ApiError::upstream_timeout(),
            _ => ApiError::upstream_failed(),
        };
        Dispatched::Failed { error, why }
    }
}
