//! What was used: one row per relayed request, written by the ledger's writer in the transaction that charges it, and the
//! reports over those rows.
//!
//! Callers: the relay describes requests with [`Record`]; the site reads [`recent`] and [`spend_since`].

mod decision;
mod parts;
pub mod store;

pub use decision::{Answered, Decision, Passed, Tried};
pub use parts::Parts;
pub use store::{KeyUsage, Listed, RequestRow, RequestView};

use crate::db::{Conn, Part};
use crate::kernel::{Id, PriceFactor, Usage, Usd};
use crate::ledger::{self, Charge, LostRequest};
use serde::{Deserialize, Serialize};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The whole answer was delivered.
    Complete,
    /// An answer that was kept from an identical request was delivered.
    Cached,
    /// The client went away.
    ClientGone,
    /// The upstream failed, before or after the first byte.
    UpstreamError,
    /// It was refused before an upstream was called: no balance, no channel.
    Refused,
    /// The node died; the request was settled by recovery.
    Recovered,
}

impl Outcome {
    /// All there are.
    pub const ALL: [Outcome; 6] = [Outcome::Complete, Outcome::Cached, Outcome::ClientGone, Outcome::UpstreamError, Outcome::Refused, Outcome::Recovered];

    /// By its word in the database.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.word() == word)
    }

    /// The word in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Outcome::Complete => "complete",
            Outcome::Cached => "cached",
            Outcome::ClientGone => "client_gone",
            Outcome::UpstreamError => "upstream_error",
            Outcome::Refused => "refused",
            Outcome::Recovered => "recovered",
        }
    }
}

/// One relayed request.
#[derive(Clone, Debug)]
pub struct Record {
    /// The request's id, which is also its hold's.
    pub id: Id,
    /// Who pays.
    pub user: Id,
    /// The key it came with.
    pub key: Id,
    /// The channel that answered, or that was tried last.
    pub channel: Option<Id>,
    /// The public name of the model.
    pub model: String,
    /// Whether a stream was asked for.
    pub streamed: bool,
    /// The HTTP status that the client got, or would have got.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
    /// Whether the tokens were counted here because the upstream sent no usage.
    pub counted: bool,
    /// Milliseconds to the first byte of the answer.
    pub ttft_ms: Option<i64>,
    /// Milliseconds to the end.
    pub duration_ms: i64,
    /// What went wrong, for the admin; never shown to the customer.
    pub error: Option<String>,
    /// What explains it.
    pub detail: Detail,
}

/// What explains a request: how it was charged and why it went where it went. Everything may be unknown.
#[derive(Clone, Debug, Default)]
pub struct Detail {
    /// What was asked for, in a short word of the relay's; none for a chat completion.
    pub operation: Option<&'static str>,
    /// The price row in force when the request began.
    pub price: Option<Id>,
    /// What the upstream asks for it by the channel's own prices. Never shown to the customer.
    pub upstream_cost: Option<Usd>,
    /// The model's name at the upstream, where it is another. Never shown to the customer.
    pub upstream_model: Option<String>,
    /// Why this channel, as JSON. Never shown to the customer.
    pub route: Option<String>,
    /// The plan whose allowance pays for it.
    pub plan: Option<Id>,
    /// By what the plan multiplies prices; none for nothing.
    pub factor: Option<PriceFactor>,
}

/// What the relay notes on a hold, so that recovery can describe the request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memo {
    /// The public name of the model.
    #[serde(rename = "m")]
    pub model: String,
    /// Whether a stream was asked for.
    #[serde(rename = "s")]
    pub streamed: bool,
}

impl Memo {
    /// As the hold keeps it.
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Writes [`Record`]s for the ledger.
#[derive(Clone, Copy, Debug)]
pub struct Journal;

impl ledger::Journal for Journal {
    type Entry = Record;

