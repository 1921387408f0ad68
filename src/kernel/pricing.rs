//! What a model costs: the rate of each kind of [`Usage`], tiers by the length of the input, and the one multiplication between them.
//!
//! Four rates are always there. The others may be unset, and then a kind costs as its nearest relative does, never less than an upstream usually asks for it;
//! [`Rare`] says so beside each. Sums are made in `i128` and rounded up once.

use super::factor::{self, PriceFactor};
use super::money::{Price, Usd};
use super::usage::Usage;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a model costs. Rates of tokens are for a million. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices {
    /// Fresh input.
    pub input: Price,
    /// Output.
    pub output: Price,
    /// Input that the upstream had cached.
    pub cached_input: Price,
    /// Input that the upstream wrote to its cache for the usual five minutes.
    pub cache_write: Price,
    /// What most models have no price for; none when nothing of it is set.
    pub rare: Option<Arc<Rare>>,
    /// By what everything is multiplied for whoever has a plan that says so.
    pub factor: PriceFactor,
}

/// The prices that few models have. What is unset costs as its description says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rare {
    /// Input written to the upstream's cache for an hour. Unset: twice the input, which is what Anthropic asks, or the price of a five-minute write where that is more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<Price>,
    /// Tokens of sound in the input. Unset: as input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_input: Option<Price>,
    /// Tokens of pictures in the input. Unset: as input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_input: Option<Price>,
    /// Output that was thought and not said. Unset: as output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Price>,
    /// Tokens of sound in the output. Unset: as output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_output: Option<Price>,
    /// Tokens of pictures in the output. Unset: as output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_output: Option<Price>,
    /// A million characters spoken. Unset: a character is a token of input, unless tokens were reported as well: then they are the measure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub characters: Option<Price>,
    /// A minute of sound heard: what providers publish, and what is charged by the millisecond. Unset: [`TOKENS_PER_SECOND`] tokens of sound for each second, unless
    /// tokens were reported as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_minute: Option<Price>,
    /// A picture made. Unset: [`TOKENS_PER_IMAGE`] tokens of a picture, unless tokens were reported as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Price>,
    /// A request that an upstream answered, beside what it used. Unset: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Price>,
    /// A search: a web search of the upstream's, or a unit of reranking. Unset: [`TOKENS_PER_SEARCH`] tokens of input, unless tokens were reported as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<Price>,
    /// Other rates for long inputs, the shortest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
}

/// What a second of sound is in tokens when a model has no price for a minute: as Gemini counts, the most of those who say.
pub const TOKENS_PER_SECOND: u64 = 32;
/// What a picture made is in tokens when a model has no price for one: gpt-image's largest at its best.
pub const TOKENS_PER_IMAGE: u64 = 6_240;
/// What a unit of reranking is in tokens when a model has no price for one: a hundred documents of 500 tokens, as Cohere defines it.
pub const TOKENS_PER_SEARCH: u64 = 50_000;

/// The fewest tokens that a second of sound is made of: OpenAI's.
const FEWEST_PER_SECOND: u64 = 20;
/// The fewest tokens that a picture in an answer is made of: Gemini's.
const FEWEST_PER_IMAGE: u64 = 1_120;

/// The rates of a request whose input is longer than a limit: the whole of it is charged by them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// For inputs of more tokens than this, cached ones included.
    pub above: u64,
    /// Fresh input.
    pub input: Price,
    /// Output. Kinds of output with a rate of their own cost that rate, or this one where it is more.
    pub output: Price,
    /// Cached input. Unset: the tier's input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<Price>,
    /// Five-minute cache writes. Unset: the tier's input, or the rate of short inputs where that is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<Price>,
    /// One-hour cache writes. Unset: twice the tier's input, or the rate of five-minute writes or of short inputs where that is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<Price>,
}

/// The rate of each kind of token, every one of them known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rates {
    input: Price,
    cached: Price,
    cache_write: Price,
    cache_write_1h: Price,
    audio_input: Price,
    image_input: Price,
    output: Price,
    reasoning: Price,
    audio_output: Price,
    image_output: Price,
}

