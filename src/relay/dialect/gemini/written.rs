//! The pieces of an answer for a caller, written.

use super::super::Closing;
use super::super::canonical::{Signature, Stop, Thought};
use super::contents_render::{arguments, thought_part};
use super::seal::Seal;
use crate::kernel::Usage;
use serde_json::{Map, Value, json};

/// Words.
pub(super) fn text(text: &str) -> Value {
    json!({"text": text})
}

/// A tool call, with its seal whoever made it.
pub(super) fn call(id: &str, name: &str, written: &str, signature: Option<&Signature>) -> Value {
    let mut out = json!({"functionCall": {"id": id, "name": name, "args": arguments(written)}});
    if let Some(signature) = signature {
        out["thoughtSignature"] = Seal::Signature(signature.clone()).write().into();
    }
    out
}

/// Thoughts, or the seal on some.
pub(super) fn thought(thought: &Thought) -> Value {
    let redacted = thought.redacted.clone().map(Seal::Redacted);
    let seal = redacted.or_else(|| thought.signature.clone().map(Seal::Signature));
    thought_part(&thought.text, seal.map(|seal| seal.write()))
}

/// Gemini's word for the end.
pub(super) const fn reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::End | Stop::ToolUse | Stop::Sequence(_) | Stop::Pause => "STOP",
        Stop::Length => "MAX_TOKENS",
        Stop::Filter | Stop::Refusal => "SAFETY",
    }
}

/// The one candidate.
pub(super) fn candidate(parts: Vec<Value>, stop: Option<&Stop>) -> Value {
    let mut out = json!({"content": {"parts": parts, "role": "model"}});
    if let Some(stop) = stop {
        out["finishReason"] = reason(stop).into();
    }
    out["index"] = 0.into();
    out
}

/// `usageMetadata`. Thoughts stand beside what was said; what a kind has none of is left out.
pub(super) fn usage(closing: &Closing<'_>) -> Value {
    let usage = &closing.usage;
    let said = usage.all_output().saturating_sub(usage.reasoning);
    let mut out = Map::new();
    let mut put = |name: &str, count: u64| {
        if count > 0 {
            out.insert(name.to_owned(), count.into());
        }
    };
    put("cachedContentTokenCount", usage.cached);
    put("thoughtsTokenCount", usage.reasoning);
    out.insert("promptTokenCount".to_owned(), usage.all_input().into());
    out.insert("candidatesTokenCount".to_owned(), said.into());
    out.insert("totalTokenCount".to_owned(), usage.all_input().saturating_add(usage.all_output()).into());
    if let Some(details) = input_details(usage) {
        out.insert("promptTokensDetails".to_owned(), details);
    }
    if let Some(cost) = closing.cost {
        out.insert("cost".to_owned(), super::super::sse::cost(cost));
    }
    Value::Object(out)
}

fn input_details(usage: &Usage) -> Option<Value> {
    if usage.audio_input == 0 && usage.image_input == 0 {
        return None;
    }
    let text = usage.all_input().saturating_sub(usage.audio_input).saturating_sub(usage.image_input);
    let kinds = [("TEXT", text), ("AUDIO", usage.audio_input), ("IMAGE", usage.image_input)];
    Some(kinds.iter().filter(|(_, count)| *count > 0).map(|(name, count)| json!({"modality": name, "tokenCount": count})).collect())
}
