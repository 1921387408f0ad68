//! What an order is: what is bought, by whom, for how much, and how it stands.

use super::automatic::{AUTOMATIC, KEEP_CARD};
use crate::gift_cards::sale::Gift;
use crate::kernel::{Currency, Id, Money, Rate, Usd};

/// What is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Credit for the wallet.
    TopUp,
    /// A plan.
    Plan(Id),
    /// A gift card for somebody.
    GiftCard,
}

impl What {
    pub(super) fn words(self) -> (&'static str, Option<Id>) {
        match self {
            What::TopUp => ("top_up", None),
            What::Plan(plan) => ("plan", Some(plan)),
            What::GiftCard => ("gift_card", None),
        }
    }

    pub(super) fn from_words(word: &str, item: Option<Id>) -> Option<Self> {
        match (word, item) {
            ("top_up", _) => Some(What::TopUp),
            ("plan", Some(plan)) => Some(What::Plan(plan)),
            ("gift_card", _) => Some(What::GiftCard),
            _ => None,
        }
    }
}

/// How it is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// Out of the wallet.
    Balance,
    /// There is nothing to pay.
    Free,
    /// By a payment provider, by its word.
    Provider(String),
}

impl Method {
    /// The word in the database.
    pub fn word(&self) -> &str {
        match self {
            Method::Balance => "balance",
            Method::Free => "free",
            Method::Provider(name) => name,
        }
    }

    pub(super) fn from_word(word: &str) -> Self {
        match word {
            "balance" => Method::Balance,
            "free" => Method::Free,
            name => Method::Provider(name.to_owned()),
        }
    }
}

/// How an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not paid yet.
    Pending,
    /// Paid, and what was bought is delivered.
    Paid,
    /// Nobody paid in time.
    Expired,
    /// It could not be paid.
    Failed,
    /// All of it went back.
    Refunded,
    /// A part of it went back.
    PartlyRefunded,
    /// The customer's bank wants it back.
    Disputed,
}

impl State {
    /// Every state.
    pub const ALL: [State; 7] = [State::Pending, State::Paid, State::Expired, State::Failed, State::Refunded, State::PartlyRefunded, State::Disputed];

    /// The word in the database and in URLs.
    pub const fn word(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Paid => "paid",
            State::Expired => "expired",
            State::Failed => "failed",
            State::Refunded => "refunded",
            State::PartlyRefunded => "partly_refunded",
            State::Disputed => "disputed",
        }
    }

    /// From the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether the money came, whatever became of it since.
    pub fn was_paid(self) -> bool {
        matches!(self, State::Paid | State::Refunded | State::PartlyRefunded | State::Disputed)
    }
}

/// What somebody wants to buy.
#[derive(Clone, Debug)]
pub enum Wish {
    /// So much credit.
    TopUp(Usd),
    /// So much credit, and the card is to be kept, so that it can be charged when its owner is away.
    TopUpAndKeepCard(Usd),
    /// A plan, for one term.
    Plan(Id),
    /// A plan that is renewed until somebody cancels it.
    Subscription(Id),
    /// A gift card of so much for somebody.
    GiftCard(Usd, Gift),
}

/// An order to be made.
#[derive(Clone, Debug)]
pub struct NewOrder {
    /// Who buys.
    pub user: Id,
    /// What.
    pub wish: Wish,
    /// What stands on the bill; a plan stands there by its own name.
    pub title: String,
    /// The buyer's language, as in BCP 47.
    pub language: String,
    /// How it is to be paid. What costs nothing is free, whatever this says.
    pub method: Method,
    /// A coupon's code as it was typed; empty for none.
    pub coupon: String,
}

/// An order's row to be.
pub(super) struct NewRow {
    pub user: Id,
    pub what: What,
    pub details: String,
    pub title: String,
    pub language: String,
    pub method: Method,
    pub list_price: Money,
    pub price: Money,
    pub rate: Rate,
    pub worth: Usd,
    pub credit: Usd,
    pub bonus: Usd,
}

