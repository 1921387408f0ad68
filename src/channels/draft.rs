//! The channel form: what was typed, and what it means.

use super::dialect::Kind;
use super::options::{Options, Private};
use super::{base_url, option_fields};
use crate::kernel::FieldError;
use crate::kernel::fields::{self, Mistakes};
use crate::kernel::secrets::Secret;
use url::Url;

/// The fields of the form as typed; kept to show them again beside their mistakes, the keys excepted. What is empty has its default.
#[derive(Clone, Debug, Default)]
pub struct ChannelFields {
    /// The admin's name for it.
    pub name: String,
    /// A word of [`Kind`]; empty means `openai`.
    pub kind: String,
    /// Where its API is.
    pub base_url: String,
    /// Its API keys, one per line; empty keeps those that are stored.
    pub key: Secret<String>,
    /// The models it serves, names or patterns, one per line.
    pub models: String,
    /// A whole number; empty means 0.
    pub priority: String,
    /// A whole number above 0; empty means 1.
    pub weight: String,
    /// A checkbox.
    pub enabled: String,
    /// A checkbox: a server of kind `openai` or `azure-openai` offers Chat Completions. It offers at least one of the three.
    pub chat: String,
    /// A checkbox: such a server offers Responses.
    pub responses: String,
    /// A checkbox: a server of kind `openai` offers Messages.
    pub messages: String,
    /// `public = upstream, upstream`, one per line.
    pub model_mapping: String,
    /// A whole number above 0.
    pub max_concurrency: String,
    /// Seconds.
    pub connect_timeout: String,
    /// Seconds.
    pub first_byte_timeout: String,
    /// Seconds.
    pub idle_timeout: String,
    /// `Name: value`, one per line.
    pub extra_headers: String,
    /// A JSON object.
    pub body_overrides: String,
    /// The address of a proxy.
    pub proxy_url: String,
    /// A date, such as `2024-10-21`.
    pub azure_api_version: String,
    /// A checkbox: takes no tools.
    pub no_tools: String,
    /// A checkbox: takes no images.
    pub no_vision: String,
    /// A checkbox: knows no JSON schema.
    pub no_json_schema: String,
    /// A checkbox: does not stream.
    pub no_streaming: String,
    /// Tokens.
    pub context_length: String,
    /// `model input output cached cache-write`, one per line, dollars per million tokens.
    pub costs: String,
    /// The upstream's name of a model.
    pub probe_model: String,
    /// Seconds.
    pub probe_interval: String,
}

impl ChannelFields {
    /// The fields by their names in the form.
    pub fn from_lookup(text: impl Fn(&'static str) -> String) -> Self {
        Self {
            name: text("name"),
            kind: text("kind"),
            base_url: text("base_url"),
            key: Secret::new(text("key")),
            models: text("models"),
            priority: text("priority"),
            weight: text("weight"),
            enabled: text("enabled"),
            chat: text("chat"),
            responses: text("responses"),
            messages: text("messages"),
            model_mapping: text("model_mapping"),
            max_concurrency: text("max_concurrency"),
            connect_timeout: text("connect_timeout"),
            first_byte_timeout: text("first_byte_timeout"),
            idle_timeout: text("idle_timeout"),
            extra_headers: text("extra_headers"),
            body_overrides: text("body_overrides"),
            proxy_url: text("proxy_url"),
            azure_api_version: text("azure_api_version"),
            no_tools: text("no_tools"),
            no_vision: text("no_vision"),
            no_json_schema: text("no_json_schema"),
            no_streaming: text("no_streaming"),
            context_length: text("context_length"),
            costs: text("costs"),
            probe_model: text("probe_model"),
            probe_interval: text("probe_interval"),
        }
    }
}

/// A channel form without mistakes.
#[derive(Clone, Debug)]
pub struct ChannelDraft {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) base_url: Url,
    /// One per line. None keeps those that are stored.
    pub(super) credential: Option<Secret<String>>,
    pub(super) models: Vec<String>,
    pub(super) priority: i64,
    pub(super) weight: i64,
    pub(super) enabled: bool,
    pub(super) options: Options,
}

const MAX_MODELS: usize = 2_000;
const MAX_KEYS: usize = 100;
const MAX_KEY_LEN: usize = 4_096;
const BOUND: i64 = 1_000_000;

