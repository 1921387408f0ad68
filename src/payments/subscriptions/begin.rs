//! How a subscription begins: on the provider's page, with a first bill.

use crate::kernel::Money;
use crate::payments::provider::{Checkout, CheckoutStatus, Every, Invoice, Mismatch, Mode, PaymentStatus, RenewingPlan, Sale, Unit};
use crate::payments::{Order, PaymentError, Payments, State, store};
use crate::plans::{self, Edition, Length, Renewal, Stretch};

/// A plan as the provider has to know it.
pub(super) fn renewing_plan(edition: &Edition, trial_days: i64) -> RenewingPlan {
    RenewingPlan {
        plan: edition.plan,
        version: edition.version,
        every: every(&edition.terms.length),
        trial_days: u32::try_from(trial_days).unwrap_or_default(),
    }
}

fn every(length: &Length) -> Every {
    let unit = match length.unit {
        plans::Unit::Day => Unit::Day,
        plans::Unit::Week => Unit::Week,
        plans::Unit::Month => Unit::Month,
    };
    Every { count: u32::try_from(length.count).unwrap_or(1), unit }
}

/// The time that a bill pays for.
pub(super) fn bounds(bill: &Invoice) -> Option<Stretch> {
    Some(Stretch { from: bill.period_start, until: bill.period_end }).filter(|bounds| bounds.from < bounds.until)
}

impl Payments {
    /// What is sold on an order's page, and at which price: a subscription's each period, whatever is due today.
    pub(in crate::payments) async fn sale(&self, order: &Order) -> Result<(Sale, Money), PaymentError> {
        if !order.begins_subscription() {
            return Ok((Sale::Once { save_card: order.keeps_card() }, order.price));
        }
        let reserved = plans::reserved(&mut *self.db.read().await?, order.id).await?.ok_or(PaymentError::NoOrder(order.id))?;
        let plan = match order.what {
            super::super::What::Plan(plan) => plan,
            _ => return Err(PaymentError::NoOrder(order.id)),
        };
        let (price, trial_days) = (reserved.terms.price(), reserved.trial_days);
        let edition = Edition { plan, version: reserved.version, terms: reserved.terms };
        Ok((Sale::Renewing(renewing_plan(&edition, trial_days)), price))
    }

    /// The first bill of the subscription that a checkout has begun, which says what it pays for and by which payment; none when there is nothing to learn from it.
    pub(in crate::payments) async fn first_bill(&self, checkout: &Checkout) -> Result<Option<Invoice>, PaymentError> {
        let is_begun = checkout.mode == Mode::Subscription && checkout.status == CheckoutStatus::Complete && checkout.payment_status != PaymentStatus::Unpaid;
        let (true, Some(id), Some(bill)) = (is_begun, checkout.order, &checkout.invoice) else { return Ok(None) };
        let order = store::find_order(&mut *self.db.read().await?, id).await?;
        if order.is_none_or(|order| order.state.was_paid() || !order.begins_subscription()) {
            return Ok(None);
        }
        Ok(Some(self.provider()?.look_at_invoice(bill).await?))
    }

    /// By whom what an order has bought is renewed, once its checkout was held against it.
    pub(in crate::payments) fn begun_by(&self, order: &Order, checkout: &Checkout, bill: Option<&Invoice>) -> Result<Renewal, PaymentError> {
        let id = checkout.subscription.clone().ok_or(Mismatch::Mode)?;
        if let Some(bill) = bill {
            if bill.subscription.as_ref() != Some(&id) || bill.order != Some(order.id) {
                return Err(Mismatch::Order.into());
            }
            if bill.paid != order.price {
                return Err(Mismatch::Amount(bill.paid).into());
            }
        }
        Ok(Renewal::Provider { id, bounds: bill.and_then(bounds) })
    }

    /// Something was told of a subscription that has not begun here: its checkout's message is late or lost, so the checkout is looked at.
    pub(super) async fn begin_late(&self, first: &Order) -> Result<(), PaymentError> {
        let (Some(checkout), State::Pending | State::Expired | State::Failed) = (&first.checkout, first.state) else { return Ok(()) };
        let seen = self.provider()?.look_at_checkout(checkout).await?;
        match self.hear(first.id, &seen).await {
            // It was noted, and is for somebody to look at.
            Ok(_) | Err(PaymentError::Mismatch(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
