//! The SQL of usage rows.

use super::{Decision, Outcome, Parts, Record, Search};
use crate::db::{Bulk, Conn, Part, flag};
use crate::kernel::{Id, PriceFactor, Usd};
use crate::ledger::Charge;
use crate::statements;
use sqlx::{Any, Row, any::AnyRow};

statements! {
    RECENT = "SELECT id, model, streamed, status, outcome, input_tokens, cached_tokens, cache_write_tokens, output_tokens, counted, cost, ttft_ms, duration_ms, parts FROM request WHERE user_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
    SEARCH = "SELECT r.id, r.model, r.streamed, r.status, r.outcome, r.input_tokens, r.cached_tokens, r.cache_write_tokens, r.output_tokens, r.counted, r.cost, r.ttft_ms, r.duration_ms, r.parts, r.user_id, u.email, c.name FROM request r LEFT JOIN users u ON u.id = r.user_id LEFT JOIN channel c ON c.id = r.channel_id \
              WHERE r.id < $1 AND (CAST($2 AS TEXT) = '' OR r.outcome = $2) AND (CAST($3 AS BIGINT) = 0 OR r.status = $3) ORDER BY r.id DESC LIMIT $4";
    SEARCH_OF_USER = "SELECT r.id, r.model, r.streamed, r.status, r.outcome, r.input_tokens, r.cached_tokens, r.cache_write_tokens, r.output_tokens, r.counted, r.cost, r.ttft_ms, r.duration_ms, r.parts, r.user_id, u.email, c.name FROM request r LEFT JOIN users u ON u.id = r.user_id LEFT JOIN channel c ON c.id = r.channel_id \
                      WHERE r.id < $1 AND (CAST($2 AS TEXT) = '' OR r.outcome = $2) AND (CAST($3 AS BIGINT) = 0 OR r.status = $3) AND r.user_id = $5 \
                      ORDER BY r.id DESC LIMIT $4";
    FIND = "SELECT r.id, r.model, r.streamed, r.status, r.outcome, r.input_tokens, r.cached_tokens, r.cache_write_tokens, r.output_tokens, r.counted, r.cost, r.ttft_ms, r.duration_ms, r.parts, r.user_id, u.email, c.name, r.key_id, r.channel_id, r.error, r.operation, r.price_id, r.upstream_cost, r.upstream_model, r.route, r.plan_id, r.price_factor \
            FROM request r LEFT JOIN users u ON u.id = r.user_id LEFT JOIN channel c ON c.id = r.channel_id WHERE r.id = $1";
    SPEND_BETWEEN = "SELECT CAST(COALESCE(SUM(cost), 0) AS BIGINT) FROM request WHERE user_id = $1 AND id >= $2 AND id < $3";
    SPEND_OF_KEY_BETWEEN = "SELECT CAST(COALESCE(SUM(cost), 0) AS BIGINT) FROM request WHERE user_id = $1 AND id >= $2 AND id < $3 AND key_id = $4";
    OF_KEY_SINCE = "SELECT model, COUNT(*), CAST(COALESCE(SUM(input_tokens), 0) AS BIGINT), CAST(COALESCE(SUM(cached_tokens), 0) AS BIGINT), \
                    CAST(COALESCE(SUM(cache_write_tokens), 0) AS BIGINT), CAST(COALESCE(SUM(output_tokens), 0) AS BIGINT), CAST(COALESCE(SUM(cost), 0) AS BIGINT) \
                    FROM request WHERE user_id = $1 AND id >= $2 AND key_id = $3 GROUP BY model ORDER BY model";
    SHOP_SINCE = "SELECT COUNT(*), CAST(COALESCE(SUM(cost), 0) AS BIGINT) FROM request WHERE id >= $1";
    CHARGES_PAGE = "SELECT reference, CAST(SUM(CASE WHEN kind = 'correction' THEN -amount ELSE amount END) AS BIGINT) FROM transfer \
                    WHERE kind IN ('capture', 'overage', 'overdraft', 'correction') GROUP BY reference";
    COSTS = "SELECT id, cost FROM request WHERE cost > 0";
    MISMETERED = "SELECT m.key_id, m.spent, CAST(COALESCE(r.cost, 0) AS BIGINT) FROM key_meter m \
                  LEFT JOIN (SELECT key_id, SUM(cost) AS cost FROM request GROUP BY key_id) r ON r.key_id = m.key_id WHERE m.spent <> COALESCE(r.cost, 0)";
}

