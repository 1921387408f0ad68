//! What a request asks for, in no dialect.

use super::tokens;
use serde_json::Value;

/// A request after parsing.
#[derive(Debug)]
pub(super) struct Prompt {
    pub model: String,
    pub stream: bool,
    /// Whether a stream should end with a usage chunk (OpenAI only; Anthropic always reports).
    pub include_usage: bool,
    pub max_tokens: Option<u64>,
    pub choices: u64,
    pub stop: Vec<String>,
    pub tools: Vec<Tool>,
    pub tool_choice: ToolChoice,
    /// The last message brings the result of a tool, so this one should be answered in words.
    pub tool_has_answered: bool,
    /// The last user message, as sent.
    pub question: String,
    /// Tokens of the whole prompt.
    pub tokens: u64,
}

/// A tool that the caller offers.
#[derive(Debug)]
pub(super) struct Tool {
    pub name: String,
    pub schema: Value,
}

/// Whether a tool has to be called.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ToolChoice {
    Auto,
    None,
    Required,
    Named(String),
}

/// Why a request is refused, and which parameter is at fault.
#[derive(Debug)]
pub(super) struct Refused {
    pub param: &'static str,
    pub message: String,
}

impl Refused {
    pub fn new(param: &'static str, message: impl Into<String>) -> Self {
        Self { param, message: message.into() }
    }
}

/// The model, which every request must name.
pub(super) fn model(body: &Value) -> Result<String, Refused> {
    body["model"].as_str().filter(|name| !name.is_empty()).map(str::to_owned).ok_or_else(|| Refused::new("model", "you must provide a model parameter"))
}

/// The messages, of which there must be one at least.
pub(super) fn messages(body: &Value) -> Result<&[Value], Refused> {
    let list = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    if list.is_empty() {
        return Err(Refused::new("messages", "messages: at least one message is required"));
    }
    Ok(list)
}

/// A count that must lie in a range, when it is given at all.
pub(super) fn count(body: &Value, param: &'static str, range: std::ops::RangeInclusive<u64>) -> Result<Option<u64>, Refused> {
    if body[param].is_null() {
        return Ok(None);
    }
    let wrong = || Refused::new(param, format!("{param}: must be a whole number from {} to {}", range.start(), range.end()));
    body[param].as_u64().filter(|n| range.contains(n)).map(Some).ok_or_else(wrong)
}

/// A flag that is off when it is not given.
pub(super) fn flag(body: &Value, param: &'static str) -> Result<bool, Refused> {
    match &body[param] {
        Value::Null => Ok(false),
        Value::Bool(on) => Ok(*on),
        _ => Err(Refused::new(param, format!("{param}: must be true or false"))),
    }
}

/// Texts given as one string or as a list.
pub(super) fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

/// The words of a message's content: a string, or a list of parts with text in them.
pub(super) fn words(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(|part| if part["text"].is_string() { words(&part["text"]) } else { words(&part["content"]) }).collect(),
        _ => String::new(),
    }
}

/// The last user message.
pub(super) fn question(messages: &[Value]) -> String {
    messages.iter().rfind(|message| message["role"] == "user").map(|message| words(&message["content"])).unwrap_or_default()
}

/// Tokens of a prompt: the words, four more for each message, three that open the answer, 85 for each picture, and the
/// tool definitions as JSON. It follows what providers document; nobody outside knows their exact sum for tools.
pub(super) fn tokens_of(messages: &[Value], system: &Value, tools: &Value) -> u64 {
    let message = |message: &Value| 4 + tokens::count(&words(&message["content"])) + 85 * pictures(&message["content"]) + calls(message);
    let offered = if tools.is_null() { 0 } else { tokens::count(&tools.to_string()) };
    let system = if system.is_null() { 0 } else { 4 + tokens::count(&words(system)) };
    messages.iter().map(message).sum::<u64>() + system + offered + 3
}

fn pictures(content: &Value) -> u64 {
    content.as_array().map_or(0, |parts| parts.iter().filter(|part| part["type"] == "image_url" || part["type"] == "image").count() as u64)
}

fn calls(message: &Value) -> u64 {
    if message["tool_calls"].is_null() { 0 } else { tokens::count(&message["tool_calls"].to_string()) }
}
