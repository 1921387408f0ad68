//! What is taken out of a wallet in spend order: purchases, and corrections by hand.

use super::{Books, Grant};
use crate::db::Tx;
use crate::kernel::{Id, NEVER, Usd};
use crate::ledger::accounts::{Account, House, Transfer, TransferKind};
use crate::ledger::spend::{self, Bucket, CreditKind, EVERYTHING, Pays};
use crate::ledger::{LedgerError, store};

/// Money to be taken from what a customer has available. A plan's allowance is never taken: it pays for requests only.
#[derive(Clone, Debug)]
pub struct Take {
    /// From whom.
    pub user: Id,
    /// More than zero.
    pub amount: Usd,
    /// The house account that gets it.
    pub to: House,
    /// Why.
    pub kind: TransferKind,
    /// Which kinds of credit may pay.
    pub kinds: &'static [CreditKind],
    /// What a statement says of it.
    pub reference: String,
    /// Unique for ever: the same key takes once.
    pub idempotency_key: String,
}

impl Take {
    /// Every kind of credit.
    pub const ANY: &'static [CreditKind] = &[CreditKind::Gift, CreditKind::Plan, CreditKind::Paid];
}

impl Books {
    /// Corrects a balance by hand: gives a paid credit, or takes available credit away in spend order. Once per key.
    ///
    /// # Errors
    /// [`LedgerError::InsufficientBalance`] when less than that is available; [`LedgerError::IdempotencyConflict`] when the key
    /// was used for another correction.
    pub async fn adjust(&self, tx: &mut Tx, user: Id, delta: Usd, reference: String, idempotency_key: String) -> Result<(), LedgerError> {
        let (kind, from, scope) = (CreditKind::Paid, House::Adjustment, EVERYTHING);
        if delta > Usd::ZERO {
            let effective_at = self.kit.clock.now_ms();
            self.lock(tx, user).await?;
            if store::transfer_by_key(tx, &leg_key(&idempotency_key, 0)).await?.is_some() {
                return Err(LedgerError::IdempotencyConflict(idempotency_key));
            }
            let give = Grant { user, kind, from, amount: delta, priority: 100, effective_at, expires_at: NEVER, scope, reference, idempotency_key };
            return self.grant(tx, give).await.map(drop);
        }
        let amount = Usd::ZERO.checked_sub(delta).filter(|amount| *amount > Usd::ZERO).ok_or(LedgerError::BadAmount(delta))?;
        self.take(tx, &Take { user, amount, to: from, kind: TransferKind::Adjustment, kinds: Take::ANY, reference, idempotency_key }).await
    }

    /// Takes money out of what is available, in spend order, once per key.
    ///
    /// # Errors
    /// [`LedgerError::InsufficientBalance`] when less than that is available of these kinds; [`LedgerError::IdempotencyConflict`] when the key was used
    /// for something else.
    pub async fn take(&self, tx: &mut Tx, take: &Take) -> Result<(), LedgerError> {
        if take.amount <= Usd::ZERO {
            return Err(LedgerError::BadAmount(take.amount));
        }
        let now = self.kit.clock.now_ms();
        self.lock(tx, take.user).await?;
        if self.replayed_take(tx, take).await? {
            return Ok(());
        }
        let credits = store::credits_of(tx, take.user).await?.into_iter().map(|credit| credit.bucket);
        let mut buckets: Vec<Bucket> = credits.filter(|bucket| take.kinds.contains(&bucket.kind)).collect();
        spend::order(&mut buckets);
        let legs = spend::split(&buckets, take.amount, now, &Pays::default());
        if spend::total(&legs) < take.amount {
            return Err(LedgerError::InsufficientBalance { available: spend::total(&legs) });
        }
        let mut transfers = Vec::new();
        for (n, leg) in legs.iter().enumerate() {
            if let Some(bucket) = buckets.iter_mut().find(|b| b.id == leg.credit) {
                bucket.posted -= leg.amount;
            }
            transfers.push(self.taken(take, leg.credit, leg.amount, leg_key(&take.idempotency_key, n)));
        }
        let changed: Vec<&Bucket> = buckets.iter().filter(|b| legs.iter().any(|leg| leg.credit == b.id)).collect();
        self.set_credits(tx, &changed).await?;
        self.insert(tx, &transfers, &take.idempotency_key).await
    }

    fn taken(&self, take: &Take, credit: Id, amount: Usd, key: String) -> Transfer {
        self.transfer(take.user, &take.reference, Account::Credit(credit), Account::House(take.to), amount, take.kind, key)
    }

    /// Whether this was taken before: the legs that were posted must be of the same purchase and sum to the same amount.
    async fn replayed_take(&self, tx: &mut Tx, take: &Take) -> Result<bool, LedgerError> {
        let conflict = || LedgerError::IdempotencyConflict(take.idempotency_key.clone());
        if store::transfer_by_key(tx, &take.idempotency_key).await?.is_some() {
            return Err(conflict());
        }
        let (mut legs, mut sum) = (0, Usd::ZERO);
        while let Some(posted) = store::transfer_by_key(tx, &leg_key(&take.idempotency_key, legs)).await? {
            if self.taken(take, Id(posted.debit), posted.amount, String::new()).payload_hash() != posted.payload_hash {
                return Err(conflict());
            }
            sum += posted.amount;
            legs += 1;
        }
        if legs > 0 && sum != take.amount { Err(conflict()) } else { Ok(legs > 0) }
    }
}

/// The key of one leg of what is taken.
fn leg_key(idempotency_key: &str, n: usize) -> String {
    format!("{idempotency_key}:{n}")
}