static WRITE_REQUESTS: Bulk = Bulk::new(
    "WRITE_REQUESTS",
    "INSERT INTO request (id, user_id, key_id, channel_id, model, streamed, status, outcome, input_tokens, cached_tokens, cache_write_tokens, output_tokens, counted, cost, ttft_ms, duration_ms, error, \
     operation, parts, price_id, upstream_cost, upstream_model, route, plan_id, price_factor) SELECT * FROM (VALUES ",
    &[
        "BIGINT", "BIGINT", "BIGINT", "BIGINT", "TEXT", "BIGINT", "BIGINT", "TEXT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT",
        "BIGINT", "TEXT", "TEXT", "TEXT", "BIGINT", "BIGINT", "TEXT", "TEXT", "BIGINT", "BIGINT",
    ],
    ") AS v WHERE column1 IS NOT NULL ON CONFLICT (id) DO UPDATE SET channel_id = excluded.channel_id, status = excluded.status, outcome = excluded.outcome, input_tokens = excluded.input_tokens, \
     cached_tokens = excluded.cached_tokens, cache_write_tokens = excluded.cache_write_tokens, output_tokens = excluded.output_tokens, counted = excluded.counted, \
     cost = excluded.cost, ttft_ms = excluded.ttft_ms, duration_ms = excluded.duration_ms, error = excluded.error, operation = excluded.operation, parts = excluded.parts, price_id = excluded.price_id, \
     upstream_cost = excluded.upstream_cost, upstream_model = excluded.upstream_model, route = excluded.route, plan_id = excluded.plan_id, price_factor = excluded.price_factor",
);

/// Every multi-row statement of this store.
pub const BULK: &[&Bulk] = &[&WRITE_REQUESTS];

/// A request as its customer sees it.
#[derive(Clone, Debug)]
pub struct RequestView {
    /// The request's id, which tells when it began.
    pub id: Id,
    /// The model's public name.
    pub model: String,
    /// Whether it was a stream.
    pub streamed: bool,
    /// The HTTP status.
    pub status: i64,
    /// How it ended, in the database's word.
    pub outcome: String,
    /// Input tokens outside of any cache, sound and pictures included.
    pub input_tokens: i64,
    /// Input tokens read from a cache.
    pub cached_tokens: i64,
    /// Input tokens written to a cache.
    pub cache_write_tokens: i64,
    /// Output tokens.
    pub output_tokens: i64,
    /// Whether the tokens were counted here.
    pub counted: bool,
    /// What it was charged.
    pub cost: Usd,
    /// Milliseconds to the first byte.
    pub ttft_ms: Option<i64>,
    /// Milliseconds to the end.
    pub duration_ms: i64,
    /// What of it may have had a price of its own.
    pub parts: Parts,
}

/// A request as it stands in the admins' list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// As the customer sees it.
    pub request: RequestView,
    /// Whose it is.
    pub user: Id,
    /// Their address.
    pub email: Option<String>,
    /// The name of the channel that answered, or was asked last.
    pub channel: Option<String>,
}

/// Everything that is known of a request.
#[derive(Clone, Debug)]
pub struct RequestRow {
    /// What stands in the list.
    pub listed: Listed,
    /// The key it came with.
    pub key: Id,
    /// The channel that answered, or was asked last.
    pub channel_id: Option<Id>,
    /// What went wrong.
    pub error: Option<String>,
    /// What was asked for; none for a chat completion.
    pub operation: Option<String>,
    /// The price row in force when the request began.
    pub price: Option<Id>,
    /// What the upstream asks for it.
    pub upstream_cost: Option<Usd>,
    /// The model's name at the upstream, where it is another.
    pub upstream_model: Option<String>,
    /// Why it went where it went.
    pub decision: Option<Decision>,
    /// The plan whose allowance pays for it.
    pub plan: Option<Id>,
    /// By what the plan multiplies prices, where it does.
    pub factor: Option<PriceFactor>,
}

