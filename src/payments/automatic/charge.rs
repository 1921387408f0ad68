//! What becomes of an order that was made by itself: charged, confirmed, declined, given up. Each step is decided by what the provider says now, under the
//! order's lock; what it is asked for has the order as its key.

use super::begin::ASKABLE_MS;
use super::store::{Charge, Step};
use super::{Payments, Reason, store};
use crate::db::Tx;
use crate::kernel::Id;
use crate::kernel::clock::DAY_MS;
use crate::payments::provider::{Charged, Confirmation, DeclineReason, List, Payment, PaymentState, ProviderError, SavedCharge};
use crate::payments::{Order, PaymentError, State};

/// How long a customer may take to confirm a payment.
const CONFIRMABLE_MS: i64 = 23 * 3_600_000;
/// So long after it was asked for, a charge that the provider does not know was never made.
const SURELY_ASKED_MS: i64 = 5 * 60_000;
/// The pauses after charges that failed, in a row; one more failure switches it off.
const PAUSES_MS: [i64; 3] = [3_600_000, 6 * 3_600_000, DAY_MS];
/// How many steps are gone at once, at most.
const STEPS: usize = 5;

/// What is known of a charge.
enum Word {
    /// How the payment stands.
    Payment(Payment),
    /// The provider will not charge this card.
    Refused(Reason),
    /// There is no payment, and there will be none.
    Nothing,
}

impl Payments {
    /// Goes on with an order that was made by itself, as far as it goes now.
    ///
    /// # Errors
    /// The provider's, after which nobody knows more than before; it is asked again later.
    pub(in crate::payments) async fn attend(&self, id: Id) -> Result<State, PaymentError> {
        for _ in 0..STEPS {
            let order = self.find(id).await?;
            if order.state != State::Pending {
                return Ok(order.state);
            }
            let charge = store::charge(&mut *self.db.read().await?, id).await?.ok_or(PaymentError::NoOrder(id))?;
            let Some(word) = self.ask(&order, &charge).await? else { return Ok(order.state) };
            if !self.heed(id, word).await? {
                break;
            }
        }
        Ok(self.find(id).await?.state)
    }

    /// Asks the provider for the next step. `None` when it is too early for any.
    async fn ask(&self, order: &Order, charge: &Charge) -> Result<Option<Word>, PaymentError> {
        let provider = self.provider()?;
        let Some(payment) = self.payment_of(order, charge).await? else { return self.ask_first(order, charge, None).await };
        if charge.step == Step::Declined {
            return Ok(Some(Word::Payment(provider.cancel_payment(&payment).await?)));
        }
        let seen = provider.look_at_payment(&payment).await?;
        let untried = seen.status == PaymentState::NeedsCard && seen.decline.is_none();
        if charge.step == Step::Charging && untried {
            return self.ask_first(order, charge, Some(&payment)).await;
        }
        Ok(Some(Word::Payment(seen)))
    }

    /// The payment's id: as it was told, or from the provider's list when nobody has told it and the charge is not to be asked for again.
    async fn payment_of(&self, order: &Order, charge: &Charge) -> Result<Option<String>, PaymentError> {
        if order.payment.is_some() || (charge.step == Step::Charging && self.may_ask(order).await?) {
            return Ok(order.payment.clone());
        }
        let provider = self.provider()?;
        let mut list = List { from: Some(order.created_at - SURELY_ASKED_MS), until: Some(order.created_at + 2 * DAY_MS), after: None };
        loop {
            let page = provider.payments(&list).await?;
            if let Some(found) = page.items.into_iter().find(|payment| payment.order == Some(order.id)) {
                return Ok(Some(found.id));
            }
            list.after = page.next;
            if list.after.is_none() {
                return Ok(None);
            }
        }
    }

    /// Whether the charge may be asked for under its key: it is still wanted, and the provider still knows the key.
    async fn may_ask(&self, order: &Order) -> Result<bool, PaymentError> {
        let is_on = store::find(&mut *self.db.read().await?, order.user).await?.is_some_and(|row| row.is_on);
        Ok(is_on && self.now() < order.created_at + ASKABLE_MS)
    }