impl ChannelDraft {
    /// Reads the form: of a new channel, or of one for which this is `stored`, which keeps what the form hides and its key when none is typed.
    ///
    /// # Errors
    /// Every mistake, by field.
    pub fn parse(fields: &ChannelFields, stored: Option<&Private>) -> Result<Self, Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let name = mistakes.take("name", fields::label(&fields.name));
        let kind = mistakes.take("kind", kind(&fields.kind));
        let base_url = mistakes.take("base_url", base_url::parse(kind.unwrap_or_default(), &fields.base_url));
        let credential = mistakes.take("key", keys(&fields.key, stored.is_some()));
        let models = mistakes.take("models", models(&fields.models));
        let priority = mistakes.take("priority", fields::whole_number(or(&fields.priority, "0"), -BOUND..=BOUND, "channels.error.priority"));
        let weight = mistakes.take("weight", fields::whole_number(or(&fields.weight, "1"), 1..=BOUND, "channels.error.weight"));
        let none = Private::default();
        let options = option_fields::parse(fields, kind.unwrap_or_default(), models.as_deref(), stored.unwrap_or(&none), &mut mistakes);
        mistakes.check()?;
        let whole = (|| {
            Some(Self {
                name: name?,
                kind: kind?,
                base_url: base_url?,
                credential: credential?,
                models: models?,
                priority: priority?,
                weight: weight?,
                enabled: fields::ticked(&fields.enabled),
                options: options?,
            })
        })();
        whole.ok_or_else(Vec::new)
    }
}

fn or<'a>(typed: &'a str, when_empty: &'a str) -> &'a str {
    if typed.trim().is_empty() { when_empty } else { typed }
}

fn kind(typed: &str) -> Result<Kind, &'static str> {
    Kind::from_word(or(typed, Kind::default().word()).trim()).ok_or("channels.error.kind")
}

/// One per line; a key that stands twice would be used twice as often, which nobody means.
fn keys(typed: &Secret<String>, has_key: bool) -> Result<Option<Secret<String>>, &'static str> {
    let mut keys: Vec<&str> = Vec::new();
    for key in typed.reveal().lines().map(str::trim).filter(|key| !key.is_empty()) {
        // It travels in a header.
        if key.len() > MAX_KEY_LEN || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("channels.error.key");
        }
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    match keys.len() {
        0 if has_key => Ok(None),
        0 => Err("field.required"),
        1..=MAX_KEYS => Ok(Some(Secret::new(keys.join("\n")))),
        _ => Err("channels.error.too_many_keys"),
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
            enabled: "on".into(),
            chat: "on".into(),
            ..ChannelFields::default()
        }
    }

    #[test]
    fn a_form_is_read_with_its_defaults() {
        let draft = ChannelDraft::parse(&fields(), None).unwrap();
        assert_eq!((draft.name.as_str(), draft.base_url.as_str()), ("Main", "https://api.example.com/v1"));
        assert_eq!(draft.credential.unwrap().reveal(), "upstream-key");
        assert_eq!(draft.models, ["gpt-4o", "gpt-4o-mini"]);
        assert_eq!((draft.priority, draft.weight, draft.enabled), (0, 1, true));
        assert!(!format!("{:?}", fields()).contains("upstream-key"));
    }

    #[test]
    fn an_empty_key_keeps_the_stored_one_and_is_a_mistake_without() {
        let form = ChannelFields { key: Secret::new(" ".into()), ..fields() };
        assert_eq!(ChannelDraft::parse(&form, Some(&Private::default())).unwrap().credential, None);
        assert_eq!(ChannelDraft::parse(&form, None).unwrap_err(), [FieldError::new("key", "field.required")]);
    }

    #[test]
    fn keys_stand_one_per_line() {
        let read = |text: &str| ChannelDraft::parse(&ChannelFields { key: Secret::new(text.into()), ..fields() }, None).map(|draft| draft.credential.unwrap());
        assert_eq!(read(" one \r\n\ntwo\none\n").unwrap().reveal(), "one\ntwo");
        let many: String = (0..101).map(|n| format!("key-{n}\n")).collect();
        assert_eq!(read(&many).unwrap_err(), [FieldError::new("key", "channels.error.too_many_keys")]);
        assert_eq!(read("one two").unwrap_err(), [FieldError::new("key", "channels.error.key")]);
    }

    #[test]
    fn the_kind_decides_the_address() {
        let form = ChannelFields { kind: "gemini".into(), base_url: "https://g.example".into(), ..fields() };
        let draft = ChannelDraft::parse(&form, None).unwrap();
        assert_eq!((draft.kind, draft.base_url.as_str()), (Kind::Gemini, "https://g.example/v1beta"));
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
            kind: "telepathy".into(),
            chat: "on".into(),
            ..ChannelFields::default()
        };
        let expected = [
            ("name", "field.required"),
            ("kind", "channels.error.kind"),
            ("base_url", "channels.error.base_url"),
            ("key", "channels.error.key"),
            ("models", "channels.error.models"),
            ("priority", "field.whole_number"),
            ("weight", "channels.error.weight"),
        ];
        assert_eq!(ChannelDraft::parse(&form, None).unwrap_err(), expected.map(|(field, key)| FieldError::new(field, key)));
        let form = ChannelFields { models: " \n\n".into(), key: Secret::new("a\nb: c".into()), ..fields() };
        assert_eq!(ChannelDraft::parse(&form, None).unwrap_err(), [FieldError::new("key", "channels.error.key"), FieldError::new("models", "field.required")]);
    }
}
