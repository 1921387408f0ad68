//! The SQL of gift cards.

use super::{BatchView, CardFilter, CardView, NewBatch, Origin, RedeemedCard};
use crate::db::{Bulk, Conn};
use crate::kernel::{Id, Usd};
use sqlx::{Row, any::AnyRow};

crate::statements! {
    INSERT_BATCH = "INSERT INTO gift_card_batch (id, amount, count, note, expires_at, created_by, created_at, prefix, per_customer, origin, plan_id) \
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    INSERT_BOUGHT = "INSERT INTO gift_card_batch (id, amount, count, note, expires_at, created_by, created_at, origin, made) \
                     VALUES ($1, $2, 1, '', 9223372036854775807, $3, $4, 'bought', 1)";
    ONE_MORE = "UPDATE gift_card_batch SET count = count + 1, made = made + 1 WHERE id = $1";
    /// The compare-and-set that lets one go on with a batch.
    CLAIM_PORTION = "UPDATE gift_card_batch SET made = made + $3 WHERE id = $1 AND made = $2 AND stopped_at IS NULL";
    NEXT_UNMADE = "SELECT id, prefix, count, made FROM gift_card_batch WHERE made < count AND stopped_at IS NULL ORDER BY id LIMIT 1";
    STOP = "UPDATE gift_card_batch SET stopped_at = CASE WHEN made < count THEN COALESCE(stopped_at, $2) ELSE stopped_at END WHERE id = $1 RETURNING origin";
    KEEP_UNTIL = "UPDATE gift_card_batch SET sealed_until = $2 WHERE id = $1";
    NOTE_SHOWN = "UPDATE gift_card_batch SET shown_at = $2 WHERE id = $1";
    INSERT_SEALED = "INSERT INTO gift_card_sealed (batch_id, part, codes) VALUES ($1, $2, $3)";
    SEALED = "SELECT part, codes FROM gift_card_sealed WHERE batch_id = $1 ORDER BY part";
    DROP_SEALED = "DELETE FROM gift_card_sealed WHERE batch_id = $1";
    UNSEAL = "UPDATE gift_card_batch SET sealed_until = NULL WHERE id = $1";
    OVERDUE_SEALED = "SELECT id FROM gift_card_batch WHERE sealed_until <= $1 ORDER BY id LIMIT 100";
    CLAIM_SHOW = "UPDATE gift_card_batch SET shown_at = $2 WHERE id = $1 AND shown_at IS NULL AND sealed_until > $2 AND count <= $3 RETURNING downloaded_at";
    CLAIM_DOWNLOAD = "UPDATE gift_card_batch SET downloaded_at = $2 WHERE id = $1 AND downloaded_at IS NULL AND sealed_until > $2 RETURNING shown_at, count";
    USER = "SELECT verified_at, disabled_at FROM users WHERE id = $1";
    /// The compare-and-set that makes a card single-use: of many at once, one finds the row still free.
    REDEEM = "UPDATE gift_card SET redeemed_by = $2, redeemed_at = $3 WHERE hash = $1 AND redeemed_by IS NULL AND voided_at IS NULL AND held_at IS NULL RETURNING id, batch_id";
    WORTH = "SELECT amount, expires_at, per_customer, origin, plan_id FROM gift_card_batch WHERE id = $1";
    /// The customer's row is locked until the transaction ends: of many cards at once, as many as the limit allows find it low enough.
    COUNT_ONE = "INSERT INTO gift_card_count (batch_id, user_id, n) VALUES ($1, $2, 1) \
                 ON CONFLICT (batch_id, user_id) DO UPDATE SET n = gift_card_count.n + 1 WHERE gift_card_count.n < $3";
    STATE = "SELECT redeemed_by, voided_at, held_at FROM gift_card WHERE hash = $1";
    SET_HELD = "UPDATE gift_card SET held_at = $2 WHERE id = $1";
    VOID_CARD = "UPDATE gift_card SET voided_at = $2 WHERE id = $1 AND redeemed_by IS NULL AND voided_at IS NULL";
    VOID_BATCH = "UPDATE gift_card SET voided_at = $2 WHERE batch_id = $1 AND redeemed_by IS NULL AND voided_at IS NULL";
    BATCHES = "SELECT b.id, b.amount, b.count, b.made, b.stopped_at, b.note, b.prefix, b.per_customer, b.origin, b.expires_at, b.created_by, b.created_at, b.plan_id, \
               b.shown_at, b.downloaded_at, b.sealed_until, \
               (SELECT COUNT(*) FROM gift_card c WHERE c.batch_id = b.id AND c.redeemed_by IS NOT NULL) AS redeemed, \
               (SELECT COUNT(*) FROM gift_card c WHERE c.batch_id = b.id AND c.voided_at IS NOT NULL) AS voided \
               FROM gift_card_batch b WHERE b.origin IN ($1, $2) AND b.id < $3 ORDER BY b.id DESC LIMIT $4";
    BATCH = "SELECT b.id, b.amount, b.count, b.made, b.stopped_at, b.note, b.prefix, b.per_customer, b.origin, b.expires_at, b.created_by, b.created_at, b.plan_id, \
             b.shown_at, b.downloaded_at, b.sealed_until, \
             (SELECT COUNT(*) FROM gift_card c WHERE c.batch_id = b.id AND c.redeemed_by IS NOT NULL) AS redeemed, \
             (SELECT COUNT(*) FROM gift_card c WHERE c.batch_id = b.id AND c.voided_at IS NOT NULL) AS voided \
             FROM gift_card_batch b WHERE b.id = $1";
    CARDS = "SELECT c.id, c.batch_id, b.origin, b.amount, b.expires_at, c.tail, c.redeemed_by, u.email, c.redeemed_at, c.voided_at \
             FROM gift_card c JOIN gift_card_batch b ON b.id = c.batch_id LEFT JOIN users u ON u.id = c.redeemed_by \
             WHERE c.batch_id = $1 AND c.id > $2 AND (CAST($3 AS BIGINT) = 0 OR (CAST($3 AS BIGINT) = 2 AND c.redeemed_by IS NOT NULL) \
             OR (CAST($3 AS BIGINT) = 3 AND c.voided_at IS NOT NULL) OR (CAST($3 AS BIGINT) = 1 AND c.redeemed_by IS NULL AND c.voided_at IS NULL)) ORDER BY c.id LIMIT $4";
    CARD = "SELECT c.id, c.batch_id, b.origin, b.amount, b.expires_at, c.tail, c.redeemed_by, u.email, c.redeemed_at, c.voided_at \
            FROM gift_card c JOIN gift_card_batch b ON b.id = c.batch_id LEFT JOIN users u ON u.id = c.redeemed_by WHERE c.id = $1";
    CARD_BY_HASH = "SELECT c.id, c.batch_id, b.origin, b.amount, b.expires_at, c.tail, c.redeemed_by, u.email, c.redeemed_at, c.voided_at \
                    FROM gift_card c JOIN gift_card_batch b ON b.id = c.batch_id LEFT JOIN users u ON u.id = c.redeemed_by WHERE c.hash = $1";
    CARDS_BY_TAIL = "SELECT c.id, c.batch_id, b.origin, b.amount, b.expires_at, c.tail, c.redeemed_by, u.email, c.redeemed_at, c.voided_at \
                     FROM gift_card c JOIN gift_card_batch b ON b.id = c.batch_id LEFT JOIN users u ON u.id = c.redeemed_by \
                     WHERE c.tail = $1 AND c.id < $2 ORDER BY c.id DESC LIMIT $3";
    CARDS_OF = "SELECT c.id, c.tail, b.amount, c.redeemed_at FROM gift_card c JOIN gift_card_batch b ON b.id = c.batch_id \
                WHERE c.redeemed_by = $1 AND (c.redeemed_at < $2 OR (c.redeemed_at = $2 AND c.id < $3)) ORDER BY c.redeemed_at DESC, c.id DESC LIMIT $4";
}

