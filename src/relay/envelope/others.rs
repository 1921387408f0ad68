//! The requests that are no conversation: completions, embeddings, moderations, pictures, sound, reranking.

use super::generate::{include_cost, include_usage, start_of};
use super::json::Reader;
use super::{CapHome, Envelope, Form, Spans, Wanted, json};
use crate::relay::count;
use crate::relay::error::ApiError;
use crate::relay::operation::Operation;
use serde_json::Value;

/// What legacy Completions give when nobody says.
const COMPLETION_TOKENS: u64 = 16;
const MAX_CHOICES: u64 = 128;
const MAX_PROMPTS: usize = 2_048;
const MAX_IMAGES: u64 = 10;

/// OpenAI's legacy Completions: each prompt is answered `n` times, after `best_of` tries.
pub(super) fn completions(text: &str) -> Result<Envelope, ApiError> {
    const READ: [&str; 10] = ["model", "prompt", "stream", "stream_options", "max_tokens", "n", "best_of", "suffix", "usage", "echo"];
    let reader = Reader::body(text, &READ)?;
    let (model, model_at) = reader.model()?;
    let prompts = prompts(&reader)?;
    let tries = reader.whole("n", 1, MAX_CHOICES)?.unwrap_or(1).max(reader.whole("best_of", 1, MAX_CHOICES)?.unwrap_or(1));
    let (cap, caps) = reader.caps(&["max_tokens"])?;
    let start = start_of(text);
    let read = reader.ranges(&["prompt", "suffix"])?;
    Ok(Envelope {
        stream: reader.flag("stream")?,
        output_cap: Some(cap.unwrap_or(COMPLETION_TOKENS)),
        choices: tries.saturating_mul(prompts),
        include_usage: include_usage(&reader)?,
        include_cost: include_cost(&reader)?,
        spans: Spans {
            model: Some(model_at),
            turns: read.first().cloned().unwrap_or_default(),
            texts: read,
            definitions: Vec::new(),
            caps,
            cap_home: Some(CapHome { at: start, field: "max_tokens", inside: None, is_last: false }),
            stream_options: reader.written("stream_options")?.map(|raw| reader.range(raw)),
            start,
            ..Spans::default()
        },
        ..Envelope::new(Operation::Completions, model)
    })
}

/// How many prompts there are: texts, or lists of tokens.
fn prompts(reader: &Reader<'_>) -> Result<u64, ApiError> {
    let raw = reader.must("prompt")?;
    let wrong = || reader.invalid("prompt", "a string, a list of strings, or tokens");
    match serde_json::from_str(raw.get()).map_err(|_| wrong())? {
        Value::String(_) => Ok(1),
        Value::Array(items) if items.is_empty() || items.len() > MAX_PROMPTS && !items[0].is_number() => Err(wrong()),
        Value::Array(items) if items.iter().all(|item| item.is_u64()) => Ok(1),
        Value::Array(items) if items.iter().all(|item| item.is_string() || item.is_array()) => Ok(items.len() as u64),
        _ => Err(wrong()),
    }
}

/// Embeddings, moderations, reranking: what goes in is all that counts.
pub(super) fn plain(operation: Operation, text: &str) -> Result<Envelope, ApiError> {
    const READ: [&str; 6] = ["model", "input", "query", "documents", "stream", "usage"];
    const MODERATION: &str = "omni-moderation-latest";
    let reader = Reader::body(text, &READ)?;
    let (model, model_at) = match (operation, reader.written("model")?) {
        (Operation::Moderations, None) => (MODERATION.to_owned(), None),
        _ => reader.model().map(|(model, at)| (model, Some(at)))?,
    };
    if reader.flag("stream")? {
        return Err(reader.invalid("stream", "false: this is answered as a whole"));
    }
    let (texts, documents) = if operation == Operation::Rerank {
        reader.must("query")?;
        let documents = documents(reader.must("documents")?.get());
        (reader.ranges(&["query", "documents"])?, Some(documents))
    } else {
        reader.must("input")?;
        (reader.ranges(&["input"])?, None)
    };
    Ok(Envelope {
        output_cap: Some(0),
        include_cost: include_cost(&reader)?,
        searches: documents.map_or(0, |documents| searches(documents, texts[1].len())),
        again: documents.map_or(0, |documents| documents.saturating_sub(1)),
        spans: Spans { model: model_at, turns: texts[0].clone(), texts, start: start_of(text), ..Spans::default() },
        ..Envelope::new(operation, model)
    })
}

