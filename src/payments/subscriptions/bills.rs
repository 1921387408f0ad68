//! What follows from a bill of a subscription.

use super::begin::bounds;
use crate::db::Tx;
use crate::kernel::{Currency, Id, Money, Rate, Usd};
use crate::ledger::House;
use crate::payments::inbox::Handled;
use crate::payments::order::NewRow;
use crate::payments::provider::{Invoice, InvoiceReason, InvoiceState, List};
use crate::payments::store::NewRefundRow;
use crate::payments::{Order, PaymentError, Payments, What, store};
use crate::plans::{self, Edition, NewTerm, Renewed, RenewedTerm, Standing, SubscriptionError, When};

/// A period that begins so much later than the last one has ended, or by half of its length, follows another that was not heard of.
const GAP_MS: i64 = 26 * 60 * 60 * 1_000;
/// The provider's clock is not ours.
const EARLIER_MS: i64 = 60 * 60 * 1_000;

/// What becomes of the money of a bill that was collected.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It has made a term.
    Term,
    /// It is for a time that was paid for already: the customer gets it as credit.
    Credit,
    /// The subscription has ended: it goes back.
    Back,
}

impl Payments {
    /// Asks how the bill stands that a message is about, and makes up first for what was not heard of before it. `None` when it tells nothing of ours.
    pub(super) async fn look_at_bill(&self, told: &Invoice) -> Result<Option<Invoice>, PaymentError> {
        let (Some(order), Some(external), false) = (told.order, told.subscription.as_deref(), told.reason == InvoiceReason::First) else { return Ok(None) };
        let Some(first) = store::find_order(&mut *self.db.read().await?, order).await?.filter(Order::begins_subscription) else { return Ok(None) };
        let mut standing = plans::standing(&mut *self.db.read().await?, external).await?;
        if standing.is_none() {
            self.begin_late(&first).await?;
            standing = plans::standing(&mut *self.db.read().await?, external).await?;
        }
        let gap = GAP_MS.min((told.period_end - told.period_start) / 2);
        if let Some(standing) = standing
            && (told.reason == InvoiceReason::Change || told.period_start > standing.paid_until.saturating_add(gap))
        {
            self.catch_up(external, standing.since, Some(told)).await?;
        }
        Ok(Some(self.provider()?.look_at_invoice(&told.id).await?))
    }

    /// Acts on the bills of a subscription since a moment, the oldest first: all, or those that were written before `until` and were collected.
    pub(super) async fn catch_up(&self, external: &str, since: i64, until: Option<&Invoice>) -> Result<(), PaymentError> {
        let provider = self.provider()?;
        let mut list = List { from: Some(since - EARLIER_MS), until: None, after: None };
        let mut bills = Vec::new();
        loop {
            let page = provider.invoices(external, &list).await?;
            bills.extend(page.items);
            list.after = page.next;
            if list.after.is_none() {
                break;
            }
        }
        bills.retain(|bill| match until {
            Some(until) => bill.id != until.id && bill.status == InvoiceState::Paid && bill.created_at <= until.created_at,
            None => true,
        });
        for bill in bills.iter().rev() {
            let mut tx = self.db.write().await?;
            if let Handled::Refused(why, order) = self.on_bill(&mut tx, bill).await? {
                tracing::error!(bill = bill.id, order = ?order, why, "a bill of the payment provider cannot be acted on: somebody must look");
            }
            tx.commit().await?;
        }
        Ok(())
    }

    /// Holds a bill against the subscription that it is for, and acts on it.
    pub(in crate::payments) async fn on_bill(&self, tx: &mut Tx, bill: &Invoice) -> Result<Handled, PaymentError> {
        let Some(external) = bill.subscription.as_deref() else { return Ok(Handled::Ignored) };
        let Some(first) = self.locked(tx, bill.order).await? else { return Ok(Handled::Ignored) };
        let customer = store::customer(tx, first.user, first.method.word()).await?;
        if !first.begins_subscription() || bill.customer.is_none() || bill.customer != customer {
            return self.refuse(tx, &first, &format!("bill {} is not of its subscription, or another customer's", bill.id)).await;
        }
        if bill.reason == InvoiceReason::First {
            // The checkout tells whether it is paid.
            store::set_payment(tx, first.id, bill.payment.as_deref(), None).await?;
            return Ok(Handled::Done(Some(first.id)));
        }
        let Some(standing) = plans::standing(tx, external).await?.filter(|standing| standing.user == first.user) else {
            return self.refuse(tx, &first, &format!("bill {} is of a subscription that has not begun here", bill.id)).await;
        };
        match bill.status {
            InvoiceState::Paid => self.on_collected(tx, &first, &standing, bill).await,
            InvoiceState::Open => self.on_uncollected(tx, &first, &standing, bill).await,
            InvoiceState::Draft => Ok(Handled::Done(Some(first.id))),
            InvoiceState::Void => {
                super::store::close(tx, first.method.word(), &bill.id, self.now()).await?;
                Ok(Handled::Done(Some(first.id)))
            }
        }
    }

