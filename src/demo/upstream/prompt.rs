//! What a request asks for, in no dialect.

use super::tokens;
use serde_json::Value;

/// Tokens that a picture in a prompt counts, whatever its size.
pub const PICTURE_TOKENS: u64 = 85;
/// Tokens that a sound in a prompt counts, whatever its length.
pub const SOUND_TOKENS: u64 = 50;
/// Tokens that a document in a prompt counts, whatever its length.
pub const DOCUMENT_TOKENS: u64 = 250;
/// What opens the answer.
const OPENING: u64 = 3;
/// What stands around each message.
const AROUND_A_MESSAGE: u64 = 4;

/// A request after parsing.
#[derive(Debug, Default)]
pub(super) struct Prompt {
    pub model: String,
    pub stream: bool,
    /// Whether a stream should end with a usage chunk (OpenAI only; the others always report).
    pub include_usage: bool,
    pub max_tokens: Option<u64>,
    pub choices: u64,
    pub stop: Vec<String>,
    pub tools: Vec<Tool>,
    pub tool_choice: ToolChoice,
    /// Several tools may be called at once.
    pub parallel: bool,
    /// The last message brings the result of a tool, so this one should be answered in words.
    pub tool_has_answered: bool,
    /// The last user message, as sent.
    pub question: String,
    /// All that counts as input, in order.
    pub units: Vec<Unit>,
    /// Tokens of the whole prompt.
    pub tokens: u64,
    /// The JSON schema that the answer has to fit; an empty one for any JSON.
    pub schema: Option<Value>,
    /// The request asks the model to think.
    pub think: bool,
    /// The request asks to see the thoughts.
    pub show_thoughts: bool,
    /// Only what is marked goes into the cache.
    pub explicit_cache: bool,
}

/// A tool that the caller offers.
#[derive(Clone, Debug)]
pub(super) struct Tool {
    pub name: String,
    pub schema: Value,
    /// Takes free text instead of JSON (Responses only).
    pub custom: bool,
}

/// Whether a tool has to be called.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum ToolChoice {
    #[default]
    Auto,
    None,
    Required,
    Named(String),
}

/// How long a mark keeps what stands before it in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Minutes,
    Hour,
}

/// A stretch of input: a message, the system prompt, or the tool definitions.
#[derive(Clone, Debug, Default)]
pub(super) struct Unit {
    pub words: String,
    /// Calls of tools, as JSON.
    pub calls: String,
    pub pictures: u64,
    pub sounds: u64,
    pub documents: u64,
    pub around: u64,
    pub keep: Option<Keep>,
}

impl Unit {
    /// A message with that content: a string, or a list of parts of any dialect.
    pub fn message(content: &Value) -> Self {
        let mut unit = Self { around: AROUND_A_MESSAGE, ..Self::default() };
        unit.absorb(content);
        unit
    }

    /// Tool definitions, which count as the JSON that they are.
    pub fn definitions(tools: &Value) -> Option<Self> {
        let keep = tools.as_array().into_iter().flatten().rev().find_map(keep);
        (!tools.is_null()).then(|| Self { calls: tools.to_string(), keep, ..Self::default() })
    }

    /// Adds content.
    pub fn absorb(&mut self, content: &Value) {
        match content {
            Value::String(text) => self.words.push_str(text),
            Value::Array(parts) => parts.iter().for_each(|part| self.absorb_part(part)),
            _ => {}
        }
    }

    fn absorb_part(&mut self, part: &Value) {
        self.keep = keep(part).or(self.keep);
        match part["type"].as_str() {
            Some("image_url" | "image" | "input_image") => self.pictures += 1,
            Some("input_audio") => self.sounds += 1,
            Some("file" | "document" | "input_file") => self.documents += 1,
            Some("tool_use") => self.calls.push_str(&part["input"].to_string()),
            _ if part["text"].is_string() => self.absorb(&part["text"]),
            _ => self.absorb(&part["content"]),
        }
    }

    pub fn tokens(&self) -> u64 {
        let media = self.pictures * PICTURE_TOKENS + self.sounds * SOUND_TOKENS + self.documents * DOCUMENT_TOKENS;
        let calls = if self.calls.is_empty() { 0 } else { tokens::count(&self.calls) };
        self.around + tokens::count(&self.words) + calls + media
    }

    /// What makes it another unit than others, for the cache.
    pub fn identity(&self) -> String {
        format!("{}\u{0}{}\u{0}{} {} {}", self.words, self.calls, self.pictures, self.sounds, self.documents)
    }
}

fn keep(part: &Value) -> Option<Keep> {
    let mark = part["cache_control"].as_object()?;
    Some(if mark.get("ttl").is_some_and(|ttl| ttl == "1h") { Keep::Hour } else { Keep::Minutes })
}

impl Prompt {
    /// Takes the input and counts it: the words, four more for each message, three that open the answer, a fixed number for each
    /// picture, sound and document, and the tool definitions as JSON. It follows what providers document; nobody outside knows
    /// their exact sum for tools.
    pub fn with_units(mut self, units: impl IntoIterator<Item = Unit>) -> Self {
        self.units = units.into_iter().collect();
        self.tokens = self.units.iter().map(Unit::tokens).sum::<u64>() + OPENING;
        self
    }

    /// Tokens of the pictures.
    pub fn image_tokens(&self) -> u64 {
        self.units.iter().map(|unit| unit.pictures * PICTURE_TOKENS).sum()
    }

    /// Tokens of the sounds.
    pub fn audio_tokens(&self) -> u64 {
        self.units.iter().map(|unit| unit.sounds * SOUND_TOKENS).sum()
    }

    /// A prompt that is nothing but texts, each counted for itself (embeddings and the like).
    pub fn of_texts(model: String, texts: &[String]) -> Self {
        let units: Vec<Unit> = texts.iter().map(|text| Unit { words: text.clone(), ..Unit::default() }).collect();
        let tokens = units.iter().map(Unit::tokens).sum();
        Self { model, choices: 1, question: texts.last().cloned().unwrap_or_default(), units, tokens, ..Self::default() }
    }
}

/// Why a request is refused, and which parameter is at fault.
#[derive(Debug)]
pub(super) struct Refused {
    pub status: u16,
    pub param: &'static str,
    pub code: Option<&'static str>,
    pub message: String,
}

impl Refused {
    pub fn new(param: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, param, code: None, message: message.into() }
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
    Unit::message(content).words
}

/// The last user message.
pub(super) fn question(messages: &[Value]) -> String {
    messages.iter().rfind(|message| message["role"] == "user").map(|message| words(&message["content"])).unwrap_or_default()
}
