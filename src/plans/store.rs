//! The SQL of plans and of what was bought of them.

use super::calendar::Stretch;
use super::snapshot::Change;
use super::views::{PeriodView, SubscriptionView, TermView};
use super::{Offer, Plan, Reserve, State, Terms, Visibility};
use crate::db::{Conn, flag};
use crate::kernel::{Id, Usd};
use crate::ledger::House;
use sqlx::any::AnyRow;
use sqlx::{Any, Row};
use std::sync::Arc;

crate::statements! {
    INSERT_PLAN = "INSERT INTO plan (id, version_id, visibility, sort, badge, stock, per_customer, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)";
    UPDATE_PLAN = "UPDATE plan SET version_id = $2, visibility = $3, sort = $4, badge = $5, stock = $6, per_customer = $7, updated_at = $8 WHERE id = $1";
    TAKE_OFF = "UPDATE plan SET visibility = 'off', updated_at = $2 WHERE id = $1";
    INSERT_VERSION = "INSERT INTO plan_version (id, plan_id, terms, created_at) VALUES ($1, $2, $3, $4)";
    VERSION = "SELECT plan_id, terms FROM plan_version WHERE id = $1";
    /// Changes nothing: takes the row's lock, so that stock and purchase limits are counted by one after the other.
    LOCK_PLAN = "UPDATE plan SET taken = taken WHERE id = $1 RETURNING version_id, visibility, sort, badge, stock, per_customer, taken";
    COUNT_TAKEN = "UPDATE plan SET taken = taken + $2 WHERE id = $1";
    PLANS = "SELECT p.id, p.version_id, v.terms, p.visibility, p.sort, p.badge, p.stock, p.per_customer, p.taken, \
             (SELECT COUNT(*) FROM plan_subscription s WHERE s.plan_id = p.id AND s.state <> 'ended'), p.created_at \
             FROM plan p JOIN plan_version v ON v.id = p.version_id \
             WHERE (CAST($1 AS TEXT) = '' OR p.visibility = $1) AND (p.sort > $2 OR (p.sort = $2 AND p.id > $3)) ORDER BY p.sort, p.id LIMIT $4";
    PLAN = "SELECT p.id, p.version_id, v.terms, p.visibility, p.sort, p.badge, p.stock, p.per_customer, p.taken, \
            (SELECT COUNT(*) FROM plan_subscription s WHERE s.plan_id = p.id AND s.state <> 'ended'), p.created_at \
            FROM plan p JOIN plan_version v ON v.id = p.version_id WHERE p.id = $1";
    RESERVATION = "SELECT plan_id, version_id, user_id, trial_days FROM plan_reservation WHERE order_id = $1";
    INSERT_RESERVATION = "INSERT INTO plan_reservation (order_id, plan_id, version_id, user_id, trial_days, state, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    /// Only from one state to the next: of several who try, one does.
    SET_RESERVATION = "UPDATE plan_reservation SET state = $3, late = $4, ended_at = $5 WHERE order_id = $1 AND state = $2";
    BOUGHT = "SELECT COUNT(*) FROM plan_reservation WHERE plan_id = $1 AND user_id = $2 AND state <> 'released'";
    HAD_TRIAL = "SELECT COUNT(*) FROM plan_reservation WHERE plan_id = $1 AND user_id = $2 AND state <> 'released' AND trial_days > 0";
    LIVE_OF_PLAN = "SELECT COUNT(*), COUNT(external_id) FROM plan_subscription WHERE user_id = $1 AND plan_id = $2 AND state <> 'ended'";
    EXTENDABLE = "SELECT id FROM plan_subscription WHERE user_id = $1 AND plan_id = $2 AND state <> 'ended' AND external_id IS NULL AND paid_until > $3 ORDER BY id LIMIT 1";
    INSERT_SUBSCRIPTION = "INSERT INTO plan_subscription (id, user_id, plan_id, state, external_id, zone, starts_at, paid_until, next_period, due_at, revision, created_at) \
                           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    /// Changes nothing: takes the row's lock.
    LOCK_SUBSCRIPTION = "UPDATE plan_subscription SET due_at = due_at WHERE id = $1 RETURNING id, user_id, plan_id, state, external_id, zone, starts_at, paid_until, \
                         cancelled_at, next_version_id, untold, next_period, ended_at, due_at, revision";
    UPDATE_SUBSCRIPTION = "UPDATE plan_subscription SET plan_id = $2, state = $3, paid_until = $4, cancelled_at = $5, next_version_id = $6, untold = $7, next_period = $8, \
                           ended_at = $9, due_at = $10, revision = $11 WHERE id = $1";
    TERMS_OF = "SELECT t.number, t.version_id, t.anchor, t.course, t.starts_at, t.ends_at, t.paid, t.periods, t.first_period, t.trial, v.terms, t.frozen \
                FROM plan_term t JOIN plan_version v ON v.id = t.version_id WHERE t.subscription_id = $1 AND t.ends_at > t.starts_at ORDER BY t.number";
    NEXT_TERM = "SELECT COALESCE(MAX(number) + 1, 0) FROM plan_term WHERE subscription_id = $1";
    INSERT_TERM = "INSERT INTO plan_term (subscription_id, number, version_id, anchor, course, starts_at, ends_at, paid, periods, first_period, trial, source, created_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    SHORTEN_TERM = "UPDATE plan_term SET ends_at = $3, paid = $4, periods = $5 WHERE subscription_id = $1 AND number = $2";
    TERM_OF_SOURCE = "SELECT subscription_id, number FROM plan_term WHERE source = $1";
    INSERT_PERIOD = "INSERT INTO plan_period (subscription_id, number, starts_at, ends_at, share, spent, credit_id, bonus_id, opened_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    CLOSE_PERIODS = "UPDATE plan_period SET closed_at = $3 WHERE subscription_id = $1 AND closed_at IS NULL AND ends_at <= $2 RETURNING number, share, spent";
    CLOSE_PERIODS_OF = "UPDATE plan_period SET closed_at = $4 WHERE subscription_id = $1 AND number >= $2 AND number < $3 AND closed_at IS NULL \
                        RETURNING number, share, spent, credit_id, bonus_id";
    SET_FROZEN = "UPDATE plan_term SET frozen = $3 WHERE subscription_id = $1 AND number = $2";
    NEXT_CLOSE = "SELECT MIN(ends_at) FROM plan_period WHERE subscription_id = $1 AND closed_at IS NULL";
    DUE = "SELECT id FROM plan_subscription WHERE due_at <= $1 AND state <> 'ended' ORDER BY due_at LIMIT $2";
    POSTPONE = "UPDATE plan_subscription SET due_at = $2 WHERE id = $1";
    /// Subscriptions that changed after a revision with those of their terms that have not passed. At start, what has ended is left out.
    CHANGES = "SELECT s.revision, s.id, s.user_id, s.plan_id, s.state, s.external_id, s.cancelled_at, s.paid_until, t.version_id, t.starts_at, t.ends_at, v.terms \
               FROM plan_subscription s LEFT JOIN plan_term t ON t.subscription_id = s.id AND t.ends_at > t.starts_at AND t.ends_at > $2 AND s.state <> 'ended' \
               LEFT JOIN plan_version v ON v.id = t.version_id \
               WHERE s.revision > $1 AND (s.state <> 'ended' OR CAST($1 AS BIGINT) > 0) ORDER BY s.id, t.number";
    OF_USER = "SELECT s.id, s.plan_id, s.state, s.external_id, s.starts_at, s.paid_until, s.cancelled_at, s.ended_at, v.plan_id, v.terms \
               FROM plan_subscription s LEFT JOIN plan_version v ON v.id = s.next_version_id WHERE s.user_id = $1 AND s.id < $2 ORDER BY s.id DESC LIMIT $3";
    PERIODS_OF = "SELECT number, starts_at, ends_at, credit_id, bonus_id FROM plan_period WHERE subscription_id = $1 ORDER BY number DESC LIMIT $2";
    /// What subscriptions that have not ended were paid for and have not been granted, and what of open periods is not earned yet.
    UNDELIVERED = "SELECT CAST(COALESCE((SELECT SUM(t.paid) FROM plan_term t JOIN plan_subscription s ON s.id = t.subscription_id WHERE s.state <> 'ended'), 0) \
                   - COALESCE((SELECT SUM(p.share) FROM plan_period p JOIN plan_subscription s ON s.id = p.subscription_id WHERE s.state <> 'ended'), 0) \
                   + COALESCE((SELECT SUM(p.share - p.spent) FROM plan_period p WHERE p.closed_at IS NULL), 0) AS BIGINT)";
    IN_ACCOUNT = "SELECT CAST(COALESCE((SELECT SUM(amount) FROM transfer WHERE credit = $1), 0) - COALESCE((SELECT SUM(amount) FROM transfer WHERE debit = $1), 0) AS BIGINT)";
    OF_PERIODS = "SELECT credit_id, bonus_id FROM plan_period WHERE subscription_id = $1 AND number >= $2 AND number < $3 ORDER BY number";
    OF_ORDER = "SELECT p.credit_id, p.bonus_id FROM plan_term t JOIN plan_period p ON p.subscription_id = t.subscription_id \
                AND p.number >= t.first_period AND p.number < t.first_period + t.periods WHERE t.source = $1 AND t.ends_at > t.starts_at ORDER BY p.number";
}

