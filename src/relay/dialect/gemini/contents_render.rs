//! `contents`, written for an upstream.

use super::super::canonical::{File, Message, Part, Request, Role, Source, Thought, ToolCall, ToolResult, Unfit, tool_name};
use super::super::{Dialect, custom};
use super::{seal::Seal, thinking};
use data_encoding::BASE64;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// What Google takes for a seal on a call that no model of its own made.
const UNSEALED: &str = "skip_thought_signature_validator";

/// The turns, those of one side that follow each other joined.
///
/// # Errors
/// Names the part that Gemini has no words for.
pub(super) fn render(request: &Request, model: &str) -> Result<Vec<Value>, Unfit> {
    let writer = Writer { names: names(request), demands_seals: thinking::generation(model).is_some_and(|generation| generation >= 30) };
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    for (at, message) in request.messages.iter().enumerate() {
        let role = if message.role == Role::Assistant { "model" } else { "user" };
        let parts = writer.parts(message, &format!("messages[{at}]"))?;
        match turns.last_mut() {
            Some((last, so_far)) if *last == role => so_far.extend(parts),
            _ if parts.is_empty() => {}
            _ => turns.push((role, parts)),
        }
    }
    for (_, parts) in turns.iter_mut().filter(|(role, _)| writer.demands_seals && *role == "model") {
        // One seal for all calls of a turn, on the first.
        let first = parts.iter_mut().find(|part| part.get("functionCall").is_some());
        if let Some(call) = first.filter(|call| call.get("thoughtSignature").is_none()) {
            call["thoughtSignature"] = UNSEALED.into();
        }
    }
    Ok(turns.into_iter().map(|(role, parts)| json!({"role": role, "parts": parts})).collect())
}

/// The tool of each call.
fn names(request: &Request) -> HashMap<&str, &str> {
    let parts = request.messages.iter().flat_map(|message| &message.parts);
    parts.filter_map(|part| if let Part::ToolCall(call) = part { Some((call.id.as_str(), call.name.as_str())) } else { None }).collect()
}

struct Writer<'r> {
    names: HashMap<&'r str, &'r str>,
    demands_seals: bool,
}

impl Writer<'_> {
    fn parts(&self, message: &Message, path: &str) -> Result<Vec<Value>, Unfit> {
        let mut out = Vec::new();
        for (at, part) in message.parts.iter().enumerate() {
            let path = format!("{path}.content[{at}]");
            match part {
                Part::Text(text) if text.text.is_empty() => {}
                Part::Text(text) => out.push(json!({"text": text.text})),
                Part::Refusal(text) => out.push(json!({"text": text})),
                Part::ToolCall(call) => out.push(render_call(call)),
                Part::ToolResult(result) => self.result(result, &path, &mut out)?,
                Part::Thought(thought) => out.extend(render_thought(thought)),
                media => out.push(render_media(media, &path)?),
            }
        }
        Ok(out)
    }

    /// A result. Pictures in it stand inside from Gemini 3 on, and after it before.
    fn result(&self, result: &ToolResult, path: &str, out: &mut Vec<Value>) -> Result<(), Unfit> {
        let known = self.names.get(result.call_id.as_str()).copied();
        let name = known.or(result.name.as_deref()).unwrap_or(&result.call_id);
        let (mut texts, mut media) = (Vec::new(), Vec::new());
        for (at, part) in result.parts.iter().enumerate() {
            match part {
                Part::Text(text) => texts.push(text.text.as_str()),
                part => media.push(render_media(part, &format!("{path}.content[{at}]"))?),
            }
        }
        let response = response(&texts.join("\n"), result.is_error);
        let mut function = json!({"id": result.call_id, "name": tool_name::fit(name), "response": response});
        let inside = self.demands_seals && !media.is_empty() && media.iter().all(|part| part.get("inlineData").is_some());
        if inside {
            function["parts"] = std::mem::take(&mut media).into();
        }
        out.push(json!({"functionResponse": function}));
        out.extend(media);
        Ok(())
    }
}