static INSERT_CARDS: Bulk = Bulk::new("INSERT_CARDS", "INSERT INTO gift_card (id, batch_id, hash, tail) VALUES ", &["", "", "", ""], "");

/// The statements over many rows, for the test that prepares them.
pub const BULK: &[&Bulk] = &[&INSERT_CARDS];

pub(super) async fn insert_batch(conn: &mut Conn, id: Id, new: &NewBatch, by: Id, at: i64) -> Result<(), sqlx::Error> {
    let query = sqlx::query(INSERT_BATCH).bind(id.0).bind(new.amount.0).bind(new.count).bind(&new.note).bind(new.expires_at);
    query.bind(by.0).bind(at).bind(&new.prefix).bind(new.per_customer).bind(new.origin.word()).bind(new.plan.map(|id| id.0)).execute(conn).await?;
    Ok(())
}

/// The batch of one card that a customer has bought; it does not expire.
pub(super) async fn insert_bought(conn: &mut Conn, id: Id, amount: Usd, buyer: Id, at: i64) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT_BOUGHT).bind(id.0).bind(amount.0).bind(buyer.0).bind(at).execute(conn).await?;
    Ok(())
}

/// A card in the place of one that was bought and is void.
pub(super) async fn one_more(conn: &mut Conn, batch: Id) -> Result<(), sqlx::Error> {
    sqlx::query(ONE_MORE).bind(batch.0).execute(conn).await?;
    Ok(())
}

