//! A place for whoever is about to pay: stock and purchase limit are counted when an order is made, not when its money comes.

use super::store::{self, ReservationState};
use super::terms::{Stacking, Terms};
use super::{Plan, Visibility};
use crate::db::{Conn, Tx};
use crate::kernel::{Id, Kit};

/// How a plan is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuyWay {
    /// For one term.
    Once,
    /// By a subscription that the payment provider renews.
    Subscription,
}

/// An order that is about to be made.
#[derive(Clone, Copy, Debug)]
pub struct Reserve {
    /// Who buys.
    pub user: Id,
    /// Which plan.
    pub plan: Id,
    /// The order.
    pub order: Id,
    /// How.
    pub way: BuyWay,
}

/// A place that was reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// The version of the terms.
    pub version: Id,
    /// The terms that the order is about, whatever becomes of the plan until it is paid.
    pub terms: Terms,
    /// Days that cost nothing: none for whoever had them before.
    pub trial_days: i64,
}

/// Why a plan cannot be bought.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no such plan, or it is off sale.
    #[error("the plan is not on sale")]
    NotForSale,
    /// It is not sold in this way.
    #[error("the plan is not sold in this way")]
    NotSoldThisWay,
    /// All of them are sold or reserved.
    #[error("the plan is sold out")]
    SoldOut,
    /// The customer has bought it as often as one may.
    #[error("the customer has bought the plan as often as one may")]
    LimitReached,
    /// The customer's subscription to it runs already.
    #[error("the customer has a subscription to the plan already")]
    AlreadySubscribed,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Reserves a place for an order, once per order.
///
/// # Errors
/// As [`Refused`] says; then nothing has changed.
pub async fn reserve(tx: &mut Tx, kit: &Kit, wanted: &Reserve) -> Result<Reserved, Refused> {
    let plan = store::lock_plan(tx, wanted.plan).await?.ok_or(Refused::NotForSale)?;
    if let Some(reservation) = store::reservation(tx, wanted.order).await? {
        let version = store::version(tx, reservation.version).await?.ok_or(Refused::NotForSale)?;
        return Ok(Reserved { version: reservation.version, terms: version.terms, trial_days: reservation.trial_days });
    }
    if plan.offer.visibility == Visibility::Off {
        return Err(Refused::NotForSale);
    }
    let terms = store::version(tx, plan.version).await?.ok_or(Refused::NotForSale)?.terms;
    let is_sold = match wanted.way {
        BuyWay::Once => terms.sold.once(),
        BuyWay::Subscription => terms.sold.by_subscription(),
    };
    if !is_sold {
        return Err(Refused::NotSoldThisWay);
    }
    if plan.offer.stock.is_some_and(|stock| plan.taken >= stock) {
        return Err(Refused::SoldOut);
    }
    if let Some(most) = plan.offer.per_customer
        && store::bought(tx, wanted.plan, wanted.user).await? >= most
    {
        return Err(Refused::LimitReached);
    }
    // What lasts longer when it is bought again cannot be what somebody else renews.
    let (live, renewing) = store::live_of_plan(tx, wanted.user, wanted.plan).await?;
    if terms.stacking == Stacking::Extend && (renewing > 0 || (wanted.way == BuyWay::Subscription && live > 0)) {
        return Err(Refused::AlreadySubscribed);
    }
    let had_trial = store::had_trial(tx, wanted.user, wanted.plan).await?;
    let trial_days = if wanted.way == BuyWay::Subscription && !had_trial { terms.trial_days } else { 0 };
    store::insert_reservation(tx, wanted, plan.version, trial_days, ReservationState::Reserved, kit.clock.now_ms()).await?;
    store::count_taken(tx, wanted.plan, 1).await?;
    Ok(Reserved { version: plan.version, terms, trial_days })
}

/// What was reserved for an order.
///
/// # Errors
/// The database's.
pub async fn reserved(conn: &mut Conn, order: Id) -> Result<Option<Reserved>, sqlx::Error> {
    let Some(reservation) = store::reservation(conn, order).await? else { return Ok(None) };
    let version = store::version(conn, reservation.version).await?;
    Ok(version.map(|version| Reserved { version: reservation.version, terms: version.terms, trial_days: reservation.trial_days }))
}

/// Whether a customer may buy a plan as far as its stock and its purchase limit go.
///
/// # Errors
/// The database's.
pub async fn has_room(conn: &mut Conn, user: Id, plan: &Plan) -> Result<bool, sqlx::Error> {
    let is_left = plan.left() != Some(0);
    Ok(match plan.offer.per_customer {
        Some(most) if is_left => store::bought(conn, plan.id, user).await? < most,
        _ => is_left,
    })
}

/// Days that a subscription to a plan would cost a customer nothing: none for whoever had them before.
///
/// # Errors
/// The database's.
pub async fn trial_days(conn: &mut Conn, user: Id, plan: Id, terms: &Terms) -> Result<i64, sqlx::Error> {
    let is_new = terms.trial_days > 0 && !store::had_trial(conn, user, plan).await?;
    Ok(if is_new { terms.trial_days } else { 0 })
}

/// Takes a plan's lock for the rest of the transaction: whoever will need it takes it before a coupon's and a wallet's.
///
/// # Errors
/// The database's.
pub async fn lock(tx: &mut Tx, plan: Id) -> Result<(), sqlx::Error> {
    store::lock_plan(tx, plan).await.map(drop)
}

/// Gives an order's place back: it ended unpaid. What was activated, or released before, stays so.
///
/// # Errors
/// The database's.
pub async fn release(tx: &mut Tx, kit: &Kit, order: Id) -> Result<(), sqlx::Error> {
    let Some(reservation) = store::reservation(tx, order).await? else { return Ok(()) };
    store::lock_plan(tx, reservation.plan).await?;
    if store::set_reservation(tx, order, ReservationState::Reserved, ReservationState::Released, kit.clock.now_ms()).await? {
        store::count_taken(tx, reservation.plan, -1).await?;
    }
    Ok(())
}
