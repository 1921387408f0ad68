//! What upstreams have asked, day by day.

use crate::db::Conn;
use crate::kernel::{Day, Id, Usd};
use sqlx::Any;

crate::statements! {
    LIVE = "SELECT COUNT(*), CAST(COALESCE(SUM(upstream_cost), 0) AS BIGINT), CAST(COALESCE(SUM(CASE WHEN upstream_cost IS NULL AND cost > 0 THEN 1 ELSE 0 END), 0) AS BIGINT) \
        FROM request WHERE id >= $1 AND id < $2";
    FIRST = "SELECT MIN(id) FROM request";
    BOUNDS = "SELECT MIN(day), MAX(day) FROM cost_day WHERE zone = $1";
    DAYS = "SELECT day, requests, cost, unknown FROM cost_day WHERE zone = $1 AND day >= $2 AND day < $3 ORDER BY day";
    PUT = "INSERT INTO cost_day (zone, day, requests, cost, unknown) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (zone, day) DO UPDATE SET requests = excluded.requests, cost = excluded.cost, unknown = excluded.unknown";
    DROP_OTHERS = "DELETE FROM cost_day WHERE zone <> $1";
    ZONES = "SELECT DISTINCT zone FROM cost_day ORDER BY zone";
}

/// What upstreams have asked for the requests of some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// How many requests began.
    pub requests: i64,
    /// What upstreams ask for those whose price is known.
    pub cost: Usd,
    /// How many were charged for and have an upstream whose price nobody has entered.
    pub unknown: i64,
}

impl Cost {
    pub(super) fn and(self, other: Self) -> Self {
        Self { requests: self.requests + other.requests, cost: self.cost + other.cost, unknown: self.unknown + other.unknown }
    }
}

pub(super) async fn live(conn: &mut Conn, (from, until): (Id, Id)) -> Result<Cost, sqlx::Error> {
    let (requests, cost, unknown): (i64, i64, i64) = sqlx::query_as::<Any, _>(LIVE).bind(from.0).bind(until.0).fetch_one(conn).await?;
    Ok(Cost { requests, cost: Usd(cost), unknown })
}

pub(super) async fn first(conn: &mut Conn) -> Result<Option<Id>, sqlx::Error> {
    Ok(sqlx::query_scalar::<Any, Option<i64>>(FIRST).fetch_one(conn).await?.map(Id))
}

pub(super) async fn bounds(conn: &mut Conn, zone: &str) -> Result<Option<(Day, Day)>, sqlx::Error> {
    let (first, last): (Option<i64>, Option<i64>) = sqlx::query_as::<Any, _>(BOUNDS).bind(zone.to_owned()).fetch_one(conn).await?;
    Ok(first.and_then(Day::from_number).zip(last.and_then(Day::from_number)))
}

pub(super) async fn days(conn: &mut Conn, zone: &str, from: Day, until: Day) -> Result<Vec<(Day, Cost)>, sqlx::Error> {
    let query = sqlx::query_as::<Any, (i64, i64, i64, i64)>(DAYS).bind(zone.to_owned()).bind(from.number()).bind(until.number());
    let read = |(day, requests, cost, unknown)| Some((Day::from_number(day)?, Cost { requests, cost: Usd(cost), unknown }));
    Ok(query.fetch_all(conn).await?.into_iter().filter_map(read).collect())
}

pub(super) async fn put(conn: &mut Conn, zone: &str, day: Day, cost: &Cost) -> Result<(), sqlx::Error> {
    let query = sqlx::query(PUT).bind(zone.to_owned()).bind(day.number()).bind(cost.requests).bind(cost.cost.0).bind(cost.unknown);
    query.execute(conn).await.map(drop)
}

pub(super) async fn drop_others(conn: &mut Conn, zone: &str) -> Result<(), sqlx::Error> {
    sqlx::query(DROP_OTHERS).bind(zone.to_owned()).execute(conn).await.map(drop)
}

pub(super) async fn zones(conn: &mut Conn) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(ZONES).fetch_all(conn).await
}
