//! The model form: what was typed, and what it means.

mod fields;
mod prices;

pub use fields::ModelFields;

use super::caching::{Caching, Factor};
use crate::kernel::fields::{Mistakes, model_name, ticked, whole_number};
use crate::kernel::{FieldError, Prices};

/// A model form without mistakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelDraft {
    pub(super) name: String,
    pub(super) enabled: bool,
    pub(super) max_output_tokens: Option<i64>,
    pub(super) context_length: Option<i64>,
    pub(super) caching: Option<Caching>,
    pub(super) prices: Option<Prices>,
}

/// More output than any model gives: a typing mistake.
const MAX_OUTPUT_TOKENS: i64 = 10_000_000;
/// More input than any model reads: a typing mistake.
const MAX_CONTEXT: i64 = 100_000_000;
/// Nobody wants an answer that is a month old.
const MAX_CACHE_SECONDS: i64 = 30 * 24 * 60 * 60;

impl ModelDraft {
    /// Reads the form. With all prices empty the model has no price and cannot be called; with no time to keep answers none is kept.
    ///
    /// # Errors
    /// Every mistake, by field.
    pub fn parse(fields: &ModelFields) -> Result<Self, Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let name = mistakes.take("name", model_name(&fields.name)).unwrap_or_default().to_owned();
        let max_output_tokens = optional(&mut mistakes, "max_output_tokens", &fields.max_output_tokens, MAX_OUTPUT_TOKENS, "catalog.error.max_output_tokens");
        let context_length = optional(&mut mistakes, "context_length", &fields.context_length, MAX_CONTEXT, "catalog.error.context_length");
        let prices = prices::parse(fields, &mut mistakes);
        let caching = caching(fields, &mut mistakes);
        mistakes.check()?;
        Ok(Self { name, enabled: ticked(&fields.enabled), max_output_tokens, context_length, caching, prices })
    }
}

fn caching(fields: &ModelFields, mistakes: &mut Mistakes) -> Option<Caching> {
    // What is typed beside an empty time is read too, so that a mistake does not wait there.
    let factor = match fields.cache_factor.trim() {
        "" => Some(Factor::default()),
        typed => mistakes.take("cache_factor", Factor::parse(typed)),
    };
    let ttl = optional(mistakes, "cache_ttl", &fields.cache_ttl, MAX_CACHE_SECONDS, "catalog.error.cache_ttl");
    Some(Caching { ttl_ms: ttl? * 1000, always: fields.cache_when.trim() == "always", factor: factor?, shared: ticked(&fields.cache_shared) })
}

