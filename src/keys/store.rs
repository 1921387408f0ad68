//! The SQL of keys.

use super::snapshot::{Change, Entry};
use super::{KeyChange, KeyOptions, KeyView, UserLimits};
use crate::db::Conn;
use crate::kernel::{Id, Usd};
use data_encoding::HEXLOWER;
use futures_util::TryStreamExt;
use sqlx::Row;
use sqlx::any::AnyRow;
use std::collections::HashMap;
use std::sync::Arc;

crate::statements! {
    /// Changes nothing: takes the user's row lock, so that two creations by one user are counted one after the other.
    LOCK_USER = "UPDATE users SET session_epoch = session_epoch WHERE id = $1 RETURNING verified_at, disabled_at";
    COUNT_LIVE = "SELECT COUNT(*) FROM api_key WHERE user_id = $1 AND deleted_at IS NULL";
    INSERT = "INSERT INTO api_key (id, user_id, name, hash, prefix, budget, expires_at, created_at, revision, options) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    UPDATE = "UPDATE api_key SET name = $3, budget = $4, expires_at = COALESCE($5, expires_at), options = $6, revision = $7 \
              WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL";
    LIST = "SELECT k.id, k.name, k.prefix, k.budget, k.expires_at, k.disabled_at, k.created_at, \
            COALESCE(m.spent, 0), COALESCE(m.held, 0), COALESCE(m.requests, 0), m.last_used_at, k.options \
            FROM api_key k LEFT JOIN key_meter m ON m.key_id = k.id \
            WHERE k.user_id = $1 AND k.deleted_at IS NULL ORDER BY k.id DESC";
    DISABLE = "UPDATE api_key SET disabled_at = COALESCE(disabled_at, $3), revision = $4 WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL";
    ENABLE = "UPDATE api_key SET disabled_at = NULL, revision = $3 WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL";
    DELETE = "UPDATE api_key SET deleted_at = $3, revision = $4 WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL";
    TOUCH_USER = "UPDATE api_key SET revision = $2 WHERE user_id = $1 AND deleted_at IS NULL";
    SPENT = "SELECT spent FROM key_meter WHERE key_id = $1";
    SPENT_BY_USER = "SELECT CAST(COALESCE(SUM(m.spent), 0) AS BIGINT) FROM api_key k JOIN key_meter m ON m.key_id = k.id WHERE k.user_id = $1";
    CHANGES = "SELECT k.revision, k.hash, k.id, k.user_id, k.budget, k.expires_at, k.disabled_at, k.deleted_at, u.disabled_at, u.verified_at, k.options, u.limits \
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
    pub options: Option<String>,
    pub created_at: i64,
    pub revision: i64,
}

pub(super) async fn insert(conn: &mut Conn, row: NewRow<'_>) -> Result<(), sqlx::Error> {
    let query = sqlx::query(INSERT).bind(row.id.0).bind(row.user.0).bind(row.name).bind(row.hash).bind(row.prefix);
    query.bind(row.budget.map(|b| b.0)).bind(row.expires_at).bind(row.created_at).bind(row.revision).bind(row.options).execute(conn).await?;
    Ok(())
}

