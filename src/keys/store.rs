//! The SQL of keys.

use super::KeyView;
use super::snapshot::{Change, Entry};
use crate::db::Conn;
use crate::kernel::{Id, Usd};
use data_encoding::HEXLOWER;
use futures_util::TryStreamExt;

crate::statements! {
    /// Changes nothing: takes the user's row lock, so that two creations by one user are counted one after the other.
    LOCK_USER = "UPDATE users SET session_epoch = session_epoch WHERE id = $1 RETURNING verified_at, disabled_at";
    COUNT_LIVE = "SELECT COUNT(*) FROM api_key WHERE user_id = $1 AND deleted_at IS NULL";
    INSERT = "INSERT INTO api_key (id, user_id, name, hash, prefix, budget, expires_at, created_at, revision) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    LIST = "SELECT k.id, k.name, k.prefix, k.budget, k.expires_at, k.disabled_at, k.created_at, \
            COALESCE(m.spent, 0), COALESCE(m.held, 0), COALESCE(m.requests, 0), m.last_used_at \
            FROM api_key k LEFT JOIN key_meter m ON m.key_id = k.id \
            WHERE k.user_id = $1 AND k.deleted_at IS NULL ORDER BY k.id DESC";
    DISABLE = "UPDATE api_key SET disabled_at = COALESCE(disabled_at, $3), revision = $4 WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL";
    ENABLE = "UPDATE api_key SET disabled_at = NULL, revision = $3 WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL";
    DELETE = "UPDATE api_key SET deleted_at = $3, revision = $4 WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL";
    TOUCH_USER = "UPDATE api_key SET revision = $2 WHERE user_id = $1 AND deleted_at IS NULL";
    SPENT = "SELECT spent FROM key_meter WHERE key_id = $1";
    SPENT_BY_USER = "SELECT CAST(COALESCE(SUM(m.spent), 0) AS BIGINT) FROM api_key k JOIN key_meter m ON m.key_id = k.id WHERE k.user_id = $1";
    CHANGES = "SELECT k.revision, k.hash, k.id, k.user_id, k.budget, k.expires_at, k.disabled_at, k.deleted_at, u.disabled_at, u.verified_at \
               FROM api_key k JOIN users u ON u.id = k.user_id WHERE k.revision > $1";
}

/// Locks the user's row until the transaction ends: when the address was verified, and when the account was disabled.
pub(super) async fn lock_user(conn: &mut Conn, user: Id) -> Result<Option<(Option<i64>, Option<i64>)>, sqlx::Error> {
    sqlx::query_as::<sqlx::Any, _>(LOCK_USER).bind(user.0).fetch_optional(conn).await
}

pub(super) async fn count_live(conn: &mut Conn, user: Id) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar::<sqlx::Any, i64>(COUNT_LIVE).bind(user.0).fetch_one(conn).await
}

/// A row to be.
pub(super) struct NewRow<'a> {
    pub id: Id,
    pub user: Id,
    pub name: &'a str,
    pub hash: &'a str,
    pub prefix: &'a str,
    pub budget: Option<Usd>,
    pub expires_at: i64,
    pub created_at: i64,
    pub revision: i64,
}

pub(super) async fn insert(conn: &mut Conn, row: NewRow<'_>) -> Result<(), sqlx::Error> {
    let query = sqlx::query(INSERT).bind(row.id.0).bind(row.user.0).bind(row.name).bind(row.hash).bind(row.prefix);
    query.bind(row.budget.map(|b| b.0)).bind(row.expires_at).bind(row.created_at).bind(row.revision).execute(conn).await?;
    Ok(())
}

type ListRow = (i64, String, String, Option<i64>, i64, Option<i64>, i64, i64, i64, i64, Option<i64>);

pub(super) async fn list(conn: &mut Conn, user: Id) -> Result<Vec<KeyView>, sqlx::Error> {
    let rows = sqlx::query_as::<sqlx::Any, ListRow>(LIST).bind(user.0).fetch_all(conn).await?;
    Ok(rows.into_iter().map(view).collect())
}

fn view((id, name, prefix, budget, expires_at, disabled_at, created_at, spent, held, requests, last_used_at): ListRow) -> KeyView {
    let (budget, spent, held) = (budget.map(Usd), Usd(spent), Usd(held));
    KeyView { id: Id(id), name, prefix, budget, spent, held, requests, last_used_at, expires_at, disabled_at, created_at }
}

/// Whether the user has such a key.
pub(super) async fn disable(conn: &mut Conn, user: Id, key: Id, at: i64, revision: i64) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(DISABLE).bind(key.0).bind(user.0).bind(at).bind(revision).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}

/// Whether the user has such a key.
pub(super) async fn enable(conn: &mut Conn, user: Id, key: Id, revision: i64) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(ENABLE).bind(key.0).bind(user.0).bind(revision).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}

/// Whether the user has such a key.
pub(super) async fn delete(conn: &mut Conn, user: Id, key: Id, at: i64, revision: i64) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(DELETE).bind(key.0).bind(user.0).bind(at).bind(revision).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn touch_user(conn: &mut Conn, user: Id, revision: i64) -> Result<(), sqlx::Error> {
    sqlx::query(TOUCH_USER).bind(user.0).bind(revision).execute(conn).await?;
    Ok(())
}

type ChangeRow = (i64, String, i64, i64, Option<i64>, i64, Option<i64>, Option<i64>, Option<i64>, Option<i64>);

/// Every key that changed after revision `after`. Rows are taken one by one: at start there may be a hundred thousand.
pub(super) async fn changes(conn: &mut Conn, after: i64) -> Result<Vec<Change>, sqlx::Error> {
    sqlx::query_as::<sqlx::Any, ChangeRow>(CHANGES).bind(after).fetch(conn).try_filter_map(async |row| Ok(change(row))).try_collect().await
}

/// A row whose hash is not one (an edit by hand) cannot be called with, so it is left out.
fn change((revision, hash, id, user, budget, expires_at, disabled, deleted, user_disabled, user_verified): ChangeRow) -> Option<Change> {
    let digest: [u8; 32] = HEXLOWER.decode(hash.as_bytes()).ok()?.try_into().ok()?;
    let entry = Entry {
        key_id: Id(id),
        user_id: Id(user),
        budget: budget.map(Usd),
        expires_at,
        key_disabled: disabled.is_some(),
        user_disabled: user_disabled.is_some(),
        user_verified: user_verified.is_some(),
    };
    Some(Change { revision, digest, entry: deleted.is_none().then_some(entry) })
}

pub(super) async fn spent(conn: &mut Conn, key: Id) -> Result<Usd, sqlx::Error> {
    Ok(Usd(sqlx::query_scalar::<sqlx::Any, i64>(SPENT).bind(key.0).fetch_optional(conn).await?.unwrap_or(0)))
}

/// Deleted keys count too: what they spent stays spent.
pub(super) async fn spent_by_user(conn: &mut Conn, user: Id) -> Result<Usd, sqlx::Error> {
    Ok(Usd(sqlx::query_scalar::<sqlx::Any, i64>(SPENT_BY_USER).bind(user.0).fetch_one(conn).await?))
}
