//! What all requests share, and the path of one through the upstream: log, key, parse, switches, answer, script, play.

use super::cache::{Cache, Hit};
use super::call::{Call, Dialect, Task};
use super::fault::{self, Fault};
use super::job::{Body as Answered, Job, Reply};
use super::log::{Asked, Log, Outcome, Ticket};
use super::multipart::{self, Upload};
use super::player::Player;
use super::prompt::{Prompt, Refused};
use super::script;
use super::server::{HangUp, Line};
use super::switches::Switches;
use super::{MODELS, Options, openai};
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The state of an upstream.
pub(super) struct Stage {
    pub options: Options,
    pub log: Log,
    /// Counts the releases of the gate.
    pub gate: watch::Sender<u64>,
    /// Switches that apply to every request.
    pub always: Mutex<Switches>,
    cache: Cache,
    closing: CancellationToken,
}

/// All paths lead to one handler, for what a path is for depends on more than its segments.
pub(super) fn router(stage: Arc<Stage>) -> Router {
    Router::new().fallback(answer).layer(DefaultBodyLimit::disable()).with_state(stage)
}

async fn answer(State(stage): State<Arc<Stage>>, method: Method, uri: Uri, headers: HeaderMap, extensions: Extensions, raw: Bytes) -> Response {
    let line = extensions.get::<Line>().cloned().unwrap_or_default();
    let call = Call::find(&method, &uri, &headers);
    let read = read_body(&headers, &raw);
    let body = read.as_ref().map(|(body, _)| body.clone()).unwrap_or_default();
    let asked = Asked { method, uri: uri.clone(), headers: headers.clone(), raw, body, call: call.clone() };
    let ticket = stage.log.open(asked, stage.closing.clone());
    let Some(call) = call else { return lost(ticket, &uri) };
    let (auth, key) = call.key(&uri, &headers);
    if stage.options.key.is_some() && stage.options.key != key {
        let (status, body) = call.stranger(auth);
        return finish(ticket, status, body);
    }
    if call.lacks_version {
        return finish(ticket, 404, openai::azure::not_found());
    }
    if matches!(call.task, Task::Models | Task::Model) {
        return finish(ticket, 200, call.models(MODELS, stage.options.clock.now_ms() / 1000));
    }
    match stage.perform(&call, ticket, &headers, read, line).await {
        Ok(response) => response,
        Err((ticket, refused)) => {
            let (status, body) = call.refusal(&refused);
            finish(ticket, status, body)
        }
    }
}

fn read_body(headers: &HeaderMap, raw: &Bytes) -> Option<(Value, Vec<Upload>)> {
    match multipart::boundary(headers) {
        Some(boundary) => multipart::parse(raw, &boundary),
        None => Some((serde_json::from_slice(raw).ok()?, Vec::new())),
    }
}

fn lost(ticket: Ticket, uri: &Uri) -> Response {
    let refused = Refused { status: 404, ..Refused::new("url", format!("Invalid URL ({})", uri.path())) };
    finish(ticket, 404, openai::refusal(&refused))
}

impl Stage {
    pub fn new(options: Options, closing: CancellationToken) -> Self {
        let log = Log::new(options.remember);
        Self { log, gate: watch::Sender::new(0), always: Mutex::default(), cache: Cache::default(), closing, options }
    }

    /// All switches of a request, and its question without them.
    fn switches(&self, prompt: &Prompt, headers: &HeaderMap, number: u64) -> (Switches, String) {
        let mut switches = self.always.lock().unwrap_or_else(|e| e.into_inner()).clone();
        switches.read_model(&prompt.model);
        switches.read_headers(headers);
        let question = switches.read_message(&prompt.question);
        if let (None, Some(luck)) = (&switches.fault, switches.luck) {
            switches.fault = fault::by_chance(luck, switches.seed, number);
        }
        (switches, question)
    }

