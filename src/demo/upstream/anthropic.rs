//! The Anthropic dialect: messages, streamed and not.

use super::answer::{Answer, Choice, Finish, Usage, joined};
use super::prompt::{self, Prompt, Refused, Tool, ToolChoice};
use super::script::Frame;
use super::words::name;
use axum::http::HeaderMap;
use serde_json::{Value, json};

/// Reads the body of `POST /v1/messages`.
pub(super) fn parse(headers: &HeaderMap, body: &Value) -> Result<Prompt, Refused> {
    if !headers.contains_key("anthropic-version") {
        return Err(Refused::new("anthropic-version", "anthropic-version: header is required"));
    }
    let messages = prompt::messages(body)?;
    let max_tokens = prompt::count(body, "max_tokens", 1..=u64::MAX)?.ok_or_else(|| Refused::new("max_tokens", "max_tokens: Field required"))?;
    Ok(Prompt {
        model: prompt::model(body)?,
        stream: prompt::flag(body, "stream")?,
        include_usage: true,
        max_tokens: Some(max_tokens),
        choices: 1,
        stop: prompt::texts(&body["stop_sequences"]),
        tools: body["tools"].as_array().into_iter().flatten().filter_map(offered).collect(),
        tool_choice: tool_choice(&body["tool_choice"]),
        tool_has_answered: messages.last().is_some_and(brings_result),
        question: prompt::question(messages),
        tokens: prompt::tokens_of(messages, &body["system"], &body["tools"]),
    })
}

fn offered(tool: &Value) -> Option<Tool> {
    Some(Tool { name: tool["name"].as_str()?.to_owned(), schema: tool["input_schema"].clone() })
}

fn tool_choice(choice: &Value) -> ToolChoice {
    match (choice["type"].as_str(), choice["name"].as_str()) {
        (Some("none"), _) => ToolChoice::None,
        (Some("any"), _) => ToolChoice::Required,
        (Some("tool"), Some(name)) => ToolChoice::Named(name.to_owned()),
        _ => ToolChoice::Auto,
    }
}

fn brings_result(message: &Value) -> bool {
    message["content"].as_array().is_some_and(|parts| parts.iter().any(|part| part["type"] == "tool_result"))
}

/// The answer as one object.
pub(super) fn whole(prompt: &Prompt, answer: &Answer) -> Value {
    let choice = &answer.choices[0];
    let block = match &choice.call {
        Some(call) => {
            let input = serde_json::from_str(&joined(&call.arguments)).unwrap_or_else(|_| json!({})); // cut short by max_tokens
            json!({"type": "tool_use", "id": call_id(answer), "name": call.name, "input": input})
        }
        None => json!({"type": "text", "text": joined(&choice.text)}),
    };
    let mut message = message(prompt, answer, json!([block]));
    message["stop_reason"] = stop_reason(&choice.finish).into();
    message["stop_sequence"] = stop_sequence(&choice.finish);
    if let Some(usage) = answer.usage {
        message["usage"] = usage_object(usage, usage.completion);
    }
    message
}

fn message(prompt: &Prompt, answer: &Answer, content: Value) -> Value {
    json!({
        "id": name("msg_", &prompt.model, answer.number),
        "type": "message",
        "role": "assistant",
        "model": prompt.model,
        "content": content,
        "stop_reason": null,
        "stop_sequence": null,
    })
}

fn call_id(answer: &Answer) -> String {
    name("toolu_", "", answer.number)
}

fn stop_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::End => "end_turn",
        Finish::Length => "max_tokens",
        Finish::Stop(_) => "stop_sequence",
        Finish::Tool => "tool_use",
    }
}

fn stop_sequence(finish: &Finish) -> Value {
    if let Finish::Stop(sequence) = finish { json!(sequence) } else { Value::Null }
}

