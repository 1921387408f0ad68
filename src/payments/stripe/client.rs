//! Sends requests through async-stripe and hands their answers over as JSON; what went wrong becomes a [`ProviderError`].

use super::thing::is_id;
use crate::kernel::secrets::Secret;
use crate::payments::provider::{List, Page, ProviderError, Unreadable};
use bytes::Bytes;
use serde_json::Value;
use std::sync::Mutex;
use std::time::Duration;
use stripe::{Client, ClientBuilder, IdempotencyKey, RequestStrategy, StripeError};
use stripe_client_core::{CustomizedStripeRequest, RequestBuilder, StripeClient, StripeMethod};

/// Stripe itself gives up after 80 seconds; a customer who waits for a page sooner.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Items of one page of a list: the most that Stripe gives.
const PAGE: &str = "100";

/// A connection to one account.
#[derive(Clone, Debug)]
pub(super) struct Api(Client);

impl Api {
    /// For a key and, in tests, another address than Stripe's.
    pub fn new(secret_key: &Secret<String>, base: Option<&str>) -> Result<Self, StripeError> {
        let builder = ClientBuilder::new(secret_key.reveal().as_str()).timeout(TIMEOUT).request_strategy(RequestStrategy::Once);
        let builder = builder.app_info("Farebox", Some(env!("CARGO_PKG_VERSION").to_owned()), None);
        Ok(Self(match base {
            Some(base) => builder.url(base).build()?,
            None => builder.build()?,
        }))
    }

    /// Sends a request, once. With a key it is done once, however often it is sent.
    pub async fn send(&self, request: RequestBuilder, key: Option<&str>) -> Result<Value, Failure> {
        let strategy = match key {
            Some(key) => RequestStrategy::Idempotent(IdempotencyKey::new(key).map_err(|error| Failure::plain(ProviderError::Refused(error.to_string())))?),
            None => RequestStrategy::Once,
        };
        let tap = Tap { client: &self.0, answer: Mutex::new(Bytes::new()) };
        request.customize::<()>().request_strategy(strategy).send(&tap).await.map_err(Failure::from)?;
        let answer = tap.answer.into_inner().unwrap_or_else(|e| e.into_inner());
        serde_json::from_slice(&answer).map_err(|error| Failure::plain(Unreadable(format!("Stripe's answer is no JSON: {error}")).into()))
    }

    /// Reads one object. `query` are further parameters.
    pub async fn get(&self, folder: &str, id: &str, query: &[(&str, &str)]) -> Result<Value, ProviderError> {
        let request = RequestBuilder::new(StripeMethod::Get, path(folder, id, "")?);
        Ok(self.send(with_query(request, query), None).await?)
    }

    /// Reads a part of a list and each item of it.
    pub async fn list<T>(
        &self,
        path: &str,
        list: &List,
        query: &[(&str, &str)],
        read: impl Fn(&Value) -> Result<T, Unreadable>,
    ) -> Result<Page<T>, ProviderError> {
        let seconds = |ms: i64| ms.div_euclid(1000).to_string();
        // From the first whole second that is not before `from`, since Stripe counts in seconds.
        let bounds =
            [("created[gte]", list.from.map(|ms| seconds(ms.saturating_add(999)))), ("created[lt]", list.until.map(|ms| seconds(ms.saturating_add(999))))];
        let after = ("starting_after", list.after.clone());
        let given = bounds.iter().chain([&after]).filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        let query: Vec<(&str, &str)> = [("limit", PAGE)].into_iter().chain(given).chain(query.iter().copied()).collect();
        let answer = self.send(with_query(RequestBuilder::new(StripeMethod::Get, path), &query), None).await?;
        let items = answer["data"].as_array().ok_or_else(|| Unreadable(format!("the list {path} has no data")))?;
        let more = answer["has_more"].as_bool().unwrap_or(false);
        let next = items.last().filter(|_| more).and_then(|item| item["id"].as_str()).map(str::to_owned);
        Ok(Page { items: items.iter().map(read).collect::<Result<_, _>>()?, next })
    }
}

/// The path of an object, and of what is done to it.
pub(super) fn path(folder: &str, id: &str, action: &str) -> Result<String, ProviderError> {
    if is_id(id) { Ok(format!("/{folder}/{id}{action}")) } else { Err(ProviderError::Unknown(format!("{folder}: not an id of Stripe's"))) }
}

fn with_query(mut request: RequestBuilder, query: &[(&str, &str)]) -> RequestBuilder {
    if !query.is_empty() {
        request.query = Some(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish());
    }
    request
}

/// Keeps the answer as it came: async-stripe would read it into types that want every field of one version.
struct Tap<'a> {
    client: &'a Client,
    answer: Mutex<Bytes>,
}

impl StripeClient for Tap<'_> {
    type Err = StripeError;

    async fn execute(&self, request: CustomizedStripeRequest) -> Result<Bytes, StripeError> {
        let answer = self.client.execute(request).await?;
        *self.answer.lock().unwrap_or_else(|e| e.into_inner()) = answer;
        Ok(Bytes::from_static(b"null"))
    }
}

/// A request that failed: what the shop makes of it, and Stripe's own word for it.
#[derive(Debug)]
pub(super) struct Failure {
    pub error: ProviderError,
    /// The status, when there was an answer.
    pub status: Option<u16>,
    pub code: String,
}

impl Failure {
    fn plain(error: ProviderError) -> Self {
        Self { error, status: None, code: String::new() }
    }

    /// Whether the card was the reason, or the answer was one of those that say so in a form that async-stripe cannot read.
    pub fn may_be_the_card(&self) -> bool {
        self.status == Some(402) || matches!(self.error, ProviderError::Unreadable(_))
    }
}

impl From<Failure> for ProviderError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl From<StripeError> for Failure {
    fn from(error: StripeError) -> Self {
        let (error, status) = match error {
            StripeError::Stripe(error, status) => (error, status),
            StripeError::JSONDeserialize(text) => return Self::plain(Unreadable(text).into()),
            StripeError::Timeout => return Self::plain(ProviderError::Unreachable("no answer in time".to_owned())),
            StripeError::ClientError(text) => return Self::plain(ProviderError::Unreachable(text)),
            StripeError::ConfigError(text) => return Self::plain(ProviderError::WrongKey(text)),
        };
        let code = error.code.as_ref().map(|code| code.as_str().to_owned()).unwrap_or_default();
        // Never with what was sent: Stripe repeats a key that it does not know, in part.
        let text = format!("{status} {code} {}", error.message.clone().unwrap_or_default());
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let kind = match (status, code.as_str()) {
            (401 | 403, _) => ProviderError::WrongKey(format!("{status} {code}")),
            (404, _) => ProviderError::Unknown(text),
            (409 | 424 | 429 | 500..=599, _) => ProviderError::Busy(text),
            (402, _) => ProviderError::Declined(super::objects::decline(&code, error.decline_code.as_deref())),
            _ => ProviderError::Refused(text),
        };
        Self { error: kind, status: Some(status), code }
    }
}