fn terms(text: &str) -> Result<Terms, sqlx::Error> {
    Terms::read(text).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

fn offer(row: &AnyRow, at: usize) -> Result<Offer, sqlx::Error> {
    Ok(Offer {
        // The CHECK admits no other words.
        visibility: Visibility::from_word(row.try_get(at)?).unwrap_or(Visibility::Off),
        sort: row.try_get(at + 1)?,
        badge: row.try_get(at + 2)?,
        stock: row.try_get(at + 3)?,
        per_customer: row.try_get(at + 4)?,
    })
}

pub(super) async fn insert_plan(conn: &mut Conn, id: Id, version: Id, offer: &Offer, at: i64) -> Result<(), sqlx::Error> {
    write_plan(INSERT_PLAN, conn, id, version, offer, at).await
}

pub(super) async fn update_plan(conn: &mut Conn, id: Id, version: Id, offer: &Offer, at: i64) -> Result<(), sqlx::Error> {
    write_plan(UPDATE_PLAN, conn, id, version, offer, at).await
}

async fn write_plan(sql: &'static str, conn: &mut Conn, id: Id, version: Id, offer: &Offer, at: i64) -> Result<(), sqlx::Error> {
    let query = sqlx::query(sql).bind(id.0).bind(version.0).bind(offer.visibility.word()).bind(offer.sort).bind(&offer.badge);
    query.bind(offer.stock).bind(offer.per_customer).bind(at).execute(conn).await?;
    Ok(())
}

/// Whether there is such a plan.
pub(super) async fn take_off(conn: &mut Conn, id: Id, at: i64) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(TAKE_OFF).bind(id.0).bind(at).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn insert_version(conn: &mut Conn, id: Id, plan: Id, terms: &Terms, at: i64) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT_VERSION).bind(id.0).bind(plan.0).bind(terms.write()).bind(at).execute(conn).await?;
    Ok(())
}