/// A tool's answer as an object: itself when it is one, and could not be taken for one of ours.
fn response(text: &str, is_error: bool) -> Value {
    if is_error {
        return json!({"error": text});
    }
    let is_ours = |fields: &Map<String, Value>| fields.len() == 1 && fields.values().all(Value::is_string);
    let object = serde_json::from_str::<Value>(text).ok().filter(|value| value.as_object().is_some_and(|fields| !is_ours(fields)));
    let same = object.filter(|object| serde_json::to_string(object).is_ok_and(|written| written == text));
    same.unwrap_or_else(|| json!({"output": text}))
}

/// The arguments of a call as the object that Gemini wants.
pub(super) fn arguments(written: &str) -> Value {
    match serde_json::from_str::<Value>(written) {
        Ok(object @ Value::Object(_)) => object,
        _ if written.trim().is_empty() => json!({}),
        _ => serde_json::from_str(&custom::wrap(written)).unwrap_or_default(),
    }
}

fn render_call(call: &ToolCall) -> Value {
    let mut out = json!({"functionCall": {"id": call.id, "name": tool_name::fit(&call.name), "args": arguments(&call.as_function())}});
    let seal = call.signature.as_ref().and_then(|signature| signature.for_provider(Dialect::Gemini));
    if let Some(seal) = seal {
        out["thoughtSignature"] = seal.into();
    }
    out
}

/// Thoughts that this provider can go on from. Others' seals stay behind, with what they seal.
fn render_thought(thought: &Thought) -> Option<Value> {
    let seal = thought.signature.as_ref().and_then(|signature| signature.for_provider(Dialect::Gemini));
    if thought.redacted.is_some() || (thought.signature.is_some() && seal.is_none()) || (seal.is_none() && thought.text.is_empty()) {
        return None;
    }
    Some(thought_part(&thought.text, seal.map(str::to_owned)))
}

/// A part with thoughts, or with the seal on what was said before.
pub(super) fn thought_part(text: &str, seal: Option<String>) -> Value {
    let mut out = Map::new();
    out.insert("text".to_owned(), text.into());
    // A seal without words is on what was said, not on a thought; unless it is foreign and marked.
    if !text.is_empty() || seal.as_ref().is_some_and(|seal| Seal::read(seal.clone()).is_foreign()) {
        out.insert("thought".to_owned(), true.into());
    }
    if let Some(seal) = seal {
        out.insert("thoughtSignature".to_owned(), seal.into());
    }
    Value::Object(out)
}

fn render_media(part: &Part, path: &str) -> Result<Value, Unfit> {
    match part {
        Part::Image(image) => source(&image.source, "image/jpeg", None),
        Part::File(File { source: from, name, .. }) => source(from, "application/pdf", name.as_deref()),
        Part::Audio { data, format } => Some(json!({"inlineData": {"mimeType": format!("audio/{format}"), "data": data}})),
        _ => None,
    }
    .ok_or_else(|| Unfit::inexpressible(path))
}

fn source(source: &Source, default: &str, name: Option<&str>) -> Option<Value> {
    let mut out = match source {
        Source::Base64 { media_type, data } => json!({"inlineData": {"mimeType": media_type, "data": data}}),
        Source::Text(text) => json!({"inlineData": {"mimeType": "text/plain", "data": BASE64.encode(text.as_bytes())}}),
        Source::Url(uri) | Source::FileId { of: Dialect::Gemini, id: uri } => json!({"fileData": {"fileUri": uri, "mimeType": guessed_type(uri, default)}}),
        Source::FileId { .. } => return None,
    };
    if let (Some(name), Some(blob)) = (name, out.get_mut("inlineData")) {
        blob["displayName"] = name.into();
    }
    Some(out)
}

/// What is at an address, by its ending.
pub(super) fn guessed_type<'t>(uri: &str, default: &'t str) -> &'t str {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    let ending = path.rsplit('/').next().and_then(|file| file.rsplit_once('.')).map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref() {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        Some("gif") => "image/gif",
        Some("heic") => "image/heic",
        Some("pdf") => "application/pdf",
        Some("txt" | "md") => "text/plain",
        Some("mp4") => "video/mp4",
        _ => default,
    }
}
