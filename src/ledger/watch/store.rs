//! The rows of what is waited for.

use super::{Purpose, Wire};
use crate::db::Conn;
use crate::kernel::{Id, Usd};
use crate::statements;

statements! {
    SET = "INSERT INTO tripwire (user_id, purpose, side, level, revision) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (user_id, purpose) DO UPDATE SET \
        side = excluded.side, level = excluded.level, revision = excluded.revision";
    FIND = "SELECT side, level FROM tripwire WHERE user_id = $1 AND purpose = $2";
    CHANGES = "SELECT user_id, purpose, side, level, revision FROM tripwire WHERE revision > $1";
    /// Whose balance is on the other side by now: it fell or rose by something else than requests, or nobody saw it.
    TRIPPED = "SELECT DISTINCT user_id FROM (SELECT t.user_id, t.side, t.level, CAST(COALESCE((SELECT SUM(c.posted) FROM credit c \
        WHERE c.user_id = t.user_id AND c.live = 1 AND c.scope = 0 AND c.effective_at <= $1 AND c.expires_at > $1), 0) \
        - COALESCE((SELECT w.owed FROM wallet w WHERE w.user_id = t.user_id), 0) AS BIGINT) AS remaining \
        FROM tripwire t WHERE t.side <> 'none' AND t.user_id > $2) AS seen \
        WHERE (side = 'below' AND remaining < level) OR (side = 'above' AND remaining >= level) ORDER BY user_id LIMIT $3";
}

fn words(wire: Option<Wire>) -> (&'static str, i64) {
    match wire {
        Some(Wire::Below(level)) => ("below", level.0),
        Some(Wire::Above(level)) => ("above", level.0),
        None => ("none", 0),
    }
}

fn wire(side: &str, level: i64) -> Option<Wire> {
    match side {
        "below" => Some(Wire::Below(Usd(level))),
        "above" => Some(Wire::Above(Usd(level))),
        _ => None,
    }
}

pub(super) async fn set(conn: &mut Conn, user: Id, purpose: Purpose, to: Option<Wire>, revision: i64) -> Result<(), sqlx::Error> {
    let (side, level) = words(to);
    sqlx::query(SET).bind(user.0).bind(purpose.word()).bind(side).bind(level).bind(revision).execute(conn).await.map(drop)
}

pub(super) async fn find(conn: &mut Conn, user: Id, purpose: Purpose) -> Result<Option<Wire>, sqlx::Error> {
    let row: Option<(String, i64)> = sqlx::query_as(FIND).bind(user.0).bind(purpose.word()).fetch_optional(conn).await?;
    Ok(row.and_then(|(side, level)| wire(&side, level)))
}

/// What changed after a revision: of whom, which purpose, what, and in which revision.
pub(super) async fn changes(conn: &mut Conn, after: i64) -> Result<Vec<(Id, Purpose, Option<Wire>, i64)>, sqlx::Error> {
    let rows: Vec<(i64, String, String, i64, i64)> = sqlx::query_as(CHANGES).bind(after).fetch_all(conn).await?;
    let read =
        |(user, purpose, side, level, revision): (i64, String, String, i64, i64)| Some((Id(user), Purpose::from_word(&purpose)?, wire(&side, level), revision));
    Ok(rows.into_iter().filter_map(read).collect())
}

pub(super) async fn tripped(conn: &mut Conn, now: i64, after: Id, limit: i64) -> Result<Vec<Id>, sqlx::Error> {
    let ids: Vec<i64> = sqlx::query_scalar(TRIPPED).bind(now).bind(after.0).bind(limit).fetch_all(conn).await?;
    Ok(ids.into_iter().map(Id).collect())
}
