//! Gift cards: made in batches by an admin, or bought one at a time by a customer; redeemed once each.
//!
//! Invariants: of a code only a hash stays, beside a sealed copy that is gone when it was shown and downloaded once, or after a day; a card is
//! redeemed at most once, and marked and credited in one transaction; one customer redeems at most as many cards of a batch as it says; a
//! voided card is never redeemed, a redeemed one never voided. The credit that a card gives does not expire; the card itself may.
//!
//! Money: a card that was given away is paid by the shop when it is redeemed, one that was sold elsewhere out of the cash that came for it,
//! and one that was bought here out of what the buyer's order put into [`House::Cards`](crate::ledger::House).
//!
//! Locks are taken in the order batch, card, count, and then as plans or the ledger have them.
//!
//! Callers: the admin's gift card pages, the customer's (which limit attempts), the orders (bought cards), `app` (the jobs).

mod batch;
mod code;
mod codes;
mod lists;
mod redeem;
pub mod sale;
pub mod store;

pub use batch::{BatchFields, Created, MAX_COUNT, NewBatch, create_batch, make_due, void_batch, void_card};
pub use codes::{SHOW_MOST, download, erase_old, show};
pub use lists::{BatchView, CardFilter, CardView, RedeemedCard, batch, batches, card, cards, cards_of, find_cards};
pub use redeem::{RedeemError, Redeemed, redeem};
pub use sale::{Gift, GiftFields, Recall, Sold, deliver_due, issue, recall};

use crate::kernel::FieldError;

/// Where a batch comes from, and so whose money its cards are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The shop gives its cards away.
    #[default]
    Given,
    /// The shop sells its cards elsewhere, for money.
    Sold,
    /// A customer has bought its one card here.
    Bought,
}

impl Origin {
    /// Those that an admin can choose.
    pub const MADE: [Origin; 2] = [Origin::Given, Origin::Sold];

    /// The word in the database and in forms.
    pub const fn word(self) -> &'static str {
        match self {
            Origin::Given => "given",
            Origin::Sold => "sold",
            Origin::Bought => "bought",
        }
    }

    /// From its word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Origin::Given, Origin::Sold, Origin::Bought].into_iter().find(|origin| origin.word() == word)
    }
}

/// Why something about a batch or a card was not done.
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
    /// A customer has paid for it: it is taken back with its order.
    #[error("the gift card was bought by a customer")]
    Bought,
    /// The codes were fetched before, or nobody came for them in time, or they are not all made yet.
    #[error("the codes are not there")]
    NoCodes,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}
