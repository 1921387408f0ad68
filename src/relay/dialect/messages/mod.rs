//! Anthropic Messages. Formats: <https://platform.claude.com/docs/en/api/messages>, for streams `build-with-claude/streaming` beside it.
//!
//! Refused at parsing, because no other dialect could say it: tools that run at Anthropic, their blocks in the conversation, containers, MCP servers, search
//! results and citations, a region, budgets for tasks, management of the context but for that of thoughts. Ignored as hints: cache marks at the top, speed,
//! diagnostics.
//!
//! What other dialects say and this one cannot is put so:
//! - an instruction in the middle of the conversation is a text of the user's turn in `<system>` tags, because only the newest models know such a turn;
//! - JSON mode without a schema is an instruction; a schema goes into `output_config.format`, with what Anthropic cannot enforce told in its descriptions;
//! - a choice among some tools leaves the others out; a custom tool is a function with one string `input`;
//! - effort is a budget for models that know budgets only, and a budget an effort for those that know none (see `reasoning`).
//!
//! Thoughts that another provider sealed stay behind on the way to Anthropic. On the way to a caller they are `thinking` blocks with a mark of ours on the
//! signature; Gemini's seal on a tool call is an empty `thinking` block before it.

mod answer;
mod blocks;
mod count;
mod reasoning;
mod request_parse;
mod request_render;
mod schema;
mod stream_parse;
mod stream_render;
mod tools;
mod turns;
mod usage;

pub use answer::{parse_answer, render_answer};
pub use count::parse_count;
pub use request_parse::parse_request;
pub use request_render::render_request;
pub use stream_parse::StreamParser;
pub use stream_render::StreamRenderer;

use super::Dialect;
use super::canonical::{Signature, Stop, Thought};
use serde_json::Value;

/// Anthropic's word for why an answer ended, and the text that ended it.
fn stop_reason(stop: &Stop) -> (&'static str, Option<&str>) {
    match stop {
        Stop::End => ("end_turn", None),
        Stop::Length => ("max_tokens", None),
        Stop::Sequence(sequence) => ("stop_sequence", sequence.as_deref()),
        Stop::ToolUse => ("tool_use", None),
        Stop::Filter | Stop::Refusal => ("refusal", None),
        Stop::Pause => ("pause_turn", None),
    }
}

/// Why an answer ended, from its word.
fn stop(reason: &str, sequence: Option<&str>) -> Stop {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        "stop_sequence" => Stop::Sequence(sequence.map(str::to_owned)),
        "tool_use" => Stop::ToolUse,
        "refusal" => Stop::Refusal,
        "pause_turn" => Stop::Pause,
        _ => Stop::End,
    }
}

/// A thought with its seal. What Responses seals are summaries.
fn sealed_thought(text: String, signature: Option<&str>) -> Thought {
    let signature = signature.filter(|signature| !signature.is_empty()).map(|signature| Signature::read(Dialect::Messages, signature));
    let summary = signature.as_ref().is_some_and(|signature| signature.of == Dialect::Responses);
    Thought { text, signature, summary, ..Thought::default() }
}

/// Gemini's seal on the tool call that follows: a thought without words.
fn seal_on_call(thought: &Thought) -> Option<&Signature> {
    thought.signature.as_ref().filter(|signature| signature.of == Dialect::Gemini && thought.text.is_empty())
}

/// A tool call's arguments as the object that Anthropic demands. What the model wrote and is none stands in its field `input`.
fn input(arguments: &str) -> Value {
    if arguments.trim().is_empty() {
        return serde_json::json!({});
    }
    match serde_json::from_str(arguments) {
        Ok(Value::Object(object)) => Value::Object(object),
        _ => serde_json::json!({"input": arguments}),
    }
}
