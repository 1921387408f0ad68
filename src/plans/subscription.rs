//! What customers have bought: how it begins, goes on, is cancelled and changes. Each runs in the caller's transaction, once per order, invoice or wish.

use super::calendar::{Course, Stretch};
use super::periods::{self, Live};
use super::renewing::count;
use super::store::{self, NewTermRow, ReservationState, SubscriptionRow, TermRow};
use super::terms::{Stacking, Terms};
use super::{BuyWay, Reserve, State};
use crate::db::Tx;
use crate::kernel::{Id, Kit, Usd};
use crate::ledger::{Books, House, LedgerError, Posting, TransferKind};
use jiff::tz::TimeZone;
use std::sync::Arc;

/// Why something could not be done with a subscription.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionError {
    /// There is no such subscription, or no such plan.
    #[error("no such subscription or plan")]
    NotFound,
    /// It has ended.
    #[error("the subscription has ended")]
    Ended,
    /// Nobody renews it: it ends by itself.
    #[error("the subscription is not renewed")]
    NotRenewing,
    /// A term that ends before it begins.
    #[error("the term ends before it begins")]
    BadTerm,
    /// An amount that is less than nothing.
    #[error("not an amount that can be paid: {0}")]
    BadAmount(Usd),
    /// The ledger refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Who renews a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Nobody: it ends with its term.
    Once,
    /// The payment provider.
    Provider {
        /// What the provider calls it.
        id: String,
        /// The term as the provider counts it; none for as the calendar does.
        bounds: Option<Stretch>,
    },
}

/// A paid order of a plan.
#[derive(Clone, Debug)]
pub struct Activation<'a> {
    /// Who bought it.
    pub user: Id,
    /// Which plan.
    pub plan: Id,
    /// The order.
    pub order: Id,
    /// What was paid for it; nothing for a trial or a gift.
    pub paid: Usd,
    /// Where that is: [`House::Plans`] when the order has posted it there, else the account that it is posted from.
    pub funding: House,
    /// Who renews it.
    pub renewal: Renewal,
    /// Whose calendar counts.
    pub zone: &'a TimeZone,
}

/// What became of a paid order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activated {
    /// The subscription that it made or made longer.
    pub subscription: Id,
    /// Its place had been given back meanwhile; it was honoured all the same.
    pub late: bool,
    /// It had been activated before; nothing changed.
    pub replayed: bool,
}

/// When a cancellation counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// When what is paid for has passed.
    PeriodEnd,
    /// At once. What was paid for periods to come, and what the allowances took less than was paid, goes to this account: [`House::Revenue`], or
    /// [`House::Cash`] when it is paid back.
    Now(House),
}

/// What was paid for a change that counts at once.
#[derive(Clone, Debug)]
pub struct NewTerm<'a> {
    /// The order or the invoice.
    pub source: &'a str,
    /// What was paid, posted into [`House::Plans`] by the caller. What is left of the old term is added.
    pub paid: Usd,
    /// The new term; none for one from now on by the calendar.
    pub bounds: Option<Stretch>,
    /// The version of the plan's terms that was billed; none for the one that is sold now.
    pub version: Option<Id>,
    /// The order that has paid: a purchase of the plan.
    pub order: Option<Id>,
    /// What was left of the running term was taken off the bill in money, so that nothing is left of its allowance.
    pub credited: bool,
}

/// When a change counts.
#[derive(Clone, Debug)]
pub enum When<'a> {
    /// From the next renewal on.
    PeriodEnd,
    /// At once.
    Now(NewTerm<'a>),
}

