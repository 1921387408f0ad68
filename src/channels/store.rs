//! The SQL of channels.

use super::ChannelDraft;
use crate::db::{Conn, flag};
use crate::kernel::Id;

crate::statements! {
    ALL = "SELECT id, name, kind, base_url, credential, private, models, priority, weight, enabled, options, created_at, updated_at \
           FROM channel WHERE deleted_at IS NULL ORDER BY priority DESC, id";
    ONE = "SELECT id, name, kind, base_url, credential, private, models, priority, weight, enabled, options, created_at, updated_at \
           FROM channel WHERE id = $1 AND deleted_at IS NULL";
    NAMES = "SELECT id, name FROM channel";
    NAME_TAKEN = "SELECT COUNT(*) FROM channel WHERE name = $1 AND id <> $2 AND deleted_at IS NULL";
    INSERT = "INSERT INTO channel (id, name, kind, base_url, credential, private, models, priority, weight, enabled, options, created_at, updated_at) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)";
    UPDATE = "UPDATE channel SET name = $2, kind = $3, base_url = $4, credential = COALESCE($5, credential), private = $6, models = $7, priority = $8, \
              weight = $9, enabled = $10, options = $11, updated_at = $12 WHERE id = $1 AND deleted_at IS NULL";
    DELETE = "UPDATE channel SET deleted_at = $2, credential = '', private = '', enabled = 0 WHERE id = $1 AND deleted_at IS NULL";
}

/// A row, its secrets still sealed.
pub(super) struct Row {
    pub id: Id,
    pub name: String,
    pub kind: String,
    pub base_url: String,
    pub sealed: String,
    pub private: String,
    pub models: Vec<String>,
    pub priority: i64,
    pub weight: i64,
    pub enabled: bool,
    pub options: String,
    pub created_at: i64,
    pub updated_at: i64,
}

/// What a row keeps of the options.
pub(super) struct Stored {
    /// JSON.
    pub options: String,
    /// Sealed JSON, or nothing.
    pub private: String,
}

type Columns = (i64, String, String, String, String, String, String, i64, i64, i64, String, i64, i64);

fn row((id, name, kind, base_url, sealed, private, models, priority, weight, enabled, options, created_at, updated_at): Columns) -> Row {
    let models = models.lines().map(str::to_owned).collect();
    Row { id: Id(id), name, kind, base_url, sealed, private, models, priority, weight, enabled: enabled != 0, options, created_at, updated_at }
}

/// Highest priority first.
pub(super) async fn all(conn: &mut Conn) -> Result<Vec<Row>, sqlx::Error> {
    Ok(sqlx::query_as::<sqlx::Any, Columns>(ALL).fetch_all(conn).await?.into_iter().map(row).collect())
}

pub(super) async fn one(conn: &mut Conn, id: Id) -> Result<Option<Row>, sqlx::Error> {
    Ok(sqlx::query_as::<sqlx::Any, Columns>(ONE).bind(id.0).fetch_optional(conn).await?.map(row))
}

/// Of those that were deleted, too.
pub(super) async fn names(conn: &mut Conn) -> Result<Vec<(i64, String)>, sqlx::Error> {
    sqlx::query_as::<sqlx::Any, (i64, String)>(NAMES).fetch_all(conn).await
}

pub(super) async fn name_taken(conn: &mut Conn, name: &str, by_other_than: Id) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query_scalar::<sqlx::Any, i64>(NAME_TAKEN).bind(name).bind(by_other_than.0).fetch_one(conn).await? > 0)
}

pub(super) async fn insert(conn: &mut Conn, id: Id, draft: &ChannelDraft, sealed: &str, stored: &Stored, now: i64) -> Result<(), sqlx::Error> {
    put(INSERT, conn, id, draft, Some(sealed), stored, now).await?;
    Ok(())
}

/// Whether there is such a channel. Without a new sealed credential the stored one stays.
pub(super) async fn update(conn: &mut Conn, id: Id, draft: &ChannelDraft, sealed: Option<&str>, stored: &Stored, now: i64) -> Result<bool, sqlx::Error> {
    Ok(put(UPDATE, conn, id, draft, sealed, stored, now).await? == 1)
}

/// How many rows there were.
async fn put(
    statement: &'static str,
    conn: &mut Conn,
    id: Id,
    draft: &ChannelDraft,
    sealed: Option<&str>,
    stored: &Stored,
    now: i64,
) -> Result<u64, sqlx::Error> {
    let query = sqlx::query(statement).bind(id.0).bind(&draft.name).bind(draft.kind.word()).bind(draft.base_url.as_str()).bind(sealed);
    let query = query.bind(&stored.private).bind(draft.models.join("\n")).bind(draft.priority).bind(draft.weight).bind(flag(draft.enabled));
    Ok(query.bind(&stored.options).bind(now).execute(conn).await?.rows_affected())
}

/// Whether there was such a channel.
pub(super) async fn delete(conn: &mut Conn, id: Id, now: i64) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(DELETE).bind(id.0).bind(now).execute(conn).await?.rows_affected() == 1)
}