    /// Asks for the charge, or gives up what was never charged: `made`, when there is a payment that waits for a card.
    async fn ask_first(&self, order: &Order, charge: &Charge, made: Option<&str>) -> Result<Option<Word>, PaymentError> {
        let provider = self.provider()?;
        if charge.step != Step::Charging || !self.may_ask(order).await? {
            // Whoever has asked a moment ago may not have been answered yet.
            if charge.asked_at + SURELY_ASKED_MS > self.now() && charge.reason.is_none() {
                return Ok(None);
            }
            return Ok(Some(match made {
                Some(payment) => Word::Payment(provider.cancel_payment(payment).await?),
                None => Word::Nothing,
            }));
        }
        let customer = super::super::store::customer(&mut *self.db.read().await?, order.user, provider.name()).await?;
        let Some(customer) = customer else { return Ok(Some(Word::Refused(Reason::NoCard))) };
        let mut tx = self.db.write().await?;
        store::asked(&mut tx, order.id, self.now()).await?;
        tx.commit().await?;
        let (card, title) = (charge.card.clone(), order.title.clone());
        let wanted = SavedCharge { order: order.id, user: order.user, customer, card, amount: order.price, title };
        let charged = provider.charge_saved(&wanted).await;
        crate::failpoint::reach("automatic_order_charged");
        match charged {
            Ok(Charged::Paid(payment) | Charged::Processing(payment) | Charged::NeedsAction(payment)) => Ok(Some(Word::Payment(payment))),
            Ok(Charged::Declined(payment, decline)) => Ok(Some(Word::Payment(Payment { decline: Some(decline), ..payment }))),
            // It knows no such card, or not as this customer's: it was removed since.
            Err(ProviderError::Unknown(_) | ProviderError::Refused(_)) => Ok(Some(Word::Refused(Reason::NoCard))),
            Err(error) => Err(error.into()),
        }
    }

    /// Acts on what is known. Whether there is another step to go now.
    async fn heed(&self, id: Id, word: Word) -> Result<bool, PaymentError> {
        let mut tx = self.db.write().await?;
        let order = super::super::store::lock_order(&mut tx, id).await?.ok_or(PaymentError::NoOrder(id))?;
        let charge = store::charge(&mut tx, id).await?.ok_or(PaymentError::NoOrder(id))?;
        if order.state != State::Pending {
            return Ok(false);
        }
        let goes_on = match word {
            Word::Payment(payment) => self.heed_payment(&mut tx, &order, &charge, &payment).await?,
            Word::Refused(reason) => self.decline(&mut tx, &order, Some(reason)).await?,
            Word::Nothing => self.end(&mut tx, &order, State::Failed).await.map(|_| false)?,
        };
        tx.commit().await?;
        Ok(goes_on)
    }

    async fn heed_payment(&self, tx: &mut Tx, order: &Order, charge: &Charge, payment: &Payment) -> Result<bool, PaymentError> {
        if payment.order != Some(order.id) {
            return Err(PaymentError::Mismatch(crate::payments::provider::Mismatch::Order));
        }
        super::super::store::set_payment(tx, order.id, Some(&payment.id), None).await?;
        let decline = payment.decline.as_ref().map(|decline| decline.reason);
        let waits = payment.status == PaymentState::NeedsAction || decline == Some(DeclineReason::Confirmation);
        match payment.status {
            PaymentState::Paid => {
                match self.take_payment(tx, order, payment).await? {
                    Ok(()) => {}
                    Err(why) => super::super::store::note(tx, order.id, &why).await?,
                }
                Ok(false)
            }
            PaymentState::Canceled => self.end(tx, order, State::Failed).await.map(|_| false),
            PaymentState::Processing => {
                store::set_step(tx, order.id, Step::Processing, None).await?;
                Ok(false)
            }
            // It was to be given up, and the provider has not done it.
            _ if charge.step == Step::Declined => Ok(false),
            _ if waits => self.wait_for_confirmation(tx, order, charge).await,
            _ => match decline {
                Some(reason) => self.decline(tx, order, Some(reason.into())).await,
                // Not tried yet: it is asked for again.
                None => Ok(false),
            },
        }
    }

    async fn wait_for_confirmation(&self, tx: &mut Tx, order: &Order, charge: &Charge) -> Result<bool, PaymentError> {
        if charge.step == Step::Confirming {
            return if order.expires_at <= self.now() { self.decline(tx, order, Some(Reason::Confirmation)).await } else { Ok(false) };
        }
        let until = self.now() + CONFIRMABLE_MS;
        store::set_step(tx, order.id, Step::Confirming, None).await?;
        store::confirm_until(tx, order.id, until, until).await?;
        self.mail_confirm(tx, order).await?;
        Ok(false)
    }

