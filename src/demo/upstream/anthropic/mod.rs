//! The Anthropic dialect: messages, streamed and not, and counting their tokens.

mod stream;
pub mod strict;

use super::answer::{Answer, Call, Choice, Finish, compose, joined};
use super::job::{Job, Reply};
use super::prompt::{self, Keep, Prompt, Refused, Tool, ToolChoice, Unit};
use super::switches::Ending;
use super::usage::Usage;
use super::words::{name, seal};
use axum::http::HeaderMap;
use serde_json::{Value, json};

/// The least that a budget for thoughts may be.
const LEAST_BUDGET: u64 = 1024;

/// Reads the body of `POST /v1/messages`.
pub fn parse(headers: &HeaderMap, body: &Value) -> Result<Prompt, Refused> {
    let max_tokens = prompt::count(body, "max_tokens", 1..=u64::MAX)?;
    let mut prompt = parse_count(headers, body)?;
    prompt.max_tokens = Some(max_tokens.ok_or_else(|| Refused::new("max_tokens", "max_tokens: Field required"))?);
    prompt.stream = prompt::flag(body, "stream")?;
    budget_fits(&body["thinking"], prompt.max_tokens)?;
    Ok(prompt)
}

/// Reads the body of `POST /v1/messages/count_tokens`, which is the same without what concerns the answer.
pub fn parse_count(headers: &HeaderMap, body: &Value) -> Result<Prompt, Refused> {
    if !headers.contains_key("anthropic-version") {
        return Err(Refused::new("anthropic-version", "anthropic-version: header is required"));
    }
    let messages = prompt::messages(body)?;
    let thinks = body["thinking"]["type"].as_str().is_some_and(|kind| kind != "disabled");
    let prompt = Prompt {
        model: prompt::model(body)?,
        include_usage: true,
        choices: 1,
        stop: prompt::texts(&body["stop_sequences"]),
        tools: body["tools"].as_array().into_iter().flatten().filter_map(offered).collect(),
        tool_choice: tool_choice(&body["tool_choice"]),
        parallel: body["tool_choice"]["disable_parallel_tool_use"] != true,
        tool_has_answered: messages.last().is_some_and(brings_result),
        question: prompt::question(messages),
        schema: (body["output_config"]["format"]["type"] == "json_schema").then(|| body["output_config"]["format"]["schema"].clone()),
        think: thinks,
        show_thoughts: thinks,
        explicit_cache: true,
        ..Prompt::default()
    };
    let system = (!body["system"].is_null()).then(|| Unit::message(&body["system"]));
    let said = messages.iter().map(|message| Unit::message(&message["content"]));
    let mut units: Vec<Unit> = Unit::definitions(&body["tools"]).into_iter().chain(system).chain(said).collect();
    if let (true, Some(last)) = (body["cache_control"].is_object(), units.last_mut()) {
        last.keep = Some(if body["cache_control"]["ttl"] == "1h" { Keep::Hour } else { Keep::Minutes });
    }
    Ok(prompt.with_units(units))
}

fn budget_fits(thinking: &Value, max_tokens: Option<u64>) -> Result<(), Refused> {
    if thinking["type"] != "enabled" {
        return Ok(());
    }
    let budget = thinking["budget_tokens"].as_u64().unwrap_or(0);
    if budget < LEAST_BUDGET {
        return Err(Refused::new("thinking", "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"));
    }
    if max_tokens.is_some_and(|most| most <= budget) {
        return Err(Refused::new("max_tokens", "`max_tokens` must be greater than `thinking.budget_tokens`"));
    }
    Ok(())
}

