//! Cards that customers buy for others: paid by an order, mailed on a day, taken back with the order.
//!
//! The code comes into being when it is mailed: before that there is nothing to steal. Its hash, its card and the letter are one transaction. The buyer never
//! sees the code; a letter that went astray is sent again with another one, and the first is void.
//!
//! Locks are taken in the order sale, card.

mod gift;
mod letter;
pub mod store;

pub use gift::{Gift, GiftFields, MAX_MESSAGE};

use super::code::Code;
use super::store as cards;
use crate::accounts::Email;
use crate::db::{Conn, Db, Tx};
use crate::kernel::{Id, Kit, Usd};
use crate::mail::{self, Recipient};

/// How many letters one round of the job writes.
const ROUND: i64 = 50;

/// A card that was paid for.
#[derive(Clone, Copy, Debug)]
pub struct Sold<'a> {
    /// The order that paid for it.
    pub order: Id,
    /// Who bought it.
    pub buyer: Id,
    /// What it is worth: what the order has put into [`House::Cards`](crate::ledger::House).
    pub amount: Usd,
    /// For whom it is.
    pub gift: &'a Gift,
}

/// What the letters say of the shop.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// What the shop is called.
    pub site: &'a str,
    /// Where it stands, without a slash at the end.
    pub url: &'a str,
}

/// How far a bought card is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaleState {
    /// Its day has not come.
    Waiting,
    /// The letter was written.
    Sent,
    /// Somebody has redeemed it.
    Redeemed,
    /// Its buyer's bank wants the money back, and has not decided yet.
    Held,
    /// Its order was refunded.
    Recalled,
}

/// A bought card as its buyer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaleView {
    /// The order that paid for it.
    pub order: Id,
    /// What it is worth.
    pub amount: Usd,
    /// To whom it is mailed.
    pub to: String,
    /// When.
    pub deliver_at: i64,
    /// How far it is.
    pub state: SaleState,
}

impl SaleView {
    /// Whether it can be sent to another address, or once more.
    pub fn can_be_sent(&self) -> bool {
        matches!(self.state, SaleState::Waiting | SaleState::Sent)
    }
}

/// What became of a card whose order is refunded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recall {
    /// Nobody has redeemed it, and nobody can any more: its worth still lies in [`House::Cards`](crate::ledger::House).
    Recalled,
    /// It was redeemed: the credit was granted to this customer under the key `gift_card:{card}`.
    Redeemed {
        /// Who has it.
        user: Id,
        /// The card.
        card: Id,
    },
}

/// Why a letter was not sent again.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The buyer has no such card.
    #[error("no such gift card")]
    NotFound,
    /// Somebody has redeemed it, so it has arrived.
    #[error("the gift card was redeemed")]
    AlreadyRedeemed,
    /// Its buyer's bank wants the money back, and has not decided yet.
    #[error("the gift card is held")]
    Held,
    /// Its order was refunded.
    #[error("the gift card was taken back")]
    Recalled,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Notes a card that was paid for, in the transaction that marks its order paid; it is mailed by [`deliver_due`]. False when it was noted before.
///
/// # Errors
/// The database's.
pub async fn issue(tx: &mut Tx, kit: &Kit, sold: &Sold<'_>) -> Result<bool, sqlx::Error> {
    store::insert(tx, sold, kit.clock.now_ms()).await
}

/// Takes a card back whose order is refunded, if nobody has redeemed it. None when the order bought no card. Idempotent. To be called before the buyer's
/// wallet is locked: whoever redeems the card locks it first.
///
/// # Errors
/// The database's.
pub async fn recall(tx: &mut Tx, kit: &Kit, order: Id) -> Result<Option<Recall>, sqlx::Error> {
    let now = kit.clock.now_ms();
    // The row is locked from here on: it is not mailed in between.
    let Some(sale) = store::lock(tx, order).await? else { return Ok(None) };
    if let Some(card) = sale.card
        && !cards::void_card(tx, card, now).await?
        && let Some(user) = cards::card(tx, card).await?.and_then(|card| card.redeemed_by)
    {
        return Ok(Some(Recall::Redeemed { user, card }));
    }
    store::recalled(tx, order, now).await?;
    Ok(Some(Recall::Recalled))
}

