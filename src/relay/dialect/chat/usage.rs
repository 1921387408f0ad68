//! Usage as OpenAI writes it: cached, cache-written and sound inside the prompt's total, thoughts and sound inside the completion's.

use crate::relay::dialect::{Closing, sse};
use serde_json::{Value, json};

/// The usage object of an answer.
pub(super) fn render(closing: &Closing<'_>) -> Value {
    let usage = &closing.usage;
    let written = usage.cache_write.saturating_add(usage.cache_write_1h);
    let (input, output) = (usage.all_input(), usage.all_output());
    let mut prompt = json!({"cached_tokens": usage.cached, "audio_tokens": usage.audio_input});
    if written > 0 {
        prompt["cache_write_tokens"] = written.into();
    }
    let mut object = json!({
        "prompt_tokens": input,
        "completion_tokens": output,
        "total_tokens": input.saturating_add(output),
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": usage.audio_output},
    });
    if let Some(cost) = closing.cost {
        object["cost"] = sse::cost(cost);
    }
    object
}
