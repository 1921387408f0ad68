//! What Anthropic refuses in a history: calls of tools and results that do not follow each other, thoughts that it did not sign, empty texts,
//! fields that it does not know.

use super::super::prompt::Refused;
use super::super::words::{SEAL, seal};
use serde_json::Value;
use std::collections::HashSet;

const FIELDS: &str = "cache_control container context_management diagnostics inference_geo max_tokens mcp_servers messages metadata model \
    output_config service_tier speed stop_sequences stream system temperature thinking tool_choice tools top_k top_p user_profile_id workspace_id";
/// More marks for the cache than these are not taken.
const MOST_MARKS: usize = 4;

/// What is wrong, if anything.
pub fn objection(body: &Value) -> Option<Refused> {
    let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    unknown(body)
        .or_else(|| sampling(body))
        .or_else(|| tools(body))
        .or_else(|| marks(body))
        .or_else(|| messages.iter().enumerate().find_map(|(at, message)| content(at, message)))
        .or_else(|| pairs(messages))
}

fn unknown(body: &Value) -> Option<Refused> {
    let known: HashSet<&str> = FIELDS.split_whitespace().collect();
    let field = body.as_object()?.keys().find(|key| !known.contains(key.as_str()))?;
    Some(Refused::new("body", format!("{field}: Extra inputs are not permitted")))
}

fn sampling(body: &Value) -> Option<Refused> {
    body["temperature"].as_f64().filter(|t| !(0.0..=1.0).contains(t)).map(|_| Refused::new("temperature", "temperature: range: 0..1"))
}

fn tools(body: &Value) -> Option<Refused> {
    body["tools"].as_array()?.iter().enumerate().find_map(|(at, tool)| {
        let name = tool["name"].as_str().unwrap_or_default();
        let fine = !name.is_empty() && name.len() <= 128 && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
        let custom = tool["type"].is_null() || tool["type"] == "custom";
        if !fine {
            return Some(Refused::new("tools", format!("tools.{at}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")));
        }
        (custom && tool["input_schema"]["type"] != "object").then(|| Refused::new("tools", format!("tools.{at}.custom.input_schema.type: Field required")))
    })
}

fn marks(body: &Value) -> Option<Refused> {
    let marks = body.to_string().matches("\"cache_control\":{").count();
    (marks > MOST_MARKS).then(|| Refused::new("cache_control", format!("A maximum of 4 blocks with cache_control may be provided. Found {marks}.")))
}

/// What is wrong within one message.
fn content(at: usize, message: &Value) -> Option<Refused> {
    if !matches!(message["role"].as_str(), Some("user" | "assistant")) {
        return Some(Refused::new("messages", format!("messages.{at}.role: Input should be 'user' or 'assistant'")));
    }
    if message["content"].as_str().is_some_and(str::is_empty) {
        return Some(Refused::new("messages", format!("messages.{at}: all messages must have non-empty content")));
    }
    message["content"].as_array()?.iter().enumerate().find_map(|(nth, block)| match block["type"].as_str() {
        Some("text") if block["text"].as_str().is_none_or(str::is_empty) => Some(Refused::new("messages", "messages: text content blocks must be non-empty")),
        Some("thinking") if !is_signed(block) => {
            Some(Refused::new("messages", format!("messages.{at}.content.{nth}: Invalid `signature` in `thinking` block")))
        }
        Some("redacted_thinking") if !block["data"].as_str().is_some_and(|data| data.starts_with(SEAL)) => {
            Some(Refused::new("messages", format!("messages.{at}.content.{nth}: Invalid `data` in `redacted_thinking` block")))
        }
        _ => None,
    })
}

/// A thought that is not shown cannot be compared with its signature, which still has to be one.
fn is_signed(block: &Value) -> bool {
    let (text, signature) = (block["thinking"].as_str().unwrap_or_default(), block["signature"].as_str().unwrap_or_default());
    if text.is_empty() { signature.starts_with(SEAL) } else { signature == seal(text) }
}

/// Calls and results that do not follow each other.
fn pairs(messages: &[Value]) -> Option<Refused> {
    let mut open: HashSet<&str> = HashSet::new();
    for (at, message) in messages.iter().enumerate() {
        let blocks = || message["content"].as_array().into_iter().flatten();
        let results: HashSet<&str> = blocks().filter(|b| b["type"] == "tool_result").filter_map(|b| b["tool_use_id"].as_str()).collect();
        if let Some(id) = results.difference(&open).min() {
            let text = "Each `tool_result` block must have a corresponding `tool_use` block in the previous message.";
            return Some(Refused::new("messages", format!("messages.{at}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. {text}")));
        }
        if let Some(id) = open.difference(&results).min() {
            let text = "Each `tool_use` block must have a corresponding `tool_result` block in the next message.";
            return Some(Refused::new(
                "messages",
                format!("messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {id}. {text}"),
            ));
        }
        open = blocks().filter(|b| b["type"] == "tool_use").filter_map(|b| b["id"].as_str()).collect();
    }
    None
}
