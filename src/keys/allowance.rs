//! How much a key or a user may ask for and spend: rates and budgets, from a form and back, and as the database keeps them.

use crate::kernel::fields::{self, Mistakes};
use crate::kernel::{FieldError, Usd};
use crate::ledger::Budgets;
use crate::limits::{MAX_LIMIT, Rules};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;

/// Rates and budgets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Kept", into = "Kept")]
pub struct Allowance {
    /// How much may be asked for.
    pub rules: Rules,
    /// How much may be spent.
    pub budgets: Budgets,
}

/// As the database keeps it: budgets in nano-dollars.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    rules: Rules,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    day: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    week: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    month: Option<i64>,
}

impl From<Kept> for Allowance {
    fn from(kept: Kept) -> Self {
        let Kept { rules, total, day, week, month } = kept;
        Self { rules, budgets: Budgets { total: total.map(Usd), day: day.map(Usd), week: week.map(Usd), month: month.map(Usd) } }
    }
}

impl From<Allowance> for Kept {
    fn from(Allowance { rules, budgets }: Allowance) -> Self {
        let nanos = |budget: Option<Usd>| budget.map(|usd| usd.0);
        Self { rules, total: nanos(budgets.total), day: nanos(budgets.day), week: nanos(budgets.week), month: nanos(budgets.month) }
    }
}

/// The fields of a form in which an allowance is typed.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowanceFields<'a> {
    /// Requests per minute.
    pub rpm: &'a str,
    /// Tokens per minute.
    pub tpm: &'a str,
    /// Requests per day.
    pub rpd: &'a str,
    /// Requests at the same time.
    pub concurrency: &'a str,
    /// Dollars in all.
    pub budget: &'a str,
    /// Dollars per day.
    pub budget_day: &'a str,
    /// Dollars per week.
    pub budget_week: &'a str,
    /// Dollars per month.
    pub budget_month: &'a str,
}

impl<'a> AllowanceFields<'a> {
    /// From anything that knows values by name.
    pub fn read(value: impl Fn(&'static str) -> &'a str) -> Self {
        Self {
            rpm: value("rpm"),
            tpm: value("tpm"),
            rpd: value("rpd"),
            concurrency: value("concurrency"),
            budget: value("budget"),
            budget_day: value("budget_day"),
            budget_week: value("budget_week"),
            budget_month: value("budget_month"),
        }
    }

    pub(super) fn check(&self, mistakes: &mut Mistakes) -> Allowance {
        let rules = Rules {
            rpm: rate("rpm", self.rpm, mistakes),
            tpm: rate("tpm", self.tpm, mistakes),
            rpd: rate("rpd", self.rpd, mistakes),
            concurrency: rate("concurrency", self.concurrency, mistakes),
        };
        let budgets = Budgets {
            total: budget("budget", self.budget, mistakes),
            day: budget("budget_day", self.budget_day, mistakes),
            week: budget("budget_week", self.budget_week, mistakes),
            month: budget("budget_month", self.budget_month, mistakes),
        };
        Allowance { rules, budgets }
    }
}

fn rate(field: &'static str, typed: &str, mistakes: &mut Mistakes) -> Option<NonZeroU64> {
    // People copy "1,000,000" from elsewhere.
    let typed: String = typed.chars().filter(|c| !matches!(c, ',' | '_') && !c.is_whitespace()).collect();
    if typed.is_empty() {
        return None;
    }
    let parsed = fields::whole_number(&typed, 1..=MAX_LIMIT as i64, "field.rate").map_err(|_| "field.rate");
    mistakes.take(field, parsed).and_then(|limit| NonZeroU64::new(limit.unsigned_abs()))
}

fn budget(field: &'static str, typed: &str, mistakes: &mut Mistakes) -> Option<Usd> {
    if typed.trim().is_empty() {
        return None;
    }
    let amount = mistakes.take(field, typed.parse::<Usd>().map_err(fields::money_key))?;
    if amount < Usd::ZERO {
        mistakes.add(field, "field.amount_negative");
    }
    Some(amount)
}

impl Allowance {
    /// From a form. What is empty is not limited.
    ///
    /// # Errors
    /// Every mistake, by field.
    pub fn parse(fields: &AllowanceFields<'_>) -> Result<Self, Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let allowance = fields.check(&mut mistakes);
        mistakes.check().map(|()| allowance)
    }

    /// Names and values of the form's fields.
    pub fn fields(&self) -> [(&'static str, String); 8] {
        let rate = |limit: Option<NonZeroU64>| limit.map(|limit| limit.to_string()).unwrap_or_default();
        let money = |budget: Option<Usd>| budget.map(|budget| budget.to_string()).unwrap_or_default();
        let Self { rules, budgets } = self;
        [
            ("rpm", rate(rules.rpm)),
            ("tpm", rate(rules.tpm)),
            ("rpd", rate(rules.rpd)),
            ("concurrency", rate(rules.concurrency)),
            ("budget", money(budgets.total)),
            ("budget_day", money(budgets.day)),
            ("budget_week", money(budgets.week)),
            ("budget_month", money(budgets.month)),
        ]
    }

    /// As the database keeps it.
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From the database.
    ///
    /// # Errors
    /// When somebody edited it by hand and made a mistake.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(rpm: &'static str, budget_day: &'static str) -> AllowanceFields<'static> {
        AllowanceFields { rpm, budget_day, ..AllowanceFields::default() }
    }

    #[test]
    fn a_form_is_read_and_filled_in_again() {
        let all = AllowanceFields {
            rpm: " 60 ",
            tpm: "1,000,000",
            rpd: "10 000",
            concurrency: "5",
            budget: "12.5",
            budget_day: "0",
            budget_week: "0.000000001",
            budget_month: "100",
        };
        let allowance = Allowance::parse(&all).unwrap();
        assert_eq!((allowance.rules.rpm, allowance.rules.tpm), (NonZeroU64::new(60), NonZeroU64::new(1_000_000)));
        assert_eq!((allowance.budgets.day, allowance.budgets.week), (Some(Usd::ZERO), Some(Usd(1))));
        let again = allowance.fields();
        let value = |name: &str| again.iter().find(|(known, _)| *known == name).unwrap().1.clone();
        assert_eq!(Allowance::parse(&AllowanceFields::read(|name| value(name).leak())).unwrap(), allowance);
        assert_eq!(Allowance::parse(&typed("", " ")).unwrap(), Allowance::default());
    }

    #[test]
    fn every_mistake_is_told() {
        for bad in ["0", "-1", "1.5", "many", "100000000001", "99999999999999999999"] {
            assert_eq!(Allowance::parse(&typed(bad, "")).unwrap_err(), [FieldError::new("rpm", "field.rate")], "{bad}");
        }
        let mistakes = Allowance::parse(&typed("x", "-1")).unwrap_err();
        assert_eq!(mistakes, [FieldError::new("rpm", "field.rate"), FieldError::new("budget_day", "field.amount_negative")]);
        assert_eq!(Allowance::parse(&typed("", "1,5")).unwrap_err(), [FieldError::new("budget_day", "field.amount")]);
    }

    #[test]
    fn the_database_gives_back_what_it_was_given() {
        let allowance = Allowance::parse(&typed("60", "0.5")).unwrap();
        assert_eq!(allowance.write(), r#"{"rpm":60,"day":500000000}"#);
        assert_eq!(Allowance::read(&allowance.write()).unwrap(), allowance);
        for bad in ["", "[]", r#"{"rpm":0}"#, r#"{"day":0.5}"#] {
            assert!(Allowance::read(bad).is_err(), "{bad}");
        }
    }
}
