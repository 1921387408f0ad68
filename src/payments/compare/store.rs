//! The SQL of the provider's movements, and of what our books have of a period.

use crate::db::Conn;
use crate::kernel::{Currency, Id, Money, Usd};
use crate::payments::State;
use crate::payments::provider::{DisputeState, Movement};
use crate::payments::store::dispute_state;
use sqlx::any::AnyRow;
use sqlx::{Any, Row};

/// The columns that [`bill`] reads, in its order.
macro_rules! bill {
    () => {
        "id, price, currency, state, payment, paid_at, created_at FROM orders WHERE "
    };
}

crate::statements! {
    FIRST_PAID = "SELECT MIN(paid_at) FROM orders WHERE method = $1 AND paid_at IS NOT NULL";
    MOVEMENT = "SELECT COUNT(*) FROM payment_movement WHERE provider = $1 AND theirs = $2";
    INSERT_MOVEMENT = "INSERT INTO payment_movement (provider, theirs, currency, amount, cost, payment, created_at, read_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
        ON CONFLICT DO NOTHING";
    POSTED = "UPDATE payment_movement SET posted = $3 WHERE provider = $1 AND theirs = $2 AND posted IS NULL";
    UNPOSTED = "SELECT theirs, currency, cost, payment FROM payment_movement WHERE provider = $1 AND posted IS NULL ORDER BY created_at LIMIT $2";
    KEPT = "SELECT theirs, currency, cost, payment, posted, created_at FROM payment_movement WHERE provider = $1 AND created_at >= $2 AND created_at < $3 \
        ORDER BY created_at, theirs LIMIT $4";
    BILLS = concat!("SELECT ", bill!(), "method = $1 AND paid_at >= $2 AND paid_at < $3 ORDER BY paid_at, id LIMIT $4");
    BILL_OF_PAYMENT = concat!("SELECT ", bill!(), "method = $1 AND payment = $2");
    BILL = concat!("SELECT ", bill!(), "method = $1 AND id = $2");
    REFUNDS = "SELECT r.id, r.order_id, r.amount, o.currency, r.state, r.is_theirs, r.provider_refund, r.created_at FROM refund r JOIN orders o ON o.id = r.order_id \
        WHERE o.method = $1 AND r.created_at >= $2 AND r.created_at < $3 ORDER BY r.created_at, r.id LIMIT $4";
    DISPUTES = "SELECT d.theirs, d.order_id, d.amount, o.currency, d.state, d.created_at FROM dispute d JOIN orders o ON o.id = d.order_id \
        WHERE d.provider = $1 AND d.created_at >= $2 AND d.created_at < $3 ORDER BY d.created_at, d.id LIMIT $4";
}

/// When somebody has paid by the provider for the first time.
pub(in crate::payments) async fn first_paid(conn: &mut Conn, provider: &str) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar::<Any, Option<i64>>(FIRST_PAID).bind(provider.to_owned()).fetch_one(conn).await
}

/// Whether a movement is known.
pub(in crate::payments) async fn is_known(conn: &mut Conn, provider: &str, theirs: &str) -> Result<bool, sqlx::Error> {
    let known: i64 = sqlx::query_scalar(MOVEMENT).bind(provider.to_owned()).bind(theirs.to_owned()).fetch_one(conn).await?;
    Ok(known > 0)
}

/// Keeps a movement. Whether it was not known.
pub(in crate::payments) async fn insert_movement(conn: &mut Conn, provider: &str, movement: &Movement, now: i64) -> Result<bool, sqlx::Error> {
    let query = sqlx::query(INSERT_MOVEMENT).bind(provider.to_owned()).bind(movement.id.clone()).bind(movement.amount.currency.code().to_owned());
    let query = query.bind(movement.amount.minor).bind(movement.cost().minor).bind(movement.payment.clone()).bind(movement.created_at).bind(now);
    Ok(query.execute(conn).await?.rows_affected() == 1)
}

/// Notes what was posted of a movement. Whether nothing was before.
pub(in crate::payments) async fn posted(conn: &mut Conn, provider: &str, theirs: &str, amount: Usd) -> Result<bool, sqlx::Error> {
    let query = sqlx::query(POSTED).bind(provider.to_owned()).bind(theirs.to_owned()).bind(amount.0);
    Ok(query.execute(conn).await?.rows_affected() == 1)
}

fn currency(code: &str) -> Result<Currency, sqlx::Error> {
    code.parse().map_err(|_| sqlx::Error::Decode(format!("currency {code:?}").into()))
}

/// A movement whose fee waits for a rate: the provider's id, what it costs, and the payment that it belongs to.
pub(in crate::payments) type Unposted = (String, Money, Option<String>);

/// Movements of which nothing was posted yet, the oldest first.
pub(in crate::payments) async fn unposted(conn: &mut Conn, provider: &str, limit: i64) -> Result<Vec<Unposted>, sqlx::Error> {
    let rows: Vec<(String, String, i64, Option<String>)> = sqlx::query_as::<Any, _>(UNPOSTED).bind(provider.to_owned()).bind(limit).fetch_all(conn).await?;
    rows.into_iter().map(|(theirs, code, cost, payment)| Ok((theirs, Money::new(cost, currency(&code)?), payment))).collect()
}

