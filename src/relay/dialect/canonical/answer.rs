//! An answer in the form between the dialects.

use super::request::Part;
use crate::relay::report::UsageReport;

/// What a model answered, whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The upstream's id of it.
    pub id: Option<String>,
    /// Texts, thoughts, tool calls, refusals, in order.
    pub parts: Vec<Part>,
    /// Why it ended.
    pub stop: Stop,
    /// What it used.
    pub usage: UsageReport,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It was complete.
    End,
    /// It reached the output cap, or the end of the model's context.
    Length,
    /// It came upon one of the texts that end it, which Anthropic names.
    Sequence(Option<String>),
    /// The model waits for results of the tools it called.
    ToolUse,
    /// The provider's filter cut it off.
    Filter,
    /// The model declined.
    Refusal,
    /// The provider paused a long turn; the caller may send it back to go on (Anthropic's `pause_turn`).
    Pause,
}
