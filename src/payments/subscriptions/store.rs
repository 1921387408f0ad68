//! The SQL of bills that could not be collected.

use crate::db::Conn;
use crate::kernel::{Currency, Id, Money};
use crate::payments::provider::Invoice;
use sqlx::{Any, Row};

crate::statements! {
    ORDER_OF_BILL = "SELECT id FROM orders WHERE user_id = $1 AND details = $2";
    USER_OF_CUSTOMER = "SELECT user_id FROM provider_customer WHERE provider = $1 AND customer = $2";
    PENDING_SUBSCRIPTIONS = "SELECT id FROM orders WHERE user_id = $1 AND state = 'pending' AND what = 'plan' AND details = 'subscription' ORDER BY id";
    /// A message about an earlier try changes nothing any more.
    NOTE = "INSERT INTO unpaid_bill (provider, bill, subscription_id, amount, currency, attempts, next_attempt_at, page, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
        ON CONFLICT (provider, bill) DO UPDATE SET attempts = excluded.attempts, next_attempt_at = excluded.next_attempt_at, page = excluded.page \
        WHERE unpaid_bill.attempts < excluded.attempts AND unpaid_bill.closed_at IS NULL";
    CLOSE = "UPDATE unpaid_bill SET closed_at = $3 WHERE provider = $1 AND bill = $2 AND closed_at IS NULL";
    CLOSE_ALL = "UPDATE unpaid_bill SET closed_at = $2 WHERE subscription_id = $1 AND closed_at IS NULL";
    OPEN = "SELECT bill, amount, currency, attempts, next_attempt_at, page FROM unpaid_bill WHERE subscription_id = $1 AND closed_at IS NULL ORDER BY created_at DESC, bill LIMIT 1";
}

/// A bill that could not be collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpaidBill {
    /// The provider's id.
    pub bill: String,
    /// How much.
    pub amount: Money,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next.
    pub next_attempt_at: Option<i64>,
    /// The provider's page on which it can be paid.
    pub page: Option<String>,
}

impl UnpaidBill {
    /// The page on which it can be paid by any card, when that is one.
    pub fn web_page(&self) -> Option<&str> {
        self.page.as_deref().filter(|page| page.starts_with("https://") || page.starts_with("http://"))
    }
}

/// The order of a bill that was collected.
pub(super) async fn order_of_bill(conn: &mut Conn, user: Id, source: &str) -> Result<Option<Id>, sqlx::Error> {
    Ok(sqlx::query_scalar::<Any, i64>(ORDER_OF_BILL).bind(user.0).bind(source.to_owned()).fetch_optional(conn).await?.map(Id))
}

/// Which of ours one of the provider's customers is.
pub(super) async fn user_of_customer(conn: &mut Conn, provider: &str, customer: &str) -> Result<Option<Id>, sqlx::Error> {
    let query = sqlx::query_scalar::<Any, i64>(USER_OF_CUSTOMER).bind(provider.to_owned()).bind(customer.to_owned());
    Ok(query.fetch_optional(conn).await?.map(Id))
}

/// The orders with which a customer is about to subscribe.
pub(super) async fn pending_subscriptions(conn: &mut Conn, user: Id) -> Result<Vec<Id>, sqlx::Error> {
    Ok(sqlx::query_scalar::<Any, i64>(PENDING_SUBSCRIPTIONS).bind(user.0).fetch_all(conn).await?.into_iter().map(Id).collect())
}

/// Notes that a bill could not be collected. Whether that try was not known.
pub(super) async fn note(conn: &mut Conn, provider: &str, subscription: Id, bill: &Invoice) -> Result<bool, sqlx::Error> {
    let query = sqlx::query(NOTE).bind(provider.to_owned()).bind(bill.id.clone()).bind(subscription.0).bind(bill.total.minor);
    let query = query.bind(bill.total.currency.code().to_owned()).bind(i64::from(bill.attempts)).bind(bill.next_attempt_at).bind(bill.page.clone());
    Ok(query.bind(bill.created_at).execute(conn).await?.rows_affected() == 1)
}

/// Nobody waits for a bill any more.
pub(super) async fn close(conn: &mut Conn, provider: &str, bill: &str, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query(CLOSE).bind(provider.to_owned()).bind(bill.to_owned()).bind(now).execute(conn).await.map(drop)
}

/// Nobody waits for any bill of a subscription any more.
pub(super) async fn close_all(conn: &mut Conn, subscription: Id, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query(CLOSE_ALL).bind(subscription.0).bind(now).execute(conn).await.map(drop)
}

/// The newest bill of a subscription that waits to be paid.
pub(super) async fn open(conn: &mut Conn, subscription: Id) -> Result<Option<UnpaidBill>, sqlx::Error> {
    let Some(row) = sqlx::query(OPEN).bind(subscription.0).fetch_optional(conn).await? else { return Ok(None) };
    let currency: String = row.try_get(2)?;
    let currency: Currency = currency.parse().map_err(|_| sqlx::Error::Decode(format!("currency {currency:?}").into()))?;
    Ok(Some(UnpaidBill {
        bill: row.try_get(0)?,
        amount: Money::new(row.try_get(1)?, currency),
        attempts: row.try_get(3)?,
        next_attempt_at: row.try_get(4)?,
        page: row.try_get(5)?,
    }))
}