fn offered(tool: &Value) -> Option<Tool> {
    tool["input_schema"].is_object().then_some(())?; // a tool of the provider's own has none
    Some(Tool { name: tool["name"].as_str()?.to_owned(), schema: tool["input_schema"].clone(), custom: false })
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

/// What is handed over for a message.
pub fn reply(job: &Job<'_>) -> Reply {
    let mut answer = compose(job);
    if job.switches.blocked {
        answer.choices[0] = Choice { thoughts: Vec::new(), text: Vec::new(), refused: true, calls: Vec::new(), finish: Finish::End };
    }
    if job.prompt.stream {
        return Reply::events(stream::frames(job, &answer), answer.usage);
    }
    let content: Vec<Value> = blocks(job, &answer).iter().map(Block::whole).collect();
    let mut message = message(job, content.into());
    let ending = ending(&answer.choices[0]);
    for field in ["stop_reason", "stop_sequence", "stop_details"] {
        message[field] = ending[field].clone();
    }
    if let Some(usage) = answer.usage {
        message["usage"] = usage_object(usage, usage.completion);
    }
    Reply::json(&message, answer.said(), answer.shown(), answer.usage)
}

/// What is handed over for a count.
pub fn count(job: &Job<'_>) -> Reply {
    Reply::json(&json!({"input_tokens": job.prompt.tokens}), "", 0, None)
}

/// A block of the content.
enum Block<'a> {
    Thinking { text: String, choice: &'a Choice, omitted: bool },
    Redacted { data: String },
    Text(&'a Choice),
    Call { call: &'a Call, id: String },
}

/// All blocks, in order: thoughts when they were asked for, words, calls.
fn blocks<'a>(job: &Job<'_>, answer: &'a Answer) -> Vec<Block<'a>> {
    let choice = &answer.choices[0];
    let mut out = Vec::new();
    if job.prompt.show_thoughts && !choice.thoughts.is_empty() {
        let text = joined(&choice.thoughts);
        let omitted = job.body["thinking"]["display"] == "omitted";
        out.push(if job.switches.redacted { Block::Redacted { data: seal(&text) } } else { Block::Thinking { text, choice, omitted } });
    }
    if !choice.text.is_empty() || (choice.calls.is_empty() && !job.switches.blocked) {
        out.push(Block::Text(choice));
    }
    out.extend(choice.calls.iter().enumerate().map(|(nth, call)| Block::Call { call, id: name("toolu_", &nth.to_string(), answer.number) }));
    out
}

impl Block<'_> {
    fn whole(&self) -> Value {
        match self {
            Self::Thinking { text, omitted, .. } => json!({"type": "thinking", "thinking": if *omitted { "" } else { text }, "signature": seal(text)}),
            Self::Redacted { data } => json!({"type": "redacted_thinking", "data": data}),
            Self::Text(choice) => json!({"type": "text", "text": joined(&choice.text)}),
            Self::Call { call, id } => {
                let input = serde_json::from_str(&joined(&call.arguments)).unwrap_or_else(|_| json!({})); // cut short by max_tokens
                json!({"type": "tool_use", "id": id, "name": call.name, "input": input})
            }
        }
    }
}

fn message(job: &Job<'_>, content: Value) -> Value {
    json!({
        "id": name("msg_", &job.prompt.model, job.number),
        "type": "message",
        "role": "assistant",
        "model": job.prompt.model,
        "content": content,
        "stop_reason": null,
        "stop_sequence": null,
    })
}

/// The fields that say why the answer ended.
fn ending(choice: &Choice) -> Value {
    let (reason, sequence) = match &choice.finish {
        _ if choice.refused => ("refusal", Value::Null),
        Finish::End | Finish::Other(Ending::MalformedCall) => ("end_turn", Value::Null),
        Finish::Length => ("max_tokens", Value::Null),
        Finish::Stop(sequence) => ("stop_sequence", json!(sequence)),
        Finish::Tool => ("tool_use", Value::Null),
        Finish::Other(Ending::Filtered | Ending::Recitation) => ("refusal", Value::Null),
        Finish::Other(Ending::PauseTurn) => ("pause_turn", Value::Null),
        Finish::Other(Ending::ContextFull) => ("model_context_window_exceeded", Value::Null),
    };
    let details = if reason == "refusal" { json!({"type": "refusal", "category": "general_harms", "explanation": null}) } else { Value::Null };
    json!({"stop_reason": reason, "stop_sequence": sequence, "stop_details": details})
}

/// Cached tokens stand beside `input_tokens`, not inside.
fn usage_object(usage: Usage, output: i64) -> Value {
    json!({
        "input_tokens": usage.prompt - usage.cached - usage.cache_write,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write - usage.cache_write_1h, "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning.min(output)},
        "service_tier": "standard",
    })
}

/// The list of models.
pub fn models(names: &[&str]) -> Value {
    let list: Vec<Value> = names.iter().map(|name| model(name)).collect();
    json!({"data": list, "has_more": false, "first_id": names.first(), "last_id": names.last()})
}

/// One model.
pub fn model(name: &str) -> Value {
    json!({
        "type": "model", "id": name, "display_name": name, "created_at": "2025-01-01T00:00:00Z", "lifecycle": "active", "max_input_tokens": 200_000,
        "max_tokens": 64_000,
    })
}

/// An error answer. It names things of the provider's own on purpose: a customer of the shop must never get to see them.
pub fn error(status: u16, model: &str) -> Value {
    let (kind, message) = match status {
        401 => ("authentication_error", "invalid x-api-key".to_owned()),
        402 => ("billing_error", "Your credit balance is too low to access the API of org-upstream.".to_owned()),
        403 => ("permission_error", "Organization org-upstream has no access.".to_owned()),
        404 => ("not_found_error", format!("model: {model}")),
        413 => ("request_too_large", "Request exceeds the maximum size".to_owned()),
        429 => ("rate_limit_error", "This request would exceed the rate limit of organization org-upstream.".to_owned()),
        400..500 => ("invalid_request_error", "The request is not valid.".to_owned()),
        503 | 529 => ("overloaded_error", "Overloaded".to_owned()),
        504 => ("timeout_error", "Request timed out in org-upstream".to_owned()),
        _ => ("api_error", "Internal server error in org-upstream".to_owned()),
    };
    body(kind, &message)
}

/// The answer to a request that is wrong in itself.
pub fn refusal(refused: &Refused) -> Value {
    body("invalid_request_error", &refused.message)
}

fn body(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": name("req_", message, 0)})
}
