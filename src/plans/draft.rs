//! The plan form: what was typed, and what it means.

use super::calendar::{Length, Unit};
use super::terms::{PlanLimits, Sold, Stacking, Terms, UsedUp};
use super::{Offer, Visibility};
use crate::kernel::factor::PriceFactor;
use crate::kernel::fields::{self, Mistakes, ticked, whole_number};
use crate::kernel::{BadAmount, Currency, FieldError, Money, Usd};
use crate::keys;
use crate::limits::MAX_LIMIT;
use std::num::NonZeroU64;

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 2_000;
/// The longest badge.
const MAX_BADGE: usize = 30;
/// More than any shop has.
const MAX_STOCK: i64 = 1_000_000_000;
/// A sort order is between this and its negative.
const MAX_SORT: i64 = 1_000_000;
/// Two years.
const MAX_TRIAL: i64 = 730;

/// The names of the form's fields, in its order.
pub const FIELDS: [&str; 26] = [
    "name",
    "description",
    "badge",
    "price",
    "currency",
    "sold",
    "trial_days",
    "length",
    "length_unit",
    "allowance",
    "reset",
    "carry_over",
    "used_up",
    "stacking",
    "factor",
    "model_rule",
    "models",
    "rpm",
    "tpm",
    "concurrency",
    "keys",
    "visibility",
    "sort",
    "per_customer",
    "stock",
    "version",
];

/// A plan form without mistakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanDraft {
    /// What whoever buys it keeps.
    pub terms: Terms,
    /// How it is offered.
    pub offer: Offer,
}

impl PlanDraft {
    /// Reads the form.
    ///
    /// # Errors
    /// Every mistake, by field.
    pub fn parse<'a>(value: impl Fn(&'static str) -> &'a str) -> Result<Self, Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let terms = terms(&value, &mut mistakes);
        let offer = offer(&value, &mut mistakes);
        mistakes.check()?;
        match (terms, offer) {
            (Some(terms), Some(offer)) => Ok(Self { terms, offer }),
            _ => Err(vec![FieldError::new("", "field.required")]),
        }
    }

    /// Names and values of the form's fields for what is there.
    pub fn fields(terms: &Terms, offer: &Offer) -> Vec<(&'static str, String)> {
        let on = |is: bool| if is { "on" } else { "" }.to_owned();
        let limit = |limit: Option<NonZeroU64>| limit.map(|limit| limit.to_string()).unwrap_or_default();
        let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
        let rule = if matches!(terms.models, Some(keys::ModelRule::Deny(_))) { "deny" } else { "allow" };
        vec![
            ("name", terms.name.clone()),
            ("description", terms.description.clone()),
            ("badge", offer.badge.clone()),
            ("price", terms.price().to_string()),
            ("currency", terms.currency.code().to_owned()),
            ("sold", word(&SOLD, terms.sold).to_owned()),
            ("trial_days", if terms.trial_days == 0 { String::new() } else { terms.trial_days.to_string() }),
            ("length", terms.length.count.to_string()),
            ("length_unit", terms.length.unit.word().to_owned()),
            ("allowance", terms.allowance().to_string()),
            ("reset", terms.reset.map_or("none", Unit::word).to_owned()),
            ("carry_over", on(terms.carry_over)),
            ("used_up", word(&USED_UP, terms.used_up).to_owned()),
            ("stacking", word(&STACKING, terms.stacking).to_owned()),
            ("factor", terms.factor().to_string()),
            ("model_rule", rule.to_owned()),
            ("models", terms.models.as_ref().map(|rule| rule.patterns().join("\n")).unwrap_or_default()),
            ("rpm", limit(terms.limits.rpm)),
            ("tpm", limit(terms.limits.tpm)),
            ("concurrency", limit(terms.limits.concurrency)),
            ("keys", limit(terms.limits.keys)),
            ("visibility", offer.visibility.word().to_owned()),
            ("sort", offer.sort.to_string()),
            ("per_customer", number(offer.per_customer)),
            ("stock", number(offer.stock)),
        ]
    }
}

