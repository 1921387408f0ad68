//! The model form: what was typed, and what it means.

use crate::kernel::Prices;
use crate::kernel::fields::{self, Mistakes};
use crate::kernel::{FieldError, Price};

/// The fields of the form as typed; kept to show them again beside their mistakes.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct ModelFields {
    /// The name that callers send.
    pub name: String,
    /// A checkbox.
    pub enabled: String,
    /// A whole number, or empty when not known.
    pub max_output_tokens: String,
    /// Dollars per million tokens.
    pub input: String,
    /// Dollars per million tokens.
    pub output: String,
    /// Dollars per million tokens; empty means as input.
    pub cached_input: String,
    /// Dollars per million tokens; empty means as input.
    pub cache_write: String,
}

/// A model form without mistakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelDraft {
    pub(super) name: String,
    pub(super) enabled: bool,
    pub(super) max_output_tokens: Option<i64>,
    pub(super) prices: Option<Prices>,
}

/// More output than any model gives: a typing mistake.
const MAX_OUTPUT_TOKENS: i64 = 10_000_000;

impl ModelDraft {
    /// Reads the form. With all four prices empty the model has no price and cannot be called; input and output prices come
    /// together; the other two are the input price when left empty.
    ///
    /// # Errors
    /// Every mistake, by field.
    pub fn parse(fields: &ModelFields) -> Result<Self, Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let name = mistakes.take("name", fields::model_name(&fields.name)).unwrap_or_default().to_owned();
        let max_output_tokens = match fields.max_output_tokens.trim() {
            "" => None,
            typed => mistakes.take("max_output_tokens", fields::whole_number(typed, 1..=MAX_OUTPUT_TOKENS, "catalog.error.max_output_tokens")),
        };
        let prices = prices(fields, &mut mistakes);
        mistakes.check()?;
        Ok(Self { name, enabled: fields::ticked(&fields.enabled), max_output_tokens, prices })
    }
}

fn prices(fields: &ModelFields, mistakes: &mut Mistakes) -> Option<Prices> {
    if [&fields.input, &fields.output, &fields.cached_input, &fields.cache_write].iter().all(|typed| typed.trim().is_empty()) {
        return None;
    }
    let input = required(mistakes, "input", &fields.input);
    let output = required(mistakes, "output", &fields.output);
    let cached_input = or_input(mistakes, "cached_input", &fields.cached_input, input);
    let cache_write = or_input(mistakes, "cache_write", &fields.cache_write, input);
    Some(Prices { input: input?, output: output?, cached_input: cached_input?, cache_write: cache_write?, rare: None })
}

fn required(mistakes: &mut Mistakes, field: &'static str, typed: &str) -> Option<Price> {
    let parsed = if typed.trim().is_empty() { Err("catalog.error.price_missing") } else { price(typed) };
    mistakes.take(field, parsed)
}

fn or_input(mistakes: &mut Mistakes, field: &'static str, typed: &str, input: Option<Price>) -> Option<Price> {
    if typed.trim().is_empty() { input } else { mistakes.take(field, price(typed)) }
}

fn price(typed: &str) -> Result<Price, &'static str> {
    if typed.trim().starts_with('-') {
        return Err("field.amount_negative");
    }
    Price::per_million(typed).map_err(fields::money_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(name: &str, prices: [&str; 4]) -> ModelFields {
        let [input, output, cached_input, cache_write] = prices.map(str::to_owned);
        ModelFields { name: name.into(), enabled: "on".into(), max_output_tokens: String::new(), input, output, cached_input, cache_write }
    }

    #[test]
    fn prices_default_to_the_input_price() {
        let draft = ModelDraft::parse(&fields("gpt-4o", ["2.50", "10", "", " "])).unwrap();
        let prices = draft.prices.unwrap();
        assert_eq!((prices.input, prices.output), (Price(2_500_000_000), Price(10_000_000_000)));
        assert_eq!((prices.cached_input, prices.cache_write), (prices.input, prices.input));
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
}