/// Terms of a plan.
pub(super) struct Version {
    pub plan: Id,
    pub terms: Terms,
}

pub(super) async fn version(conn: &mut Conn, id: Id) -> Result<Option<Version>, sqlx::Error> {
    let row = sqlx::query_as::<Any, (i64, String)>(VERSION).bind(id.0).fetch_optional(conn).await?;
    row.map(|(plan, text)| Ok(Version { plan: Id(plan), terms: terms(&text)? })).transpose()
}

/// A plan whose row is locked.
pub(super) struct Locked {
    pub version: Id,
    pub offer: Offer,
    pub taken: i64,
}

pub(super) async fn lock_plan(conn: &mut Conn, id: Id) -> Result<Option<Locked>, sqlx::Error> {
    let Some(row) = sqlx::query(LOCK_PLAN).bind(id.0).fetch_optional(conn).await? else { return Ok(None) };
    Ok(Some(Locked { version: Id(row.try_get(0)?), offer: offer(&row, 1)?, taken: row.try_get(6)? }))
}

pub(super) async fn count_taken(conn: &mut Conn, plan: Id, by: i64) -> Result<(), sqlx::Error> {
    sqlx::query(COUNT_TAKEN).bind(plan.0).bind(by).execute(conn).await?;
    Ok(())
}

