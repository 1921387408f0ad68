//! What an upstream says that a request used, read from each dialect's own form into [`Usage`].

use crate::kernel::Usage;
use serde_json::Value;

/// What an answer, or an event of a stream, says of its usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageReport {
    /// Nothing.
    Absent,
    /// This.
    Usage(Usage),
    /// Something that cannot be: negative, fractional, or beyond any model.
    Absurd,
}

/// Whose form a usage object has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// OpenAI Chat Completions, legacy Completions, Embeddings.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Messages,
    /// Gemini's `usageMetadata`.
    Gemini,
}

/// Reads a usage object.
pub fn read(form: Form, raw: &str) -> UsageReport {
    let Ok(usage) = serde_json::from_str::<Value>(raw) else { return UsageReport::Absurd };
    let n = |path: &str| usage.pointer(path).and_then(Value::as_u64);
    let part = |path: &str| n(path).unwrap_or(0);
    let read = match form {
        Form::Chat => n("/prompt_tokens").zip(n("/completion_tokens")).map(|(input, output)| {
            let (cached, reasoning) = (part("/prompt_tokens_details/cached_tokens"), part("/completion_tokens_details/reasoning_tokens"));
            Usage { input: input.saturating_sub(cached), cached, output: output.saturating_sub(reasoning), reasoning, ..Usage::default() }
        }),
        Form::Responses => n("/input_tokens").zip(n("/output_tokens")).map(|(input, output)| {
            let (cached, reasoning) = (part("/input_tokens_details/cached_tokens"), part("/output_tokens_details/reasoning_tokens"));
            Usage { input: input.saturating_sub(cached), cached, output: output.saturating_sub(reasoning), reasoning, ..Usage::default() }
        }),
        Form::Messages => n("/input_tokens").zip(n("/output_tokens")).map(|(input, output)| {
            let hour = part("/cache_creation/ephemeral_1h_input_tokens");
            let cache_write = part("/cache_creation_input_tokens").saturating_sub(hour);
            Usage { input, cached: part("/cache_read_input_tokens"), cache_write, cache_write_1h: hour, output, ..Usage::default() }
        }),
        Form::Gemini => n("/promptTokenCount").map(|input| {
            let cached = part("/cachedContentTokenCount");
            let (output, reasoning) = (part("/candidatesTokenCount"), part("/thoughtsTokenCount"));
            Usage { input: input.saturating_sub(cached), cached, output, reasoning, ..Usage::default() }
        }),
    };
    read.map_or(UsageReport::Absent, UsageReport::Usage)
}
