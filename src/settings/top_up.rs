//! How credit is sold: in which currency, at which rate, how much at a time, and what is given on top.

use crate::kernel::fields::{self, Mistakes};
use crate::kernel::{Currency, FieldError, Money, Rate, Usd};

/// The most that one order can be.
const MOST: Usd = Usd::dollars(100_000);
/// How many amounts are offered, and how many tiers there are.
const MAX_LINES: usize = 12;

/// From how much on how much is given on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// What is bought.
    pub from: Usd,
    /// What comes on top.
    pub bonus: Usd,
}

/// How credit is sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopUpTerms {
    /// What cards are charged in.
    pub currency: Currency,
    /// Units of it for one dollar of credit, as a decimal number.
    pub rate: Rate,
    /// The least credit of an order.
    pub least: Usd,
    /// The most.
    pub most: Usd,
    /// The amounts that are offered.
    pub presets: Vec<Usd>,
    /// What is given on top, by amount; the highest that is reached counts.
    pub tiers: Vec<Tier>,
}

impl Default for TopUpTerms {
    fn default() -> Self {
        let presets = [10, 20, 50, 100].map(Usd::dollars).to_vec();
        Self { currency: Currency::USD, rate: Rate::ONE, least: Usd::dollars(5), most: Usd::dollars(1_000), presets, tiers: Vec::new() }
    }
}

/// An amount that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What is bought.
    pub credit: Usd,
    /// What comes on top.
    pub bonus: Usd,
    /// What it costs.
    pub price: Money,
}

/// What an admin typed.
#[derive(Clone, Debug, Default)]
pub struct TopUpFields<'a> {
    /// A code such as USD.
    pub currency: &'a str,
    /// Units for one dollar.
    pub rate: &'a str,
    /// Dollars.
    pub least: &'a str,
    /// Dollars.
    pub most: &'a str,
    /// Dollars, with space or commas between.
    pub presets: &'a str,
    /// Lines of "amount = bonus", in dollars.
    pub tiers: &'a str,
}

impl TopUpTerms {
    /// What is given on top of so much.
    pub fn bonus(&self, credit: Usd) -> Usd {
        self.tiers.iter().filter(|tier| tier.from <= credit).max_by_key(|tier| tier.from).map_or(Usd::ZERO, |tier| tier.bonus)
    }

    /// The amounts that are offered, with what they cost.
    pub fn offers(&self) -> Vec<Offer> {
        let offer = |credit: &Usd| Some(Offer { credit: *credit, bonus: self.bonus(*credit), price: self.price(*credit)? });
        self.presets.iter().filter_map(offer).collect()
    }

    /// Whether cards are charged in another currency than credit is kept in.
    pub fn is_foreign(&self) -> bool {
        self.currency != Currency::USD
    }

    /// What so much credit costs.
    pub fn price(&self, credit: Usd) -> Option<Money> {
        self.rate.price(credit, self.currency)
    }

    /// Reads how much somebody wants to buy.
    ///
    /// # Errors
    /// The translation key of what is wrong.
    pub fn amount(&self, typed: &str) -> Result<Usd, &'static str> {
        let amount: Usd = typed.trim().trim_start_matches('$').parse().map_err(fields::money_key)?;
        match amount {
            _ if amount < self.least => Err("top_up.error.too_little"),
            _ if amount > self.most => Err("top_up.error.too_much"),
            // A price must be the price of exactly this credit, to the cent that everybody sees.
            _ if amount.0 % 10_000_000 != 0 => Err("top_up.error.cents"),
            _ => Ok(amount),
        }
    }

    /// From a form.
    ///
    /// # Errors
    /// Every mistake, by field.
    pub fn parse(fields: &TopUpFields<'_>) -> Result<Self, Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let currency = mistakes.take("currency", fields.currency.trim().parse::<Currency>().map_err(|_| "top_up.error.currency"));
        let rate = mistakes.take("rate", fields.rate.trim().parse::<Rate>().map_err(|_| "top_up.error.rate"));
        let least = mistakes.take("least", dollars(fields.least));
        let most = mistakes.take("most", dollars(fields.most));
        let presets = mistakes.take("presets", list(fields.presets));
        let tiers = mistakes.take("tiers", tiers(fields.tiers));
        if let (Some(least), Some(most)) = (least, most) {
            if least > most {
                mistakes.add("most", "top_up.error.most_under_least");
            }
            if presets.iter().flatten().any(|preset| !(least..=most).contains(preset)) {
                mistakes.add("presets", "top_up.error.preset_outside");
            }
        }
        let terms = Self {
            currency: currency.unwrap_or(Currency::USD),
            rate: rate.unwrap_or(Rate::ONE),
            least: least.unwrap_or_default(),
            most: most.unwrap_or_default(),
            presets: presets.unwrap_or_default(),
            tiers: tiers.unwrap_or_default(),
        };
        if currency.is_some() && rate.is_some() && most.is_some() && terms.price(terms.most).is_none() {
            mistakes.add("most", "top_up.error.most_not_chargeable");
        }
        mistakes.check().map(|()| terms)
    }

    /// As the settings keep them: what a form shows.
    pub fn write(&self) -> String {
        let fields: serde_json::Map<String, serde_json::Value> = self.fields().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        serde_json::Value::Object(fields).to_string()
    }

    /// From the settings.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(text: &str) -> Result<Self, String> {
        let kept: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let field = |name: &str| kept[name].as_str().unwrap_or_default();
        let fields = TopUpFields {
            currency: field("currency"),
            rate: field("rate"),
            least: field("least"),
            most: field("most"),
            presets: field("presets"),
            tiers: field("tiers"),
        };
        Self::parse(&fields).map_err(|mistakes| format!("{mistakes:?}"))
    }

    /// What a form shows of them.
    pub fn fields(&self) -> [(&'static str, String); 6] {
        let presets: Vec<String> = self.presets.iter().map(ToString::to_string).collect();
        let tiers: Vec<String> = self.tiers.iter().map(|tier| format!("{} = {}", tier.from, tier.bonus)).collect();
        [
            ("currency", self.currency.to_string()),
            ("rate", self.rate.to_string()),
            ("least", self.least.to_string()),
            ("most", self.most.to_string()),
            ("presets", presets.join(" ")),
            ("tiers", tiers.join("\n")),
        ]
    }
}