fn plan_of(row: &AnyRow) -> Result<Plan, sqlx::Error> {
    Ok(Plan {
        id: Id(row.try_get(0)?),
        version: Id(row.try_get(1)?),
        terms: terms(row.try_get(2)?)?,
        offer: offer(row, 3)?,
        taken: row.try_get(8)?,
        running: row.try_get(9)?,
        created_at: row.try_get(10)?,
    })
}

pub(super) async fn plans(conn: &mut Conn, only: Option<Visibility>, (sort, id): (i64, Id), limit: i64) -> Result<Vec<Plan>, sqlx::Error> {
    let query = sqlx::query(PLANS).bind(only.map_or("", Visibility::word)).bind(sort).bind(id.0).bind(limit);
    query.fetch_all(conn).await?.iter().map(plan_of).collect()
}

pub(super) async fn plan(conn: &mut Conn, id: Id) -> Result<Option<Plan>, sqlx::Error> {
    sqlx::query(PLAN).bind(id.0).fetch_optional(conn).await?.as_ref().map(plan_of).transpose()
}

/// Where a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReservationState {
    Reserved,
    Released,
    Activated,
}

impl ReservationState {
    const fn word(self) -> &'static str {
        match self {
            ReservationState::Reserved => "reserved",
            ReservationState::Released => "released",
            ReservationState::Activated => "activated",
        }
    }
}

/// A place that was reserved for an order.
pub(super) struct Reservation {
    pub plan: Id,
    pub version: Id,
    pub user: Id,
    pub trial_days: i64,
}

pub(super) async fn reservation(conn: &mut Conn, order: Id) -> Result<Option<Reservation>, sqlx::Error> {
    let row = sqlx::query_as::<Any, (i64, i64, i64, i64)>(RESERVATION).bind(order.0).fetch_optional(conn).await?;
    Ok(row.map(|(plan, version, user, trial_days)| Reservation { plan: Id(plan), version: Id(version), user: Id(user), trial_days }))
}

pub(super) async fn insert_reservation(
    conn: &mut Conn,
    wanted: &Reserve,
    version: Id,
    trial_days: i64,
    state: ReservationState,
    at: i64,
) -> Result<(), sqlx::Error> {
    let query = sqlx::query(INSERT_RESERVATION).bind(wanted.order.0).bind(wanted.plan.0).bind(version.0).bind(wanted.user.0);
    query.bind(trial_days).bind(state.word()).bind(at).execute(conn).await?;
    Ok(())
}

/// Whether it was in the state from which it goes.
pub(super) async fn set_reservation(conn: &mut Conn, order: Id, from: ReservationState, to: ReservationState, at: i64) -> Result<bool, sqlx::Error> {
    let late = from == ReservationState::Released && to == ReservationState::Activated;
    let query = sqlx::query(SET_RESERVATION).bind(order.0).bind(from.word()).bind(to.word()).bind(flag(late)).bind(at);
    Ok(query.execute(conn).await?.rows_affected() == 1)
}

