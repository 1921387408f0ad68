//! The outbox's rows.

use super::{Attachment, Message, Recipient};
use crate::db::Conn;
use crate::kernel::Id;
use crate::statements;
use data_encoding::BASE64;

statements! {
    INSERT = "INSERT INTO outbox (id, recipient, subject, body_text, body_html, created_at, next_attempt_at, sent_at, attachment_name, attachment)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    DUE = "SELECT id FROM outbox WHERE sent_at IS NULL AND failed_at IS NULL AND next_attempt_at <= $1 ORDER BY next_attempt_at LIMIT $2";
    CLAIM = "UPDATE outbox SET attempts = attempts + 1, next_attempt_at = $3
        WHERE id = $1 AND sent_at IS NULL AND failed_at IS NULL AND next_attempt_at <= $2
        RETURNING attempts, recipient, subject, body_text, body_html, created_at, attachment_name, attachment";
    SENT = "UPDATE outbox SET sent_at = $2, last_error = NULL, body_text = '', body_html = '', attachment = NULL WHERE id = $1";
    RETRY = "UPDATE outbox SET next_attempt_at = $2, last_error = $3 WHERE id = $1";
    FAILED = "UPDATE outbox SET failed_at = $2, last_error = $3, body_text = '', body_html = '', attachment = NULL WHERE id = $1";
    SWEEP = "DELETE FROM outbox WHERE (sent_at IS NOT NULL OR failed_at IS NOT NULL) AND created_at < $1";
    WAITING = "SELECT COUNT(*) FROM outbox WHERE sent_at IS NULL AND failed_at IS NULL";
}

/// A row that this process may send.
pub(super) struct Claimed {
    pub(super) id: Id,
    pub(super) attempts: i64,
    pub(super) created_at: i64,
    pub(super) message: Message,
}

type ClaimedRow = (i64, String, String, String, String, i64, Option<String>, Option<String>);

pub(super) async fn insert(conn: &mut Conn, id: Id, message: &Message, now: i64) -> Result<(), sqlx::Error> {
    // A mail to nobody is written with all its text: the work is the same, and the sweep removes it with the others.
    let (to, sent_at) = match &message.to {
        Recipient::Address(to) => (to.as_str(), None),
        Recipient::Nobody => ("", Some(now)),
    };
    let query = sqlx::query(INSERT).bind(id.0).bind(to).bind(&message.subject).bind(&message.text).bind(&message.html);
    let name = message.attachment.as_ref().map(|file| file.name.clone());
    let content = message.attachment.as_ref().map(|file| BASE64.encode(&file.content));
    query.bind(now).bind(now).bind(sent_at).bind(name).bind(content).execute(conn).await?;
    Ok(())
}

pub(super) async fn due(conn: &mut Conn, now: i64, limit: i64) -> Result<Vec<Id>, sqlx::Error> {
    let ids: Vec<i64> = sqlx::query_scalar(DUE).bind(now).bind(limit).fetch_all(conn).await?;
    Ok(ids.into_iter().map(Id).collect())
}

/// Takes a due row until `until`. Of several who try, one gets it.
pub(super) async fn claim(conn: &mut Conn, id: Id, now: i64, until: i64) -> Result<Option<Claimed>, sqlx::Error> {
    let row: Option<ClaimedRow> = sqlx::query_as(CLAIM).bind(id.0).bind(now).bind(until).fetch_optional(conn).await?;
    let Some((attempts, to, subject, text, html, created_at, name, content)) = row else { return Ok(None) };
    let content = content.map(|content| BASE64.decode(content.as_bytes())).transpose().map_err(|error| sqlx::Error::Decode(error.into()))?;
    let attachment = name.zip(content).map(|(name, content)| Attachment { name, content });
    Ok(Some(Claimed { id, attempts, created_at, message: Message { to: Recipient::Address(to), subject, text, html, attachment } }))
}

pub(super) async fn sent(conn: &mut Conn, id: Id, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query(SENT).bind(id.0).bind(now).execute(conn).await?;
    Ok(())
}

pub(super) async fn retry(conn: &mut Conn, id: Id, at: i64, error: &str) -> Result<(), sqlx::Error> {
    sqlx::query(RETRY).bind(id.0).bind(at).bind(error).execute(conn).await?;
    Ok(())
}

pub(super) async fn failed(conn: &mut Conn, id: Id, now: i64, error: &str) -> Result<(), sqlx::Error> {
    sqlx::query(FAILED).bind(id.0).bind(now).bind(error).execute(conn).await?;
    Ok(())
}

pub(super) async fn sweep(conn: &mut Conn, before: i64) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query(SWEEP).bind(before).execute(conn).await?.rows_affected())
}

pub(super) async fn waiting(conn: &mut Conn) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(WAITING).fetch_one(conn).await
}
