//! One attempt: the request goes out, and what comes back is an answer, the beginning of a stream, a refusal, or a miss.

use super::prepare::{Back, Prepared};
use super::refusal::refusal;
use super::translated::Translated;
use super::{Dispatched, Miss, Patience, Whole};
use crate::channels::{Permit, Verdict, pause};
use crate::failpoint;
use crate::relay::charge::{Call, Charge};
use crate::relay::count;
use crate::relay::dialect::{self, Dialect, Echo, embed};
use crate::relay::flow::{Flow, Pass, PassOptions, Translation};
use crate::relay::operation::Operation;
use crate::relay::pipeline::header_text;
use crate::relay::rename::Rename;
use crate::relay::report::UsageReport;
use crate::relay::route::Attempt;
use crate::relay::scan::{self, Wire};
use crate::relay::whole;
use axum::http::{HeaderValue, Method, header};
use bytes::{Bytes, BytesMut};
use reqwest::Response;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The largest answer that is read as a whole.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// The largest error that is read.
pub(super) const MAX_ERROR: usize = 64 * 1024;
/// How long the body of an error is waited for that may say how long to wait.
const ERROR_PATIENCE: Duration = Duration::from_secs(1);

/// Asks a channel. But for a stream that has begun, all of it is over by the deadline.
pub(super) async fn ask(charge: &mut Charge, attempt: &Attempt, prepared: Prepared<'_>, deadline: Instant) -> Result<Dispatched, Miss> {
    let call = std::sync::Arc::clone(&charge.call);
    let streamed = call.envelope.stream;
    let (channel, way) = (&attempt.channel, &attempt.permit);
    let request = request(&call, attempt, &prepared, streamed)?;
    let patience = Patience::new(channel.options.first_byte_timeout.unwrap_or(charge.relay().config.first_byte_timeout), deadline);
    let idle = channel.options.idle_timeout.unwrap_or(charge.relay().config.idle_timeout);
    let response = match timeout_at(patience.first_byte, channel.client().execute(request)).await {
        Err(_) => return Err(patience.over("no answer in time")),
        Ok(Err(error)) => return Err(request_fault(error)),
        Ok(Ok(response)) => response,
    };
    failpoint::reach("upstream_answered");
    let status = response.status();
    match status.as_u16() {
        200..=299 if streamed => begin_stream(charge, response, patience, way, prepared.back).await,
        200..=299 => whole_answer(charge, response, idle, patience, way, prepared.back).await,
        400 | 404 | 413 | 422 => refusal(&call, channel, way, status, response, idle, deadline).await,
        other => Err(Miss { retry_after: pause(response, deadline).await, ..Miss::new(Verdict::Status(other), format!("status {other}")) }),
    }
}

fn request(call: &Call, attempt: &Attempt, prepared: &Prepared<'_>, streamed: bool) -> Result<reqwest::Request, Miss> {
    let (channel, way) = (&attempt.channel, &attempt.permit);
    let key = channel.keys.get(way.key).ok_or_else(|| Miss::broken("its key is gone"))?;
    let endpoint = channel.endpoint(key, attempt.target, &way.model, streamed).ok_or_else(|| Miss::broken("it does not offer this"))?;
    let mut request = reqwest::Request::new(Method::POST, endpoint.url.into_owned());
    let headers = request.headers_mut();
    headers.clone_from(endpoint.headers);
    let content_type = HeaderValue::try_from(prepared.content_type).map_err(|_| Miss::broken("the content type cannot stand in a header"))?;
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::ACCEPT, HeaderValue::from_static(if streamed { "text/event-stream" } else { "*/*" }));
    if prepared.back == Back::AsIs {
        for (name, value) in &call.betas {
            let value = match headers.get(name) {
                Some(before) if name.as_str() == "anthropic-beta" => joined(before, value),
                _ => value.clone(),
            };
            headers.insert(name.clone(), value);
        }
    }
    *request.body_mut() = Some(prepared.body.clone().into());
    Ok(request)
}