/// How often a customer has bought a plan, with what is reserved for them.
pub(super) async fn bought(conn: &mut Conn, plan: Id, user: Id) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar::<Any, i64>(BOUGHT).bind(plan.0).bind(user.0).fetch_one(conn).await
}

pub(super) async fn had_trial(conn: &mut Conn, user: Id, plan: Id) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query_scalar::<Any, i64>(HAD_TRIAL).bind(plan.0).bind(user.0).fetch_one(conn).await? > 0)
}

/// How many subscriptions to a plan somebody has that have not ended, and how many of them the provider renews.
pub(super) async fn live_of_plan(conn: &mut Conn, user: Id, plan: Id) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as::<Any, (i64, i64)>(LIVE_OF_PLAN).bind(user.0).bind(plan.0).fetch_one(conn).await
}

/// A subscription that buying the plan again makes longer.
pub(super) async fn extendable(conn: &mut Conn, user: Id, plan: Id, now: i64) -> Result<Option<Id>, sqlx::Error> {
    Ok(sqlx::query_scalar::<Any, i64>(EXTENDABLE).bind(user.0).bind(plan.0).bind(now).fetch_optional(conn).await?.map(Id))
}

/// A subscription's row.
#[derive(Clone, Debug)]
pub(super) struct SubscriptionRow {
    pub id: Id,
    pub user: Id,
    pub plan: Id,
    pub state: State,
    pub external_id: Option<String>,
    pub zone: String,
    pub starts_at: i64,
    pub paid_until: i64,
    pub cancelled_at: Option<i64>,
    pub next_version: Option<Id>,
    pub untold: bool,
    pub next_period: i64,
    pub ended_at: Option<i64>,
    pub due_at: i64,
    pub revision: i64,
}

pub(super) async fn insert_subscription(conn: &mut Conn, row: &SubscriptionRow, at: i64) -> Result<(), sqlx::Error> {
    let query = sqlx::query(INSERT_SUBSCRIPTION).bind(row.id.0).bind(row.user.0).bind(row.plan.0).bind(row.state.word()).bind(row.external_id.as_deref());
    let query = query.bind(&row.zone).bind(row.starts_at).bind(row.paid_until).bind(row.next_period).bind(row.due_at).bind(row.revision).bind(at);
    query.execute(conn).await?;
    Ok(())
}

pub(super) async fn lock_subscription(conn: &mut Conn, id: Id) -> Result<Option<SubscriptionRow>, sqlx::Error> {
    let Some(row) = sqlx::query(LOCK_SUBSCRIPTION).bind(id.0).fetch_optional(conn).await? else { return Ok(None) };
    Ok(Some(SubscriptionRow {
        id: Id(row.try_get(0)?),
        user: Id(row.try_get(1)?),
        plan: Id(row.try_get(2)?),
        state: State::from_word(row.try_get(3)?),
        external_id: row.try_get(4)?,
        zone: row.try_get(5)?,
        starts_at: row.try_get(6)?,
        paid_until: row.try_get(7)?,
        cancelled_at: row.try_get(8)?,
        next_version: row.try_get::<Option<i64>, _>(9)?.map(Id),
        untold: row.try_get::<i64, _>(10)? != 0,
        next_period: row.try_get(11)?,
        ended_at: row.try_get(12)?,
        due_at: row.try_get(13)?,
        revision: row.try_get(14)?,
    }))
}

pub(super) async fn update_subscription(conn: &mut Conn, row: &SubscriptionRow) -> Result<(), sqlx::Error> {
    let query = sqlx::query(UPDATE_SUBSCRIPTION).bind(row.id.0).bind(row.plan.0).bind(row.state.word()).bind(row.paid_until).bind(row.cancelled_at);
    let query = query.bind(row.next_version.map(|version| version.0)).bind(flag(row.untold)).bind(row.next_period).bind(row.ended_at);
    query.bind(row.due_at).bind(row.revision).execute(conn).await?;
    Ok(())
}

