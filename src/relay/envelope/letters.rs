//! The texts that a model surely reads: for a count that is never over the truth.

use serde_json::Value;

/// Fields that say what a part is, or carry an address or encoded bytes; and what a provider may drop or never show its model: seals of thoughts,
/// numbers of calls, roles.
const NOT_READ: [&str; 18] = [
    "type",
    "url",
    "image_url",
    "video_url",
    "audio_url",
    "data",
    "file_data",
    "role",
    "id",
    "call_id",
    "tool_call_id",
    "tool_use_id",
    "signature",
    "thoughtSignature",
    "thought_signature",
    "encrypted_content",
    "thinking",
    "reasoning_content",
];

/// The strings of a JSON text that a model surely reads; of what is nested deeper than a parser goes, none.
pub(super) fn letters(json: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    if let Ok(value) = serde_json::from_slice(json) {
        gather(value, &mut out);
    }
    out
}

fn gather(value: Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text),
        Value::Array(items) => items.into_iter().for_each(|item| gather(item, out)),
        Value::Object(fields) => fields.into_iter().filter(|(name, _)| !NOT_READ.contains(&name.as_str())).for_each(|(_, value)| gather(value, out)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
