//! What the shop asks of a payment provider: one trait, with plain types of this project.
//!
//! Ids of the provider's things are texts that are kept and given back, never taken apart. Times are unix milliseconds. Amounts are [`Money`]. Whoever makes
//! something says a key: the same request with the same key makes it once, however often it is sent, so a request whose answer was lost is simply sent again.

use crate::kernel::{Currency, Id, Money};
use async_trait::async_trait;
use axum::http::HeaderMap;
use std::fmt;

/// A payment provider. Object safe: the shop holds an `Arc<dyn Provider>`.
#[async_trait]
pub trait Provider: Send + Sync + fmt::Debug {
    /// The word that an order keeps as its method: `stripe`.
    fn name(&self) -> &'static str;

    /// The provider's customer for one of ours, found again by our id or made.
    async fn customer(&self, new: &NewCustomer) -> Result<String, ProviderError>;

    /// Makes a page on which the customer pays for one order, once or by subscription.
    async fn checkout(&self, new: &NewCheckout) -> Result<Checkout, ProviderError>;

    /// What has become of a checkout.
    async fn look_at_checkout(&self, checkout: &str) -> Result<Checkout, ProviderError>;

    /// Closes a checkout that nobody has paid. One that is no longer open is returned as it is.
    async fn expire_checkout(&self, checkout: &str) -> Result<Checkout, ProviderError>;

    /// The checkouts that were made in a period, newest first: finds those whose id we never heard.
    async fn checkouts(&self, list: &List) -> Result<Page<Checkout>, ProviderError>;

    /// The card that a customer has saved for later, if any.
    async fn saved_card(&self, customer: &str) -> Result<Option<SavedCard>, ProviderError>;

    /// Forgets a saved card: it can never be charged again.
    async fn forget_card(&self, card: &str) -> Result<(), ProviderError>;

    /// Charges a saved card while the customer is away.
    async fn charge_saved(&self, charge: &SavedCharge) -> Result<Charged, ProviderError>;

    /// Takes up a payment that needs the customer's confirmation: where to send a customer who is here now. Asked when the customer has opened the link in
    /// our mail, since the bank's page is open for a short time only.
    async fn confirm(&self, payment: &str, return_url: &str) -> Result<Confirmation, ProviderError>;

    /// What has become of a payment.
    async fn look_at_payment(&self, payment: &str) -> Result<Payment, ProviderError>;

    /// Gives up a payment that nobody has made. One that is paid, or was given up before, is returned as it is.
    async fn cancel_payment(&self, payment: &str) -> Result<Payment, ProviderError>;

    /// Pays back a payment or a part of it.
    async fn refund(&self, new: &NewRefund) -> Result<Refund, ProviderError>;

    /// A link to the pages on which a customer looks after cards, bills and subscriptions.
    async fn portal(&self, customer: &str, return_url: &str) -> Result<String, ProviderError>;

    /// How a subscription stands.
    async fn subscription(&self, subscription: &str) -> Result<Subscription, ProviderError>;

    /// Another plan for a subscription.
    async fn change_subscription(&self, change: &Change) -> Result<Subscription, ProviderError>;

    /// Ends a subscription at the end of what is paid, or now (without paying anything back). One that has ended is returned as it is.
    async fn cancel_subscription(&self, subscription: &str, when: When) -> Result<Subscription, ProviderError>;

    /// Takes back a cancellation at the period's end.
    async fn resume_subscription(&self, subscription: &str) -> Result<Subscription, ProviderError>;

    /// Tries again to collect a bill whose payment has failed. `key` as everywhere: another attempt needs another one.
    async fn pay_invoice(&self, invoice: &str, key: &str) -> Result<Charged, ProviderError>;

    /// What has become of a bill.
    async fn look_at_invoice(&self, invoice: &str) -> Result<Invoice, ProviderError>;

    /// The bills of a subscription, newest first: a renewal whose message was lost.
    async fn invoices(&self, subscription: &str, list: &List) -> Result<Page<Invoice>, ProviderError>;

    /// The payments that were begun in a period, newest first.
    async fn payments(&self, list: &List) -> Result<Page<Payment>, ProviderError>;

    /// The refunds of a period, newest first.
    async fn refunds(&self, list: &List) -> Result<Page<Refund>, ProviderError>;

    /// The disputes that were opened in a period, newest first.
    async fn disputes(&self, list: &List) -> Result<Page<Dispute>, ProviderError>;