/// A term's row.
#[derive(Clone, Debug)]
pub(super) struct TermRow {
    pub number: i64,
    pub version: Id,
    pub anchor: i64,
    pub course: i64,
    pub starts_at: i64,
    pub ends_at: i64,
    pub paid: Usd,
    pub periods: i64,
    pub first_period: i64,
    pub trial: bool,
    /// What it grants is frozen.
    pub frozen: bool,
}

/// The terms of a subscription in their order, without those that a change has taken away.
pub(super) async fn terms_of(conn: &mut Conn, subscription: Id) -> Result<Vec<(TermRow, Arc<Terms>)>, sqlx::Error> {
    let rows = sqlx::query(TERMS_OF).bind(subscription.0).fetch_all(conn).await?;
    let mut all: Vec<(TermRow, Arc<Terms>)> = Vec::with_capacity(rows.len());
    for row in &rows {
        let term = TermRow {
            number: row.try_get(0)?,
            version: Id(row.try_get(1)?),
            anchor: row.try_get(2)?,
            course: row.try_get(3)?,
            starts_at: row.try_get(4)?,
            ends_at: row.try_get(5)?,
            paid: Usd(row.try_get(6)?),
            periods: row.try_get(7)?,
            first_period: row.try_get(8)?,
            trial: row.try_get::<i64, _>(9)? != 0,
            frozen: row.try_get::<i64, _>(11)? != 0,
        };
        let same = all.iter().rev().find(|(known, _)| known.version == term.version).map(|(_, terms)| Arc::clone(terms));
        let terms = match same {
            Some(terms) => terms,
            None => Arc::new(terms(row.try_get(10)?)?),
        };
        all.push((term, terms));
    }
    Ok(all)
}

/// The number of a subscription's next term.
pub(super) async fn next_term(conn: &mut Conn, subscription: Id) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar::<Any, i64>(NEXT_TERM).bind(subscription.0).fetch_one(conn).await
}

/// A term to be written.
pub(super) struct NewTermRow<'a> {
    pub subscription: Id,
    pub term: &'a TermRow,
    pub source: &'a str,
    pub at: i64,
}

pub(super) async fn insert_term(conn: &mut Conn, new: &NewTermRow<'_>) -> Result<(), sqlx::Error> {
    let term = new.term;
    let query = sqlx::query(INSERT_TERM).bind(new.subscription.0).bind(term.number).bind(term.version.0).bind(term.anchor).bind(term.course);
    let query = query.bind(term.starts_at).bind(term.ends_at).bind(term.paid.0).bind(term.periods).bind(term.first_period).bind(flag(term.trial));
    query.bind(new.source).bind(new.at).execute(conn).await?;
    Ok(())
}

pub(super) async fn shorten_term(conn: &mut Conn, subscription: Id, term: &TermRow) -> Result<(), sqlx::Error> {
    let query = sqlx::query(SHORTEN_TERM).bind(subscription.0).bind(term.number).bind(term.ends_at).bind(term.paid.0).bind(term.periods);
    query.execute(conn).await?;
    Ok(())
}

/// The subscription and the number of the term that an order or an invoice has made.
pub(super) async fn term_of_source(conn: &mut Conn, source: &str) -> Result<Option<(Id, i64)>, sqlx::Error> {
    let row = sqlx::query_as::<Any, (i64, i64)>(TERM_OF_SOURCE).bind(source).fetch_optional(conn).await?;
    Ok(row.map(|(subscription, number)| (Id(subscription), number)))
}

/// A period to be written.
pub(super) struct NewPeriod {
    pub subscription: Id,
    pub number: i64,
    pub period: Stretch,
    pub share: Usd,
    pub spent: Usd,
    pub credit: Option<Id>,
    pub bonus: Option<Id>,
    pub at: i64,
}

