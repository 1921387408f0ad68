//! Coupons: what is taken off a purchase, or given on top of it, to who types a code.
//!
//! Invariants: a coupon is reserved, used or released once per order, with the discount it had when it was reserved; reserved and used together never exceed
//! its total limit nor its limit per customer, except for an order that was paid after its reservation had ended, which is honoured; a discount is rounded
//! down, never exceeds the purchase, and makes it free only where the coupon says 100 %.
//!
//! Locks are taken in the order use, coupon, first purchase, count, and before the wallet; all of them in the transaction of the order.
//!
//! Callers: the orders (reserve, used, release), the admin's coupon pages.

mod draft;
mod reserve;
pub mod store;
mod terms;

pub use draft::{CouponFields, Draft};
pub use reserve::{Basket, CouponError, Discount, quote, release, reserve, used};
pub use terms::{Amounts, Applies, Bought, Off, Terms};

use crate::admin_log;
use crate::db::{Conn, Db};
use crate::kernel::{FieldError, Id, Kit, Money, Usd};

/// A coupon as the admin sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CouponView {
    /// Its row.
    pub id: Id,
    /// What it says.
    pub draft: Draft,
    /// How often it is reserved or used by now.
    pub taken: i64,
    /// How often it was used.
    pub used: i64,
    /// When it was made.
    pub created_at: i64,
}

/// What became of a coupon in an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseState {
    /// The order is on its way.
    Reserved,
    /// The order was paid.
    Used,
    /// The order ended unpaid.
    Released,
}

impl UseState {
    const ALL: [UseState; 3] = [UseState::Reserved, UseState::Used, UseState::Released];

    /// The word in the database.
    pub const fn word(self) -> &'static str {
        match self {
            UseState::Reserved => "reserved",
            UseState::Used => "used",
            UseState::Released => "released",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// A coupon in an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseView {
    /// The order.
    pub order: Id,
    /// Whose.
    pub user: Id,
    /// Their address.
    pub email: Option<String>,
    /// What became of it.
    pub state: UseState,
    /// What was taken off.
    pub off: Money,
    /// What was given on top.
    pub bonus: Usd,
    /// When it was reserved.
    pub at: i64,
}

/// Why a coupon was not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// What was typed has mistakes.
    #[error("the form has mistakes")]
    Invalid(Vec<FieldError>),
    /// There is no such coupon.
    #[error("no such coupon")]
    NotFound,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Makes a coupon, or changes one; who has reserved it keeps what they were promised. Its row.
///
/// # Errors
/// As [`SaveError`] says; then nothing has changed.
pub async fn save(db: &Db, kit: &Kit, actor: Id, id: Option<Id>, draft: &Draft) -> Result<Id, SaveError> {
    let mut tx = db.write().await?;
    let taken = || SaveError::Invalid(vec![FieldError::new("code", "coupons.error.code_taken")]);
    if store::by_key(&mut tx, &draft.key()).await?.is_some_and(|known| Some(known.id) != id) {
        return Err(taken());
    }
    let saved = match id {
        Some(id) => store::update(&mut tx, id, draft).await?.then_some(id).ok_or(SaveError::NotFound)?,
        None => {
            let id = kit.ids.next();
            store::insert(&mut tx, id, draft, actor, kit.clock.now_ms()).await.map_err(|error| match error {
                sqlx::Error::Database(error) if error.is_unique_violation() => taken(),
                other => other.into(),
            })?;
            id
        }
    };
    let deed = if id.is_some() { "coupon-changed" } else { "coupon-made" };
    admin_log::record(&mut tx, kit, Some(actor), deed, &saved.to_string(), &draft.code).await?;
    tx.commit().await?;
    Ok(saved)
}

/// Coupons whose code or note contains `search`, newest first, older than `before`.
///
/// # Errors
/// The database's.
pub async fn list(conn: &mut Conn, search: &str, before: Option<Id>, limit: i64) -> Result<Vec<CouponView>, sqlx::Error> {
    store::list(conn, search.trim(), before.unwrap_or(Id(i64::MAX)), limit).await
}

/// One coupon.
///
/// # Errors
/// The database's.
pub async fn find(conn: &mut Conn, id: Id) -> Result<Option<CouponView>, sqlx::Error> {
    store::by_id(conn, id).await
}

/// The orders that a coupon was in, newest first, before the order `before`.
///
/// # Errors
/// The database's.
pub async fn uses(conn: &mut Conn, coupon: Id, before: Option<Id>, limit: i64) -> Result<Vec<UseView>, sqlx::Error> {
    store::uses(conn, coupon, before.unwrap_or(Id(i64::MAX)), limit).await
}
