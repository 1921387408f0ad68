//! What all requests share, and the path of one through the upstream: log, key, parse, switches, script, play.

use super::answer::{Answer, Choice, compose, joined};
use super::dialect::Dialect;
use super::log::{Log, Outcome, Ticket};
use super::player::Player;
use super::prompt::{Prompt, Refused};
use super::script::{self, Frame, Script};
use super::server::HangUp;
use super::switches::{Fault, Switches};
use super::{MODELS, Options};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
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
    closing: CancellationToken,
}

type Shared = State<Arc<Stage>>;

/// The paths that the upstream serves.
pub(super) fn router(stage: Arc<Stage>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(|stage: Shared, m: Method, u: Uri, h: HeaderMap, b: Bytes| answer(Dialect::OpenAi, stage, m, u, h, b)))
        .route("/v1/messages", post(|stage: Shared, m: Method, u: Uri, h: HeaderMap, b: Bytes| answer(Dialect::Anthropic, stage, m, u, h, b)))
        .route("/v1/models", get(models))
        .fallback(lost)
        .layer(DefaultBodyLimit::disable())
        .with_state(stage)
}

async fn answer(dialect: Dialect, State(stage): Shared, method: Method, uri: Uri, headers: HeaderMap, raw: Bytes) -> Response {
    let ticket = stage.open(method, &uri, headers.clone(), raw.clone());
    if !stage.admits(dialect, &headers) {
        return refuse(ticket, 401, dialect.error(401, ""));
    }
    let Ok(body) = serde_json::from_slice::<Value>(&raw) else {
        return refuse(ticket, 400, dialect.refusal(&Refused::new("body", "the body is not valid JSON")));
    };
    let prompt = match dialect.parse(&headers, &body) {
        Ok(prompt) => prompt,
        Err(refused) => return refuse(ticket, 400, dialect.refusal(&refused)),
    };
    let (switches, question) = stage.switches(&prompt, &headers);
    match misfire(dialect, ticket, &switches, &prompt.model) {
        Ok(response) => response,
        Err(ticket) => stage.perform(dialect, ticket, &prompt, &question, &switches).await,
    }
}

async fn models(State(stage): Shared, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let dialect = if headers.contains_key("anthropic-version") { Dialect::Anthropic } else { Dialect::OpenAi };
    let ticket = stage.open(method, &uri, headers.clone(), Bytes::new());
    if !stage.admits(dialect, &headers) {
        return refuse(ticket, 401, dialect.error(401, ""));
    }
    refuse(ticket, 200, dialect.models(MODELS, stage.options.clock.now_ms() / 1000))
}

async fn lost(State(stage): Shared, method: Method, uri: Uri, headers: HeaderMap, raw: Bytes) -> Response {
    let ticket = stage.open(method, &uri, headers, raw);
    let message = format!("Invalid URL ({})", uri.path());
    refuse(ticket, 404, Dialect::OpenAi.refusal(&Refused { param: "url", message }))
}

impl Stage {
    pub fn new(options: Options, closing: CancellationToken) -> Self {
        Self { log: Log::new(options.remember), gate: watch::Sender::new(0), always: Mutex::default(), closing, options }
    }

    fn open(&self, method: Method, uri: &Uri, headers: HeaderMap, raw: Bytes) -> Ticket {
        self.log.open(method, uri, headers, raw, self.closing.clone())
    }

    fn admits(&self, dialect: Dialect, headers: &HeaderMap) -> bool {
        self.options.key.as_deref().is_none_or(|key| dialect.key(headers) == Some(key))
    }

    /// All switches of a request, and its question without them.
    fn switches(&self, prompt: &Prompt, headers: &HeaderMap) -> (Switches, String) {
        let mut switches = self.always.lock().unwrap_or_else(|e| e.into_inner()).clone();
        switches.read_model(&prompt.model);
        switches.read_headers(headers);
        let question = switches.read_message(&prompt.question);
        (switches, question)
    }

    async fn perform(&self, dialect: Dialect, ticket: Ticket, prompt: &Prompt, question: &str, switches: &Switches) -> Response {
        let answer = compose(prompt, question, switches, ticket.number, self.options.clock.now_ms() / 1000);
        let script = self.script(dialect, prompt, &answer, switches);
        ticket.reports(answer.usage);
        let mut player = Player { acts: VecDeque::new(), ticket, gate: self.gate.clone() };
        player.wait(&script.before).await;
        player.ticket.answered(200);
        player.acts = script.acts;
        let mut response = ([(CONTENT_TYPE, script.content_type)], player.into_body()).into_response();
        if let Some(length) = script.length {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        response
    }

    fn script(&self, dialect: Dialect, prompt: &Prompt, answer: &Answer, switches: &Switches) -> Script {
        let pace = switches.pace.unwrap_or(self.options.pace);
        if prompt.stream {
            return script::streamed(dialect, dialect.stream(prompt, answer), switches, pace);
        }
        let text: String = answer.choices.iter().map(|c| joined(&c.text) + &c.call.as_ref().map_or(String::new(), |call| joined(&call.arguments))).collect();
        let tokens = answer.choices.iter().map(Choice::tokens).sum();
        script::whole(dialect, Frame::content(dialect.whole(prompt, answer).to_string(), text, tokens), switches, pace)
    }
}

/// The faults that take the place of an answer. Gives the ticket back when there is none.
fn misfire(dialect: Dialect, mut ticket: Ticket, switches: &Switches, model: &str) -> Result<Response, Ticket> {
    match switches.fault {
        Some(Fault::Status(status)) => Ok(refuse(ticket, status, dialect.error(status, model))),
        Some(Fault::HangUp) => {
            ticket.end(Outcome::Cut);
            let mut response = Response::default();
            response.extensions_mut().insert(HangUp);
            Ok(response)
        }
        Some(Fault::Html) => {
            ticket.answered(200);
            ticket.end(Outcome::Completed);
            Ok(axum::response::Html("<!doctype html><title>Welcome</title><h1>It works!</h1>").into_response())
        }
        Some(Fault::Redirect) => {
            ticket.answered(302);
            ticket.end(Outcome::Completed);
            Ok((StatusCode::FOUND, [(LOCATION, "/elsewhere")]).into_response())
        }
        _ => Err(ticket),
    }
}

/// A complete answer at once: an error, or the list of models.
fn refuse(mut ticket: Ticket, status: u16, body: Value) -> Response {
    ticket.answered(status);
    ticket.end(Outcome::Completed);
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (code, axum::Json(body)).into_response();
    if matches!(status, 429 | 503 | 529) {
        response.headers_mut().insert(RETRY_AFTER, axum::http::HeaderValue::from_static("1"));
    }
    response
}