const SOLD: [(&str, Sold); 3] = [("both", Sold::Both), ("once", Sold::Once), ("subscription", Sold::Subscription)];
const USED_UP: [(&str, UsedUp); 2] = [("stop", UsedUp::Stop), ("wallet", UsedUp::Wallet)];
const STACKING: [(&str, Stacking); 2] = [("extend", Stacking::Extend), ("stack", Stacking::Stack)];

fn word<T: PartialEq>(words: &[(&'static str, T)], meant: T) -> &'static str {
    words.iter().find(|(_, known)| *known == meant).map_or("", |(word, _)| word)
}

fn choice<T: Copy>(mistakes: &mut Mistakes, field: &'static str, typed: &str, words: &[(&str, T)]) -> Option<T> {
    mistakes.take(field, words.iter().find(|(word, _)| *word == typed.trim()).map(|(_, meant)| *meant).ok_or("field.required"))
}

fn terms<'a>(value: &impl Fn(&'static str) -> &'a str, mistakes: &mut Mistakes) -> Option<Terms> {
    let name = mistakes.take("name", fields::label(value("name")));
    let description = mistakes.take("description", description(value("description")));
    let price = price(value, mistakes);
    let sold = choice(mistakes, "sold", value("sold"), &SOLD);
    let trial_days = number(mistakes, "trial_days", value("trial_days"), 1..=MAX_TRIAL, "plans.error.trial_days").map(|days| days.unwrap_or(0));
    if trial_days.is_some_and(|days| days > 0) && sold == Some(Sold::Once) {
        mistakes.add("trial_days", "plans.error.trial_once");
    }
    let length = length(value, mistakes);
    if sold.is_some_and(Sold::by_subscription) && length.is_some_and(|length| length.count > length.unit.most_renewed()) {
        mistakes.add("length", "plans.error.length_renewed");
    }
    let allowance = mistakes.take("allowance", amount(value("allowance")));
    let resets = [("none", None), ("day", Some(Unit::Day)), ("week", Some(Unit::Week)), ("month", Some(Unit::Month))];
    let reset = choice(mistakes, "reset", value("reset"), &resets);
    let used_up = choice(mistakes, "used_up", value("used_up"), &USED_UP);
    if allowance == Some(Usd::ZERO) && used_up == Some(UsedUp::Stop) {
        mistakes.add("allowance", "plans.error.nothing");
    }
    let stacking = choice(mistakes, "stacking", value("stacking"), &STACKING);
    let factor = match value("factor").trim() {
        "" => Some(PriceFactor::ONE),
        typed => mistakes.take("factor", PriceFactor::parse(typed)),
    };
    let models = keys::parse_models(value("model_rule"), value("models"), mistakes);
    let mut limit = |field| rate(field, value(field), mistakes);
    let limits = PlanLimits { rpm: limit("rpm"), tpm: limit("tpm"), concurrency: limit("concurrency"), keys: None };
    let keys = number(mistakes, "keys", value("keys"), 1..=keys::MAX_PER_USER, "plans.error.keys").flatten();
    let limits = PlanLimits { keys: keys.and_then(|keys| NonZeroU64::new(keys.unsigned_abs())), ..limits };
    let price = price?;
    Some(Terms {
        name: name?,
        description: description?,
        price: price.minor,
        currency: price.currency,
        allowance: allowance?.0,
        length: length?,
        reset: reset?,
        carry_over: ticked(value("carry_over")),
        models,
        limits,
        factor: factor?.millionths(),
        used_up: used_up?,
        trial_days: trial_days?,
        stacking: stacking?,
        sold: sold?,
    })
}

fn offer<'a>(value: &impl Fn(&'static str) -> &'a str, mistakes: &mut Mistakes) -> Option<Offer> {
    let badge = value("badge").trim();
    if badge.chars().count() > MAX_BADGE || badge.chars().any(char::is_control) {
        mistakes.add("badge", "plans.error.badge");
    }
    let visibility = mistakes.take("visibility", Visibility::from_word(value("visibility").trim()).ok_or("field.required"));
    let sort = number(mistakes, "sort", value("sort"), -MAX_SORT..=MAX_SORT, "plans.error.sort").map(|sort| sort.unwrap_or(0));
    let per_customer = number(mistakes, "per_customer", value("per_customer"), 1..=MAX_STOCK, "plans.error.count");
    let stock = number(mistakes, "stock", value("stock"), 0..=MAX_STOCK, "plans.error.stock");
    Some(Offer { visibility: visibility?, sort: sort?, badge: badge.to_owned(), per_customer: per_customer?, stock: stock? })
}