    /// A bill was paid: once, it makes a term and an order.
    async fn on_collected(&self, tx: &mut Tx, first: &Order, standing: &Standing, bill: &Invoice) -> Result<Handled, PaymentError> {
        super::store::close(tx, first.method.word(), &bill.id, self.now()).await?;
        let source = format!("invoice:{}", bill.id);
        if let Some(known) = super::store::order_of_bill(tx, first.user, &source).await? {
            return Ok(Handled::Done(Some(known)));
        }
        if bill.reason == InvoiceReason::Other && bill.paid.minor == 0 {
            return Ok(Handled::Done(Some(first.id)));
        }
        let edition = match bill.version.or(standing.version) {
            Some(version) => plans::edition(tx, version).await?,
            None => None,
        };
        let Some(edition) = edition else { return self.refuse(tx, first, &format!("bill {} is for no plan of this shop", bill.id)).await };
        let before = match standing.version {
            Some(version) => plans::edition(tx, version).await?.map_or(0, |edition| edition.terms.price),
            None => 0,
        };
        if !fits(bill, edition.terms.price(), before) {
            return self.refuse(tx, first, &format!("bill {} is of {}, {} of it paid", bill.id, bill.total.display(), bill.paid.display())).await;
        }
        let rate = self.rate_of_bill(first, bill.paid.currency);
        let paid = rate.credit(bill.paid).unwrap_or(Usd::ZERO);
        let order = self.kit.ids.next();
        plans::lock(tx, edition.plan).await?;
        let outcome = self.make_term(tx, standing, &edition, bill, (order, paid)).await?;
        self.bill_order(tx, first, (order, &edition), bill, (rate, paid), outcome).await?;
        Ok(Handled::Done(Some(order)))
    }

    async fn make_term(&self, tx: &mut Tx, standing: &Standing, edition: &Edition, bill: &Invoice, (order, paid): (Id, Usd)) -> Result<Outcome, PaymentError> {
        let order = Some(order);
        let (subscription, version, bounds) = (standing.subscription, Some(edition.version), bounds(bill));
        if bill.reason == InvoiceReason::Change {
            let source = format!("invoice:{}", bill.id);
            // What was taken off the price is what was left of the running term.
            let credited = bill.total.minor < edition.terms.price;
            let term = NewTerm { source: &source, paid, bounds, version, order, credited };
            return match plans::change_to(tx, &self.kit, &self.books, subscription, edition.plan, &When::Now(term)).await {
                Ok(()) => Ok(Outcome::Term),
                Err(SubscriptionError::Ended) => Ok(Outcome::Back),
                Err(error) => Err(error.into()),
            };
        }
        let term = RenewedTerm { subscription, invoice: &bill.id, bounds, version, paid, order };
        Ok(match plans::renewed(tx, &self.kit, &self.books, &term).await? {
            Renewed::Fresh | Renewed::Known => Outcome::Term,
            Renewed::Covered => Outcome::Credit,
            Renewed::Ended => Outcome::Back,
        })
    }

    /// The order of a bill: paid when it is made. Its details are the source of the term that the bill has made.
    async fn bill_order(
        &self,
        tx: &mut Tx,
        first: &Order,
        (id, edition): (Id, &Edition),
        bill: &Invoice,
        (rate, paid): (Rate, Usd),
        outcome: Outcome,
    ) -> Result<(), PaymentError> {
        let now = self.now();
        let row = NewRow {
            user: first.user,
            what: What::Plan(edition.plan),
            details: format!("invoice:{}", bill.id),
            title: edition.terms.name.clone(),
            language: first.language.clone(),
            method: first.method.clone(),
            list_price: bill.paid,
            price: bill.paid,
            rate,
            worth: paid,
            credit: paid,
            bonus: Usd::ZERO,
        };
        store::insert_order(tx, id, &row, now, now, now).await?;
        store::set_payment(tx, id, bill.payment.as_deref(), bill.subscription.as_deref()).await?;
        store::mark_paid(tx, id, now).await?;
        let order = store::lock_order(tx, id).await?.ok_or(PaymentError::NoOrder(id))?;
        match outcome {
            Outcome::Term => self.set_aside(tx, &order, House::Plans).await?,
            Outcome::Credit => {
                self.credit(tx, &order).await?;
                store::note(tx, id, "it is for a time that was paid for before: given as credit").await?;
            }
            Outcome::Back => self.credit(tx, &order).await?,
        }
        self.delivered(tx, &order).await?;
        if outcome == Outcome::Back {
            self.pay_back(tx, id).await?;
        }
        Ok(())
    }

    /// Begins the refund of a whole order whose subscription had ended: its money is credit that nobody can spend until it is taken.
    async fn pay_back(&self, tx: &mut Tx, order: Id) -> Result<(), PaymentError> {
        let reason = "the subscription had ended";
        store::note(tx, order, reason).await?;
        let order = store::lock_order(tx, order).await?.ok_or(PaymentError::NoOrder(order))?;
        if order.price.minor == 0 {
            return Ok(());
        }
        let row = NewRefundRow {
            id: self.kit.ids.next(),
            order: order.id,
            amount: order.price.minor,
            is_owed: true,
            theirs: None,
            is_theirs: false,
            reason,
            actor: None,
        };
        self.begin_refund(tx, &order, &row).await
    }

    /// What the shop takes for a dollar of credit now; what it took when the subscription began, when it sells in another currency now.
    fn rate_of_bill(&self, first: &Order, currency: Currency) -> Rate {
        self.rate(currency).unwrap_or(first.rate)
    }
}

/// Whether a bill is as it was asked: a renewal costs what the plan costs, a change that and less what was left of the term before, which cost no more than `before`.
fn fits(bill: &Invoice, price: Money, before: i64) -> bool {
    let total = bill.total.minor;
    let is_asked = match bill.reason {
        InvoiceReason::Renewal => total == price.minor,
        InvoiceReason::Change => (0..=price.minor).contains(&total) && total >= price.minor.saturating_sub(before),
        InvoiceReason::First | InvoiceReason::Other => false,
    };
    is_asked && bill.paid == bill.total && bill.paid.currency == price.currency
}
