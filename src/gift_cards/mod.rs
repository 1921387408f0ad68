//! Gift cards: made in batches by an admin, redeemed once each by a customer.
//!
//! Invariants: a code exists in the clear only in the answer to the batch's creation; a card is redeemed at most once, and marked
//! and credited in one transaction; a voided card is never redeemed, a redeemed one never voided. The credit that a card gives does
//! not expire; the card itself may.
//!
//! Locks are taken in the order card, wallet.
//!
//! Callers: the admin's gift card pages, the redeem box of the dashboard (which limits attempts).

mod code;
pub mod store;

use crate::admin_log;
use crate::db::{Conn, Db, Tx};
use crate::kernel::fields::{self, Mistakes};
use crate::kernel::{FieldError, Id, Kit, NEVER, Usd, money::MAX_TYPED, secrets::Secret};
use crate::ledger::{Books, CreditKind, EVERYTHING, Grant, House, LedgerError};
use code::Code;

/// The most cards that one batch can have.
pub const MAX_COUNT: i64 = 10_000;
const MAX_NOTE: usize = 200;

/// What an admin chooses for a batch.
#[derive(Clone, Debug)]
pub struct NewBatch {
    /// What each card is worth.
    pub amount: Usd,
    /// How many cards.
    pub count: i64,
    /// Until when they can be redeemed; [`NEVER`] for always.
    pub expires_at: i64,
    /// What the batch is for; only admins see it.
    pub note: String,
}

/// A new batch. This is the only moment at which its codes exist.
#[derive(Debug)]
pub struct Created {
    /// Its row.
    pub batch_id: Id,
    /// What the admin must copy now.
    pub codes: Vec<Secret<String>>,
}

/// A redeemed card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redeemed {
    /// What the customer got.
    pub amount: Usd,
}

/// A batch as the admin sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchView {
    /// Its row.
    pub id: Id,
    /// What each card is worth.
    pub amount: Usd,
    /// How many cards were made.
    pub count: i64,
    /// What it is for.
    pub note: String,
    /// Until when its cards can be redeemed.
    pub expires_at: i64,
    /// The admin who made it.
    pub created_by: Id,
    /// When.
    pub created_at: i64,
    /// How many were redeemed.
    pub redeemed: i64,
    /// How many were voided.
    pub voided: i64,
    /// How many are neither, be the batch expired or not.
    pub left: i64,
}

/// A card as the admin sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardView {
    /// Its row.
    pub id: Id,
    /// The last four letters of its code.
    pub tail: String,
    /// Who redeemed it.
    pub redeemed_by: Option<Id>,
    /// The address of who redeemed it.
    pub redeemed_by_email: Option<String>,
    /// When.
    pub redeemed_at: Option<i64>,
    /// When it was voided.
    pub voided_at: Option<i64>,
}

/// Why a batch could not be made or a card not be voided.
#[derive(Debug, thiserror::Error)]
pub enum GiftCardError {
    /// What was typed has mistakes.
    #[error("the form has mistakes")]
    Invalid(Vec<FieldError>),
    /// There is no such batch or card.
    #[error("no such gift card")]
    NotFound,
    /// A redeemed card cannot be voided.
    #[error("the gift card was redeemed")]
    AlreadyRedeemed,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Why a card was not redeemed.
#[derive(Debug, thiserror::Error)]
pub enum RedeemError {
    /// A typing mistake: the text cannot be a code.
    #[error("not a gift card code")]
    NotACode,
    /// No card has this code.
    #[error("no such gift card")]
    Unknown,
    /// Somebody else redeemed it.
    #[error("the gift card was redeemed")]
    AlreadyRedeemed,
    /// The same customer redeemed it before: the money is there.
    #[error("the gift card was redeemed by the same customer")]
    AlreadyRedeemedByYou,
    /// Its time is over.
    #[error("the gift card has expired")]
    Expired,
    /// An admin voided it.
    #[error("the gift card was voided")]
    Voided,
    /// The customer's address is not verified.
    #[error("the e-mail address is not verified")]
    NotVerified,
    /// The customer is disabled, or there is none.
    #[error("the account is disabled")]
    UserDisabled,
    /// The ledger refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl NewBatch {
    /// From a form; the expiry is a moment already, since only the page knows the admin's time zone.
    ///
    /// # Errors
    /// Every mistake, by field: `amount`, `count`, `expires_at`, `note`.
    pub fn parse(amount: &str, count: &str, expires_at: i64, note: &str, now_ms: i64) -> Result<Self, Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let amount = mistakes.take("amount", amount.parse::<Usd>().map_err(fields::money_key));
        let count = mistakes.take("count", fields::whole_number(count, 1..=MAX_COUNT, "gift_cards.error.count"));
        // A field that could not be read has its mistake already; 1 passes the checks that follow.
        let draft = Self { amount: amount.unwrap_or(Usd(1)), count: count.unwrap_or(1), expires_at, note: note.to_owned() };
        draft.checked(now_ms, mistakes)
    }

