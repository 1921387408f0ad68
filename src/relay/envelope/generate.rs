//! The requests for an answer of a model: Chat Completions, Responses, Messages.

use super::json::Reader;
use super::{CapHome, Envelope, Needs, Spans, Thinking, texts};
use crate::relay::dialect::Dialect;
use crate::relay::error::ApiError;
use crate::relay::operation::Operation;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The most choices that OpenAI gives.
const MAX_CHOICES: u64 = 128;
/// Searches that one request may set off when it does not say.
const SEARCHES: u64 = 10;
/// The longest word that keeps a conversation together.
const MAX_AFFINITY: usize = 512;

/// OpenAI Chat Completions. Format: <https://platform.openai.com/docs/api-reference/chat>.
pub(super) fn chat(text: &str) -> Result<Envelope, ApiError> {
    const READ: [&str; 14] = [
        "model",
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "n",
        "tools",
        "functions",
        "response_format",
        "usage",
        "prompt_cache_key",
        "web_search_options",
        "prompt",
    ];
    let reader = Reader::body(text, &READ)?;
    let (model, model_at) = reader.model()?;
    let (output_cap, caps) = reader.caps(&["max_tokens", "max_completion_tokens"])?;
    let turns = reader.turns("messages")?;
    let tools = reader.get("tools")?.or(reader.get("functions")?);
    let format = reader.get("response_format")?;
    let media_parts = texts::media_parts(&text.as_bytes()[turns.clone()]);
    let start = start_of(text);
    Ok(Envelope {
        stream: reader.flag("stream")?,
        output_cap,
        choices: reader.whole("n", 1, MAX_CHOICES)?.unwrap_or(1),
        include_usage: include_usage(&reader)?,
        include_cost: include_cost(&reader)?,
        media_parts,
        turns: count(&text[turns.clone()]),
        needs: Needs { tools: tools.is_some_and(is_filled), vision: media_parts > 0, json_schema: format.is_some_and(is_schema) },
        affinity: affinity(reader.get("prompt_cache_key")?),
        searches: if reader.get("web_search_options")?.is_some() { SEARCHES } else { 0 },
        spans: Spans {
            model: Some(model_at),
            texts: vec![turns.clone()],
            definitions: reader.ranges(&["tools", "functions", "response_format"])?,
            turns,
            instructions: None,
            caps,
            cap_home: Some(CapHome { at: start, field: "max_tokens", inside: None, is_last: false }),
            thinking: None,
            stream_options: reader.written("stream_options")?.map(|raw| reader.range(raw)),
            start,
            form: None,
        },
        ..Envelope::new(Operation::Generate(Dialect::Chat), model)
    })
}

/// OpenAI Responses. Format: <https://platform.openai.com/docs/api-reference/responses>.
pub(super) fn responses(text: &str) -> Result<Envelope, ApiError> {
    const READ: [&str; 16] = [
        "model",
        "input",
        "instructions",
        "stream",
        "max_output_tokens",
        "tools",
        "text",
        "usage",
        "prompt_cache_key",
        "background",
        "previous_response_id",
        "conversation",
        "prompt",
        "metadata",
        "max_tool_calls",
        "include",
    ];
    let reader = Reader::body(text, &READ)?;
    let (model, model_at) = reader.model()?;
    let whole = "the conversation is kept by you: send all of it as 'input'.";
    reader.refuse("previous_response_id", whole)?;
    reader.refuse("conversation", whole)?;
    reader.refuse("prompt", "send the prompt itself.")?;
    reader.refuse("background", "wait for the answer, or stream it.")?;
    let input = reader.must("input")?;
    if !input.get().starts_with(['"', '[']) {
        return Err(reader.invalid("input", "a string or an array"));
    }
    let turns = reader.range(input);
    let (output_cap, caps) = reader.caps(&["max_output_tokens"])?;
    let tools = reader.get("tools")?;
    let searches = tools.map_or(Ok(0), |raw| hosted_tools(&reader, raw))?;
    let media_parts = texts::media_parts(&text.as_bytes()[turns.clone()]);
    let start = start_of(text);
    let mut read = reader.ranges(&["instructions"])?;
    read.insert(0, turns.clone());
    let definitions = reader.ranges(&["tools", "text"])?;
    Ok(Envelope {
        stream: reader.flag("stream")?,
        output_cap,
        include_usage: true,
        include_cost: include_cost(&reader)?,
        media_parts,
        turns: items(&reader, input)?,
        needs: Needs { tools: tools.is_some_and(is_filled), vision: media_parts > 0, json_schema: reader.get("text")?.is_some_and(is_schema) },
        affinity: affinity(reader.get("prompt_cache_key")?),
        searches,
        spans: Spans {
            model: Some(model_at),
            texts: read,
            definitions,
            turns,
            instructions: reader.get("instructions")?.map(|raw| reader.range(raw)),
            caps,
            cap_home: Some(CapHome { at: start, field: "max_output_tokens", inside: None, is_last: false }),
            thinking: None,
            stream_options: None,
            start,
            form: None,
        },
        ..Envelope::new(Operation::Generate(Dialect::Responses), model)
    })
}