    /// Everything that moved the provider's account of us in a period, with its fees, newest first; in the currency in which the provider pays out.
    async fn movements(&self, list: &List) -> Result<Page<Movement>, ProviderError>;

    /// The messages of a period, newest first, as they were or should have been delivered.
    async fn events(&self, list: &List) -> Result<Page<Incoming>, ProviderError>;

    /// Whether a message is the provider's: by its signature over the raw body, at most five minutes old or early at `now_ms`.
    ///
    /// # Errors
    /// Why it is refused. Nothing of it may be believed, stored or repeated.
    fn verify(&self, headers: &HeaderMap, body: &[u8], now_ms: i64) -> Result<Incoming, Rejected>;

    /// Reads a message that was verified and stored. Fields and kinds of event that nobody here knows are passed over; amounts, currencies and ids must be
    /// as they should.
    ///
    /// # Errors
    /// [`Unreadable`] names the field. Reading again fails again.
    fn read(&self, raw: &[u8]) -> Result<Event, Unreadable>;
}

/// Why a provider did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// No answer. What was asked may have happened: ask again with the same key.
    #[error("the payment provider cannot be reached: {0}")]
    Unreachable(String),
    /// It is overloaded or broken, or another request with the same key is under way.
    #[error("the payment provider is busy: {0}")]
    Busy(String),
    /// It does not accept our key.
    #[error("the payment provider refuses our key: {0}")]
    WrongKey(String),
    /// It knows no such thing.
    #[error("the payment provider knows no such thing: {0}")]
    Unknown(String),
    /// The card was declined; only from [`Provider::change_subscription`]. Everywhere else a decline is one of the answers.
    #[error("the card was declined: {0:?}")]
    Declined(Decline),
    /// It will not do this, however often it is asked.
    #[error("the payment provider refuses: {0}")]
    Refused(String),
    /// Its answer is not what this program understands.
    #[error("the payment provider's answer cannot be read: {0}")]
    Unreadable(#[from] Unreadable),
}

/// What an admin can do about a [`ProviderError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Nothing: it is tried again.
    Wait,
    /// Look after the secret key in the settings, and what it may do.
    CheckKey,
    /// The thing was made in another account or mode, or deleted by hand.
    CheckAccount,
    /// The customer needs another card.
    AskCustomer,
    /// Look at the provider's own pages, where the reason stands.
    LookThere,
}

impl ProviderError {
    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Busy(_))
    }

    /// What an admin can do.
    pub fn advice(&self) -> Advice {
        match self {
            Self::Unreachable(_) | Self::Busy(_) => Advice::Wait,
            Self::WrongKey(_) => Advice::CheckKey,
            Self::Unknown(_) => Advice::CheckAccount,
            Self::Declined(_) => Advice::AskCustomer,
            Self::Refused(_) | Self::Unreadable(_) => Advice::LookThere,
        }
    }
}

/// An answer or a message that cannot be understood; says which field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// Why a message is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// There is no secret to check it with, so nothing is believed.
    #[error("no webhook secret is set, so no message is accepted")]
    NoSecret,
    /// It is not signed.
    #[error("the message is not signed")]
    Unsigned,
    /// The header of the signature is not of the form that the provider writes.
    #[error("the signature is malformed")]
    Malformed,
    /// Signed with another secret, or the body was altered.
    #[error("the signature does not match: another secret, or an altered body")]
    WrongSignature,
    /// More than five minutes old: a repetition by somebody who listened, or a clock that is wrong.
    #[error("the message is too old")]
    TooOld,
    /// More than five minutes ahead of our clock.
    #[error("the message is from the future: one of the clocks is wrong")]
    TooNew,
    /// Signed as it should be, but no event.
    #[error("the message is signed but is no event")]
    NoEvent,
}

/// One of our customers.
#[derive(Debug, Clone)]
pub struct NewCustomer {
    /// Our id, by which the customer is found again.
    pub user: Id,
    /// Where the provider's own letters go.
    pub email: String,
}

/// What a checkout is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sale {
    /// Paid once.
    Once {
        /// Keep the card, so that it can be charged while the customer is away.
        save_card: bool,
    },
    /// Paid now and again for each period, until it is cancelled.
    Renewing(RenewingPlan),
}

/// A plan as the provider has to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewingPlan {
    /// Our id of the plan.
    pub plan: Id,
    /// The version of its terms.
    pub version: Id,
    /// How long one period is.
    pub every: Every,
    /// Days that are free before the first payment; 0 for none.
    pub trial_days: u32,
}

