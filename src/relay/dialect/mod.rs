//! The dialects that clients and upstreams speak. Where caller and upstream speak the same one, bytes pass untouched; where they differ, a request is parsed into
//! the form of [`canonical`], rendered in the upstream's dialect, and the answer goes the other way. Pure: bytes in, bytes out.
//!
//! Each dialect has a folder of the same four parts: `parse_request`, `render_request`, `parse_answer`, `render_answer`, and for streams `StreamParser` and
//! `StreamRenderer`. The functions here choose among them.

pub mod canonical;
pub mod chat;
pub mod custom;
pub mod data_url;
pub mod embed;
pub mod fields;
mod foreign;
pub mod gemini;
pub mod messages;
pub mod models;
mod origin;
pub mod responses;
pub mod sse;

use bytes::BytesMut;
use canonical::{Answer, Broken, Event, Request, Unfit};

pub use crate::channels::Dialect;
pub use foreign::strip;
pub use origin::trace;

/// What a rendered request needs to know of the upstream.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The upstream's name of the model.
    pub model: &'a str,
    /// The output cap to send: the caller's, or a lower one that the balance affords. None: the caller set none and need not.
    pub output_cap: Option<u64>,
    /// The output cap for a dialect that demands one when the caller set none.
    pub default_cap: u64,
    /// The upstream is OpenAI's own service or Azure's, which refuse some older fields and know some newer ones (`max_completion_tokens`, `developer`).
    pub is_openai: bool,
}

/// What an answer for the caller repeats or adds.
#[derive(Clone, Debug)]
pub struct Echo {
    /// What was asked. An answer in Responses repeats most of it.
    pub request: std::sync::Arc<Request>,
    /// The public name of the model, which the answer carries whatever the upstream calls it.
    pub model: String,
    /// Our id of the request, for an answer whose upstream gave none, and for made-up ids of items.
    pub id: String,
    /// When it began, in unix seconds.
    pub created: i64,
    /// The caller of a Chat stream asked for its usage chunk.
    pub include_usage: bool,
    /// About how many tokens went in, for a dialect that says so before the answer begins.
    pub input_tokens: u64,
}

/// What ends a stream once the charge is durable.
#[derive(Clone, Debug, Default)]
pub struct Closing<'a> {
    /// What was charged for.
    pub usage: crate::kernel::Usage,
    /// What it cost, in dollars, for a caller who asked (`"usage": {"include": true}`): written as `cost` into the usage object.
    pub cost: Option<&'a str>,
}

/// Reads a request in a dialect. `model` and `stream` are what Gemini has in its address.
///
/// # Errors
/// A field that is wrong, or that no other dialect has words for.
pub fn parse_request(dialect: Dialect, body: &[u8], model: &str, stream: bool) -> Result<Request, Unfit> {
    match dialect {
        Dialect::Chat => chat::parse_request(body),
        Dialect::Responses => responses::parse_request(body),
        Dialect::Messages => messages::parse_request(body),
        Dialect::Gemini => gemini::parse_request(body, model, stream),
    }
}

/// Writes a request in a dialect.
///
/// # Errors
/// A field that this dialect has no words for.
pub fn render_request(dialect: Dialect, request: &Request, target: &Target<'_>) -> Result<Vec<u8>, Unfit> {
    match dialect {
        Dialect::Chat => chat::render_request(request, target),
        Dialect::Responses => responses::render_request(request, target),
        Dialect::Messages => messages::render_request(request, target),
        Dialect::Gemini => gemini::render_request(request, target),
    }
}

/// Reads a whole answer in a dialect.
///
/// # Errors
/// When it is none.
pub fn parse_answer(dialect: Dialect, body: &[u8]) -> Result<Answer, Broken> {
    match dialect {
        Dialect::Chat => chat::parse_answer(body),
        Dialect::Responses => responses::parse_answer(body),
        Dialect::Messages => messages::parse_answer(body),
        Dialect::Gemini => gemini::parse_answer(body),
    }
}

/// Writes a whole answer in a dialect.
pub fn render_answer(dialect: Dialect, answer: &Answer, echo: &Echo, closing: &Closing<'_>) -> Vec<u8> {
    match dialect {
        Dialect::Chat => chat::render_answer(answer, echo, closing),
        Dialect::Responses => responses::render_answer(answer, echo, closing),
        Dialect::Messages => messages::render_answer(answer, echo, closing),
        Dialect::Gemini => gemini::render_answer(answer, echo, closing),
    }
}