/// An order's row.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its id, which the provider is told.
    pub id: Id,
    /// Who buys.
    pub user: Id,
    /// What.
    pub what: What,
    /// What else there is to know of it.
    pub details: String,
    /// What stands on the bill.
    pub title: String,
    /// The buyer's language.
    pub language: String,
    /// How it is paid.
    pub method: Method,
    /// What it costs before any coupon.
    pub list_price: Money,
    /// What is to be paid, or was.
    pub price: Money,
    /// Units of the currency for one dollar of credit.
    pub rate: Rate,
    /// What it is worth before any coupon.
    pub worth: Usd,
    /// What of that the price pays for.
    pub credit: Usd,
    /// What is given on top.
    pub bonus: Usd,
    /// How it stands.
    pub state: State,
    /// The provider's id of the page on which it is paid.
    pub checkout: Option<String>,
    /// That page, while it is open.
    pub checkout_url: Option<String>,
    /// The provider's id of the payment.
    pub payment: Option<String>,
    /// The provider's id of the subscription that it began.
    pub subscription: Option<String>,
    /// The credit that was bought.
    pub credit_id: Option<Id>,
    /// The credit that was given on top.
    pub bonus_id: Option<Id>,
    /// How much of the price went back, or is going back.
    pub refunded: Money,
    /// What an admin should know.
    pub note: Option<String>,
    /// When it was made.
    pub created_at: i64,
    /// Until when it can be paid.
    pub expires_at: i64,
    /// When it was paid.
    pub paid_at: Option<i64>,
    /// When it ended unpaid.
    pub ended_at: Option<i64>,
}

/// The details of an order that begins a subscription. Those of its renewals are the source of the term that they made: `invoice:` and the provider's id.
pub(super) const SUBSCRIPTION: &str = "subscription";

impl Order {
    /// Whether it is the first order of a subscription, and not one of its renewals.
    pub fn begins_subscription(&self) -> bool {
        matches!(self.what, What::Plan(_)) && self.details == SUBSCRIPTION
    }

    /// Whether it was made by itself.
    pub fn is_automatic(&self) -> bool {
        self.what == What::TopUp && self.details == AUTOMATIC
    }

    /// Whether its buyer wants the card to be kept.
    pub fn keeps_card(&self) -> bool {
        self.what == What::TopUp && self.details == KEEP_CARD
    }

    /// What can still go back.
    pub fn refundable(&self) -> Money {
        match self.state {
            State::Paid | State::PartlyRefunded => Money::new(self.price.minor - self.refunded.minor, self.price.currency),
            _ => Money::zero(self.price.currency),
        }
    }

    /// Whether it has bought a plan.
    pub fn is_plan(&self) -> bool {
        matches!(self.what, What::Plan(_))
    }

    /// What the shop gives of it: what a coupon took off, and what comes on top.
    pub fn given(&self) -> Usd {
        self.worth - self.credit + self.bonus
    }

    /// An amount of its currency, for people.
    pub fn shown(&self, minor: &i64) -> String {
        Money::new(*minor, self.price.currency).display()
    }

    /// Whether it is charged in another currency than credit is kept in.
    pub fn is_foreign(&self) -> bool {
        self.price.currency != Currency::USD
    }

    /// The part of `whole` that belongs to so much of the price, rounded down; all of it for all of the price.
    pub(super) fn share(&self, whole: Usd, minor: i64) -> Usd {
        if self.price.minor == 0 {
            return whole;
        }
        let part = i128::from(whole.0) * i128::from(minor) / i128::from(self.price.minor);
        Usd(i64::try_from(part).unwrap_or(whole.0).clamp(0, whole.0))
    }

    /// What has made the term of a plan that it has paid for: itself, or the provider's bill that it stands for.
    pub(super) fn source(&self) -> String {
        if self.details.starts_with("invoice:") { self.details.clone() } else { self.reference() }
    }

    /// The name of its transfers, and of everything that is done once for it.
    pub(super) fn reference(&self) -> String {
        format!("order:{}", self.id)
    }
}