/// A batch that is not whole yet.
pub(super) struct Unmade {
    pub id: Id,
    pub prefix: String,
    pub count: i64,
    pub made: i64,
}

pub(super) async fn next_unmade(conn: &mut Conn) -> Result<Option<Unmade>, sqlx::Error> {
    let row = sqlx::query_as::<sqlx::Any, (i64, String, i64, i64)>(NEXT_UNMADE).fetch_optional(conn).await?;
    Ok(row.map(|(id, prefix, count, made)| Unmade { id: Id(id), prefix, count, made }))
}

/// Takes the next `n` cards of a batch upon oneself; false when another did, or the batch was stopped.
pub(super) async fn claim_portion(conn: &mut Conn, batch: Id, made: i64, n: i64) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(CLAIM_PORTION).bind(batch.0).bind(made).bind(n).execute(conn).await?.rows_affected() == 1)
}

/// Ends the making of a batch, and locks it. None when there is none.
pub(super) async fn stop(conn: &mut Conn, batch: Id, at: i64) -> Result<Option<Origin>, sqlx::Error> {
    let word: Option<String> = sqlx::query_scalar(STOP).bind(batch.0).bind(at).fetch_optional(conn).await?;
    word.map(|word| origin(&word)).transpose()
}

pub(super) async fn keep_until(conn: &mut Conn, batch: Id, until: i64) -> Result<(), sqlx::Error> {
    sqlx::query(KEEP_UNTIL).bind(batch.0).bind(until).execute(conn).await?;
    Ok(())
}

pub(super) async fn note_shown(conn: &mut Conn, batch: Id, at: i64) -> Result<(), sqlx::Error> {
    sqlx::query(NOTE_SHOWN).bind(batch.0).bind(at).execute(conn).await?;
    Ok(())
}

pub(super) async fn insert_sealed(conn: &mut Conn, batch: Id, part: i64, codes: &str) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT_SEALED).bind(batch.0).bind(part).bind(codes).execute(conn).await?;
    Ok(())
}

/// The sealed portions of a batch, in order, each with its number.
pub(super) async fn sealed(conn: &mut Conn, batch: Id) -> Result<Vec<(i64, String)>, sqlx::Error> {
    sqlx::query_as(SEALED).bind(batch.0).fetch_all(conn).await
}

pub(super) async fn drop_sealed(conn: &mut Conn, batch: Id) -> Result<(), sqlx::Error> {
    sqlx::query(UNSEAL).bind(batch.0).execute(&mut *conn).await?;
    sqlx::query(DROP_SEALED).bind(batch.0).execute(conn).await?;
    Ok(())
}

