//! What customers have, as pages and orders look at it.

use super::Terms;
use super::store;
use crate::db::Conn;
use crate::kernel::{Id, Usd};
use std::sync::Arc;

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Active,
    /// Its renewal could not be collected.
    PastDue,
    /// It is over.
    Ended,
}

impl State {
    /// The word in the database.
    pub const fn word(self) -> &'static str {
        match self {
            State::Active => "active",
            State::PastDue => "past_due",
            State::Ended => "ended",
        }
    }

    /// From the word in the database, whose CHECK admits no other.
    pub fn from_word(word: &str) -> Self {
        match word {
            "active" => State::Active,
            "past_due" => State::PastDue,
            _ => State::Ended,
        }
    }
}

/// A term that was paid for.
#[derive(Clone, Debug)]
pub struct TermView {
    /// Its first millisecond.
    pub starts_at: i64,
    /// The first that is not in it.
    pub ends_at: i64,
    /// What was paid.
    pub paid: Usd,
    /// It was a trial.
    pub trial: bool,
    /// Under which terms.
    pub terms: Arc<Terms>,
}

/// A period that was opened.
#[derive(Clone, Debug)]
pub struct PeriodView {
    /// Its number.
    pub number: i64,
    /// Its first millisecond.
    pub starts_at: i64,
    /// The first that is not in it.
    pub ends_at: i64,
    /// What it granted.
    pub credits: Vec<Id>,
}

/// A subscription as its customer sees it.
#[derive(Clone, Debug)]
pub struct SubscriptionView {
    /// Its row.
    pub id: Id,
    /// To which plan.
    pub plan: Id,
    /// Where it stands.
    pub state: State,
    /// The payment provider renews it, unless it was cancelled.
    pub renewing: bool,
    /// When it began.
    pub starts_at: i64,
    /// Until when it is paid.
    pub paid_until: i64,
    /// Since when it is not to be renewed.
    pub cancelled_at: Option<i64>,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// What it changes to when it is renewed.
    pub next: Option<(Id, Terms)>,
    /// Everything that was paid for, in order.
    pub terms: Vec<TermView>,
    /// The latest periods, newest first.
    pub periods: Vec<PeriodView>,
}

impl SubscriptionView {
    /// The term that runs at a moment, else the last one.
    pub fn term_at(&self, now_ms: i64) -> Option<&TermView> {
        self.terms.iter().find(|term| term.starts_at <= now_ms && now_ms < term.ends_at).or(self.terms.last())
    }

    /// The period that runs at a moment.
    pub fn period_at(&self, now_ms: i64) -> Option<&PeriodView> {
        self.periods.iter().find(|period| period.starts_at <= now_ms && now_ms < period.ends_at)
    }
}

/// A customer's subscriptions, newest first, those before `before`.
///
/// # Errors
/// The database's.
pub async fn of_user(conn: &mut Conn, user: Id, before: Option<Id>, limit: i64) -> Result<Vec<SubscriptionView>, sqlx::Error> {
    store::of_user(conn, user, before.unwrap_or(Id(i64::MAX)), limit).await
}

/// What an order has made: the subscription, and the credits that it has granted so far. For whoever pays an order back.
///
/// # Errors
/// The database's.
pub async fn of_order(conn: &mut Conn, order: Id) -> Result<Option<(Id, Vec<Id>)>, sqlx::Error> {
    let source = format!("order:{order}");
    let Some((subscription, _)) = store::term_of_source(conn, &source).await? else { return Ok(None) };
    Ok(Some((subscription, store::of_source(conn, &source).await?)))
}