/// Cached tokens stand beside `input_tokens`, not inside.
fn usage_object(usage: Usage, output: i64) -> Value {
    json!({
        "input_tokens": usage.prompt - usage.cached - usage.cache_write,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.cache_write, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "service_tier": "standard",
    })
}

/// The answer as events, in the order that the real one keeps.
pub(super) fn stream(prompt: &Prompt, answer: &Answer) -> Vec<Frame> {
    let choice = &answer.choices[0];
    let mut message = message(prompt, answer, json!([]));
    if let Some(usage) = answer.usage {
        message["usage"] = usage_object(usage, usage.completion.signum()); // one token is under way when the message starts
    }
    let block = match &choice.call {
        Some(call) => json!({"type": "tool_use", "id": call_id(answer), "name": call.name, "input": {}}),
        None => json!({"type": "text", "text": ""}),
    };
    let mut frames = vec![
        Frame::head(event(json!({"type": "message_start", "message": message}))),
        Frame::head(event(json!({"type": "content_block_start", "index": 0, "content_block": block}))),
        Frame::head(event(json!({"type": "ping"}))),
    ];
    frames.extend(deltas(choice));
    frames.push(Frame::tail(event(json!({"type": "content_block_stop", "index": 0}))));
    let delta = json!({"stop_reason": stop_reason(&choice.finish), "stop_sequence": stop_sequence(&choice.finish)});
    let mut last = json!({"type": "message_delta", "delta": delta});
    if let Some(usage) = answer.usage {
        last["usage"] = json!({"output_tokens": usage.completion});
    }
    frames.push(Frame::tail(event(last)));
    frames.push(Frame::tail(event(json!({"type": "message_stop"}))));
    frames
}

fn deltas(choice: &Choice) -> Vec<Frame> {
    let frame = |delta: Value, text: &str, tokens| Frame::content(event(json!({"type": "content_block_delta", "index": 0, "delta": delta})), text, tokens);
    let said = choice.text.iter().map(|piece| frame(json!({"type": "text_delta", "text": piece.text}), &piece.text, piece.tokens));
    let called = choice.call.iter().flat_map(|call| {
        let named = frame(json!({"type": "input_json_delta", "partial_json": ""}), "", call.tokens);
        let rest = call.arguments.iter().map(|piece| frame(json!({"type": "input_json_delta", "partial_json": piece.text}), &piece.text, piece.tokens));
        std::iter::once(named).chain(rest)
    });
    said.chain(called).collect()
}

fn event(data: Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default())
}

/// The list of models.
pub(super) fn models(names: &[&str]) -> Value {
    let list: Vec<Value> = names.iter().map(|id| json!({"type": "model", "id": id, "display_name": id, "created_at": "2025-01-01T00:00:00Z"})).collect();
    json!({"data": list, "has_more": false, "first_id": names.first(), "last_id": names.last()})
}

/// An error answer. It names things of the provider's own on purpose: a customer of the shop must never get to see them.
pub(super) fn error(status: u16, model: &str) -> Value {
    let (kind, message) = match status {
        401 => ("authentication_error", "invalid x-api-key".to_owned()),
        402 => ("billing_error", "Your credit balance is too low to access the API of org-upstream.".to_owned()),
        403 => ("permission_error", "Organization org-upstream has no access.".to_owned()),
        404 => ("not_found_error", format!("model: {model}")),
        413 => ("request_too_large", "Request exceeds the maximum size".to_owned()),
        429 => ("rate_limit_error", "This request would exceed the rate limit of organization org-upstream.".to_owned()),
        400..500 => ("invalid_request_error", "The request is not valid.".to_owned()),
        503 | 529 => ("overloaded_error", "Overloaded".to_owned()),
        _ => ("api_error", "Internal server error in org-upstream".to_owned()),
    };
    body(kind, &message)
}

/// The answer to a request that is wrong in itself.
pub(super) fn refusal(refused: &Refused) -> Value {
    body("invalid_request_error", &refused.message)
}

fn body(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": name("req_", message, 0)})
}