    fn checked(mut self, now_ms: i64, mut mistakes: Mistakes) -> Result<Self, Vec<FieldError>> {
        if self.amount <= Usd::ZERO {
            mistakes.add("amount", "gift_cards.error.amount");
        }
        if self.amount > MAX_TYPED {
            mistakes.add("amount", "field.amount_too_large");
        }
        if !(1..=MAX_COUNT).contains(&self.count) {
            mistakes.add("count", "gift_cards.error.count");
        }
        if self.expires_at != NEVER && self.expires_at <= now_ms {
            mistakes.add("expires_at", "field.in_the_past");
        }
        self.note = self.note.trim().to_owned();
        if self.note.chars().count() > MAX_NOTE || self.note.chars().any(char::is_control) {
            mistakes.add("note", "gift_cards.error.note");
        }
        mistakes.check().map(|()| self)
    }
}

/// Makes a batch of cards on behalf of the admin `actor`.
///
/// # Errors
/// As [`GiftCardError`] says; then no card exists.
pub async fn create_batch(db: &Db, kit: &Kit, actor: Id, new: NewBatch) -> Result<Created, GiftCardError> {
    let now = kit.clock.now_ms();
    let new = new.checked(now, Mistakes::default()).map_err(GiftCardError::Invalid)?;
    let codes: Vec<Code> = (0..new.count).map(|_| Code::generate(&kit.random)).collect();
    let card = |code: &Code| store::NewCard { id: kit.ids.next(), hash: code.hash(), tail: code.tail().to_owned() };
    let cards: Vec<store::NewCard> = codes.iter().map(card).collect();
    let batch_id = kit.ids.next();
    let mut tx = db.write().await?;
    store::insert_batch(&mut tx, batch_id, &new, actor, now).await?;
    store::insert_cards(&mut tx, batch_id, &cards).await?;
    // In the same transaction: were it noted afterwards and that failed, there would be cards whose codes nobody has seen.
    let detail = format!("{} x {}", new.count, new.amount);
    admin_log::record(&mut tx, kit, Some(actor), "gift-cards-made", &batch_id.to_string(), &detail).await?;
    tx.commit().await?;
    Ok(Created { batch_id, codes: codes.iter().map(Code::display).collect() })
}

/// Redeems a typed code for `user`. Of any number of attempts at one card, at any time, one succeeds.
///
/// # Errors
/// As [`RedeemError`] says; then nothing has changed.
pub async fn redeem(db: &Db, kit: &Kit, books: &Books, user: Id, typed: &str) -> Result<Redeemed, RedeemError> {
    may_redeem(&mut *db.read().await?, user).await?;
    let code = Code::parse(typed).ok_or(RedeemError::NotACode)?;
    let (hash, now) = (code.hash(), kit.clock.now_ms());
    let mut tx = db.write().await?;
    let Some((card, batch)) = store::redeem(&mut tx, &hash, user, now).await? else { return Err(why_not(&mut tx, &hash, user).await?) };
    let (amount, expires_at) = store::worth(&mut tx, batch).await?;
    if expires_at <= now {
        return Err(RedeemError::Expired);
    }
    credit(&mut tx, books, user, card, code.tail(), amount, now).await?;
    tx.commit().await?;
    Ok(Redeemed { amount })
}

/// Asked before the transaction, so that nonsense does not keep the writers waiting. A customer who is disabled in between gains
/// nothing: what is credited cannot be spent.
async fn may_redeem(conn: &mut Conn, user: Id) -> Result<(), RedeemError> {
    match store::user(conn, user).await? {
        None | Some((_, Some(_))) => Err(RedeemError::UserDisabled),
        Some((None, _)) => Err(RedeemError::NotVerified),
        Some((Some(_), None)) => Ok(()),
    }
}