/// Sums are kept in parts of a nano-dollar so small that a token, a millisecond and a piece are all whole numbers of them.
const PARTS: i128 = 3_000_000;
/// A token at a rate for a million.
const TOKEN: i128 = PARTS / 1_000_000;
/// A millisecond at a rate for a minute.
const MILLISECOND: i128 = PARTS / 60_000;

/// `count` at `price`, in parts.
fn parts(count: u64, price: Price, scale: i128) -> i128 {
    (i128::from(count) * i128::from(price.0)).saturating_mul(scale)
}

/// Whole nano-dollars of parts at a factor, rounded up once.
fn round_up(parts: i128, factor: PriceFactor) -> Usd {
    let (parts, whole) = match factor {
        PriceFactor::ONE => (parts, PARTS),
        factor => (parts.saturating_mul(i128::from(factor.millionths())), PARTS * i128::from(factor::WHOLE)),
    };
    Usd(i64::try_from(parts / whole + i128::from(parts % whole > 0)).unwrap_or(i64::MAX))
}

/// The rate of a kind in a tier: as its relative there when it costs the same as its relative below, else its own or the relative's, whichever is more.
fn above(own: Price, relative: Price, in_tier: Price) -> Price {
    if own == relative { in_tier } else { own.max(in_tier) }
}

/// Sound in tokens, where nobody says how many.
fn sound_tokens(ms: u64) -> u64 {
    ms.saturating_mul(TOKENS_PER_SECOND).div_ceil(1000)
}

fn twice(price: Price) -> Price {
    Price(price.0.saturating_mul(2))
}

impl Rates {
    fn short(prices: &Prices, rare: &Rare) -> Self {
        let Prices { input, output, cached_input, cache_write, .. } = *prices;
        Self {
            input,
            cached: cached_input,
            cache_write,
            cache_write_1h: rare.cache_write_1h.unwrap_or_else(|| twice(input).max(cache_write)),
            audio_input: rare.audio_input.unwrap_or(input),
            image_input: rare.image_input.unwrap_or(input),
            output,
            reasoning: rare.reasoning.unwrap_or(output),
            audio_output: rare.audio_output.unwrap_or(output),
            image_output: rare.image_output.unwrap_or(output),
        }
    }

    fn long(self, tier: &Tier) -> Self {
        let cache_write = tier.cache_write.unwrap_or_else(|| tier.input.max(self.cache_write));
        Self {
            input: tier.input,
            cached: tier.cached_input.unwrap_or(tier.input),
            cache_write,
            cache_write_1h: tier.cache_write_1h.unwrap_or_else(|| twice(tier.input).max(cache_write).max(self.cache_write_1h)),
            audio_input: above(self.audio_input, self.input, tier.input),
            image_input: above(self.image_input, self.input, tier.input),
            output: tier.output,
            reasoning: above(self.reasoning, self.output, tier.output),
            audio_output: above(self.audio_output, self.output, tier.output),
            image_output: above(self.image_output, self.output, tier.output),
        }
    }

    /// For each kind the dearer of two.
    fn max(self, other: Self) -> Self {
        Self {
            input: self.input.max(other.input),
            cached: self.cached.max(other.cached),
            cache_write: self.cache_write.max(other.cache_write),
            cache_write_1h: self.cache_write_1h.max(other.cache_write_1h),
            audio_input: self.audio_input.max(other.audio_input),
            image_input: self.image_input.max(other.image_input),
            output: self.output.max(other.output),
            reasoning: self.reasoning.max(other.reasoning),
            audio_output: self.audio_output.max(other.audio_output),
            image_output: self.image_output.max(other.image_output),
        }
    }

    /// Each kind at the dearest that it can turn out to be: a token of text may be found in a cache or put there, an answer may be thought before it is said.
    fn dearest(self) -> Self {
        let text = self.input.max(self.cached).max(self.cache_write);
        let output = self.output.max(self.reasoning);
        Self {
            input: text,
            cached: text,
            cache_write: text,
            cache_write_1h: text.max(self.cache_write_1h),
            audio_input: text.max(self.audio_input),
            image_input: text.max(self.image_input),
            output,
            reasoning: output,
            audio_output: output.max(self.audio_output),
            image_output: output.max(self.image_output),
        }
    }