/// Makes a subscription of a paid order, or makes one longer, once per order. An order whose place was given back is honoured all the same.
///
/// # Errors
/// [`SubscriptionError::NotFound`] when there is no such plan.
pub async fn activate(tx: &mut Tx, kit: &Kit, books: &Books, paid: &Activation<'_>) -> Result<Activated, SubscriptionError> {
    if paid.paid < Usd::ZERO {
        return Err(SubscriptionError::BadAmount(paid.paid));
    }
    let plan = store::lock_plan(tx, paid.plan).await?.ok_or(SubscriptionError::NotFound)?;
    let source = format!("order:{}", paid.order);
    if let Some((subscription, _)) = store::term_of_source(tx, &source).await? {
        return Ok(Activated { subscription, late: false, replayed: true });
    }
    let (version, trial_days, late) = claim(tx, kit, paid, plan.version).await?;
    let terms = store::version(tx, version).await?.ok_or(SubscriptionError::NotFound)?.terms;
    books.open_wallet(tx, paid.user).await?;
    if paid.funding != House::Plans && paid.paid > Usd::ZERO {
        let reference = format!("plan:{}", terms.name);
        let (debit, credit, kind) = (paid.funding, House::Plans, TransferKind::Sale);
        let idempotency_key = format!("plan-order:{}", paid.order);
        books.post(tx, &Posting { user: paid.user, debit, credit, amount: paid.paid, kind, reference, idempotency_key }).await?;
    }
    let extends = terms.stacking == Stacking::Extend && paid.renewal == Renewal::Once;
    let before = if extends { store::extendable(tx, paid.user, paid.plan, kit.clock.now_ms()).await? } else { None };
    let before = match before {
        Some(id) => Some(Live::lock(tx, id).await?),
        None => None,
    };
    // It may have ended before it was locked.
    let mut live = match before.filter(|live| live.row.state != State::Ended) {
        Some(live) => live,
        None => begin(tx, kit, paid).await?,
    };
    let trial = trial_days > 0 && paid.renewal != Renewal::Once;
    let bounds = match &paid.renewal {
        Renewal::Provider { bounds, .. } => *bounds,
        Renewal::Once => None,
    };
    let next = Next { version, terms: Arc::new(terms), paid: paid.paid, bounds, trial_days: if trial { trial_days } else { 0 }, source };
    append(tx, kit, &mut live, next).await?;
    periods::advance(tx, kit, books, &mut live, true).await?;
    Ok(Activated { subscription: live.row.id, late, replayed: false })
}

/// Takes an order's reservation, or notes one where there never was any: a gift.
async fn claim(tx: &mut Tx, kit: &Kit, paid: &Activation<'_>, current: Id) -> Result<(Id, i64, bool), SubscriptionError> {
    let now = kit.clock.now_ms();
    let Some(reservation) = store::reservation(tx, paid.order).await? else {
        let way = if paid.renewal == Renewal::Once { BuyWay::Once } else { BuyWay::Subscription };
        let wanted = Reserve { user: paid.user, plan: paid.plan, order: paid.order, way };
        store::insert_reservation(tx, &wanted, current, 0, ReservationState::Activated, now).await?;
        store::count_taken(tx, paid.plan, 1).await?;
        return Ok((current, 0, false));
    };
    if (reservation.plan, reservation.user) != (paid.plan, paid.user) {
        return Err(SubscriptionError::NotFound);
    }
    let was_kept = store::set_reservation(tx, paid.order, ReservationState::Reserved, ReservationState::Activated, now).await?;
    if !was_kept {
        store::set_reservation(tx, paid.order, ReservationState::Released, ReservationState::Activated, now).await?;
        store::count_taken(tx, paid.plan, 1).await?;
        tracing::warn!(order = %paid.order, plan = %paid.plan, "an order was paid after its place had been given back; it is honoured");
    }
    Ok((reservation.version, reservation.trial_days, !was_kept))
}

/// A subscription without a term.
async fn begin(tx: &mut Tx, kit: &Kit, paid: &Activation<'_>) -> Result<Live, SubscriptionError> {
    let (now, zone) = (kit.clock.now_ms(), paid.zone.iana_name().unwrap_or("UTC").to_owned());
    let (external_id, starts_at) = match &paid.renewal {
        Renewal::Once => (None, now),
        Renewal::Provider { id, bounds } => (Some(id.clone()), bounds.map_or(now, |bounds| bounds.from)),
    };
    let row = SubscriptionRow {
        id: kit.ids.next(),
        user: paid.user,
        plan: paid.plan,
        state: State::Active,
        external_id,
        zone,
        starts_at,
        paid_until: starts_at,
        cancelled_at: None,
        next_version: None,
        untold: false,
        next_period: 0,
        ended_at: None,
        due_at: now,
        revision: 0,
    };
    store::insert_subscription(tx, &row, now).await?;
    Ok(Live { row, terms: Vec::new() })
}