pub(super) async fn insert_period(conn: &mut Conn, new: &NewPeriod) -> Result<(), sqlx::Error> {
    let query = sqlx::query(INSERT_PERIOD).bind(new.subscription.0).bind(new.number).bind(new.period.from).bind(new.period.until);
    let query = query.bind(new.share.0).bind(new.spent.0).bind(new.credit.map(|id| id.0)).bind(new.bonus.map(|id| id.0)).bind(new.at);
    query.execute(conn).await?;
    Ok(())
}

/// Closes the periods that end at or before `until`: their numbers, and what the allowance left of their share.
pub(super) async fn close_periods(conn: &mut Conn, subscription: Id, until: i64, at: i64) -> Result<Vec<(i64, Usd)>, sqlx::Error> {
    let rows = sqlx::query_as::<Any, (i64, i64, i64)>(CLOSE_PERIODS).bind(subscription.0).bind(until).bind(at).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(number, share, spent)| (number, Usd(share) - Usd(spent))).collect())
}

/// A period that was open.
pub(super) struct OpenPeriod {
    /// What was paid for it.
    pub share: Usd,
    /// How much of that its allowance took.
    pub spent: Usd,
    pub credit: Option<Id>,
    pub bonus: Option<Id>,
}

/// Closes those of these periods that are open, in their order.
pub(super) async fn close_periods_of(conn: &mut Conn, subscription: Id, numbers: std::ops::Range<i64>, at: i64) -> Result<Vec<OpenPeriod>, sqlx::Error> {
    type Row = (i64, i64, i64, Option<i64>, Option<i64>);
    let query = sqlx::query_as::<Any, Row>(CLOSE_PERIODS_OF).bind(subscription.0).bind(numbers.start).bind(numbers.end).bind(at);
    let mut rows = query.fetch_all(conn).await?;
    rows.sort_unstable_by_key(|row| row.0);
    let open = |(_, share, spent, credit, bonus): Row| OpenPeriod { share: Usd(share), spent: Usd(spent), credit: credit.map(Id), bonus: bonus.map(Id) };
    Ok(rows.into_iter().map(open).collect())
}

pub(super) async fn set_frozen(conn: &mut Conn, subscription: Id, term: i64, frozen: bool) -> Result<(), sqlx::Error> {
    sqlx::query(SET_FROZEN).bind(subscription.0).bind(term).bind(flag(frozen)).execute(conn).await?;
    Ok(())
}

/// When the next open period ends.
pub(super) async fn next_close(conn: &mut Conn, subscription: Id) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar::<Any, Option<i64>>(NEXT_CLOSE).bind(subscription.0).fetch_one(conn).await
}

pub(super) async fn due(conn: &mut Conn, now: i64, limit: i64) -> Result<Vec<Id>, sqlx::Error> {
    Ok(sqlx::query_scalar::<Any, i64>(DUE).bind(now).bind(limit).fetch_all(conn).await?.into_iter().map(Id).collect())
}

pub(super) async fn postpone(conn: &mut Conn, subscription: Id, until: i64) -> Result<(), sqlx::Error> {
    sqlx::query(POSTPONE).bind(subscription.0).bind(until).execute(conn).await?;
    Ok(())
}

fn next_plan(row: &AnyRow, at: usize) -> Result<Option<(Id, Terms)>, sqlx::Error> {
    let (plan, text): (Option<i64>, Option<String>) = (row.try_get(at)?, row.try_get(at + 1)?);
    plan.zip(text).map(|(plan, text)| Ok((Id(plan), terms(&text)?))).transpose()
}

pub(super) async fn changes(conn: &mut Conn, after: i64, passed: i64) -> Result<Vec<Change>, sqlx::Error> {
    let change = |row: &AnyRow| {
        let term = match row.try_get::<Option<i64>, _>(8)? {
            None => None,
            Some(version) => Some((Id(version), Stretch { from: row.try_get(9)?, until: row.try_get(10)? }, row.try_get::<String, _>(11)?)),
        };
        let is_renewing = row.try_get::<Option<String>, _>(5)?.is_some() && row.try_get::<Option<i64>, _>(6)?.is_none();
        Ok(Change {
            revision: row.try_get(0)?,
            subscription: Id(row.try_get(1)?),
            user: Id(row.try_get(2)?),
            waits: State::from_word(row.try_get(4)?) == State::Active && is_renewing,
            paid_until: row.try_get(7)?,
            plan: Id(row.try_get(3)?),
            term,
        })
    };
    sqlx::query(CHANGES).bind(after).bind(passed).fetch_all(conn).await?.iter().map(change).collect()
}

