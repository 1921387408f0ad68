//! The text that a model produced, in answers and in the events of streams: what is counted when no usage came. Where an answer repeats in its end what its
//! events brought bit by bit, only the bits count.

use super::Wire;
use crate::relay::envelope;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Appends the text of the events to `out`.
pub fn append_text(wire: Wire, events: &[u8], out: &mut String) {
    for line in events.split(|&b| b == b'\n') {
        if let Some(data) = line.strip_prefix(b"data:") {
            append(wire, data.trim_ascii(), true, out);
        }
    }
}

/// Appends the text of a whole answer to `out`.
pub(in crate::relay) fn append_answer(wire: Wire, body: &[u8], out: &mut String) {
    append(wire, body, false, out);
}

fn append(wire: Wire, data: &[u8], is_event: bool, out: &mut String) {
    match wire {
        Wire::Chat => chat(data, out),
        Wire::Messages if is_event => fields(data, &["delta", "content_block"], out),
        Wire::Messages => fields(data, &["content"], out),
        Wire::Gemini => gemini(data, out),
        Wire::Responses if is_event => deltas(data, out),
        Wire::Responses => fields(data, &["output"], out),
        Wire::Images => {}
        Wire::Transcription if is_event => deltas(data, out),
        Wire::Transcription => fields(data, &["text"], out),
        Wire::Speech => {}
    }
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    /// Of a legacy completion.
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow, default)]
    function_call: Option<&'a RawValue>,
    /// An answer that is spoken.
    #[serde(borrow, default)]
    audio: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Spoken<'a> {
    #[serde(borrow, default)]
    transcript: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow, default)]
    function: Option<&'a RawValue>,
}

fn parsed<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

fn strings(raw: &RawValue, out: &mut String) {
    envelope::strings(raw.get().as_bytes()).iter().for_each(|text| out.push_str(text));
}

fn chat(data: &[u8], out: &mut String) {
    let choices = serde_json::from_slice(data).ok().and_then(|chunk: Chunk<'_>| chunk.choices);
    for choice in parsed::<Vec<Choice<'_>>>(choices).into_iter().flatten() {
        if let Some(text) = choice.text {
            strings(text, out);
        }
        let Some(message) = parsed::<Message<'_>>(choice.message.or(choice.delta)) else { continue };
        // Some upstreams send the same thoughts under both names.
        let thoughts = message.reasoning_content.or(message.reasoning);
        let calls = parsed::<Vec<ToolCall<'_>>>(message.tool_calls).into_iter().flatten().map(|call| call.function);
        let spoken = parsed::<Spoken<'_>>(message.audio).and_then(|spoken| spoken.transcript);
        for part in [message.content, message.refusal, thoughts, message.function_call, spoken].into_iter().chain(calls).flatten() {
            strings(part, out);
        }
    }
}

/// The texts in some fields of an object, without the words that only say what a part is.
fn fields(data: &[u8], names: &[&str], out: &mut String) {
    let Ok(object) = serde_json::from_slice::<std::collections::HashMap<Cow<'_, str>, &RawValue>>(data) else { return };
    for raw in names.iter().filter_map(|name| object.get(*name)) {
        said(raw.get(), out);
    }
}

/// What is said in a part, a list of parts, or a text: names, ids and seals are not.
fn said(json: &str, out: &mut String) {
    const SAID: [&str; 11] = ["text", "thinking", "partial_json", "input", "arguments", "refusal", "name", "content", "summary", "parts", "args"];
    match serde_json::from_str::<serde_json::Value>(json) {
        Ok(serde_json::Value::String(text)) => out.push_str(&text),
        Ok(serde_json::Value::Array(items)) => items.iter().for_each(|item| said_in(item, &SAID, out)),
        Ok(item) => said_in(&item, &SAID, out),
        Err(_) => {}
    }
}

fn said_in(value: &serde_json::Value, names: &[&str], out: &mut String) {
    let Some(object) = value.as_object() else { return };
    for (name, value) in object.iter().filter(|(name, _)| names.contains(&name.as_str())) {
        match value {
            serde_json::Value::String(text) => out.push_str(text),
            serde_json::Value::Array(items) => items.iter().for_each(|item| said_in(item, names, out)),
            serde_json::Value::Object(_) if matches!(name.as_str(), "input" | "args") => out.push_str(&value.to_string()),
            serde_json::Value::Object(_) => said_in(value, names, out),
            _ => {}
        }
    }
}

fn deltas(data: &[u8], out: &mut String) {
    #[derive(Deserialize)]
    struct Delta<'a> {
        #[serde(rename = "type", borrow, default)]
        kind: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        delta: Option<Cow<'a, str>>,
    }
    if let Ok(Delta { kind: Some(kind), delta: Some(delta) }) = serde_json::from_slice(data)
        && kind.ends_with(".delta")
    {
        out.push_str(&delta);
    }
}

fn gemini(data: &[u8], out: &mut String) {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow, default)]
        candidates: Vec<Candidate<'a>>,
    }
    #[derive(Deserialize)]
    struct Candidate<'a> {
        #[serde(borrow, default)]
        content: Option<&'a RawValue>,
    }
    let Ok(answer) = serde_json::from_slice::<Answer<'_>>(data) else { return };
    for content in answer.candidates.iter().filter_map(|candidate| candidate.content) {
        fields(content.get().as_bytes(), &["parts"], out);
        if let Ok(serde_json::Value::Object(content)) = serde_json::from_str(content.get()) {
            for call in content.get("parts").and_then(serde_json::Value::as_array).into_iter().flatten().filter_map(|part| part.get("functionCall")) {
                said_in(call, &["name", "args"], out);
            }
        }
    }
}