/// The length of a period of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Every {
    /// How many units.
    pub count: u32,
    /// Of what.
    pub unit: Unit,
}

/// A unit of time in a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// 24 hours.
    Day,
    /// Seven of them.
    Week,
    /// As calendars have them: from the 31st to the last day of a shorter month.
    Month,
    /// Twelve of them.
    Year,
}

/// A checkout to make.
#[derive(Debug, Clone)]
pub struct NewCheckout {
    /// Our order, which exists already. It is also the key: one order has one checkout.
    pub order: Id,
    /// Our customer.
    pub user: Id,
    /// The provider's customer.
    pub customer: String,
    /// What stands on the page and on the receipt.
    pub title: String,
    /// What it costs; for a subscription, each period.
    pub price: Money,
    /// What it is.
    pub sale: Sale,
    /// Where a customer goes who has paid. The books are not moved by that visit.
    pub success_url: String,
    /// Where a customer goes who will not pay.
    pub cancel_url: String,
    /// When the page closes. Stripe takes from 30 minutes to 24 hours from now.
    pub expires_at: i64,
    /// The language of the page, as in BCP 47 (`en`, `zh`).
    pub language: String,
}

/// A page on which an order is paid, and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// The provider's id.
    pub id: String,
    /// Where the customer pays, as long as it is open.
    pub url: Option<String>,
    /// The order that we said it is for. `None` for a checkout that is not ours.
    pub order: Option<Id>,
    /// The provider's customer.
    pub customer: Option<String>,
    /// Once or by subscription.
    pub mode: Mode,
    /// Whether it can still be paid.
    pub status: CheckoutStatus,
    /// Whether the money is there. A completed checkout may still be unpaid (a bank transfer is under way).
    pub payment_status: PaymentStatus,
    /// What the customer pays in all.
    pub total: Money,
    /// The payment, when paid once.
    pub payment: Option<String>,
    /// The subscription, when it has begun.
    pub subscription: Option<String>,
    /// The first bill of the subscription.
    pub invoice: Option<String>,
    /// When it was made.
    pub created_at: i64,
    /// When it closes.
    pub expires_at: i64,
}

/// What kind of checkout it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Paid once.
    Payment,
    /// By subscription.
    Subscription,
    /// Something that this shop never makes.
    Other,
}

/// Whether a checkout can still be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckoutStatus {
    /// It can.
    Open,
    /// The customer is through with it.
    Complete,
    /// Its time is over.
    Expired,
}

/// Whether the money of a checkout is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentStatus {
    /// It is.
    Paid,
    /// It is not, or not yet.
    Unpaid,
    /// There was nothing to pay (a trial, a price of zero).
    NothingDue,
}

/// A card that can be charged while its owner is away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedCard {
    /// The provider's id.
    pub id: String,
    /// `visa`, `mastercard`, ...; of another means of payment its kind.
    pub brand: String,
    /// The last four digits, empty when it has none.
    pub last4: String,
    /// Month and year in which it expires, when it does.
    pub expires: Option<(u8, u16)>,
}

/// A charge to a saved card.
#[derive(Debug, Clone)]
pub struct SavedCharge {
    /// Our order, which exists already. It is also the key: one order is charged once.
    pub order: Id,
    /// Our customer.
    pub user: Id,
    /// The provider's customer.
    pub customer: String,
    /// The card.
    pub card: String,
    /// How much.
    pub amount: Money,
    /// What stands on the receipt.
    pub title: String,
}

/// What came of a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Charged {
    /// The money is there.
    Paid(Payment),
    /// It is under way; a message will tell.
    Processing(Payment),
    /// The bank wants the customer to confirm: [`Provider::confirm`].
    NeedsAction(Payment),
    /// No.
    Declined(Payment, Decline),
}

/// Where a customer who wants to confirm a payment goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmation {
    /// To the page of the bank.
    Go(String),
    /// Nowhere: it is paid.
    Paid(Payment),
    /// Nowhere: it is under way.
    Processing(Payment),
    /// Nowhere: it can no longer be paid.
    Closed(Payment, Option<Decline>),
}

/// Why a card was not charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decline {
    /// The provider's word, such as `insufficient_funds`; for the log and the admin's page.
    pub code: String,
    /// What it means for the customer.
    pub reason: DeclineReason,
}

