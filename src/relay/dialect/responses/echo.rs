//! The `response` object, which an answer is and which three events of a stream repeat.

use super::super::canonical::{Effort, Request, Stop};
use super::super::{Closing, Echo};
use super::request_render;
use super::tools::{self, Reader};
use crate::kernel::Usage;
use serde_json::{Map, Value, json};

/// What becomes of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Status<'a> {
    /// It has begun.
    InProgress,
    /// It ended.
    Ended(&'a Stop),
    /// It failed: code and message.
    Failed(&'a str, &'a str),
}

/// The object as JSON, with its output and, at the end, its usage.
pub(super) fn response(echo: &Echo, id: &str, status: Status<'_>, output: Vec<Value>, closing: Option<&Closing<'_>>) -> Vec<u8> {
    // Maps of strings and numbers always serialise.
    let mut out = serde_json::to_vec(&fields(echo, id, status, output)).unwrap_or_default();
    if let (Some(closing), Some(b'}')) = (closing, out.last()) {
        out.pop();
        out.extend_from_slice(b",\"usage\":");
        out.extend_from_slice(usage(closing.usage, closing.cost).as_bytes());
        out.push(b'}');
    }
    out
}

/// The word for what becomes of an answer, and the reason why it is incomplete.
pub(super) fn outcome(status: Status<'_>, output: &[Value]) -> (&'static str, Option<&'static str>) {
    let refused = || output.iter().filter_map(|item| item["content"].as_array()).flatten().any(|content| content["type"] == "refusal");
    match status {
        Status::InProgress => ("in_progress", None),
        Status::Failed(..) => ("failed", None),
        Status::Ended(Stop::Length) => ("incomplete", Some("max_output_tokens")),
        Status::Ended(Stop::Filter) => ("incomplete", Some("content_filter")),
        // The provider cut its model off, rather than that the model said no.
        Status::Ended(Stop::Refusal) if !refused() => ("incomplete", Some("content_filter")),
        Status::Ended(_) => ("completed", None),
    }
}

fn fields(echo: &Echo, id: &str, status: Status<'_>, output: Vec<Value>) -> Map<String, Value> {
    let request = &*echo.request;
    let (word, reason) = outcome(status, &output);
    let error = if let Status::Failed(code, message) = status { json!({"code": code, "message": message}) } else { Value::Null };
    let mut out = Map::with_capacity(32);
    let mut put = |name: &str, value: Value| drop(out.insert(name.to_owned(), value));
    put("id", id.into());
    put("object", "response".into());
    put("created_at", echo.created.into());
    put("status", word.into());
    put("background", false.into());
    put("error", error);
    put("incomplete_details", reason.map_or(Value::Null, |reason| json!({"reason": reason})));
    put("instructions", request.instructions.first().filter(|first| !first.developer).map_or(Value::Null, |first| first.text.text.clone().into()));
    put("max_output_tokens", request.output_cap.map_or(Value::Null, Value::from));
    put("model", echo.model.clone().into());
    put("output", output.into());
    put("parallel_tool_calls", request.parallel_tool_calls.unwrap_or(true).into());
    put("previous_response_id", Value::Null);
    if let Some(key) = &request.cache_key {
        put("prompt_cache_key", key.clone().into());
    }
    put("reasoning", reasoning(request));
    put("service_tier", "default".into());
    put("store", false.into());
    put("temperature", request.sampling.temperature.clone().map_or_else(|| json!(1.0), Value::from));
    put("text", text(request));
    put("tool_choice", request.tool_choice.as_ref().map_or_else(|| "auto".into(), |choice| tools::render_choice(choice, request, Reader::Caller)));
    put("tools", tools::echo(request).into());
    put("top_p", request.sampling.top_p.clone().map_or_else(|| json!(1.0), Value::from));
    put("truncation", "disabled".into());
    if let Some(user) = &request.user {
        put("user", user.clone().into());
    }
    put("metadata", request.metadata.clone().into());
    out
}

fn reasoning(request: &Request) -> Value {
    let asked = request.reasoning.as_ref();
    let effort = asked.and_then(request_render::effort).map(Effort::word);
    let summary = asked.and_then(|asked| asked.summary.as_deref());
    json!({"effort": effort, "summary": summary})
}

fn text(request: &Request) -> Value {
    let mut out = Map::new();
    out.insert("format".to_owned(), request.format.as_ref().map_or_else(|| json!({"type": "text"}), request_render::format_value));
    if let Some(verbosity) = &request.verbosity {
        out.insert("verbosity".to_owned(), verbosity.clone().into());
    }
    Value::Object(out)
}

/// The usage object: everything that was read stands in `input_tokens`, all that was made in `output_tokens`. The cost is written digit by digit.
fn usage(usage: Usage, cost: Option<&str>) -> String {
    let (input, output) = (usage.all_input(), usage.all_output());
    let (cached, written) = (usage.cached, usage.cache_write.saturating_add(usage.cache_write_1h));
    let (reasoning, total) = (usage.reasoning, input.saturating_add(output));
    let cost = cost.map_or_else(String::new, |cost| format!(r#","cost":{cost}"#));
    format!(
        r#"{{"input_tokens":{input},"input_tokens_details":{{"cached_tokens":{cached},"cache_write_tokens":{written}}},"output_tokens":{output},"output_tokens_details":{{"reasoning_tokens":{reasoning}}},"total_tokens":{total}{cost}}}"#
    )
}
