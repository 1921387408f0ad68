//! Money that goes back. First the credit that it had bought is frozen, so that nothing new is spent of it; when the requests that run have ended it is taken
//! out of the books; then the provider is told. Each step is a transaction and is taken up again where a process died.

use super::automatic::Reason;
use super::inbox::Handled;
use super::provider::{self, ProviderError, RefundState, Refunded};
use super::store::{NewRefundRow, RefundRow};
use super::{Order, PaymentError, Payments, State, What, store};
use crate::db::Tx;
use crate::gift_cards::sale;
use crate::invoices::{self, Back};
use crate::kernel::{Id, Money, Usd};
use crate::ledger::{CreditKind, House, LedgerError, Posting, Spent, TakeBack, TakenBack, TransferKind};
use crate::plans::{self, SubscriptionError};
use crate::referrals;

/// How long after a step that has to wait the next try is.
const WAIT_MS: i64 = 2_000;
/// The provider is asked again after so long; each time twice as long, up to an hour.
const RETRY_MS: i64 = 5_000;
const MAX_RETRY_MS: i64 = 3_600_000;
const PORTION: i64 = 50;

/// A refund to be made.
#[derive(Clone, Debug)]
pub struct NewRefund {
    /// Its id: the same one is made once.
    pub id: Id,
    /// Of which order.
    pub order: Id,
    /// How much of its price.
    pub amount: Money,
    /// The customer owes what was spent of it; else it is the shop's loss.
    pub owed: bool,
    /// Why, for the admin's pages.
    pub reason: String,
    /// Who makes it.
    pub actor: Id,
}

/// A part of what an order has brought, to be taken out of the books again.
pub(super) struct Part {
    /// Of what was bought.
    pub credit: Usd,
    /// Of what had been given on top; what is spent of it stays so.
    pub bonus: Usd,
    /// What becomes of what was spent of what was bought.
    pub spent: Spent,
    pub kind: TransferKind,
    /// It is all that was left of the order: a plan that it bought ends.
    pub is_last: bool,
    /// Unique for ever.
    pub key: String,
}

impl Payments {
    /// Begins a refund and goes as far with it as it can go now; what is left is done by [`Payments::refund_due`].
    ///
    /// # Errors
    /// [`PaymentError::NotRefundable`] when that much cannot go back; then nothing has happened.
    pub async fn refund(&self, new: &NewRefund) -> Result<(), PaymentError> {
        let mut tx = self.db.write().await?;
        let order = store::lock_order(&mut tx, new.order).await?.ok_or(PaymentError::NoOrder(new.order))?;
        if store::find_refund(&mut tx, new.id).await?.is_some() {
            return Ok(());
        }
        let left = order.refundable();
        // A card cannot be taken back in part.
        let is_part_of_card = order.what == What::GiftCard && new.amount != left;
        if new.amount.currency != left.currency || new.amount.minor <= 0 || new.amount.minor > left.minor || order.payment.is_none() || is_part_of_card {
            return Err(PaymentError::NotRefundable);
        }
        let row = NewRefundRow {
            id: new.id,
            order: order.id,
            amount: new.amount.minor,
            is_owed: new.owed,
            theirs: None,
            is_theirs: false,
            reason: &new.reason,
            actor: Some(new.actor),
        };
        self.begin_refund(&mut tx, &order, &row).await?;
        let detail = format!("{} {} {}", new.amount.display(), if new.owed { "owed" } else { "lost" }, new.reason);
        crate::admin_log::record(&mut tx, &self.kit, Some(new.actor), "order-refunded", &order.id.to_string(), &detail).await?;
        tx.commit().await?;
        self.go_on(new.id).await
    }

    pub(super) async fn begin_refund(&self, tx: &mut Tx, order: &Order, row: &NewRefundRow<'_>) -> Result<(), PaymentError> {
        store::insert_refund(tx, row, self.now()).await?;
        store::set_refunded(tx, order.id, order.refunded.minor + row.amount).await?;
        referrals::order_undone(tx, &self.kit, order.id).await?;
        self.freeze_credits(tx, order).await?;
        if order.what == What::TopUp {
            self.stop(tx, order.user, Some(Reason::MoneyBack)).await?;
        }
        Ok(())
    }

    pub(super) async fn freeze_credits(&self, tx: &mut Tx, order: &Order) -> Result<(), PaymentError> {
        for credit in [order.credit_id, order.bonus_id].into_iter().flatten() {
            self.books.freeze(tx, order.user, credit).await?;
        }
        match order.what {
            What::Plan(_) => Ok(plans::freeze(tx, &self.books, order.user, &order.source()).await?),
            What::GiftCard => Ok(sale::hold(tx, &self.kit, order.id, true).await?),
            What::TopUp => Ok(()),
        }
    }

