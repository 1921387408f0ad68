//! The kinds of usage for which a row has no column.

use crate::kernel::Usage;
use serde::{Deserialize, Serialize};

/// What a request used beside or inside the four numbers of its row. Tokens are inside: sound and pictures that were read in the input, an hour's cache writes in
/// the cache writes, thoughts, sound and pictures that were made in the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Parts {
    /// Cache writes for an hour.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_1h: u64,
    /// Tokens of sound read.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_input: u64,
    /// Tokens of pictures read.
    #[serde(skip_serializing_if = "is_zero")]
    pub image_input: u64,
    /// Tokens thought.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning: u64,
    /// Tokens of sound made.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_output: u64,
    /// Tokens of pictures made.
    #[serde(skip_serializing_if = "is_zero")]
    pub image_output: u64,
    /// Pictures made.
    #[serde(skip_serializing_if = "is_zero")]
    pub images: u64,
    /// Milliseconds of sound heard.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_ms: u64,
    /// Characters spoken.
    #[serde(skip_serializing_if = "is_zero")]
    pub characters: u64,
    /// Searches.
    #[serde(skip_serializing_if = "is_zero")]
    pub searches: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Parts {
    /// Of a request.
    pub fn of(usage: &Usage) -> Self {
        Self {
            cache_write_1h: usage.cache_write_1h,
            audio_input: usage.audio_input,
            image_input: usage.image_input,
            reasoning: usage.reasoning,
            audio_output: usage.audio_output,
            image_output: usage.image_output,
            images: usage.images,
            audio_ms: usage.audio_ms,
            characters: usage.characters,
            searches: usage.searches,
        }
    }

    /// As the row keeps it: nothing when there is nothing to keep, as for most requests.
    pub(super) fn write(&self) -> Option<String> {
        if *self == Self::default() { None } else { serde_json::to_string(self).ok() }
    }

    /// What a row has kept.
    pub(super) fn read(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_there_is_is_kept() {
        assert_eq!(Parts::of(&Usage { input: 5, cached: 1, cache_write: 2, output: 3, ..Usage::default() }).write(), None);
        let parts = Parts::of(&Usage { reasoning: 7, searches: 1, ..Usage::default() });
        assert_eq!(parts.write().as_deref(), Some(r#"{"reasoning":7,"searches":1}"#));
        assert_eq!((Parts::read(parts.write().as_deref()), Parts::read(None)), (parts, Parts::default()));
    }
}
