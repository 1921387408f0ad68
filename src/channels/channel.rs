//! A channel as the relay uses it: opened once per snapshot, with everything ready that a request needs of it.

use super::address::Addresses;
use super::clients::Way;
use super::dialect::{Dialect, Dialects, Kind};
use super::health::Health;
use super::options::{Cost, Options, Private};
use super::{PURPOSE, PURPOSE_PRIVATE, store};
use crate::kernel::Id;
use crate::kernel::secrets::{self, AppSecret, CannotOpen, Secret};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// What is asked of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A chat in one of the dialects.
    Chat(Dialect),
    /// A plain path of OpenAI's behind the version, such as `embeddings` or `images/generations`.
    OpenAi(&'a str),
    /// A method of a Gemini model, such as `embedContent`.
    Gemini(&'a str),
}

/// One of a channel's keys.
pub struct KeySlot {
    /// Its place in the list.
    pub index: usize,
    /// The key.
    pub secret: Secret<String>,
    /// Tells keys apart in memory and in the log without saying anything about them.
    pub fingerprint: u64,
    /// What goes with each request: the key as the kind wants it, marked sensitive, and the channel's extra headers.
    headers: HeaderMap,
    /// The same for Messages on a server of kind `openai`, which may want the key in either form.
    messages_headers: HeaderMap,
}

impl std::fmt::Debug for KeySlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySlot").field("index", &self.index).finish_non_exhaustive()
    }
}

/// Where a request goes and what it says of itself.
#[derive(Debug)]
pub struct Endpoint<'a> {
    /// The address.
    pub url: Cow<'a, Url>,
    /// The key, and the channel's extra headers.
    pub headers: &'a HeaderMap,
}

/// A channel as the relay uses it.
pub struct Channel {
    /// Its row.
    pub id: Id,
    /// The admin's name for it.
    pub name: String,
    /// What kind of API it has.
    pub kind: Kind,
    /// Where its API is: complete, without a slash at the end.
    pub base_url: Url,
    /// The keys to it; at least one.
    pub keys: Vec<KeySlot>,
    /// The chat dialects that need no translation.
    pub speaks: Dialects,
    /// Higher ones are tried first.
    pub priority: i64,
    /// Its share among channels of the same priority; above 0.
    pub weight: i64,
    /// Everything else that was set about it.
    pub options: Options,
    /// How it has been doing.
    pub(super) health: Arc<Health>,
    addresses: Addresses,
    client: reqwest::Client,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("id", &self.id).field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Channel {
    /// Whether the channel can be asked this at all, in these words.
    pub fn offers(&self, target: Target<'_>) -> bool {
        match target {
            Target::Chat(dialect) => self.speaks.contains(dialect),
            Target::OpenAi(_) => matches!(self.kind, Kind::OpenAi | Kind::AzureOpenAi),
            Target::Gemini(_) => self.kind == Kind::Gemini,
        }
    }

    /// The dialect in which to ask it for a caller of `dialect`: the caller's own where it is spoken.
    pub fn dialect_for(&self, dialect: Dialect) -> Dialect {
        self.speaks.nearest(dialect).unwrap_or(dialect)
    }

    /// Where to send a request and the headers to send with it, or none when the channel does not offer that.
    pub fn endpoint<'a>(&'a self, key: &'a KeySlot, target: Target<'_>, upstream_model: &str, streaming: bool) -> Option<Endpoint<'a>> {
        if !self.offers(target) {
            return None;
        }
        let headers = match (target, self.kind) {
            (Target::Chat(Dialect::Messages), Kind::OpenAi) => &key.messages_headers,
            _ => &key.headers,
        };
        Some(Endpoint { url: self.addresses.of(target, upstream_model, streaming), headers })
    }

    /// What the upstream calls a model; of a pool, the one that a number drawn at random falls on.
    pub fn upstream_model<'a>(&'a self, public: &'a str, draw: u64) -> &'a str {
        match self.options.upstream_names(public) {
            [] => public,
            [one] => one,
            pool => {
                let at = (u128::from(draw) * pool.len() as u128) >> 64;
                pool.get(at as usize).map_or(public, String::as_str)
            }
        }
    }

    /// The client to ask it with. Redirects are not followed.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// What a million tokens of a model cost the shop, when the admin has said it.
    pub fn cost(&self, upstream_model: &str) -> Option<&Cost> {
        self.options.cost(upstream_model)
    }

    /// How it has been doing, and who may ask it next.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }
}

