//! What limits a key beside its total budget and its expiry: rates, budgets of a period, models, addresses. Most keys have none of it.

use super::allowance::{Allowance, AllowanceFields};
use super::patterns::{MAX_PATTERNS, ModelRule};
use crate::kernel::fields::{self, Mistakes};
use crate::kernel::network;
use crate::ledger::Budgets;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// How many addresses and networks a key may name.
pub const MAX_ADDRESSES: usize = 200;

/// What limits a key. The total budget is not in it: that stands in a column of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyOptions {
    /// Rates, and budgets of a period.
    #[serde(flatten)]
    pub allowance: Allowance,
    /// Which models it may call; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<ModelRule>,
    /// Where it may be called from; empty for anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "written")]
    pub addresses: Vec<IpNet>,
}

/// Networks as text.
mod written {
    use super::{IpNet, network};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(networks: &[IpNet], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(networks.iter().map(network::display))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        texts.iter().map(|text| network::parse(text).ok_or_else(|| D::Error::custom("not a network"))).collect()
    }
}

/// The fields of a form in which a key is described.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyFields<'a> {
    /// The customer's name for it.
    pub name: &'a str,
    /// Rates and budgets.
    pub allowance: AllowanceFields<'a>,
    /// `allow` or `deny`: what the list of models means.
    pub model_rule: &'a str,
    /// Names of models, one per line, perhaps with `*`.
    pub models: &'a str,
    /// Addresses and networks, one per line.
    pub addresses: &'a str,
}

impl<'a> KeyFields<'a> {
    /// From anything that knows values by name.
    pub fn read(value: impl Fn(&'static str) -> &'a str) -> Self {
        Self {
            name: value("name"),
            allowance: AllowanceFields::read(&value),
            model_rule: value("model_rule"),
            models: value("models"),
            addresses: value("addresses"),
        }
    }

    /// The allowance, with the total budget in it, and the rest.
    pub(super) fn check(&self, mistakes: &mut Mistakes) -> (Option<crate::kernel::Usd>, KeyOptions) {
        let mut allowance = self.allowance.check(mistakes);
        let total = allowance.budgets.total.take();
        (total, KeyOptions { allowance, models: models(self.model_rule, self.models, mistakes), addresses: addresses(self.addresses, mistakes) })
    }
}

/// The lines and the parts between commas of a list, each once.
fn lines(text: &str) -> Vec<&str> {
    let mut seen = std::collections::HashSet::new();
    text.split(['\n', ',', '，']).map(str::trim).filter(|line| !line.is_empty() && seen.insert(*line)).collect()
}

fn models(rule: &str, typed: &str, mistakes: &mut Mistakes) -> Option<ModelRule> {
    let mut patterns = Vec::new();
    for line in lines(typed) {
        match fields::model_name(line) {
            Ok(name) => patterns.push(name.to_owned()),
            Err(_) => {
                mistakes.add("models", "key.error.models");
                return None;
            }
        }
    }
    if patterns.len() > MAX_PATTERNS {
        mistakes.add("models", "key.error.too_many_models");
    }
    match rule {
        _ if patterns.is_empty() => None,
        "" | "allow" => Some(ModelRule::Allow(patterns)),
        "deny" => Some(ModelRule::Deny(patterns)),
        _ => {
            mistakes.add("model_rule", "field.required");
            None
        }
    }
}

fn addresses(typed: &str, mistakes: &mut Mistakes) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for line in lines(typed) {
        match network::parse(line) {
            Some(network) if networks.contains(&network) => {}
            Some(network) => networks.push(network),
            None => {
                mistakes.add("addresses", "key.error.addresses");
                return Vec::new();
            }
        }
    }
    if networks.len() > MAX_ADDRESSES {
        mistakes.add("addresses", "key.error.too_many_addresses");
    }
    networks
}

