//! The SQL of what a card is charged for by itself.

use super::{Automatic, Reason, Terms};
use crate::db::Conn;
use crate::kernel::{Currency, Id, Money, Usd};
use sqlx::{Any, Row, any::AnyRow};

/// The columns that [`row`] reads, in its order.
macro_rules! columns {
    () => {
        "user_id, is_on, below, amount, monthly, currency, price, agreed_at, failures, reason, paused_until"
    };
}

crate::statements! {
    FIND = concat!("SELECT ", columns!(), " FROM automatic_top_up WHERE user_id = $1");
    /// Takes the row's lock for the rest of the transaction.
    LOCK = concat!("UPDATE automatic_top_up SET failures = failures WHERE user_id = $1 RETURNING ", columns!());
    AGREE = "INSERT INTO automatic_top_up (user_id, is_on, below, amount, monthly, currency, price, agreed_at, paused_until) VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $7) \
        ON CONFLICT (user_id) DO UPDATE SET is_on = 1, below = excluded.below, amount = excluded.amount, monthly = excluded.monthly, currency = excluded.currency, \
        price = excluded.price, agreed_at = excluded.agreed_at, failures = 0, reason = NULL, paused_until = excluded.paused_until";
    SET_OFF = "UPDATE automatic_top_up SET is_on = 0, reason = $2, paused_until = 0 WHERE user_id = $1";
    PAUSE = "UPDATE automatic_top_up SET paused_until = $2, failures = $3, reason = $4 WHERE user_id = $1";
    DUE = "SELECT user_id FROM automatic_top_up WHERE is_on = 1 AND paused_until > 0 AND paused_until <= $1 ORDER BY paused_until LIMIT $2";
    INSERT_CONSENT = "INSERT INTO card_consent (id, user_id, terms, given_at) VALUES ($1, $2, $3, $4)";
    INSERT_CHARGE = "INSERT INTO automatic_order (order_id, user_id, card, state, asked_at) VALUES ($1, $2, $3, 'charging', 0)";
    CHARGE = "SELECT card, state, reason, asked_at FROM automatic_order WHERE order_id = $1";
    OPEN = "SELECT order_id FROM automatic_order WHERE user_id = $1 AND state <> 'done'";
    SET_STEP = "UPDATE automatic_order SET state = $2, reason = $3 WHERE order_id = $1";
    ASKED = "UPDATE automatic_order SET asked_at = $2 WHERE order_id = $1";
    /// What was bought since a moment, what is under way included.
    BOUGHT_SINCE = "SELECT CAST(COALESCE(SUM(o.worth), 0) AS BIGINT) FROM automatic_order a JOIN orders o ON o.id = a.order_id \
        WHERE a.user_id = $1 AND o.created_at >= $2 AND o.state NOT IN ('failed', 'expired')";
    CONFIRM_UNTIL = "UPDATE orders SET expires_at = $2, next_look_at = $3 WHERE id = $1 AND state = 'pending'";
}

/// How far a charge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::payments) enum Step {
    /// The provider is to be asked, or was asked and has not been heard.
    Charging,
    /// The provider has the order and the money is under way.
    Processing,
    /// The customer has to confirm it.
    Confirming,
    /// It failed, and is to be given up at the provider before the order ends.
    Declined,
    /// The order is paid or has ended.
    Done,
}

impl Step {
    const ALL: [Step; 5] = [Step::Charging, Step::Processing, Step::Confirming, Step::Declined, Step::Done];

    const fn word(self) -> &'static str {
        match self {
            Step::Charging => "charging",
            Step::Processing => "processing",
            Step::Confirming => "confirming",
            Step::Declined => "declined",
            Step::Done => "done",
        }
    }
}

/// A charge's row.
#[derive(Clone, Debug)]
pub(in crate::payments) struct Charge {
    pub card: String,
    pub step: Step,
    pub reason: Option<Reason>,
    pub asked_at: i64,
}

fn row(row: &AnyRow) -> Result<Automatic, sqlx::Error> {
    let code: String = row.try_get(5)?;
    let currency: Currency = code.parse().map_err(|_| sqlx::Error::Decode(format!("currency {code:?}").into()))?;
    Ok(Automatic {
        user: Id(row.try_get(0)?),
        is_on: row.try_get::<i64, _>(1)? == 1,
        terms: Terms { below: Usd(row.try_get(2)?), amount: Usd(row.try_get(3)?), monthly: Usd(row.try_get(4)?) },
        price: Money::new(row.try_get(6)?, currency),
        agreed_at: row.try_get(7)?,
        failures: row.try_get(8)?,
        reason: row.try_get::<Option<String>, _>(9)?.as_deref().and_then(Reason::from_word),
        paused_until: row.try_get(10)?,
    })
}

