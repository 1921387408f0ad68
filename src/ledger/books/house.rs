//! What moves between the shop's own accounts on behalf of one customer: a plan that was sold, revenue that was earned, a fee.

use super::Books;
use crate::db::Tx;
use crate::kernel::{Id, Usd};
use crate::ledger::accounts::{Account, House, TransferKind};
use crate::ledger::{LedgerError, store};

/// On whose behalf the shop posts what concerns no customer: it has no wallet that could be locked.
pub const NOBODY: Id = Id(0);

/// Money that moves from one of the shop's accounts to another.
#[derive(Clone, Debug)]
pub struct Posting {
    /// On whose behalf: a customer, or [`NOBODY`].
    pub user: Id,
    /// The account that is debited.
    pub debit: House,
    /// The account that is credited.
    pub credit: House,
    /// More than zero.
    pub amount: Usd,
    /// Why.
    pub kind: TransferKind,
    /// What for.
    pub reference: String,
    /// Unique for ever: the same key posts once.
    pub idempotency_key: String,
}

impl Books {
    /// Posts between two of the shop's own accounts, once per key. Whether it was posted now.
    ///
    /// # Errors
    /// [`LedgerError::IdempotencyConflict`] when the key was used for something else; [`LedgerError::BadAmount`] for what is not more than zero.
    pub async fn post(&self, tx: &mut Tx, posting: &Posting) -> Result<bool, LedgerError> {
        if posting.amount <= Usd::ZERO {
            return Err(LedgerError::BadAmount(posting.amount));
        }
        if posting.user != NOBODY {
            self.lock(tx, posting.user).await?;
        }
        let (debit, credit) = (Account::House(posting.debit), Account::House(posting.credit));
        let row = self.transfer(posting.user, &posting.reference, debit, credit, posting.amount, posting.kind, posting.idempotency_key.clone());
        match store::transfer_by_key(tx, &posting.idempotency_key).await? {
            Some(posted) if posted.payload_hash == row.payload_hash() => Ok(false),
            Some(_) => Err(LedgerError::IdempotencyConflict(posting.idempotency_key.clone())),
            None => self.insert(tx, &[row], &posting.idempotency_key).await.map(|()| true),
        }
    }
}