/// Batches whose codes nobody came for until `now`.
pub(super) async fn overdue_sealed(conn: &mut Conn, now: i64) -> Result<Vec<Id>, sqlx::Error> {
    let ids: Vec<i64> = sqlx::query_scalar(OVERDUE_SEALED).bind(now).fetch_all(conn).await?;
    Ok(ids.into_iter().map(Id).collect())
}

/// Takes the one right to look at a batch's codes; with it, whether they were downloaded before. None when it is taken, or there are no codes.
pub(super) async fn claim_show(conn: &mut Conn, batch: Id, now: i64, most: i64) -> Result<Option<bool>, sqlx::Error> {
    let row: Option<(Option<i64>,)> = sqlx::query_as(CLAIM_SHOW).bind(batch.0).bind(now).bind(most).fetch_optional(conn).await?;
    Ok(row.map(|(downloaded_at,)| downloaded_at.is_some()))
}

/// Takes the one right to download a batch's codes; with it, whether nobody may look at them any more.
pub(super) async fn claim_download(conn: &mut Conn, batch: Id, now: i64, most: i64) -> Result<Option<bool>, sqlx::Error> {
    let row: Option<(Option<i64>, i64)> = sqlx::query_as(CLAIM_DOWNLOAD).bind(batch.0).bind(now).fetch_optional(conn).await?;
    Ok(row.map(|(shown_at, count)| shown_at.is_some() || count > most))
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

/// What a card of a batch gives, and on which conditions.
pub(super) struct Worth {
    pub amount: Usd,
    pub expires_at: i64,
    pub per_customer: Option<i64>,
    pub origin: Origin,
    pub plan: Option<Id>,
}

pub(super) async fn worth(conn: &mut Conn, batch: Id) -> Result<Worth, sqlx::Error> {
    let row = sqlx::query_as::<sqlx::Any, (i64, i64, Option<i64>, String, Option<i64>)>(WORTH).bind(batch.0).fetch_one(conn).await?;
    let (amount, expires_at, per_customer, word, plan) = row;
    Ok(Worth { amount: Usd(amount), expires_at, per_customer, origin: origin(&word)?, plan: plan.map(Id) })
}

/// Counts one more card of a batch for a customer; false when that would be more than `limit`.
pub(super) async fn count_one(conn: &mut Conn, batch: Id, user: Id, limit: i64) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(COUNT_ONE).bind(batch.0).bind(user.0).bind(limit).execute(conn).await?.rows_affected() == 1)
}

/// Who redeemed the card with this hash, when it was voided, and since when it is held.
pub(super) async fn state(conn: &mut Conn, hash: &str) -> Result<Option<(Option<i64>, Option<i64>, Option<i64>)>, sqlx::Error> {
    sqlx::query_as::<sqlx::Any, _>(STATE).bind(hash).fetch_optional(conn).await
}

pub(super) async fn set_held(conn: &mut Conn, card: Id, at: Option<i64>) -> Result<(), sqlx::Error> {
    sqlx::query(SET_HELD).bind(card.0).bind(at).execute(conn).await?;
    Ok(())
}

pub(super) async fn void_card(conn: &mut Conn, card: Id, at: i64) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(VOID_CARD).bind(card.0).bind(at).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn void_batch(conn: &mut Conn, batch: Id, at: i64) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query(VOID_BATCH).bind(batch.0).bind(at).execute(conn).await?.rows_affected())
}

fn origin(word: &str) -> Result<Origin, sqlx::Error> {
    Origin::from_word(word).ok_or_else(|| sqlx::Error::Decode(format!("the origin {word} is unknown").into()))
}