/// Why a stored channel cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error(transparent)]
    Credential(#[from] CannotOpen),
    #[error("its base URL is not one: {0}")]
    BaseUrl(#[from] url::ParseError),
    #[error("'{0}' is no kind that this build knows")]
    Kind(String),
    #[error("its options cannot be read: {0}")]
    Options(#[from] serde_json::Error),
    #[error("a key or a header cannot stand in a request")]
    Header,
    #[error("it has no key")]
    NoKey,
    #[error("its client cannot be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// What a row says, opened and read.
pub(super) struct Opened {
    pub(super) kind: Kind,
    pub(super) base_url: Url,
    pub(super) keys: Vec<Secret<String>>,
    pub(super) options: Options,
}

impl Opened {
    pub(super) fn read(secret: &AppSecret, row: &store::Row) -> Result<Self, Broken> {
        let context = row.id.to_string();
        let credential = secret.open(PURPOSE, &context, &row.sealed)?;
        let keys: Vec<Secret<String>> = credential.reveal().lines().map(|key| Secret::new(key.to_owned())).collect();
        if keys.is_empty() {
            return Err(Broken::NoKey);
        }
        let mut options: Options = serde_json::from_str(&row.options)?;
        if !row.private.is_empty() {
            let private = secret.open(PURPOSE_PRIVATE, &context, &row.private)?;
            options.private = serde_json::from_str::<Private>(private.reveal())?;
        }
        let kind = Kind::from_word(&row.kind).ok_or_else(|| Broken::Kind(row.kind.clone()))?;
        Ok(Self { kind, base_url: Url::parse(&row.base_url)?, keys, options })
    }

    /// The way in which it connects.
    pub(super) fn way(&self, default_connect_timeout: Duration) -> Way {
        let connect_timeout = self.options.connect_timeout.unwrap_or(default_connect_timeout);
        Way { proxy_url: self.options.private.proxy_url.clone(), connect_timeout }
    }

    /// The channel, ready to be used.
    pub(super) fn into_channel(self, row: &store::Row, client: reqwest::Client, health: Arc<Health>) -> Result<Channel, Broken> {
        let keys = self.keys.iter().enumerate().map(|(index, key)| slot(index, key, self.kind, &self.options)).collect::<Result<_, _>>()?;
        Ok(Channel {
            id: row.id,
            name: row.name.clone(),
            kind: self.kind,
            keys,
            speaks: self.options.speaks(self.kind),
            priority: row.priority,
            weight: row.weight,
            addresses: Addresses::new(self.kind, &self.base_url, self.options.azure_api_version.as_deref()),
            base_url: self.base_url,
            options: self.options,
            health,
            client,
        })
    }
}

/// Tells a key apart from others, the same on every node.
pub(super) fn fingerprint(key: &Secret<String>) -> u64 {
    let digest = secrets::digest(key.reveal());
    digest.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

fn slot(index: usize, key: &Secret<String>, kind: Kind, options: &Options) -> Result<KeySlot, Broken> {
    let mut headers = HeaderMap::new();
    let mut messages_headers = HeaderMap::new();
    for (name, value) in own_headers(kind, key.reveal()) {
        headers.insert(name, sensitive(&value)?);
    }
    for (name, value) in own_headers(Kind::OpenAi, key.reveal()).into_iter().chain(own_headers(Kind::Anthropic, key.reveal())) {
        messages_headers.insert(name, sensitive(&value)?);
    }
    for (name, value) in &options.private.extra_headers {
        let name = HeaderName::try_from(name).map_err(|_| Broken::Header)?;
        let value = sensitive(value)?;
        headers.insert(name.clone(), value.clone());
        messages_headers.insert(name, value);
    }
    Ok(KeySlot { index, secret: key.clone(), fingerprint: fingerprint(key), headers, messages_headers })
}

/// The headers in which a kind wants its key.
pub(super) fn own_headers(kind: Kind, key: &str) -> Vec<(HeaderName, String)> {
    let name = HeaderName::from_static;
    match kind {
        Kind::OpenAi => vec![(name("authorization"), format!("Bearer {key}"))],
        Kind::Anthropic => vec![(name("x-api-key"), key.to_owned()), (name("anthropic-version"), "2023-06-01".to_owned())],
        Kind::Gemini => vec![(name("x-goog-api-key"), key.to_owned())],
        Kind::AzureOpenAi => vec![(name("api-key"), key.to_owned())],
    }
}

fn sensitive(value: &str) -> Result<HeaderValue, Broken> {
    let mut value = HeaderValue::try_from(value).map_err(|_| Broken::Header)?;
    value.set_sensitive(true);
    Ok(value)
}
