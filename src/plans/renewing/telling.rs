//! What the shop and the payment provider tell each other about a subscription. What was wished here is told until the provider knows; what was done on the provider's
//! pages counts here as soon as nothing of ours is still to be told.

use super::store;
use crate::db::{Conn, Tx};
use crate::kernel::{Id, Kit};
use crate::ledger::{Books, House};
use crate::plans::periods::{self, Live};
use crate::plans::store as plans;
use crate::plans::subscription::SubscriptionError;
use crate::plans::{State, Terms};

/// So many subscriptions of a customer are looked at.
const LATEST: i64 = 20;

/// Terms of a plan as they were sold at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edition {
    /// The plan.
    pub plan: Id,
    /// The version.
    pub version: Id,
    /// What it says.
    pub terms: Terms,
}

/// How a subscription stands here that the provider renews.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its row.
    pub subscription: Id,
    /// Whose it is.
    pub user: Id,
    /// To which plan.
    pub plan: Id,
    /// Where it stands.
    pub state: State,
    /// Until when it is paid.
    pub paid_until: i64,
    /// It is not to be renewed.
    pub cancelled: bool,
    /// Changes with it.
    pub revision: i64,
    /// The version of its last term.
    pub version: Option<Id>,
    /// When that began.
    pub since: i64,
    /// That was a trial.
    pub trial: bool,
    /// Its number.
    pub term: i64,
    /// What it grants is frozen, since a bank has not decided about its payment.
    pub frozen: bool,
}

/// A wish that the payment provider has to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untold {
    /// Which subscription.
    pub subscription: Id,
    /// What the provider calls it.
    pub external_id: String,
    /// It has ended: nothing more is to be collected.
    pub ended: bool,
    /// It is not to be renewed.
    pub cancelled: bool,
    /// What the next renewal is of.
    pub next: Edition,
    /// To be handed to [`told`].
    pub revision: i64,
    /// How often it was tried in vain.
    pub tries: i64,
}

/// What the provider says of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It goes on.
    Runs,
    /// It ends with what is paid.
    EndsWithPeriod,
    /// Its renewal could not be collected.
    Unpaid,
    /// It is over since this moment.
    Ended(i64),
}

/// A word of the provider's, and how the subscription stood when it was asked.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// Which subscription.
    pub subscription: Id,
    /// What it says.
    pub word: Word,
    /// [`Standing::revision`] before it was asked.
    pub revision: i64,
}

/// Acts on the provider's word. Whether it counts: not when the subscription has changed here since the provider was asked.
///
/// # Errors
/// [`SubscriptionError::NotFound`].
pub async fn heard(tx: &mut Tx, kit: &Kit, books: &Books, heard: &Heard) -> Result<bool, SubscriptionError> {
    let mut live = Live::lock(tx, heard.subscription).await?;
    if live.row.state == State::Ended {
        return Ok(true);
    }
    if live.row.revision != heard.revision {
        return Ok(false);
    }
    let now = kit.clock.now_ms();
    match heard.word {
        Word::Ended(at) => {
            live.row.cancelled_at.get_or_insert(now);
            live.row.untold = false;
            if at < live.row.paid_until {
                periods::end_now(tx, kit, books, &mut live, House::Revenue).await?;
                return Ok(true);
            }
        }
        Word::Unpaid if live.row.state == State::Active => live.row.state = State::PastDue,
        // What was wished here comes first: the provider has yet to hear of it.
        _ if live.row.untold => return Ok(true),
        Word::EndsWithPeriod if live.row.cancelled_at.is_none() => (live.row.cancelled_at, live.row.next_version) = (Some(now), None),
        Word::Runs if live.row.cancelled_at.is_some() && live.row.paid_until > now => live.row.cancelled_at = None,
        _ => return Ok(true),
    }
    periods::advance(tx, kit, books, &mut live, true).await?;
    Ok(true)
}