    fn input_parts(&self, usage: &Usage) -> i128 {
        sum([
            (usage.input, self.input),
            (usage.cached, self.cached),
            (usage.cache_write, self.cache_write),
            (usage.cache_write_1h, self.cache_write_1h),
            (usage.audio_input, self.audio_input),
            (usage.image_input, self.image_input),
        ])
    }

    fn output_parts(&self, usage: &Usage) -> i128 {
        sum([(usage.output, self.output), (usage.reasoning, self.reasoning), (usage.audio_output, self.audio_output), (usage.image_output, self.image_output)])
    }
}

fn sum<const N: usize>(tokens: [(u64, Price); N]) -> i128 {
    tokens.into_iter().fold(0, |sum: i128, (count, price)| if count == 0 { sum } else { sum.saturating_add(parts(count, price, TOKEN)) })
}

impl Prices {
    /// The same at another factor.
    #[must_use]
    pub fn times(self, factor: PriceFactor) -> Self {
        Self { factor, ..self }
    }

    /// With the rarer prices, as far as any is set.
    #[must_use]
    pub fn with(self, mut rare: Rare) -> Self {
        rare.tiers.sort_by_key(|tier| tier.above);
        Self { rare: (rare != Rare::default()).then(|| Arc::new(rare)), ..self }
    }

    /// What an answered request is charged: what it used and the price of a request, rounded up once.
    pub fn charge(&self, usage: &Usage) -> Usd {
        round_up(self.used(usage).saturating_add(self.per_request()), self.factor)
    }

    /// What the usage alone costs, without the price of a request. Rounded up.
    pub fn cost(&self, usage: Usage) -> Usd {
        round_up(self.used(&usage), self.factor)
    }

    fn used(&self, usage: &Usage) -> i128 {
        let rates = self.rates(usage.all_input());
        let tokens = rates.input_parts(usage).saturating_add(rates.output_parts(usage));
        let is_measured = usage.all_input() > 0 || usage.all_output() > 0;
        tokens.saturating_add(self.other(usage, &rates, is_measured))
    }

    /// A request that nobody measured, with the tokens of what has no price of its own: of sound heard and spoken, of pictures made. `spoken_ms` is how long
    /// the sound is that was made.
    #[must_use]
    pub fn in_tokens(&self, usage: Usage, spoken_ms: u64) -> Usage {
        self.by_tokens(usage, spoken_ms, TOKENS_PER_SECOND, TOKENS_PER_IMAGE)
    }

    /// The same with the fewest tokens that it can be: to see whether an answer has surely come to cost too much.
    #[must_use]
    pub fn in_fewest_tokens(&self, usage: Usage, spoken_ms: u64) -> Usage {
        self.by_tokens(usage, spoken_ms, FEWEST_PER_SECOND, FEWEST_PER_IMAGE)
    }

    fn by_tokens(&self, usage: Usage, spoken_ms: u64, per_second: u64, per_image: u64) -> Usage {
        let rare = self.rare.as_deref().unwrap_or(&NO_RARE);
        let or = |told: u64, price: Option<Price>, pieces: u64| if told > 0 || price.is_some() { told } else { pieces };
        let sound = |ms: u64| ms.saturating_mul(per_second).div_ceil(1000);
        Usage {
            audio_input: or(usage.audio_input, rare.audio_minute, sound(usage.audio_ms)),
            audio_output: or(usage.audio_output, rare.characters, sound(spoken_ms)),
            image_output: or(usage.image_output, rare.image, usage.images.saturating_mul(per_image)),
            ..usage
        }
    }

    /// The rates of a request with so much input.
    fn rates(&self, all_input: u64) -> Rates {
        let Some(rare) = &self.rare else { return Rates::short(self, &NO_RARE) };
        let short = Rates::short(self, rare);
        rare.tiers.iter().rev().find(|tier| all_input > tier.above).map_or(short, |tier| short.long(tier))
    }