/// Anthropic Messages. Format: <https://docs.anthropic.com/en/api/messages>. Whoever only wants tokens counted sets no cap.
pub(super) fn messages(text: &str, is_count: bool) -> Result<Envelope, ApiError> {
    const READ: [&str; 12] =
        ["model", "messages", "system", "stream", "max_tokens", "tools", "metadata", "usage", "output_config", "container", "output_format", "thinking"];
    let reader = Reader::body(text, &READ)?;
    let (model, model_at) = reader.model()?;
    reader.refuse("container", "code cannot be run with a provider.")?;
    let turns = reader.turns("messages")?;
    let (output_cap, caps) = reader.caps(&["max_tokens"])?;
    if output_cap.is_none() && !is_count {
        return Err(ApiError::invalid_field("max_tokens", "'max_tokens' is missing: say how many tokens the answer may have.".to_owned()));
    }
    let tools = reader.get("tools")?;
    let searches = tools.map_or(Ok(0), |raw| hosted_tools(&reader, raw))?;
    let media_parts = texts::media_parts(&text.as_bytes()[turns.clone()]);
    let start = start_of(text);
    let mut read = reader.ranges(&["system"])?;
    read.insert(0, turns.clone());
    let definitions = reader.ranges(&["tools", "output_config", "output_format"])?;
    let user = reader.inside("metadata", "metadata.", &[])?.map(|metadata| metadata.get("user_id")).transpose()?.flatten();
    let schema = reader.get("output_config")?.or(reader.get("output_format")?);
    Ok(Envelope {
        stream: reader.flag("stream")?,
        output_cap,
        include_usage: true,
        include_cost: include_cost(&reader)?,
        media_parts,
        turns: count(&text[turns.clone()]),
        needs: Needs { tools: tools.is_some_and(is_filled), vision: media_parts > 0, json_schema: schema.is_some_and(is_schema) },
        affinity: affinity(user),
        searches,
        spans: Spans {
            model: Some(model_at),
            texts: read,
            definitions,
            turns,
            instructions: reader.get("system")?.map(|raw| reader.range(raw)),
            caps,
            cap_home: Some(CapHome { at: start, field: "max_tokens", inside: None, is_last: false }),
            thinking: thinking(&reader)?,
            stream_options: None,
            start,
            form: None,
        },
        ..Envelope::new(Operation::Generate(Dialect::Messages), model)
    })
}

/// A budget that is no number is the upstream's to refuse.
fn thinking(reader: &Reader<'_>) -> Result<Option<Thinking>, ApiError> {
    let Some(raw) = reader.get("thinking")? else { return Ok(None) };
    let Some(inner) = reader.inside("thinking", "thinking.", &["budget_tokens"])? else { return Ok(None) };
    let Some(budget) = inner.get("budget_tokens")? else { return Ok(None) };
    let tokens = budget.get().parse().ok();
    Ok(tokens.map(|tokens| Thinking { object: reader.range(raw), budget: reader.range(budget), tokens }))
}

/// Just behind the opening brace.
pub(super) fn start_of(text: &str) -> usize {
    text.find('{').map_or(0, |at| at + 1)
}