pub(super) async fn find(conn: &mut Conn, user: Id) -> Result<Option<Automatic>, sqlx::Error> {
    sqlx::query(FIND).bind(user.0).fetch_optional(conn).await?.as_ref().map(row).transpose()
}

pub(super) async fn lock(conn: &mut Conn, user: Id) -> Result<Option<Automatic>, sqlx::Error> {
    sqlx::query(LOCK).bind(user.0).fetch_optional(conn).await?.as_ref().map(row).transpose()
}

pub(super) async fn agree(conn: &mut Conn, user: Id, terms: &Terms, price: Money, now: i64) -> Result<(), sqlx::Error> {
    let query = sqlx::query(AGREE).bind(user.0).bind(terms.below.0).bind(terms.amount.0).bind(terms.monthly.0);
    query.bind(price.currency.code().to_owned()).bind(price.minor).bind(now).execute(conn).await.map(drop)
}

pub(super) async fn set_off(conn: &mut Conn, user: Id, reason: Option<Reason>) -> Result<(), sqlx::Error> {
    sqlx::query(SET_OFF).bind(user.0).bind(reason.map(Reason::word)).execute(conn).await.map(drop)
}

pub(super) async fn pause(conn: &mut Conn, user: Id, until: i64, failures: i64, reason: Option<Reason>) -> Result<(), sqlx::Error> {
    sqlx::query(PAUSE).bind(user.0).bind(until).bind(failures).bind(reason.map(Reason::word)).execute(conn).await.map(drop)
}

pub(super) async fn due(conn: &mut Conn, now: i64, limit: i64) -> Result<Vec<Id>, sqlx::Error> {
    let ids: Vec<i64> = sqlx::query_scalar(DUE).bind(now).bind(limit).fetch_all(conn).await?;
    Ok(ids.into_iter().map(Id).collect())
}

pub(super) async fn insert_consent(conn: &mut Conn, id: Id, user: Id, terms: &str, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT_CONSENT).bind(id.0).bind(user.0).bind(terms.to_owned()).bind(now).execute(conn).await.map(drop)
}

pub(super) async fn insert_charge(conn: &mut Conn, order: Id, user: Id, card: &str) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT_CHARGE).bind(order.0).bind(user.0).bind(card.to_owned()).execute(conn).await.map(drop)
}

pub(in crate::payments) async fn charge(conn: &mut Conn, order: Id) -> Result<Option<Charge>, sqlx::Error> {
    let Some(row) = sqlx::query(CHARGE).bind(order.0).fetch_optional(conn).await? else { return Ok(None) };
    let word: String = row.try_get(1)?;
    let step = Step::ALL.into_iter().find(|step| step.word() == word).ok_or_else(|| sqlx::Error::Decode(format!("step {word:?}").into()))?;
    let reason = row.try_get::<Option<String>, _>(2)?.as_deref().and_then(Reason::from_word);
    Ok(Some(Charge { card: row.try_get(0)?, step, reason, asked_at: row.try_get(3)? }))
}

/// The order that is under way.
pub(super) async fn open(conn: &mut Conn, user: Id) -> Result<Option<Id>, sqlx::Error> {
    Ok(sqlx::query_scalar::<Any, i64>(OPEN).bind(user.0).fetch_optional(conn).await?.map(Id))
}

pub(super) async fn set_step(conn: &mut Conn, order: Id, step: Step, reason: Option<Reason>) -> Result<(), sqlx::Error> {
    sqlx::query(SET_STEP).bind(order.0).bind(step.word()).bind(reason.map(Reason::word)).execute(conn).await.map(drop)
}

pub(super) async fn asked(conn: &mut Conn, order: Id, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query(ASKED).bind(order.0).bind(now).execute(conn).await.map(drop)
}

pub(super) async fn bought_since(conn: &mut Conn, user: Id, since: i64) -> Result<Usd, sqlx::Error> {
    sqlx::query_scalar::<Any, i64>(BOUGHT_SINCE).bind(user.0).bind(since).fetch_one(conn).await.map(Usd)
}

pub(super) async fn confirm_until(conn: &mut Conn, order: Id, until: i64, next_look_at: i64) -> Result<(), sqlx::Error> {
    sqlx::query(CONFIRM_UNTIL).bind(order.0).bind(until).bind(next_look_at).execute(conn).await.map(drop)
}