    /// Makes the credits of an order what they were, unless something else still keeps them frozen.
    pub(super) async fn thaw_credits(&self, tx: &mut Tx, order: &Order) -> Result<(), PaymentError> {
        let refunds = store::refunds_of_order(tx, order.id).await?;
        let disputes = store::disputes_of_order(tx, order.id).await?;
        let is_kept = refunds.iter().any(|refund| refund.state == "taking") || disputes.iter().any(super::disputes::keeps_frozen);
        if is_kept {
            return Ok(());
        }
        for credit in [order.credit_id, order.bonus_id].into_iter().flatten() {
            self.books.thaw(tx, order.user, credit).await?;
        }
        match order.what {
            What::Plan(_) => Ok(plans::thaw(tx, &self.kit, &self.books, order.user, &order.source()).await?),
            What::GiftCard => Ok(sale::hold(tx, &self.kit, order.id, false).await?),
            What::TopUp => Ok(()),
        }
    }

    /// Takes up the refunds that wait. One that fails keeps none of the others back.
    ///
    /// # Errors
    /// The database's.
    pub async fn refund_due(&self) -> Result<usize, PaymentError> {
        let due = store::due_refunds(&mut *self.db.read().await?, self.now(), PORTION).await?;
        for id in &due {
            if let Err(error) = self.go_on(*id).await {
                tracing::warn!(%error, refund = %id, "a refund waits");
            }
        }
        Ok(due.len())
    }

    /// Goes as far with a refund as it can go now.
    async fn go_on(&self, id: Id) -> Result<(), PaymentError> {
        let mut tx = self.db.write().await?;
        let Some(known) = store::find_refund(&mut tx, id).await? else { return Ok(()) };
        let order = store::lock_order(&mut tx, known.order).await?.ok_or(PaymentError::NoOrder(known.order))?;
        // Read again: the order's lock decides who goes on.
        let Some(refund) = store::find_refund(&mut tx, id).await? else { return Ok(()) };
        if refund.state == "taking" {
            match self.take_credit(&mut tx, &order, &refund).await {
                Ok(()) => tx.commit().await?,
                Err(PaymentError::Ledger(error @ LedgerError::InFlight { .. })) => {
                    tx.rollback().await;
                    return self.refund_waits(id, WAIT_MS, &error.to_string()).await;
                }
                Err(error) => return Err(error),
            }
        } else {
            tx.rollback().await;
        }
        crate::failpoint::reach("refund_taken");
        let Some(refund) = store::find_refund(&mut *self.db.read().await?, id).await? else { return Ok(()) };
        if refund.state == "sending" { self.send(&order, &refund).await } else { Ok(()) }
    }

    /// Takes out of the books what a refund gives back.
    async fn take_credit(&self, tx: &mut Tx, order: &Order, refund: &RefundRow) -> Result<(), PaymentError> {
        // The shares up to and with it, less those of the refunds before it, so that all parts make the whole.
        let before = self.refunds_before(tx, order, refund).await?;
        let part = |whole: Usd| order.share(whole, before + refund.amount) - order.share(whole, before);
        let (credit, bonus, is_last) = (part(order.credit), part(order.given()), before + refund.amount >= order.price.minor);
        let spent = if refund.is_owed { Spent::Owed } else { Spent::Lost };
        let part = Part { credit, bonus, spent, kind: TransferKind::Refund, is_last, key: format!("refund:{}", refund.id) };
        let (taken, bonus_taken) = self.take_part(tx, order, &part).await?;
        let (state, done_at) = if refund.is_theirs { ("done", Some(self.now())) } else { ("sending", None) };
        store::refund_taken(tx, refund.id, state, [taken.unspent, taken.owed, taken.lost, bonus_taken], done_at).await?;
        if refund.is_theirs {
            self.set_refund_state(tx, order).await?;
        }
        self.thaw_credits(tx, order).await?;
        if refund.is_theirs { self.note_credit(tx, order, refund).await } else { Ok(()) }
    }

    /// The credit note of a refund that is done.
    async fn note_credit(&self, tx: &mut Tx, order: &Order, refund: &RefundRow) -> Result<(), PaymentError> {
        let amount = Money::new(refund.amount, order.price.currency);
        invoices::credit(tx, &self.kit, &self.office(), order.id, Back::Refund(refund.id), amount).await?;
        Ok(())
    }

