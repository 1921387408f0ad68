//! The requests for an answer of a model: Chat Completions, Responses, Messages.

use super::json::Reader;
use super::{CapHome, Envelope, Needs, Spans, Thinking};
use crate::relay::dialect::Dialect;
use crate::relay::error::ApiError;
use crate::relay::operation::Operation;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The most choices that OpenAI gives.
const MAX_CHOICES: u64 = 128;
/// Classes of service at the usual price, as OpenAI and Groq call them.
const OPENAI_TIERS: [&str; 4] = ["auto", "default", "standard", "on_demand"];
/// Searches that one request may set off when it does not say.
const SEARCHES: u64 = 10;
/// More uses of the provider's tools than a request makes.
const MOST_USES: u64 = 1_000;
/// The longest word that keeps a conversation together.
const MAX_AFFINITY: usize = 512;

/// OpenAI Chat Completions. Format: <https://platform.openai.com/docs/api-reference/chat>.
pub(super) fn chat(text: &str) -> Result<Envelope, ApiError> {
    const READ: [&str; 18] = [
        "model",
        "messages",
        "service_tier",
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
        "search_parameters",
        "modalities",
        "audio",
        "prompt",
    ];
    let reader = Reader::body(text, &READ)?;
    let (model, model_at) = reader.model()?;
    reader.usual("service_tier", &OPENAI_TIERS)?;
    let (output_cap, caps) = reader.caps(&["max_tokens", "max_completion_tokens"])?;
    let turns = reader.turns("messages")?;
    let tools = reader.get("tools")?.or(reader.get("functions")?);
    let mut hosted = tools.map_or(Ok(Hosted::default()), |raw| hosted_tools(&reader, raw))?;
    for field in ["web_search_options", "search_parameters"] {
        if reader.get(field)?.is_some() {
            hosted.search(field, SEARCHES);
        }
    }
    let format = reader.get("response_format")?;
    let start = start_of(text);
    Ok(Envelope {
        stream: reader.flag("stream")?,
        output_cap,
        choices: reader.whole("n", 1, MAX_CHOICES)?.unwrap_or(1),
        include_usage: include_usage(&reader)?,
        include_cost: include_cost(&reader)?,
        turns: count(&text[turns.clone()]),
        needs: Needs { tools: tools.is_some_and(is_filled), json_schema: format.is_some_and(is_schema) },
        affinity: affinity(reader.get("prompt_cache_key")?),
        searches: hosted.searches,
        fetches: hosted.fetches,
        by_the_piece: hosted.by_the_piece,
        spoken: reader.get("modalities")?.is_some_and(speaks) || reader.get("audio")?.is_some(),
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
    const READ: [&str; 17] = [
        "model",
        "input",
        "service_tier",
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
    reader.usual("service_tier", &OPENAI_TIERS)?;
    reader.refuse("background", "wait for the answer, or stream it.")?;
    let input = reader.must("input")?;
    if !input.get().starts_with(['"', '[']) {
        return Err(reader.invalid("input", "a string or an array"));
    }
    let turns = reader.range(input);
    let (output_cap, caps) = reader.caps(&["max_output_tokens"])?;
    let tools = reader.get("tools")?;
    let hosted = tools.map_or(Ok(Hosted::default()), |raw| hosted_tools(&reader, raw))?;
    let start = start_of(text);
    let mut read = reader.ranges(&["instructions"])?;
    read.insert(0, turns.clone());
    let definitions = reader.ranges(&["tools", "text"])?;
    Ok(Envelope {
        stream: reader.flag("stream")?,
        output_cap,
        include_usage: true,
        include_cost: include_cost(&reader)?,
        turns: items(&reader, input)?,
        needs: Needs { tools: tools.is_some_and(is_filled), json_schema: reader.get("text")?.is_some_and(is_schema) },
        affinity: affinity(reader.get("prompt_cache_key")?),
        searches: hosted.searches,
        fetches: hosted.fetches,
        by_the_piece: hosted.by_the_piece,
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
    const READ: [&str; 16] = [
        "model",
        "messages",
        "system",
        "stream",
        "max_tokens",
        "tools",
        "metadata",
        "usage",
        "output_config",
        "container",
        "output_format",
        "thinking",
        "mcp_servers",
        "service_tier",
        "speed",
        "inference_geo",
    ];
    let reader = Reader::body(text, &READ)?;
    let (model, model_at) = reader.model()?;
    reader.usual("service_tier", &["auto", "standard_only", "standard"])?;
    reader.usual("speed", &["standard"])?;
    reader.usual("inference_geo", &["global"])?;
    reader.refuse("container", "code cannot be run with a provider.")?;
    let turns = reader.turns("messages")?;
    let (output_cap, caps) = reader.caps(&["max_tokens"])?;
    if output_cap.is_none() && !is_count {
        return Err(ApiError::invalid_field("max_tokens", "'max_tokens' is missing: say how many tokens the answer may have.".to_owned()));
    }
    let tools = reader.get("tools")?;
    let hosted = tools.map_or(Ok(Hosted::default()), |raw| hosted_tools(&reader, raw))?;
    let start = start_of(text);
    let mut read = reader.ranges(&["system"])?;
    read.insert(0, turns.clone());
    let definitions = reader.ranges(&["tools", "output_config", "output_format"])?;
    let user = reader.inside("metadata", "metadata.", &[])?.map(|metadata| metadata.get("user_id")).transpose()?.flatten();
    let mut hosted = hosted;
    if reader.get("mcp_servers")?.is_some_and(is_filled) {
        hosted.add(0, SEARCHES);
    }
    let schema = reader.get("output_config")?.or(reader.get("output_format")?);
    Ok(Envelope {
        stream: reader.flag("stream")?,
        output_cap,
        include_usage: true,
        include_cost: include_cost(&reader)?,
        turns: count(&text[turns.clone()]),
        needs: Needs { tools: tools.is_some_and(is_filled), json_schema: schema.is_some_and(is_schema) },
        affinity: affinity(user),
        searches: hosted.searches,
        fetches: hosted.fetches,
        by_the_piece: hosted.by_the_piece,
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

/// Whether a list of modalities has sound in it.
pub(super) fn speaks(raw: &RawValue) -> bool {
    raw.get().to_ascii_lowercase().contains("audio")
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

/// What the provider's own tools may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hosted {
    /// Searches that they may set off.
    pub(super) searches: u64,
    /// How often they may bring what is not in the request.
    pub(super) fetches: u64,
    /// What asks for a tool that the provider bills by the piece.
    pub(super) by_the_piece: Option<&'static str>,
}

impl Hosted {
    /// A tool that the provider bills by the search, asked for in this field.
    pub(super) fn search(&mut self, field: &'static str, uses: u64) {
        self.add(uses, uses);
        self.by_the_piece = self.by_the_piece.or(Some(field));
    }

    pub(super) fn add(&mut self, searches: u64, fetches: u64) {
        self.searches = self.searches.saturating_add(searches).min(MOST_USES);
        self.fetches = self.fetches.saturating_add(fetches).min(MOST_USES);
    }
}

/// Signs of the provider's own tools; most requests have functions only. An escape may hide one.
const HOSTED: [&[u8]; 8] = [b"search", b"fetch", b"\"mcp\"", b"\"mcp_toolset\"", b"code_", b"image_", b"container", b"\\u"];

/// What the provider's own tools may do. Tools of the provider's whose use costs by the hour or the session cannot be metered and are refused.
fn hosted_tools(reader: &Reader<'_>, tools: &RawValue) -> Result<Hosted, ApiError> {
    const UNMETERED: [&str; 4] = ["code_interpreter", "code_execution", "file_search", "image_generation"];
    #[derive(Deserialize)]
    struct Tool<'a> {
        #[serde(rename = "type", borrow, default)]
        kind: Option<std::borrow::Cow<'a, str>>,
        #[serde(default)]
        max_uses: Option<u64>,
        #[serde(borrow, default)]
        environment: Option<&'a RawValue>,
        #[serde(default)]
        external_web_access: Option<bool>,
        #[serde(borrow, default)]
        function: Option<&'a RawValue>,
    }
    impl Tool<'_> {
        /// Moonshot's search, which is a function of a certain name.
        fn is_kimis(&self) -> bool {
            self.kind.as_deref() == Some("builtin_function") && self.function.is_some_and(|raw| memmem::find(raw.get().as_bytes(), b"web_search").is_some())
        }
    }
    let plain = tools.get().as_bytes();
    if !HOSTED.iter().any(|sign| memmem::find(plain, sign).is_some()) {
        return Ok(Hosted::default());
    }
    let tools: Vec<Tool<'_>> = serde_json::from_str(tools.get()).map_err(|_| reader.invalid("tools", "an array of tools"))?;
    let mut hosted = Hosted::default();
    for tool in &tools {
        let word = tool.kind.as_deref().unwrap_or("function");
        let runs = tool.environment.is_some_and(|raw| memmem::find(raw.get().as_bytes(), b"container").is_some());
        let name = UNMETERED.iter().find(|name| word.starts_with(**name)).copied();
        if let Some(name) = name.or(runs.then_some("shell")) {
            return Err(ApiError::invalid_field(
                "tools",
                format!("The provider's tool '{name}' is not offered here. Run such a tool yourself, as a function."),
            ));
        }
        let uses = tool.max_uses.unwrap_or(SEARCHES);
        match word {
            // Codex asks so in each of its requests, to search in what the provider has: no reason to serve it nowhere.
            _ if word.starts_with("web_search") && tool.external_web_access == Some(false) => hosted.add(uses, uses),
            _ if word.starts_with("web_search") || tool.is_kimis() => hosted.search("tools", uses),
            _ if word.starts_with("web_fetch") || word.starts_with("mcp") => hosted.add(0, uses),
            _ => {}
        }
    }
    Ok(hosted)
}
