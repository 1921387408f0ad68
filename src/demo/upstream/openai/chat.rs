//! `POST /v1/chat/completions`: what is asked, and the answer in one piece.

use super::super::answer::{Answer, Choice, Finish, compose, joined};
use super::super::job::{Job, Reply};
use super::super::prompt::{self, Prompt, Refused, Tool, ToolChoice, Unit};
use super::super::switches::Ending;
use super::super::words::name;
use super::{azure, blocked, chat_stream, usage_object};
use serde_json::{Value, json};

/// Reads a request.
pub fn parse(body: &Value) -> Result<Prompt, Refused> {
    let messages = prompt::messages(body)?;
    let newer = prompt::count(body, "max_completion_tokens", 1..=u64::MAX)?;
    let older = prompt::count(body, "max_tokens", 1..=u64::MAX)?;
    let prompt = Prompt {
        model: prompt::model(body)?,
        stream: prompt::flag(body, "stream")?,
        include_usage: body["stream_options"]["include_usage"] == true,
        max_tokens: newer.or(older),
        choices: prompt::count(body, "n", 1..=128)?.unwrap_or(1),
        stop: prompt::texts(&body["stop"]),
        tools: body["tools"].as_array().into_iter().flatten().filter_map(|tool| offered(&tool["function"])).collect(),
        tool_choice: tool_choice(&body["tool_choice"]),
        parallel: body["parallel_tool_calls"] != false,
        tool_has_answered: messages.last().is_some_and(|message| message["role"] == "tool"),
        question: prompt::question(messages),
        schema: schema(&body["response_format"]),
        think: thinks(&body["reasoning_effort"]),
        ..Prompt::default()
    };
    Ok(prompt.with_units(messages.iter().map(unit).chain(Unit::definitions(&body["tools"]))))
}

fn unit(message: &Value) -> Unit {
    let mut unit = Unit::message(&message["content"]);
    if !message["tool_calls"].is_null() {
        unit.calls.push_str(&message["tool_calls"].to_string());
    }
    unit
}

fn offered(function: &Value) -> Option<Tool> {
    Some(Tool { name: function["name"].as_str()?.to_owned(), schema: function["parameters"].clone(), custom: false })
}

fn tool_choice(choice: &Value) -> ToolChoice {
    match (choice.as_str(), choice["function"]["name"].as_str()) {
        (Some("none"), _) => ToolChoice::None,
        (Some("required"), _) => ToolChoice::Required,
        (_, Some(name)) => ToolChoice::Named(name.to_owned()),
        _ => ToolChoice::Auto,
    }
}

/// The schema that `response_format` asks for; some object where it asks for any.
fn schema(format: &Value) -> Option<Value> {
    match format["type"].as_str()? {
        "json_schema" => Some(format["json_schema"]["schema"].clone()),
        "json_object" => Some(any_object()),
        _ => None,
    }
}

/// A schema for those who want any JSON object.
pub fn any_object() -> Value {
    json!({"type": "object", "properties": {"answer": {"type": "string"}}})
}

/// Whether an effort is one.
pub fn thinks(effort: &Value) -> bool {
    effort.as_str().is_some_and(|effort| !matches!(effort, "none" | "minimal"))
}

/// What is handed over.
pub fn reply(job: &Job<'_>) -> Reply {
    if job.switches.blocked {
        return Reply::refused(400, &if azure::applies(job) { azure::blocked() } else { blocked() });
    }
    let answer = compose(job);
    if job.prompt.stream {
        return Reply::events(chat_stream::frames(job, &answer), answer.usage);
    }
    Reply::json(&whole(job, &answer), answer.said(), answer.shown(), answer.usage)
}

fn whole(job: &Job<'_>, answer: &Answer) -> Value {
    let choices: Vec<Value> = answer.choices.iter().enumerate().map(|(index, choice)| whole_choice(job, answer, index, choice)).collect();
    let mut out = envelope(job, "chat.completion", choices.into());
    if azure::applies(job) {
        out["prompt_filter_results"] = azure::prompt_results();
    }
    if let Some(usage) = answer.usage {
        out["usage"] = usage_object(usage);
    }
    out
}

fn whole_choice(job: &Job<'_>, answer: &Answer, index: usize, choice: &Choice) -> Value {
    let text = joined(&choice.text);
    let mut message = json!({"role": "assistant", "content": text, "refusal": null, "annotations": []});
    if choice.refused {
        message["content"] = Value::Null;
        message["refusal"] = json!(text);
    }
    if !choice.calls.is_empty() {
        message["content"] = if text.is_empty() { Value::Null } else { json!(text) };
        let call = |(nth, call): (usize, &super::super::answer::Call)| json!({"id": call_id(answer, index, nth), "type": "function", "function": {"name": call.name, "arguments": joined(&call.arguments)}});
        message["tool_calls"] = choice.calls.iter().enumerate().map(call).collect();
    }
    if job.switches.reasoning_content && !choice.thoughts.is_empty() {
        message["reasoning_content"] = json!(joined(&choice.thoughts));
    }
    let mut out = json!({"index": index, "message": message, "logprobs": null, "finish_reason": finish(&choice.finish)});
    if azure::applies(job) {
        out["content_filter_results"] = filter_results(choice);
    }
    out
}

/// What Azure's filter says of a choice.
pub fn filter_results(choice: &Choice) -> Value {
    if choice.finish == Finish::Other(Ending::Filtered) { azure::stopped() } else { azure::fine() }
}

/// What stands around the choices.
pub fn envelope(job: &Job<'_>, object: &str, choices: Value) -> Value {
    json!({
        "id": name("chatcmpl-", &job.prompt.model, job.number),
        "object": object,
        "created": job.created,
        "model": job.prompt.model,
        "choices": choices,
        "service_tier": "default",
        "system_fingerprint": "fp_demo",
    })
}

/// The id of the nth call of a choice.
pub fn call_id(answer: &Answer, choice: usize, nth: usize) -> String {
    name("call_", &format!("{choice}.{nth}"), answer.number)
}

/// The finish reason.
pub fn finish(finish: &Finish) -> &'static str {
    match finish {
        Finish::End | Finish::Stop(_) | Finish::Other(Ending::PauseTurn | Ending::MalformedCall) => "stop",
        Finish::Length | Finish::Other(Ending::ContextFull) => "length",
        Finish::Tool => "tool_calls",
        Finish::Other(Ending::Filtered | Ending::Recitation) => "content_filter",
    }
}