    fn write<'a>(&self, entries: &'a [(&'a Record, Charge)]) -> Option<Part<'a>> {
        Some(store::write(entries))
    }

    fn recovered(&self, lost: &LostRequest) -> Record {
        let memo: Option<Memo> = serde_json::from_str(&lost.memo).ok();
        Record {
            id: lost.id,
            user: lost.user,
            key: lost.key,
            channel: None,
            model: memo.as_ref().map_or_else(String::new, |memo| memo.model.clone()),
            streamed: memo.is_some_and(|memo| memo.streamed),
            status: 500,
            outcome: Outcome::Recovered,
            usage: Usage::default(),
            counted: true,
            ttft_ms: None,
            duration_ms: (lost.recovered_at - lost.held_at).max(0),
            error: Some("the node that ran this request stopped".to_owned()),
            detail: Detail::default(),
        }
    }
}

/// A customer's latest requests.
///
/// # Errors
/// The database's.
pub async fn recent(conn: &mut Conn, user: Id, before: Option<Id>, limit: i64) -> Result<Vec<RequestView>, sqlx::Error> {
    store::recent(conn, user, before.unwrap_or(Id(i64::MAX)), limit).await
}

/// Which requests an admin looks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Search {
    /// Of one customer.
    pub user: Option<Id>,
    /// That ended so.
    pub outcome: Option<Outcome>,
    /// That were answered with this status.
    pub status: Option<u16>,
}

/// The shop's latest requests.
///
/// # Errors
/// The database's.
pub async fn search(conn: &mut Conn, search: Search, before: Option<Id>, limit: i64) -> Result<Vec<Listed>, sqlx::Error> {
    store::search(conn, search, before.unwrap_or(Id(i64::MAX)), limit).await
}

/// Everything that is known of one request.
///
/// # Errors
/// The database's.
pub async fn find(conn: &mut Conn, id: Id) -> Result<Option<RequestRow>, sqlx::Error> {
    store::find(conn, id).await
}

/// What a customer was charged for requests that began at or after `since_ms`.
///
/// # Errors
/// The database's.
pub async fn spend_since(conn: &mut Conn, user: Id, since_ms: i64) -> Result<Usd, sqlx::Error> {
    spend_between(conn, user, since_ms, i64::MAX).await
}

/// What a customer was charged for requests that began at or after `from_ms` and before `to_ms`.
///
/// # Errors
/// The database's.
pub async fn spend_between(conn: &mut Conn, user: Id, from_ms: i64, to_ms: i64) -> Result<Usd, sqlx::Error> {
    store::spend_between(conn, user, Id::first_at(from_ms), end(to_ms)).await
}

/// The part of it that was charged to one of the customer's keys.
///
/// # Errors
/// The database's.
pub async fn spend_of_key_between(conn: &mut Conn, user: Id, key: Id, from_ms: i64, to_ms: i64) -> Result<Usd, sqlx::Error> {
    store::spend_of_key_between(conn, user, key, Id::first_at(from_ms), end(to_ms)).await
}

/// What one of the customer's keys has used since `since_ms`, by model.
///
/// # Errors
/// The database's.
pub async fn of_key_since(conn: &mut Conn, user: Id, key: Id, since_ms: i64) -> Result<Vec<KeyUsage>, sqlx::Error> {
    store::of_key_since(conn, user, key, Id::first_at(since_ms)).await
}

fn end(to_ms: i64) -> Id {
    if to_ms == i64::MAX { Id(i64::MAX) } else { Id::first_at(to_ms) }
}

/// (requests, charged) of the whole shop since `since_ms`.
///
/// # Errors
/// The database's.
pub async fn shop_since(conn: &mut Conn, since_ms: i64) -> Result<(i64, Usd), sqlx::Error> {
    store::shop_since(conn, Id::first_at(since_ms)).await
}

/// Requests whose cost is not what the ledger charged for them, and keys whose meter is not the sum of their requests: the part of the audit that the ledger, which does not
/// know requests, cannot prove. Returns a line for each.
///
/// # Errors
/// The database's.
pub async fn audit(conn: &mut Conn) -> Result<Vec<String>, sqlx::Error> {
    let mut lines = Vec::new();
    for (id, cost, charged) in store::mischarged(conn).await? {
        lines.push(format!("request {id}: its row says {cost}, its transfers say {charged}"));
    }
    for (key, spent, cost) in store::mismetered(conn).await? {
        lines.push(format!("key {key}: its meter says {spent} spent, its requests sum to {cost}"));
    }
    Ok(lines)
}
