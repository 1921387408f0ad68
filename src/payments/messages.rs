//! What follows from a message, by its kind. Messages come late, twice and in any order: each says how something stood once, and only what an order can
//! still become follows from it.

use super::inbox::Handled;
use super::provider::{Checkout, Event, Payment, PaymentState};
use super::subscriptions::Seen;
use super::{Order, PaymentError, Payments, State, store};
use crate::db::Tx;
use crate::kernel::Id;

impl Payments {
    pub(super) async fn act_on(&self, tx: &mut Tx, event: Event, seen: &Seen) -> Result<Handled, PaymentError> {
        match event {
            Event::CheckoutCompleted(checkout) | Event::CheckoutPaid(checkout) | Event::CheckoutExpired(checkout) => {
                self.on_checkout(tx, &checkout, seen).await
            }
            Event::CheckoutFailed(checkout) => self.on_failed_checkout(tx, &checkout).await,
            Event::PaymentPaid(payment) => self.on_paid(tx, &payment).await,
            Event::PaymentFailed(payment) | Event::PaymentCanceled(payment) | Event::PaymentNeedsAction(payment) => self.on_unpaid(tx, &payment).await,
            Event::Refunded(refunded) => self.on_refunded(tx, &refunded).await,
            Event::Refund(refund) => self.on_refund(tx, &refund).await,
            Event::Dispute(dispute) => self.on_dispute(tx, &dispute).await,
            Event::InvoicePaid(bill) | Event::InvoiceFailed(bill) => self.on_bill(tx, seen.bill.as_ref().unwrap_or(&bill)).await,
            Event::Subscription(told) => self.on_subscription(tx, &told, seen.subscription.as_ref()).await,
            Event::Other => Ok(Handled::Ignored),
        }
    }

    async fn on_checkout(&self, tx: &mut Tx, checkout: &Checkout, seen: &Seen) -> Result<Handled, PaymentError> {
        let Some(order) = self.locked(tx, checkout.order).await? else { return Ok(Handled::Ignored) };
        if order.checkout.is_none() {
            store::set_checkout(tx, order.id, &checkout.id, checkout.url.as_deref(), self.now()).await?;
        }
        match self.take_word(tx, &order, checkout, seen.bill.as_ref()).await {
            Ok(_) => Ok(Handled::Done(Some(order.id))),
            Err(PaymentError::Mismatch(why)) => self.refuse(tx, &order, &why.to_string()).await,
            Err(error) => Err(error),
        }
    }

    async fn on_failed_checkout(&self, tx: &mut Tx, checkout: &Checkout) -> Result<Handled, PaymentError> {
        let Some(order) = self.locked(tx, checkout.order).await? else { return Ok(Handled::Ignored) };
        self.end(tx, &order, State::Failed).await?;
        Ok(Handled::Done(Some(order.id)))
    }

    pub(super) async fn on_paid(&self, tx: &mut Tx, payment: &Payment) -> Result<Handled, PaymentError> {
        let Some(order) = self.locked(tx, payment.order).await? else { return Ok(Handled::Ignored) };
        if order.state.was_paid() {
            return Ok(Handled::Done(Some(order.id)));
        }
        match self.take_payment(tx, &order, payment).await? {
            Ok(()) => Ok(Handled::Done(Some(order.id))),
            Err(why) => self.refuse(tx, &order, &why).await,
        }
    }

    /// Holds a payment against its order, which must be locked, and delivers it; or says what is wrong.
    pub(super) async fn take_payment(&self, tx: &mut Tx, order: &Order, payment: &Payment) -> Result<Result<(), String>, PaymentError> {
        let customer = store::customer(tx, order.user, order.method.word()).await?;
        let wrong = match () {
            () if order.begins_subscription() => Some("it is paid by its checkout".to_owned()),
            () if payment.status != PaymentState::Paid => Some("it is not paid".to_owned()),
            () if payment.received.currency != order.price.currency => Some(format!("it is in {}", payment.received.currency)),
            () if payment.received != order.price => Some(format!("its amount is {}", payment.received)),
            () if payment.customer.is_none() || payment.customer != customer => Some("it is another customer's".to_owned()),
            () => None,
        };
        if let Some(why) = wrong {
            return Ok(Err(why));
        }
        store::set_payment(tx, order.id, Some(&payment.id), None).await?;
        self.deliver(tx, order).await?;
        Ok(Ok(()))
    }

    /// Somebody who pays on a page can try another card there: only a payment without a page has failed for good.
    async fn on_unpaid(&self, tx: &mut Tx, payment: &Payment) -> Result<Handled, PaymentError> {
        let Some(order) = self.locked(tx, payment.order).await? else { return Ok(Handled::Ignored) };
        if order.checkout.is_none() && payment.status == PaymentState::Canceled {
            self.end(tx, &order, State::Failed).await?;
        } else if order.is_automatic() && order.state == State::Pending {
            // The message may be an old one: what follows is decided by how the payment stands when the shop looks.
            store::set_payment(tx, order.id, Some(&payment.id), None).await?;
            store::look_later(tx, order.id, self.now()).await?;
        }
        Ok(Handled::Done(Some(order.id)))
    }

    /// The order that a message names, locked; none when it is not ours.
    pub(super) async fn locked(&self, tx: &mut Tx, order: Option<Id>) -> Result<Option<Order>, PaymentError> {
        match order {
            Some(id) => Ok(store::lock_order(tx, id).await?),
            None => Ok(None),
        }
    }

    /// The order that was paid by a payment, locked; none when it is not ours.
    pub(super) async fn locked_by_payment(&self, tx: &mut Tx, order: Option<Id>, payment: Option<&str>) -> Result<Option<Order>, PaymentError> {
        if let Some(order) = self.locked(tx, order).await? {
            return Ok(Some(order));
        }
        let (Some(payment), Ok(provider)) = (payment, self.provider()) else { return Ok(None) };
        let id = store::order_of_payment(tx, provider.name(), payment).await?;
        self.locked(tx, id).await
    }

    pub(super) async fn refuse(&self, tx: &mut Tx, order: &Order, why: &str) -> Result<Handled, PaymentError> {
        store::note(tx, order.id, why).await?;
        Ok(Handled::Refused(why.to_owned(), Some(order.id)))
    }
}
