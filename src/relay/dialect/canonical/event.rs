//! A streamed answer in the form between the dialects: parts are opened, grow, and are closed, each under its number.

use super::answer::Stop;
use super::request::Signature;
use crate::kernel::Usage;

/// A step of a streamed answer. The first is `Start`, the last `Stop`; `Usage` may come at any time, before `Start`, too, and each says all that was used so far.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The answer begins.
    Start {
        /// The upstream's id of it.
        id: Option<String>,
    },
    /// A part begins. Numbers ascend from 0 without a gap. Parts may be open side by side.
    Open {
        /// Its number.
        index: usize,
        /// What it is.
        part: Opening,
    },
    /// A part grows.
    Grow {
        /// Its number.
        index: usize,
        /// By what.
        delta: Delta,
    },
    /// A part is complete.
    Close {
        /// Its number.
        index: usize,
    },
    /// What was used so far.
    Usage(Usage),
    /// Why the answer ended. Only `Usage` may follow.
    Stop(Stop),
    /// A sign of life without content (Anthropic's `ping`).
    Ping,
}

/// What a part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Words.
    Text,
    /// The model declines.
    Refusal,
    /// Thoughts; `summary` as in [`super::Thought`].
    Thought {
        /// The item's id.
        id: Option<String>,
        /// See [`super::Thought::summary`].
        summary: bool,
        /// See [`super::Thought::redacted`].
        redacted: Option<Signature>,
    },
    /// A tool call.
    ToolCall {
        /// Its id.
        id: String,
        /// The tool.
        name: String,
        /// Of a custom tool.
        custom: bool,
        /// Gemini's.
        signature: Option<Signature>,
    },
}

/// By what a part grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    /// Words of a text, a refusal or a thought.
    Text(String),
    /// A picture that the model made, as Markdown: read as words are, but not made of tokens of text.
    Picture(String),
    /// A piece of a tool call's arguments.
    Arguments(String),
    /// The seal on a thought; comes once, whole.
    Signature(Signature),
}
