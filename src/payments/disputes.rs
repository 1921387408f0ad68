//! Payments that a customer's bank wants back. While it decides, the credit that was bought is frozen; what it decides is final.

use super::automatic::Reason;
use super::inbox::Handled;
use super::provider::{Dispute, DisputeState};
use super::refunds::Part;
use super::store::DisputeRow;
use super::{Order, PaymentError, Payments, State, store};
use crate::db::Tx;
use crate::invoices::{self, Back};
use crate::kernel::{Id, Money};
use crate::ledger::{LedgerError, Spent, TransferKind};
use crate::referrals;

/// How long after a step that has to wait the next try is.
const WAIT_MS: i64 = 2_000;
const PORTION: i64 = 50;

/// Whether a dispute keeps the credit of its order frozen.
pub(super) fn keeps_frozen(dispute: &DisputeRow) -> bool {
    match dispute.state {
        DisputeState::Open => true,
        DisputeState::Lost => !dispute.is_settled,
        DisputeState::Inquiry | DisputeState::Won => false,
    }
}

/// What is known already is not undone by an older message: an inquiry may become a dispute, and both may be decided, once.
fn is_later(new: DisputeState, known: DisputeState) -> bool {
    let rank = |state| match state {
        DisputeState::Inquiry => 0,
        DisputeState::Open => 1,
        DisputeState::Won | DisputeState::Lost => 2,
    };
    rank(new) > rank(known)
}

impl Payments {
    pub(super) async fn on_dispute(&self, tx: &mut Tx, dispute: &Dispute) -> Result<Handled, PaymentError> {
        let Some(order) = self.locked_by_payment(tx, None, dispute.payment.as_deref()).await? else { return Ok(Handled::Ignored) };
        if !order.state.was_paid() || dispute.amount.currency != order.price.currency || dispute.amount.minor > order.price.minor {
            return self.refuse(tx, &order, &format!("a dispute over {}", dispute.amount.display())).await;
        }
        let (provider, now) = (order.method.word().to_owned(), self.now());
        match store::find_dispute(tx, &provider, &dispute.id).await? {
            None => store::insert_dispute(tx, self.kit.ids.next(), order.id, &provider, dispute, now).await?,
            Some(known) if is_later(dispute.status, known.state) => {
                let ended = matches!(dispute.status, DisputeState::Won | DisputeState::Lost).then_some(now);
                store::set_dispute(tx, known.id, dispute, ended, now).await?;
            }
            Some(_) => return Ok(Handled::Done(Some(order.id))),
        }
        match dispute.status {
            DisputeState::Inquiry => {}
            DisputeState::Open | DisputeState::Lost => {
                self.freeze_credits(tx, &order).await?;
                referrals::order_undone(tx, &self.kit, order.id).await?;
                store::set_state(tx, order.id, State::Disputed).await?;
                self.stop(tx, order.user, Some(Reason::MoneyBack)).await?;
            }
            DisputeState::Won => self.end_dispute(tx, &order).await?,
        }
        Ok(Handled::Done(Some(order.id)))
    }

    /// A dispute is over: the order is again what it was, unless another one keeps it.
    async fn end_dispute(&self, tx: &mut Tx, order: &Order) -> Result<(), PaymentError> {
        let disputes = store::disputes_of_order(tx, order.id).await?;
        if disputes.iter().any(|dispute| keeps_frozen(dispute) || dispute.state == DisputeState::Lost) {
            return Ok(());
        }
        store::set_state(tx, order.id, State::Paid).await?;
        let order = Order { state: State::Paid, ..order.clone() };
        self.set_refund_state(tx, &order).await?;
        self.thaw_credits(tx, &order).await
    }

    /// Takes the credit of lost disputes, as soon as no request holds any of it.
    ///
    /// # Errors
    /// The database's.
    pub async fn settle_disputes(&self) -> Result<usize, PaymentError> {
        let due = store::due_disputes(&mut *self.db.read().await?, self.now(), PORTION).await?;
        for id in &due {
            if let Err(error) = self.settle_dispute(*id).await {
                tracing::warn!(%error, dispute = %id, "a lost dispute waits");
            }
        }
        Ok(due.len())
    }

    async fn settle_dispute(&self, id: Id) -> Result<(), PaymentError> {
        let mut tx = self.db.write().await?;
        let Some(known) = store::dispute_by_id(&mut tx, id).await? else { return Ok(()) };
        let order = store::lock_order(&mut tx, known.order).await?.ok_or(PaymentError::NoOrder(known.order))?;
        let Some(dispute) = store::dispute_by_id(&mut tx, id).await?.filter(|dispute| !dispute.is_settled) else { return Ok(()) };
        match self.charge_back(&mut tx, &order, &dispute).await {
            Ok(()) => Ok(tx.commit().await?),
            Err(PaymentError::Ledger(LedgerError::InFlight { .. })) => {
                tx.rollback().await;
                let mut tx = self.db.write().await?;
                store::dispute_later(&mut tx, id, self.now() + WAIT_MS).await?;
                Ok(tx.commit().await?)
            }
            Err(error) => Err(error),
        }
    }

    /// The bank has taken the money: what is left of the credit goes, what was spent is owed.
    async fn charge_back(&self, tx: &mut Tx, order: &Order, dispute: &DisputeRow) -> Result<(), PaymentError> {
        // What went back before is not there to be taken a second time.
        let refunded = order.share(order.credit, order.refunded.minor);
        let amount = order.share(order.credit, dispute.amount).min(order.credit - refunded);
        let bonus = order.share(order.given(), dispute.amount);
        let part = Part { credit: amount, bonus, spent: Spent::Owed, kind: TransferKind::Chargeback, is_last: true, key: format!("dispute:{}", dispute.id) };
        let (taken, _) = self.take_part(tx, order, &part).await?;
        store::dispute_settled(tx, dispute.id, taken.unspent, taken.owed).await?;
        self.thaw_credits(tx, order).await?;
        let amount = Money::new(dispute.amount, order.price.currency);
        invoices::credit(tx, &self.kit, &self.office(), order.id, Back::Dispute(dispute.id), amount).await?;
        Ok(())
    }
}
