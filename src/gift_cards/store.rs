//! The SQL of gift cards.

use super::{BatchView, CardView, NewBatch};
use crate::db::{Bulk, Conn};
use crate::kernel::{Id, Usd};

crate::statements! {
    INSERT_BATCH = "INSERT INTO gift_card_batch (id, amount, count, note, expires_at, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    USER = "SELECT verified_at, disabled_at FROM users WHERE id = $1";
    /// The compare-and-set that makes a card single-use: of many at once, one finds the row still free.
    REDEEM = "UPDATE gift_card SET redeemed_by = $2, redeemed_at = $3 WHERE hash = $1 AND redeemed_by IS NULL AND voided_at IS NULL RETURNING id, batch_id";
    WORTH = "SELECT amount, expires_at FROM gift_card_batch WHERE id = $1";
    STATE = "SELECT redeemed_by, voided_at FROM gift_card WHERE hash = $1";
    VOID_CARD = "UPDATE gift_card SET voided_at = $2 WHERE id = $1 AND redeemed_by IS NULL AND voided_at IS NULL";
    CARD = "SELECT redeemed_by FROM gift_card WHERE id = $1";
    VOID_BATCH = "UPDATE gift_card SET voided_at = $2 WHERE batch_id = $1 AND redeemed_by IS NULL AND voided_at IS NULL";
    BATCHES = "SELECT b.id, b.amount, b.count, b.note, b.expires_at, b.created_by, b.created_at, \
               (SELECT COUNT(*) FROM gift_card c WHERE c.batch_id = b.id AND c.redeemed_by IS NOT NULL), \
               (SELECT COUNT(*) FROM gift_card c WHERE c.batch_id = b.id AND c.voided_at IS NOT NULL) \
               FROM gift_card_batch b WHERE b.id < $1 ORDER BY b.id DESC LIMIT $2";
    BATCH = "SELECT b.id, b.amount, b.count, b.note, b.expires_at, b.created_by, b.created_at, \
             (SELECT COUNT(*) FROM gift_card c WHERE c.batch_id = b.id AND c.redeemed_by IS NOT NULL), \
             (SELECT COUNT(*) FROM gift_card c WHERE c.batch_id = b.id AND c.voided_at IS NOT NULL) \
             FROM gift_card_batch b WHERE b.id = $1";
    CARDS = "SELECT c.id, c.tail, c.redeemed_by, u.email, c.redeemed_at, c.voided_at FROM gift_card c LEFT JOIN users u ON u.id = c.redeemed_by \
             WHERE c.batch_id = $1 AND c.id > $2 ORDER BY c.id LIMIT $3";
}

static INSERT_CARDS: Bulk = Bulk::new("INSERT_CARDS", "INSERT INTO gift_card (id, batch_id, hash, tail) VALUES ", &["", "", "", ""], "");

/// The statements over many rows, for the test that prepares them.
pub const BULK: &[&Bulk] = &[&INSERT_CARDS];

pub(super) async fn insert_batch(conn: &mut Conn, id: Id, new: &NewBatch, by: Id, at: i64) -> Result<(), sqlx::Error> {
    let query = sqlx::query(INSERT_BATCH).bind(id.0).bind(new.amount.0).bind(new.count).bind(&new.note).bind(new.expires_at);
    query.bind(by.0).bind(at).execute(conn).await?;
    Ok(())
}

/// A card to be: only what may be kept of its code.
pub(super) struct NewCard {
    pub id: Id,
    pub hash: String,
    pub tail: String,
}

