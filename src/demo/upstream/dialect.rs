//! The two dialects behind one face.

use super::answer::Answer;
use super::prompt::{Prompt, Refused};
use super::script::Frame;
use super::{anthropic, openai};
use axum::http::HeaderMap;
use serde_json::Value;

/// How a caller speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    OpenAi,
    Anthropic,
}

impl Dialect {
    /// Reads a request.
    pub fn parse(self, headers: &HeaderMap, body: &Value) -> Result<Prompt, Refused> {
        match self {
            Self::OpenAi => openai::parse(body),
            Self::Anthropic => anthropic::parse(headers, body),
        }
    }

    /// The answer as one JSON object.
    pub fn whole(self, prompt: &Prompt, answer: &Answer) -> Value {
        match self {
            Self::OpenAi => openai::whole(prompt, answer),
            Self::Anthropic => anthropic::whole(prompt, answer),
        }
    }

    /// The answer as events.
    pub fn stream(self, prompt: &Prompt, answer: &Answer) -> Vec<Frame> {
        match self {
            Self::OpenAi => openai::stream(prompt, answer),
            Self::Anthropic => anthropic::stream(prompt, answer),
        }
    }

    /// An error answer as the real providers word it.
    pub fn error(self, status: u16, model: &str) -> Value {
        match self {
            Self::OpenAi => openai::error(status, model),
            Self::Anthropic => anthropic::error(status, model),
        }
    }

    /// The answer to a request that is wrong in itself.
    pub fn refusal(self, refused: &Refused) -> Value {
        match self {
            Self::OpenAi => openai::refusal(refused),
            Self::Anthropic => anthropic::refusal(refused),
        }
    }

    /// An error in the middle of a stream.
    pub fn error_event(self) -> String {
        match self {
            Self::OpenAi => format!("data: {}\n\n", openai::error(500, "")),
            Self::Anthropic => format!("event: error\ndata: {}\n\n", anthropic::error(529, "")),
        }
    }

    /// The list of models.
    pub fn models(self, names: &[&str], created: i64) -> Value {
        match self {
            Self::OpenAi => openai::models(names, created),
            Self::Anthropic => anthropic::models(names),
        }
    }

    /// The key that a caller of this dialect sent.
    pub fn key(self, headers: &HeaderMap) -> Option<&str> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
        match self {
            Self::OpenAi => bearer,
            Self::Anthropic => text("x-api-key").or(bearer),
        }
    }
}
