//! What a usage report says, in no dialect.

use super::switches::Report;

/// A usage report in signed numbers, since a fault may make them negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All prompt tokens, of every kind, cached ones and written ones included.
    pub prompt: i64,
    /// Of these, read from the cache.
    pub cached: i64,
    /// Of these, written to the cache for any time.
    pub cache_write: i64,
    /// Of these, written to the cache for an hour.
    pub cache_write_1h: i64,
    /// Prompt tokens that stand for pictures.
    pub image_in: i64,
    /// Prompt tokens that stand for sound.
    pub audio_in: i64,
    /// All tokens produced, thoughts included.
    pub completion: i64,
    /// Of these, thoughts.
    pub reasoning: i64,
    /// Of these, pictures.
    pub image_out: i64,
    /// Of these, sound.
    pub audio_out: i64,
    /// Seconds of sound, where those are what is reported.
    pub seconds: i64,
}

impl Usage {
    /// What the report says when it may lie.
    pub(super) fn told(self, report: Report) -> Option<Self> {
        match report {
            Report::True | Report::Inline | Report::Every => Some(self),
            Report::Missing => None,
            Report::Negative => Some(Self { prompt: -self.prompt, completion: -self.completion, ..Self::default() }),
            Report::Large => Some(Self { prompt: self.prompt * 1_000_000, completion: self.completion * 1_000_000, ..Self::default() }),
            Report::Absurd => Some(Self { prompt: i64::MAX / 2, completion: i64::MAX / 2, ..Self::default() }),
        }
    }

    /// Prompt and completion.
    pub(super) fn total(self) -> i64 {
        self.prompt.saturating_add(self.completion)
    }
}
