//! Finding an upstream that answers: channels in order, the next one on anything that is not the caller's fault, until the first
//! byte of an answer.

use super::charge::Charge;
use super::dialect::openai_answer::{self, Answer};
use super::error::ApiError;
use super::report::UsageReport;
use super::{Relay, scan};
use crate::channels::{Channel, Dialect, Target};
use crate::failpoint;
use axum::http::{HeaderValue, StatusCode, header};
use bytes::{Bytes, BytesMut};
use reqwest::Response;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// The largest answer that is read as a whole.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// The largest error that is read.
const MAX_ERROR: usize = 64 * 1024;
/// How many channels a request tries.
const ATTEMPTS: usize = 5;
/// How long an answer that is no stream may take in all, from its first byte.
const WHOLE_ANSWER: Duration = Duration::from_secs(600);

/// What came of asking the upstreams.
pub(super) enum Dispatched {
    /// A whole answer.
    Answer { body: Bytes, answer: Answer },
    /// A stream, and the first piece of it.
    Stream { response: Response, first: Bytes },
    /// The upstream says that the request itself is wrong.
    Refused { status: StatusCode, body: String },
    /// Nobody answered.
    Failed { error: ApiError, why: String },
}

/// Why one channel did not do.
enum Miss {
    /// It did not answer in time.
    Timeout(String),
    /// Anything else.
    Fault(String),
}

/// The order in which channels are tried: highest priority first, weighted chance within one priority.
pub(super) fn order(relay: &Relay, channels: &[Arc<Channel>]) -> Vec<Arc<Channel>> {
    let mut rest: Vec<Arc<Channel>> = channels.to_vec();
    let mut ordered = Vec::with_capacity(rest.len());
    while let Some(first) = rest.first() {
        let top = rest.iter().take_while(|channel| channel.priority == first.priority).count();
        let total: i64 = rest[..top].iter().map(|channel| channel.weight).sum();
        let mut draw = if top == 1 { 0 } else { relay.kit.random.below(total.unsigned_abs()) as i64 };
        let drawn = rest[..top].iter().position(|channel| {
            draw -= channel.weight;
            draw < 0
        });
        ordered.push(rest.remove(drawn.unwrap_or(0)));
    }
    ordered
}

/// Asks one channel after the other.
pub(super) async fn dispatch(charge: &mut Charge, channels: &[Arc<Channel>], body: Bytes) -> Dispatched {
    let mut missed: Vec<String> = Vec::new();
    let mut timed_out = false;
    for channel in channels.iter().take(ATTEMPTS) {
        charge.channel = Some(channel.id);
        charge.first_byte_ms = None;
        charge.dispatched = true;
        match ask(charge, channel, body.clone()).await {
            Ok(dispatched) => return dispatched,
            Err(miss) => {
                let (Miss::Timeout(why) | Miss::Fault(why)) = &miss;
                tracing::warn!(request = %charge.call.id, channel = %channel.name, why, "a channel failed before the first byte");
                timed_out = matches!(miss, Miss::Timeout(_));
                missed.push(format!("{}: {why}", channel.name));
            }
        }
    }
    let error = if timed_out { ApiError::upstream_timeout() } else { ApiError::upstream_failed() };
    Dispatched::Failed { error, why: missed.join("; ") }
}

async fn ask(charge: &mut Charge, channel: &Channel, body: Bytes) -> Result<Dispatched, Miss> {
    let relay = charge.relay().clone();
    let streamed = charge.call.request.stream;
    let key = channel.keys.first().ok_or_else(|| Miss::Fault("it has no key".to_owned()))?;
    let endpoint = channel.endpoint(key, Target::Chat(Dialect::Chat), &charge.call.request.model, streamed);
    let endpoint = endpoint.ok_or_else(|| Miss::Fault("it does not speak the dialect".to_owned()))?;
    let request = channel
        .client()
        .post(endpoint.url.into_owned())
        .headers(endpoint.headers.clone())
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(header::ACCEPT, HeaderValue::from_static(if streamed { "text/event-stream" } else { "application/json" }))
        .body(body)
        .send();
    let patience = relay.config.first_byte_timeout;
    let response = match tokio::time::timeout(patience, request).await {
        Err(_) => return Err(Miss::Timeout(format!("no answer within {} ms", patience.as_millis()))),
        Ok(Err(error)) => return Err(request_fault(error)),
        Ok(Ok(response)) => response,
    };
    failpoint::reach("upstream_answered");
    let status = response.status();
    match status.as_u16() {
        200..=299 if streamed => begin_stream(charge, response, patience).await,
        200..=299 => whole_answer(charge, response).await,
        400 | 404 | 413 | 422 => Ok(refusal(channel, status, response, &relay).await),
        other => Err(Miss::Fault(format!("status {other}"))),
    }
}

