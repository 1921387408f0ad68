//! A whole Chat answer.

use super::{finish_reason, made_up_id, stop, thoughts, usage};
use crate::relay::dialect::canonical::{Answer, Broken, Part, Signature, Thought, ToolCall};
use crate::relay::dialect::{Closing, Dialect, Echo};
use crate::relay::report::{self, Form, UsageReport};
use serde_json::{Map, Value, json};

/// Reads an answer.
///
/// # Errors
/// [`Broken`] when it is none.
pub fn parse_answer(body: &[u8]) -> Result<Answer, Broken> {
    let body: Value = serde_json::from_slice(body).map_err(|error| Broken::Garbage(format!("the answer is not JSON: {error}")))?;
    if let Some(error) = body.get("error").filter(|error| !error.is_null()) {
        return Err(Broken::Upstream(error.to_string()));
    }
    let choice = body.pointer("/choices/0").ok_or_else(|| Broken::Garbage("the answer has no choices".to_owned()))?;
    let message = choice.get("message").filter(|message| message.is_object()).ok_or_else(|| Broken::Garbage("the choice has no message".to_owned()))?;
    let id = text(&body, "id").filter(|id| !id.is_empty());
    let parts = parts(message, id)?;
    let has_calls = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    let has_refusal = parts.iter().any(|part| matches!(part, Part::Refusal(_)));
    let stop = stop(text(choice, "finish_reason").unwrap_or_default(), has_calls, has_refusal);
    let usage = body.get("usage").or_else(|| choice.get("usage")).filter(|usage| !usage.is_null());
    let usage = usage.map_or(UsageReport::Absent, |usage| report::read(Form::Chat, &usage.to_string()));
    Ok(Answer { id: id.map(str::to_owned), parts, stop, usage })
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

fn parts(message: &Value, id: Option<&str>) -> Result<Vec<Part>, Broken> {
    let (content, thought) = content(message.get("content"));
    let words = text(message, "reasoning_content").or_else(|| text(message, "reasoning")).unwrap_or(&thought);
    let details = message.get("reasoning_details").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (thoughts, _) = thoughts::read(Some(words), details);
    let mut parts: Vec<Part> = thoughts.into_iter().map(Part::Thought).collect();
    if !content.is_empty() {
        parts.push(Part::Text(content.into()));
    }
    parts.extend(text(message, "refusal").filter(|refusal| !refusal.is_empty()).map(|refusal| Part::Refusal(refusal.to_owned())));
    for (number, call) in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten().enumerate() {
        parts.push(Part::ToolCall(tool_call(call, id, number)?));
    }
    Ok(parts)
}

/// The words of a content, and the thoughts in it: Mistral writes an array of both.
pub(super) fn content(content: Option<&Value>) -> (String, String) {
    let (mut words, mut thought) = (String::new(), String::new());
    match content {
        Some(Value::String(text)) => words.push_str(text),
        Some(Value::Array(items)) => {
            for item in items {
                words.push_str(text(item, "text").unwrap_or_default());
                match item.get("thinking") {
                    Some(Value::String(text)) => thought.push_str(text),
                    Some(Value::Array(pieces)) => pieces.iter().for_each(|piece| thought.push_str(text(piece, "text").unwrap_or_default())),
                    _ => {}
                }
            }
        }
        _ => {}
    }
    (words, thought)
}

fn tool_call(call: &Value, answer: Option<&str>, number: usize) -> Result<ToolCall, Broken> {
    let custom = call.get("custom").filter(|custom| custom.is_object());
    let inner = custom.or_else(|| call.get("function")).unwrap_or(&Value::Null);
    let name = text(inner, "name").filter(|name| !name.is_empty()).ok_or_else(|| Broken::Garbage(format!("tool call {number} has no name")))?;
    let arguments = match inner.get(if custom.is_some() { "input" } else { "arguments" }) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(object) => object.to_string(),
    };
    let id = text(call, "id").filter(|id| !id.is_empty());
    let id = id.map_or_else(|| made_up_id(answer, number), str::to_owned);
    let signature = call.pointer("/extra_content/google/thought_signature").and_then(Value::as_str).map(|seal| Signature::read(Dialect::Gemini, seal));
    Ok(ToolCall { id, name: name.to_owned(), arguments, custom: custom.is_some(), signature, cache: None })
}