/// Reads a stream in a dialect, event by event.
pub enum StreamParser {
    /// See [`chat`].
    Chat(chat::StreamParser),
    /// See [`responses`].
    Responses(responses::StreamParser),
    /// See [`messages`].
    Messages(messages::StreamParser),
    /// See [`gemini`].
    Gemini(gemini::StreamParser),
}

impl StreamParser {
    /// At the beginning of a stream.
    pub fn new(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Chat => Self::Chat(chat::StreamParser::new()),
            Dialect::Responses => Self::Responses(responses::StreamParser::new()),
            Dialect::Messages => Self::Messages(messages::StreamParser::new()),
            Dialect::Gemini => Self::Gemini(gemini::StreamParser::new()),
        }
    }

    /// Reads the data of the next event.
    ///
    /// # Errors
    /// When the stream cannot go on.
    pub fn push(&mut self, data: &str, out: &mut Vec<Event>) -> Result<(), Broken> {
        match self {
            Self::Chat(parser) => parser.push(data, out),
            Self::Responses(parser) => parser.push(data, out),
            Self::Messages(parser) => parser.push(data, out),
            Self::Gemini(parser) => parser.push(data, out),
        }
    }

    /// Whether the upstream said that the stream is complete.
    pub fn is_done(&self) -> bool {
        match self {
            Self::Chat(parser) => parser.is_done(),
            Self::Responses(parser) => parser.is_done(),
            Self::Messages(parser) => parser.is_done(),
            Self::Gemini(parser) => parser.is_done(),
        }
    }

    /// The stream is over.
    ///
    /// # Errors
    /// When it ended before its end.
    pub fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Broken> {
        match self {
            Self::Chat(parser) => parser.finish(out),
            Self::Responses(parser) => parser.finish(out),
            Self::Messages(parser) => parser.finish(out),
            Self::Gemini(parser) => parser.finish(out),
        }
    }
}

/// Writes a stream in a dialect, event by event.
pub enum StreamRenderer {
    /// See [`chat`].
    Chat(chat::StreamRenderer),
    /// See [`responses`].
    Responses(responses::StreamRenderer),
    /// See [`messages`].
    Messages(messages::StreamRenderer),
    /// See [`gemini`].
    Gemini(gemini::StreamRenderer),
}

impl StreamRenderer {
    /// At the beginning of a stream. `array`: a Gemini client wants one JSON array instead of events.
    pub fn new(dialect: Dialect, array: bool, echo: Echo) -> Self {
        match dialect {
            Dialect::Chat => Self::Chat(chat::StreamRenderer::new(echo)),
            Dialect::Responses => Self::Responses(responses::StreamRenderer::new(echo)),
            Dialect::Messages => Self::Messages(messages::StreamRenderer::new(echo)),
            Dialect::Gemini if array => Self::Gemini(gemini::StreamRenderer::array(echo)),
            Dialect::Gemini => Self::Gemini(gemini::StreamRenderer::new(echo)),
        }
    }

    /// Writes the next event.
    pub fn push(&mut self, event: Event, out: &mut BytesMut) {
        match self {
            Self::Chat(renderer) => renderer.push(event, out),
            Self::Responses(renderer) => renderer.push(event, out),
            Self::Messages(renderer) => renderer.push(event, out),
            Self::Gemini(renderer) => renderer.push(event, out),
        }
    }

    /// Writes what says that the answer is complete.
    pub fn finish(&mut self, closing: &Closing<'_>, out: &mut BytesMut) {
        match self {
            Self::Chat(renderer) => renderer.finish(closing, out),
            Self::Responses(renderer) => renderer.finish(closing, out),
            Self::Messages(renderer) => renderer.finish(closing, out),
            Self::Gemini(renderer) => renderer.finish(closing, out),
        }
    }

    /// Writes the error after which nothing follows.
    pub fn fail(&mut self, kind: &str, code: &str, message: &str, out: &mut BytesMut) {
        match self {
            Self::Chat(renderer) => renderer.fail(kind, code, message, out),
            Self::Responses(renderer) => renderer.fail(kind, code, message, out),
            Self::Messages(renderer) => renderer.fail(kind, code, message, out),
            Self::Gemini(renderer) => renderer.fail(kind, code, message, out),
        }
    }
}
