//! What a request used, by what it costs.

/// What a request used, by what it costs. The kinds do not overlap: a token is in exactly one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input that was neither read from nor written to a cache, nor sound or picture with a price of its own.
    pub input: u64,
    /// Input that was read from the upstream's cache.
    pub cached: u64,
    /// Input that was written to the upstream's cache for the usual time (five minutes).
    pub cache_write: u64,
    /// Input that was written to the upstream's cache for an hour.
    pub cache_write_1h: u64,
    /// Tokens of sound in the input.
    pub audio_input: u64,
    /// Tokens of pictures in the input, where the upstream tells them apart.
    pub image_input: u64,
    /// Output without the kinds below.
    pub output: u64,
    /// Output that the model thought and did not say.
    pub reasoning: u64,
    /// Tokens of sound in the output.
    pub audio_output: u64,
    /// Tokens of pictures in the output.
    pub image_output: u64,
    /// Pictures made.
    pub images: u64,
    /// Milliseconds of sound heard.
    pub audio_ms: u64,
    /// Characters spoken.
    pub characters: u64,
    /// Searches that the upstream made: a web search tool, or units of reranking.
    pub searches: u64,
}

impl Usage {
    /// All tokens that were read.
    pub fn all_input(&self) -> u64 {
        [self.cached, self.cache_write, self.cache_write_1h, self.audio_input, self.image_input].into_iter().fold(self.input, u64::saturating_add)
    }

    /// All tokens that were made.
    pub fn all_output(&self) -> u64 {
        [self.reasoning, self.audio_output, self.image_output].into_iter().fold(self.output, u64::saturating_add)
    }
}