/// Keeps a card from being redeemed and mailed while a bank decides about its payment, or gives it back. One that was redeemed stays so. Idempotent. To be called before
/// the buyer's wallet is locked.
///
/// # Errors
/// The database's.
pub async fn hold(tx: &mut Tx, kit: &Kit, order: Id, held: bool) -> Result<(), sqlx::Error> {
    let at = held.then(|| kit.clock.now_ms());
    let Some(sale) = store::lock(tx, order).await? else { return Ok(()) };
    store::set_held(tx, order, at).await?;
    match sale.card {
        Some(card) => cards::set_held(tx, card, at).await,
        None => Ok(()),
    }
}

/// Mails the cards whose day has come. Returns how many.
///
/// # Errors
/// The database's; what was mailed stays.
pub async fn deliver_due(db: &Db, kit: &Kit, sender: Sender<'_>) -> Result<usize, sqlx::Error> {
    let due = store::due(&mut *db.read().await?, kit.clock.now_ms(), ROUND).await?;
    let mut sent = 0;
    for order in due {
        let mut tx = db.write().await?;
        let Some(sale) = store::lock(&mut tx, order).await?.filter(|sale| sale.delivered_at.is_none() && !sale.is_stopped()) else { continue };
        let batch = kit.ids.next();
        cards::insert_bought(&mut tx, batch, sale.amount, sale.buyer, kit.clock.now_ms()).await?;
        mail_card(&mut tx, kit, sender, batch, &sale).await?;
        tx.commit().await?;
        sent += 1;
    }
    Ok(sent)
}

/// Sends a card to another address, or once more to the same: before its day that is where it will go, after it a new code goes there and the old one is void.
///
/// # Errors
/// As [`SendError`] says; then nothing has changed.
pub async fn send_to(db: &Db, kit: &Kit, sender: Sender<'_>, buyer: Id, order: Id, to: &Email) -> Result<(), SendError> {
    let mut tx = db.write().await?;
    let sale = store::lock(&mut tx, order).await?.filter(|sale| sale.buyer == buyer).ok_or(SendError::NotFound)?;
    if sale.recalled_at.is_some() {
        return Err(SendError::Recalled);
    }
    if sale.held_at.is_some() {
        return Err(SendError::Held);
    }
    store::set_recipient(&mut tx, order, to.as_str()).await?;
    if let Some(card) = sale.card {
        if !cards::void_card(&mut tx, card, kit.clock.now_ms()).await? {
            return Err(SendError::AlreadyRedeemed);
        }
        let batch = cards::card(&mut tx, card).await?.ok_or(SendError::NotFound)?.batch;
        cards::one_more(&mut tx, batch).await?;
        mail_card(&mut tx, kit, sender, batch, &store::Sale { to: to.as_str().to_owned(), ..sale }).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn mail_card(tx: &mut Tx, kit: &Kit, sender: Sender<'_>, batch: Id, sale: &store::Sale) -> Result<(), sqlx::Error> {
    let code = Code::generate(&kit.random);
    let card = cards::NewCard { id: kit.ids.next(), hash: code.hash(), tail: code.tail().to_owned() };
    cards::insert_cards(tx, batch, std::slice::from_ref(&card)).await?;
    store::delivered(tx, sale.order, card.id, kit.clock.now_ms()).await?;
    let letter = letter::gift(sender, sale, code.display("").reveal());
    mail::enqueue(tx, kit, &letter.to(Recipient::Address(sale.to.clone()))).await?;
    Ok(())
}

/// The cards that a customer has bought, the latest first, before the order `before`.
///
/// # Errors
/// The database's.
pub async fn bought(conn: &mut Conn, buyer: Id, before: Option<Id>, limit: i64) -> Result<Vec<SaleView>, sqlx::Error> {
    store::bought(conn, buyer, before.unwrap_or(Id(i64::MAX)), limit).await
}

/// One of them.
///
/// # Errors
/// The database's.
pub async fn sale(conn: &mut Conn, buyer: Id, order: Id) -> Result<Option<SaleView>, sqlx::Error> {
    let views = store::bought(conn, buyer, Id(order.0.saturating_add(1)), 1).await?;
    Ok(views.into_iter().find(|view| view.order == order))
}
