//! The SQL of what a payment provider renews: what it is called there, what it has yet to be told, and of which renewals nothing was heard.

use super::telling::{Edition, Standing, Untold};
use crate::db::Conn;
use crate::kernel::Id;
use crate::plans::{State, Terms};
use sqlx::any::AnyRow;
use sqlx::{Any, Row};

/// The version of a subscription's last term.
macro_rules! last_version {
    () => {
        "(SELECT t.version_id FROM plan_term t WHERE t.subscription_id = s.id \
         ORDER BY CASE WHEN t.ends_at > t.starts_at THEN 0 ELSE 1 END, t.number DESC LIMIT 1)"
    };
}

crate::statements! {
    STANDING = "SELECT s.id, s.user_id, s.plan_id, s.state, s.paid_until, s.cancelled_at, s.revision, t.version_id, t.starts_at, t.trial, t.number, t.frozen \
        FROM plan_subscription s LEFT JOIN plan_term t ON t.subscription_id = s.id AND t.number = \
        (SELECT MAX(l.number) FROM plan_term l WHERE l.subscription_id = s.id AND l.ends_at > l.starts_at) WHERE s.external_id = $1";
    /// How many periods of a term there are, of which so many were opened, and where its numbers begin.
    PERIODS = "SELECT t.periods, (SELECT COUNT(*) FROM plan_period p WHERE p.subscription_id = t.subscription_id AND p.number >= t.first_period \
        AND p.number < t.first_period + t.periods), t.first_period FROM plan_term t WHERE t.subscription_id = $1 AND t.number = $2";
    EXTERNALS = "SELECT external_id FROM plan_subscription WHERE user_id = $1 AND external_id IS NOT NULL ORDER BY id DESC LIMIT $2";
    EXTERNAL = "SELECT external_id FROM plan_subscription WHERE id = $1";
    UNTOLD = concat!("SELECT s.id, s.external_id, s.state, s.cancelled_at, s.revision, s.tell_tries, v.plan_id, v.id, v.terms FROM plan_subscription s \
        JOIN plan_version v ON v.id = COALESCE(s.next_version_id, ", last_version!(), ") \
        WHERE s.untold = 1 AND s.external_id IS NOT NULL AND s.tell_at <= $1 ORDER BY s.tell_at, s.id LIMIT $2");
    TOLD = "UPDATE plan_subscription SET untold = 0, tell_at = 0, tell_tries = 0 WHERE id = $1 AND revision = $2";
    TELL_LATER = "UPDATE plan_subscription SET tell_at = $2, tell_tries = tell_tries + 1 WHERE id = $1";
    OVERDUE = "SELECT external_id FROM plan_subscription WHERE state <> 'ended' AND external_id IS NOT NULL AND paid_until <= $1 AND look_at <= $2 \
        ORDER BY look_at, paid_until LIMIT $3";
    LOOK_LATER = "UPDATE plan_subscription SET look_at = $2 WHERE external_id = $1";
    EDITION = "SELECT plan_id, id, terms FROM plan_version WHERE id = $1";
}

fn edition(row: &AnyRow, at: usize) -> Result<Edition, sqlx::Error> {
    let text: String = row.try_get(at + 2)?;
    let terms = Terms::read(&text).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(Edition { plan: Id(row.try_get(at)?), version: Id(row.try_get(at + 1)?), terms })
}

pub(super) async fn find_edition(conn: &mut Conn, version: Id) -> Result<Option<Edition>, sqlx::Error> {
    sqlx::query(EDITION).bind(version.0).fetch_optional(conn).await?.map(|row| edition(&row, 0)).transpose()
}

pub(super) async fn standing(conn: &mut Conn, external_id: &str) -> Result<Option<Standing>, sqlx::Error> {
    let Some(row) = sqlx::query(STANDING).bind(external_id).fetch_optional(conn).await? else { return Ok(None) };
    Ok(Some(Standing {
        subscription: Id(row.try_get(0)?),
        user: Id(row.try_get(1)?),
        plan: Id(row.try_get(2)?),
        state: State::from_word(row.try_get(3)?),
        paid_until: row.try_get(4)?,
        cancelled: row.try_get::<Option<i64>, _>(5)?.is_some(),
        revision: row.try_get(6)?,
        version: row.try_get::<Option<i64>, _>(7)?.map(Id),
        since: row.try_get::<Option<i64>, _>(8)?.unwrap_or(row.try_get(4)?),
        trial: row.try_get::<Option<i64>, _>(9)? == Some(1),
        term: row.try_get::<Option<i64>, _>(10)?.unwrap_or(0),
        frozen: row.try_get::<Option<i64>, _>(11)? == Some(1),
    }))
}

/// The periods of a term: how many there are, how many of them were opened, and the number of the first.
pub(super) async fn periods(conn: &mut Conn, subscription: Id, term: i64) -> Result<Option<(i64, i64, i64)>, sqlx::Error> {
    sqlx::query_as::<Any, (i64, i64, i64)>(PERIODS).bind(subscription.0).bind(term).fetch_optional(conn).await
}

pub(super) async fn external(conn: &mut Conn, subscription: Id) -> Result<Option<String>, sqlx::Error> {
    Ok(sqlx::query_scalar::<Any, Option<String>>(EXTERNAL).bind(subscription.0).fetch_optional(conn).await?.flatten())
}

pub(super) async fn externals(conn: &mut Conn, user: Id, limit: i64) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar::<Any, String>(EXTERNALS).bind(user.0).bind(limit).fetch_all(conn).await
}

pub(super) async fn untold(conn: &mut Conn, now: i64, limit: i64) -> Result<Vec<Untold>, sqlx::Error> {
    let wish = |row: &AnyRow| {
        Ok(Untold {
            subscription: Id(row.try_get(0)?),
            external_id: row.try_get(1)?,
            ended: State::from_word(row.try_get(2)?) == State::Ended,
            cancelled: row.try_get::<Option<i64>, _>(3)?.is_some(),
            revision: row.try_get(4)?,
            tries: row.try_get(5)?,
            next: edition(row, 6)?,
        })
    };
    sqlx::query(UNTOLD).bind(now).bind(limit).fetch_all(conn).await?.iter().map(wish).collect()
}

pub(super) async fn told(conn: &mut Conn, subscription: Id, revision: i64) -> Result<(), sqlx::Error> {
    sqlx::query(TOLD).bind(subscription.0).bind(revision).execute(conn).await.map(drop)
}

pub(super) async fn tell_later(conn: &mut Conn, subscription: Id, at: i64) -> Result<(), sqlx::Error> {
    sqlx::query(TELL_LATER).bind(subscription.0).bind(at).execute(conn).await.map(drop)
}

pub(super) async fn overdue(conn: &mut Conn, paid_until: i64, now: i64, limit: i64) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar::<Any, String>(OVERDUE).bind(paid_until).bind(now).bind(limit).fetch_all(conn).await
}

pub(super) async fn look_later(conn: &mut Conn, external_id: &str, at: i64) -> Result<(), sqlx::Error> {
    sqlx::query(LOOK_LATER).bind(external_id).bind(at).execute(conn).await.map(drop)
}