impl KeyOptions {
    /// Names and values of the form's fields.
    pub fn fields(&self, total: Option<crate::kernel::Usd>) -> Vec<(&'static str, String)> {
        let allowance = Allowance { budgets: Budgets { total, ..self.allowance.budgets }, ..self.allowance };
        let rule = if matches!(self.models, Some(ModelRule::Deny(_))) { "deny" } else { "allow" };
        let models = self.models.as_ref().map(|models| models.patterns().join("\n")).unwrap_or_default();
        let addresses = self.addresses.iter().map(network::display).collect::<Vec<_>>().join("\n");
        allowance.fields().into_iter().chain([("model_rule", rule.to_owned()), ("models", models), ("addresses", addresses)]).collect()
    }

    /// Whether the key may call a model.
    pub fn may_use(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|rule| rule.lets(model))
    }

    /// Whether it may be called from an address.
    pub fn allows(&self, address: IpAddr) -> bool {
        self.addresses.is_empty() || network::is_in(&self.addresses, address)
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
    use crate::kernel::{FieldError, Usd};

    fn check(fields: KeyFields<'_>) -> Result<(Option<Usd>, KeyOptions), Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let read = fields.check(&mut mistakes);
        mistakes.check().map(|()| read)
    }

    fn full() -> KeyFields<'static> {
        let allowance = AllowanceFields { rpm: "60", budget: "5", budget_day: "1.5", ..AllowanceFields::default() };
        let addresses = "203.0.113.7\r\n\r\n2001:db8::/32\n203.0.113.7/32";
        KeyFields { name: "k", allowance, model_rule: "deny", models: " gpt-4*\r\nclaude-demo, gpt-4*\n", addresses }
    }

    #[test]
    fn a_form_is_read_and_filled_in_again() {
        let (total, options) = check(full()).unwrap();
        assert_eq!((total, options.allowance.budgets.total), (Some(Usd::dollars(5)), None));
        assert_eq!(options.models, Some(ModelRule::Deny(vec!["gpt-4*".into(), "claude-demo".into()])));
        assert_eq!(options.addresses.len(), 2);
        assert!(options.allows("2001:db8::9".parse().unwrap()) && options.allows("::ffff:203.0.113.7".parse().unwrap()));
        assert!(!options.allows("203.0.113.8".parse().unwrap()));
        assert!(options.may_use("demo") && !options.may_use("gpt-4o"));
        let again = options.fields(total);
        let value = |name: &str| again.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value.as_str());
        assert_eq!(check(KeyFields::read(value)).unwrap(), (total, options));
    }

    #[test]
    fn what_is_empty_limits_nothing() {
        let (total, options) = check(KeyFields { model_rule: "deny", models: " \n,", ..KeyFields::default() }).unwrap();
        assert_eq!((total, &options), (None, &KeyOptions::default()));
        assert_eq!(options.write(), None);
        assert!(options.may_use("anything") && options.allows("::1".parse().unwrap()));
    }

    #[test]
    fn mistakes_are_told_by_field() {
        let bad = KeyFields { models: "two words", addresses: "10.0.0.0/33", ..KeyFields::default() };
        assert_eq!(check(bad).unwrap_err(), [FieldError::new("models", "key.error.models"), FieldError::new("addresses", "key.error.addresses")]);
        let many = (0..=MAX_PATTERNS).map(|n| format!("m{n}")).collect::<Vec<_>>().join("\n");
        assert_eq!(check(KeyFields { models: &many, ..full() }).unwrap_err(), [FieldError::new("models", "key.error.too_many_models")]);
        let many = (0..=MAX_ADDRESSES).map(|n| format!("10.0.{}.{}", n / 250, n % 250)).collect::<Vec<_>>().join("\n");
        assert_eq!(check(KeyFields { addresses: &many, ..full() }).unwrap_err(), [FieldError::new("addresses", "key.error.too_many_addresses")]);
        assert_eq!(check(KeyFields { model_rule: "both", ..full() }).unwrap_err(), [FieldError::new("model_rule", "field.required")]);
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
