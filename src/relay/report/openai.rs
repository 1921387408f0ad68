//! Usage in OpenAI's words, of Chat Completions and of Responses, and in those of its imitators.
//! Formats: <https://platform.openai.com/docs/api-reference/chat/object>, <https://platform.openai.com/docs/api-reference/responses/object>.
//!
//! In the original, details are parts of their totals: cached tokens stand inside the prompt, thoughts inside the completion. Some imitators report a
//! part beside its total instead, and then `total_tokens` shows it: it is larger than prompt and completion together. Whatever the total has that no part explains was
//! thought.

use super::number::SecondsOrNone;
use super::{Absurd, Form, Half};
use crate::kernel::Usage;
use serde::Deserialize;

/// Everything that is known to stand in a usage object.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wire {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    prompt_tokens_details: Option<InputDetails>,
    input_tokens_details: Option<InputDetails>,
    /// OpenAI's transcriptions write it without the second s.
    input_token_details: Option<InputDetails>,
    completion_tokens_details: Option<OutputDetails>,
    output_tokens_details: Option<OutputDetails>,
    output_token_details: Option<OutputDetails>,
    /// DeepSeek: <https://api-docs.deepseek.com/api/create-chat-completion>.
    prompt_cache_hit_tokens: Option<u64>,
    /// Moonshot.
    cached_tokens: Option<u64>,
    /// Gateways that carry Anthropic's words along.
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    claude_cache_creation_1_h_tokens: Option<u64>,
    /// Perplexity.
    reasoning_tokens: Option<u64>,
    num_search_queries: Option<u64>,
    /// xAI.
    num_sources_used: Option<u64>,
    /// OpenRouter.
    server_tool_use: Option<ServerTools>,
    /// Mistral: sound whose tokens only the total shows. An empty object stands for none.
    prompt_audio_seconds: Option<SecondsOrNone>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct InputDetails {
    cached_tokens: Option<u64>,
    pub(super) audio_tokens: Option<u64>,
    pub(super) image_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
    cache_creation_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OutputDetails {
    reasoning_tokens: Option<u64>,
    audio_tokens: Option<u64>,
    image_tokens: Option<u64>,
    pub(super) text_tokens: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ServerTools {
    pub(super) web_search_requests: Option<u64>,
}

impl Wire {
    pub(super) fn parse(usage: &str) -> Result<Self, Absurd> {
        serde_json::from_str(usage).map_err(|_| Absurd)
    }

    /// Input and output under the names of this API, or under those of the other: some gateways know only one.
    pub(super) fn input(&self, form: Form) -> Option<u64> {
        match form {
            Form::Chat => self.prompt_tokens.or(self.input_tokens),
            Form::Embeddings => self.prompt_tokens.or(self.input_tokens).or(self.total_tokens),
            _ => self.input_tokens.or(self.prompt_tokens),
        }
    }

    pub(super) fn output(&self, form: Form) -> Option<u64> {
        match form {
            Form::Chat => self.completion_tokens.or(self.output_tokens),
            Form::Embeddings => Some(self.completion_tokens.or(self.output_tokens).unwrap_or(0)),
            _ => self.output_tokens.or(self.completion_tokens),
        }
    }

    pub(super) fn input_details(&self) -> InputDetails {
        self.prompt_tokens_details.or(self.input_tokens_details).or(self.input_token_details).unwrap_or_default()
    }

    pub(super) fn output_details(&self) -> OutputDetails {
        self.completion_tokens_details.or(self.output_tokens_details).or(self.output_token_details).unwrap_or_default()
    }

    /// How much more the total says than its two parts. A smaller total says nothing: some leave it at zero.
    pub(super) fn surplus(&self, input: u64, output: u64) -> u64 {
        self.total_tokens.unwrap_or(0).saturating_sub(input.saturating_add(output))
    }

    pub(super) fn sound_ms(&self) -> u64 {
        self.prompt_audio_seconds.map_or(0, |sound| sound.0.ms)
    }

    fn searches(&self) -> u64 {
        let told = [self.server_tool_use.and_then(|tools| tools.web_search_requests), self.num_search_queries, self.num_sources_used];
        told.into_iter().flatten().max().unwrap_or(0)
    }

    fn cached(&self, details: &InputDetails) -> u64 {
        let told = [details.cached_tokens, self.prompt_cache_hit_tokens, self.cached_tokens, self.cache_read_input_tokens];
        told.into_iter().flatten().max().unwrap_or(0)
    }

    fn written(&self, details: &InputDetails) -> u64 {
        let told = [details.cache_write_tokens, details.cache_creation_tokens, details.cache_creation_input_tokens, self.cache_creation_input_tokens];
        told.into_iter().flatten().max().unwrap_or(0)
    }
}

pub(super) fn read(form: Form, usage: &str) -> Result<Half, Absurd> {
    let wire = Wire::parse(usage)?;
    let (input, output) = (wire.input(form), wire.output(form));
    let (prompt, completion) = (input.unwrap_or(0), output.unwrap_or(0));
    let output_details = wire.output_details();
    let thoughts = output_details.reasoning_tokens.or(wire.reasoning_tokens).unwrap_or(0);
    let mut surplus = if form == Form::Embeddings { 0 } else { wire.surplus(prompt, completion) };

    let details = wire.input_details();
    let (cached, written) = (wire.cached(&details), wire.written(&details));
    let cache = cached.saturating_add(written);
    let mut parts = InputParts { all: prompt, cached, written, hour: wire.claude_cache_creation_1_h_tokens.unwrap_or(0), ..InputParts::of(&details) };
    if cache > 0 && surplus >= cache && (cache > prompt || (surplus == cache && surplus != thoughts)) {
        parts.all = prompt.saturating_add(cache);
        surplus -= cache;
    }
    let sound_ms = wire.sound_ms();
    if sound_ms > 0 {
        parts.all = parts.all.saturating_add(surplus);
        parts.audio = parts.audio.max(surplus);
        surplus = 0;
    }
    let mut usage = parts.split()?;
    OutputParts { said: completion, surplus, thoughts, total_told: wire.total_tokens.is_some(), details: output_details }.split(&mut usage)?;
    usage.audio_ms = sound_ms;
    usage.searches = wire.searches();
    Ok(Half { usage, has_input: input.is_some(), has_output: output.is_some() })
}

/// A total of input and the parts that stand inside it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InputParts {
    pub(super) all: u64,
    pub(super) cached: u64,
    /// Written to a cache, those for an hour included.
    pub(super) written: u64,
    pub(super) hour: u64,
    pub(super) audio: u64,
    pub(super) image: u64,
}

impl InputParts {
    pub(super) fn of(details: &InputDetails) -> Self {
        Self { audio: details.audio_tokens.unwrap_or(0), image: details.image_tokens.unwrap_or(0), ..Self::default() }
    }

    /// Each token in exactly one kind. Sound and pictures may have come from the cache too; nobody says which, and text is cached first.
    pub(super) fn split(self) -> Result<Usage, Absurd> {
        let fresh = self.all.checked_sub(self.cached).and_then(|rest| rest.checked_sub(self.written)).ok_or(Absurd)?;
        if self.audio > self.all || self.image > self.all || self.hour > self.written {
            return Err(Absurd);
        }
        let audio_input = self.audio.min(fresh);
        let image_input = self.image.min(fresh - audio_input);
        Ok(Usage {
            input: fresh - audio_input - image_input,
            cached: self.cached,
            cache_write: self.written - self.hour,
            cache_write_1h: self.hour,
            audio_input,
            image_input,
            ..Usage::default()
        })
    }
}

/// What an answer consists of, as far as it was told.
struct OutputParts {
    said: u64,
    /// What only the total shows.
    surplus: u64,
    thoughts: u64,
    total_told: bool,
    details: OutputDetails,
}

impl OutputParts {
    fn split(self, usage: &mut Usage) -> Result<(), Absurd> {
        let is_beside = self.thoughts > self.said && !self.total_told;
        let surplus = if is_beside { self.thoughts } else { self.surplus };
        let all = self.said.saturating_add(surplus);
        let (audio, image) = (self.details.audio_tokens.unwrap_or(0), self.details.image_tokens.unwrap_or(0));
        if self.thoughts > all || audio > all || image > all {
            return Err(Absurd);
        }
        usage.reasoning = self.thoughts.max(surplus);
        let spoken = all - usage.reasoning;
        usage.audio_output = audio.min(spoken);
        usage.image_output = image.min(spoken - usage.audio_output);
        usage.output = spoken - usage.audio_output - usage.image_output;
        Ok(())
    }
}