/// A movement as it was read.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The provider's id.
    pub theirs: String,
    /// What it costs.
    pub cost: Money,
    /// The payment that it belongs to.
    pub payment: Option<String>,
    /// What was posted.
    pub posted: Option<Usd>,
    /// When it happened.
    pub created_at: i64,
}

/// The movements of a time that were read.
pub(super) async fn kept(conn: &mut Conn, provider: &str, (from, until): (i64, i64), limit: i64) -> Result<Vec<Kept>, sqlx::Error> {
    let rows = sqlx::query(KEPT).bind(provider.to_owned()).bind(from).bind(until).bind(limit).fetch_all(conn).await?;
    let read = |row: &AnyRow| {
        Ok(Kept {
            theirs: row.try_get(0)?,
            cost: Money::new(row.try_get(2)?, currency(&row.try_get::<String, _>(1)?)?),
            payment: row.try_get(3)?,
            posted: row.try_get::<Option<i64>, _>(4)?.map(Usd),
            created_at: row.try_get(5)?,
        })
    };
    rows.iter().map(read).collect()
}

/// An order as a payment is held against it.
#[derive(Clone, Debug)]
pub struct Bill {
    /// The order.
    pub order: Id,
    /// What was to be paid.
    pub price: Money,
    /// How it stands.
    pub state: State,
    /// The provider's id of the payment.
    pub payment: Option<String>,
    /// When it was paid, else made.
    pub at: i64,
}

fn bill(row: &AnyRow) -> Result<Bill, sqlx::Error> {
    let state: String = row.try_get(3)?;
    Ok(Bill {
        order: Id(row.try_get(0)?),
        price: Money::new(row.try_get(1)?, currency(&row.try_get::<String, _>(2)?)?),
        state: State::from_word(&state).ok_or_else(|| sqlx::Error::Decode(format!("state {state:?}").into()))?,
        payment: row.try_get(4)?,
        at: row.try_get::<Option<i64>, _>(5)?.map_or_else(|| row.try_get(6), Ok)?,
    })
}

/// The orders that were paid in a time.
pub(super) async fn bills(conn: &mut Conn, provider: &str, (from, until): (i64, i64), limit: i64) -> Result<Vec<Bill>, sqlx::Error> {
    let query = sqlx::query(BILLS).bind(provider.to_owned()).bind(from).bind(until).bind(limit);
    query.fetch_all(conn).await?.iter().map(bill).collect()
}

/// The order of a payment: by the payment's id, else by the order that the provider says it is for.
pub(super) async fn bill_of(conn: &mut Conn, provider: &str, payment: &str, said: Option<Id>) -> Result<Option<Bill>, sqlx::Error> {
    let found = sqlx::query(BILL_OF_PAYMENT).bind(provider.to_owned()).bind(payment.to_owned()).fetch_optional(&mut *conn).await?;
    let found = match (found, said) {
        (None, Some(order)) => sqlx::query(BILL).bind(provider.to_owned()).bind(order.0).fetch_optional(conn).await?,
        (found, _) => found,
    };
    found.as_ref().map(bill).transpose()
}

/// A refund of ours.
#[derive(Clone, Debug)]
pub struct OurRefund {
    /// The order.
    pub order: Id,
    /// How much.
    pub amount: Money,
    /// `taking`, `sending`, `done` or `failed`.
    pub state: String,
    /// It was made at the provider.
    pub is_theirs: bool,
    /// The provider's id.
    pub theirs: Option<String>,
    /// When it was made.
    pub at: i64,
}

/// The refunds that were made in a time.
pub(super) async fn refunds(conn: &mut Conn, provider: &str, (from, until): (i64, i64), limit: i64) -> Result<Vec<OurRefund>, sqlx::Error> {
    let rows = sqlx::query(REFUNDS).bind(provider.to_owned()).bind(from).bind(until).bind(limit).fetch_all(conn).await?;
    let read = |row: &AnyRow| {
        Ok(OurRefund {
            order: Id(row.try_get(1)?),
            amount: Money::new(row.try_get(2)?, currency(&row.try_get::<String, _>(3)?)?),
            state: row.try_get(4)?,
            is_theirs: row.try_get::<i64, _>(5)? == 1,
            theirs: row.try_get(6)?,
            at: row.try_get(7)?,
        })
    };
    rows.iter().map(read).collect()
}

/// A dispute that we have heard of.
#[derive(Clone, Debug)]
pub struct OurDispute {
    /// The provider's id.
    pub theirs: String,
    /// The order.
    pub order: Id,
    /// How much.
    pub amount: Money,
    /// How it stands.
    pub state: DisputeState,
    /// When it was opened.
    pub at: i64,
}

/// The disputes that were opened in a time.
pub(super) async fn disputes(conn: &mut Conn, provider: &str, (from, until): (i64, i64), limit: i64) -> Result<Vec<OurDispute>, sqlx::Error> {
    let rows = sqlx::query(DISPUTES).bind(provider.to_owned()).bind(from).bind(until).bind(limit).fetch_all(conn).await?;
    let read = |row: &AnyRow| {
        Ok(OurDispute {
            theirs: row.try_get(0)?,
            order: Id(row.try_get(1)?),
            amount: Money::new(row.try_get(2)?, currency(&row.try_get::<String, _>(3)?)?),
            state: dispute_state(&row.try_get::<String, _>(4)?),
            at: row.try_get(5)?,
        })
    };
    rows.iter().map(read).collect()
}