pub(super) fn include_usage(reader: &Reader<'_>) -> Result<bool, ApiError> {
    #[derive(Deserialize)]
    struct Options {
        include_usage: Option<bool>,
    }
    let options: Option<Options> = reader.optional("stream_options", "an object such as {\"include_usage\": true}")?;
    Ok(options.and_then(|options| options.include_usage).unwrap_or(false))
}

/// `"usage": {"include": true}` asks for the cost in the answer's usage object.
pub(super) fn include_cost(reader: &Reader<'_>) -> Result<bool, ApiError> {
    #[derive(Deserialize)]
    struct Wish {
        include: Option<bool>,
    }
    let wish: Option<Wish> = reader.optional("usage", "an object such as {\"include\": true}")?;
    Ok(wish.and_then(|wish| wish.include).unwrap_or(false))
}

fn is_filled(raw: &RawValue) -> bool {
    !raw.get().trim_start_matches('[').trim_start().starts_with(']')
}

fn is_schema(raw: &RawValue) -> bool {
    memmem::find(raw.get().as_bytes(), b"json_schema").is_some()
}

fn affinity(raw: Option<&RawValue>) -> Option<String> {
    let word: String = serde_json::from_str(raw?.get()).ok()?;
    (!word.is_empty() && word.len() <= MAX_AFFINITY).then_some(word)
}

/// How many entries a list has; a string is one.
pub(super) fn count(json: &str) -> u64 {
    serde_json::from_str::<Vec<serde::de::IgnoredAny>>(json).map_or(1, |turns| turns.len() as u64)
}

/// How many items a conversation has. One that only names what the provider has stored is refused: it could be another customer's.
fn items(reader: &Reader<'_>, input: &RawValue) -> Result<u64, ApiError> {
    #[derive(Deserialize)]
    struct Item<'a> {
        #[serde(rename = "type", borrow, default)]
        kind: Option<std::borrow::Cow<'a, str>>,
        #[serde(default)]
        role: Option<serde::de::IgnoredAny>,
        #[serde(default)]
        id: Option<serde::de::IgnoredAny>,
    }
    if input.get().starts_with('"') {
        return Ok(1);
    }
    let items: Vec<Item<'_>> = serde_json::from_str(input.get()).map_err(|_| reader.invalid("input", "a string or an array of items"))?;
    // The word may be left out where there is nothing but the id.
    let is_reference = |item: &Item<'_>| item.kind.as_deref().map_or(item.role.is_none() && item.id.is_some(), |kind| kind == "item_reference");
    match items.iter().position(is_reference) {
        Some(at) => Err(ApiError::invalid_field(&format!("input[{at}].type"), format!("'input[{at}]' is not offered here: send the item itself."))),
        None => Ok(items.len() as u64),
    }
}

/// How many searches the provider's own tools may set off. Tools of the provider's whose use costs by the hour or the session cannot be metered and are refused.
fn hosted_tools(reader: &Reader<'_>, tools: &RawValue) -> Result<u64, ApiError> {
    const UNMETERED: [&str; 4] = ["code_interpreter", "code_execution", "file_search", "image_generation"];
    #[derive(Deserialize)]
    struct Tool<'a> {
        #[serde(rename = "type", borrow, default)]
        kind: Option<std::borrow::Cow<'a, str>>,
        #[serde(default)]
        max_uses: Option<u64>,
    }
    // Most requests have functions only.
    let plain = tools.get().as_bytes();
    if memmem::find(plain, b"search").is_none()
        && memmem::find(plain, b"code_").is_none()
        && memmem::find(plain, b"image_").is_none()
        && memmem::find(plain, b"\\u").is_none()
    {
        return Ok(0);
    }
    let tools: Vec<Tool<'_>> = serde_json::from_str(tools.get()).map_err(|_| reader.invalid("tools", "an array of tools"))?;
    let mut searches = 0u64;
    for kind in &tools {
        let word = kind.kind.as_deref().unwrap_or("function");
        if let Some(name) = UNMETERED.iter().find(|name| word.starts_with(**name)) {
            return Err(ApiError::invalid_field(
                "tools",
                format!("The provider's tool '{name}' is not offered here. Run such a tool yourself, as a function."),
            ));
        }
        if word.starts_with("web_search") {
            searches = searches.saturating_add(kind.max_uses.unwrap_or(SEARCHES));
        }
    }
    Ok(searches.min(1_000))
}
