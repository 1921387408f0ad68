//! The settings' rows.

use crate::db::Conn;
use crate::statements;

statements! {
    ALL = "SELECT name, value FROM setting";
    GET = "SELECT value FROM setting WHERE name = $1";
    PUT = "INSERT INTO setting (name, value, updated_at) VALUES ($1, $2, $3)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at";
    TAKE = "DELETE FROM setting WHERE name = $1 AND value = $2";
}

pub(super) async fn all(conn: &mut Conn) -> Result<Vec<(String, String)>, sqlx::Error> {
    sqlx::query_as(ALL).fetch_all(conn).await
}

pub(super) async fn get(conn: &mut Conn, name: &str) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(GET).bind(name).fetch_optional(conn).await
}

pub(super) async fn put(conn: &mut Conn, name: &str, value: &str, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query(PUT).bind(name).bind(value).bind(now).execute(conn).await?;
    Ok(())
}

pub(super) async fn take(conn: &mut Conn, name: &str, value: &str) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(TAKE).bind(name).bind(value).execute(conn).await?.rows_affected() == 1)
}
