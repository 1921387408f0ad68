//! The hot path: `/v1`, from a caller's bytes to an upstream's and back, charged exactly.
//!
//! In order: authenticate, read the few fields needed, refuse what cannot be priced, choose channels, hold, dispatch, pass the
//! answer on, settle. Invariants: the hold is durable before the upstream is called; the charge is durable before the last byte
//! leaves; every hold that was made is settled, whatever becomes of the client ([`charge::Charge`] sees to it).
//!
//! Callers: `router.rs` only. This room knows nothing of the website, of payments or of mail.

mod admit;
mod afterwards;
mod auth;
pub mod billing;
mod body;
mod bound;
pub mod cache;
pub mod calls;
mod charge;
pub mod count;
pub mod count_tokens;
pub mod dialect;
mod dispatch;
pub mod envelope;
mod error;
mod flow;
pub mod models;
mod operation;
mod paying;
mod pipeline;
mod refused;
mod rename;
pub mod report;
pub mod reports;
pub mod route;
pub mod scan;
mod stream;
pub mod token_usage;
mod watch;
mod whole;

pub use error::ApiError;
pub use operation::{Operation, Tongue};

use crate::config::TrustedProxies;
use crate::kernel::{Id, Kit};
use crate::ledger::{Books, Meter};
use crate::limits::Limits;
use crate::usage::Journal;
use crate::{catalog, channels, db::Db, keys, plans, settings};
use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderName, HeaderValue, Method, Response};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// Ties an answer to the log and to its usage row.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What an answer that is no stream cost, in dollars.
pub const COST: HeaderName = HeaderName::from_static("x-farebox-cost-usd");

/// How the relay behaves.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// The largest request body, in bytes.
    pub body_limit: usize,
    /// How many bytes of answers are kept for identical requests.
    pub response_cache: u64,
    /// How many times a request is sent to upstreams before it fails.
    pub attempts: usize,
    /// After so long no further upstream is tried.
    pub total_timeout: Duration,
    /// From the request's last byte to the answer's first.
    pub first_byte_timeout: Duration,
    /// Between two bytes of an answer.
    pub idle_timeout: Duration,
    /// How long an upstream is read on when the client of a stream has gone.
    pub read_on: Duration,
    /// How often a running stream's cost is written down for recovery.
    pub checkpoint_every: Duration,
    /// Where customers add credit, for the message of a 402.
    pub top_up_url: String,
    /// Where customers see their plans, for that of one that is used up.
    pub plans_url: String,
}

/// What the relay works with.
pub struct RelayParts {
    /// How it behaves.
    pub config: RelayConfig,
    /// Clock, ids, randomness.
    pub kit: Kit,
    /// The database, for what is not on the hot path.
    pub db: Db,
    /// Balances, for the billing paths.
    pub books: Books,
    /// Holds and settlements.
    pub meter: Meter<Journal>,
    /// Keys in memory.
    pub keys: Arc<keys::Snapshot>,
    /// Models and prices in memory.
    pub catalog: Arc<catalog::Snapshot>,
    /// Channels in memory.
    pub channels: Arc<channels::Snapshot>,
    /// What runs of plans, in memory.
    pub plans: Arc<plans::Snapshot>,
    /// How much a key or a user may ask for.
    pub limits: Limits,
    /// What the admin set: how much every customer may use.
    pub settings: settings::Snapshot,
    /// Whose word for a caller's address is believed.
    pub proxies: TrustedProxies,
    /// Settlements that outlive their client; a shutdown waits for them.
    pub tasks: TaskTracker,
}

/// The relay. Clones share everything.
#[derive(Clone)]
pub struct Relay(Arc<Inner>);

/// What [`Relay`] derefs to.
pub struct Inner {
    parts: RelayParts,
    /// Answers that are kept for identical requests.
    pub cache: cache::ResponseCache,
    /// Whose turn it is to have tokens counted for nothing.
    counting: tokio::sync::Semaphore,
    /// Whose turn it is to have them counted before anybody has paid: with a full house, others wait.
    measuring: tokio::sync::Semaphore,
    turned_away: refused::TurnedAway,
    /// The memory that requests take.
    bodies: Arc<body::Bodies>,
    watch: Arc<watch::Watch>,
    afterwards: afterwards::Afterwards,
}

impl Deref for Relay {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Deref for Inner {
    type Target = RelayParts;
    fn deref(&self) -> &RelayParts {
        &self.parts
    }
}

impl Relay {
    /// A relay of these parts.
    pub fn new(parts: RelayParts) -> Self {
        let cache = cache::ResponseCache::new(parts.config.response_cache);
        let (turned_away, watch, afterwards) = Default::default();
        let bodies = body::Bodies::new(parts.config.body_limit);
        let (counting, measuring) = (tokio::sync::Semaphore::new(1), tokio::sync::Semaphore::new(2));
        Self(Arc::new(Inner { parts, cache, counting, measuring, turned_away, bodies, watch, afterwards }))
    }

    /// The node goes down: whoever is still waited for though its client has gone is charged as it stands.
    pub fn hurry(&self) {
        self.afterwards.close();
    }
}

/// Puts the request's id on an answer, and on one to a client of Anthropic's also where those look for it.
fn with_request_id(mut response: Response<Body>, tongue: Tongue, id: Id) -> Response<Body> {
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        if tongue == Tongue::Anthropic {
            response.headers_mut().insert(HeaderName::from_static("request-id"), value.clone());
        }
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// In whose words a caller is told of a path that does not exist.
fn tongue_of(path: &str) -> Tongue {
    if path.starts_with("/v1beta") {
        Tongue::Gemini
    } else if path.starts_with("/v1/messages") {
        Tongue::Anthropic
    } else {
        Tongue::OpenAi
    }
}

/// An error on a path that reaches no upstream.
fn refusal(relay: &Relay, tongue: Tongue, error: ApiError) -> Response<Body> {
    let id = relay.kit.ids.next();
    with_request_id(error.into_response(tongue, &id.to_string()), tongue, id)
}

/// Answers a path under `/v1` that does not exist.
pub async fn unknown_url(State(relay): State<Relay>, method: Method, OriginalUri(uri): OriginalUri) -> Response<Body> {
    refusal(&relay, tongue_of(uri.path()), ApiError::unknown_url(method.as_str(), uri.path()))
}

/// Answers a method that a path under `/v1` does not have.
pub async fn wrong_method(State(relay): State<Relay>, method: Method, OriginalUri(uri): OriginalUri) -> Response<Body> {
    refusal(&relay, tongue_of(uri.path()), ApiError::wrong_method(method.as_str(), uri.path()))
}
