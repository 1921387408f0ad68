//! Which requests are identical.
//!
//! The key is a SHA-256 over the customer (unless the model's answers are shared), the operation, the model, whether a stream is wanted, what else shapes the answer (headers that are passed
//! on), and the body in one canonical form: fields in the order of their names, strings by their letters, numbers as they are written, fields of `null` left out at the top.
//!
//! Left out, because nobody answers by them: [`IDLE`]. In Responses they stay, because the answer repeats them. `n`, `seed` and `stream_options` count like every other field: an
//! answer of several choices is kept as a whole.
//!
//! No key have requests whose answer is not in the body alone, or who want more than an answer: [`STATEFUL`] fields, and tools that the upstream runs itself. Calls of the caller's own
//! tools are answers like others.

use crate::catalog::Caching;
use crate::kernel::Id;
use serde::de::{self, Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Fields that tell who asks, or where an upstream's own cache is.
const IDLE: [&str; 5] = ["user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"];
/// Fields that point to what is not in the request, or that leave something behind.
const STATEFUL: [&str; 10] = [
    "previous_response_id",
    "conversation",
    "background",
    "store",
    "web_search_options",
    "mcp_servers",
    "container",
    "cachedContent",
    "cached_content",
    "plugins",
];

/// Requests that are nested deeper are not kept: each level is read once more.
const DEEPEST: usize = 48;

/// What identifies a request to a model.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who asks.
    pub customer: Id,
    /// What for, in the relay's short word.
    pub operation: &'static str,
    /// Of which model.
    pub model: Id,
    /// As a stream.
    pub stream: bool,
    /// What else shapes the answer's bytes: headers that are passed on, the form of a stream.
    pub besides: &'a [&'a [u8]],
    /// The body as the caller sent it.
    pub body: &'a [u8],
}

/// The hash of a request. Two requests with the same get the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// The key of a request; none when its answer is not to be kept by these rules.
    pub fn of(question: &Question<'_>, caching: &Caching) -> Option<Self> {
        let fields = fields(question.body)?;
        let is_settled = matches!(question.operation, "embeddings" | "moderations" | "rerank" | "gemini_embed");
        if !(caching.always || is_settled || is_cold(&fields)) || has_more(&fields) {
            return None;
        }
        let mut hash = Canonical(Sha256::new());
        hash.number(if caching.shared { 0 } else { 1 });
        hash.number(if caching.shared { 0 } else { question.customer.0 });
        hash.bytes(question.operation.as_bytes());
        hash.number(question.model.0);
        hash.number(question.stream.into());
        hash.number(i64::try_from(question.besides.len()).ok()?);
        question.besides.iter().for_each(|part| hash.bytes(part));
        let counts = |name: &str, value: &RawValue| value.get() != "null" && name != "stream" && (question.operation == "responses" || !IDLE.contains(&name));
        for (name, value) in fields.iter().filter(|(name, value)| counts(name, value)) {
            hash.bytes(name.as_bytes());
            hash.value(value, DEEPEST)?;
        }
        Some(Self(hash.0.finalize().into()))
    }
}

type Fields<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// The fields of an object in the order of their names; none when it is no object or has a name twice, of which nobody knows which one counts.
fn fields(json: &[u8]) -> Option<Fields<'_>> {
    struct Once;
    impl<'de> Visitor<'de> for Once {
        type Value = Fields<'de>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
            let mut fields = BTreeMap::new();
            while let Some(Name(name)) = map.next_key()? {
                if fields.insert(name, map.next_value()?).is_some() {
                    return Err(de::Error::custom("twice"));
                }
            }
            Ok(fields)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let fields = deserializer.deserialize_map(Once).ok()?;
    deserializer.end().ok()?;
    Some(fields)
}

/// The name of a field, borrowed where it was written without escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Whether the temperature is zero, however it is written.
fn is_cold(fields: &Fields<'_>) -> bool {
    let zero = |raw: &RawValue| {
        let number = raw.get().split(['e', 'E']).next().unwrap_or_default();
        number.bytes().any(|byte| byte == b'0') && number.bytes().all(|byte| matches!(byte, b'0' | b'.' | b'-'))
    };
    let of_gemini = || {
        let config = fields.get("generationConfig").or_else(|| fields.get("generation_config"))?;
        self::fields(config.get().as_bytes())?.get("temperature").copied().map(zero)
    };
    fields.get("temperature").map_or_else(|| of_gemini().unwrap_or(false), |raw| zero(raw))
}

/// Whether the request wants more than an answer to what is in it.
fn has_more(fields: &Fields<'_>) -> bool {
    let is_set = |raw: &RawValue| !matches!(raw.get(), "null" | "false");
    STATEFUL.iter().any(|name| fields.get(*name).copied().is_some_and(is_set)) || fields.get("tools").is_some_and(|tools| !are_callers(tools))
}

/// Whether all tools are the caller's own to run.
fn are_callers(tools: &RawValue) -> bool {
    if tools.get() == "null" {
        return true;
    }
    let Ok(tools) = serde_json::from_str::<Vec<&RawValue>>(tools.get()) else { return false };
    tools.iter().all(|tool| {
        let Some(fields) = self::fields(tool.get().as_bytes()) else { return false };
        match fields.get("type") {
            Some(kind) => matches!(kind.get(), "\"function\"" | "\"custom\""),
            // Anthropic's have a schema, Gemini's stand in lists.
            None => fields.contains_key("input_schema") || fields.keys().all(|name| matches!(name.as_ref(), "functionDeclarations" | "function_declarations")),
        }
    })
}

/// Hashes values so that no two read alike: each part with its kind and its length before it.
struct Canonical(Sha256);

impl Canonical {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn number(&mut self, n: i64) {
        self.0.update(n.to_le_bytes());
    }

    /// A value of JSON; none when it is nested deeper than `depth`, or an object in it has a name twice.
    fn value(&mut self, raw: &RawValue, depth: usize) -> Option<()> {
        let (text, depth) = (raw.get(), depth.checked_sub(1)?);
        match text.as_bytes().first()? {
            b'{' => {
                let fields = fields(text.as_bytes())?;
                self.0.update(b"{");
                self.number(i64::try_from(fields.len()).ok()?);
                for (name, value) in fields {
                    self.bytes(name.as_bytes());
                    self.value(value, depth)?;
                }
            }
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                self.0.update(b"[");
                self.number(i64::try_from(items.len()).ok()?);
                for item in items {
                    self.value(item, depth)?;
                }
            }
            b'"' => {
                self.0.update(b"\"");
                let Name(letters) = serde_json::from_str(text).ok()?;
                self.bytes(letters.as_bytes());
            }
            _ => {
                self.0.update(b"=");
                self.bytes(text.as_bytes());
            }
        }
        Some(())
    }
}
