//! What OpenAI refuses in a history: calls of tools without results, results without calls, fields that it does not know, and schemas that
//! say `strict` and are not.

use super::super::prompt::Refused;
use super::responses_input::kind;
use serde_json::Value;
use std::collections::HashSet;

const CHAT_FIELDS: &str = "audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens messages \
    metadata modalities model moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_cache_options \
    prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier stop store stream stream_options temperature \
    tool_choice tools top_logprobs top_p user verbosity web_search_options";
const RESPONSES_FIELDS: &str = "background client_metadata context_management conversation include input instructions max_output_tokens \
    max_tool_calls metadata model moderation parallel_tool_calls previous_response_id prompt prompt_cache_key prompt_cache_options \
    prompt_cache_retention reasoning safety_identifier service_tier store stream stream_options temperature text tool_choice tools \
    top_logprobs top_p truncation user";

/// What is wrong with a chat, if anything.
pub fn chat(body: &Value) -> Option<Refused> {
    let pairing = pairs(body["messages"].as_array().map(Vec::as_slice).unwrap_or_default());
    let format = &body["response_format"]["json_schema"];
    unknown(body, CHAT_FIELDS).or(pairing).or_else(|| loose(&format["schema"], format["strict"] == true, "response_format"))
}

/// A field that is not in the list.
fn unknown(body: &Value, known: &str) -> Option<Refused> {
    let known: HashSet<&str> = known.split_whitespace().collect();
    let field = body.as_object()?.keys().find(|key| !known.contains(key.as_str()))?;
    Some(Refused { code: Some("unknown_parameter"), ..Refused::new("body", format!("Unknown parameter: '{field}'.")) })
}

/// Calls and results that do not belong together.
fn pairs(messages: &[Value]) -> Option<Refused> {
    let mut open: HashSet<&str> = HashSet::new();
    for message in messages {
        match message["role"].as_str() {
            Some("tool") if !open.remove(message["tool_call_id"].as_str().unwrap_or_default()) => {
                let text = "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'.";
                return Some(Refused::new("messages", text));
            }
            Some("tool") => {}
            _ if !open.is_empty() => return Some(unanswered(&open)),
            _ => open = message["tool_calls"].as_array().into_iter().flatten().filter_map(|call| call["id"].as_str()).collect(),
        }
    }
    (!open.is_empty()).then(|| unanswered(&open))
}

fn unanswered(open: &HashSet<&str>) -> Refused {
    let mut ids: Vec<&str> = open.iter().copied().collect();
    ids.sort_unstable();
    let ids = ids.join(", ");
    let text = "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.";
    Refused::new("messages", format!("{text} The following tool_call_ids did not have response messages: {ids}"))
}

/// A schema that says it is strict and lets other properties in.
fn loose(schema: &Value, strict: bool, param: &'static str) -> Option<Refused> {
    if !strict || schema["type"] != "object" || schema["additionalProperties"] == false {
        return None;
    }
    let text = "Invalid schema: In context=(), 'additionalProperties' is required to be supplied and to be false.";
    Some(Refused { code: Some("invalid_json_schema"), ..Refused::new(param, text) })
}

/// What is wrong with a request for a response, if anything.
pub fn responses(body: &Value) -> Option<Refused> {
    let items = body["input"].as_array().map(Vec::as_slice).unwrap_or_default();
    let format = &body["text"]["format"];
    unknown(body, RESPONSES_FIELDS).or_else(|| item_pairs(items)).or_else(|| loose(&format["schema"], format["strict"] == true, "text.format"))
}

fn item_pairs(items: &[Value]) -> Option<Refused> {
    let ids =
        |wanted: [&str; 2]| -> HashSet<&str> { items.iter().filter(|item| wanted.contains(&kind(item))).filter_map(|item| item["call_id"].as_str()).collect() };
    let calls = ids(["function_call", "custom_tool_call"]);
    let results = ids(["function_call_output", "custom_tool_call_output"]);
    if let Some(id) = results.difference(&calls).min() {
        return Some(Refused::new("input", format!("No tool call found for function call output with call_id {id}.")));
    }
    let id = calls.difference(&results).min()?;
    Some(Refused::new("input", format!("No tool output found for function call {id}.")))
}