/// A term to be.
pub(super) struct Next {
    pub(super) version: Id,
    pub(super) terms: Arc<Terms>,
    pub(super) paid: Usd,
    pub(super) bounds: Option<Stretch>,
    pub(super) trial_days: i64,
    pub(super) source: String,
}

/// Puts a term behind the last one, or at the beginning.
pub(super) async fn append(tx: &mut Tx, kit: &Kit, live: &mut Live, next: Next) -> Result<(), SubscriptionError> {
    let last = live.terms.last();
    let starts_at = next.bounds.map_or(live.row.paid_until, |bounds| bounds.from);
    // One length goes on in the course of the terms before, so that the end of a short month changes no later one; a trial stands before it.
    let goes_on = last.filter(|(term, terms)| !term.trial && next.trial_days == 0 && terms.length == next.terms.length);
    let zone = live.zone();
    let course = |anchor: i64| next.terms.course(anchor, zone.clone());
    let (anchor, number) = match goes_on {
        Some((term, _)) if is_near(course(term.anchor).starts_at(term.course + 1), starts_at) => (term.anchor, term.course + 1),
        _ => (starts_at, 0),
    };
    let by_calendar = if next.trial_days > 0 { trial_end(&course(starts_at), next.trial_days) } else { course(anchor).term(number).until };
    let bounds = next.bounds.unwrap_or(Stretch { from: starts_at, until: by_calendar });
    // A trial has one allowance, whatever the terms after it have.
    let periods = if next.trial_days > 0 { 1 } else { course(anchor).periods(number, bounds, next.terms.reset).len().max(1) as i64 };
    let term = TermRow {
        number: store::next_term(tx, live.row.id).await?,
        version: next.version,
        anchor,
        course: number,
        starts_at: bounds.from,
        ends_at: bounds.until,
        paid: next.paid,
        periods,
        first_period: last.map_or(0, |(term, _)| term.first_period + term.periods),
        trial: next.trial_days > 0,
        frozen: false,
    };
    store::insert_term(tx, &NewTermRow { subscription: live.row.id, term: &term, source: &next.source, at: kit.clock.now_ms() }).await?;
    live.row.paid_until = bounds.until;
    live.terms.push((term, next.terms));
    Ok(())
}

fn trial_end(course: &Course, days: i64) -> i64 {
    let length = super::Length { count: days, unit: super::Unit::Day };
    Course { length, ..course.clone() }.term(0).until
}

/// Two ways to count that differ by a zone's or a provider's habits, and not by a term.
fn is_near(a: i64, b: i64) -> bool {
    const DAY_AND_A_BIT: i64 = 26 * 60 * 60 * 1_000;
    a.abs_diff(b) <= DAY_AND_A_BIT.unsigned_abs()
}

/// Cancels a subscription. Returns what [`Ending::Now`] has moved to its account. One that has ended stays so.
///
/// # Errors
/// [`SubscriptionError::NotFound`]; [`SubscriptionError::NotRenewing`] when it ends by itself and is not to end at once.
pub async fn cancel(tx: &mut Tx, kit: &Kit, books: &Books, subscription: Id, ending: Ending) -> Result<Usd, SubscriptionError> {
    let mut live = Live::lock(tx, subscription).await?;
    if live.row.state == State::Ended {
        return Ok(Usd::ZERO);
    }
    let renewing = live.row.external_id.is_some();
    match ending {
        Ending::PeriodEnd if !renewing => Err(SubscriptionError::NotRenewing),
        Ending::PeriodEnd => {
            live.row.cancelled_at.get_or_insert(kit.clock.now_ms());
            (live.row.next_version, live.row.untold) = (None, true);
            periods::advance(tx, kit, books, &mut live, true).await?;
            Ok(Usd::ZERO)
        }
        Ending::Now(rest) => {
            live.row.cancelled_at.get_or_insert(kit.clock.now_ms());
            live.row.untold = renewing;
            periods::end_now(tx, kit, books, &mut live, rest).await
        }
    }
}

