//! OpenAI Chat Completions, and what the servers that are compatible with it made of it. Formats: <https://platform.openai.com/docs/api-reference/chat>; thoughts as
//! `reasoning_content` and `reasoning_details` (<https://openrouter.ai/docs/use-cases/reasoning-tokens>); Gemini's seal on a tool call as
//! `extra_content.google.thought_signature` (<https://ai.google.dev/gemini-api/docs/openai>).
//!
//! Refused at parsing, because no other dialect could say it: several choices, log probabilities, a logit bias, sound as output, `store`, search options, a
//! prediction, Mistral's `safe_prompt`, the older `functions`, names of participants. Ignored as hints: penalties and further ways to draw, who asks, cache and service options.
//!
//! What other dialects say and this one cannot is put so: pictures and documents in a tool's result follow in a turn of the user; a result that is an error begins
//! with `Error:`; a document of plain text becomes text. Thoughts that another provider sealed stay behind, and OpenAI itself gets none.

mod answer;
mod request_messages;
mod request_parse;
mod request_render;
mod stream_parse;
mod stream_render;
mod stream_tools;
mod thoughts;
mod tools;
mod turns;
mod usage;

pub use answer::{parse_answer, render_answer};
pub use request_parse::parse_request;
pub use request_render::render_request;
pub use stream_parse::StreamParser;
pub use stream_render::StreamRenderer;

use super::canonical::Stop;

/// OpenAI's word for why an answer ended.
fn finish_reason(stop: &Stop, has_refusal: bool) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence(_) | Stop::Pause => "stop",
        Stop::Length => "length",
        Stop::ToolUse => "tool_calls",
        Stop::Refusal if has_refusal => "stop",
        Stop::Filter | Stop::Refusal => "content_filter",
    }
}

/// Why an answer ended, from its word and from what it has: many servers say `stop` whatever it is.
fn stop(finish_reason: &str, has_calls: bool, has_refusal: bool) -> Stop {
    match finish_reason {
        "length" | "max_tokens" => Stop::Length,
        "content_filter" => Stop::Filter,
        _ if has_calls => Stop::ToolUse,
        _ if has_refusal => Stop::Refusal,
        _ => Stop::End,
    }
}

/// The id of a call that came without one: the same on every reading.
fn made_up_id(answer: Option<&str>, number: usize) -> String {
    let id = format!("call_{}_{number}", answer.unwrap_or_default());
    super::canonical::call_id::fit(&id, 40).into_owned()
}
