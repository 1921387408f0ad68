//! `POST /v1/responses`: the answer as one object of items.

use super::super::answer::{Answer, Call, Choice, Finish, compose, joined};
use super::super::job::{Job, Reply};
use super::super::switches::Ending;
use super::super::usage::Usage;
use super::super::words::{name, seal};
use super::{azure, blocked, responses_stream};
use serde_json::{Value, json};

/// What is handed over.
pub fn reply(job: &Job<'_>) -> Reply {
    if job.switches.blocked {
        return Reply::refused(400, &if azure::applies(job) { azure::blocked() } else { blocked() });
    }
    let answer = compose(job);
    if job.prompt.stream {
        return Reply::events(responses_stream::frames(job, &answer), answer.usage);
    }
    let items = items(job, &answer).iter().map(Item::whole).collect();
    Reply::json(&finished(job, &answer, items), answer.said(), answer.shown(), answer.usage)
}

/// An item of the output.
pub struct Item<'a> {
    pub id: String,
    pub kind: Kind<'a>,
    /// Whether it came to its end.
    pub complete: bool,
    /// The prompt asks for what only this provider can read.
    sealed: bool,
    shown: bool,
}

/// What an item is.
pub enum Kind<'a> {
    Reasoning(&'a Choice),
    Message(&'a Choice),
    Call { call: &'a Call, call_id: String },
}

/// All items, in order: thoughts, words, calls.
pub fn items<'a>(job: &Job<'_>, answer: &'a Answer) -> Vec<Item<'a>> {
    let choice = &answer.choices[0];
    let sealed = job.body["include"].as_array().is_some_and(|list| list.iter().any(|one| one == "reasoning.encrypted_content"));
    let complete = incomplete(&choice.finish).is_none();
    let item =
        |prefix: &str, nth: usize, kind| Item { id: name(prefix, &nth.to_string(), answer.number), kind, complete, sealed, shown: job.prompt.show_thoughts };
    let mut out = Vec::new();
    if !choice.thoughts.is_empty() {
        out.push(item("rs_", 0, Kind::Reasoning(choice)));
    }
    if !choice.text.is_empty() || choice.calls.is_empty() {
        out.push(item("msg_", 0, Kind::Message(choice)));
    }
    for (nth, call) in choice.calls.iter().enumerate() {
        let call_id = super::chat::call_id(answer, 0, nth);
        out.push(item(if call.custom { "ctc_" } else { "fc_" }, nth, Kind::Call { call, call_id }));
    }
    out
}

impl Item<'_> {
    /// The item as it stands in the answer.
    pub fn whole(&self) -> Value {
        let status = if self.complete { "completed" } else { "incomplete" };
        match &self.kind {
            Kind::Reasoning(choice) => self.reasoning(choice, true),
            Kind::Message(choice) => {
                json!({"id": self.id, "type": "message", "status": status, "role": "assistant", "content": [content(choice.refused, &joined(&choice.text))]})
            }
            Kind::Call { call, call_id } => self.call(call, call_id, status, &joined(&call.arguments)),
        }
    }

    /// The item as it stands in the event that opens it.
    pub fn opening(&self) -> Value {
        match &self.kind {
            Kind::Reasoning(choice) => self.reasoning(choice, false),
            Kind::Message(_) => json!({"id": self.id, "type": "message", "status": "in_progress", "role": "assistant", "content": []}),
            Kind::Call { call, call_id } => self.call(call, call_id, "in_progress", ""),
        }
    }

    /// Whether its thoughts are summed up for the caller to read.
    pub fn shows_thoughts(&self) -> bool {
        self.shown
    }

    fn reasoning(&self, choice: &Choice, whole: bool) -> Value {
        let text = joined(&choice.thoughts);
        let summary = if self.shown && whole { json!([summary(&text)]) } else { json!([]) };
        let mut out = json!({"id": self.id, "type": "reasoning", "summary": summary});
        if self.sealed {
            out["encrypted_content"] = if whole { json!(seal(&text)) } else { json!("") };
        }
        out
    }

    fn call(&self, call: &Call, call_id: &str, status: &str, arguments: &str) -> Value {
        let (kind, field) = if call.custom { ("custom_tool_call", "input") } else { ("function_call", "arguments") };
        json!({"id": self.id, "type": kind, "status": status, "call_id": call_id, "name": call.name, field: arguments})
    }
}

/// A part of a summary of thoughts.
pub fn summary(text: &str) -> Value {
    json!({"type": "summary_text", "text": text})
}

/// A part of a message.
pub fn content(refused: bool, text: &str) -> Value {
    if refused { json!({"type": "refusal", "refusal": text}) } else { json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []}) }
}