/// How the subscription stands that the payment provider calls so.
///
/// # Errors
/// The database's.
pub async fn standing(conn: &mut Conn, external_id: &str) -> Result<Option<Standing>, sqlx::Error> {
    store::standing(conn, external_id).await
}

/// Whether at least as much is left of the allowance of the last term as of its time, so that its customer can be given in money what is left of it.
///
/// # Errors
/// The database's and the ledger's.
pub async fn is_unspent(conn: &mut Conn, books: &Books, standing: &Standing, now: i64) -> Result<bool, SubscriptionError> {
    let edition = match standing.version {
        Some(version) => store::find_edition(conn, version).await?,
        None => None,
    };
    let (Some(edition), Some((periods, opened, first))) = (edition, store::periods(conn, standing.subscription, standing.term).await?) else {
        return Ok(false);
    };
    let allowance = edition.terms.allowance;
    let granted = plans::of_periods(conn, standing.subscription, first, first + periods).await?;
    let credits = books.balance(conn, standing.user).await?.credits;
    let of_term = credits.iter().filter(|credit| granted.contains(&credit.bucket.id));
    let available: i128 = of_term.map(|credit| i128::from(credit.bucket.available(now).0)).sum();
    let left = available + i128::from(allowance) * i128::from(periods - opened);
    let (whole, time) = (i128::from(allowance) * i128::from(periods), i128::from(standing.paid_until - standing.since));
    Ok(!standing.frozen && left * time >= whole * i128::from((standing.paid_until - now).max(0)))
}

/// Gives a subscription another revision although nothing has changed: what is asked of the provider next is asked anew.
///
/// # Errors
/// [`SubscriptionError::NotFound`].
pub async fn stir(tx: &mut Tx, subscription: Id) -> Result<(), SubscriptionError> {
    let mut live = Live::lock(tx, subscription).await?;
    periods::save(tx, &mut live, true).await
}

/// What the payment provider calls a subscription, when it renews it.
///
/// # Errors
/// The database's.
pub async fn external(conn: &mut Conn, subscription: Id) -> Result<Option<String>, sqlx::Error> {
    store::external(conn, subscription).await
}

/// What the payment provider calls the subscriptions of a customer, the newest first.
///
/// # Errors
/// The database's.
pub async fn externals(conn: &mut Conn, user: Id) -> Result<Vec<String>, sqlx::Error> {
    store::externals(conn, user, LATEST).await
}

/// A version of a plan's terms.
///
/// # Errors
/// The database's.
pub async fn edition(conn: &mut Conn, version: Id) -> Result<Option<Edition>, sqlx::Error> {
    store::find_edition(conn, version).await
}

/// What the payment provider has yet to be told and may be told now.
///
/// # Errors
/// The database's.
pub async fn untold(conn: &mut Conn, now: i64, limit: i64) -> Result<Vec<Untold>, sqlx::Error> {
    store::untold(conn, now, limit).await
}

/// Notes that the provider knows, unless something else has changed since.
///
/// # Errors
/// The database's.
pub async fn told(tx: &mut Tx, subscription: Id, revision: i64) -> Result<(), sqlx::Error> {
    store::told(tx, subscription, revision).await
}

/// Notes that the provider could not be told, and when it is tried again.
///
/// # Errors
/// The database's.
pub async fn tell_later(tx: &mut Tx, subscription: Id, at: i64) -> Result<(), sqlx::Error> {
    store::tell_later(tx, subscription, at).await
}

/// What the provider calls the subscriptions that were paid until `paid_until` or less and of whose renewal nothing was heard.
///
/// # Errors
/// The database's.
pub async fn overdue(conn: &mut Conn, paid_until: i64, now: i64, limit: i64) -> Result<Vec<String>, sqlx::Error> {
    store::overdue(conn, paid_until, now, limit).await
}

/// Notes when the provider is asked next about a subscription.
///
/// # Errors
/// The database's.
pub async fn look_later(tx: &mut Tx, external_id: &str, at: i64) -> Result<(), sqlx::Error> {
    store::look_later(tx, external_id, at).await
}
