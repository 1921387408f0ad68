//! The SQL of models and prices.

use super::model::{Model, Step};
use super::{ModelDraft, draft};
use crate::db::{Conn, flag};
use crate::kernel::{Id, Price, Prices};

crate::statements! {
    /// Each model with the price step in force and those to come: one row per step, one row of nulls without any.
    ALL = "SELECT m.id, m.name, m.enabled, m.max_output_tokens, p.id AS price_id, p.effective_at, p.input, p.output, p.cached_input, p.cache_write \
           FROM model m LEFT JOIN price p ON p.model_id = m.id AND p.effective_at >= COALESCE( \
               (SELECT MAX(q.effective_at) FROM price q WHERE q.model_id = m.id AND q.effective_at <= $1), 0) \
           WHERE m.deleted_at IS NULL ORDER BY m.id, p.effective_at, p.id";
    /// The same for one model.
    ONE = "SELECT m.id, m.name, m.enabled, m.max_output_tokens, p.id AS price_id, p.effective_at, p.input, p.output, p.cached_input, p.cache_write \
           FROM model m LEFT JOIN price p ON p.model_id = m.id AND p.effective_at >= COALESCE( \
               (SELECT MAX(q.effective_at) FROM price q WHERE q.model_id = m.id AND q.effective_at <= $1), 0) \
           WHERE m.deleted_at IS NULL AND m.id = $2 ORDER BY p.effective_at, p.id";
    NAME_TAKEN = "SELECT COUNT(*) FROM model WHERE name = $1 AND id <> $2 AND deleted_at IS NULL";
    INSERT = "INSERT INTO model (id, name, max_output_tokens, enabled, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)";
    UPDATE = "UPDATE model SET name = $2, max_output_tokens = $3, enabled = $4, updated_at = $5 WHERE id = $1 AND deleted_at IS NULL";
    DELETE = "UPDATE model SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL";
    INSERT_PRICE = "INSERT INTO price (id, model_id, effective_at, input, output, cached_input, cache_write) VALUES ($1, $2, $3, $4, $5, $6, $7)";
}

type Row = (i64, String, i64, Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<i64>);

pub(super) async fn all(conn: &mut Conn, now: i64) -> Result<Vec<Model>, sqlx::Error> {
    let mut models = models(sqlx::query_as::<sqlx::Any, Row>(ALL).bind(now).fetch_all(conn).await?);
    // Here and not in SQL: the engines differ in how they order text.
    models.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(models)
}

pub(super) async fn one(conn: &mut Conn, id: Id, now: i64) -> Result<Option<Model>, sqlx::Error> {
    Ok(models(sqlx::query_as::<sqlx::Any, Row>(ONE).bind(now).bind(id.0).fetch_all(conn).await?).pop())
}

/// Folds the rows of each model, which stand together.
fn models(rows: Vec<Row>) -> Vec<Model> {
    let mut models: Vec<Model> = Vec::new();
    for (id, name, enabled, max_output_tokens, price, effective_at, input, output, cached_input, cache_write) in rows {
        if models.last().is_none_or(|last| last.id != Id(id)) {
            let max_output_tokens = max_output_tokens.and_then(|n| u64::try_from(n).ok());
            models.push(Model { id: Id(id), name, enabled: enabled != 0, max_output_tokens, steps: Vec::new() });
        }
        if let (Some(model), Some(price), Some(effective_at)) = (models.last_mut(), price, effective_at) {
            model.steps.push(Step { id: Id(price), effective_at, prices: prices(input, output, cached_input, cache_write) });
        }
    }
    models
}

fn prices(input: Option<i64>, output: Option<i64>, cached_input: Option<i64>, cache_write: Option<i64>) -> Option<Prices> {
    Some(Prices { input: Price(input?), output: Price(output?), cached_input: Price(cached_input?), cache_write: Price(cache_write?), rare: None })
}

pub(super) async fn name_taken(conn: &mut Conn, name: &str, by_other_than: Id) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query_scalar::<sqlx::Any, i64>(NAME_TAKEN).bind(name).bind(by_other_than.0).fetch_one(conn).await? > 0)
}

pub(super) async fn insert(conn: &mut Conn, id: Id, draft: &ModelDraft, now: i64) -> Result<(), sqlx::Error> {
    let draft::ModelDraft { name, enabled, max_output_tokens, .. } = draft;
    sqlx::query(INSERT).bind(id.0).bind(name).bind(*max_output_tokens).bind(flag(*enabled)).bind(now).execute(conn).await?;
    Ok(())
}

/// Whether there is such a model.
pub(super) async fn update(conn: &mut Conn, id: Id, draft: &ModelDraft, now: i64) -> Result<bool, sqlx::Error> {
    let draft::ModelDraft { name, enabled, max_output_tokens, .. } = draft;
    let done = sqlx::query(UPDATE).bind(id.0).bind(name).bind(*max_output_tokens).bind(flag(*enabled)).bind(now).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}

/// Whether there was such a model.
pub(super) async fn delete(conn: &mut Conn, id: Id, now: i64) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(DELETE).bind(id.0).bind(now).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn insert_price(conn: &mut Conn, id: Id, model: Id, effective_at: i64, prices: Option<&Prices>) -> Result<(), sqlx::Error> {
    let part = |of: fn(&Prices) -> Price| prices.map(|prices| of(prices).0);
    let query = sqlx::query(INSERT_PRICE).bind(id.0).bind(model.0).bind(effective_at);
    query.bind(part(|p| p.input)).bind(part(|p| p.output)).bind(part(|p| p.cached_input)).bind(part(|p| p.cache_write)).execute(conn).await?;
    Ok(())
}