/// Takes a cancellation back while what is paid for has not passed.
///
/// # Errors
/// [`SubscriptionError::Ended`] when it is too late, [`SubscriptionError::NotRenewing`], [`SubscriptionError::NotFound`].
pub async fn resume(tx: &mut Tx, kit: &Kit, books: &Books, subscription: Id) -> Result<(), SubscriptionError> {
    let mut live = Live::lock(tx, subscription).await?;
    if live.row.state == State::Ended || (live.row.cancelled_at.is_some() && live.row.paid_until <= kit.clock.now_ms()) {
        return Err(SubscriptionError::Ended);
    }
    if live.row.external_id.is_none() {
        return Err(SubscriptionError::NotRenewing);
    }
    if live.row.cancelled_at.take().is_some() {
        live.row.untold = true;
        periods::advance(tx, kit, books, &mut live, true).await?;
    }
    Ok(())
}

/// Changes what a subscription is to. Whatever was granted stays until its period ends, and what was paid for later periods counts for the new term.
///
/// # Errors
/// [`SubscriptionError::Ended`], [`SubscriptionError::NotRenewing`] for a change that waits for a renewal, [`SubscriptionError::NotFound`].
pub async fn change_to(tx: &mut Tx, kit: &Kit, books: &Books, subscription: Id, plan: Id, when: &When<'_>) -> Result<(), SubscriptionError> {
    let new = store::lock_plan(tx, plan).await?.ok_or(SubscriptionError::NotFound)?;
    let mut live = Live::lock(tx, subscription).await?;
    if live.row.state == State::Ended {
        return Err(SubscriptionError::Ended);
    }
    match when {
        When::PeriodEnd if live.row.external_id.is_none() => Err(SubscriptionError::NotRenewing),
        When::PeriodEnd => {
            let same = live.row.plan == plan;
            live.row.next_version = (!same).then_some(new.version);
            (live.row.cancelled_at, live.row.untold) = (None, true);
            periods::advance(tx, kit, books, &mut live, true).await
        }
        When::Now(term) => {
            if term.paid < Usd::ZERO {
                return Err(SubscriptionError::BadAmount(term.paid));
            }
            if store::term_of_source(tx, term.source).await?.is_some() {
                return Ok(());
            }
            let version = term.version.unwrap_or(new.version);
            let edition = store::version(tx, version).await?.filter(|edition| edition.plan == plan).ok_or(SubscriptionError::NotFound)?;
            let terms = Arc::new(edition.terms);
            // What is due is opened first, so that what is cut off has really not begun.
            periods::advance(tx, kit, books, &mut live, true).await?;
            if live.row.state == State::Ended {
                return Err(SubscriptionError::Ended);
            }
            if term.credited {
                periods::end_allowance(tx, books, &live).await?;
            }
            let left = periods::cut(tx, kit, &mut live).await?;
            (live.row.plan, live.row.next_version, live.row.state) = (plan, None, State::Active);
            (live.row.cancelled_at, live.row.untold) = (None, false);
            if let Some(order) = term.order {
                count(tx, kit, &live, version, order).await?;
            }
            let now = kit.clock.now_ms();
            live.row.paid_until = now;
            // What was paid long ago, and is heard of when it has passed, was where the seller says.
            let bounds = term.bounds.map(|bounds| if now < bounds.until { Stretch { from: now, ..bounds } } else { bounds });
            append(tx, kit, &mut live, Next { version, terms, paid: term.paid + left, bounds, trial_days: 0, source: term.source.to_owned() }).await?;
            periods::advance(tx, kit, books, &mut live, true).await
        }
    }
}
