//! The channel form: what was typed, and what it means.

use super::base_url;
use crate::kernel::FieldError;
use crate::kernel::fields::{self, Mistakes};
use crate::kernel::secrets::Secret;
use url::Url;

/// The fields of the form as typed; kept to show them again beside their mistakes, the key excepted.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct ChannelFields {
    /// The admin's name for it.
    pub name: String,
    /// Where its API is.
    pub base_url: String,
    /// Its API key; empty keeps the one that is stored.
    pub key: Secret<String>,
    /// The models it serves, one per line.
    pub models: String,
    /// A whole number; empty means 0.
    pub priority: String,
    /// A whole number above 0; empty means 1.
    pub weight: String,
    /// A checkbox.
    pub enabled: String,
}

/// A channel form without mistakes.
#[derive(Clone, Debug)]
pub struct ChannelDraft {
    pub(super) name: String,
    pub(super) base_url: Url,
    /// None keeps the one that is stored.
    pub(super) credential: Option<Secret<String>>,
    pub(super) models: Vec<String>,
    pub(super) priority: i64,
    pub(super) weight: i64,
    pub(super) enabled: bool,
}

const MAX_MODELS: usize = 2_000;
const MAX_KEY_LEN: usize = 4_096;
const BOUND: i64 = 1_000_000;

impl ChannelDraft {
    /// Reads the form. An empty key is right only for a channel that has one already (`has_key`).
    ///
    /// # Errors
    /// Every mistake, by field.
    pub fn parse(fields: &ChannelFields, has_key: bool) -> Result<Self, Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let name = mistakes.take("name", fields::label(&fields.name));
        let base_url = mistakes.take("base_url", base_url::parse(&fields.base_url));
        let credential = mistakes.take("key", key(&fields.key, has_key));
        let models = mistakes.take("models", models(&fields.models));
        let priority = mistakes.take("priority", fields::whole_number(or(&fields.priority, "0"), -BOUND..=BOUND, "channels.error.priority"));
        let weight = mistakes.take("weight", fields::whole_number(or(&fields.weight, "1"), 1..=BOUND, "channels.error.weight"));
        mistakes.check()?;
        let whole = (|| {
            let enabled = fields::ticked(&fields.enabled);
            Some(Self { name: name?, base_url: base_url?, credential: credential?, models: models?, priority: priority?, weight: weight?, enabled })
        })();
        whole.ok_or_else(Vec::new)
    }
}

fn or<'a>(typed: &'a str, when_empty: &'a str) -> &'a str {
    if typed.trim().is_empty() { when_empty } else { typed }
}

fn key(typed: &Secret<String>, has_key: bool) -> Result<Option<Secret<String>>, &'static str> {
    let key = typed.reveal().trim();
    match key.len() {
        0 if has_key => Ok(None),
        0 => Err("field.required"),
        // It travels in a header.
        1..=MAX_KEY_LEN if key.bytes().all(|b| b.is_ascii_graphic()) => Ok(Some(Secret::new(key.to_owned()))),
        _ => Err("channels.error.key"),
    }
}

/// One per line, in the order typed; empty lines and repetitions are left out.
fn models(typed: &str) -> Result<Vec<String>, &'static str> {
    let mut names: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for line in typed.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let name = fields::model_name(line).map_err(|_| "channels.error.models")?;
        if seen.insert(name) {
            names.push(name.to_owned());
        }
    }
    match names.len() {
        0 => Err("field.required"),
        1..=MAX_MODELS => Ok(names),
        _ => Err("channels.error.too_many_models"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> ChannelFields {
        ChannelFields {
            name: " Main ".into(),
            base_url: "https://api.example.com".into(),
            key: Secret::new(" upstream-key\n".into()),
            models: "gpt-4o\r\n\r\n gpt-4o-mini \ngpt-4o\n".into(),
            priority: String::new(),
            weight: String::new(),
            enabled: "on".into(),
        }
    }

    #[test]
    fn a_form_is_read_with_its_defaults() {
        let draft = ChannelDraft::parse(&fields(), false).unwrap();
        assert_eq!((draft.name.as_str(), draft.base_url.as_str()), ("Main", "https://api.example.com/v1"));
        assert_eq!(draft.credential.unwrap().reveal(), "upstream-key");
        assert_eq!(draft.models, ["gpt-4o", "gpt-4o-mini"]);
        assert_eq!((draft.priority, draft.weight, draft.enabled), (0, 1, true));
        assert!(!format!("{:?}", fields()).contains("upstream-key"));
    }

    #[test]
    fn an_empty_key_keeps_the_stored_one_and_is_a_mistake_without() {
        let form = ChannelFields { key: Secret::new(" ".into()), ..fields() };
        assert_eq!(ChannelDraft::parse(&form, true).unwrap().credential, None);
        assert_eq!(ChannelDraft::parse(&form, false).unwrap_err(), [FieldError::new("key", "field.required")]);
    }

    #[test]
    fn every_mistake_is_told_by_field() {
        let form = ChannelFields {
            name: String::new(),
            base_url: "nowhere".into(),
            key: Secret::new("schlüssel".into()),
            models: "two words".into(),
            priority: "high".into(),
            weight: "0".into(),
            enabled: String::new(),
        };
        let expected = [
            ("name", "field.required"),
            ("base_url", "channels.error.base_url"),
            ("key", "channels.error.key"),
            ("models", "channels.error.models"),
            ("priority", "field.whole_number"),
            ("weight", "channels.error.weight"),
        ];
        assert_eq!(ChannelDraft::parse(&form, false).unwrap_err(), expected.map(|(field, key)| FieldError::new(field, key)));
        let form = ChannelFields { models: " \n\n".into(), key: Secret::new("a\nb: c".into()), ..fields() };
        assert_eq!(ChannelDraft::parse(&form, false).unwrap_err(), [FieldError::new("key", "channels.error.key"), FieldError::new("models", "field.required")]);
    }
}