/// What a decline means for the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeclineReason {
    /// There is not enough money: another time or another card.
    Funds,
    /// The card has expired, or its number or code is wrong.
    Card,
    /// The bank wants a confirmation that was not given.
    Confirmation,
    /// The bank says no and does not say why, or must not say.
    Bank,
    /// Something went wrong on the way; the same card may work later.
    Passing,
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The provider's id.
    pub id: String,
    /// The order that we said it is for. `None` for renewals of a subscription and for what is not ours.
    pub order: Option<Id>,
    /// The provider's customer.
    pub customer: Option<String>,
    /// How it stands.
    pub status: PaymentState,
    /// How much is asked.
    pub amount: Money,
    /// How much has come.
    pub received: Money,
    /// Why it failed the last time, when it did and is not paid since.
    pub decline: Option<Decline>,
    /// The card, when one was used.
    pub card: Option<String>,
    /// When it was begun.
    pub created_at: i64,
}

/// How a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentState {
    /// The money is there.
    Paid,
    /// It is under way.
    Processing,
    /// The customer has to confirm it.
    NeedsAction,
    /// It waits for a card: none was given, or it was declined.
    NeedsCard,
    /// It was given up.
    Canceled,
}

/// A refund to make.
#[derive(Debug, Clone)]
pub struct NewRefund {
    /// The payment.
    pub payment: String,
    /// How much of it.
    pub amount: Money,
    /// The same refund with the same key is made once.
    pub key: String,
    /// Our order.
    pub order: Id,
}

/// A refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// The provider's id.
    pub id: String,
    /// The payment it pays back.
    pub payment: Option<String>,
    /// The order that we said it is for; `None` for one that was made by hand.
    pub order: Option<Id>,
    /// How much.
    pub amount: Money,
    /// How it stands.
    pub status: RefundState,
    /// When it was made.
    pub created_at: i64,
}

/// How a refund stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundState {
    /// It is on its way to the customer.
    Done,
    /// It waits for something.
    Pending,
    /// It did not work: the money is still with us.
    Failed,
}

/// When a change begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At once.
    Now,
    /// When the period that is paid ends.
    PeriodEnd,
}

/// Another plan for a subscription.
#[derive(Debug, Clone)]
pub struct Change {
    /// Which subscription.
    pub subscription: String,
    /// What stands on the receipt.
    pub title: String,
    /// What each period costs from then on.
    pub price: Money,
    /// The plan. Its trial is passed over.
    pub plan: RenewingPlan,
    /// `Now` begins a new period today and collects its whole price at once; when that fails, nothing changes. `PeriodEnd` asks for the new price at the
    /// next renewal and for nothing before.
    pub when: When,
    /// With `Now`: what is left of the paid period, in money, is taken off the first bill.
    pub credit_unused: bool,
    /// The same change with the same key is made once.
    pub key: String,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The provider's id.
    pub id: String,
    /// The order that began it, as we said.
    pub order: Option<Id>,
    /// Our plan that it is for now, as we said.
    pub plan: Option<Id>,
    /// The version of its terms, as we said.
    pub version: Option<Id>,
    /// The provider's customer.
    pub customer: String,
    /// How it stands.
    pub status: SubscriptionState,
    /// What each period costs.
    pub price: Money,
    /// When the period began that runs now.
    pub period_start: i64,
    /// When it ends.
    pub period_end: i64,
    /// It is cancelled and ends with the period.
    pub ends_with_period: bool,
    /// When it ended, when it has.
    pub ended_at: Option<i64>,
    /// The newest bill.
    pub latest_invoice: Option<String>,
}

/// How a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionState {
    /// Its first bill is not paid yet.
    Incomplete,
    /// It is in its trial.
    Trial,
    /// Paid.
    Active,
    /// The last renewal is not paid; the provider tries again.
    PastDue,
    /// The last renewal is not paid, and the provider has given up trying.
    Unpaid,
    /// It rests, since a trial ended without a card.
    Paused,
    /// It is over.
    Ended,
}

/// A bill of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    /// The provider's id.
    pub id: String,
    /// The subscription; `None` for a bill that somebody wrote by hand.
    pub subscription: Option<String>,
    /// The order that began the subscription, as we said.
    pub order: Option<Id>,
    /// The version of the terms of our plan that it is for, as we said.
    pub version: Option<Id>,
    /// The provider's customer.
    pub customer: Option<String>,
    /// How it stands.
    pub status: InvoiceState,
    /// Why it was written.
    pub reason: InvoiceReason,
    /// The whole of it.
    pub total: Money,
    /// What was paid.
    pub paid: Money,
    /// When the period begins that it pays for.
    pub period_start: i64,
    /// When that ends.
    pub period_end: i64,
    /// The payment, when the provider says.
    pub payment: Option<String>,
    /// How many times it was tried to collect it.
    pub attempts: u32,
    /// When it will be tried next.
    pub next_attempt_at: Option<i64>,
    /// A page of the provider on which the customer can pay it.
    pub page: Option<String>,
    /// When it was written.
    pub created_at: i64,
}

