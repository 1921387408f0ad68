//! What the shop's admin set for one user, over all their keys: how much, what, from where, and until when.

use super::access::{Access, AccessFields};
use super::allowance::{Allowance, AllowanceFields};
use crate::kernel::fields::Mistakes;
use crate::kernel::{FieldError, NEVER};
use crate::ledger::Budgets;
use serde::{Deserialize, Serialize};

/// What holds for all keys of a user together, beside what limits each of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserLimits {
    /// What was set; what was not is the shop's default.
    #[serde(flatten)]
    pub allowance: Allowance,
    /// The shop's defaults are not this user's: what was not set is not limited.
    #[serde(default)]
    pub alone: bool,
    /// What any of the keys may call, and from where; a key's own lists narrow it further.
    #[serde(flatten)]
    pub access: Access,
    /// From when on no key works (unix milliseconds); none for always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

impl UserLimits {
    /// From a form. What is empty is not limited; the expiry is a moment already ([`NEVER`] for none), since only the page knows what was chosen.
    ///
    /// # Errors
    /// Every mistake, by field.
    pub fn parse<'a>(value: impl Fn(&'static str) -> &'a str, expires_at: i64) -> Result<Self, Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let allowance = AllowanceFields::read(&value).check(&mut mistakes);
        let access = AccessFields::read(&value).check(&mut mistakes);
        let limits = Self { allowance, alone: !value("alone").trim().is_empty(), access, expires_at: (expires_at != NEVER).then_some(expires_at) };
        mistakes.check().map(|()| limits)
    }

    /// Names and values of the form's fields, but for the expiry's.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let alone = if self.alone { "on" } else { "" };
        self.allowance.fields().into_iter().chain(self.access.fields()).chain([("alone", alone.to_owned())]).collect()
    }

    /// How much the user may ask for and spend.
    pub fn with_defaults(&self, defaults: &Allowance) -> Allowance {
        if self.alone {
            return self.allowance;
        }
        Allowance { rules: self.allowance.rules.or(defaults.rules), budgets: either(self.allowance.budgets, defaults.budgets) }
    }

    /// As the database keeps it: nothing when nothing was set.
    pub fn write(&self) -> Option<String> {
        (*self != Self::default()).then(|| serde_json::to_string(self).unwrap_or_default())
    }

    /// From the database.
    ///
    /// # Errors
    /// When somebody edited it by hand and made a mistake.
    pub fn read(text: Option<&str>) -> Result<Self, serde_json::Error> {
        text.map_or(Ok(Self::default()), serde_json::from_str)
    }
}

/// The first, and the second where it says nothing.
fn either(own: Budgets, others: Budgets) -> Budgets {
    Budgets { total: own.total.or(others.total), day: own.day.or(others.day), week: own.week.or(others.week), month: own.month.or(others.month) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Usd;
    use std::num::NonZeroU64;

    fn typed(rpm: &'static str, budget_day: &'static str) -> Allowance {
        Allowance::parse(&AllowanceFields { rpm, budget_day, ..AllowanceFields::default() }).unwrap()
    }

    fn form(name: &str) -> &'static str {
        match name {
            "rpm" => "60",
            "model_rule" => "deny",
            "models" => "gpt-4*",
            "addresses" => "10.0.0.0/8",
            "alone" => "on",
            _ => "",
        }
    }

    #[test]
    fn a_form_is_read_filled_in_again_and_kept() {
        let limits = UserLimits::parse(form, 5_000).unwrap();
        assert!(limits.alone && limits.access.may_use("demo") && !limits.access.may_use("gpt-4o") && !limits.access.allows("11.0.0.1".parse().unwrap()));
        assert_eq!(limits.expires_at, Some(5_000));
        let again = limits.fields();
        let value = |name: &str| again.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value.as_str());
        assert_eq!(UserLimits::parse(value, 5_000).unwrap(), limits);
        let text = limits.write().unwrap();
        assert_eq!(text, r#"{"rpm":60,"alone":true,"models":{"deny":["gpt-4*"]},"addresses":["10.0.0.0/8"],"expires_at":5000}"#);
        for limits in [
            limits,
            UserLimits { allowance: typed("60", "0.5"), ..UserLimits::default() },
            UserLimits { alone: true, ..UserLimits::default() },
            UserLimits { expires_at: Some(1), ..UserLimits::default() },
        ] {
            assert_eq!(UserLimits::read(limits.write().as_deref()).unwrap(), limits);
        }
        assert_eq!(UserLimits::parse(|_| "", NEVER).unwrap().write(), None);
        let mistakes = UserLimits::parse(|name| if name == "addresses" || name == "rpm" { "x" } else { "" }, NEVER).unwrap_err();
        assert_eq!(mistakes, [FieldError::new("rpm", "field.rate"), FieldError::new("addresses", "key.error.addresses")]);
    }

    #[test]
    fn what_an_admin_did_not_set_is_the_shop_s_default() {
        let (defaults, own) = (typed("60", "5"), typed("100", ""));
        let held = UserLimits { allowance: own, ..UserLimits::default() }.with_defaults(&defaults);
        assert_eq!((held.rules.rpm, held.budgets.day), (NonZeroU64::new(100), Some(Usd::dollars(5))));
        let alone = UserLimits { allowance: own, alone: true, ..UserLimits::default() }.with_defaults(&defaults);
        assert_eq!((alone.rules.rpm, alone.budgets.day), (NonZeroU64::new(100), None));
    }
}
