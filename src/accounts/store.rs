//! The rows of people and of the links that were mailed to them.

use super::{Role, User};
use crate::db::{self, Conn};
use crate::kernel::Id;
use crate::statements;

statements! {
    BY_ID = "SELECT id, email, role, verified_at, disabled_at, session_epoch, locale, time_zone, created_at, last_login_at FROM users WHERE id = $1";
    BY_KEY = "SELECT id, email, role, verified_at, disabled_at, session_epoch, locale, time_zone, created_at, last_login_at FROM users WHERE email_key = $1";
    PASSWORD = "SELECT id, password_hash FROM users WHERE email_key = $1";
    INSERT = "INSERT INTO users (id, email, email_key, password_hash, role, verified_at, locale, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (email_key) DO NOTHING";
    START_OVER = "UPDATE users SET password_hash = $2, session_epoch = session_epoch + 1 WHERE id = $1 AND verified_at IS NULL";
    VERIFY = "UPDATE users SET verified_at = COALESCE(verified_at, $2) WHERE id = $1";
    SET_PASSWORD = "UPDATE users SET password_hash = $2, session_epoch = session_epoch + 1, verified_at = COALESCE(verified_at, $3) WHERE id = $1";
    REHASH = "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2";
    LOGGED_IN = "UPDATE users SET last_login_at = $2 WHERE id = $1";
    SET_LOCALE = "UPDATE users SET locale = $2 WHERE id = $1";
    LIMITS = "SELECT limits FROM users WHERE id = $1";
    SET_LIMITS = "UPDATE users SET limits = $2 WHERE id = $1";
    SET_DISABLED = "UPDATE users SET disabled_at = $2, session_epoch = session_epoch + 1 WHERE id = $1";
    CROWN = "UPDATE users SET role = 'owner', password_hash = $2, verified_at = COALESCE(verified_at, $3), disabled_at = NULL,
        session_epoch = session_epoch + 1 WHERE id = $1";
    COUNT_OWNERS = "SELECT COUNT(*) FROM users WHERE role = 'owner'";
    ANY = "SELECT id FROM users LIMIT 1";
    COUNT = "SELECT COUNT(*) FROM users";
    LIST = "SELECT id, email, role, verified_at, disabled_at, session_epoch, locale, time_zone, created_at, last_login_at FROM users
        WHERE id < $1 AND LOWER(email) LIKE $2 ESCAPE '\\' ORDER BY id DESC LIMIT $3";
    INSERT_LINK = "INSERT INTO auth_token (hash, user_id, kind, created_at, expires_at, invitation) VALUES ($1, $2, $3, $4, $5, $6)";
    INVITATION = "SELECT invitation FROM auth_token WHERE user_id = $1 AND invitation IS NOT NULL ORDER BY created_at DESC LIMIT 1";
    LINK = "SELECT used_at, expires_at FROM auth_token WHERE hash = $1 AND kind = $2";
    USE_LINK = "UPDATE auth_token SET used_at = $3 WHERE hash = $1 AND kind = $2 AND used_at IS NULL AND expires_at > $3 RETURNING user_id";
    VOID_LINKS = "UPDATE auth_token SET expires_at = $3 WHERE user_id = $1 AND kind = $2 AND used_at IS NULL AND expires_at > $3";
    SWEEP_LINKS = "DELETE FROM auth_token WHERE expires_at < $1";
}

type UserRow = (i64, String, String, Option<i64>, Option<i64>, i64, Option<String>, Option<String>, i64, Option<i64>);

fn user(row: UserRow) -> Result<User, sqlx::Error> {
    let (id, email, role, verified_at, disabled_at, session_epoch, locale, time_zone, created_at, last_login_at) = row;
    let role = Role::parse(&role).ok_or_else(|| sqlx::Error::Decode(format!("the role {role} is unknown").into()))?;
    Ok(User { id: Id(id), email, role, verified_at, disabled_at, session_epoch, locale, time_zone, created_at, last_login_at })
}

/// A person who is new.
pub(super) struct NewUser<'a> {
    pub(super) id: Id,
    pub(super) email: &'a str,
    pub(super) email_key: &'a str,
    pub(super) password_hash: &'a str,
    pub(super) role: Role,
    pub(super) verified_at: Option<i64>,
    pub(super) locale: &'a str,
    pub(super) created_at: i64,
}

pub(super) async fn by_id(conn: &mut Conn, id: Id) -> Result<Option<User>, sqlx::Error> {
    sqlx::query_as::<_, UserRow>(BY_ID).bind(id.0).fetch_optional(conn).await?.map(user).transpose()
}

pub(super) async fn by_key(conn: &mut Conn, email_key: &str) -> Result<Option<User>, sqlx::Error> {
    sqlx::query_as::<_, UserRow>(BY_KEY).bind(email_key).fetch_optional(conn).await?.map(user).transpose()
}

pub(super) async fn password_hash(conn: &mut Conn, email_key: &str) -> Result<Option<(Id, String)>, sqlx::Error> {
    let row: Option<(i64, String)> = sqlx::query_as(PASSWORD).bind(email_key).fetch_optional(conn).await?;
    Ok(row.map(|(id, hash)| (Id(id), hash)))
}

