//! The body for the upstream: a few values changed in place, every other byte as it came.

use super::{CapHome, Envelope, Thinking};
use crate::relay::dialect::Dialect;
use crate::relay::operation::Operation;
use bytes::Bytes;
use serde_json::{Map, Value};
use std::ops::Range;

/// What is changed of a body on its way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edits<'a> {
    /// The upstream's name of the model, when it is another.
    pub model: Option<&'a str>,
    /// The output cap for each choice, when the balance affords less than was asked.
    pub cap: Option<u64>,
    /// Fields that the channel sets; null takes one away.
    pub overrides: Option<&'a Map<String, Value>>,
    /// The upstream is OpenAI's own service or Azure's.
    pub is_openai: bool,
    /// The upstream understands `stream_options`.
    pub ask_usage: bool,
}

impl Envelope {
    /// The body with the edits in it.
    pub fn forward(&self, body: &Bytes, edits: &Edits<'_>) -> Bytes {
        let spliced = self.splice(body, edits);
        let strip = self.include_cost;
        if !strip && edits.overrides.is_none_or(Map::is_empty) {
            return spliced;
        }
        let Ok(mut fields) = serde_json::from_slice::<Map<String, Value>>(&spliced) else { return spliced };
        if strip {
            // A word between the caller and this shop, which providers do not know.
            fields.shift_remove("usage");
        }
        for (name, value) in edits.overrides.into_iter().flatten() {
            match value {
                Value::Null => drop(fields.shift_remove(name)),
                value => drop(fields.insert(name.clone(), value.clone())),
            }
        }
        serde_json::to_vec(&fields).map_or(spliced, Bytes::from)
    }

    fn splice(&self, body: &Bytes, edits: &Edits<'_>) -> Bytes {
        let spans = &self.spans;
        if let Some(form) = &spans.form {
            return edits.model.map_or_else(|| body.clone(), |model| form.with_model(body, model));
        }
        let mut changes: Vec<(Range<usize>, String)> = Vec::new();
        if let Some(model) = edits.model {
            let quoted = Value::from(model).to_string();
            match &spans.model {
                Some(range) => changes.push((range.clone(), quoted)),
                // Only moderations may go without a model; Gemini has it in the address.
                None if self.operation.openai_path().is_some() => changes.push((spans.start..spans.start, format!("\"model\":{quoted},"))),
                None => {}
            }
        }
        if let Some(cap) = edits.cap {
            match spans.cap_home {
                Some(home) if spans.caps.is_empty() => changes.push((home.at..home.at, self.upstream_home(home, edits).write(cap))),
                _ => changes.extend(spans.caps.iter().map(|range| (range.clone(), cap.to_string()))),
            }
            changes.extend(spans.thinking.as_ref().and_then(|thinking| thinking.under(cap)));
        }
        if edits.ask_usage && self.stream && !self.include_usage {
            match &spans.stream_options {
                Some(range) => changes.push((range.clone(), with_usage(&body[range.clone()]))),
                None => changes.push((spans.start..spans.start, "\"stream_options\":{\"include_usage\":true},".to_owned())),
            }
        }
        if changes.is_empty() { body.clone() } else { apply(body, changes).into() }
    }
}

impl Envelope {
    /// The field in which the upstream's model takes an output cap: OpenAI's reasoning models know only the newer one, compatible servers often only the older.
    fn upstream_home(&self, home: CapHome, edits: &Edits<'_>) -> CapHome {
        let model = edits.model.unwrap_or(&self.model);
        let own_name = model.rsplit('/').next().unwrap_or(model);
        let is_newer = edits.is_openai || ["o1", "o3", "o4", "gpt-5"].iter().any(|prefix| own_name.starts_with(prefix));
        let is_chat = self.operation == Operation::Generate(Dialect::Chat);
        if is_chat && is_newer { CapHome { field: "max_completion_tokens", ..home } } else { home }
    }
}

/// The least budget for thoughts that Anthropic takes.
const LEAST_THOUGHTS: u64 = 1_024;

impl Thinking {
    /// What has to change for a lower cap: thoughts get three quarters of it, or as little as can be; under that the model answers without.
    fn under(&self, cap: u64) -> Option<(Range<usize>, String)> {
        match () {
            () if self.tokens < cap => None,
            () if cap <= LEAST_THOUGHTS => Some((self.object.clone(), r#"{"type":"disabled"}"#.to_owned())),
            () => Some((self.budget.clone(), (cap - cap / 4).max(LEAST_THOUGHTS).to_string())),
        }
    }
}

impl CapHome {
    fn write(&self, cap: u64) -> String {
        let field = match self.inside {
            Some(object) => format!("\"{object}\":{{\"{}\":{cap}}}", self.field),
            None => format!("\"{}\":{cap}", self.field),
        };
        if self.is_last { field } else { field + "," }
    }
}

fn apply(body: &[u8], mut changes: Vec<(Range<usize>, String)>) -> Vec<u8> {
    changes.sort_by_key(|(range, _)| range.start);
    let mut out = Vec::with_capacity(body.len() + 128);
    let mut at = 0;
    for (range, text) in changes {
        out.extend_from_slice(&body[at..range.start]);
        out.extend_from_slice(text.as_bytes());
        at = range.end;
    }
    out.extend_from_slice(&body[at..]);
    out
}

fn with_usage(options: &[u8]) -> String {
    let mut object: Map<String, Value> = serde_json::from_slice(options).unwrap_or_default();
    object.insert("include_usage".to_owned(), true.into());
    Value::Object(object).to_string()
}
