//! The SQL of what customers want to be told, and of what is to be told.

use super::Choice;
use crate::db::Conn;
use crate::kernel::{Id, Usd};
use sqlx::{Any, Row};

crate::statements! {
    FIND = "SELECT low_below, expiry_days, plan_days FROM notice_choice WHERE user_id = $1";
    /// Takes the row's lock for the rest of the transaction.
    LOCK = "UPDATE notice_choice SET expiry_days = expiry_days WHERE user_id = $1 RETURNING low_below, expiry_days, plan_days";
    PUT = "INSERT INTO notice_choice (user_id, low_below, expiry_days, plan_days) VALUES ($1, $2, $3, $4) ON CONFLICT (user_id) DO UPDATE SET \
        low_below = excluded.low_below, expiry_days = excluded.expiry_days, plan_days = excluded.plan_days";
    /// What expires within the days that its owner has chosen, of which half the time has passed: what is given for three days is not told on the first one.
    EXPIRING = "SELECT c.id, c.user_id, c.posted, c.expires_at FROM credit c JOIN users u ON u.id = c.user_id LEFT JOIN notice_choice n ON n.user_id = c.user_id \
        WHERE c.live = 1 AND c.scope = 0 AND c.frozen_at IS NULL AND c.expires_at > $1 AND c.expires_at <= $2 AND c.posted > 0 \
        AND u.verified_at IS NOT NULL AND u.disabled_at IS NULL AND c.expires_at - $1 <= COALESCE(n.expiry_days, $3) * 86400000 \
        AND c.expires_at - $1 <= $1 - c.created_at \
        AND NOT EXISTS (SELECT 1 FROM notice_sent s WHERE s.about = 'credit:' || c.id || ':' || c.expires_at) ORDER BY c.user_id, c.expires_at, c.id LIMIT $4";
    /// Plans that end, and that nobody renews.
    ENDING = "SELECT p.id, p.user_id, p.paid_until FROM plan_subscription p JOIN users u ON u.id = p.user_id LEFT JOIN notice_choice n ON n.user_id = p.user_id \
        WHERE p.state = 'active' AND (p.external_id IS NULL OR p.cancelled_at IS NOT NULL) AND p.paid_until > $1 AND p.paid_until <= $2 \
        AND u.verified_at IS NOT NULL AND u.disabled_at IS NULL AND p.paid_until - $1 <= COALESCE(n.plan_days, $3) * 86400000 \
        AND p.paid_until - $1 <= $1 - p.starts_at \
        AND NOT EXISTS (SELECT 1 FROM notice_sent s WHERE s.about = 'plan:' || p.id || ':' || p.paid_until) ORDER BY p.id LIMIT $4";
    SENT = "INSERT INTO notice_sent (about, user_id, sent_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    SWEEP = "DELETE FROM notice_sent WHERE sent_at < $1";
}

/// Credit that expires.
#[derive(Clone, Debug)]
pub(super) struct Expiring {
    pub credit: Id,
    pub user: Id,
    pub left: Usd,
    pub at: i64,
}

/// A plan that ends.
#[derive(Clone, Debug)]
pub(super) struct Ends {
    pub subscription: Id,
    pub user: Id,
    pub at: i64,
}

fn choice(row: Option<(Option<i64>, i64, i64)>) -> Option<Choice> {
    row.map(|(low_below, expiry_days, plan_days)| Choice { low_below: low_below.map(Usd), expiry_days, plan_days })
}

pub(super) async fn find(conn: &mut Conn, user: Id) -> Result<Option<Choice>, sqlx::Error> {
    Ok(choice(sqlx::query_as(FIND).bind(user.0).fetch_optional(conn).await?))
}

pub(super) async fn lock(conn: &mut Conn, user: Id) -> Result<Option<Choice>, sqlx::Error> {
    Ok(choice(sqlx::query_as(LOCK).bind(user.0).fetch_optional(conn).await?))
}

pub(super) async fn put(conn: &mut Conn, user: Id, choice: &Choice) -> Result<(), sqlx::Error> {
    let query = sqlx::query(PUT).bind(user.0).bind(choice.low_below.map(|level| level.0)).bind(choice.expiry_days).bind(choice.plan_days);
    query.execute(conn).await.map(drop)
}

pub(super) async fn expiring(conn: &mut Conn, now: i64, until: i64, days: i64, limit: i64) -> Result<Vec<Expiring>, sqlx::Error> {
    let rows = sqlx::query::<Any>(EXPIRING).bind(now).bind(until).bind(days).bind(limit).fetch_all(conn).await?;
    rows.iter().map(|row| Ok(Expiring { credit: Id(row.try_get(0)?), user: Id(row.try_get(1)?), left: Usd(row.try_get(2)?), at: row.try_get(3)? })).collect()
}

pub(super) async fn ending(conn: &mut Conn, now: i64, until: i64, days: i64, limit: i64) -> Result<Vec<Ends>, sqlx::Error> {
    let rows = sqlx::query::<Any>(ENDING).bind(now).bind(until).bind(days).bind(limit).fetch_all(conn).await?;
    rows.iter().map(|row| Ok(Ends { subscription: Id(row.try_get(0)?), user: Id(row.try_get(1)?), at: row.try_get(2)? })).collect()
}

/// Notes that something is told. Whether nobody has told it before.
pub(super) async fn sent(conn: &mut Conn, about: &str, user: Id, now: i64) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(SENT).bind(about.to_owned()).bind(user.0).bind(now).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn sweep(conn: &mut Conn, before: i64) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query(SWEEP).bind(before).execute(conn).await?.rows_affected())
}
