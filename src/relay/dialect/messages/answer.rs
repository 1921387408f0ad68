//! A whole Messages answer.

use super::{input, sealed_thought, stop, stop_reason, usage};
use crate::relay::dialect::canonical::{Answer, Broken, Part, Signature, Thought, ToolCall};
use crate::relay::dialect::{Closing, Dialect, Echo};
use crate::relay::report::{self, Form, UsageReport};
use serde_json::{Value, json};

/// Reads an answer.
///
/// # Errors
/// [`Broken`] when it is none.
pub fn parse_answer(body: &[u8]) -> Result<Answer, Broken> {
    let body: Value = serde_json::from_slice(body).map_err(|error| Broken::Garbage(format!("the answer is not JSON: {error}")))?;
    if body.get("type").is_some_and(|kind| kind == "error") {
        return Err(Broken::Upstream(body.get("error").unwrap_or(&Value::Null).to_string()));
    }
    let content = body.get("content").and_then(Value::as_array).ok_or_else(|| Broken::Garbage("the answer has no content".to_owned()))?;
    let id = text(&body, "id").filter(|id| !id.is_empty()).map(str::to_owned);
    let parts = content.iter().enumerate().filter_map(|(at, block)| part(block, at).transpose()).collect::<Result<_, _>>()?;
    let stop = stop(text(&body, "stop_reason").unwrap_or_default(), text(&body, "stop_sequence"));
    let usage = body.get("usage").filter(|usage| !usage.is_null());
    let usage = usage.map_or(UsageReport::Absent, |usage| report::read(Form::Messages, &usage.to_string()));
    Ok(Answer { id, parts, stop, usage })
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

/// Blocks of kinds that nobody asked for are left out.
fn part(block: &Value, at: usize) -> Result<Option<Part>, Broken> {
    let owned = |name: &str| text(block, name).unwrap_or_default().to_owned();
    let part = match text(block, "type") {
        Some("text") => Part::Text(owned("text").into()),
        Some("thinking") => Part::Thought(sealed_thought(owned("thinking"), text(block, "signature"))),
        Some("redacted_thinking") => Part::Thought(Thought { redacted: Some(Signature::read(Dialect::Messages, &owned("data"))), ..Thought::default() }),
        Some("tool_use") => {
            let name = text(block, "name").filter(|name| !name.is_empty()).ok_or_else(|| Broken::Garbage(format!("block {at} has no name")))?;
            let arguments = block.get("input").filter(|input| !input.is_null()).map_or_else(|| "{}".to_owned(), Value::to_string);
            let id = text(block, "id").filter(|id| !id.is_empty()).map_or_else(|| made_up_id(at), str::to_owned);
            Part::ToolCall(ToolCall { id, name: name.to_owned(), arguments, custom: false, signature: None, cache: None })
        }
        Some(_) => return Ok(None),
        None => return Err(Broken::Garbage(format!("block {at} has no type"))),
    };
    Ok(Some(part))
}

/// The id of a call that came without one.
pub(super) fn made_up_id(block: usize) -> String {
    format!("toolu_{block}")
}

/// Writes an answer.
pub fn render_answer(answer: &Answer, echo: &Echo, closing: &Closing<'_>) -> Vec<u8> {
    let (reason, sequence) = stop_reason(&answer.stop);
    let body = json!({
        "id": answer.id.as_deref().unwrap_or(&echo.id),
        "type": "message",
        "role": "assistant",
        "model": echo.model,
        "content": answer.parts.iter().flat_map(|part| blocks(part, echo)).collect::<Vec<_>>(),
        "stop_reason": reason,
        "stop_sequence": sequence,
        "usage": usage::render(closing),
    });
    serde_json::to_vec(&body).unwrap_or_default()
}

fn blocks(part: &Part, echo: &Echo) -> Vec<Value> {
    match part {
        Part::Text(text) => vec![json!({"type": "text", "text": text.text})],
        Part::Refusal(refusal) => vec![json!({"type": "text", "text": refusal})],
        Part::Thought(thought) => vec![thinking(thought)],
        Part::ToolCall(call) => {
            let block = json!({"type": "tool_use", "id": call.id, "name": echo.request.own_name(&call.name), "input": input(&call.as_function())});
            call.signature.as_ref().map(seal).into_iter().chain([block]).collect()
        }
        // No answer has these: `Answer::parts` says so.
        Part::Image(_) | Part::File(_) | Part::Audio { .. } | Part::ToolResult(_) => Vec::new(),
    }
}

fn thinking(thought: &Thought) -> Value {
    match &thought.redacted {
        Some(data) => json!({"type": "redacted_thinking", "data": data.write(Dialect::Messages)}),
        None => {
            let signature = thought.signature.as_ref().map(|signature| signature.write(Dialect::Messages)).unwrap_or_default();
            json!({"type": "thinking", "thinking": thought.text, "signature": signature})
        }
    }
}

/// Gemini's seal on the call that follows.
pub(super) fn seal(signature: &Signature) -> Value {
    json!({"type": "thinking", "thinking": "", "signature": signature.write(Dialect::Messages)})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::dialect::canonical::{Request, Stop};
    use std::sync::Arc;

    #[test]
    fn an_answer_is_read() {
        let body = br#"{"id":"msg_1","type":"message","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"redacted_thinking","data":"d"},
            {"type":"text","text":"a","citations":null},{"type":"web_search_tool_result","content":[]},{"type":"tool_use","id":"c","name":"f","input":{"x":1.50}}],
            "stop_reason":"tool_use","usage":{"input_tokens":3,"output_tokens":4,"cache_read_input_tokens":2}}"#;
        let answer = parse_answer(body).unwrap();
        let UsageReport::Usage(usage) = answer.usage else { panic!("no usage") };
        assert_eq!((answer.parts.len(), answer.stop, usage.input, usage.cached, usage.output), (4, Stop::ToolUse, 3, 2, 4));
    }

    #[test]
    fn what_is_no_answer_is_broken() {
        for body in ["", "{}", r#"{"content":[{}]}"#, r#"{"content":[{"type":"tool_use","id":"a"}]}"#] {
            assert!(matches!(parse_answer(body.as_bytes()), Err(Broken::Garbage(_))), "{body}");
        }
        assert!(matches!(parse_answer(br#"{"type":"error","error":{"type":"overloaded_error"}}"#), Err(Broken::Upstream(_))));
    }

    #[test]
    fn arguments_that_are_no_object_are_put_into_one() {
        let call = |arguments: &str| {
            Part::ToolCall(ToolCall { id: "c".to_owned(), name: "f".to_owned(), arguments: arguments.to_owned(), custom: false, signature: None, cache: None })
        };
        let answer = Answer { id: None, parts: vec![call("{\"a\":"), call("")], stop: Stop::ToolUse, usage: UsageReport::Absent };
        let echo =
            Echo { request: Arc::new(Request::default()), model: "m".to_owned(), id: "own".to_owned(), created: 0, include_usage: false, input_tokens: 7 };
        let body: Value = serde_json::from_slice(&render_answer(&answer, &echo, &Closing { cost: Some("0.0012"), ..Closing::default() })).unwrap();
        assert_eq!((&body["content"][0]["input"], &body["content"][1]["input"]), (&json!({"input": "{\"a\":"}), &json!({})));
        assert_eq!((&body["id"], &body["usage"]["cost"]), (&json!("own"), &json!(0.0012)));
    }
}
