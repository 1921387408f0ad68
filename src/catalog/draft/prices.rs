//! The prices of the model form.

use super::ModelFields;
use crate::kernel::fields::{self, Mistakes};
use crate::kernel::pricing::{Rare, Tier};
use crate::kernel::{Price, Prices};

/// Longer than any model reads: a typing mistake.
const MOST_ABOVE: i64 = 100_000_000;

/// With every field empty the model has no price. Otherwise input and output prices are needed, be they zero; cached input is the input price when
/// left empty, and cache writes are a quarter more: the only provider that charges for them asks that.
pub(super) fn parse(fields: &ModelFields, mistakes: &mut Mistakes) -> Option<Prices> {
    let rare = rare(fields, mistakes);
    if rare == Rare::default() && [&fields.input, &fields.output, &fields.cached_input, &fields.cache_write].iter().all(|typed| typed.trim().is_empty()) {
        return None;
    }
    let input = required(mistakes, "input", &fields.input);
    let output = required(mistakes, "output", &fields.output);
    let cached_input = optional(mistakes, "cached_input", &fields.cached_input).or(input);
    let cache_write = optional(mistakes, "cache_write", &fields.cache_write).or(input.map(a_quarter_more));
    let basic = Prices { input: input?, output: output?, cached_input: cached_input?, cache_write: cache_write?, ..Prices::default() };
    Some(basic.with(rare))
}

fn a_quarter_more(price: Price) -> Price {
    Price(price.0.saturating_add(price.0 / 4).saturating_add(i64::from(price.0 % 4 > 0)))
}

fn rare(fields: &ModelFields, mistakes: &mut Mistakes) -> Rare {
    let mut take = |field, typed: &str| optional(mistakes, field, typed);
    let mut rare = Rare {
        cache_write_1h: take("cache_write_1h", &fields.cache_write_1h),
        audio_input: take("audio_input", &fields.audio_input),
        image_input: take("image_input", &fields.image_input),
        reasoning: take("reasoning", &fields.reasoning),
        audio_output: take("audio_output", &fields.audio_output),
        image_output: take("image_output", &fields.image_output),
        characters: take("characters", &fields.characters),
        audio_minute: take("audio_minute", &fields.audio_minute),
        image: take("image", &fields.image),
        request: take("request", &fields.request),
        search: take("search", &fields.search),
        tiers: Vec::new(),
    };
    let first = TypedTier {
        above: ("tier1_above", &fields.tier1_above),
        input: ("tier1_input", &fields.tier1_input),
        output: ("tier1_output", &fields.tier1_output),
        cached_input: ("tier1_cached_input", &fields.tier1_cached_input),
        cache_write: ("tier1_cache_write", &fields.tier1_cache_write),
        cache_write_1h: ("tier1_cache_write_1h", &fields.tier1_cache_write_1h),
    };
    let second = TypedTier {
        above: ("tier2_above", &fields.tier2_above),
        input: ("tier2_input", &fields.tier2_input),
        output: ("tier2_output", &fields.tier2_output),
        cached_input: ("tier2_cached_input", &fields.tier2_cached_input),
        cache_write: ("tier2_cache_write", &fields.tier2_cache_write),
        cache_write_1h: ("tier2_cache_write_1h", &fields.tier2_cache_write_1h),
    };
    rare.tiers.extend([first, second].into_iter().filter_map(|tier| tier.parse(mistakes)));
    if let [first, second] = rare.tiers[..]
        && first.above >= second.above
    {
        mistakes.add("tier2_above", "catalog.error.tier_order");
    }
    rare
}

type Typed<'a> = (&'static str, &'a str);

/// One group of fields for long inputs.
struct TypedTier<'a> {
    above: Typed<'a>,
    input: Typed<'a>,
    output: Typed<'a>,
    cached_input: Typed<'a>,
    cache_write: Typed<'a>,
    cache_write_1h: Typed<'a>,
}

impl TypedTier<'_> {
    fn parse(&self, mistakes: &mut Mistakes) -> Option<Tier> {
        let all = [self.above, self.input, self.output, self.cached_input, self.cache_write, self.cache_write_1h];
        if all.iter().all(|(_, typed)| typed.trim().is_empty()) {
            return None;
        }
        let above =
            if self.above.1.trim().is_empty() { Err("field.required") } else { fields::whole_number(self.above.1, 1..=MOST_ABOVE, "catalog.error.tier_above") };
        let above = mistakes.take(self.above.0, above);
        let (input, output) = (required(mistakes, self.input.0, self.input.1), required(mistakes, self.output.0, self.output.1));
        let mut take = |(field, typed): Typed<'_>| optional(mistakes, field, typed);
        let (cached_input, cache_write, cache_write_1h) = (take(self.cached_input), take(self.cache_write), take(self.cache_write_1h));
        Some(Tier { above: u64::try_from(above?).ok()?, input: input?, output: output?, cached_input, cache_write, cache_write_1h })
    }
}

fn required(mistakes: &mut Mistakes, field: &'static str, typed: &str) -> Option<Price> {
    let parsed = if typed.trim().is_empty() { Err("catalog.error.price_missing") } else { price(typed) };
    mistakes.take(field, parsed)
}

fn optional(mistakes: &mut Mistakes, field: &'static str, typed: &str) -> Option<Price> {
    if typed.trim().is_empty() { None } else { mistakes.take(field, price(typed)) }
}

fn price(typed: &str) -> Result<Price, &'static str> {
    if typed.trim().starts_with('-') {
        return Err("field.amount_negative");
    }
    Price::per_million(typed).map_err(fields::money_key)
}