    async fn perform(
        &self,
        call: &Call,
        ticket: Ticket,
        headers: &HeaderMap,
        read: Option<(Value, Vec<Upload>)>,
        line: Line,
    ) -> Result<Response, (Ticket, Refused)> {
        let Some((body, files)) = read else { return Err((ticket, Refused::new("body", "the body is not valid JSON"))) };
        let prompt = match call.parse(headers, &body) {
            Ok(prompt) => prompt,
            Err(refused) => return Err((ticket, refused)),
        };
        let (switches, question) = self.switches(&prompt, headers, ticket.number);
        ticket.suffers(switches.fault.clone());
        let ticket = match misfire(call, ticket, &switches, &prompt.model, &line) {
            Ok(response) => return Ok(response),
            Err(ticket) => ticket,
        };
        if let Some(refused) = switches.strict.then(|| call.objection(&body)).flatten() {
            return Err((ticket, refused));
        }
        let hit = if switches.caching { self.cache.read(&prompt) } else { Hit::default() };
        let (number, created) = (ticket.number, self.options.clock.now_ms() / 1000);
        let job = Job { call, body: &body, files: &files, prompt: &prompt, question: &question, switches: &switches, hit, number, created };
        Ok(self.play(&job, call.reply(&job), ticket, line).await)
    }

    async fn play(&self, job: &Job<'_>, reply: Reply, ticket: Ticket, line: Line) -> Response {
        let pace = job.switches.pace.unwrap_or(self.options.pace);
        let pace = super::Pace { first_byte_ms: job.switches.wait_ms.unwrap_or(pace.first_byte_ms), ..pace };
        let script = match reply.body {
            Answered::Whole(frame) => script::whole(job.call, reply.content_type, frame, job.switches, pace),
            Answered::Stream(frames) => script::streamed(job.call, reply.content_type, frames, job.switches, pace),
        };
        ticket.reports(reply.usage);
        let mut player = Player { acts: VecDeque::new(), ticket, gate: self.gate.clone(), line };
        player.wait(&script.before).await;
        player.ticket.answered(reply.status);
        player.acts = script.acts;
        let content_type = if job.switches.wrong_type { "text/plain; charset=utf-8" } else { script.content_type };
        let (number, status) = (player.ticket.number, StatusCode::from_u16(reply.status).unwrap_or_default());
        let mut response = (status, [(CONTENT_TYPE, content_type)], player.into_body()).into_response();
        if let Some(length) = script.length {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        let name = if job.call.dialect == Dialect::Anthropic { "request-id" } else { "x-request-id" };
        if let Ok(value) = HeaderValue::from_str(&format!("req_upstream_{number}")) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
        response
    }
}

/// The faults that take the place of an answer. Gives the ticket back when there is none.
fn misfire(call: &Call, mut ticket: Ticket, switches: &Switches, model: &str, line: &Line) -> Result<Response, Ticket> {
    let absent = switches.no_responses && call.task == Task::Responses;
    match switches.fault {
        _ if absent => Ok(finish(ticket, 404, json!({"detail": "Not Found"}))),
        Some(Fault::Absent) => Ok(finish(ticket, 404, json!({"detail": "Not Found"}))),
        Some(Fault::Status(status)) => Ok(error(call, ticket, status, model, switches)),
        Some(Fault::HangUp | Fault::Reset(None)) => {
            if switches.fault == Some(Fault::Reset(None)) {
                line.reset();
            }
            ticket.end(Outcome::Cut);
            let mut response = Response::default();
            response.extensions_mut().insert(HangUp);
            Ok(response)
        }
        Some(Fault::Empty) => Ok(complete(ticket, 200, ([(CONTENT_TYPE, "application/json")], Body::empty()))),
        Some(Fault::Html) => Ok(complete(ticket, 200, Html("<!doctype html><title>Welcome</title><h1>It works!</h1>"))),
        Some(Fault::Redirect) => Ok(complete(ticket, 302, [(LOCATION, "/elsewhere")])),
        _ => Err(ticket),
    }
}

/// An error answer, with the pause that it asks for. Google names the pause in the body and not in a header.
fn error(call: &Call, ticket: Ticket, status: u16, model: &str, switches: &Switches) -> Response {
    let body = call.error(status, model, switches.retry_after);
    let usual = (matches!(status, 429 | 503 | 529) && call.dialect != Dialect::Gemini).then_some(1);
    let pause = switches.retry_after.or(usual).filter(|_| !switches.no_retry_after);
    let mut response = finish(ticket, status, body);
    if let Some(seconds) = pause {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// A complete JSON answer at once: an error, or the list of models.
fn finish(ticket: Ticket, status: u16, body: Value) -> Response {
    complete(ticket, status, Json(body))
}

fn complete(mut ticket: Ticket, status: u16, body: impl IntoResponse) -> Response {
    ticket.answered(status);
    ticket.end(Outcome::Completed);
    (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body).into_response()
}