fn batch_view(row: AnyRow) -> Result<BatchView, sqlx::Error> {
    let number = |name: &str| row.try_get::<i64, _>(name);
    let maybe = |name: &str| row.try_get::<Option<i64>, _>(name);
    let (made, redeemed, voided) = (number("made")?, number("redeemed")?, number("voided")?);
    Ok(BatchView {
        id: Id(number("id")?),
        amount: Usd(number("amount")?),
        plan: maybe("plan_id")?.map(Id),
        count: number("count")?,
        made,
        stopped_at: maybe("stopped_at")?,
        note: row.try_get("note")?,
        prefix: row.try_get("prefix")?,
        per_customer: maybe("per_customer")?,
        origin: origin(row.try_get("origin")?)?,
        expires_at: number("expires_at")?,
        created_by: Id(number("created_by")?),
        created_at: number("created_at")?,
        shown_at: maybe("shown_at")?,
        downloaded_at: maybe("downloaded_at")?,
        sealed_until: maybe("sealed_until")?,
        redeemed,
        voided,
        left: made - redeemed - voided,
    })
}

pub(super) async fn batches(conn: &mut Conn, origins: [Origin; 2], before: Id, limit: i64) -> Result<Vec<BatchView>, sqlx::Error> {
    let query = sqlx::query(BATCHES).bind(origins[0].word()).bind(origins[1].word());
    query.bind(before.0).bind(limit).fetch_all(conn).await?.into_iter().map(batch_view).collect()
}

pub(super) async fn batch(conn: &mut Conn, id: Id) -> Result<Option<BatchView>, sqlx::Error> {
    sqlx::query(BATCH).bind(id.0).fetch_optional(conn).await?.map(batch_view).transpose()
}

type CardRow = (i64, i64, String, i64, i64, String, Option<i64>, Option<String>, Option<i64>, Option<i64>);

fn card_view((id, batch, word, amount, expires_at, tail, by, email, redeemed_at, voided_at): CardRow) -> Result<CardView, sqlx::Error> {
    Ok(CardView {
        id: Id(id),
        batch: Id(batch),
        origin: origin(&word)?,
        amount: Usd(amount),
        expires_at,
        tail,
        redeemed_by: by.map(Id),
        redeemed_by_email: email,
        redeemed_at,
        voided_at,
    })
}

pub(super) async fn cards(conn: &mut Conn, batch: Id, filter: CardFilter, after: Id, limit: i64) -> Result<Vec<CardView>, sqlx::Error> {
    let number = CardFilter::ALL.into_iter().position(|known| known == filter).unwrap_or_default() as i64;
    let query = sqlx::query_as::<sqlx::Any, CardRow>(CARDS).bind(batch.0).bind(after.0).bind(number).bind(limit);
    query.fetch_all(conn).await?.into_iter().map(card_view).collect()
}

pub(super) async fn card(conn: &mut Conn, id: Id) -> Result<Option<CardView>, sqlx::Error> {
    sqlx::query_as::<sqlx::Any, CardRow>(CARD).bind(id.0).fetch_optional(conn).await?.map(card_view).transpose()
}

pub(super) async fn card_by_hash(conn: &mut Conn, hash: &str) -> Result<Option<CardView>, sqlx::Error> {
    sqlx::query_as::<sqlx::Any, CardRow>(CARD_BY_HASH).bind(hash).fetch_optional(conn).await?.map(card_view).transpose()
}

pub(super) async fn cards_by_tail(conn: &mut Conn, tail: &str, before: Id, limit: i64) -> Result<Vec<CardView>, sqlx::Error> {
    let query = sqlx::query_as::<sqlx::Any, CardRow>(CARDS_BY_TAIL).bind(tail).bind(before.0).bind(limit);
    query.fetch_all(conn).await?.into_iter().map(card_view).collect()
}

pub(super) async fn cards_of(conn: &mut Conn, user: Id, (at, id): (i64, Id), limit: i64) -> Result<Vec<RedeemedCard>, sqlx::Error> {
    let query = sqlx::query_as::<sqlx::Any, (i64, String, i64, i64)>(CARDS_OF).bind(user.0).bind(at).bind(id.0).bind(limit);
    let rows = query.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(id, tail, amount, at)| RedeemedCard { id: Id(id), tail, amount: Usd(amount), at }).collect())
}