/// Why the answer is not complete, if it is not.
pub fn incomplete(finish: &Finish) -> Option<&'static str> {
    match finish {
        Finish::Length | Finish::Other(Ending::ContextFull) => Some("max_output_tokens"),
        Finish::Other(Ending::Filtered | Ending::Recitation) => Some("content_filter"),
        _ => None,
    }
}

/// The answer at its end.
pub fn finished(job: &Job<'_>, answer: &Answer, output: Value) -> Value {
    let mut out = started(job);
    out["output"] = output;
    match incomplete(&answer.choices[0].finish) {
        Some(reason) => {
            out["status"] = json!("incomplete");
            out["incomplete_details"] = json!({"reason": reason});
        }
        None => {
            out["status"] = json!("completed");
            out["completed_at"] = json!(job.created);
        }
    }
    match answer.usage {
        Some(usage) => out["usage"] = usage_object(usage),
        None => _ = out.as_object_mut().and_then(|out| out.remove("usage")),
    }
    out
}

/// The answer at its beginning: what was asked, with everything that was not said filled in.
pub fn started(job: &Job<'_>) -> Value {
    let body = job.body;
    let or = |name: &str, usual: Value| if body[name].is_null() { usual } else { body[name].clone() };
    let mut text = or("text", json!({}));
    if text["format"].is_null() {
        text["format"] = json!({"type": "text"});
    }
    let mut out = json!({
        "id": name("resp_", &job.prompt.model, job.number),
        "object": "response",
        "created_at": job.created,
        "completed_at": null,
        "status": "in_progress",
        "background": or("background", json!(false)),
        "error": null,
        "incomplete_details": null,
        "instructions": body["instructions"],
        "max_output_tokens": body["max_output_tokens"],
        "max_tool_calls": body["max_tool_calls"],
        "metadata": or("metadata", json!({})),
        "model": job.prompt.model,
        "output": [],
        "parallel_tool_calls": or("parallel_tool_calls", json!(true)),
        "previous_response_id": body["previous_response_id"],
        "prompt_cache_key": body["prompt_cache_key"],
        "reasoning": {"effort": body["reasoning"]["effort"], "summary": body["reasoning"]["summary"]},
        "safety_identifier": body["safety_identifier"],
        "service_tier": "default",
        "store": or("store", json!(true)),
        "temperature": or("temperature", json!(1.0)),
        "text": text,
        "tool_choice": or("tool_choice", json!("auto")),
        "tools": body["tools"].as_array().into_iter().flatten().map(tool).collect::<Vec<_>>(),
        "top_logprobs": 0,
        "top_p": or("top_p", json!(1.0)),
        "truncation": or("truncation", json!("disabled")),
        "usage": null,
    });
    if body["user"].is_string() {
        out["user"] = body["user"].clone();
    }
    out
}

/// A tool as it is repeated: strict unless it says otherwise.
fn tool(tool: &Value) -> Value {
    let mut tool = tool.clone();
    if tool["type"] == "function" {
        tool["strict"] = json!(tool["strict"] != false);
        tool["parameters"] = tool["parameters"].take();
    }
    tool
}

fn usage_object(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total(),
    })
}
