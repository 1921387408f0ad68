//! Subscriptions that a payment provider renews: each bill that it has collected makes one term, and what it says of a subscription counts unless something else
//! was wished here meanwhile.

pub mod store;
mod telling;

pub use telling::{
    Edition, Heard, Standing, Untold, Word, edition, external, externals, heard, is_unspent, look_later, overdue, standing, stir, tell_later, told, untold,
};

use super::calendar::Stretch;
use super::periods::{self, Live};
use super::store::{self as plans, ReservationState};
use super::subscription::{Next, SubscriptionError, append};
use super::{BuyWay, Reserve, State, Terms};
use crate::db::Tx;
use crate::kernel::{Id, Kit, Usd};
use crate::ledger::Books;
use std::sync::Arc;

/// An invoice that the payment provider has collected.
#[derive(Clone, Debug)]
pub struct RenewedTerm<'a> {
    /// What it renews.
    pub subscription: Id,
    /// The provider's id for it.
    pub invoice: &'a str,
    /// The term that it is for; none for the next one by the calendar.
    pub bounds: Option<Stretch>,
    /// The version of the terms that was billed; none for the one that was wished.
    pub version: Option<Id>,
    /// What was paid.
    pub paid: Usd,
    /// The order of the bill: a purchase, when it is of another plan than before. [`lock`](crate::plans::lock) that plan first.
    pub order: Option<Id>,
}

/// What became of an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// It made a term: what was paid is to be posted into [`House::Plans`](crate::ledger::House::Plans).
    Fresh,
    /// It is known.
    Known,
    /// It is for a time that was paid for before. Nothing was made of it.
    Covered,
    /// The subscription has ended: nothing was made of it, and what was paid goes back.
    Ended,
}

/// Makes the next term of an invoice that was collected, once per invoice.
///
/// # Errors
/// [`SubscriptionError::NotFound`] when there is no such subscription or version.
pub async fn renewed(tx: &mut Tx, kit: &Kit, books: &Books, paid: &RenewedTerm<'_>) -> Result<Renewed, SubscriptionError> {
    if paid.paid < Usd::ZERO {
        return Err(SubscriptionError::BadAmount(paid.paid));
    }
    let mut live = Live::lock(tx, paid.subscription).await?;
    let source = format!("invoice:{}", paid.invoice);
    if plans::term_of_source(tx, &source).await?.is_some() {
        return Ok(Renewed::Known);
    }
    // It may be over without that anybody has looked since.
    if live.row.state != State::Ended && live.row.cancelled_at.is_some() && live.row.paid_until <= kit.clock.now_ms() {
        periods::advance(tx, kit, books, &mut live, true).await?;
    }
    if live.row.state == State::Ended {
        return Ok(Renewed::Ended);
    }
    let Some((last, _)) = live.terms.last() else { return Err(SubscriptionError::NotFound) };
    let middle = last.starts_at + (last.ends_at - last.starts_at) / 2;
    if paid.bounds.is_some_and(|bounds| bounds.until <= bounds.from) {
        return Err(SubscriptionError::BadTerm);
    }
    if paid.bounds.is_some_and(|bounds| bounds.from < middle) {
        return Ok(Renewed::Covered);
    }
    let before = live.row.plan;
    let (version, terms) = billed(tx, &mut live, paid.version).await?;
    if let Some(order) = paid.order.filter(|_| live.row.plan != before) {
        count(tx, kit, &live, version, order).await?;
    }
    live.row.state = State::Active;
    append(tx, kit, &mut live, Next { version, terms, paid: paid.paid, bounds: paid.bounds, trial_days: 0, source }).await?;
    periods::advance(tx, kit, books, &mut live, true).await?;
    Ok(Renewed::Fresh)
}

/// The terms that a renewal is of: those that were wished, unless the provider had not heard of the wish and has billed others. The wish then stands.
async fn billed(tx: &mut Tx, live: &mut Live, version: Option<Id>) -> Result<(Id, Arc<Terms>), SubscriptionError> {
    let Some((last, terms)) = live.terms.last().map(|(term, terms)| (term.version, Arc::clone(terms))) else { return Err(SubscriptionError::NotFound) };
    let wished = live.row.next_version.unwrap_or(last);
    let version = version.unwrap_or(wished);
    (live.row.next_version, live.row.untold) = if version == wished { (None, live.row.untold) } else { (Some(wished), true) };
    if version == last {
        return Ok((last, terms));
    }
    let edition = plans::version(tx, version).await?.ok_or(SubscriptionError::NotFound)?;
    live.row.plan = edition.plan;
    Ok((version, Arc::new(edition.terms)))
}

/// Counts a change as what it is: a purchase of the plan that it is to.
pub(super) async fn count(tx: &mut Tx, kit: &Kit, live: &Live, version: Id, order: Id) -> Result<(), SubscriptionError> {
    let bought = Reserve { user: live.row.user, plan: live.row.plan, order, way: BuyWay::Subscription };
    plans::insert_reservation(tx, &bought, version, 0, ReservationState::Activated, kit.clock.now_ms()).await?;
    Ok(plans::count_taken(tx, live.row.plan, 1).await?)
}

/// Notes that a renewal could not be collected: what the plan does rests from the end of what is paid until it is.
///
/// # Errors
/// [`SubscriptionError::NotFound`].
pub async fn past_due(tx: &mut Tx, kit: &Kit, books: &Books, subscription: Id) -> Result<(), SubscriptionError> {
    let mut live = Live::lock(tx, subscription).await?;
    if live.row.state == State::Active && live.row.external_id.is_some() {
        live.row.state = State::PastDue;
        periods::advance(tx, kit, books, &mut live, true).await?;
    }
    Ok(())
}
