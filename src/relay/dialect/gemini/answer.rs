//! A whole answer, read from an upstream and written for a caller.

use super::super::canonical::{Answer, Broken, Delta, Event, Opening, Part, Stop, Text, Thought, ToolCall};
use super::super::{Closing, Echo};
use super::stream_parse::StreamParser;
use super::written;
use crate::relay::report::UsageReport;
use serde_json::json;

/// Reads an answer.
///
/// # Errors
/// When it is none, or says that the upstream failed.
pub fn parse_answer(body: &[u8]) -> Result<Answer, Broken> {
    let body = std::str::from_utf8(body).map_err(|_| Broken::Garbage("not UTF-8".to_owned()))?;
    let (mut parser, mut events) = (StreamParser::new(), Vec::new());
    parser.push(body, &mut events)?;
    parser.finish(&mut events)?;
    Ok(gather(events))
}

/// The answer that events amount to.
pub(super) fn gather(events: Vec<Event>) -> Answer {
    let mut answer = Answer { id: None, parts: Vec::new(), stop: Stop::End, usage: UsageReport::Absent };
    for event in events {
        match event {
            Event::Start { id } => answer.id = id,
            Event::Open { part, .. } => answer.parts.push(opened(part)),
            Event::Grow { delta, .. } => {
                // Parts follow each other here: it is always the last that grows.
                match (answer.parts.last_mut(), delta) {
                    (Some(Part::Text(text)), Delta::Text(more) | Delta::Picture(more)) => text.text.push_str(&more),
                    (Some(Part::Thought(thought)), Delta::Text(more) | Delta::Picture(more)) => thought.text.push_str(&more),
                    (Some(Part::Thought(thought)), Delta::Signature(signature)) => thought.signature = Some(signature),
                    (Some(Part::ToolCall(call)), Delta::Arguments(more)) => call.arguments.push_str(&more),
                    _ => {}
                }
            }
            Event::Usage(usage) => answer.usage = UsageReport::Usage(usage),
            Event::Stop(stop) => answer.stop = stop,
            Event::Close { .. } | Event::Ping => {}
        }
    }
    answer
}

fn opened(part: Opening) -> Part {
    match part {
        Opening::Text => Part::Text(Text::default()),
        Opening::Refusal => Part::Refusal(String::new()),
        Opening::Thought { id, summary, redacted } => Part::Thought(Thought { id, summary, redacted, ..Thought::default() }),
        Opening::ToolCall { id, name, custom, signature } => Part::ToolCall(ToolCall { id, name, arguments: String::new(), custom, signature, cache: None }),
    }
}

/// Writes an answer.
pub fn render_answer(answer: &Answer, echo: &Echo, closing: &Closing<'_>) -> Vec<u8> {
    let parts = answer.parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(written::text(&text.text)),
        Part::Refusal(text) => Some(written::text(text)),
        Part::Thought(thought) => Some(written::thought(thought)),
        Part::ToolCall(call) => Some(written::call(&call.id, echo.request.own_name(&call.name), &call.as_function(), call.signature.as_ref())),
        Part::Image(image) => super::super::data_url::write(&image.source).map(|url| written::text(&format!("![image]({url})"))),
        // An answer has no other parts.
        Part::File(_) | Part::Audio { .. } | Part::ToolResult(_) => None,
    });
    let out = json!({
        "candidates": [written::candidate(parts.collect(), Some(&answer.stop))],
        "usageMetadata": written::usage(closing),
        "modelVersion": echo.model,
        "responseId": answer.id.as_deref().filter(|id| !id.is_empty()).unwrap_or(&echo.id),
    });
    // Maps of strings and numbers always serialise.
    serde_json::to_vec(&out).unwrap_or_default()
}
