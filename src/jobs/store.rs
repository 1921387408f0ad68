//! The leases' rows.

use crate::db::Conn;
use crate::statements;

statements! {
    HELD = "SELECT holder, expires_at FROM job_lease WHERE name = $1";
    TAKE = "INSERT INTO job_lease (name, holder, expires_at) VALUES ($1, $2, $3)
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
        WHERE job_lease.holder = excluded.holder OR job_lease.expires_at <= $4";
    FREE = "DELETE FROM job_lease WHERE name = $1 AND holder = $2";
}

/// Who holds a lease, and until when.
pub(super) async fn held(conn: &mut Conn, name: &str) -> Result<Option<(i64, i64)>, sqlx::Error> {
    sqlx::query_as(HELD).bind(name).fetch_optional(conn).await
}

pub(super) async fn take(conn: &mut Conn, name: &str, holder: i64, now: i64, until: i64) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(TAKE).bind(name).bind(holder).bind(until).bind(now).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn free(conn: &mut Conn, name: &str, holder: i64) -> Result<(), sqlx::Error> {
    sqlx::query(FREE).bind(name).bind(holder).execute(conn).await?;
    Ok(())
}