fn optional(mistakes: &mut Mistakes, field: &'static str, typed: &str, most: i64, outside: &'static str) -> Option<i64> {
    if typed.trim().is_empty() { None } else { mistakes.take(field, whole_number(typed, 1..=most, outside)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Price;
    use crate::kernel::pricing::{Rare, Tier};

    fn fields(name: &str, prices: [&str; 4]) -> ModelFields {
        let [input, output, cached_input, cache_write] = prices.map(str::to_owned);
        ModelFields { name: name.into(), enabled: "on".into(), input, output, cached_input, cache_write, ..ModelFields::default() }
    }

    #[test]
    fn prices_default_to_what_providers_ask() {
        let draft = ModelDraft::parse(&fields("gpt-4o", ["2.50", "10", "", " "])).unwrap();
        let prices = draft.prices.unwrap();
        assert_eq!((prices.input, prices.output), (Price(2_500_000_000), Price(10_000_000_000)));
        assert_eq!((prices.cached_input, prices.cache_write), (prices.input, Price(3_125_000_000)));
        let draft = ModelDraft::parse(&fields("gpt-4o", ["2.50", "10", "1.25", "0"])).unwrap();
        assert_eq!(draft.prices.map(|p| (p.cached_input, p.cache_write)), Some((Price(1_250_000_000), Price(0))));
    }

    #[test]
    fn no_price_at_all_is_a_model_without_a_price() {
        assert_eq!(ModelDraft::parse(&fields("m", ["", " ", "", ""])).unwrap().prices, None);
    }

    #[test]
    fn every_mistake_is_told_by_field() {
        let mut form = fields("two words", ["", "1,5", "-1", "0.0000000001"]);
        form.max_output_tokens = "0".into();
        let expected = [
            ("name", "field.model_name"),
            ("max_output_tokens", "catalog.error.max_output_tokens"),
            ("input", "catalog.error.price_missing"),
            ("output", "field.amount"),
            ("cached_input", "field.amount_negative"),
            ("cache_write", "field.amount_too_precise"),
        ];
        assert_eq!(ModelDraft::parse(&form).unwrap_err(), expected.map(|(field, key)| FieldError::new(field, key)));
    }

    #[test]
    fn a_form_without_the_checkbox_is_off() {
        let form = ModelFields { enabled: String::new(), ..fields("m", ["1", "2", "", ""]) };
        assert!(!ModelDraft::parse(&form).unwrap().enabled);
    }
    #[test]
    fn rarer_prices_and_tiers_are_read_and_typed_again_as_they_were() {
        let form = ModelFields {
            cache_write_1h: "6".into(),
            request: "0.02".into(),
            tier1_above: "200000".into(),
            tier1_input: "6".into(),
            tier1_output: "22.5".into(),
            tier1_cached_input: "0.6".into(),
            tier2_above: " 1000000 ".into(),
            tier2_input: "7".into(),
            tier2_output: "23".into(),
            context_length: "2000000".into(),
            cache_ttl: "60".into(),
            cache_when: "always".into(),
            cache_factor: "0.25".into(),
            cache_shared: "on".into(),
            ..fields("m", ["3", "15", "0.3", "3.75"])
        };
        let draft = ModelDraft::parse(&form).unwrap();
        let dollars = |mills: i64| Price(mills * 1_000_000);
        let first = Tier { above: 200_000, input: dollars(6_000), output: dollars(22_500), cached_input: Some(dollars(600)), ..Tier::default() };
        let second = Tier { above: 1_000_000, input: dollars(7_000), output: dollars(23_000), ..Tier::default() };
        let rare = Rare { cache_write_1h: Some(dollars(6_000)), request: Some(dollars(20)), tiers: vec![first, second], ..Rare::default() };
        assert_eq!(draft.prices.as_ref().unwrap().rare.as_deref(), Some(&rare));
        assert_eq!(draft.caching, Some(Caching { ttl_ms: 60_000, always: true, factor: Factor::from_millionths(250_000), shared: true }));

        let step = crate::catalog::Step { id: crate::kernel::Id(2), effective_at: 0, prices: draft.prices.clone() };
        let model = crate::catalog::Model {
            id: crate::kernel::Id(1),
            name: draft.name.clone(),
            enabled: draft.enabled,
            max_output_tokens: None,
            context_length: Some(2_000_000),
            caching: draft.caching,
            steps: vec![step],
        };
        assert_eq!(ModelDraft::parse(&ModelFields::of(&model, 0)), Ok(draft));
    }

    #[test]
    fn mistakes_in_rarer_fields_are_told_too() {
        let form = ModelFields {
            image: "-1".into(),
            tier1_above: "0".into(),
            tier1_input: "1".into(),
            tier2_cached_input: "x".into(),
            context_length: "none".into(),
            cache_ttl: "1.5".into(),
            cache_factor: "2".into(),
            ..fields("m", ["", "", "", ""])
        };
        let expected = [
            ("context_length", "field.whole_number"),
            ("image", "field.amount_negative"),
            ("tier1_above", "catalog.error.tier_above"),
            ("tier1_output", "catalog.error.price_missing"),
            ("tier2_above", "field.required"),
            ("tier2_input", "catalog.error.price_missing"),
            ("tier2_output", "catalog.error.price_missing"),
            ("tier2_cached_input", "field.amount"),
            ("cache_factor", "catalog.error.factor"),
            ("cache_ttl", "field.whole_number"),
        ];
        assert_eq!(ModelDraft::parse(&form).unwrap_err(), expected.map(|(field, key)| FieldError::new(field, key)));
        let tier = |above: &str| ModelFields {
            tier1_above: "9".into(),
            tier1_input: "1".into(),
            tier1_output: "1".into(),
            tier2_above: above.into(),
            tier2_input: "1".into(),
            tier2_output: "1".into(),
            ..fields("m", ["1", "1", "", ""])
        };
        assert_eq!(ModelDraft::parse(&tier("9")).unwrap_err(), [FieldError::new("tier2_above", "catalog.error.tier_order")]);
        assert!(ModelDraft::parse(&tier("10")).is_ok());
        let only_images = ModelFields { image: "0.04".into(), ..fields("m", ["", "", "", ""]) };
        assert!(ModelDraft::parse(&only_images).is_err(), "a zero is typed, not guessed");
    }
}