    /// What is not tokens. Where it has no price it is taken as tokens, unless the request was measured in tokens anyway.
    fn other(&self, usage: &Usage, rates: &Rates, is_measured: bool) -> i128 {
        let rare = self.rare.as_deref().unwrap_or(&NO_RARE);
        let piece = |count: u64, price: Option<Price>, scale: i128, in_tokens: u64, rate: Price| match price {
            _ if count == 0 => 0,
            Some(price) => parts(count, price, scale),
            None if is_measured => 0,
            None => parts(in_tokens, rate, TOKEN),
        };
        [
            piece(usage.characters, rare.characters, TOKEN, usage.characters, rates.input),
            piece(usage.audio_ms, rare.audio_minute, MILLISECOND, sound_tokens(usage.audio_ms), rates.audio_input),
            piece(usage.images, rare.image, PARTS, usage.images.saturating_mul(TOKENS_PER_IMAGE), rates.image_output),
            piece(usage.searches, rare.search, PARTS, usage.searches.saturating_mul(TOKENS_PER_SEARCH), rates.input),
        ]
        .into_iter()
        .fold(0, i128::saturating_add)
    }

    /// Whether a search has a price, be it nothing.
    pub fn sells_searches(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.search.is_some())
    }

    fn per_request(&self) -> i128 {
        self.rare.as_ref().and_then(|rare| rare.request).map_or(0, |price| parts(1, price, PARTS))
    }

    /// The most that a request can be charged that uses no more than `most`. A count stands in it at the dearest kind that it can turn out to be:
    /// text as `input`, also where it may be read from or written to a cache for five minutes; as `cache_write_1h` when the request asks for an hour;
    /// an answer as `output`, though it may be thought; as `audio_output` or `image_output` when it may be sound or pictures. Every tier that the input can reach is looked at.
    pub fn ceiling(&self, most: &Usage) -> Usd {
        let rates = self.worst_rates(most.all_input());
        round_up(self.ceiling_without_output(most, &rates).saturating_add(rates.output_parts(most)), self.factor)
    }

    /// How many tokens of output `held` covers beside everything else in `most`, at the dearest kind of output that `most` names; `None` when it does not even
    /// cover the rest. [`u64::MAX`] when output is free.
    pub fn affordable_output(&self, held: Usd, most: &Usage) -> Option<u64> {
        let rates = self.worst_rates(most.all_input());
        let factor = i128::from(self.factor.millionths());
        let left = i128::from(held.0) * PARTS * i128::from(factor::WHOLE) - self.ceiling_without_output(most, &rates).saturating_mul(factor);
        if left < 0 {
            return None;
        }
        let per_token = i128::from(dearest_output(&rates, most).0) * TOKEN * factor;
        if per_token == 0 { Some(u64::MAX) } else { Some(u64::try_from(left / per_token).unwrap_or(u64::MAX)) }
    }

    fn ceiling_without_output(&self, most: &Usage, rates: &Rates) -> i128 {
        rates.input_parts(most).saturating_add(self.other(most, rates, false)).saturating_add(self.per_request())
    }

    /// The dearest rate of each kind in any tier that so much input can reach.
    fn worst_rates(&self, all_input: u64) -> Rates {
        let Some(rare) = &self.rare else { return Rates::short(self, &NO_RARE).dearest() };
        let short = Rates::short(self, rare);
        let reached = rare.tiers.iter().filter(|tier| all_input > tier.above);
        reached.fold(short, |worst, tier| worst.max(short.long(tier))).dearest()
    }

    /// The dearest of what an answer may be, where it has a price of its own: words always, and sound or pictures where `sound` or `pictures` say so.
    pub fn dearest_answer(&self, sound: bool, pictures: bool) -> Answer {
        let rare = self.rare.as_deref().unwrap_or(&NO_RARE);
        let (sound, pictures) = (rare.audio_output.filter(|_| sound), rare.image_output.filter(|_| pictures));
        match (sound, pictures) {
            (None, None) => Answer::Text,
            (sound, pictures) if sound >= pictures => Answer::Sound,
            _ => Answer::Pictures,
        }
    }

    /// The most that a token of input can cost, wherever the upstream finds or puts it for five minutes, and however long the input is.
    pub fn dearest_input(&self) -> Price {
        self.worst_rates(u64::MAX).input
    }
}

/// What an answer may be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Words, said or thought.
    Text,
    /// Sound.
    Sound,
    /// Pictures.
    Pictures,
}

