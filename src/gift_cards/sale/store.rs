//! The rows of bought cards.

use super::{SaleState, SaleView, Sold};
use crate::db::Conn;
use crate::kernel::{Id, Usd};

crate::statements! {
    INSERT = "INSERT INTO gift_card_sale (order_id, buyer_id, amount, recipient, giver, message, locale, deliver_at, created_at) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (order_id) DO NOTHING";
    DUE = "SELECT order_id FROM gift_card_sale WHERE deliver_at <= $1 AND delivered_at IS NULL AND recalled_at IS NULL AND held_at IS NULL ORDER BY deliver_at, order_id LIMIT $2";
    /// An update that changes nothing: the row is locked until the transaction ends, on both engines.
    LOCK = "UPDATE gift_card_sale SET amount = amount WHERE order_id = $1 \
            RETURNING buyer_id, amount, recipient, giver, message, locale, card_id, delivered_at, recalled_at, held_at";
    DELIVERED = "UPDATE gift_card_sale SET card_id = $2, delivered_at = $3 WHERE order_id = $1";
    RECALLED = "UPDATE gift_card_sale SET recalled_at = COALESCE(recalled_at, $2) WHERE order_id = $1";
    SET_HELD = "UPDATE gift_card_sale SET held_at = $2 WHERE order_id = $1";
    SET_RECIPIENT = "UPDATE gift_card_sale SET recipient = $2 WHERE order_id = $1";
    BOUGHT = "SELECT s.order_id, s.amount, s.recipient, s.deliver_at, s.delivered_at, s.recalled_at, c.redeemed_at, s.held_at \
              FROM gift_card_sale s LEFT JOIN gift_card c ON c.id = s.card_id WHERE s.buyer_id = $1 AND s.order_id < $2 ORDER BY s.order_id DESC LIMIT $3";
}

/// A sale's row.
pub(super) struct Sale {
    pub order: Id,
    pub buyer: Id,
    pub amount: Usd,
    pub to: String,
    pub giver: String,
    pub message: String,
    pub lang: String,
    pub card: Option<Id>,
    pub delivered_at: Option<i64>,
    pub recalled_at: Option<i64>,
    pub held_at: Option<i64>,
}

impl Sale {
    /// Nothing is mailed.
    pub(super) fn is_stopped(&self) -> bool {
        self.recalled_at.is_some() || self.held_at.is_some()
    }
}

/// Whether the row is new.
pub(super) async fn insert(conn: &mut Conn, sold: &Sold<'_>, at: i64) -> Result<bool, sqlx::Error> {
    let gift = sold.gift;
    let query = sqlx::query(INSERT).bind(sold.order.0).bind(sold.buyer.0).bind(sold.amount.0).bind(&gift.to).bind(&gift.giver);
    let query = query.bind(&gift.message).bind(&gift.lang).bind(gift.deliver_at).bind(at);
    Ok(query.execute(conn).await?.rows_affected() == 1)
}

/// The orders of cards whose moment has come.
pub(super) async fn due(conn: &mut Conn, now: i64, limit: i64) -> Result<Vec<Id>, sqlx::Error> {
    let ids: Vec<i64> = sqlx::query_scalar(DUE).bind(now).bind(limit).fetch_all(conn).await?;
    Ok(ids.into_iter().map(Id).collect())
}

type SaleRow = (i64, i64, String, String, String, String, Option<i64>, Option<i64>, Option<i64>, Option<i64>);

/// An order's card, its row locked.
pub(super) async fn lock(conn: &mut Conn, order: Id) -> Result<Option<Sale>, sqlx::Error> {
    let row = sqlx::query_as::<sqlx::Any, SaleRow>(LOCK).bind(order.0).fetch_optional(conn).await?;
    Ok(row.map(|(buyer, amount, to, giver, message, lang, card, delivered_at, recalled_at, held_at)| Sale {
        order,
        buyer: Id(buyer),
        amount: Usd(amount),
        to,
        giver,
        message,
        lang,
        card: card.map(Id),
        delivered_at,
        recalled_at,
        held_at,
    }))
}

pub(super) async fn delivered(conn: &mut Conn, order: Id, card: Id, at: i64) -> Result<(), sqlx::Error> {
    sqlx::query(DELIVERED).bind(order.0).bind(card.0).bind(at).execute(conn).await?;
    Ok(())
}

pub(super) async fn recalled(conn: &mut Conn, order: Id, at: i64) -> Result<(), sqlx::Error> {
    sqlx::query(RECALLED).bind(order.0).bind(at).execute(conn).await?;
    Ok(())
}

pub(super) async fn set_held(conn: &mut Conn, order: Id, at: Option<i64>) -> Result<(), sqlx::Error> {
    sqlx::query(SET_HELD).bind(order.0).bind(at).execute(conn).await?;
    Ok(())
}

pub(super) async fn set_recipient(conn: &mut Conn, order: Id, to: &str) -> Result<(), sqlx::Error> {
    sqlx::query(SET_RECIPIENT).bind(order.0).bind(to).execute(conn).await?;
    Ok(())
}

type ViewRow = (i64, i64, String, i64, Option<i64>, Option<i64>, Option<i64>, Option<i64>);

pub(super) async fn bought(conn: &mut Conn, buyer: Id, before: Id, limit: i64) -> Result<Vec<SaleView>, sqlx::Error> {
    let rows = sqlx::query_as::<sqlx::Any, ViewRow>(BOUGHT).bind(buyer.0).bind(before.0).bind(limit).fetch_all(conn).await?;
    let view = |(order, amount, to, deliver_at, delivered_at, recalled_at, redeemed_at, held_at): ViewRow| {
        let state = match (redeemed_at, recalled_at, held_at, delivered_at) {
            (Some(_), ..) => SaleState::Redeemed,
            (_, Some(_), ..) => SaleState::Recalled,
            (_, _, Some(_), _) => SaleState::Held,
            (.., Some(_)) => SaleState::Sent,
            _ => SaleState::Waiting,
        };
        SaleView { order: Id(order), amount: Usd(amount), to, deliver_at, state }
    };
    Ok(rows.into_iter().map(view).collect())
}
