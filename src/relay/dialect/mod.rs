//! The dialects that clients and upstreams speak. Where caller and upstream speak the same one, bytes pass untouched; where they differ, a request is parsed into
//! the form of [`canonical`], rendered in the upstream's dialect, and the answer goes the other way. Pure: bytes in, bytes out.
//!
//! Each dialect has a folder of the same four parts: `parse_request`, `render_request`, `parse_answer`, `render_answer`, and for streams `StreamParser` and
//! `StreamRenderer`. The functions here choose among them.

pub mod canonical;
mod chat_text;
pub mod custom;
pub mod data_url;
pub mod fields;
pub mod models;
pub mod openai_answer;
pub mod openai_chat;
pub mod sse;

use canonical::Request;

/// A way to ask a model for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// OpenAI Chat Completions.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Messages,
    /// Gemini `generateContent`.
    Gemini,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Dialect; 4] = [Dialect::Chat, Dialect::Responses, Dialect::Messages, Dialect::Gemini];

    /// The word in the database and on forms.
    pub const fn word(self) -> &'static str {
        match self {
            Dialect::Chat => "chat",
            Dialect::Responses => "responses",
            Dialect::Messages => "messages",
            Dialect::Gemini => "gemini",
        }
    }

    /// From its word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.word() == word)
    }
}

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
}

/// What ends a stream once the charge is durable.
#[derive(Clone, Debug, Default)]
pub struct Closing<'a> {
    /// What was charged for.
    pub usage: crate::kernel::Usage,
    /// What it cost, in dollars, for a caller who asked (`"usage": {"include": true}`): written as `cost` into the usage object.
    pub cost: Option<&'a str>,
}