/// How a bill stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvoiceState {
    /// Not sent yet.
    Draft,
    /// Waits for its money.
    Open,
    /// Paid.
    Paid,
    /// Nobody waits for it any more.
    Void,
}

/// Why a bill was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvoiceReason {
    /// The first of a subscription.
    First,
    /// A further period.
    Renewal,
    /// The plan was changed.
    Change,
    /// Anything else.
    Other,
}

/// A customer's bank wants the money back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// The provider's id.
    pub id: String,
    /// The payment that is disputed.
    pub payment: Option<String>,
    /// How much of it.
    pub amount: Money,
    /// How it stands.
    pub status: DisputeState,
    /// The provider's word for the reason, such as `fraudulent`.
    pub reason: String,
    /// Until when we may answer.
    pub answer_by: Option<i64>,
    /// When it was opened.
    pub created_at: i64,
}

/// How a dispute stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisputeState {
    /// An inquiry: no money has gone yet. It waits for our answer or for the bank's.
    Inquiry,
    /// Money is withheld. It waits for our answer or for the bank's.
    Open,
    /// The money is ours again; or the inquiry ended without a dispute.
    Won,
    /// The money is gone.
    Lost,
}

/// Something that moved the provider's account of us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// The provider's id.
    pub id: String,
    /// What it was.
    pub kind: MovementKind,
    /// Before fees; negative when it went away from us.
    pub amount: Money,
    /// What the provider keeps for it; negative when fees come back.
    pub fee: Money,
    /// What it leaves.
    pub net: Money,
    /// The payment that it belongs to, when it belongs to one.
    pub payment: Option<String>,
    /// The charge, refund or dispute that it comes from.
    pub source: Option<String>,
    /// When it happened.
    pub created_at: i64,
}

/// What moved the provider's account of us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MovementKind {
    /// A payment came.
    Payment,
    /// One was paid back.
    Refund,
    /// A refund failed and the money is back.
    RefundFailed,
    /// Money of a dispute was taken, or given back.
    Dispute,
    /// A fee for something else than one payment.
    Fee,
    /// Paid out to our bank, or taken from there.
    Payout,
    /// The provider's own word.
    Other(String),
}

/// Which part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    /// From this moment on.
    pub from: Option<i64>,
    /// Up to and without this one.
    pub until: Option<i64>,
    /// What [`Page::next`] said.
    pub after: Option<String>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// At most a hundred.
    pub items: Vec<T>,
    /// Where the next part begins, when there is one.
    pub next: Option<String>,
}

/// A message whose signature was right, or that was fetched from the provider. It is stored before it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// The provider's id of the event: the same event may come many times.
    pub id: String,
    /// The provider's word for what happened.
    pub kind: String,
    /// When it happened.
    pub created_at: i64,
    /// The whole message, for [`Provider::read`].
    pub raw: Vec<u8>,
}

/// What a message tells. The things in it are as they were when it happened, which may be long ago: messages come late, twice and in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A customer is through with a checkout; [`Checkout::payment_status`] says whether the money is there.
    CheckoutCompleted(Checkout),
    /// The money of a completed checkout has come later.
    CheckoutPaid(Checkout),
    /// The money of a completed checkout will not come.
    CheckoutFailed(Checkout),
    /// A checkout's time is over.
    CheckoutExpired(Checkout),
    /// A payment was made.
    PaymentPaid(Payment),
    /// An attempt to pay failed; the customer may try again.
    PaymentFailed(Payment),
    /// A payment waits for the customer to confirm it.
    PaymentNeedsAction(Payment),
    /// A payment was given up.
    PaymentCanceled(Payment),
    /// A bill was paid: a period of a subscription begins.
    InvoicePaid(Invoice),
    /// A bill could not be collected.
    InvoiceFailed(Invoice),
    /// A subscription began, changed or ended.
    Subscription(Subscription),
    /// So much of a payment is refunded in all, by whomever.
    Refunded(Refunded),
    /// A refund began, changed or failed.
    Refund(Refund),
    /// A dispute was opened, changed or closed.
    Dispute(Dispute),
    /// Something that this shop does not act on.
    Other,
}

