//! The SQL of models and prices.

use super::caching::{Caching, Factor};
use super::model::{Model, Step};
use super::{ModelDraft, draft};
use crate::db::{Conn, flag};
use crate::kernel::{Id, Price, Prices};
use sqlx::{Row, any::AnyRow};

crate::statements! {
    /// Each model with the price step in force and those to come: one row per step, one row of nulls without any.
    ALL = "SELECT m.id, m.name, m.enabled, m.max_output_tokens, m.context_length, m.cache_ttl, m.cache_always, m.cache_factor, m.cache_shared, p.id AS price_id, p.effective_at, p.input, p.output, p.cached_input, p.cache_write, p.rare \
           FROM model m LEFT JOIN price p ON p.model_id = m.id AND p.effective_at >= COALESCE( \
               (SELECT MAX(q.effective_at) FROM price q WHERE q.model_id = m.id AND q.effective_at <= $1), 0) \
           WHERE m.deleted_at IS NULL ORDER BY m.id, p.effective_at, p.id";
    /// The same for one model.
    ONE = "SELECT m.id, m.name, m.enabled, m.max_output_tokens, m.context_length, m.cache_ttl, m.cache_always, m.cache_factor, m.cache_shared, p.id AS price_id, p.effective_at, p.input, p.output, p.cached_input, p.cache_write, p.rare \
           FROM model m LEFT JOIN price p ON p.model_id = m.id AND p.effective_at >= COALESCE( \
               (SELECT MAX(q.effective_at) FROM price q WHERE q.model_id = m.id AND q.effective_at <= $1), 0) \
           WHERE m.deleted_at IS NULL AND m.id = $2 ORDER BY p.effective_at, p.id";
    NAME_TAKEN = "SELECT COUNT(*) FROM model WHERE name = $1 AND id <> $2 AND deleted_at IS NULL";
    INSERT = "INSERT INTO model (id, name, max_output_tokens, enabled, created_at, updated_at, context_length, cache_ttl, cache_always, cache_factor, cache_shared) \
              VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8, $9, $10)";
    UPDATE = "UPDATE model SET name = $2, max_output_tokens = $3, enabled = $4, updated_at = $5, context_length = $6, cache_ttl = $7, cache_always = $8, \
              cache_factor = $9, cache_shared = $10 WHERE id = $1 AND deleted_at IS NULL";
    DELETE = "UPDATE model SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL";
    INSERT_PRICE = "INSERT INTO price (id, model_id, effective_at, input, output, cached_input, cache_write, rare) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
}

pub(super) async fn all(conn: &mut Conn, now: i64) -> Result<Vec<Model>, sqlx::Error> {
    let mut models = models(&sqlx::query(ALL).bind(now).fetch_all(conn).await?)?;
    // Here and not in SQL: the engines differ in how they order text.
    models.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(models)
}

pub(super) async fn one(conn: &mut Conn, id: Id, now: i64) -> Result<Option<Model>, sqlx::Error> {
    Ok(models(&sqlx::query(ONE).bind(now).bind(id.0).fetch_all(conn).await?)?.pop())
}

/// Folds the rows of each model, which stand together.
fn models(rows: &[AnyRow]) -> Result<Vec<Model>, sqlx::Error> {
    let mut models: Vec<Model> = Vec::new();
    for row in rows {
        let id = Id(row.try_get(0)?);
        if models.last().is_none_or(|last| last.id != id) {
            models.push(model(id, row)?);
        }
        if let (Some(model), Some(price)) = (models.last_mut(), row.try_get::<Option<i64>, _>(9)?) {
            model.steps.push(Step { id: Id(price), effective_at: row.try_get(10)?, prices: prices(Id(price), row)? });
        }
    }
    Ok(models)
}

fn model(id: Id, row: &AnyRow) -> Result<Model, sqlx::Error> {
    let count = |at: usize| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(at)?.and_then(|n| u64::try_from(n).ok()));
    let is = |at: usize| Ok::<_, sqlx::Error>(row.try_get::<i64, _>(at)? != 0);
    let (always, factor, shared) = (is(6)?, Factor::from_millionths(row.try_get(7)?), is(8)?);
    let caching = row.try_get::<Option<i64>, _>(5)?.map(|ttl_ms| Caching { ttl_ms, always, factor, shared });
    Ok(Model { id, name: row.try_get(1)?, enabled: is(2)?, max_output_tokens: count(3)?, context_length: count(4)?, caching, steps: Vec::new() })
}

fn prices(id: Id, row: &AnyRow) -> Result<Option<Prices>, sqlx::Error> {
    let price = |at: usize| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(at)?.map(Price));
    let (Some(input), Some(output), Some(cached_input), Some(cache_write)) = (price(11)?, price(12)?, price(13)?, price(14)?) else { return Ok(None) };
    let basic = Prices { input, output, cached_input, cache_write, ..Prices::default() };
    let Some(rare) = row.try_get::<Option<String>, _>(15)? else { return Ok(Some(basic)) };
    match serde_json::from_str(&rare) {
        Ok(rare) => Ok(Some(basic.with(rare))),
        Err(error) => {
            // A newer release may know prices that this one does not. Whatever they are, they are not zero.
            tracing::error!(%error, price = %id, "a price cannot be read; its model cannot be called");
            Ok(None)
        }
    }
}

pub(super) async fn name_taken(conn: &mut Conn, name: &str, by_other_than: Id) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query_scalar::<sqlx::Any, i64>(NAME_TAKEN).bind(name).bind(by_other_than.0).fetch_one(conn).await? > 0)
}

pub(super) async fn insert(conn: &mut Conn, id: Id, draft: &ModelDraft, now: i64) -> Result<(), sqlx::Error> {
    write(INSERT, conn, id, draft, now).await?;
    Ok(())
}

/// Whether there is such a model.
pub(super) async fn update(conn: &mut Conn, id: Id, draft: &ModelDraft, now: i64) -> Result<bool, sqlx::Error> {
    Ok(write(UPDATE, conn, id, draft, now).await? == 1)
}

async fn write(sql: &'static str, conn: &mut Conn, id: Id, draft: &ModelDraft, now: i64) -> Result<u64, sqlx::Error> {
    let draft::ModelDraft { name, enabled, max_output_tokens, context_length, caching, prices: _ } = draft;
    let query = sqlx::query(sql).bind(id.0).bind(name).bind(*max_output_tokens).bind(flag(*enabled)).bind(now);
    let query = query.bind(*context_length).bind(caching.map(|caching| caching.ttl_ms)).bind(flag(caching.is_some_and(|caching| caching.always)));
    let query = query.bind(caching.map_or(0, |caching| caching.factor.millionths())).bind(flag(caching.is_some_and(|caching| caching.shared)));
    Ok(query.execute(conn).await?.rows_affected())
}

/// Whether there was such a model.
pub(super) async fn delete(conn: &mut Conn, id: Id, now: i64) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(DELETE).bind(id.0).bind(now).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn insert_price(conn: &mut Conn, id: Id, model: Id, effective_at: i64, prices: Option<&Prices>) -> Result<(), sqlx::Error> {
    let part = |of: fn(&Prices) -> Price| prices.map(|prices| of(prices).0);
    let rare = prices.and_then(|prices| prices.rare.as_deref()).and_then(|rare| serde_json::to_string(rare).ok());
    let query = sqlx::query(INSERT_PRICE).bind(id.0).bind(model.0).bind(effective_at);
    query.bind(part(|p| p.input)).bind(part(|p| p.output)).bind(part(|p| p.cached_input)).bind(part(|p| p.cache_write)).bind(rare).execute(conn).await?;
    Ok(())
}