    /// Takes a part of what an order has brought out of the books again. Returns what it came to, and what was taken of what had been given on top.
    pub(super) async fn take_part(&self, tx: &mut Tx, order: &Order, part: &Part) -> Result<(TakenBack, Usd), PaymentError> {
        let back = |credit, amount, to, spent, idempotency_key| {
            let reference = order.reference();
            TakeBack { user: order.user, credit, amount, to, spent, kind: part.kind, reference, idempotency_key }
        };
        let mut taken = match order.what {
            What::GiftCard => self.take_card(tx, order, part.credit, part.kind, &part.key).await?,
            What::Plan(_) if order.credit_id.is_none() => self.take_plan(tx, order, part).await?,
            // A bill for a plan that had ended became credit, too.
            What::Plan(_) | What::TopUp => TakenBack::default(),
        };
        if let (Some(id), true) = (order.credit_id, part.credit > Usd::ZERO) {
            taken = self.books.take_back(tx, &back(id, part.credit, House::Cash, part.spent, part.key.clone())).await?;
        }
        let mut bonus = Usd::ZERO;
        if let (Some(id), true) = (order.bonus_id, part.bonus > Usd::ZERO) {
            bonus = self.books.take_back(tx, &back(id, part.bonus, House::Promotion, Spent::Kept, format!("{}:bonus", part.key))).await?.unspent;
        }
        Ok((taken, bonus))
    }

    /// With all of its price, or the rest of it, a plan ends. A part of it is a gift of the shop: the plan goes on as it was.
    async fn take_plan(&self, tx: &mut Tx, order: &Order, part: &Part) -> Result<TakenBack, PaymentError> {
        let (user, amount, kind, reference, source) = (order.user, part.credit, part.kind, order.reference(), order.source());
        if !part.is_last {
            let (debit, credit, idempotency_key) = (House::Loss, House::Cash, format!("{}:lost", part.key));
            if amount > Usd::ZERO {
                self.books.post(tx, &Posting { user, debit, credit, amount, kind, reference, idempotency_key }).await?;
            }
            return Ok(TakenBack { lost: amount, ..TakenBack::default() });
        }
        let undo = plans::Undo { user, source: &source, amount, spent: part.spent, kind, reference: &reference, key: &part.key };
        plans::undo(tx, &self.kit, &self.books, &undo).await.map_err(|error| match error {
            SubscriptionError::Ledger(error) => PaymentError::Ledger(error),
            other => PaymentError::Subscription(other),
        })
    }

    /// How much the refunds before it have asked for.
    async fn refunds_before(&self, tx: &mut Tx, order: &Order, refund: &RefundRow) -> Result<i64, PaymentError> {
        let others = store::refunds_of_order(tx, order.id).await?;
        Ok(others.iter().filter(|other| other.id < refund.id && other.state != "failed").map(|other| other.amount).sum())
    }

    /// Tells the provider.
    async fn send(&self, order: &Order, refund: &RefundRow) -> Result<(), PaymentError> {
        let Some(payment) = order.payment.clone() else { return Ok(()) };
        let amount = Money::new(refund.amount, order.price.currency);
        let new = provider::NewRefund { payment, amount, key: format!("refund-{}", refund.id), order: order.id };
        match self.provider()?.refund(&new).await {
            Ok(made) if made.status != RefundState::Failed => {
                let mut tx = self.db.write().await?;
                let order = store::lock_order(&mut tx, order.id).await?.ok_or(PaymentError::NoOrder(order.id))?;
                if store::refund_done(&mut tx, refund.id, &made.id, self.now()).await? {
                    self.set_refund_state(&mut tx, &order).await?;
                    self.note_credit(&mut tx, &order, refund).await?;
                }
                tx.commit().await?;
                Ok(())
            }
            Ok(made) => self.undo_refund(refund.id, &format!("the provider could not pay it back ({})", made.id)).await,
            Err(ProviderError::Refused(why)) => self.undo_refund(refund.id, &why).await,
            Err(error) => {
                let attempts = store::refund_attempts(&mut *self.db.read().await?, refund.id).await?;
                let pause = super::growing_pause(RETRY_MS, attempts, MAX_RETRY_MS);
                self.refund_waits(refund.id, pause, &error.to_string()).await
            }
        }
    }

    async fn refund_waits(&self, id: Id, pause: i64, why: &str) -> Result<(), PaymentError> {
        let mut tx = self.db.write().await?;
        store::refund_later(&mut tx, id, self.now() + pause, why).await?;
        Ok(tx.commit().await?)
    }

