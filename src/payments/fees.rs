//! What the provider keeps for itself: read from the movements of its account of us, and posted once each.

use super::compare::store as movements;
use super::provider::{List, Movement, MovementKind};
use super::{PaymentError, Payments, store};
use crate::db::Tx;
use crate::kernel::clock::DAY_MS;
use crate::kernel::{Currency, Id, Money, Rate, Usd};
use crate::ledger::{House, NOBODY, Posting, TransferKind};
use crate::settings::{self, Name};

/// So far behind the time up to which movements were read the next reading begins: they may appear late in the provider's list.
const OVERLAP_MS: i64 = 2 * DAY_MS;
/// How many fees that had no rate are looked at again at a time.
const PORTION: i64 = 1_000;

impl Movement {
    /// What it costs us: the fee of a payment, or the whole of what is nothing but a fee. Less than nothing when fees come back.
    pub fn cost(&self) -> Money {
        let minor = if self.kind == MovementKind::Fee { self.net.minor.saturating_neg() } else { self.fee.minor };
        Money::new(minor, self.fee.currency)
    }
}

impl Payments {
    /// Reads what has moved the provider's account of us since the last time, and posts its fees. Returns how many movements were new.
    ///
    /// # Errors
    /// The provider's and the database's; what was read stays.
    pub async fn read_fees(&self) -> Result<usize, PaymentError> {
        let Some(provider) = &self.provider else { return Ok(0) };
        let now = self.now();
        let mut conn = self.db.read().await?;
        let read = settings::get(&mut conn, Name::MovementsRead).await?.and_then(|text| text.parse::<i64>().ok());
        let first = movements::first_paid(&mut conn, provider.name()).await?;
        drop(conn);
        // The first time: since anybody has paid.
        let Some(from) = read.or(first).map(|at| at - OVERLAP_MS) else { return Ok(0) };
        let mut list = List { from: Some(from), until: None, after: None };
        let mut new = 0;
        loop {
            let page = provider.movements(&list).await?;
            for movement in &page.items {
                new += usize::from(self.keep_movement(provider.name(), movement).await?);
            }
            list.after = page.next;
            if list.after.is_none() {
                break;
            }
        }
        let mut tx = self.db.write().await?;
        settings::put(&mut tx, now, Name::MovementsRead, &now.to_string()).await?;
        tx.commit().await?;
        self.post_again(provider.name()).await?;
        Ok(new)
    }

    /// Keeps a movement and posts its fee, in one transaction. Whether it was not known.
    async fn keep_movement(&self, provider: &str, movement: &Movement) -> Result<bool, PaymentError> {
        if movements::is_known(&mut *self.db.read().await?, provider, &movement.id).await? {
            return Ok(false);
        }
        let mut tx = self.db.write().await?;
        let is_new = movements::insert_movement(&mut tx, provider, movement, self.now()).await?;
        if is_new {
            self.post_fee(&mut tx, provider, &movement.id, movement.cost(), movement.payment.as_deref()).await?;
        }
        tx.commit().await?;
        Ok(is_new)
    }

    /// Posts the fees that had no rate and have one now.
    async fn post_again(&self, provider: &str) -> Result<(), PaymentError> {
        for (theirs, cost, payment) in movements::unposted(&mut *self.db.read().await?, provider, PORTION).await? {
            let mut tx = self.db.write().await?;
            self.post_fee(&mut tx, provider, &theirs, cost, payment.as_deref()).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Posts a fee at the rate of the order that it belongs to, else at the shop's; leaves it where its currency has none.
    async fn post_fee(&self, tx: &mut Tx, provider: &str, theirs: &str, cost: Money, payment: Option<&str>) -> Result<(), PaymentError> {
        let Some(rate) = self.fee_rate(tx, provider, cost.currency, payment).await? else { return Ok(()) };
        let size = Money::new(cost.minor.saturating_abs(), cost.currency);
        let Some(amount) = rate.credit(size) else { return Ok(()) };
        if !movements::posted(tx, provider, theirs, if cost.minor < 0 { -amount } else { amount }).await? || amount == Usd::ZERO {
            return Ok(());
        }
        let (debit, credit) = if cost.minor < 0 { (House::Cash, House::Fees) } else { (House::Fees, House::Cash) };
        let (reference, idempotency_key) = (format!("fee:{theirs}"), format!("fee:{provider}:{theirs}"));
        self.books.post(tx, &Posting { user: NOBODY, debit, credit, amount, kind: TransferKind::Fee, reference, idempotency_key }).await?;
        Ok(())
    }

    async fn fee_rate(&self, tx: &mut Tx, provider: &str, currency: Currency, payment: Option<&str>) -> Result<Option<Rate>, PaymentError> {
        if currency == Currency::USD {
            return Ok(Some(Rate::ONE));
        }
        let order: Option<Id> = match payment {
            Some(payment) => store::order_of_payment(tx, provider, payment).await?,
            None => None,
        };
        if let Some(id) = order
            && let Some(order) = store::find_order(tx, id).await?
            && order.price.currency == currency
        {
            return Ok(Some(order.rate));
        }
        Ok(self.rate(currency).ok())
    }
}