/// Two lines of a list as one (RFC 9110, 5.3); the first may be the channel's own.
fn joined(before: &HeaderValue, value: &HeaderValue) -> HeaderValue {
    let line = [before.as_bytes(), b",", value.as_bytes()].concat();
    let mut line = HeaderValue::from_bytes(&line).unwrap_or_else(|_| value.clone());
    line.set_sensitive(before.is_sensitive());
    line
}

/// Without the address: a log line may be shown to people who should not see it.
fn request_fault(error: reqwest::Error) -> Miss {
    let verdict = if error.is_connect() {
        Verdict::Connect
    } else if error.is_timeout() {
        Verdict::Timeout
    } else {
        Verdict::Broken
    };
    Miss::new(verdict, format!("{:#}", anyhow::Error::new(error.without_url())))
}

/// The pause that an upstream asks for with an error.
async fn pause(response: Response, deadline: Instant) -> Option<Duration> {
    if let Some(pause) = pause::in_headers(response.headers()) {
        return Some(pause);
    }
    // Google's, also where they speak OpenAI's dialect, say it in the body. It comes with the head, or is not worth a wait.
    let until = deadline.min(Instant::now() + ERROR_PATIENCE);
    let body = timeout_at(until, read_up_to(response, MAX_ERROR, ERROR_PATIENCE)).await.ok()?.ok()?;
    pause::in_body(&body)
}

fn echo(call: &Call, dialect: Dialect) -> Result<Echo, Miss> {
    let request = call.canonical(dialect).map_err(|unfit| Miss::broken(unfit.to_string()))?;
    Ok(Echo {
        request,
        model: call.envelope.model.clone(),
        id: call.id.to_string(),
        created: call.started_ms / 1000,
        include_usage: call.envelope.include_usage || call.envelope.include_cost,
        input_tokens: count::estimate(call.size.bytes).max(1),
    })
}

fn flow(call: &Call, way: &Permit, back: Back) -> Result<Flow, Miss> {
    match (back, call.envelope.operation) {
        (Back::From(from), Operation::Generate(to)) => {
            let translation = Translation::new(from, to, call.array, call.envelope.include_cost, echo(call, to)?);
            Ok(Flow::Translation(Box::new(translation)))
        }
        _ => Ok(Flow::Pass(Box::new(Pass::new(PassOptions {
            wire: Wire::of(call.envelope.operation),
            tongue: call.tongue(),
            request_id: call.id.to_string(),
            include_usage: call.envelope.include_usage,
            include_cost: call.envelope.include_cost,
            rename: Rename::new(&way.model, &call.envelope.model),
            array: call.array,
            choices: call.envelope.choices,
        })))),
    }
}

/// A stream counts as begun when its first piece is here: until then another channel can take over.
async fn begin_stream(charge: &mut Charge, mut response: Response, patience: Patience, way: &Permit, back: Back) -> Result<Dispatched, Miss> {
    let kind = header_text(response.headers(), header::CONTENT_TYPE);
    if !kind.starts_with("text/event-stream") {
        return Err(Miss::broken(format!("a stream was asked for, '{}' came", kind.chars().take(60).collect::<String>())));
    }
    let first = match timeout_at(patience.first_byte, response.chunk()).await {
        Err(_) => return Err(patience.over("the stream began with nothing")),
        Ok(Err(error)) => return Err(request_fault(error)),
        Ok(Ok(None)) => return Err(Miss::broken("the stream ended before it began")),
        Ok(Ok(Some(first))) => first,
    };
    let wire = match back {
        Back::From(dialect) => Wire::from(dialect),
        _ => Wire::of(charge.call.envelope.operation),
    };
    if let Some(why) = scan::false_start(wire, &first) {
        return Err(Miss::broken(why));
    }
    let flow = flow(&charge.call, way, back)?;
    charge.first_byte();
    Ok(Dispatched::Stream { response, first, flow })
}