/// Empty, or a number within bounds.
fn number(mistakes: &mut Mistakes, field: &'static str, typed: &str, bounds: std::ops::RangeInclusive<i64>, outside: &'static str) -> Option<Option<i64>> {
    if typed.trim().is_empty() { Some(None) } else { mistakes.take(field, whole_number(typed, bounds, outside)).map(Some) }
}

fn rate(field: &'static str, typed: &str, mistakes: &mut Mistakes) -> Option<NonZeroU64> {
    // People copy "1,000,000" from elsewhere.
    let typed: String = typed.chars().filter(|c| !matches!(c, ',' | '_') && !c.is_whitespace()).collect();
    if typed.is_empty() {
        return None;
    }
    let parsed = whole_number(&typed, 1..=MAX_LIMIT as i64, "field.rate").map_err(|_| "field.rate");
    mistakes.take(field, parsed).and_then(|limit| NonZeroU64::new(limit.unsigned_abs()))
}

fn description(typed: &str) -> Result<String, &'static str> {
    let typed = typed.trim().replace('\r', "");
    let is_plain = !typed.chars().any(|c| c.is_control() && c != '\n');
    if is_plain && typed.chars().count() <= MAX_DESCRIPTION { Ok(typed) } else { Err("plans.error.description") }
}

fn price<'a>(value: &impl Fn(&'static str) -> &'a str, mistakes: &mut Mistakes) -> Option<Money> {
    let currency: Option<Currency> = match value("currency").trim() {
        "" => Some(Currency::USD),
        typed => mistakes.take("currency", typed.parse().map_err(|_| "field.currency")),
    };
    let parsed = Money::parse(value("price").trim().trim_start_matches('$'), currency?).map_err(|error| match error {
        BadAmount::NotANumber => "plans.error.price",
        BadAmount::TooPrecise => "plans.error.price_too_precise",
        BadAmount::TooLarge => "field.amount_too_large",
    });
    mistakes.take("price", parsed)
}

fn length<'a>(value: &impl Fn(&'static str) -> &'a str, mistakes: &mut Mistakes) -> Option<Length> {
    let unit = mistakes.take("length_unit", Unit::from_word(value("length_unit").trim()).ok_or("field.required"))?;
    let count = mistakes.take("length", whole_number(value("length"), 1..=unit.most(), "plans.error.length"))?;
    Some(Length { count, unit })
}

