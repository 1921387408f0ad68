//! How much a request may cost before it has run, and what a short balance makes of it. Pure.

use super::count;
use crate::kernel::{Prices, Usage, Usd, money};

/// What an answer may have when neither the caller nor the model sets a limit.
const DEFAULT_OUTPUT: u64 = 32_768;
/// More output than any model gives.
const MOST_OUTPUT: u64 = 262_144;
/// Fewer output tokens than this are not worth asking an upstream for.
const FLOOR: u64 = 16;
/// The most that an image, a sound or a file is taken to cost when only its reference is known.
const MEDIA_BOUND: u64 = 50_000;

/// What is known of a request before it runs.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Bytes of the whole body: a token never has less than one.
    pub bytes: usize,
    /// Parts whose tokens cannot be told from their bytes.
    pub media_parts: u64,
    /// The caller's cap for each choice.
    pub output_cap: Option<u64>,
    /// The model's own limit.
    pub model_cap: Option<u64>,
    /// How many choices.
    pub choices: u64,
}

impl Size {
    /// The output tokens that each choice can have.
    fn cap(&self) -> u64 {
        match (self.output_cap, self.model_cap) {
            (Some(asked), Some(limit)) => asked.min(limit),
            (Some(cap), None) | (None, Some(cap)) => cap,
            (None, None) => DEFAULT_OUTPUT,
        }
    }

    /// The fewest output tokens for each choice that are worth a call.
    fn floor(&self) -> u64 {
        self.cap().min(FLOOR)
    }

    /// The output tokens that all choices together can have.
    pub fn output_cap(&self) -> u64 {
        self.output(self.cap())
    }

    /// The output tokens at which an upstream is taken to have lost its measure. When nobody set a limit, that is not the size that was held
    /// for, which is only usual, but more than any model gives.
    pub fn output_limit(&self) -> u64 {
        let is_known = self.output_cap.is_some() || self.model_cap.is_some();
        self.output(if is_known { self.cap() } else { MOST_OUTPUT })
    }

    fn output(&self, per_choice: u64) -> u64 {
        per_choice.saturating_mul(self.choices)
    }

    /// The worst case, from the bytes alone: cheap to know, and more than the request can cost.
    pub fn worst_case(&self, prices: &Prices) -> Usd {
        let input = (self.bytes as u64).saturating_add(self.media_parts.saturating_mul(MEDIA_BOUND));
        money::cost(&[(input, prices.dearest_input()), (self.output_cap(), prices.output)])
    }

    /// Less than this on the balance, and there is no use in looking closer.
    pub fn least(&self, prices: &Prices) -> Usd {
        prices.cost(Usage { output: self.output(self.floor()), ..Usage::default() })
    }

    /// What recovery charges for the input when the node dies before any usage is known: an estimate from the bytes.
    pub fn input_estimate(&self, prices: &Prices) -> Usd {
        prices.cost(Usage { input: count::estimate(self.bytes), ..Usage::default() })
    }

    /// Given `held` of the money and the counted `input` tokens: whether the request can go as it is, with less output, or
    /// not at all.
    pub fn fit(&self, prices: &Prices, held: Usd, input: u64) -> Fit {
        let dearest = prices.dearest_input();
        if money::cost(&[(input, dearest), (self.output_cap(), prices.output)]) <= held {
            return Fit::AsAsked;
        }
        // In nano-dollars times a million, so that nothing is rounded before the division.
        let left = i128::from(held.0) * 1_000_000 - i128::from(input) * i128::from(dearest.0);
        let per_token = i128::from(prices.output.0) * i128::from(self.choices);
        if left < 0 || per_token == 0 {
            return Fit::TooLittle;
        }
        let affordable = u64::try_from(left / per_token).unwrap_or(u64::MAX);
        if affordable < self.floor() { Fit::TooLittle } else { Fit::Lowered(affordable.min(self.cap())) }
    }
}

/// What a short balance makes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The balance covers it after all.
    AsAsked,
    /// It covers this many output tokens for each choice.
    Lowered(u64),
    /// It does not cover what is worth a call.
    TooLittle,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Price;

    const PRICES: Prices =
        Prices { input: Price(1_000_000_000), output: Price(10_000_000_000), cached_input: Price(500_000_000), cache_write: Price(1_250_000_000), rare: None };

    fn size() -> Size {
        Size { bytes: 1000, media_parts: 0, output_cap: Some(1000), model_cap: None, choices: 1 }
    }

    #[test]
    fn the_worst_case_takes_the_dearest_input_and_every_choice() {
        // 1000 bytes at 1.25 $/M + 2 * 1000 tokens at 10 $/M
        assert_eq!(Size { choices: 2, ..size() }.worst_case(&PRICES), Usd(1_250_000 + 20_000_000));
        assert_eq!(Size { media_parts: 1, ..size() }.worst_case(&PRICES), Usd(51_000 * 1250 + 10_000_000));
        assert_eq!(Size { output_cap: None, model_cap: Some(10), ..size() }.worst_case(&PRICES), Usd(1_250_000 + 100_000));
        assert_eq!(Size { output_cap: Some(u64::MAX), choices: 128, ..size() }.worst_case(&PRICES), Usd(i64::MAX));
    }

    #[test]
    fn a_short_balance_lowers_the_cap_to_exactly_what_it_covers() {
        let need = Usd(100 * 1250 + 10_000_000);
        assert_eq!(size().fit(&PRICES, need, 100), Fit::AsAsked);
        assert_eq!(size().fit(&PRICES, need - Usd(1), 100), Fit::Lowered(999));
        assert_eq!(size().fit(&PRICES, Usd(100 * 1250 + 16 * 10_000), 100), Fit::Lowered(16));
        assert_eq!(size().fit(&PRICES, Usd(100 * 1250 + 16 * 10_000 - 1), 100), Fit::TooLittle);
        assert_eq!(size().fit(&PRICES, Usd(1), 100), Fit::TooLittle);
        let short = Size { output_cap: Some(5), ..size() };
        assert_eq!(short.fit(&PRICES, Usd(100 * 1250 + 50_000), 100), Fit::AsAsked, "a caller who asks for less than the floor gets it");
        let free_output = Prices { output: Price(0), ..PRICES };
        assert_eq!(size().fit(&free_output, Usd(1), 100), Fit::TooLittle);
    }

    #[test]
    fn an_answer_without_a_limit_may_be_longer_than_what_was_held_for() {
        assert_eq!(Size { choices: 2, ..size() }.output_limit(), 2000);
        assert_eq!(Size { output_cap: None, model_cap: Some(10), ..size() }.output_limit(), 10);
        let unlimited = Size { output_cap: None, ..size() };
        assert!(unlimited.output_limit() > unlimited.output_cap());
    }

    #[test]
    fn what_was_lowered_never_costs_more_than_was_held() {
        for held in (200_000..12_000_000).step_by(37_711) {
            if let Fit::Lowered(cap) = size().fit(&PRICES, Usd(held), 100) {
                assert!(money::cost(&[(100, PRICES.dearest_input()), (cap, PRICES.output)]) <= Usd(held));
                assert!(money::cost(&[(100, PRICES.dearest_input()), (cap + 1, PRICES.output)]) > Usd(held));
            }
        }
    }
}
