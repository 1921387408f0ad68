//! What may be called, and from where: models and addresses of a key or of a user, from a form and back, and as the database keeps them.

use super::patterns::{MAX_PATTERNS, ModelRule};
use crate::kernel::fields::{self, Mistakes};
use crate::kernel::network;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// How many addresses and networks a list may name.
pub const MAX_ADDRESSES: usize = 200;

/// Models and addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Which models may be called; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<ModelRule>,
    /// Where calls may come from; empty for anywhere.
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

/// The fields of a form in which they are typed.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessFields<'a> {
    /// `allow` or `deny`: what the list of models means.
    pub model_rule: &'a str,
    /// Names of models, one per line, perhaps with `*`.
    pub models: &'a str,
    /// Addresses and networks, one per line.
    pub addresses: &'a str,
}

impl<'a> AccessFields<'a> {
    /// From anything that knows values by name.
    pub fn read(value: impl Fn(&'static str) -> &'a str) -> Self {
        Self { model_rule: value("model_rule"), models: value("models"), addresses: value("addresses") }
    }

    pub(super) fn check(&self, mistakes: &mut Mistakes) -> Access {
        Access { models: parse_models(self.model_rule, self.models, mistakes), addresses: addresses(self.addresses, mistakes) }
    }
}

/// The lines and the parts between commas of a list, each once.
fn lines(text: &str) -> Vec<&str> {
    let mut seen = std::collections::HashSet::new();
    text.split(['\n', ',', '，']).map(str::trim).filter(|line| !line.is_empty() && seen.insert(*line)).collect()
}

/// The list of models that the fields `model_rule` and `models` of a form mean; none when it is empty.
pub fn parse_models(rule: &str, typed: &str, mistakes: &mut Mistakes) -> Option<ModelRule> {
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

impl Access {
    /// Names and values of the form's fields.
    pub fn fields(&self) -> [(&'static str, String); 3] {
        let rule = if matches!(self.models, Some(ModelRule::Deny(_))) { "deny" } else { "allow" };
        let models = self.models.as_ref().map(|models| models.patterns().join("\n")).unwrap_or_default();
        let addresses = self.addresses.iter().map(network::display).collect::<Vec<_>>().join("\n");
        [("model_rule", rule.to_owned()), ("models", models), ("addresses", addresses)]
    }

    /// Whether a model may be called.
    pub fn may_use(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|rule| rule.lets(model))
    }

    /// Whether a call may come from an address.
    pub fn allows(&self, address: IpAddr) -> bool {
        self.addresses.is_empty() || network::is_in(&self.addresses, address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::FieldError;

    fn check(fields: AccessFields<'_>) -> Result<Access, Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let access = fields.check(&mut mistakes);
        mistakes.check().map(|()| access)
    }

    #[test]
    fn lists_are_read_and_hold() {
        let typed = AccessFields { model_rule: "deny", models: "gpt-4*", addresses: "203.0.113.7\n2001:db8::/32\n203.0.113.7/32" };
        let access = check(typed).unwrap();
        assert_eq!(access.addresses.len(), 2);
        assert!(access.allows("2001:db8::9".parse().unwrap()) && access.allows("::ffff:203.0.113.7".parse().unwrap()));
        assert!(!access.allows("203.0.113.8".parse().unwrap()));
        assert!(access.may_use("demo") && !access.may_use("gpt-4o"));
    }

    #[test]
    fn what_is_empty_limits_nothing() {
        let access = check(AccessFields { model_rule: "deny", models: " \n,", ..AccessFields::default() }).unwrap();
        assert_eq!(access, Access::default());
        assert!(access.may_use("anything") && access.allows("::1".parse().unwrap()));
    }

    #[test]
    fn mistakes_are_told_by_field() {
        let bad = AccessFields { models: "two words", addresses: "10.0.0.0/33", ..AccessFields::default() };
        assert_eq!(check(bad).unwrap_err(), [FieldError::new("models", "key.error.models"), FieldError::new("addresses", "key.error.addresses")]);
        let many = (0..=MAX_PATTERNS).map(|n| format!("m{n}")).collect::<Vec<_>>().join("\n");
        assert_eq!(check(AccessFields { models: &many, ..AccessFields::default() }).unwrap_err(), [FieldError::new("models", "key.error.too_many_models")]);
        let many = (0..=MAX_ADDRESSES).map(|n| format!("10.0.{}.{}", n / 250, n % 250)).collect::<Vec<_>>().join("\n");
        let many = AccessFields { addresses: &many, ..AccessFields::default() };
        assert_eq!(check(many).unwrap_err(), [FieldError::new("addresses", "key.error.too_many_addresses")]);
        let both = AccessFields { model_rule: "both", models: "demo", ..AccessFields::default() };
        assert_eq!(check(both).unwrap_err(), [FieldError::new("model_rule", "field.required")]);
    }
}
