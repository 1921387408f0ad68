//! The deeds' rows.

use super::Event;
use crate::db::Conn;
use crate::kernel::Id;
use crate::statements;

statements! {
    INSERT = "INSERT INTO admin_event (id, actor_id, action, target, detail, at) VALUES ($1, $2, $3, $4, $5, $6)";
    RECENT = "SELECT id, actor_id, action, target, detail, at FROM admin_event WHERE id < $1 ORDER BY id DESC LIMIT $2";
}

type Row = (i64, Option<i64>, String, String, String, i64);

pub(super) async fn insert(conn: &mut Conn, event: &Event) -> Result<(), sqlx::Error> {
    let actor = event.actor.map(|id| id.0);
    sqlx::query(INSERT).bind(event.id.0).bind(actor).bind(&event.action).bind(&event.target).bind(&event.detail).bind(event.at).execute(conn).await?;
    Ok(())
}

pub(super) async fn recent(conn: &mut Conn, before: i64, limit: i64) -> Result<Vec<Event>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(RECENT).bind(before).bind(limit).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(id, actor, action, target, detail, at)| Event { id: Id(id), actor: actor.map(Id), action, target, detail, at }).collect())
}
