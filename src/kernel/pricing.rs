//! What tokens cost: the kinds that are priced, their prices, and the one multiplication between them.

use super::money::{Price, Usd, cost};

/// Tokens by what they cost. The four kinds do not overlap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Input that was neither read from nor written to a cache.
    pub input: u64,
    /// Input that was read from the upstream's cache.
    pub cached: u64,
    /// Input that was written to the upstream's cache.
    pub cache_write: u64,
    /// Output, reasoning included.
    pub output: u64,
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
    pub fn cost(&self, tokens: Tokens) -> Usd {
        cost(&[(tokens.input, self.input), (tokens.cached, self.cached_input), (tokens.cache_write, self.cache_write), (tokens.output, self.output)])
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
        assert_eq!(prices.cost(Tokens { input: 1_000_000, cached: 1_000_000, cache_write: 1_000_000, output: 1_000_000 }), Usd(1_012_500_000));
        assert_eq!(prices.cost(Tokens { cached: 1, ..Tokens::default() }), Usd(75));
        assert_eq!(prices.cost(Tokens { cache_write: 1, ..Tokens::default() }), Usd(188));
        assert_eq!(prices.dearest_input(), Price(187_500_000));
    }
}
