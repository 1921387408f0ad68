//! The SQL of statements. A transfer's effect is what it adds to what a customer has less what they owe: accounts of customers have numbers from 1000 on.

use super::{DaySum, Sort};
use crate::db::Conn;
use crate::kernel::{Id, Usd};
use crate::ledger::store::{TransferRow, transfer_row};
use sqlx::Any;

macro_rules! effect {
    () => {
        "amount * (CASE WHEN credit >= 1000 THEN 1 ELSE 0 END - CASE WHEN debit >= 1000 THEN 1 ELSE 0 END)"
    };
}

/// A row of the statement. What moves between the shop's own accounts is not the customer's.
macro_rules! theirs {
    () => {
        "user_id = $1 AND (debit >= 1000 OR credit >= 1000)"
    };
}

macro_rules! is_charge {
    () => {
        "kind IN ('capture', 'overage', 'overdraft', 'correction')"
    };
}

macro_rules! sort {
    () => {
        "CASE kind WHEN 'capture' THEN 'charge' WHEN 'overage' THEN 'charge' WHEN 'overdraft' THEN 'charge' WHEN 'correction' THEN 'charge' \
         WHEN 'chargeback' THEN 'refund' WHEN 'ended' THEN 'expiry' ELSE kind END"
    };
}

crate::statements! {
    TOTAL = "SELECT CAST(COALESCE((SELECT SUM(posted) FROM credit WHERE user_id = $1 AND live = 1), 0) - COALESCE((SELECT owed FROM wallet WHERE user_id = $1), 0) AS BIGINT)";
    CHANGE = concat!("SELECT CAST(COALESCE(SUM(", effect!(), "), 0) AS BIGINT) FROM transfer WHERE user_id = $1 AND id > $2 AND id <= $3");
    LINES = concat!("SELECT id, debit, credit, amount, kind, reference, at FROM transfer WHERE ", theirs!(), " AND id >= $2 AND id < $3 ORDER BY id DESC LIMIT $4");
    /// Charges are many: what is not one is found by an index that leaves out most of them.
    LINES_OF_SORT = concat!("SELECT id, debit, credit, amount, kind, reference, at FROM transfer WHERE ", theirs!(), " AND id >= $2 AND id < $3 AND kind <> 'capture' AND ",
        sort!(), " = $5 ORDER BY id DESC LIMIT $4");
    CHARGES = concat!("SELECT id, debit, credit, amount, kind, reference, at FROM transfer WHERE ", theirs!(), " AND id >= $2 AND id < $3 AND ",
        is_charge!(), " ORDER BY id DESC LIMIT $4");
    ONWARD = concat!("SELECT id, debit, credit, amount, kind, reference, at FROM transfer WHERE ", theirs!(), " AND id > $2 AND id < $3 ORDER BY id LIMIT $4");
    NEWEST = concat!("SELECT MAX(id) FROM transfer WHERE ", theirs!(), " AND id >= $2 AND id < $3");
    SUMS = concat!("SELECT CAST(COALESCE(SUM(", effect!(), "), 0) AS BIGINT), CAST(COALESCE(SUM(CASE WHEN ", is_charge!(), " THEN ", effect!(), " ELSE 0 END), 0) AS BIGINT), \
        CAST(COALESCE(SUM(CASE WHEN ", is_charge!(), " OR debit >= 1000 THEN 0 ELSE amount END), 0) AS BIGINT), \
        CAST(COALESCE(SUM(CASE WHEN ", is_charge!(), " THEN 1 ELSE 0 END), 0) AS BIGINT), COUNT(*) FROM transfer WHERE ", theirs!(), " AND id >= $2 AND id < $3");
    /// By the index of open holds: the plus keeps the order from having all holds read by their ids.
    HOLDS = "SELECT id, amount FROM hold WHERE user_id = $1 AND state = 'open' ORDER BY +id LIMIT $2";
}

/// What a customer has, held or not, less what they owe.
pub(super) async fn total(conn: &mut Conn, user: Id) -> Result<Usd, sqlx::Error> {
    Ok(Usd(sqlx::query_scalar::<Any, i64>(TOTAL).bind(user.0).fetch_one(conn).await?))
}

/// What the transfers after one and up to another have changed.
pub(in crate::ledger) async fn change(conn: &mut Conn, user: Id, after: Id, upto: Id) -> Result<Usd, sqlx::Error> {
    Ok(Usd(sqlx::query_scalar::<Any, i64>(CHANGE).bind(user.0).bind(after.0).bind(upto.0).fetch_one(conn).await?))
}

/// Newest first, from `from` to before `until`.
pub(super) async fn rows(conn: &mut Conn, user: Id, (from, until): (Id, Id), sort: Option<Sort>, limit: i64) -> Result<Vec<TransferRow>, sqlx::Error> {
    let statement = match sort {
        None => LINES,
        Some(Sort::Charge) => CHARGES,
        Some(_) => LINES_OF_SORT,
    };
    let query = sqlx::query(statement).bind(user.0).bind(from.0).bind(until.0).bind(limit);
    let query = if let Some(sort) = sort.filter(|sort| *sort != Sort::Charge) { query.bind(sort.word()) } else { query };
    query.fetch_all(conn).await?.iter().map(transfer_row).collect()
}

/// Oldest first, after `after` and before `until`.
pub(super) async fn onward(conn: &mut Conn, user: Id, after: Id, until: Id, limit: i64) -> Result<Vec<TransferRow>, sqlx::Error> {
    sqlx::query(ONWARD).bind(user.0).bind(after.0).bind(until.0).bind(limit).fetch_all(conn).await?.iter().map(transfer_row).collect()
}

/// The newest transfer from `from` to before `until`.
pub(super) async fn newest(conn: &mut Conn, user: Id, from: Id, until: Id) -> Result<Option<Id>, sqlx::Error> {
    Ok(sqlx::query_scalar::<Any, Option<i64>>(NEWEST).bind(user.0).bind(from.0).bind(until.0).fetch_one(conn).await?.map(Id))
}

/// What a customer's transfers from `from` to before `until` come to.
pub(super) async fn sums(conn: &mut Conn, user: Id, from: Id, until: Id) -> Result<DaySum, sqlx::Error> {
    let (change, charged, added, charges, movements): (i64, i64, i64, i64, i64) =
        sqlx::query_as::<Any, _>(SUMS).bind(user.0).bind(from.0).bind(until.0).fetch_one(conn).await?;
    Ok(DaySum { change: Usd(change), charged: Usd(charged), added: Usd(added), charges, movements })
}

/// The oldest open holds of a customer.
pub(super) async fn holds(conn: &mut Conn, user: Id, limit: i64) -> Result<Vec<(Id, Usd)>, sqlx::Error> {
    let rows: Vec<(i64, i64)> = sqlx::query_as::<Any, _>(HOLDS).bind(user.0).bind(limit).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(id, amount)| (Id(id), Usd(amount))).collect())
}