/// What was paid back of a payment up to a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refunded {
    /// The payment.
    pub payment: Option<String>,
    /// The order that we said the payment is for.
    pub order: Option<Id>,
    /// What was paid.
    pub amount: Money,
    /// What was paid back of it, in all.
    pub refunded: Money,
}

impl Checkout {
    /// Whether the money is there, all of `price`, in its currency, by the customer `customer`, for `order`: what must hold before anything is credited.
    ///
    /// # Errors
    /// What differs.
    pub fn pays(&self, order: Id, price: Money, customer: Option<&str>, mode: Mode) -> Result<(), Mismatch> {
        match () {
            () if self.order != Some(order) => Err(Mismatch::Order),
            () if self.total.currency != price.currency => Err(Mismatch::Currency(self.total.currency)),
            () if self.total.minor != price.minor => Err(Mismatch::Amount(self.total)),
            () if customer.is_some() && self.customer.as_deref() != customer => Err(Mismatch::Customer),
            () if self.mode != mode => Err(Mismatch::Mode),
            () if self.payment_status == PaymentStatus::Unpaid => Err(Mismatch::Unpaid),
            () if self.payment_status == PaymentStatus::NothingDue && price.minor != 0 => Err(Mismatch::Unpaid),
            () => Ok(()),
        }
    }
}

/// Why a checkout does not pay an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// It is for another order, or for none.
    #[error("it is for another order")]
    Order,
    /// It is in another currency.
    #[error("it is in {0}")]
    Currency(Currency),
    /// It is for another amount.
    #[error("its amount is {0}")]
    Amount(Money),
    /// It is another customer's.
    #[error("it is another customer's")]
    Customer,
    /// Once instead of by subscription, or the other way round.
    #[error("it is of another mode")]
    Mode,
    /// The money is not there.
    #[error("it is not paid")]
    Unpaid,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: Id = Id(7);
    const PRICE: Money = Money::new(1250, Currency::USD);

    fn checkout() -> Checkout {
        Checkout {
            id: "cs_1".to_owned(),
            url: None,
            order: Some(ORDER),
            customer: Some("cus_1".to_owned()),
            mode: Mode::Payment,
            status: CheckoutStatus::Complete,
            payment_status: PaymentStatus::Paid,
            total: PRICE,
            payment: None,
            subscription: None,
            invoice: None,
            created_at: 0,
            expires_at: 0,
        }
    }

    #[test]
    fn a_checkout_pays_an_order_only_when_everything_is_as_it_was_asked() {
        let pays = |checkout: Checkout| checkout.pays(ORDER, PRICE, Some("cus_1"), Mode::Payment);
        assert_eq!(pays(checkout()), Ok(()));
        assert_eq!(pays(Checkout { order: Some(Id(8)), ..checkout() }), Err(Mismatch::Order));
        assert_eq!(pays(Checkout { order: None, ..checkout() }), Err(Mismatch::Order));
        let (yen, other) = (Money::new(1250, "JPY".parse().unwrap()), Money::new(1251, Currency::USD));
        assert_eq!(pays(Checkout { total: yen, ..checkout() }), Err(Mismatch::Currency(yen.currency)));
        assert_eq!(pays(Checkout { total: other, ..checkout() }), Err(Mismatch::Amount(other)));
        assert_eq!(pays(Checkout { customer: None, ..checkout() }), Err(Mismatch::Customer));
        assert_eq!(pays(Checkout { mode: Mode::Subscription, ..checkout() }), Err(Mismatch::Mode));
        assert_eq!(pays(Checkout { payment_status: PaymentStatus::Unpaid, ..checkout() }), Err(Mismatch::Unpaid));
        assert_eq!(pays(Checkout { payment_status: PaymentStatus::NothingDue, ..checkout() }), Err(Mismatch::Unpaid));
        let free = Checkout { payment_status: PaymentStatus::NothingDue, total: Money::zero(Currency::USD), ..checkout() };
        assert_eq!(free.pays(ORDER, Money::zero(Currency::USD), None, Mode::Payment), Ok(()));
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        assert!(ProviderError::Busy(String::new()).is_retryable() && ProviderError::Unreachable(String::new()).is_retryable());
        for error in [ProviderError::WrongKey(String::new()), ProviderError::Unknown(String::new()), ProviderError::Refused(String::new())] {
            assert!(!error.is_retryable() && error.advice() != Advice::Wait, "{error}");
        }
    }
}
