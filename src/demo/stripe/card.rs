//! Cards to pay with, by the numbers that Stripe documents for testing, and how each behaves.

/// How a means of payment behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Card {
    /// Pays.
    Good,
    /// Is declined, always.
    Declined,
    /// Has not enough money, always.
    Poor,
    /// Has expired.
    Expired,
    /// The bank asks its owner to confirm while the owner is there; once saved it pays without.
    ConfirmsOnce,
    /// The bank asks its owner to confirm each time, and refuses while the owner is away.
    ConfirmsAlways,
    /// Can be saved by its owner's first payment and is declined ever after.
    GoodOnce,
    /// Pays, and its owner then disputes the charge.
    Disputes,
    /// No card: a bank transfer whose money comes, or does not come, days later.
    Transfer,
}

/// What comes of an attempt to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Paid,
    Later,
    Confirm,
    Declined(Reason),
}

/// Why a card is declined: Stripe's code, its finer one, and the sentence for the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub code: &'static str,
    pub decline_code: &'static str,
    pub message: &'static str,
}

pub(super) const GENERIC: Reason = Reason { code: "card_declined", decline_code: "generic_decline", message: "Your card was declined." };
const FUNDS: Reason = Reason { code: "card_declined", decline_code: "insufficient_funds", message: "Your card has insufficient funds." };
const EXPIRED: Reason = Reason { code: "expired_card", decline_code: "expired_card", message: "Your card has expired." };
pub(super) const AWAY: Reason = Reason {
    code: "authentication_required",
    decline_code: "authentication_required",
    message: "Your card was declined. This transaction requires authentication.",
};
pub(super) const NOT_CONFIRMED: Reason = Reason {
    code: "payment_intent_authentication_failure",
    decline_code: "",
    message: "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
};

/// The numbers that the page takes.
const NUMBERS: [(&str, Card); 9] = [
    ("4242424242424242", Card::Good),
    ("4000000000000002", Card::Declined),
    ("4000000000009995", Card::Poor),
    ("4000000000000069", Card::Expired),
    ("4000002500003155", Card::ConfirmsOnce),
    ("4000002760003184", Card::ConfirmsAlways),
    ("4000000000000341", Card::GoodOnce),
    ("4000000000000259", Card::Disputes),
    ("", Card::Transfer),
];

impl Card {
    /// The card with this number; spaces and hyphens do not count.
    pub fn from_number(typed: &str) -> Option<Self> {
        let number: String = typed.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        NUMBERS.iter().find(|(known, _)| !known.is_empty() && *known == number).map(|(_, card)| *card)
    }

    /// Its number; empty for a transfer.
    pub fn number(self) -> &'static str {
        NUMBERS.iter().find(|(_, card)| *card == self).map_or("", |(number, _)| number)
    }

    /// What comes of charging it, with or without its owner at the screen.
    pub(super) fn verdict(self, owner_is_there: bool) -> Verdict {
        match self {
            Self::Good | Self::Disputes => Verdict::Paid,
            Self::Declined => Verdict::Declined(GENERIC),
            Self::Poor => Verdict::Declined(FUNDS),
            Self::Expired => Verdict::Declined(EXPIRED),
            Self::Transfer => Verdict::Later,
            Self::ConfirmsOnce | Self::ConfirmsAlways if owner_is_there => Verdict::Confirm,
            Self::ConfirmsAlways => Verdict::Declined(AWAY),
            Self::GoodOnce if !owner_is_there => Verdict::Declined(GENERIC),
            Self::ConfirmsOnce | Self::GoodOnce => Verdict::Paid,
        }
    }
}