/// What a key has used of one model.
#[derive(Clone, Debug)]
pub struct KeyUsage {
    /// The model's public name.
    pub model: String,
    /// How many requests.
    pub requests: i64,
    /// Input tokens outside of any cache.
    pub input_tokens: i64,
    /// Input tokens read from a cache.
    pub cached_tokens: i64,
    /// Input tokens written to a cache.
    pub cache_write_tokens: i64,
    /// Output tokens.
    pub output_tokens: i64,
    /// What was charged.
    pub cost: Usd,
}

fn saturated(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

pub(super) fn write<'a>(entries: &'a [(&'a Record, Charge)]) -> Part<'a> {
    WRITE_REQUESTS.part(entries, |(record, charge), values| {
        let (usage, detail) = (&record.usage, &record.detail);
        values
            .bind(record.id.0)
            .bind(record.user.0)
            .bind(record.key.0)
            .bind(record.channel.map(|channel| channel.0))
            .bind(record.model.as_str())
            .bind(flag(record.streamed))
            .bind(i64::from(record.status))
            .bind(record.outcome.word())
            .bind(saturated(usage.input.saturating_add(usage.audio_input).saturating_add(usage.image_input)))
            .bind(saturated(usage.cached))
            .bind(saturated(usage.cache_write.saturating_add(usage.cache_write_1h)))
            .bind(saturated(usage.all_output()))
            .bind(flag(record.counted))
            .bind(charge.charged.0)
            .bind(record.ttft_ms)
            .bind(record.duration_ms)
            .bind(record.error.as_deref())
            .bind(detail.operation)
            .bind(Parts::of(usage).write())
            .bind(detail.price.map(|price| price.0))
            .bind(detail.upstream_cost.map(|cost| cost.0))
            .bind(detail.upstream_model.as_deref())
            .bind(detail.route.as_deref())
            .bind(detail.plan.map(|plan| plan.0))
            .bind(detail.factor.map(PriceFactor::millionths));
    })
}

pub(super) async fn recent(conn: &mut Conn, user: Id, before: Id, limit: i64) -> Result<Vec<RequestView>, sqlx::Error> {
    let rows = sqlx::query(RECENT).bind(user.0).bind(before.0).bind(limit).fetch_all(conn).await?;
    rows.iter().map(view).collect()
}

/// The first columns of a request.
fn view(row: &AnyRow) -> Result<RequestView, sqlx::Error> {
    Ok(RequestView {
        id: Id(row.try_get(0)?),
        model: row.try_get(1)?,
        streamed: row.try_get::<i64, _>(2)? != 0,
        status: row.try_get(3)?,
        outcome: row.try_get(4)?,
        input_tokens: row.try_get(5)?,
        cached_tokens: row.try_get(6)?,
        cache_write_tokens: row.try_get(7)?,
        output_tokens: row.try_get(8)?,
        counted: row.try_get::<i64, _>(9)? != 0,
        cost: Usd(row.try_get(10)?),
        ttft_ms: row.try_get(11)?,
        duration_ms: row.try_get(12)?,
        parts: Parts::read(row.try_get::<Option<String>, _>(13)?.as_deref()),
    })
}

fn listed(row: &AnyRow) -> Result<Listed, sqlx::Error> {
    Ok(Listed { request: view(row)?, user: Id(row.try_get(14)?), email: row.try_get(15)?, channel: row.try_get(16)? })
}

pub(super) async fn search(conn: &mut Conn, search: Search, before: Id, limit: i64) -> Result<Vec<Listed>, sqlx::Error> {
    let query = sqlx::query(if search.user.is_some() { SEARCH_OF_USER } else { SEARCH });
    let query = query.bind(before.0).bind(search.outcome.map_or("", Outcome::word)).bind(search.status.map_or(0, i64::from)).bind(limit);
    let query = if let Some(user) = search.user { query.bind(user.0) } else { query };
    query.fetch_all(conn).await?.iter().map(listed).collect()
}

pub(super) async fn find(conn: &mut Conn, id: Id) -> Result<Option<RequestRow>, sqlx::Error> {
    let Some(row) = sqlx::query(FIND).bind(id.0).fetch_optional(conn).await? else { return Ok(None) };
    let id_at = |at: usize| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(at)?.map(Id));
    Ok(Some(RequestRow {
        listed: listed(&row)?,
        key: Id(row.try_get(17)?),
        channel_id: id_at(18)?,
        error: row.try_get(19)?,
        operation: row.try_get(20)?,
        price: id_at(21)?,
        upstream_cost: row.try_get::<Option<i64>, _>(22)?.map(Usd),
        upstream_model: row.try_get(23)?,
        decision: row.try_get::<Option<String>, _>(24)?.and_then(|text| Decision::read(&text)),
        plan: id_at(25)?,
        factor: row.try_get::<Option<i64>, _>(26)?.map(PriceFactor::from_millionths),
    }))
}

pub(super) async fn spend_between(conn: &mut Conn, user: Id, from: Id, to: Id) -> Result<Usd, sqlx::Error> {
    let (sum,): (i64,) = sqlx::query_as::<Any, _>(SPEND_BETWEEN).bind(user.0).bind(from.0).bind(to.0).fetch_one(conn).await?;
    Ok(Usd(sum))
}

pub(super) async fn spend_of_key_between(conn: &mut Conn, user: Id, key: Id, from: Id, to: Id) -> Result<Usd, sqlx::Error> {
    let query = sqlx::query_as::<Any, _>(SPEND_OF_KEY_BETWEEN).bind(user.0).bind(from.0).bind(to.0).bind(key.0);
    let (sum,): (i64,) = query.fetch_one(conn).await?;
    Ok(Usd(sum))
}

pub(super) async fn of_key_since(conn: &mut Conn, user: Id, key: Id, from: Id) -> Result<Vec<KeyUsage>, sqlx::Error> {
    let rows = sqlx::query(OF_KEY_SINCE).bind(user.0).bind(from.0).bind(key.0).fetch_all(conn).await?;
    let usage = |row: &AnyRow| {
        Ok(KeyUsage {
            model: row.try_get(0)?,
            requests: row.try_get(1)?,
            input_tokens: row.try_get(2)?,
            cached_tokens: row.try_get(3)?,
            cache_write_tokens: row.try_get(4)?,
            output_tokens: row.try_get(5)?,
            cost: Usd(row.try_get(6)?),
        })
    };
    rows.iter().map(usage).collect()
}

pub(super) async fn shop_since(conn: &mut Conn, from: Id) -> Result<(i64, Usd), sqlx::Error> {
    let (count, sum): (i64, i64) = sqlx::query_as::<Any, _>(SHOP_SINCE).bind(from.0).fetch_one(conn).await?;
    Ok((count, Usd(sum)))
}

/// (request, cost in its row, charged by its transfers) wherever the two differ.
pub(super) async fn mischarged(conn: &mut Conn) -> Result<Vec<(Id, Usd, Usd)>, sqlx::Error> {
    let charges: Vec<(String, i64)> = sqlx::query_as::<Any, _>(CHARGES_PAGE).fetch_all(&mut *conn).await?;
    let mut charged: std::collections::HashMap<Id, i64> = charges.into_iter().filter_map(|(reference, sum)| Some((reference.parse().ok()?, sum))).collect();
    let costs: Vec<(i64, i64)> = sqlx::query_as::<Any, _>(COSTS).fetch_all(conn).await?;
    let mut wrong = Vec::new();
    for (id, cost) in costs {
        let by_transfers = charged.remove(&Id(id)).unwrap_or_default();
        if by_transfers != cost {
            wrong.push((Id(id), Usd(cost), Usd(by_transfers)));
        }
    }
    wrong.extend(charged.into_iter().filter(|(_, sum)| *sum != 0).map(|(id, sum)| (id, Usd::ZERO, Usd(sum))));
    Ok(wrong)
}

/// (key, spent by its meter, sum of its requests' costs) wherever the two differ.
pub(super) async fn mismetered(conn: &mut Conn) -> Result<Vec<(Id, Usd, Usd)>, sqlx::Error> {
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as::<Any, _>(MISMETERED).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(key, spent, cost)| (Id(key), Usd(spent), Usd(cost))).collect())
}