/// Adds a person; false when the address is taken.
pub(super) async fn insert(conn: &mut Conn, new: NewUser<'_>) -> Result<bool, sqlx::Error> {
    let query = sqlx::query(INSERT).bind(new.id.0).bind(new.email).bind(new.email_key).bind(new.password_hash).bind(new.role.name());
    let done = query.bind(new.verified_at).bind(new.locale).bind(new.created_at).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}

/// Gives an account that was never verified another password; false when it is verified by now.
pub(super) async fn start_over(conn: &mut Conn, id: Id, password_hash: &str) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(START_OVER).bind(id.0).bind(password_hash).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn verify(conn: &mut Conn, id: Id, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query(VERIFY).bind(id.0).bind(now).execute(conn).await?;
    Ok(())
}

pub(super) async fn set_password(conn: &mut Conn, id: Id, password_hash: &str, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query(SET_PASSWORD).bind(id.0).bind(password_hash).bind(now).execute(conn).await?;
    Ok(())
}

pub(super) async fn rehash(conn: &mut Conn, id: Id, old: &str, new: &str) -> Result<(), sqlx::Error> {
    sqlx::query(REHASH).bind(id.0).bind(old).bind(new).execute(conn).await?;
    Ok(())
}

pub(super) async fn logged_in(conn: &mut Conn, id: Id, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query(LOGGED_IN).bind(id.0).bind(now).execute(conn).await?;
    Ok(())
}

pub(super) async fn set_locale(conn: &mut Conn, id: Id, locale: &str) -> Result<(), sqlx::Error> {
    sqlx::query(SET_LOCALE).bind(id.0).bind(locale).execute(conn).await?;
    Ok(())
}

pub(super) async fn limits(conn: &mut Conn, id: Id) -> Result<Option<String>, sqlx::Error> {
    Ok(sqlx::query_scalar::<sqlx::Any, Option<String>>(LIMITS).bind(id.0).fetch_optional(conn).await?.flatten())
}

/// Whether there is such a user.
pub(super) async fn set_limits(conn: &mut Conn, id: Id, limits: Option<&str>) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(SET_LIMITS).bind(id.0).bind(limits.map(str::to_owned)).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn set_disabled(conn: &mut Conn, id: Id, disabled_at: Option<i64>) -> Result<(), sqlx::Error> {
    sqlx::query(SET_DISABLED).bind(id.0).bind(disabled_at).execute(conn).await?;
    Ok(())
}

pub(super) async fn crown(conn: &mut Conn, id: Id, password_hash: &str, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query(CROWN).bind(id.0).bind(password_hash).bind(now).execute(conn).await?;
    Ok(())
}

pub(super) async fn count_owners(conn: &mut Conn) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(COUNT_OWNERS).fetch_one(conn).await
}

pub(super) async fn any(conn: &mut Conn) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query_scalar::<_, i64>(ANY).fetch_optional(conn).await?.is_some())
}

pub(super) async fn count(conn: &mut Conn) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(COUNT).fetch_one(conn).await
}

pub(super) async fn list(conn: &mut Conn, search: &str, before: i64, limit: i64) -> Result<Vec<User>, sqlx::Error> {
    let rows: Vec<UserRow> = sqlx::query_as(LIST).bind(before).bind(db::contains(search)).bind(limit).fetch_all(conn).await?;
    rows.into_iter().map(user).collect()
}

/// A link's row: when it was used, and when it expires.
pub(super) type LinkRow = (Option<i64>, i64);

pub(super) async fn insert_link(
    conn: &mut Conn,
    hash: &str,
    user: Option<Id>,
    kind: &str,
    now: i64,
    expires_at: i64,
    invitation: Option<String>,
) -> Result<(), sqlx::Error> {
    let query = sqlx::query(INSERT_LINK).bind(hash).bind(user.map(|id| id.0)).bind(kind).bind(now).bind(expires_at);
    query.bind(invitation).execute(conn).await?;
    Ok(())
}

/// What a person came by, as their latest link that knows it says.
pub(super) async fn invitation(conn: &mut Conn, user: Id) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(INVITATION).bind(user.0).fetch_optional(conn).await
}

pub(super) async fn link(conn: &mut Conn, hash: &str, kind: &str) -> Result<Option<LinkRow>, sqlx::Error> {
    sqlx::query_as(LINK).bind(hash).bind(kind).fetch_optional(conn).await
}

/// Uses a link up. Of several who try, one gets its user.
pub(super) async fn use_link(conn: &mut Conn, hash: &str, kind: &str, now: i64) -> Result<Option<Id>, sqlx::Error> {
    let row: Option<(Option<i64>,)> = sqlx::query_as(USE_LINK).bind(hash).bind(kind).bind(now).fetch_optional(conn).await?;
    Ok(row.and_then(|(user,)| user).map(Id))
}

/// Ends the user's links of a kind that are still good.
pub(super) async fn void_links(conn: &mut Conn, user: Id, kind: &str, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query(VOID_LINKS).bind(user.0).bind(kind).bind(now).execute(conn).await?;
    Ok(())
}

pub(super) async fn sweep_links(conn: &mut Conn, before: i64) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query(SWEEP_LINKS).bind(before).execute(conn).await?.rows_affected())
}
