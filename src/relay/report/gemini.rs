//! Usage in Gemini's words. Format: <https://ai.google.dev/api/generate-content#UsageMetadata>.
//!
//! `promptTokenCount` includes what came from a cache; `candidatesTokenCount` excludes thoughts. A count of zero is left out.

use super::openai::InputParts;
use super::{Absurd, Half};
use crate::kernel::Usage;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Wire {
    prompt_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    /// As the same number is called elsewhere in Google's APIs.
    response_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
    tool_use_prompt_token_count: Option<u64>,
    total_token_count: Option<u64>,
    prompt_tokens_details: Option<Vec<Modality>>,
    cache_tokens_details: Option<Vec<Modality>>,
    tool_use_prompt_tokens_details: Option<Vec<Modality>>,
    candidates_tokens_details: Option<Vec<Modality>>,
    response_tokens_details: Option<Vec<Modality>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Modality {
    modality: Option<String>,
    token_count: Option<u64>,
}

/// The tokens of one modality. Pictures of a video cost as pictures do; a document as text.
fn of(details: Option<&Vec<Modality>>, names: &[&str]) -> u64 {
    let named = |part: &&Modality| part.modality.as_deref().is_some_and(|name| names.contains(&name));
    details.into_iter().flatten().filter(named).fold(0, |sum, part| sum.saturating_add(part.token_count.unwrap_or(0)))
}

const SOUND: &[&str] = &["AUDIO"];
const PICTURES: &[&str] = &["IMAGE", "VIDEO"];

impl Wire {
    fn input(&self) -> Result<Usage, Absurd> {
        let fresh = |names: &[&str]| {
            let read = of(self.prompt_tokens_details.as_ref(), names).saturating_add(of(self.tool_use_prompt_tokens_details.as_ref(), names));
            read.saturating_sub(of(self.cache_tokens_details.as_ref(), names))
        };
        let all = self.prompt_token_count.unwrap_or(0).saturating_add(self.tool_use_prompt_token_count.unwrap_or(0));
        let cached = self.cached_content_token_count.unwrap_or(0);
        InputParts { all, cached, audio: fresh(SOUND), image: fresh(PICTURES), ..InputParts::default() }.split()
    }

    fn add_output(&self, usage: &mut Usage) -> Result<(), Absurd> {
        let said = self.candidates_token_count.or(self.response_token_count).unwrap_or(0);
        let thoughts = self.thoughts_token_count.unwrap_or(0);
        let apart = usage.all_input().saturating_add(said);
        // A total that has room for the thoughts only inside the candidates says that they are there; one with more than all parts was thought for.
        let is_inside = thoughts > 0 && thoughts <= said && self.total_token_count == Some(apart);
        let surplus = self.total_token_count.unwrap_or(0).saturating_sub(apart);
        let (said, thoughts) = if is_inside { (said - thoughts, thoughts) } else { (said, thoughts.max(surplus)) };
        let details = self.candidates_tokens_details.as_ref().or(self.response_tokens_details.as_ref());
        let (audio, image) = (of(details, SOUND), of(details, PICTURES));
        usage.audio_output = audio;
        usage.image_output = image;
        usage.output = said.checked_sub(audio).and_then(|rest| rest.checked_sub(image)).ok_or(Absurd)?;
        usage.reasoning = thoughts;
        Ok(())
    }
}

pub(super) fn read(usage: &str) -> Result<Half, Absurd> {
    let wire: Wire = serde_json::from_str(usage).map_err(|_| Absurd)?;
    let mut usage = wire.input()?;
    wire.add_output(&mut usage)?;
    let has_input = wire.prompt_token_count.is_some();
    // An answer without candidates leaves their count out: it is zero.
    Ok(Half { usage, has_input, has_output: has_input || wire.candidates_token_count.is_some() })
}
