//! Usage of pictures, of sound and of reranking.
//! Formats: <https://platform.openai.com/docs/api-reference/images/object>, <https://platform.openai.com/docs/api-reference/audio/json-object>,
//! <https://jina.ai/reranker>, <https://docs.cohere.com/reference/rerank>.

use super::number::{Pieces, Seconds};
use super::openai::{InputParts, Wire};
use super::{Absurd, Form, Half};
use crate::kernel::Usage;
use serde::Deserialize;

/// Pictures: their tokens are all of the output but what is said to be text.
pub(super) fn images(usage: &str) -> Result<Half, Absurd> {
    let wire = Wire::parse(usage)?;
    let (input, output) = (wire.input(Form::Images), wire.output(Form::Images));
    let mut usage = InputParts { all: input.unwrap_or(0), ..InputParts::of(&wire.input_details()) }.split()?;
    usage.output = wire.output_details().text_tokens.unwrap_or(0);
    usage.image_output = output.unwrap_or(0).checked_sub(usage.output).ok_or(Absurd)?;
    Ok(Half { usage, has_input: input.is_some(), has_output: output.is_some() })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Duration {
    r#type: Option<String>,
    seconds: Option<Seconds>,
}

/// Sound heard: by tokens or by its duration.
pub(super) fn transcription(usage: &str) -> Result<Half, Absurd> {
    let by: Duration = serde_json::from_str(usage).map_err(|_| Absurd)?;
    if let (Some("duration") | None, Some(seconds)) = (by.r#type.as_deref(), by.seconds) {
        return Ok(duration(seconds));
    }
    let wire = Wire::parse(usage)?;
    let (input, output) = (wire.input(Form::Transcription), wire.output(Form::Transcription));
    let (all, said, sound_ms) = (input.unwrap_or(0), output.unwrap_or(0), wire.sound_ms());
    let details = wire.input_details();
    // Sound that the input leaves out shows in the total; where nobody tells text from sound, it was all sound.
    let beside = if sound_ms > 0 { wire.surplus(all, said) } else { 0 };
    let audio = if sound_ms > 0 { beside } else { details.audio_tokens.unwrap_or(all) };
    let usage = InputParts { all: all.saturating_add(beside), audio, ..InputParts::default() }.split()?;
    Ok(Half { usage: Usage { output: said, audio_ms: sound_ms, ..usage }, has_input: input.is_some(), has_output: output.is_some() })
}

pub(super) fn duration(seconds: Seconds) -> Half {
    Half { usage: Usage { audio_ms: seconds.ms, ..Usage::default() }, has_input: true, has_output: true }
}

/// Speech: a text in, sound out.
pub(super) fn speech(usage: &str) -> Result<Half, Absurd> {
    let wire = Wire::parse(usage)?;
    let (input, output) = (wire.input(Form::Speech), wire.output(Form::Speech));
    let usage = Usage { input: input.unwrap_or(0), audio_output: output.unwrap_or(0), ..Usage::default() };
    Ok(Half { usage, has_input: input.is_some(), has_output: output.is_some() })
}

/// Jina's `usage` and Cohere's `meta`, which others have taken up.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reranked {
    total_tokens: Option<u64>,
    prompt_tokens: Option<u64>,
    search_units: Option<Pieces>,
    billed_units: Option<Billed>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Billed {
    search_units: Option<Pieces>,
    input_tokens: Option<Pieces>,
    output_tokens: Option<Pieces>,
}

pub(super) fn rerank(usage: &str) -> Result<Half, Absurd> {
    let told: Reranked = serde_json::from_str(usage).map_err(|_| Absurd)?;
    let billed = told.billed_units.unwrap_or_default();
    let (searches, input) = (billed.search_units.or(told.search_units), billed.input_tokens);
    let usage = Usage {
        input: told.total_tokens.or(told.prompt_tokens).or(input.map(|input| input.0)).unwrap_or(0),
        output: billed.output_tokens.map_or(0, |output| output.0),
        searches: searches.map_or(0, |units| units.0),
        ..Usage::default()
    };
    let is_told = usage != Usage::default() || told.total_tokens.is_some() || searches.is_some();
    Ok(Half { usage, has_input: is_told, has_output: is_told })
}