pub(super) async fn of_user(conn: &mut Conn, user: Id, before: Id, limit: i64) -> Result<Vec<SubscriptionView>, sqlx::Error> {
    let rows = sqlx::query(OF_USER).bind(user.0).bind(before.0).bind(limit).fetch_all(&mut *conn).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        let id = Id(row.try_get(0)?);
        let terms = terms_of(conn, id).await?;
        all.push(SubscriptionView {
            id,
            plan: Id(row.try_get(1)?),
            state: State::from_word(row.try_get(2)?),
            renewing: row.try_get::<Option<String>, _>(3)?.is_some(),
            starts_at: row.try_get(4)?,
            paid_until: row.try_get(5)?,
            cancelled_at: row.try_get(6)?,
            ended_at: row.try_get(7)?,
            next: next_plan(row, 8)?,
            terms: terms
                .into_iter()
                .map(|(term, terms)| TermView { starts_at: term.starts_at, ends_at: term.ends_at, paid: term.paid, trial: term.trial, terms })
                .collect(),
            periods: periods_of(conn, id, RECENT_PERIODS).await?,
        });
    }
    Ok(all)
}

/// So many periods of each subscription are shown.
const RECENT_PERIODS: i64 = 12;

async fn periods_of(conn: &mut Conn, subscription: Id, limit: i64) -> Result<Vec<PeriodView>, sqlx::Error> {
    let rows = sqlx::query_as::<Any, (i64, i64, i64, Option<i64>, Option<i64>)>(PERIODS_OF).bind(subscription.0).bind(limit).fetch_all(conn).await?;
    let view = |(number, starts_at, ends_at, credit, bonus): (i64, i64, i64, Option<i64>, Option<i64>)| PeriodView {
        number,
        starts_at,
        ends_at,
        credits: [credit, bonus].into_iter().flatten().map(Id).collect(),
    };
    Ok(rows.into_iter().map(view).collect())
}

/// What was paid for plans and is not delivered: by the subscriptions, and by the transfers of the account in which it lies.
pub(super) async fn undelivered(conn: &mut Conn) -> Result<(Usd, Usd), sqlx::Error> {
    let by_rows = sqlx::query_scalar::<Any, i64>(UNDELIVERED).fetch_one(&mut *conn).await?;
    let by_transfers = sqlx::query_scalar::<Any, i64>(IN_ACCOUNT).bind(House::Plans.number()).fetch_one(conn).await?;
    Ok((Usd(by_rows), Usd(by_transfers)))
}

/// The credits that the periods with these numbers have granted.
pub(super) async fn of_periods(conn: &mut Conn, subscription: Id, from: i64, until: i64) -> Result<Vec<Id>, sqlx::Error> {
    let rows = sqlx::query_as::<Any, (Option<i64>, Option<i64>)>(OF_PERIODS).bind(subscription.0).bind(from).bind(until).fetch_all(conn).await?;
    Ok(rows.into_iter().flat_map(|(credit, bonus)| [credit, bonus]).flatten().map(Id).collect())
}

/// The credits that an order or an invoice has granted so far, in their order.
pub(super) async fn of_source(conn: &mut Conn, source: &str) -> Result<Vec<Id>, sqlx::Error> {
    let rows = sqlx::query_as::<Any, (Option<i64>, Option<i64>)>(OF_ORDER).bind(source).fetch_all(conn).await?;
    Ok(rows.into_iter().flat_map(|(credit, bonus)| [credit, bonus]).flatten().map(Id).collect())
}
