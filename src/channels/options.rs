//! What can be set about a channel beside its address, its keys and its models.
//!
//! [`Options`] is stored as JSON in which everything may be absent: what is absent has its default, so that an option that comes later needs no
//! migration. What may hold a secret is in [`Private`], which is stored sealed.

use super::dialect::{Dialect, Dialects, Kind};
use super::pattern;
use crate::kernel::pricing::Rare;
use crate::kernel::{Price, Prices};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

/// Everything optional about a channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Whether the server offers OpenAI's Chat Completions; as [`Kind::speaks`] says when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<bool>,
    /// Whether it offers OpenAI's Responses; as above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responses: Option<bool>,
    /// Whether it offers Anthropic's Messages; as above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<bool>,
    /// What the upstream calls a model: the public name, or a pattern of them, and one or more of the upstream's names. Of several, one is
    /// drawn for each attempt; a name that stands twice is drawn twice as often. The first entry that covers a name counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub model_mapping: Vec<(String, Vec<String>)>,
    /// How many requests may run at the same time on one node; no limit when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
    /// Milliseconds to connect; the shop's default when absent.
    #[serde(with = "millis", skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<Duration>,
    /// Milliseconds to the first byte of an answer; the shop's default when absent.
    #[serde(with = "millis", skip_serializing_if = "Option::is_none")]
    pub first_byte_timeout: Option<Duration>,
    /// Milliseconds between two bytes of an answer; the shop's default when absent.
    #[serde(with = "millis", skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Duration>,
    /// Top-level fields that are set on each chat request in the upstream's dialect; null takes a field away.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub body_overrides: Map<String, Value>,
    /// A dated version of Azure's API, or `preview`; absent for its versionless `/openai/v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azure_api_version: Option<String>,
    /// What requests it can serve.
    #[serde(skip_serializing_if = "is_default")]
    pub capabilities: Capabilities,
    /// What the upstream charges, by its names of models; a pattern counts where no name does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub costs: Vec<(String, Cost)>,
    /// How it is tried out while it is out of use.
    #[serde(skip_serializing_if = "is_default")]
    pub probe: Probe,
    /// What is stored sealed.
    #[serde(skip)]
    pub private: Private,
}

/// Options that may hold a secret.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Private {
    /// Headers that go with each request, beside those that the kind needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_headers: Vec<(String, String)>,
    /// The proxy through which the upstream is reached: http, https, socks5 or socks5h, perhaps with a user name and a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<String>,
}

impl std::fmt::Debug for Private {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// What an upstream can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// It takes tool definitions.
    pub tools: bool,
    /// It takes images.
    pub vision: bool,
    /// It holds answers to a JSON schema.
    pub json_schema: bool,
    /// It streams.
    pub streaming: bool,
    /// Tokens of input and output together that fit; unknown when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u64>,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self { tools: true, vision: true, json_schema: true, streaming: true, context_length: None }
    }
}

/// What a model costs the shop: its tokens by the million.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Fresh input.
    #[serde(with = "price")]
    pub input: Price,
    /// Output, reasoning included.
    #[serde(with = "price")]
    pub output: Price,
    /// Input that the upstream had cached.
    #[serde(with = "price")]
    pub cached_input: Price,
    /// Input that the upstream wrote to its cache.
    #[serde(with = "price")]
    pub cache_write: Price,
    /// What else has a cost of its own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rare: Rare,
}

impl Cost {
    /// The same as prices, to be multiplied with what was used.
    pub fn prices(&self) -> Prices {
        let Self { input, output, cached_input, cache_write, .. } = *self;
        Prices { input, output, cached_input, cache_write, ..Prices::default() }.with(self.rare.clone())
    }
}

/// How a channel that is out of use is tried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Probe {
    /// The upstream's name of the model to ask; the one that failed when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Milliseconds between two tries; when absent, a try follows each cool-down.
    #[serde(with = "millis", skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
}

impl Options {
    /// The dialects that a server of this kind speaks with these options.
    pub fn speaks(&self, kind: Kind) -> Dialects {
        let said = |dialect| match dialect {
            Dialect::Chat => self.chat,
            Dialect::Responses => self.responses,
            Dialect::Messages => self.messages,
            Dialect::Gemini => None,
        };
        let usual = kind.speaks();
        let is_spoken = |dialect: &Dialect| said(*dialect).filter(|_| kind.may_speak().contains(dialect)).unwrap_or(usual.contains(*dialect));
        Dialect::ALL.into_iter().filter(is_spoken).fold(Dialects::default(), Dialects::with)
    }