/// How many documents are to be ranked.
fn documents(json: &str) -> u64 {
    serde_json::from_str::<Vec<serde::de::IgnoredAny>>(json).map_or(1, |documents| documents.len() as u64)
}

/// How many units of reranking that is, as Cohere has defined them: a hundred documents each, and a document that is longer than 500 tokens is several.
fn searches(documents: u64, bytes: usize) -> u64 {
    documents.saturating_add(count::estimate(bytes) / 500).div_ceil(100).max(1)
}

/// Pictures from a prompt, or from pictures by their addresses.
pub(super) fn images(operation: Operation, text: &str) -> Result<Envelope, ApiError> {
    const READ: [&str; 6] = ["model", "prompt", "n", "stream", "images", "usage"];
    let reader = Reader::body(text, &READ)?;
    let (model, model_at) = reader.model()?;
    reader.must("prompt")?;
    let images = reader.whole("n", 1, MAX_IMAGES)?.unwrap_or(1);
    let texts = reader.ranges(&["prompt"])?;
    Ok(Envelope {
        stream: reader.flag("stream")?,
        output_cap: Some(0),
        include_cost: include_cost(&reader)?,
        wanted: Wanted { images, ..Wanted::default() },
        spans: Spans { model: Some(model_at), turns: texts[0].clone(), texts, start: start_of(text), ..Spans::default() },
        ..Envelope::new(operation, model)
    })
}

/// Text to sound.
pub(super) fn speech(text: &str) -> Result<Envelope, ApiError> {
    const READ: [&str; 6] = ["model", "input", "stream_format", "instructions", "voice", "usage"];
    let reader = Reader::body(text, &READ)?;
    let (model, model_at) = reader.model()?;
    let input: String = reader.optional("input", "a string")?.ok_or_else(|| ApiError::invalid("input", "'input' is missing."))?;
    let texts = reader.ranges(&["input", "instructions"])?;
    let format: Option<String> = reader.optional("stream_format", "\"audio\" or \"sse\"")?;
    Ok(Envelope {
        stream: format.as_deref() == Some("sse"),
        output_cap: Some(0),
        include_cost: include_cost(&reader)?,
        wanted: Wanted { characters: input.chars().count() as u64, ..Wanted::default() },
        spans: Spans { model: Some(model_at), turns: texts[0].clone(), texts, start: start_of(text), ..Spans::default() },
        ..Envelope::new(Operation::Speech, model)
    })
}

/// What comes as a form: pictures to change, sound to write down.
pub(super) fn form(operation: Operation, form: Form, body: &[u8]) -> Result<Envelope, ApiError> {
    let model = form.text("model").ok_or_else(|| ApiError::invalid("model", "You must say which model: 'model' is missing."))?.to_owned();
    json::check_model(&model)?;
    let stream = match form.text("stream") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(ApiError::invalid("stream", "'stream' must be true or false.")),
    };
    let mut envelope = Envelope { stream, output_cap: Some(0), ..Envelope::new(operation, model) };
    if operation == Operation::ImageEdits {
        let images = form.text("n").map_or(Ok(1), str::parse::<u64>).ok().filter(|n| (1..=MAX_IMAGES).contains(n));
        let images = images.ok_or_else(|| ApiError::invalid_field("n", format!("'n' must be a whole number from 1 to {MAX_IMAGES}.")))?;
        if form.text("prompt").is_none() {
            return Err(ApiError::invalid("prompt", "'prompt' is missing."));
        }
        envelope.wanted.images = images;
        envelope.pictures = form.files() as u64;
        if form.files() == 0 {
            return Err(ApiError::invalid("image", "'image' is missing: send at least one file."));
        }
    } else {
        if form.files() != 1 {
            return Err(ApiError::invalid("file", "Send exactly one 'file'."));
        }
        envelope.wanted.audio_bytes = form.file_bytes() as u64;
        envelope.wanted.audio_ms = form.first_file(body).and_then(count::sound_ms);
    }
    envelope.spans.form = Some(form);
    Ok(envelope)
}
