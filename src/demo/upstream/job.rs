//! A request that will be answered, with everything that decides the answer, and what is then handed over.

use super::cache::Hit;
use super::multipart::Upload;
use super::prompt::Prompt;
use super::script::Frame;
use super::switches::{Report, Switches};
use super::usage::Usage;
use serde_json::Value;

/// One request under way.
pub(super) struct Job<'a> {
    pub call: &'a super::call::Call,
    pub body: &'a Value,
    pub files: &'a [Upload],
    pub prompt: &'a Prompt,
    /// What the prompt asks, without the switches that stood in it.
    pub question: &'a str,
    pub switches: &'a Switches,
    /// What the cache knew of the prompt.
    pub hit: Hit,
    /// The number behind the names in the answer; of the request in the log.
    pub number: u64,
    /// Unix time in seconds.
    pub created: i64,
}

impl Job<'_> {
    /// Usage as it is reported, after the lies that were asked for.
    pub fn told(&self, truth: Usage) -> Option<Usage> {
        truth.told(self.switches.report)
    }

    /// Usage of a request that is answered without words: only what came in.
    pub fn input_only(&self) -> Usage {
        Usage { prompt: self.prompt.tokens as i64, image_in: self.prompt.image_tokens() as i64, ..Usage::default() }
    }

    /// Whether usage stands in every chunk.
    pub fn reports_everywhere(&self) -> bool {
        self.switches.report == Report::Every
    }
}

/// What is handed over.
pub(super) struct Reply {
    pub content_type: &'static str,
    pub body: Body,
    /// What the usage report says, for the log.
    pub usage: Option<Usage>,
    /// 200 nearly always; a request may be understood and still be refused.
    pub status: u16,
}

/// In one piece, or as events.
pub(super) enum Body {
    Whole(Frame),
    Stream(Vec<Frame>),
}

impl Reply {
    /// A JSON object.
    pub fn json(value: &Value, text: impl Into<String>, tokens: u64, usage: Option<Usage>) -> Self {
        Self { content_type: "application/json", body: Body::Whole(Frame::content(value.to_string(), text, tokens)), usage, status: 200 }
    }

    /// An error that only the content of the request decides.
    pub fn refused(status: u16, value: &Value) -> Self {
        Self { status, ..Self::json(value, "", 0, None) }
    }

    /// Bytes of any kind.
    pub fn bytes(content_type: &'static str, frame: Frame, usage: Option<Usage>) -> Self {
        Self { content_type, body: Body::Whole(frame), usage, status: 200 }
    }

    /// Server-sent events.
    pub fn events(frames: Vec<Frame>, usage: Option<Usage>) -> Self {
        Self { content_type: "text/event-stream; charset=utf-8", body: Body::Stream(frames), usage, status: 200 }
    }
}