/// Without the address: a log line may be shown to people who should not see it.
fn request_fault(error: reqwest::Error) -> Miss {
    let timeout = error.is_timeout();
    let text = format!("{:#}", anyhow::Error::new(error.without_url()));
    if timeout { Miss::Timeout(text) } else { Miss::Fault(text) }
}

/// A stream counts as begun when its first piece is here: until then another channel can take over.
async fn begin_stream(charge: &mut Charge, mut response: Response, patience: Duration) -> Result<Dispatched, Miss> {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("text/event-stream") {
        return Err(Miss::Fault(format!("a stream was asked for, '{}' came", kind.chars().take(60).collect::<String>())));
    }
    match tokio::time::timeout(patience, response.chunk()).await {
        Err(_) => Err(Miss::Timeout(format!("the stream began with nothing for {} ms", patience.as_millis()))),
        Ok(Err(error)) => Err(request_fault(error)),
        Ok(Ok(None)) => Err(Miss::Fault("the stream ended before it began".to_owned())),
        Ok(Ok(Some(first))) => match scan::false_start(&first) {
            Some(why) => Err(Miss::Fault(why)),
            None => {
                charge.first_byte();
                Ok(Dispatched::Stream { response, first })
            }
        },
    }
}

async fn whole_answer(charge: &mut Charge, response: Response) -> Result<Dispatched, Miss> {
    let idle = charge.relay().config.idle_timeout;
    charge.first_byte();
    let body = tokio::time::timeout(WHOLE_ANSWER, read_up_to(response, MAX_ANSWER, idle)).await;
    let body = body.unwrap_or_else(|_| Err(Miss::Timeout("the answer did not end".to_owned())))?;
    let answer = openai_answer::read_answer(&body).ok_or_else(|| Miss::Fault("the answer is not a chat completion".to_owned()))?;
    if answer.usage == UsageReport::Absurd {
        return Err(Miss::Fault("the answer's usage cannot be".to_owned()));
    }
    Ok(Dispatched::Answer { body, answer })
}

async fn read_up_to(mut response: Response, limit: usize, idle: Duration) -> Result<Bytes, Miss> {
    let mut whole = BytesMut::new();
    loop {
        match tokio::time::timeout(idle, response.chunk()).await {
            Err(_) => return Err(Miss::Timeout(format!("the answer paused for {} ms", idle.as_millis()))),
            Ok(Err(error)) => return Err(request_fault(error)),
            Ok(Ok(None)) => return Ok(whole.freeze()),
            Ok(Ok(Some(piece))) if whole.len() + piece.len() > limit => {
                return Err(Miss::Fault(format!("the answer has more than {limit} bytes, {} read", whole.len())));
            }
            // Most answers are one piece, which needs no copy.
            Ok(Ok(Some(piece))) if whole.is_empty() => match response.content_length() {
                Some(length) if length == piece.len() as u64 => return Ok(piece),
                _ => whole.extend_from_slice(&piece),
            },
            Ok(Ok(Some(piece))) => whole.extend_from_slice(&piece),
        }
    }
}

/// The upstream's own words about the caller's mistake, in OpenAI's form, without the upstream's name.
async fn refusal(channel: &Channel, status: StatusCode, response: Response, relay: &Relay) -> Dispatched {
    let body = read_up_to(response, MAX_ERROR, relay.config.idle_timeout).await.unwrap_or_default();
    let parsed: Value = serde_json::from_slice(&body).unwrap_or_default();
    // Not every upstream wraps its error as OpenAI does.
    let error = parsed.get("error").unwrap_or(&parsed);
    let clean = |value: &Value| match value {
        Value::String(text) => Some(Value::String(without_names(text, channel))),
        Value::Number(_) => Some(value.clone()),
        _ => None,
    };
    let field = |name: &str| error.get(name).and_then(clean);
    let message = field("message").or_else(|| error.get("detail").and_then(clean)).or_else(|| clean(error));
    let body = serde_json::json!({"error": {
        "message": message.unwrap_or_else(|| "The upstream provider refused the request as invalid.".into()),
        "type": field("type").unwrap_or_else(|| "invalid_request_error".into()),
        "param": field("param"),
        "code": field("code"),
    }});
    Dispatched::Refused { status, body: body.to_string() }
}

fn without_names(text: &str, channel: &Channel) -> String {
    let mut out: String = text.chars().take(2000).collect();
    let host = channel.base_url.host_str().unwrap_or_default();
    let keys = channel.keys.iter().map(|key| key.secret.reveal().as_str());
    for name in keys.chain([channel.base_url.as_str(), host, channel.name.as_str()]) {
        if name.len() > 3 {
            out = out.replace(name, "upstream");
        }
    }
    out
}
