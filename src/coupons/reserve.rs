//! A coupon in an order: reserved when the order is made, used when it is paid, released when it ends unpaid.

use super::draft::key_of;
use super::terms::{Bought, Nothing};
use super::{CouponView, UseState, store};
use crate::db::{Conn, Tx};
use crate::kernel::{Id, Kit, Money, Usd};

/// What somebody wants to buy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basket {
    /// What it is.
    pub what: Bought,
    /// What it costs without a coupon.
    pub money: Money,
    /// No order of this customer was ever paid.
    pub first: bool,
}

/// What a coupon does for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discount {
    /// The coupon.
    pub coupon: Id,
    /// Comes off the price; never more than the price.
    pub off: Money,
    /// Credit on top, a gift of the shop.
    pub bonus: Usd,
}

/// Why a coupon does nothing for an order.
#[derive(Debug, thiserror::Error)]
pub enum CouponError {
    /// No coupon has this code, or it is switched off.
    #[error("no such coupon")]
    Unknown,
    /// Its time has not come.
    #[error("the coupon is not valid yet")]
    NotYet,
    /// Its time is over.
    #[error("the coupon has ended")]
    Ended,
    /// Others have used it up.
    #[error("the coupon is used up")]
    UsedUp,
    /// The customer has used it as often as one may.
    #[error("the customer has used the coupon up")]
    UsedUpByYou,
    /// It is for a first purchase.
    #[error("the coupon is for a first purchase")]
    NotFirst,
    /// It is for something else.
    #[error("the coupon is for something else")]
    OtherThing,
    /// It says nothing of this currency.
    #[error("the coupon is for another currency")]
    OtherCurrency,
    /// The purchase is too small for it.
    #[error("the purchase is too small for the coupon")]
    TooSmall,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl CouponError {
    /// What to tell the customer, as a translation key. None when the database failed.
    pub fn key(&self) -> Option<&'static str> {
        Some(match self {
            CouponError::Unknown => "coupons.refused.unknown",
            CouponError::NotYet => "coupons.refused.not_yet",
            CouponError::Ended => "coupons.refused.ended",
            CouponError::UsedUp => "coupons.refused.used_up",
            CouponError::UsedUpByYou => "coupons.refused.used_up_by_you",
            CouponError::NotFirst => "coupons.refused.not_first",
            CouponError::OtherThing => "coupons.refused.other_thing",
            CouponError::OtherCurrency => "coupons.refused.other_currency",
            CouponError::TooSmall => "coupons.refused.too_small",
            CouponError::Database(_) => return None,
        })
    }
}

impl From<Nothing> for CouponError {
    fn from(nothing: Nothing) -> Self {
        match nothing {
            Nothing::OtherThing => CouponError::OtherThing,
            Nothing::OtherCurrency => CouponError::OtherCurrency,
            Nothing::TooSmall => CouponError::TooSmall,
        }
    }
}

/// What a coupon would do, for a page. Reserves nothing, and promises nothing.
///
/// # Errors
/// As [`CouponError`] says.
pub async fn quote(conn: &mut Conn, kit: &Kit, user: Id, typed: &str, basket: &Basket) -> Result<Discount, CouponError> {
    let key = key_of(typed).ok_or(CouponError::Unknown)?;
    let coupon = store::by_key(conn, &key).await?.ok_or(CouponError::Unknown)?;
    check(conn, &coupon, kit.clock.now_ms(), user, basket).await
}

/// Reserves a coupon for an order, in the transaction that makes it. The same order gets the same again.
///
/// # Errors
/// As [`CouponError`] says; then nothing was written.
pub async fn reserve(tx: &mut Tx, kit: &Kit, user: Id, typed: &str, order: Id, basket: &Basket) -> Result<Discount, CouponError> {
    if let Some(known) = store::use_of(tx, order).await?.filter(|known| known.state != UseState::Released) {
        return Ok(Discount { coupon: known.coupon, off: known.off, bonus: known.bonus });
    }
    let key = key_of(typed).ok_or(CouponError::Unknown)?;
    // From here on the coupon's row is locked: whoever else wants it waits, and then counts this one.
    let coupon = store::lock(tx, &key).await?.ok_or(CouponError::Unknown)?;
    let now = kit.clock.now_ms();
    let discount = check(tx, &coupon, now, user, basket).await?;
    // The customer's first purchase is one, whichever of their coupons for it they try.
    if coupon.draft.first_only && !store::claim_first(tx, user, order).await? {
        return Err(CouponError::NotFirst);
    }
    store::take(tx, coupon.id, user, 1).await?;
    store::insert_use(tx, order, user, &discount, now).await?;
    Ok(discount)
}

async fn check(conn: &mut Conn, coupon: &CouponView, now: i64, user: Id, basket: &Basket) -> Result<Discount, CouponError> {
    let draft = &coupon.draft;
    if !draft.enabled {
        return Err(CouponError::Unknown);
    }
    if now < draft.starts_at {
        return Err(CouponError::NotYet);
    }
    if now >= draft.ends_at {
        return Err(CouponError::Ended);
    }
    let (off, bonus) = draft.terms.discount(basket.what, basket.money)?;
    if draft.first_only && !basket.first {
        return Err(CouponError::NotFirst);
    }
    if let Some(limit) = draft.per_customer
        && store::count(conn, coupon.id, user).await? >= limit
    {
        return Err(CouponError::UsedUpByYou);
    }
    if draft.total_limit.is_some_and(|limit| coupon.taken >= limit) {
        return Err(CouponError::UsedUp);
    }
    Ok(Discount { coupon: coupon.id, off, bonus })
}

/// The order was paid: its coupon is used for good, even if the reservation had ended. Whether that is new. To be called before the wallet is locked.
///
/// # Errors
/// The database's.
pub async fn used(tx: &mut Tx, order: Id) -> Result<bool, sqlx::Error> {
    let Some(known) = store::lock_use(tx, order).await? else { return Ok(false) };
    match known.state {
        UseState::Used => return Ok(false),
        UseState::Reserved => {}
        UseState::Released => store::take(tx, known.coupon, known.user, 1).await?,
    }
    store::set_use(tx, order, UseState::Used).await?;
    store::note_used(tx, known.coupon).await?;
    store::free_first(tx, order).await?;
    Ok(true)
}

/// The order ended unpaid: its coupon is free again. Whether it was reserved until now.
///
/// # Errors
/// The database's.
pub async fn release(tx: &mut Tx, order: Id) -> Result<bool, sqlx::Error> {
    let Some(known) = store::lock_use(tx, order).await?.filter(|known| known.state == UseState::Reserved) else { return Ok(false) };
    store::take(tx, known.coupon, known.user, -1).await?;
    store::set_use(tx, order, UseState::Released).await?;
    store::free_first(tx, order).await?;
    Ok(true)
}