/// Whether the user has such a key.
pub(super) async fn update(conn: &mut Conn, user: Id, key: Id, change: &KeyChange, revision: i64) -> Result<bool, sqlx::Error> {
    let query = sqlx::query(UPDATE).bind(key.0).bind(user.0).bind(change.name.as_str()).bind(change.budget.map(|b| b.0)).bind(change.expires_at);
    Ok(query.bind(change.options.write()).bind(revision).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn list(conn: &mut Conn, user: Id) -> Result<Vec<KeyView>, sqlx::Error> {
    sqlx::query(LIST).bind(user.0).fetch_all(conn).await?.iter().map(view).collect()
}

fn view(row: &AnyRow) -> Result<KeyView, sqlx::Error> {
    let options: Option<String> = row.try_get(11)?;
    Ok(KeyView {
        id: Id(row.try_get(0)?),
        name: row.try_get(1)?,
        prefix: row.try_get(2)?,
        budget: row.try_get::<Option<i64>, _>(3)?.map(Usd),
        expires_at: row.try_get(4)?,
        disabled_at: row.try_get(5)?,
        created_at: row.try_get(6)?,
        spent: Usd(row.try_get(7)?),
        held: Usd(row.try_get(8)?),
        requests: row.try_get(9)?,
        last_used_at: row.try_get(10)?,
        options: KeyOptions::read(options.as_deref()).unwrap_or_default(),
    })
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

/// Every key that changed after revision `after`. Rows are taken one by one: at start there may be a hundred thousand.
pub(super) async fn changes(conn: &mut Conn, after: i64) -> Result<Vec<Change>, sqlx::Error> {
    let mut people = People::default();
    let mut rows = sqlx::query(CHANGES).bind(after).fetch(conn);
    let mut changes = Vec::new();
    while let Some(row) = rows.try_next().await? {
        changes.extend(change(&row, &mut people)?);
    }
    Ok(changes)
}

/// The limits of the users among the changes: all keys of a user share one copy.
#[derive(Default)]
struct People(HashMap<Id, Option<Arc<UserLimits>>>);

impl People {
    fn limits(&mut self, user: Id, text: Option<&str>) -> Option<Arc<UserLimits>> {
        let read = || match UserLimits::read(text) {
            Ok(limits) => (limits != UserLimits::default()).then(|| Arc::new(limits)),
            Err(error) => {
                tracing::error!(%user, %error, "the limits of a user cannot be read; the shop's defaults are");
                None
            }
        };
        text?;
        self.0.entry(user).or_insert_with(read).clone()
    }
}

/// A row whose hash is not one, or whose limits cannot be read (an edit by hand), cannot be called with: its key is as good as deleted.
fn change(row: &AnyRow, people: &mut People) -> Result<Option<Change>, sqlx::Error> {
    let hash: String = row.try_get(1)?;
    let Some(digest) = HEXLOWER.decode(hash.as_bytes()).ok().and_then(|digest| digest.try_into().ok()) else { return Ok(None) };
    let (key_id, user_id) = (Id(row.try_get(2)?), Id(row.try_get(3)?));
    let is_set = |at: usize| row.try_get::<Option<i64>, _>(at).map(|moment| moment.is_some());
    let (options, limits): (Option<String>, Option<String>) = (row.try_get(10)?, row.try_get(11)?);
    let options =
        KeyOptions::read(options.as_deref()).map_err(|error| tracing::error!(key = %key_id, %error, "the limits of a key cannot be read; it is not served"));
    let entry = Entry {
        key_id,
        user_id,
        budget: row.try_get::<Option<i64>, _>(4)?.map(Usd),
        expires_at: row.try_get(5)?,
        key_disabled: is_set(6)?,
        user_disabled: is_set(8)?,
        user_verified: is_set(9)?,
        options: options.as_ref().ok().filter(|options| **options != KeyOptions::default()).cloned().map(Arc::new),
        user_limits: people.limits(user_id, limits.as_deref()),
    };
    let gone = is_set(7)? || options.is_err();
    Ok(Some(Change { revision: row.try_get(0)?, digest, entry: (!gone).then_some(entry) }))
}

pub(super) async fn spent(conn: &mut Conn, key: Id) -> Result<Usd, sqlx::Error> {
    Ok(Usd(sqlx::query_scalar::<sqlx::Any, i64>(SPENT).bind(key.0).fetch_optional(conn).await?.unwrap_or(0)))
}

/// Deleted keys count too: what they spent stays spent.
pub(super) async fn spent_by_user(conn: &mut Conn, user: Id) -> Result<Usd, sqlx::Error> {
    Ok(Usd(sqlx::query_scalar::<sqlx::Any, i64>(SPENT_BY_USER).bind(user.0).fetch_one(conn).await?))
}
