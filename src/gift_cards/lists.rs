//! Batches and cards as people see them.

use super::code::{self, Code};
use super::{Origin, SHOW_MOST, store};
use crate::db::Conn;
use crate::kernel::{Id, Usd};

/// A batch as the admin sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchView {
    /// Its row.
    pub id: Id,
    /// What each card is worth.
    pub amount: Usd,
    /// The plan that a card begins; none when it gives credit.
    pub plan: Option<Id>,
    /// How many cards it is to have.
    pub count: i64,
    /// How many were made by now.
    pub made: i64,
    /// Since when no more are made of a batch that is not whole.
    pub stopped_at: Option<i64>,
    /// What it is for.
    pub note: String,
    /// What stands before its codes.
    pub prefix: String,
    /// How many of its cards one customer may redeem.
    pub per_customer: Option<i64>,
    /// Where it comes from.
    pub origin: Origin,
    /// Until when its cards can be redeemed.
    pub expires_at: i64,
    /// The admin who made it, or the customer who bought it.
    pub created_by: Id,
    /// When.
    pub created_at: i64,
    /// When its codes were shown.
    pub shown_at: Option<i64>,
    /// When its codes were downloaded.
    pub downloaded_at: Option<i64>,
    /// Until when its codes are kept to be fetched; none when none are.
    pub sealed_until: Option<i64>,
    /// How many were redeemed.
    pub redeemed: i64,
    /// How many were voided.
    pub voided: i64,
    /// How many are there and neither, be the batch expired or not.
    pub left: i64,
}

impl BatchView {
    /// Whether more cards of it are going to be made.
    pub fn is_being_made(&self) -> bool {
        self.made < self.count && self.stopped_at.is_none()
    }

    /// Whether somebody may still look at its codes.
    pub fn may_show(&self, now_ms: i64) -> bool {
        self.shown_at.is_none() && self.count <= SHOW_MOST && self.has_codes(now_ms)
    }

    /// Whether somebody may still download its codes.
    pub fn may_download(&self, now_ms: i64) -> bool {
        self.downloaded_at.is_none() && self.has_codes(now_ms)
    }

    fn has_codes(&self, now_ms: i64) -> bool {
        self.sealed_until.is_some_and(|until| until > now_ms)
    }
}

/// A card as the admin sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardView {
    /// Its row.
    pub id: Id,
    /// Its batch.
    pub batch: Id,
    /// Where it comes from.
    pub origin: Origin,
    /// What it is worth.
    pub amount: Usd,
    /// Until when it can be redeemed.
    pub expires_at: i64,
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

/// Which cards of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CardFilter {
    /// All of them.
    #[default]
    All,
    /// Those that are neither redeemed nor voided.
    Open,
    /// Those that were redeemed.
    Redeemed,
    /// Those that were voided.
    Voided,
}

impl CardFilter {
    /// Every one, in the order of a form.
    pub const ALL: [CardFilter; 4] = [CardFilter::All, CardFilter::Open, CardFilter::Redeemed, CardFilter::Voided];

    /// The word in a URL.
    pub const fn word(self) -> &'static str {
        match self {
            CardFilter::All => "",
            CardFilter::Open => "open",
            CardFilter::Redeemed => "redeemed",
            CardFilter::Voided => "voided",
        }
    }

    /// From its word; anything else is all of them.
    pub fn from_word(word: &str) -> Self {
        Self::ALL.into_iter().find(|filter| filter.word() == word).unwrap_or_default()
    }
}

/// A card that a customer has redeemed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedeemedCard {
    /// Its row.
    pub id: Id,
    /// The last four letters of its code.
    pub tail: String,
    /// What it was worth.
    pub amount: Usd,
    /// When it was redeemed.
    pub at: i64,
}

/// Batches with their counts, newest first, older than `before`: those of one origin, or all that admins have made.
///
/// # Errors
/// The database's.
pub async fn batches(conn: &mut Conn, origin: Option<Origin>, before: Option<Id>, limit: i64) -> Result<Vec<BatchView>, sqlx::Error> {
    let origins = origin.map_or(Origin::MADE, |origin| [origin; 2]);
    store::batches(conn, origins, before.unwrap_or(Id(i64::MAX)), limit).await
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
pub async fn cards(conn: &mut Conn, batch: Id, filter: CardFilter, after: Option<Id>, limit: i64) -> Result<Vec<CardView>, sqlx::Error> {
    store::cards(conn, batch, filter, after.unwrap_or(Id(0)), limit).await
}

/// One card.
///
/// # Errors
/// The database's.
pub async fn card(conn: &mut Conn, id: Id) -> Result<Option<CardView>, sqlx::Error> {
    store::card(conn, id).await
}

/// The cards whose code ends in what was typed, or is it; newest first, older than `before`. None when fewer than four letters were typed.
///
/// # Errors
/// The database's.
pub async fn find_cards(conn: &mut Conn, typed: &str, before: Option<Id>, limit: i64) -> Result<Option<Vec<CardView>>, sqlx::Error> {
    if let Some(code) = Code::parse(typed) {
        return Ok(Some(store::card_by_hash(conn, &code.hash()).await?.into_iter().collect()));
    }
    let Some(tail) = code::typed_tail(typed) else { return Ok(None) };
    store::cards_by_tail(conn, &tail, before.unwrap_or(Id(i64::MAX)), limit).await.map(Some)
}

/// The cards that a customer has redeemed, the latest first, those before the moment and the card `before`.
///
/// # Errors
/// The database's.
pub async fn cards_of(conn: &mut Conn, user: Id, before: Option<(i64, Id)>, limit: i64) -> Result<Vec<RedeemedCard>, sqlx::Error> {
    store::cards_of(conn, user, before.unwrap_or((i64::MAX, Id(i64::MAX))), limit).await
}