    /// It will not be paid: first the provider gives it up, then the order ends.
    async fn decline(&self, tx: &mut Tx, order: &Order, reason: Option<Reason>) -> Result<bool, PaymentError> {
        store::set_step(tx, order.id, Step::Declined, reason).await?;
        Ok(true)
    }

    /// Gives up an order that was made by itself, unless it was paid meanwhile.
    ///
    /// # Errors
    /// The provider's; it is told again later.
    pub(in crate::payments) async fn give_up(&self, id: Id) -> Result<State, PaymentError> {
        let mut tx = self.db.write().await?;
        let order = super::super::store::lock_order(&mut tx, id).await?.ok_or(PaymentError::NoOrder(id))?;
        if order.state == State::Pending {
            self.decline(&mut tx, &order, None).await?;
        }
        tx.commit().await?;
        self.attend(id).await
    }

    /// Whether a pending order waits for its customer to confirm it.
    ///
    /// # Errors
    /// The database's.
    pub async fn waits_for_confirmation(&self, order: &Order) -> Result<bool, sqlx::Error> {
        let is_open = order.is_automatic() && order.state == State::Pending && order.expires_at > self.now();
        let charge = if is_open { store::charge(&mut *self.db.read().await?, order.id).await? } else { None };
        Ok(charge.is_some_and(|charge| charge.step == Step::Confirming))
    }

    /// The bank's page on which a customer who is here now confirms a payment. `None` when there is nothing to confirm any more; the order then says why.
    ///
    /// # Errors
    /// The provider's; it can be tried again.
    pub async fn confirm_page(&self, order: &Order) -> Result<Option<String>, PaymentError> {
        let (true, Some(payment)) = (self.waits_for_confirmation(order).await?, &order.payment) else { return Ok(None) };
        let back = format!("{}/account/orders/{}?paid", self.base_url, order.id);
        let seen = match self.provider()?.confirm(payment, &back).await? {
            Confirmation::Go(url) => return Ok(Some(url)),
            Confirmation::Paid(payment) | Confirmation::Processing(payment) => payment,
            Confirmation::Closed(payment, decline) => Payment { decline: decline.or(payment.decline.clone()), ..payment },
        };
        if self.heed(order.id, Word::Payment(seen)).await? {
            self.attend(order.id).await?;
        }
        Ok(None)
    }

    /// What follows from an order that was paid by itself. In the transaction that delivers it, after everything else.
    pub(in crate::payments) async fn automatic_paid(&self, tx: &mut Tx, order: &Order) -> Result<(), PaymentError> {
        store::set_step(tx, order.id, Step::Done, None).await?;
        let Some(row) = store::lock(tx, order.user).await?.filter(|row| row.is_on) else { return Ok(()) };
        self.wait(tx, &super::Automatic { failures: 0, reason: None, ..row }).await
    }

    /// What follows from an order that has ended unpaid: a pause that grows, or an end.
    pub(in crate::payments) async fn automatic_ended(&self, tx: &mut Tx, order: &Order) -> Result<(), PaymentError> {
        let reason = store::charge(tx, order.id).await?.and_then(|charge| charge.reason);
        store::set_step(tx, order.id, Step::Done, reason).await?;
        let Some(row) = store::lock(tx, order.user).await?.filter(|row| row.is_on) else { return Ok(()) };
        let Some(reason) = reason else {
            // Somebody has given it up by hand. That is no failure, and no reason to do it again at once.
            return Ok(store::pause(tx, order.user, self.now() + DAY_MS, row.failures, row.reason).await?);
        };
        let pause = usize::try_from(row.failures).ok().and_then(|failures| PAUSES_MS.get(failures)).filter(|_| !reason.is_final());
        let Some(pause) = pause else { return self.stop(tx, order.user, Some(reason)).await.map(drop) };
        store::pause(tx, order.user, self.now() + pause, row.failures + 1, Some(reason)).await?;
        if row.failures == 0 {
            self.mail_declined(tx, &row, reason).await?;
        }
        Ok(())
    }
}