    /// How an order stands of which refunds are done. A dispute stays one.
    pub(super) async fn set_refund_state(&self, tx: &mut Tx, order: &Order) -> Result<(), PaymentError> {
        if order.state == State::Disputed {
            return Ok(());
        }
        let done: i64 = store::refunds_of_order(tx, order.id).await?.iter().filter(|refund| refund.state == "done").map(|refund| refund.amount).sum();
        let state = match done {
            0 => State::Paid,
            all if all >= order.price.minor => State::Refunded,
            _ => State::PartlyRefunded,
        };
        Ok(store::set_state(tx, order.id, state).await?)
    }

    /// Puts back what a refund had taken that the provider did not make.
    async fn undo_refund(&self, id: Id, why: &str) -> Result<(), PaymentError> {
        let mut tx = self.db.write().await?;
        self.undo_refund_in(&mut tx, id, why).await?;
        Ok(tx.commit().await?)
    }

    async fn undo_refund_in(&self, tx: &mut Tx, id: Id, why: &str) -> Result<(), PaymentError> {
        let Some(known) = store::find_refund(tx, id).await? else { return Ok(()) };
        let order = store::lock_order(tx, known.order).await?.ok_or(PaymentError::NoOrder(known.order))?;
        if !store::refund_failed(tx, id, why, self.now()).await? {
            return Ok(());
        }
        let Some(refund) = store::find_refund(tx, id).await? else { return Ok(()) };
        let (reference, key) = (order.reference(), format!("refund:{id}:undone"));
        // What is owed is paid out of it first, as by any credit.
        if refund.unspent + refund.owed > Usd::ZERO {
            self.give(tx, &order, CreditKind::Paid, House::Cash, refund.unspent + refund.owed, key.clone()).await?;
        }
        if refund.bonus > Usd::ZERO {
            self.give(tx, &order, CreditKind::Gift, House::Promotion, refund.bonus, format!("{key}:bonus")).await?;
        }
        if refund.lost > Usd::ZERO {
            let (debit, credit, kind) = (House::Cash, House::Loss, TransferKind::Refund);
            let idempotency_key = format!("{key}:lost");
            self.books.post(tx, &Posting { user: order.user, debit, credit, amount: refund.lost, kind, reference, idempotency_key }).await?;
        }
        store::set_refunded(tx, order.id, order.refunded.minor - refund.amount).await?;
        store::note(tx, order.id, why).await?;
        self.set_refund_state(tx, &order).await?;
        invoices::cancel_credit(tx, &self.kit, &self.office(), id).await?;
        Ok(())
    }

    /// So much of a payment went back in all, by whomever. What we did not do ourselves was done on the provider's pages.
    pub(super) async fn on_refunded(&self, tx: &mut Tx, refunded: &Refunded) -> Result<Handled, PaymentError> {
        let Some(order) = self.locked_by_payment(tx, refunded.order, refunded.payment.as_deref()).await? else { return Ok(Handled::Ignored) };
        if !order.state.was_paid() {
            return self.refuse(tx, &order, "money went back that had not come").await;
        }
        if refunded.refunded.currency != order.price.currency || refunded.refunded.minor > order.price.minor {
            return self.refuse(tx, &order, &format!("{} went back of it", refunded.refunded.display())).await;
        }
        let theirs = refunded.refunded.minor - order.refunded.minor;
        if theirs > 0 {
            let row = NewRefundRow {
                id: self.kit.ids.next(),
                order: order.id,
                amount: theirs,
                is_owed: true,
                theirs: None,
                is_theirs: true,
                reason: "",
                actor: None,
            };
            self.begin_refund(tx, &order, &row).await?;
        }
        Ok(Handled::Done(Some(order.id)))
    }

    /// A refund that failed after the provider had said that it would be made.
    pub(super) async fn on_refund(&self, tx: &mut Tx, refund: &provider::Refund) -> Result<Handled, PaymentError> {
        let Some(order) = self.locked_by_payment(tx, refund.order, refund.payment.as_deref()).await? else { return Ok(Handled::Ignored) };
        if refund.status == RefundState::Failed {
            let ours = store::refunds_of_order(tx, order.id).await?;
            if let Some(row) = ours.iter().find(|row| row.provider_refund.as_deref() == Some(&refund.id)) {
                self.undo_refund_in(tx, row.id, "the customer's bank did not take it").await?;
            }
        }
        Ok(Handled::Done(Some(order.id)))
    }
}