pub(super) async fn insert_cards(conn: &mut Conn, batch: Id, cards: &[NewCard]) -> Result<(), sqlx::Error> {
    for (text, chunk) in INSERT_CARDS.chunks(conn, cards) {
        let query = chunk.iter().fold(sqlx::query(text), |query, card| query.bind(card.id.0).bind(batch.0).bind(&card.hash).bind(&card.tail));
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

/// When the user's address was verified, and when the account was disabled.
pub(super) async fn user(conn: &mut Conn, user: Id) -> Result<Option<(Option<i64>, Option<i64>)>, sqlx::Error> {
    sqlx::query_as::<sqlx::Any, _>(USER).bind(user.0).fetch_optional(conn).await
}

/// Marks a free card as the user's: the card and its batch, or none when the card is not free or does not exist.
pub(super) async fn redeem(conn: &mut Conn, hash: &str, user: Id, at: i64) -> Result<Option<(Id, Id)>, sqlx::Error> {
    let row = sqlx::query_as::<sqlx::Any, (i64, i64)>(REDEEM).bind(hash).bind(user.0).bind(at).fetch_optional(conn).await?;
    Ok(row.map(|(card, batch)| (Id(card), Id(batch))))
}

/// What each card of a batch is worth, and until when it can be redeemed.
pub(super) async fn worth(conn: &mut Conn, batch: Id) -> Result<(Usd, i64), sqlx::Error> {
    let (amount, expires_at) = sqlx::query_as::<sqlx::Any, (i64, i64)>(WORTH).bind(batch.0).fetch_one(conn).await?;
    Ok((Usd(amount), expires_at))
}

/// Who redeemed the card with this hash, and when it was voided.
pub(super) async fn state(conn: &mut Conn, hash: &str) -> Result<Option<(Option<i64>, Option<i64>)>, sqlx::Error> {
    sqlx::query_as::<sqlx::Any, _>(STATE).bind(hash).fetch_optional(conn).await
}

pub(super) async fn void_card(conn: &mut Conn, card: Id, at: i64) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(VOID_CARD).bind(card.0).bind(at).execute(conn).await?.rows_affected() == 1)
}

/// Whether the card was redeemed; none when there is no such card.
pub(super) async fn is_redeemed(conn: &mut Conn, card: Id) -> Result<Option<bool>, sqlx::Error> {
    let row = sqlx::query_as::<sqlx::Any, (Option<i64>,)>(CARD).bind(card.0).fetch_optional(conn).await?;
    Ok(row.map(|(redeemed_by,)| redeemed_by.is_some()))
}

pub(super) async fn void_batch(conn: &mut Conn, batch: Id, at: i64) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query(VOID_BATCH).bind(batch.0).bind(at).execute(conn).await?.rows_affected())
}

type BatchRow = (i64, i64, i64, String, i64, i64, i64, i64, i64);

fn batch_view((id, amount, count, note, expires_at, created_by, created_at, redeemed, voided): BatchRow) -> BatchView {
    let left = count - redeemed - voided;
    BatchView { id: Id(id), amount: Usd(amount), count, note, expires_at, created_by: Id(created_by), created_at, redeemed, voided, left }
}

pub(super) async fn batches(conn: &mut Conn, before: Id, limit: i64) -> Result<Vec<BatchView>, sqlx::Error> {
    let rows = sqlx::query_as::<sqlx::Any, BatchRow>(BATCHES).bind(before.0).bind(limit).fetch_all(conn).await?;
    Ok(rows.into_iter().map(batch_view).collect())
}

pub(super) async fn batch(conn: &mut Conn, id: Id) -> Result<Option<BatchView>, sqlx::Error> {
    Ok(sqlx::query_as::<sqlx::Any, BatchRow>(BATCH).bind(id.0).fetch_optional(conn).await?.map(batch_view))
}

type CardRow = (i64, String, Option<i64>, Option<String>, Option<i64>, Option<i64>);

pub(super) async fn cards(conn: &mut Conn, batch: Id, after: Id, limit: i64) -> Result<Vec<CardView>, sqlx::Error> {
    let rows = sqlx::query_as::<sqlx::Any, CardRow>(CARDS).bind(batch.0).bind(after.0).bind(limit).fetch_all(conn).await?;
    let view = |(id, tail, redeemed_by, email, redeemed_at, voided_at): CardRow| CardView {
        id: Id(id),
        tail,
        redeemed_by: redeemed_by.map(Id),
        redeemed_by_email: email,
        redeemed_at,
        voided_at,
    };
    Ok(rows.into_iter().map(view).collect())
}
