//! Usage in Anthropic's words. Format: <https://docs.anthropic.com/en/api/messages>.
//!
//! Cached tokens stand beside `input_tokens`. Thoughts are inside `output_tokens`, and newer answers tell how many they were.

use super::openai::ServerTools;
use super::{Absurd, Half};
use crate::kernel::Usage;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wire {
    r#type: Option<String>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<Written>,
    server_tool_use: Option<ServerTools>,
    /// The rounds of a request whose conversation was summed up on the way. Only those of type "message" are in the totals.
    iterations: Option<Vec<Wire>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Written {
    ephemeral_5m_input_tokens: Option<u64>,
    ephemeral_1h_input_tokens: Option<u64>,
}

impl Wire {
    fn usage(&self) -> Usage {
        let hour = self.cache_creation.and_then(|parts| parts.ephemeral_1h_input_tokens).unwrap_or(0);
        let five = self.cache_creation.and_then(|parts| parts.ephemeral_5m_input_tokens).unwrap_or(0);
        // The older total without its parts is all for five minutes; and so is what the parts leave of it.
        let total = self.cache_creation_input_tokens.unwrap_or(0).max(five.saturating_add(hour));
        let output = self.output_tokens.unwrap_or(0);
        let thoughts = self.output_tokens_details.and_then(|details| details.thinking_tokens).unwrap_or(0).min(output);
        Usage {
            input: self.input_tokens.unwrap_or(0),
            cached: self.cache_read_input_tokens.unwrap_or(0),
            cache_write: total - hour,
            cache_write_1h: hour,
            output: output - thoughts,
            reasoning: thoughts,
            ..Usage::default()
        }
    }

    /// Whether a round was for something else than the answer, and so beside the totals.
    fn is_beside(&self) -> bool {
        self.r#type.as_deref().is_some_and(|kind| kind != "message")
    }
}

pub(super) fn read(usage: &str) -> Result<Half, Absurd> {
    let wire: Wire = serde_json::from_str(usage).map_err(|_| Absurd)?;
    let mut usage = wire.usage();
    for round in wire.iterations.iter().flatten().filter(|round| round.is_beside()) {
        add(&mut usage, round.usage());
    }
    usage.searches = wire.server_tool_use.and_then(|tools| tools.web_search_requests).unwrap_or(0);
    Ok(Half { usage, has_input: wire.input_tokens.is_some(), has_output: wire.output_tokens.is_some() })
}

fn add(usage: &mut Usage, round: Usage) {
    usage.input = usage.input.saturating_add(round.input);
    usage.cached = usage.cached.saturating_add(round.cached);
    usage.cache_write = usage.cache_write.saturating_add(round.cache_write);
    usage.cache_write_1h = usage.cache_write_1h.saturating_add(round.cache_write_1h);
    usage.output = usage.output.saturating_add(round.output);
    usage.reasoning = usage.reasoning.saturating_add(round.reasoning);
}