/// The reference is for statements: the room's name and the letters that the customer can find on the card.
async fn credit(tx: &mut Tx, books: &Books, user: Id, card: Id, tail: &str, amount: Usd, now: i64) -> Result<(), RedeemError> {
    books.open_wallet(tx, user).await?;
    let grant = Grant {
        user,
        kind: CreditKind::Gift,
        from: House::Promotion,
        amount,
        priority: 100,
        effective_at: now,
        expires_at: NEVER,
        scope: EVERYTHING,
        reference: format!("gift_card:{tail}"),
        idempotency_key: format!("gift_card:{card}"),
    };
    // A replay would mean that the card's row was freed by hand: the money is there already.
    if books.grant(tx, grant).await?.replayed { Err(RedeemError::AlreadyRedeemedByYou) } else { Ok(()) }
}

async fn why_not(conn: &mut Conn, hash: &str, user: Id) -> Result<RedeemError, sqlx::Error> {
    Ok(match store::state(conn, hash).await? {
        None => RedeemError::Unknown,
        Some((Some(by), _)) if by == user.0 => RedeemError::AlreadyRedeemedByYou,
        Some((Some(_), _)) => RedeemError::AlreadyRedeemed,
        Some((None, _)) => RedeemError::Voided,
    })
}

/// Makes a card worthless. Voiding it again changes nothing.
///
/// # Errors
/// [`GiftCardError::AlreadyRedeemed`] when somebody was faster.
pub async fn void_card(db: &Db, kit: &Kit, card: Id) -> Result<(), GiftCardError> {
    let mut tx = db.write().await?;
    if !store::void_card(&mut tx, card, kit.clock.now_ms()).await? {
        return match store::is_redeemed(&mut tx, card).await? {
            None => Err(GiftCardError::NotFound),
            Some(true) => Err(GiftCardError::AlreadyRedeemed),
            Some(false) => Ok(()),
        };
    }
    Ok(tx.commit().await?)
}

/// Makes every card of a batch worthless that is not redeemed yet. Returns how many that were.
///
/// # Errors
/// [`GiftCardError::NotFound`] when there is no such batch.
pub async fn void_batch(db: &Db, kit: &Kit, batch: Id) -> Result<u64, GiftCardError> {
    let mut tx = db.write().await?;
    store::batch(&mut tx, batch).await?.ok_or(GiftCardError::NotFound)?;
    let voided = store::void_batch(&mut tx, batch, kit.clock.now_ms()).await?;
    tx.commit().await?;
    Ok(voided)
}

/// Batches with their counts, newest first, older than `before`.
///
/// # Errors
/// The database's.
pub async fn batches(conn: &mut Conn, before: Option<Id>, limit: i64) -> Result<Vec<BatchView>, sqlx::Error> {
    store::batches(conn, before.unwrap_or(Id(i64::MAX)), limit).await
}

/// One batch with its counts.
///
/// # Errors
/// The database's.
pub async fn batch(conn: &mut Conn, id: Id) -> Result<Option<BatchView>, sqlx::Error> {
    store::batch(conn, id).await
}

/// A batch's cards in the order in which their codes were shown, those after the card `after`.
///
/// # Errors
/// The database's.
pub async fn cards(conn: &mut Conn, batch: Id, after: Option<Id>, limit: i64) -> Result<Vec<CardView>, sqlx::Error> {
    store::cards(conn, batch, after.unwrap_or(Id(0)), limit).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_or_refused_with_every_mistake() {
        let new = NewBatch::parse("$25", " 10 ", NEVER, " spring ", 5).unwrap();
        assert_eq!((new.amount, new.count, new.note.as_str()), (Usd::dollars(25), 10, "spring"));
        let mistakes = NewBatch::parse("0", "10001", 5, "two\nlines", 5).unwrap_err();
        let expected = [
            ("count", "gift_cards.error.count"),
            ("amount", "gift_cards.error.amount"),
            ("expires_at", "field.in_the_past"),
            ("note", "gift_cards.error.note"),
        ];
        assert_eq!(mistakes, expected.map(|(field, key)| FieldError::new(field, key)));
        let mistakes = NewBatch::parse("five", "", NEVER, "", 5).unwrap_err();
        assert_eq!(mistakes, [FieldError::new("amount", "field.amount"), FieldError::new("count", "field.whole_number")]);
        assert!(NewBatch::parse("-5", "1", NEVER, "", 5).is_err());
    }
}
