//! Money from outside: orders, what the payment provider tells about them, refunds and disputes.
//!
//! Invariants, which the tests race:
//! - an order's row exists before its buyer leaves the site; what is delivered for it is delivered in the transaction that marks it paid, once;
//! - an order that was paid never goes back to unpaid, whatever comes late;
//! - a message is stored before anything is done about it, and handled once; what it claims must match the order in every point;
//! - money that goes back is taken out of what it had bought before the provider is told.
//!
//! Locks are taken in the order message, order, plan, subscription, coupon, wallet, number of a document.
//!
//! [`provider`] is what the shop asks of a payment provider, in this project's own words; no other room knows which one there is
//! ([`stripe`]). What a provider answers is a claim of somebody else, which is held against the order before anything is credited.
//!
//! Callers: `web` (the pages that sell, and the door at which messages arrive), `app` (start-up and periodic work). No room below calls it.

pub mod automatic;
mod card_back;
pub mod compare;
mod disputes;
mod fees;
mod inbox;
mod messages;
mod order;
mod orders;
pub mod provider;
mod reconcile;
mod refunds;
pub mod store;
pub mod stripe;
pub mod subscriptions;
mod unheard;

pub use inbox::{ReceiveError, Received};
pub use order::{Method, NewOrder, Order, State, What, Wish};
pub use orders::History;
pub use refunds::NewRefund;
pub use subscriptions::{ChangeNow, ChangeOffer, Changed, PaidAgain, UnpaidBill};

use crate::coupons;
use crate::db::Db;
use crate::invoices::Office;
use crate::kernel::{Currency, Id, Kit};
use crate::ledger::{Books, LedgerError};
use crate::plans;
use crate::settings;
use provider::{Mismatch, Provider, ProviderError};
use std::sync::Arc;

/// Why something about a payment did not work.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// There is no such order.
    #[error("no order {0}")]
    NoOrder(Id),
    /// The shop takes no cards.
    #[error("no payment provider is set up")]
    NoProvider,
    /// The customer is about to subscribe to this plan by another order.
    #[error("order {0} of the same subscription waits to be paid")]
    AlreadyOrdered(Id),
    /// The customer has too many orders that wait to be paid.
    #[error("too many orders wait to be paid")]
    TooManyPending,
    /// The subscription cannot become one to this plan in this way.
    #[error("the subscription cannot be changed so")]
    CannotChange,
    /// More than can go back.
    #[error("more than can be refunded")]
    NotRefundable,
    /// The plan cannot be bought.
    #[error(transparent)]
    Refused(#[from] plans::Refused),
    /// The coupon does nothing for this order.
    #[error(transparent)]
    Coupon(#[from] coupons::CouponError),
    /// What the plan costs has no price in credit: it is in a currency that has no rate.
    #[error("no rate for {0}")]
    NoRate(Currency),
    /// The plan could not be given.
    #[error(transparent)]
    Subscription(#[from] plans::SubscriptionError),
    /// What is claimed does not match the order.
    #[error("it does not match the order: {0}")]
    Mismatch(#[from] Mismatch),
    /// The provider did not do it.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The books refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Orders and payments. Clones share everything.
#[derive(Clone, Debug)]
pub struct Payments {
    db: Db,
    kit: Kit,
    books: Books,
    settings: settings::Snapshot,
    provider: Option<Arc<dyn Provider>>,
    /// Where customers reach the shop, without a slash at its end.
    base_url: Arc<str>,
}

impl Payments {
    /// Payments over a provider; without one there are none by card.
    pub fn new(db: Db, kit: Kit, books: Books, settings: settings::Snapshot, provider: Option<Arc<dyn Provider>>, base_url: &str) -> Self {
        Self { db, kit, books, settings, provider, base_url: base_url.trim_end_matches('/').into() }
    }

    /// Whether cards are taken.
    pub fn takes_cards(&self) -> bool {
        self.provider.is_some()
    }

    /// How an order is paid that is paid by card.
    ///
    /// # Errors
    /// [`PaymentError::NoProvider`].
    pub fn by_card(&self) -> Result<Method, PaymentError> {
        self.provider().map(|provider| Method::Provider(provider.name().to_owned()))
    }

    fn provider(&self) -> Result<&Arc<dyn Provider>, PaymentError> {
        self.provider.as_ref().ok_or(PaymentError::NoProvider)
    }

    /// Who issues documents.
    fn office(&self) -> Office {
        let settings = self.settings.now();
        Office { site: settings.site_name.clone(), url: self.base_url.to_string(), zone: settings.time_zone.clone() }
    }

    fn now(&self) -> i64 {
        self.kit.clock.now_ms()
    }
}

/// How long to wait after so many tries that failed, in milliseconds: twice as long each time, and not more than `most`.
fn growing_pause(first: i64, tries: i64, most: i64) -> i64 {
    first.saturating_mul(1 << tries.clamp(0, 20)).min(most)
}