    /// What the upstream may call the model of this public name. Several names are a pool; none means the public name itself.
    pub fn upstream_names(&self, public: &str) -> &[String] {
        let entry = self.model_mapping.iter().find(|(known, _)| pattern::covers(known, public));
        entry.map_or(&[], |(_, names)| names.as_slice())
    }

    /// What a model costs the shop, when the admin has said it.
    pub fn cost(&self, upstream_model: &str) -> Option<&Cost> {
        let exact = self.costs.iter().find(|(name, _)| name == upstream_model);
        exact.or_else(|| self.costs.iter().find(|(name, _)| pattern::covers(name, upstream_model))).map(|(_, cost)| cost)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Durations as whole milliseconds.
mod millis {
    use super::{Deserialize, Duration};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(duration) => s.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
            None => s.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(d)?.map(Duration::from_millis))
    }
}

/// Prices as decimal strings: dollars per million tokens, never a float.
mod price {
    use super::{Deserialize, Price};
    use serde::{Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &Price, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Price, D::Error> {
        Price::per_million(&String::deserialize(d)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Options {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn defaults_are_not_written_and_what_is_absent_has_them() {
        assert_eq!(serde_json::to_value(Options::default()).unwrap(), json!({}));
        assert_eq!(read(json!({})), Options::default());
        assert!(Options::default().capabilities.streaming);
        let stored = json!({
            "responses": true, "model_mapping": [["gpt-4o", ["a", "b"]]], "max_concurrency": 3, "first_byte_timeout": 1500,
            "body_overrides": {"store": false, "user": null}, "capabilities": {"tools": false, "vision": true, "json_schema": true, "streaming": true},
            "costs": [["a", {"input": "2.5", "output": "10", "cached_input": "1.25", "cache_write": "2.5"}]], "probe": {"interval": 30_000},
        });
        let options = read(stored.clone());
        assert_eq!(options.first_byte_timeout, Some(Duration::from_millis(1500)));
        assert_eq!(serde_json::to_value(&options).unwrap(), stored);
        assert!(serde_json::from_value::<Options>(json!({"costs": [["a", {"input": 2.5}]]})).is_err(), "a price is never a float");
    }

    #[test]
    fn what_was_stored_before_chat_could_be_left_out_speaks_what_it_spoke() {
        use Dialect::{Chat, Gemini, Messages, Responses};
        let speaks =
            |kind: Kind, stored: Value| Dialect::ALL.into_iter().filter(|dialect| read(stored.clone()).speaks(kind).contains(*dialect)).collect::<Vec<_>>();
        assert_eq!(speaks(Kind::OpenAi, json!({})), [Chat]);
        assert_eq!(speaks(Kind::OpenAi, json!({"responses": true, "messages": true})), [Chat, Responses, Messages]);
        assert_eq!(speaks(Kind::AzureOpenAi, json!({})), [Chat, Responses]);
        assert_eq!((speaks(Kind::Anthropic, json!({})), speaks(Kind::Gemini, json!({}))), (vec![Messages], vec![Gemini]));
        assert_eq!(speaks(Kind::OpenAi, json!({"chat": false, "responses": true})), [Responses]);
        assert_eq!(speaks(Kind::AzureOpenAi, json!({"responses": false})), [Chat]);
    }

    #[test]
    fn names_are_mapped_by_the_first_entry_that_covers_them() {
        let options = read(json!({"model_mapping": [["fast", ["m-1", "m-2"]], ["gpt-4*", ["m-4"]], ["*", ["rest"]]]}));
        assert_eq!(options.upstream_names("fast"), ["m-1", "m-2"]);
        assert_eq!(options.upstream_names("gpt-4o"), ["m-4"]);
        assert_eq!(options.upstream_names("else"), ["rest"]);
        assert!(Options::default().upstream_names("fast").is_empty());
    }

    #[test]
    fn a_cost_by_name_goes_before_one_by_pattern() {
        let cost = |input: &str| json!({"input": input, "output": "0", "cached_input": "0", "cache_write": "0"});
        let options = read(json!({"costs": [["gpt-4*", cost("1")], ["gpt-4o", cost("2")]]}));
        assert_eq!(options.cost("gpt-4o").unwrap().input, Price(2_000_000_000));
        assert_eq!(options.cost("gpt-4-turbo").unwrap().input, Price(1_000_000_000));
        assert_eq!(options.cost("o3"), None);
    }
}
