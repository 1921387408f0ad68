//! Answers that are no stream: whether one is what was asked for, what it used, and the few places in it that are changed on its way.

use super::dialect::Dialect;
use super::operation::Operation;
use super::report::{self, Form, UsageReport};
use super::scan::{self, Wire};
use serde::Deserialize;
use serde_json::value::RawValue;

/// How an answer to an operation reports its usage.
pub(super) fn form_of(operation: Operation) -> Form {
    match operation {
        Operation::Generate(dialect) => Wire::from(dialect).form(),
        Operation::Completions => Form::Chat,
        Operation::Embeddings | Operation::Moderations => Form::Embeddings,
        Operation::ImageGenerations | Operation::ImageEdits => Form::Images,
        Operation::Transcriptions | Operation::Translations => Form::Transcription,
        Operation::Speech => Form::Speech,
        Operation::Rerank => Form::Rerank,
        Operation::GeminiEmbed | Operation::GeminiEmbedBatch => Form::Gemini,
    }
}

/// What every answer of an operation has.
fn mark(operation: Operation) -> &'static [&'static str] {
    match operation {
        Operation::Generate(Dialect::Chat) | Operation::Completions => &["choices"],
        Operation::Generate(Dialect::Responses) => &["output"],
        Operation::Generate(Dialect::Messages) => &["content"],
        Operation::Generate(Dialect::Gemini) => &["candidates", "promptFeedback"],
        Operation::Embeddings | Operation::ImageGenerations | Operation::ImageEdits => &["data"],
        Operation::Moderations | Operation::Rerank => &["results"],
        Operation::GeminiEmbed => &["embedding"],
        Operation::GeminiEmbedBatch => &["embeddings"],
        Operation::Transcriptions | Operation::Translations | Operation::Speech => &[],
    }
}

/// What an answer says of its usage; `None` when it is no answer: not JSON where JSON must be, without what every answer has, or an error in a 200.
pub(super) fn read(operation: Operation, is_json: bool, body: &[u8]) -> Option<UsageReport> {
    let marks = mark(operation);
    if !is_json {
        return (marks.is_empty() && !body.is_empty()).then_some(UsageReport::Absent);
    }
    let fields: std::collections::HashMap<std::borrow::Cow<'_, str>, &RawValue> = serde_json::from_slice(body).ok()?;
    let told = |name: &str| fields.get(name).filter(|raw| raw.get() != "null");
    let has = |name: &&&str| told(name).is_some_and(|raw| raw.get().starts_with(['[', '{']));
    if !marks.is_empty() && marks.iter().find(has).is_none() || told("error").is_some() {
        return None;
    }
    // A Responses answer may say that it failed in a field of its own.
    if told("status").is_some_and(|raw| raw.get() == "\"failed\"") {
        return None;
    }
    Some(report::read_answer(form_of(operation), body))
}

/// The text of an answer, for counting.
pub(super) fn text(operation: Operation, is_json: bool, body: &[u8]) -> String {
    let mut out = String::new();
    match operation {
        Operation::Embeddings | Operation::Moderations | Operation::Rerank | Operation::GeminiEmbed | Operation::GeminiEmbedBatch | Operation::Speech => {}
        Operation::Transcriptions | Operation::Translations if !is_json => out.push_str(&String::from_utf8_lossy(body)),
        _ => scan::append_answer(Wire::of(operation), body, &mut out),
    }
    out
}

/// Writes the cost into the usage object of a JSON text.
pub(super) fn with_cost(body: &[u8], cost: &str) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Outline<'a> {
        #[serde(borrow, default)]
        usage: Option<&'a RawValue>,
        #[serde(rename = "usageMetadata", borrow, default)]
        metadata: Option<&'a RawValue>,
        #[serde(borrow, default)]
        response: Option<&'a RawValue>,
    }
    let text = std::str::from_utf8(body).ok()?;
    let outline: Outline<'_> = serde_json::from_str(text).ok()?;
    let nested: Option<Outline<'_>> = outline.response.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let usage = outline.usage.or(outline.metadata).or(nested.and_then(|response| response.usage))?.get();
    let at = usage.as_ptr() as usize - text.as_ptr() as usize + 1;
    if !usage.starts_with('{') {
        return None;
    }
    let comma = if usage[1..].trim_start().starts_with('}') { "" } else { "," };
    let mut out = Vec::with_capacity(body.len() + 32);
    out.extend_from_slice(&body[..at]);
    out.extend_from_slice(format!("\"cost\":{cost}{comma}").as_bytes());
    out.extend_from_slice(&body[at..]);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_stands_in_the_usage() {
        let with = |text: &str| with_cost(text.as_bytes(), "0.001").map(|body| String::from_utf8(body).unwrap());
        assert_eq!(with(r#"{"usage":{"a":1}}"#).as_deref(), Some(r#"{"usage":{"cost":0.001,"a":1}}"#));
        assert_eq!(with(r#"{"type":"t","response":{"usage":{}}}"#).as_deref(), Some(r#"{"type":"t","response":{"usage":{"cost":0.001}}}"#));
        assert_eq!(with(r#"{"usageMetadata": {"a":1}}"#).as_deref(), Some(r#"{"usageMetadata": {"cost":0.001,"a":1}}"#));
        assert_eq!(with(r#"{"usage":null}"#), None);
    }
}