fn amount(typed: &str) -> Result<Usd, &'static str> {
    let amount = typed.parse::<Usd>().map_err(fields::money_key)?;
    if amount < Usd::ZERO { Err("field.amount_negative") } else { Ok(amount) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn form() -> HashMap<&'static str, &'static str> {
        HashMap::from([
            ("name", " Pro "),
            ("description", "For teams\r\nand people"),
            ("badge", "Best"),
            ("price", "$19.99"),
            ("currency", "eur"),
            ("sold", "both"),
            ("trial_days", "7"),
            ("length", "3"),
            ("length_unit", "month"),
            ("allowance", "25.50"),
            ("reset", "month"),
            ("carry_over", "on"),
            ("used_up", "wallet"),
            ("stacking", "stack"),
            ("factor", "0.85"),
            ("model_rule", "deny"),
            ("models", "gpt-4*\nclaude"),
            ("rpm", "60"),
            ("tpm", "1,000,000"),
            ("concurrency", "4"),
            ("keys", "10"),
            ("visibility", "link"),
            ("sort", "-5"),
            ("per_customer", "2"),
            ("stock", "100"),
        ])
    }

    fn parse(form: &HashMap<&'static str, &'static str>) -> Result<PlanDraft, Vec<FieldError>> {
        PlanDraft::parse(|name| form.get(name).copied().unwrap_or_default())
    }

    #[test]
    fn a_form_is_read_and_filled_in_again() {
        let draft = parse(&form()).unwrap();
        assert_eq!((draft.terms.name.as_str(), draft.terms.price().display().as_str(), draft.terms.factor), ("Pro", "EUR 19.99", 850_000));
        assert_eq!((draft.terms.length, draft.terms.reset, draft.offer.stock), (Length { count: 3, unit: Unit::Month }, Some(Unit::Month), Some(100)));
        assert_eq!(draft.terms.description, "For teams\nand people");
        let again = PlanDraft::fields(&draft.terms, &draft.offer);
        let value = |name: &str| again.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value.as_str());
        assert_eq!(PlanDraft::parse(value).unwrap(), draft);
        assert!(
            FIELDS.iter().all(|name| *name == "version" || again.iter().any(|(known, _)| known == name)) && again.iter().all(|(name, _)| FIELDS.contains(name))
        );
    }

    #[test]
    fn the_least_that_is_needed() {
        let mut form = form();
        for optional in [
            "description",
            "badge",
            "currency",
            "trial_days",
            "carry_over",
            "factor",
            "models",
            "rpm",
            "tpm",
            "concurrency",
            "keys",
            "sort",
            "per_customer",
            "stock",
        ] {
            form.remove(optional);
        }
        let draft = parse(&form).unwrap();
        assert_eq!((draft.terms.price().display().as_str(), draft.terms.factor(), draft.terms.models.is_none()), ("$19.99", PriceFactor::ONE, true));
        assert_eq!((draft.offer.per_customer, draft.offer.stock, draft.terms.limits), (None, None, PlanLimits::default()));
    }

    #[test]
    fn every_mistake_is_told_by_field() {
        let nothing = PlanDraft::parse(|_| "").unwrap_err();
        let told: Vec<&str> = nothing.iter().map(|mistake| mistake.field).collect();
        assert_eq!(told, ["name", "price", "sold", "length_unit", "allowance", "reset", "used_up", "stacking", "visibility"]);
        let long = "x".repeat(MAX_DESCRIPTION + 1);
        for (field, typed, key) in [
            ("name", "", "field.required"),
            ("description", long.leak() as &'static str, "plans.error.description"),
            ("badge", "more than thirty characters of it", "plans.error.badge"),
            ("price", "19.999", "plans.error.price_too_precise"),
            ("price", "-1", "plans.error.price"),
            ("price", "99999999999", "field.amount_too_large"),
            ("currency", "XXX", "field.currency"),
            ("sold", "never", "field.required"),
            ("trial_days", "731", "plans.error.trial_days"),
            ("length", "121", "plans.error.length"),
            ("length", "0", "plans.error.length"),
            ("allowance", "-1", "field.amount_negative"),
            ("allowance", "1,5", "field.amount"),
            ("reset", "hour", "field.required"),
            ("factor", "-1", "field.factor"),
            ("models", "two words", "key.error.models"),
            ("rpm", "0", "field.rate"),
            ("keys", "101", "plans.error.keys"),
            ("visibility", "secret", "field.required"),
            ("sort", "1000001", "plans.error.sort"),
            ("per_customer", "0", "plans.error.count"),
            ("stock", "-1", "plans.error.stock"),
        ] {
            let mut form = form();
            form.insert(field, typed);
            assert_eq!(parse(&form).unwrap_err(), [FieldError::new(field, key)], "{field}={typed}");
        }
        let mut bad = form();
        bad.extend([("sold", "once"), ("allowance", "0"), ("used_up", "stop")]);
        assert_eq!(parse(&bad).unwrap_err(), [FieldError::new("trial_days", "plans.error.trial_once"), FieldError::new("allowance", "plans.error.nothing")]);
    }
}