fn dollars(text: &str) -> Result<Usd, &'static str> {
    let amount: Usd = text.trim().trim_start_matches('$').parse().map_err(fields::money_key)?;
    match amount {
        _ if amount <= Usd::ZERO => Err("top_up.error.not_positive"),
        _ if amount > MOST => Err("field.amount_too_large"),
        _ if amount.0 % 10_000_000 != 0 => Err("top_up.error.cents"),
        _ => Ok(amount),
    }
}

fn list(text: &str) -> Result<Vec<Usd>, &'static str> {
    let mut amounts: Vec<Usd> = text.split([' ', ',', '\n', '\r', '，', '、']).filter(|part| !part.is_empty()).map(dollars).collect::<Result<_, _>>()?;
    amounts.sort_unstable();
    amounts.dedup();
    if amounts.len() > MAX_LINES { Err("top_up.error.too_many") } else { Ok(amounts) }
}

fn tiers(text: &str) -> Result<Vec<Tier>, &'static str> {
    let tier = |line: &str| {
        let (from, bonus) = line.split_once('=').ok_or("top_up.error.tier")?;
        Ok(Tier { from: dollars(from)?, bonus: dollars(bonus)? })
    };
    let mut tiers: Vec<Tier> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(tier).collect::<Result<_, &'static str>>()?;
    tiers.sort_by_key(|tier| tier.from);
    if tiers.windows(2).any(|pair| pair[0].from == pair[1].from) {
        return Err("top_up.error.tier_twice");
    }
    if tiers.len() > MAX_LINES { Err("top_up.error.too_many") } else { Ok(tiers) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed() -> TopUpFields<'static> {
        TopUpFields { currency: "cny", rate: "7.2", least: "5", most: "$500", presets: "50, 10 20", tiers: "100 = 15\n 50=5 " }
    }

    #[test]
    fn a_form_is_read_and_shown_again() {
        let terms = TopUpTerms::parse(&typed()).unwrap();
        assert_eq!(terms.presets, [10, 20, 50].map(Usd::dollars));
        assert_eq!([49, 50, 99, 100, 500].map(|credit| terms.bonus(Usd::dollars(credit))), [0, 5, 5, 15, 15].map(Usd::dollars));
        assert_eq!(terms.price(Usd::dollars(10)), Some(Money::new(7_200, terms.currency)));
        let shown = terms.fields();
        let again = TopUpFields { currency: &shown[0].1, rate: &shown[1].1, least: &shown[2].1, most: &shown[3].1, presets: &shown[4].1, tiers: &shown[5].1 };
        assert_eq!(TopUpTerms::parse(&again).as_ref(), Ok(&terms));
        assert_eq!(TopUpTerms::read(&terms.write()), Ok(terms));
        assert!(TopUpTerms::read("{}").is_err() && TopUpTerms::read("").is_err());
    }

    #[test]
    fn every_mistake_stands_at_its_field() {
        for (fields, field, key) in [
            (TopUpFields { currency: "XXX", ..typed() }, "currency", "top_up.error.currency"),
            (TopUpFields { rate: "0", ..typed() }, "rate", "top_up.error.rate"),
            (TopUpFields { least: "0", ..typed() }, "least", "top_up.error.not_positive"),
            (TopUpFields { least: "0.005", ..typed() }, "least", "top_up.error.cents"),
            (TopUpFields { least: "600", presets: "", ..typed() }, "most", "top_up.error.most_under_least"),
            (TopUpFields { most: "1000000", ..typed() }, "most", "field.amount_too_large"),
            (TopUpFields { presets: "1", ..typed() }, "presets", "top_up.error.preset_outside"),
            (TopUpFields { presets: "ten", ..typed() }, "presets", "field.amount"),
            (TopUpFields { presets: "6 7 8 9 10 11 12 13 14 15 16 17 18", ..typed() }, "presets", "top_up.error.too_many"),
            (TopUpFields { tiers: "50", ..typed() }, "tiers", "top_up.error.tier"),
            (TopUpFields { tiers: "50 = 5\n50 = 6", ..typed() }, "tiers", "top_up.error.tier_twice"),
            (TopUpFields { rate: "999999", most: "100000", ..typed() }, "most", "top_up.error.most_not_chargeable"),
        ] {
            assert_eq!(TopUpTerms::parse(&fields), Err(vec![FieldError::new(field, key)]), "{fields:?}");
        }
    }

    #[test]
    fn an_amount_is_within_bounds_and_in_cents() {
        let terms = TopUpTerms::default();
        assert_eq!(terms.amount(" $12.50 "), Ok(Usd(12_500_000_000)));
        for (typed, key) in [
            ("4.99", "top_up.error.too_little"),
            ("0", "top_up.error.too_little"),
            ("-5", "top_up.error.too_little"),
            ("1000.01", "top_up.error.too_much"),
            ("5.001", "top_up.error.cents"),
            ("", "field.amount"),
            ("five", "field.amount"),
            ("99999999999999999999", "field.amount_too_large"),
        ] {
            assert_eq!(terms.amount(typed), Err(key), "{typed}");
        }
    }
}
