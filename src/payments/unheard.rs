//! Money that goes back, or is wanted back, of a payment of which the shop has not heard yet: the message that tells of it is late, or was lost.

use super::provider::{Event, PaymentState, ProviderError};
use super::{PaymentError, Payments, store};
use crate::kernel::Id;

impl Payments {
    /// Hears of the payment that a message takes for granted, before that message is acted on: whoever acts on a refund before the payment would take back what was not
    /// given yet, and give it later.
    pub(super) async fn hear_of_payment(&self, event: &Event) -> Result<(), PaymentError> {
        let (order, payment) = match event {
            Event::Refunded(refunded) => (refunded.order, refunded.payment.as_deref()),
            Event::Refund(refund) => (refund.order, refund.payment.as_deref()),
            Event::Dispute(dispute) => (None, dispute.payment.as_deref()),
            _ => return Ok(()),
        };
        let Some(payment) = payment else { return Ok(()) };
        if self.has_heard_of(order, payment).await? {
            return Ok(());
        }
        let seen = match self.provider()?.look_at_payment(payment).await {
            // Another program's, in the same account.
            Err(ProviderError::Unknown(_)) => return Ok(()),
            seen => seen?,
        };
        if seen.order.is_some() && seen.status == PaymentState::Paid {
            let mut tx = self.db.write().await?;
            self.on_paid(&mut tx, &seen).await?;
            tx.commit().await?;
        } else if let (None, Some(customer)) = (seen.order, &seen.customer) {
            // The payments of a subscription's bills do not say for what they are.
            self.hear_of_bills(customer).await?;
        }
        Ok(())
    }

    async fn has_heard_of(&self, order: Option<Id>, payment: &str) -> Result<bool, PaymentError> {
        let provider = self.provider()?.name();
        let mut conn = self.db.read().await?;
        let order = match order {
            Some(order) => Some(order),
            None => store::order_of_payment(&mut conn, provider, payment).await?,
        };
        let Some(order) = order else { return Ok(false) };
        Ok(store::find_order(&mut conn, order).await?.is_none_or(|order| order.state.was_paid()))
    }
}
