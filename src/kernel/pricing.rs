//! What tokens cost: the kinds that are priced, their prices, and the one multiplication between them.

use super::money::{Price, Usd, cost};

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

/// What a million tokens cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prices {
    /// Fresh input.
    pub input: Price,
    /// Output, reasoning included.
    pub output: Price,
    /// Input that the upstream had cached.
    pub cached_input: Price,
    /// Input that the upstream wrote to its cache.
    pub cache_write: Price,
}

impl Prices {
    /// What the tokens cost, rounded up once.
    pub fn cost(&self, usage: Usage) -> Usd {
        let fresh = [usage.audio_input, usage.image_input].into_iter().fold(usage.input, u64::saturating_add);
        let written = usage.cache_write.saturating_add(usage.cache_write_1h);
        cost(&[(fresh, self.input), (usage.cached, self.cached_input), (written, self.cache_write), (usage.all_output(), self.output)])
    }

    /// The most that a token of input can cost, wherever the upstream finds or puts it.
    pub fn dearest_input(&self) -> Price {
        self.input.max(self.cached_input).max(self.cache_write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_token_has_its_price_and_the_sum_rounds_up_once() {
        let prices = Prices { input: Price(150_000_000), output: Price(600_000_000), cached_input: Price(75_000_000), cache_write: Price(187_500_000) };
        assert_eq!(
            prices.cost(Usage { input: 1_000_000, cached: 1_000_000, cache_write: 1_000_000, output: 1_000_000, ..Usage::default() }),
            Usd(1_012_500_000)
        );
        assert_eq!(prices.cost(Usage { cached: 1, ..Usage::default() }), Usd(75));
        assert_eq!(prices.cost(Usage { cache_write: 1, ..Usage::default() }), Usd(188));
        assert_eq!(prices.dearest_input(), Price(187_500_000));
    }
}