async fn whole_answer(charge: &mut Charge, response: Response, idle: Duration, patience: Patience, way: &Permit, back: Back) -> Result<Dispatched, Miss> {
    charge.first_byte();
    let content_type = header_text(response.headers(), header::CONTENT_TYPE).to_owned();
    let body = read(response, MAX_ANSWER, idle, Some(patience)).await?;
    let call = &charge.call;
    let whole = match (back, call.envelope.operation) {
        (Back::From(from), Operation::Generate(to)) => {
            let answer = dialect::parse_answer(from, &body).map_err(|broken| Miss::broken(broken.to_string()))?;
            let usage = answer.usage;
            let translated = Some(Box::new(Translated { answer, to, echo: echo(call, to)? }));
            Whole { body, usage, is_json: true, content_type: "application/json".to_owned(), rename: None, is_embedded: false, translated }
        }
        (Back::EmbedFromOpenAi | Back::EmbedFromGemini, operation) => embeddings(call, &body, back, operation)?,
        (_, operation) => {
            let is_json = content_type.contains("json") || body.first() == Some(&b'{');
            let usage = whole::read(operation, is_json, &body).ok_or_else(|| Miss::broken("the answer is not what was asked for"))?;
            Whole {
                body,
                usage,
                is_json,
                content_type: client_type(operation, is_json, content_type),
                rename: Rename::new(&way.model, &call.envelope.model),
                is_embedded: false,
                translated: None,
            }
        }
    };
    if whole.usage == UsageReport::Absurd {
        return Err(Miss::broken("the answer's usage cannot be"));
    }
    Ok(Dispatched::Whole(whole))
}

/// What the client is told that an answer is: of an upstream's own words only those that the operation can have.
fn client_type(operation: Operation, is_json: bool, content_type: String) -> String {
    let is_sound = operation == Operation::Speech && (content_type.starts_with("audio/") || content_type == "application/octet-stream");
    let is_text = matches!(operation, Operation::Transcriptions | Operation::Translations) && content_type.starts_with("text/");
    match (is_json, is_sound || is_text) {
        (true, _) => "application/json".to_owned(),
        (false, true) => content_type,
        (false, false) => "application/octet-stream".to_owned(),
    }
}

fn embeddings(call: &Call, body: &[u8], back: Back, operation: Operation) -> Result<Whole, Miss> {
    let garbage = |broken: dialect::canonical::Broken| Miss::broken(broken.to_string());
    let (body, usage) = if back == Back::EmbedFromOpenAi {
        let is_batch = operation == Operation::GeminiEmbedBatch;
        (embed::openai_answer_to_gemini(body, is_batch).map_err(garbage)?, crate::relay::report::read_answer(crate::relay::report::Form::Embeddings, body))
    } else {
        let usage = crate::relay::report::read_answer(crate::relay::report::Form::Gemini, body);
        (embed::gemini_answer_to_openai(body, &call.body, &call.envelope.model).map_err(garbage)?, usage)
    };
    let (content_type, is_embedded) = ("application/json".to_owned(), back == Back::EmbedFromGemini);
    Ok(Whole { body: body.into(), usage, is_json: true, content_type, rename: None, is_embedded, translated: None })
}

pub(super) async fn read_up_to(response: Response, limit: usize, idle: Duration) -> Result<Bytes, Miss> {
    read(response, limit, idle, None).await
}

/// Reads a body of which something must be here in time, where that is said: what flows is paid for and only ended by a pause.
async fn read(mut response: Response, limit: usize, idle: Duration, begin: Option<Patience>) -> Result<Bytes, Miss> {
    let mut whole = BytesMut::new();
    loop {
        let pause = Instant::now() + idle;
        let begin = begin.filter(|patience| whole.is_empty() && patience.begun < pause);
        match timeout_at(begin.map_or(pause, |patience| patience.begun), response.chunk()).await {
            Err(_) if begin.is_some() => return Err(Miss::new(Verdict::TimeUp, "the answer did not begin in time")),
            Err(_) => return Err(Miss::timeout(format!("the answer paused for {} ms", idle.as_millis()))),
            Ok(Err(error)) => return Err(request_fault(error)),
            Ok(Ok(None)) => return Ok(whole.freeze()),
            Ok(Ok(Some(piece))) if whole.len() + piece.len() > limit => {
                return Err(Miss::broken(format!("the answer has more than {limit} bytes, {} read", whole.len())));
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
