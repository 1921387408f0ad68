//! Gemini's requests: `generateContent` and the embedding calls. The model and whether a stream is asked for stand in the address.
//! Format: <https://ai.google.dev/api/generate-content>. Google reads each name in camel and in snake case.

use super::generate::{Hosted, count, include_cost, speaks, start_of};
use super::json::{self, Level, Reader};
use super::{CapHome, Envelope, Needs, Spans};
use crate::relay::dialect::Dialect;
use crate::relay::error::ApiError;
use crate::relay::operation::Operation;
use serde_json::value::RawValue;
use std::ops::Range;

/// The most candidates that Gemini gives.
const MAX_CANDIDATES: u64 = 8;
/// Searches that one request may set off.
const SEARCHES: u64 = 10;

pub(super) fn read(operation: Operation, model: &str, stream: bool, text: &str) -> Result<Envelope, ApiError> {
    json::check_model(model)?;
    match operation {
        Operation::Generate(Dialect::Gemini) => generate(model, stream, text),
        _ => embed(operation, model, text),
    }
}

/// What is to be counted is a conversation, or a whole request inside.
pub(super) fn read_to_count(model: &str, text: &str) -> Result<Envelope, ApiError> {
    json::check_model(model)?;
    let reader = Reader::body(text, &["contents", "generateContentRequest"])?;
    let Some(raw) = reader.get("generateContentRequest")? else { return generate(model, false, text) };
    let inner = generate(model, false, raw.get())?;
    Ok(inner.moved_by(reader.range(raw).start))
}

fn generate(model: &str, stream: bool, text: &str) -> Result<Envelope, ApiError> {
    const READ: [&str; 10] = [
        "contents",
        "serviceTier",
        "service_tier",
        "tools",
        "generationConfig",
        "generation_config",
        "cachedContent",
        "cached_content",
        "systemInstruction",
        "usage",
    ];
    let reader = Reader::body(text, &READ)?;
    for name in ["cachedContent", "cached_content"] {
        reader.refuse(name, "send the whole conversation.")?;
    }
    for name in ["serviceTier", "service_tier"] {
        reader.usual(name, &["standard", "unspecified"])?;
    }
    let turns = turns(&reader)?;
    let start = start_of(text);
    let config = config(&reader, text, start)?;
    let tools = reader.get("tools")?;
    let hosted = tools.map_or(Ok(Hosted::default()), |raw| hosted_tools(&reader, raw))?;
    let mut read = reader.ranges(&["systemInstruction", "system_instruction"])?;
    let definitions = reader.ranges(&["tools", "generationConfig", "generation_config"])?;
    read.insert(0, turns.clone());
    Ok(Envelope {
        stream,
        output_cap: config.cap,
        choices: config.candidates,
        include_usage: true,
        include_cost: include_cost(&reader)?,
        turns: count(&text[turns.clone()]),
        needs: Needs { tools: tools.is_some(), json_schema: config.schema },
        searches: hosted.searches,
        fetches: hosted.fetches,
        by_the_piece: hosted.by_the_piece,
        spoken: config.spoken,
        spans: Spans { texts: read, definitions, turns, caps: config.caps, cap_home: Some(config.home), start, ..Spans::default() },
        ..Envelope::new(Operation::Generate(Dialect::Gemini), model.to_owned())
    })
}

/// What Google's own tools may do. A tool is an object with one key for each kind of tool in it; what functions are called is the caller's own affair.
fn hosted_tools(reader: &Reader<'_>, tools: &RawValue) -> Result<Hosted, ApiError> {
    let tools = tools.get();
    let tools = serde_json::from_str::<Vec<Level<'_>>>(tools).or_else(|_| serde_json::from_str(tools).map(|tool| vec![tool]));
    let tools = tools.map_err(|_| reader.invalid("tools", "an array of tools"))?;
    let mut hosted = Hosted::default();
    for name in tools.iter().flat_map(Level::names) {
        match name.replace('_', "").to_ascii_lowercase().as_str() {
            "filesearch" => return Err(ApiError::invalid_field("tools", "The provider's tool 'fileSearch' is not offered here.")),
            "retrieval" => return Err(ApiError::invalid_field("tools", "The provider's tool 'retrieval' is not offered here.")),
            "googlemaps" | "enterprisewebsearch" => hosted.search("tools", SEARCHES),
            kind if kind.starts_with("googlesearch") => hosted.search("tools", SEARCHES),
            "urlcontext" | "codeexecution" | "mcpservers" => hosted.add(0, SEARCHES),
            _ => {}
        }
    }
    Ok(hosted)
}

/// `contents` is a list, or one turn alone.
fn turns(reader: &Reader<'_>) -> Result<Range<usize>, ApiError> {
    let raw = reader.must("contents")?;
    if raw.get().starts_with('{') { Ok(reader.range(raw)) } else { reader.turns("contents") }
}

struct Config {
    cap: Option<u64>,
    caps: Vec<Range<usize>>,
    home: CapHome,
    candidates: u64,
    schema: bool,
    spoken: bool,
}

fn config(reader: &Reader<'_>, text: &str, start: usize) -> Result<Config, ApiError> {
    const READ: [&str; 4] = ["maxOutputTokens", "max_output_tokens", "candidateCount", "candidate_count"];
    let (camel, snake) = (reader.written("generationConfig")?, reader.written("generation_config")?);
    if camel.is_some() && snake.is_some() {
        return Err(ApiError::invalid("generationConfig", "'generationConfig' is given more than once."));
    }
    let name = if snake.is_some() { "generation_config" } else { "generationConfig" };
    let Some(inner) = reader.inside(name, "generationConfig.", &READ)? else {
        // A null has to go, or the field would stand there twice.
        let home = CapHome { at: start, field: "maxOutputTokens", inside: Some("generationConfig"), is_last: false };
        let nulls = reader.written(name)?.map(|raw| reader.range(raw));
        if nulls.is_some() {
            return Err(reader.invalid(name, "an object"));
        }
        return Ok(Config { cap: None, caps: Vec::new(), home, candidates: 1, schema: false, spoken: false });
    };
    let (cap, caps) = inner.caps(&["maxOutputTokens", "max_output_tokens"])?;
    let candidates = inner.whole("candidateCount", 1, MAX_CANDIDATES)?.or(inner.whole("candidate_count", 1, MAX_CANDIDATES)?).unwrap_or(1);
    let at = camel.or(snake).map_or(start, |raw| reader.range(raw).start + 1);
    let is_last = text[at..].trim_start().starts_with('}');
    let schema =
        inner.entries().any(|(key, _)| key.to_ascii_lowercase().replace('_', "").starts_with("response") && key.to_ascii_lowercase().contains("schema"));
    let spoken = inner.entries().any(|(key, raw)| matches!(key, "responseModalities" | "response_modalities") && speaks(raw));
    Ok(Config { cap, caps, home: CapHome { at, field: "maxOutputTokens", inside: None, is_last }, candidates, schema, spoken })
}

fn embed(operation: Operation, model: &str, text: &str) -> Result<Envelope, ApiError> {
    const READ: [&str; 4] = ["content", "requests", "model", "usage"];
    let reader = Reader::body(text, &READ)?;
    let turns = match operation {
        Operation::GeminiEmbedBatch => reader.turns("requests")?,
        _ => reader.range(reader.must("content")?),
    };
    let start = start_of(text);
    Ok(Envelope {
        output_cap: Some(0),
        include_cost: include_cost(&reader)?,
        spans: Spans { texts: vec![turns.clone()], turns, start, ..Spans::default() },
        ..Envelope::new(operation, model.to_owned())
    })
}
