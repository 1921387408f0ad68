//! What limits a key beside its total budget and its expiry: rates, budgets of a period, models, addresses. Most keys have none of it.

use super::access::{Access, AccessFields};
use super::allowance::{Allowance, AllowanceFields};
use crate::kernel::Usd;
use crate::kernel::fields::Mistakes;
use crate::ledger::Budgets;
use serde::{Deserialize, Serialize};

/// What limits a key. The total budget is not in it: that stands in a column of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyOptions {
    /// Rates, and budgets of a period.
    #[serde(flatten)]
    pub allowance: Allowance,
    /// What it may call, and from where.
    #[serde(flatten)]
    pub access: Access,
}

/// The fields of a form in which a key is described.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyFields<'a> {
    /// The customer's name for it.
    pub name: &'a str,
    /// Rates and budgets.
    pub allowance: AllowanceFields<'a>,
    /// Models and addresses.
    pub access: AccessFields<'a>,
}

impl<'a> KeyFields<'a> {
    /// From anything that knows values by name.
    pub fn read(value: impl Fn(&'static str) -> &'a str) -> Self {
        Self { name: value("name"), allowance: AllowanceFields::read(&value), access: AccessFields::read(&value) }
    }

    /// The allowance, with the total budget in it, and the rest.
    pub(super) fn check(&self, mistakes: &mut Mistakes) -> (Option<Usd>, KeyOptions) {
        let mut allowance = self.allowance.check(mistakes);
        let total = allowance.budgets.total.take();
        (total, KeyOptions { allowance, access: self.access.check(mistakes) })
    }
}

impl KeyOptions {
    /// Names and values of the form's fields.
    pub fn fields(&self, total: Option<Usd>) -> Vec<(&'static str, String)> {
        let allowance = Allowance { budgets: Budgets { total, ..self.allowance.budgets }, ..self.allowance };
        allowance.fields().into_iter().chain(self.access.fields()).collect()
    }

    /// As the database keeps it: nothing when nothing is limited.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::FieldError;
    use crate::keys::ModelRule;

    fn check(fields: KeyFields<'_>) -> Result<(Option<Usd>, KeyOptions), Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let read = fields.check(&mut mistakes);
        mistakes.check().map(|()| read)
    }

    fn full() -> KeyFields<'static> {
        let allowance = AllowanceFields { rpm: "60", budget: "5", budget_day: "1.5", ..AllowanceFields::default() };
        let addresses = "203.0.113.7\r\n\r\n2001:db8::/32\n203.0.113.7/32";
        KeyFields { name: "k", allowance, access: AccessFields { model_rule: "deny", models: " gpt-4*\r\nclaude-demo, gpt-4*\n", addresses } }
    }

    #[test]
    fn a_form_is_read_and_filled_in_again() {
        let (total, options) = check(full()).unwrap();
        assert_eq!((total, options.allowance.budgets.total), (Some(Usd::dollars(5)), None));
        assert_eq!(options.access.models, Some(ModelRule::Deny(vec!["gpt-4*".into(), "claude-demo".into()])));
        let again = options.fields(total);
        let value = |name: &str| again.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value.as_str());
        assert_eq!(check(KeyFields::read(value)).unwrap(), (total, options));
    }

    #[test]
    fn what_is_empty_limits_nothing() {
        let (total, options) = check(KeyFields::default()).unwrap();
        assert_eq!((total, &options, options.write()), (None, &KeyOptions::default(), None));
    }

    #[test]
    fn the_database_gives_back_what_it_was_given() {
        let (_, options) = check(full()).unwrap();
        let text = options.write().unwrap();
        assert_eq!(text, r#"{"rpm":60,"day":1500000000,"models":{"deny":["gpt-4*","claude-demo"]},"addresses":["203.0.113.7","2001:db8::/32"]}"#);
        assert_eq!(KeyOptions::read(Some(&text)).unwrap(), options);
        assert_eq!(KeyOptions::read(None).unwrap(), KeyOptions::default());
        for bad in ["", "{\"addresses\":[\"x\"]}", "{\"models\":{\"maybe\":[]}}"] {
            assert!(KeyOptions::read(Some(bad)).is_err(), "{bad}");
        }
    }
}