fn dearest_output(rates: &Rates, most: &Usage) -> Price {
    let named = [(most.audio_output, rates.audio_output), (most.image_output, rates.image_output)];
    named.into_iter().filter(|(count, _)| *count > 0).map(|(_, rate)| rate).fold(rates.output, Price::max)
}

/// Nothing set.
static NO_RARE: Rare = Rare {
    cache_write_1h: None,
    audio_input: None,
    image_input: None,
    reasoning: None,
    audio_output: None,
    image_output: None,
    characters: None,
    audio_minute: None,
    image: None,
    request: None,
    search: None,
    tiers: Vec::new(),
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Tenths of a cent for a million.
    fn price(mills: i64) -> Price {
        Price(mills * 1_000_000)
    }

    fn basic() -> Prices {
        Prices { input: price(150), output: price(600), cached_input: price(75), cache_write: Price(187_500_000), ..Prices::default() }
    }

    /// One token of each kind, a million times.
    fn one_of_each() -> Usage {
        const M: u64 = 1_000_000;
        Usage {
            input: M,
            cached: M,
            cache_write: M,
            cache_write_1h: M,
            audio_input: M,
            image_input: M,
            output: M,
            reasoning: M,
            audio_output: M,
            image_output: M,
            ..Usage::default()
        }
    }

    #[test]
    fn each_kind_of_token_has_its_price_and_the_sum_rounds_up_once() {
        let prices = basic();
        assert_eq!(
            prices.cost(Usage { input: 1_000_000, cached: 1_000_000, cache_write: 1_000_000, output: 1_000_000, ..Usage::default() }),
            Usd(1_012_500_000)
        );
        assert_eq!(prices.cost(Usage { cached: 1, ..Usage::default() }), Usd(75));
        assert_eq!(prices.cost(Usage { cache_write: 1, ..Usage::default() }), Usd(188));
        assert_eq!(prices.cost(Usage { cache_write: 1, cached: 1, ..Usage::default() }), Usd(263), "262.5, rounded once");
        assert_eq!(prices.dearest_input(), Price(187_500_000));
        assert_eq!(prices.charge(&Usage::default()), Usd::ZERO);
    }

    #[test]
    fn what_has_no_price_costs_as_its_nearest_relative() {
        // input, cached, written, written for an hour at twice the input, sound and pictures as input; four kinds of output
        assert_eq!(basic().cost(one_of_each()), Usd(150_000_000 + 75_000_000 + 187_500_000 + 300_000_000 + 2 * 150_000_000 + 4 * 600_000_000));
        let dear_write = Prices { cache_write: price(400), ..basic() };
        assert_eq!(dear_write.cost(Usage { cache_write_1h: 1_000_000, ..Usage::default() }), Usd(400_000_000));
    }

    #[test]
    fn each_kind_can_have_a_price_of_its_own() {
        let prices = basic().with(Rare {
            cache_write_1h: Some(price(1)),
            audio_input: Some(price(2)),
            image_input: Some(price(4)),
            reasoning: Some(price(8)),
            audio_output: Some(price(16)),
            image_output: Some(price(32)),
            ..Rare::default()
        });
        let basics = 150_000_000 + 75_000_000 + 187_500_000 + 600_000_000;
        assert_eq!(prices.cost(one_of_each()), Usd(basics + 63_000_000));
    }

    #[test]
    fn minutes_characters_and_pieces_are_exact() {
        // Six tenths of a cent for a minute, 15 dollars for a million characters, 4 cents a picture, 1 cent a search, 2 cents a request.
        let rare = Rare {
            audio_minute: Some(price(6)),
            characters: Some(price(15_000)),
            image: Some(price(40)),
            search: Some(price(10)),
            request: Some(price(20)),
            ..Rare::default()
        };
        let prices = basic().with(rare);
        assert_eq!(prices.cost(Usage { audio_ms: 60_000, ..Usage::default() }), Usd(6_000_000));
        assert_eq!(prices.cost(Usage { audio_ms: 1, ..Usage::default() }), Usd(100));
        assert_eq!(prices.cost(Usage { characters: 3, ..Usage::default() }), Usd(45_000));
        assert_eq!(prices.cost(Usage { images: 2, searches: 3, ..Usage::default() }), Usd(110_000_000));
        assert_eq!(prices.charge(&Usage { images: 2, ..Usage::default() }), Usd(100_000_000));
        assert_eq!(prices.charge(&Usage::default()), Usd(20_000_000), "an answer is charged even where nothing was measured");
        assert_eq!(prices.cost(Usage::default()), Usd::ZERO);
        let odd = basic().with(Rare { audio_minute: Some(Price(1)), ..Rare::default() });
        assert_eq!(odd.cost(Usage { audio_ms: 60_001, input: 1, ..Usage::default() }), Usd(151 + 1), "150 + 1.00002, rounded up once");
    }

    #[test]
    fn what_is_not_measured_in_tokens_is_taken_as_tokens_where_it_has_no_price() {
        let prices = basic();
        for (usage, tokens, rate) in [
            (Usage { characters: 7, ..Usage::default() }, 7, 150),
            (Usage { audio_ms: 1001, ..Usage::default() }, 33, 150),
            (Usage { images: 2, ..Usage::default() }, 2 * 6_240, 600),
            (Usage { searches: 3, ..Usage::default() }, 150_000, 150),
        ] {
            assert_eq!(prices.cost(usage), Usd(tokens * rate), "{usage:?}");
            assert_eq!(prices.cost(Usage { input: 1, ..usage }), Usd(150), "tokens are the measure where they were told");
        }
    }

    fn tiered() -> Prices {
        let long = Tier { above: 200_000, input: price(300), output: price(900), cached_input: Some(price(100)), ..Tier::default() };
        let longest = Tier { above: 500_000, input: price(1_000), output: price(2_000), ..Tier::default() };
        basic().with(Rare { audio_input: Some(price(500)), tiers: vec![longest, long], ..Rare::default() })
    }

    #[test]
    fn a_long_input_makes_the_whole_request_dearer() {
        let prices = tiered();
        let at = |input, cached| prices.cost(Usage { input, cached, output: 10, ..Usage::default() });
        assert_eq!(at(150_000, 50_000), Usd(150_000 * 150 + 50_000 * 75 + 6_000), "exactly the limit is not above it");
        assert_eq!(at(150_000, 50_001), Usd(150_000 * 300 + 50_001 * 100 + 9_000));
        assert_eq!(at(500_001, 100), Usd(500_001 * 1_000 + 100 * 1_000 + 20_000), "cached input without a rate is the tier's input");
        let at = |usage: Usage| prices.cost(Usage { input: 200_000, ..usage }).0 - 200_000 * 300;
        assert_eq!(at(Usage { cache_write: 1, ..Usage::default() }), 300, "the tier's input is more than the write below");
        assert_eq!(at(Usage { cache_write_1h: 1, ..Usage::default() }), 600);
        assert_eq!(at(Usage { audio_input: 1, ..Usage::default() }), 500, "a rate of its own stays while it is more");
        assert_eq!(at(Usage { image_input: 1, reasoning: 1, audio_output: 1, ..Usage::default() }), 300 + 900 + 900);
    }

    #[test]
    fn the_ceiling_is_never_less_than_what_it_bounds() {
        let prices = tiered().with(Rare { request: Some(price(20)), ..(*tiered().rare.unwrap()).clone() });
        let most = Usage { input: 600_000, output: 1_000, ..Usage::default() };
        assert_eq!(prices.ceiling(&most), Usd(600_000 * 1_000 + 1_000 * 2_000 + 20_000_000));
        for share in [0, 1, 200_000, 200_001, 500_001, 600_000] {
            for usage in [
                Usage { input: share, output: 1_000, ..Usage::default() },
                Usage { cached: share, reasoning: 1_000, ..Usage::default() },
                Usage { cache_write: share, input: 600_000 - share, output: 500, reasoning: 500, ..Usage::default() },
            ] {
                assert!(prices.charge(&usage) <= prices.ceiling(&most), "{usage:?}");
            }
        }
        let hour = Usage { cache_write_1h: 1_000_000, ..Usage::default() };
        assert!(basic().ceiling(&hour) == Usd(300_000_000) && basic().ceiling(&Usage { input: 1_000_000, ..Usage::default() }) == Usd(187_500_000));
    }

    #[test]
    fn the_rest_of_the_money_buys_output() {
        let most = Usage { input: 1000, output: 1, ..Usage::default() };
        let input = 187_500;
        assert_eq!(basic().affordable_output(Usd(input), &most), Some(0));
        assert_eq!(basic().affordable_output(Usd(input - 1), &most), None);
        assert_eq!(basic().affordable_output(Usd(input + 600 * 7 + 599), &most), Some(7));
        let free = Prices { output: Price(0), ..basic() };
        assert_eq!(free.affordable_output(Usd(input), &most), Some(u64::MAX));
        let spoken = basic().with(Rare { audio_output: Some(price(6_000)), reasoning: Some(price(1_200)), ..Rare::default() });
        assert_eq!(spoken.affordable_output(Usd(input + 6_000), &Usage { audio_output: 1, ..most }), Some(1));
        assert_eq!(spoken.affordable_output(Usd(input + 6_000), &most), Some(5), "an answer may be thought");
    }

    #[test]
    fn no_number_is_too_large() {
        let price = Price(i64::MAX);
        let rare = Rare { audio_minute: Some(price), image: Some(price), request: Some(price), ..Rare::default() };
        let prices = Prices { input: price, output: price, cached_input: price, cache_write: price, ..Prices::default() }.with(rare);
        let all = Usage {
            input: u64::MAX,
            cached: u64::MAX,
            output: u64::MAX,
            reasoning: u64::MAX,
            images: u64::MAX,
            audio_ms: u64::MAX,
            searches: u64::MAX,
            ..Usage::default()
        };
        assert_eq!((prices.charge(&all), prices.ceiling(&all)), (Usd(i64::MAX), Usd(i64::MAX)));
        assert_eq!(prices.affordable_output(Usd(i64::MAX), &all), None);
    }

    #[test]
    fn a_factor_multiplies_everything_and_rounds_up_once() {
        let half = tiered().times(PriceFactor::parse("0.5").unwrap());
        let usage = Usage { input: 3, output: 1, ..Usage::default() };
        assert_eq!((tiered().charge(&usage), half.charge(&usage)), (Usd(3 * 150 + 600), Usd(525)));
        let odd = basic().times(PriceFactor::parse("0.333333").unwrap());
        assert_eq!(odd.cost(Usage { input: 1, ..Usage::default() }), Usd(50), "49.99995 and up");
        assert_eq!(odd.cost(Usage { input: 1_000_000, ..Usage::default() }), Usd(49_999_950), "and not up for each");
        for text in ["0.5", "1", "1.75", "0.000001", "1000"] {
            let prices = basic().times(PriceFactor::parse(text).unwrap());
            let most = Usage { input: 1000, output: 500, ..Usage::default() };
            let held = prices.ceiling(&most);
            assert!(prices.charge(&most) <= held);
            let covered = prices.affordable_output(held, &most).unwrap();
            assert!(covered >= 500 && prices.ceiling(&Usage { output: covered, ..most }) <= held, "{text}");
        }
        let nothing = basic().times(PriceFactor::from_millionths(0));
        assert_eq!((nothing.charge(&usage), nothing.affordable_output(Usd::ZERO, &usage)), (Usd::ZERO, Some(u64::MAX)));
    }

    #[test]
    fn rare_prices_are_kept_as_decimal_texts() {
        let rare = (*tiered().rare.unwrap()).clone();
        let text = serde_json::to_string(&rare).unwrap();
        assert_eq!(
            text,
            r#"{"audio_input":"0.5","tiers":[{"above":200000,"input":"0.3","output":"0.9","cached_input":"0.1"},{"above":500000,"input":"1","output":"2"}]}"#
        );
        assert_eq!(serde_json::from_str::<Rare>(&text).unwrap(), rare);
        assert!(serde_json::from_str::<Rare>(r#"{"audio_input":0.5}"#).is_err(), "a float is no price");
        assert!(serde_json::from_str::<Rare>(r#"{"audio_inputs":"0.5"}"#).is_err(), "a price that nobody knows is not left out");
        assert_eq!(basic().with(Rare::default()).rare, None);
    }
}
