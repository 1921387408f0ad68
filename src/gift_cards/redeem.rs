//! Redeeming a card.

use super::code::Code;
use super::{Origin, store};
use crate::db::{Conn, Db, Tx};
use crate::kernel::{Id, Kit, NEVER, Usd};
use crate::ledger::{Books, CreditKind, EVERYTHING, Grant, House, LedgerError};
use crate::plans::{self, Activation, Renewal, SubscriptionError};
use crate::settings::{self, Name};
use jiff::tz::TimeZone;

/// A redeemed card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redeemed {
    /// What it was worth.
    pub amount: Usd,
    /// The plan that it has begun; none when it gave credit.
    pub plan: Option<Id>,
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
    /// Its payment is disputed: it waits for what the bank decides.
    #[error("the gift card is held")]
    Held,
    /// The customer has redeemed as many cards of its batch as they may.
    #[error("the customer may redeem no more cards of this kind")]
    LimitReached,
    /// The customer's address is not verified.
    #[error("the e-mail address is not verified")]
    NotVerified,
    /// The customer is disabled, or there is none.
    #[error("the account is disabled")]
    UserDisabled,
    /// The ledger refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The plan could not be begun.
    #[error(transparent)]
    Plan(#[from] SubscriptionError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl RedeemError {
    /// Whether it was a guess, or a code that is not the customer's: what limits on attempts are for.
    pub fn is_wrong_code(&self) -> bool {
        matches!(self, RedeemError::NotACode | RedeemError::Unknown | RedeemError::AlreadyRedeemed)
    }
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
    let worth = store::worth(&mut tx, batch).await?;
    if worth.expires_at <= now {
        return Err(RedeemError::Expired);
    }
    if let Some(limit) = worth.per_customer
        && !store::count_one(&mut tx, batch, user, limit).await?
    {
        return Err(RedeemError::LimitReached);
    }
    match worth.plan {
        Some(plan) => begin_plan(&mut tx, kit, books, user, card, plan, &worth).await?,
        None => credit(&mut tx, books, user, card, code.tail(), &worth, now).await?,
    }
    tx.commit().await?;
    Ok(Redeemed { amount: worth.amount, plan: worth.plan })
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

/// Whose money a card is: what it gives, and the account that pays for it.
fn source(origin: Origin) -> (CreditKind, House) {
    match origin {
        Origin::Given => (CreditKind::Gift, House::Promotion),
        Origin::Sold => (CreditKind::Paid, House::Cash),
        Origin::Bought => (CreditKind::Paid, House::Cards),
    }
}

/// The card stands for the order. Nobody who holds one is told that the plan is sold out or off sale: it was paid for, or promised.
async fn begin_plan(tx: &mut Tx, kit: &Kit, books: &Books, user: Id, card: Id, plan: Id, worth: &store::Worth) -> Result<(), RedeemError> {
    let zone = settings::get(tx, Name::TimeZone).await?.and_then(|name| settings::time_zone(&name).ok()).unwrap_or(TimeZone::UTC);
    let (_, funding) = source(worth.origin);
    let gift = Activation { user, plan, order: card, paid: worth.amount, funding, renewal: Renewal::Once, zone: &zone };
    plans::activate(tx, kit, books, &gift).await?;
    Ok(())
}

/// The reference is for statements: the room's name and the letters that the customer can find on the card.
async fn credit(tx: &mut Tx, books: &Books, user: Id, card: Id, tail: &str, worth: &store::Worth, now: i64) -> Result<(), RedeemError> {
    books.open_wallet(tx, user).await?;
    let (kind, from) = source(worth.origin);
    let grant = Grant {
        user,
        kind,
        from,
        amount: worth.amount,
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
        Some((Some(by), ..)) if by == user.0 => RedeemError::AlreadyRedeemedByYou,
        Some((Some(_), ..)) => RedeemError::AlreadyRedeemed,
        Some((None, None, Some(_))) => RedeemError::Held,
        Some((None, ..)) => RedeemError::Voided,
    })
}