/// Writes an answer.
pub fn render_answer(answer: &Answer, echo: &Echo, closing: &Closing<'_>) -> Vec<u8> {
    let (mut words, mut refusal, mut calls, mut thoughts): (String, String, Vec<Value>, Vec<&Thought>) = Default::default();
    for part in &answer.parts {
        match part {
            Part::Text(text) => words.push_str(&text.text),
            Part::Refusal(text) => refusal.push_str(text),
            Part::ToolCall(call) => calls.push(render_call(&call.as_asked(&echo.request))),
            Part::Thought(thought) => thoughts.push(thought),
            // No answer has these: `Answer::parts` says so.
            Part::Image(_) | Part::File(_) | Part::Audio { .. } | Part::ToolResult(_) => {}
        }
    }
    let says_nothing = words.is_empty() && (!calls.is_empty() || !refusal.is_empty());
    let reason = finish_reason(&answer.stop, !refusal.is_empty());
    let mut message = Map::new();
    message.insert("role".to_owned(), "assistant".into());
    message.insert("content".to_owned(), if says_nothing { Value::Null } else { words.into() });
    message.insert("refusal".to_owned(), if refusal.is_empty() { Value::Null } else { refusal.into() });
    thoughts::render(&mut message, &thoughts);
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), calls.into());
    }
    let body = json!({
        "id": answer.id.as_deref().unwrap_or(&echo.id),
        "object": "chat.completion",
        "created": echo.created,
        "model": echo.model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": reason}],
        "usage": usage::render(closing),
    });
    serde_json::to_vec(&body).unwrap_or_default()
}

fn render_call(call: &ToolCall) -> Value {
    let mut out = if call.custom {
        json!({"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}})
    } else {
        json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
    };
    if let Some(signature) = &call.signature {
        out["extra_content"] = json!({"google": {"thought_signature": signature.write(Dialect::Gemini)}});
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::dialect::canonical::Stop;

    fn parse(message: &str, reason: &str) -> Answer {
        parse_answer(format!(r#"{{"id":"x","choices":[{{"message":{message},"finish_reason":{reason}}}]}}"#).as_bytes()).unwrap()
    }

    #[test]
    fn servers_of_every_kind_are_understood() {
        let text = |text: &str| Part::Text(text.into());
        let thought = |text: &str| Part::Thought(Thought { text: text.to_owned(), ..Thought::default() });
        for (message, parts) in [
            (r#"{"content":"hi","refusal":null,"annotations":[]}"#, vec![text("hi")]),
            (r#"{"content":"hi","reasoning_content":"t"}"#, vec![thought("t"), text("hi")]),
            (r#"{"content":"hi","reasoning":"t","reasoning_details":[{"type":"reasoning.text","text":"t","index":0}]}"#, vec![thought("t"), text("hi")]),
            (r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"t"}]},{"type":"text","text":"hi"}]}"#, vec![thought("t"), text("hi")]),
            (r#"{"content":null,"refusal":"no"}"#, vec![Part::Refusal("no".to_owned())]),
            (r#"{}"#, vec![]),
        ] {
            assert_eq!(parse(message, "\"stop\"").parts, parts, "{message}");
        }
    }

    #[test]
    fn calls_without_id_get_one_that_stays() {
        let message = r#"{"content":"","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}},{"id":"","function":{"name":"g"}}]}"#;
        let answer = parse(message, "\"stop\"");
        let calls: Vec<_> = answer.parts.iter().filter_map(|part| if let Part::ToolCall(call) = part { Some(call) } else { None }).collect();
        assert_eq!(
            (calls[0].id.as_str(), calls[0].arguments.as_str(), calls[1].id.as_str(), calls[1].arguments.as_str()),
            ("call_x_0", r#"{"a":1}"#, "call_x_1", "")
        );
        assert_eq!((answer.stop, parse(message, "null").parts == answer.parts), (Stop::ToolUse, true));
    }

    #[test]
    fn what_is_no_answer_is_broken() {
        for body in ["", "[]", "{}", r#"{"choices":[]}"#, r#"{"choices":[{}]}"#, r#"{"choices":[{"message":{"tool_calls":[{"id":"a"}]}}]}"#] {
            assert!(matches!(parse_answer(body.as_bytes()), Err(Broken::Garbage(_))), "{body}");
        }
        assert!(matches!(parse_answer(br#"{"error":{"message":"m"}}"#), Err(Broken::Upstream(_))));
    }
}
