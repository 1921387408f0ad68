//! Usage as Anthropic writes it: what was read from a cache or written to it stands beside the input.

use crate::relay::dialect::{Closing, sse};
use serde_json::{Value, json};

/// The usage object of an answer.
pub(super) fn render(closing: &Closing<'_>) -> Value {
    let usage = &closing.usage;
    let written = usage.cache_write.saturating_add(usage.cache_write_1h);
    let input = usage.all_input().saturating_sub(written).saturating_sub(usage.cached);
    let mut object = json!({
        "input_tokens": input,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.cache_write, "ephemeral_1h_input_tokens": usage.cache_write_1h},
        "output_tokens": usage.all_output(),
    });
    if usage.reasoning > 0 {
        object["output_tokens_details"] = json!({"thinking_tokens": usage.reasoning});
    }
    if let Some(cost) = closing.cost {
        object["cost"] = sse::cost(cost);
    }
    object
}
