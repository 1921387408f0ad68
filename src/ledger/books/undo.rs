//! What is undone: money that goes back to its payer, credits that are frozen while a bank decides, and credits that end before their time.

use super::Books;
use crate::db::Tx;
use crate::kernel::{Id, NEVER, Usd};
use crate::ledger::accounts::{Account, House, Transfer, TransferKind};
use crate::ledger::store::CreditRow;
use crate::ledger::{LedgerError, store};

/// What becomes of money that goes back although it was spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// The customer owes it.
    Owed,
    /// It is the shop's loss.
    Lost,
    /// It stays spent: only what is left is taken. For what had been given on top.
    Kept,
}

/// Money that goes back, out of the credit that it had bought.
#[derive(Clone, Debug)]
pub struct TakeBack {
    /// Whose it is.
    pub user: Id,
    /// The credit that it had bought.
    pub credit: Id,
    /// More than zero.
    pub amount: Usd,
    /// Where it goes: [`House::Cash`] for money, [`House::Promotion`] for what had been given on top.
    pub to: House,
    /// What becomes of the part that was spent.
    pub spent: Spent,
    /// Why.
    pub kind: TransferKind,
    /// What a statement says of it.
    pub reference: String,
    /// Unique for ever: the same key takes back once.
    pub idempotency_key: String,
}

/// Where the money came from that went back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenBack {
    /// What was left of the credit.
    pub unspent: Usd,
    /// What the customer owes now.
    pub owed: Usd,
    /// What the shop has lost.
    pub lost: Usd,
}

impl TakeBack {
    fn keys(&self) -> [String; 3] {
        ["unspent", "owed", "lost"].map(|part| format!("{}:{part}", self.idempotency_key))
    }
}

impl Books {
    /// Takes money back: first what is left of the credit, then, what was spent of it, as debt or as the shop's loss. Once per key.
    ///
    /// # Errors
    /// [`LedgerError::InFlight`] while requests hold a part of the credit on which it depends what was spent: freeze it and come back when they have ended.
    /// [`LedgerError::UnknownCredit`], [`LedgerError::BadAmount`] for what is not more than zero, [`LedgerError::IdempotencyConflict`].
    pub async fn take_back(&self, tx: &mut Tx, back: &TakeBack) -> Result<TakenBack, LedgerError> {
        if back.amount <= Usd::ZERO {
            return Err(LedgerError::BadAmount(back.amount));
        }
        let wallet = self.lock(tx, back.user).await?;
        if let Some(before) = self.replayed_back(tx, back).await? {
            return Ok(before);
        }
        let mut bucket = self.credit(tx, back.user, back.credit).await?.bucket;
        let unspent = back.amount.min(bucket.posted - bucket.held);
        let rest = back.amount - unspent;
        if rest > Usd::ZERO && bucket.held > Usd::ZERO {
            return Err(LedgerError::InFlight { held: bucket.held });
        }
        let taken = match back.spent {
            Spent::Owed => TakenBack { unspent, owed: rest, lost: Usd::ZERO },
            Spent::Lost => TakenBack { unspent, owed: Usd::ZERO, lost: rest },
            Spent::Kept => TakenBack { unspent, ..TakenBack::default() },
        };
        if unspent > Usd::ZERO {
            bucket.posted -= unspent;
            self.set_credits(tx, &[&bucket]).await?;
        }
        if taken.owed > Usd::ZERO {
            let owed = wallet.owed.checked_add(taken.owed).ok_or(LedgerError::BadAmount(back.amount))?;
            store::set_owed(tx, back.user, owed).await?;
        }
        let rows: Vec<Transfer> = self.rows_back(back, &taken).into_iter().flatten().collect();
        self.insert(tx, &rows, &back.idempotency_key).await?;
        Ok(taken)
    }

    fn rows_back(&self, back: &TakeBack, taken: &TakenBack) -> [Option<Transfer>; 3] {
        let from = [Account::Credit(back.credit), Account::Receivable(back.user), Account::House(House::Loss)];
        let amounts = [taken.unspent, taken.owed, taken.lost];
        let mut keys = back.keys().into_iter();
        std::array::from_fn(|n| {
            let key = keys.next().unwrap_or_default();
            let row = || self.transfer(back.user, &back.reference, from[n], Account::House(back.to), amounts[n], back.kind, key);
            (amounts[n] > Usd::ZERO).then(row)
        })
    }

    /// What the same key has taken back before.
    async fn replayed_back(&self, tx: &mut Tx, back: &TakeBack) -> Result<Option<TakenBack>, LedgerError> {
        let (mut amounts, mut hashes) = ([Usd::ZERO; 3], [None; 3]);
        for (n, key) in back.keys().iter().enumerate() {
            if let Some(posted) = store::transfer_by_key(tx, key).await? {
                (amounts[n], hashes[n]) = (posted.amount, Some(posted.payload_hash));
            }
        }
        if hashes == [None; 3] {
            return Ok(None);
        }
        let taken = TakenBack { unspent: amounts[0], owed: amounts[1], lost: amounts[2] };
        let again = self.rows_back(back, &taken).map(|row| row.map(|row| row.payload_hash()));
        let as_chosen = match back.spent {
            Spent::Owed => taken.lost == Usd::ZERO,
            Spent::Lost => taken.owed == Usd::ZERO,
            Spent::Kept => taken.owed == Usd::ZERO && taken.lost == Usd::ZERO && taken.unspent <= back.amount,
        };
        let is_whole = back.spent == Spent::Kept || amounts.into_iter().sum::<Usd>() == back.amount;
        let same = as_chosen && again == hashes && is_whole;
        if same { Ok(Some(taken)) } else { Err(LedgerError::IdempotencyConflict(back.idempotency_key.clone())) }
    }

    /// Freezes a credit: requests that hold a part of it end as they would, new ones cannot take of it, and it does not expire. Returns what is left of it
    /// that nothing holds. A credit that is frozen stays so.
    ///
    /// # Errors
    /// [`LedgerError::UnknownCredit`].
    pub async fn freeze(&self, tx: &mut Tx, user: Id, credit: Id) -> Result<Usd, LedgerError> {
        self.lock(tx, user).await?;
        let bucket = self.credit(tx, user, credit).await?.bucket;
        store::freeze(tx, credit, self.kit.clock.now_ms()).await?;
        Ok(bucket.posted - bucket.held)
    }

    /// Makes a frozen credit what it was, with as much time before it expires as it had. One that is not frozen stays as it is.
    ///
    /// # Errors
    /// [`LedgerError::UnknownCredit`].
    pub async fn thaw(&self, tx: &mut Tx, user: Id, credit: Id) -> Result<(), LedgerError> {
        self.lock(tx, user).await?;
        let row = self.credit(tx, user, credit).await?;
        let Some(frozen) = row.frozen else { return Ok(()) };
        let rested = self.kit.clock.now_ms().saturating_sub(frozen.at).max(0);
        let expires_at = if row.bucket.expires_at == NEVER { NEVER } else { row.bucket.expires_at.saturating_add(rested) };
        Ok(store::thaw(tx, credit, expires_at).await?)
    }

    /// Ends a credit before its time: what nothing holds goes to `to`, and what requests hold now and give back later expires. Returns what went.
    ///
    /// # Errors
    /// [`LedgerError::UnknownCredit`].
    pub async fn end_credit(&self, tx: &mut Tx, user: Id, credit: Id, to: House, reference: &str) -> Result<Usd, LedgerError> {
        self.lock(tx, user).await?;
        let mut bucket = self.credit(tx, user, credit).await?.bucket;
        let left = bucket.posted - bucket.held;
        store::set_expiry(tx, credit, bucket.expires_at.min(self.kit.clock.now_ms())).await?;
        if left > Usd::ZERO {
            bucket.posted = bucket.held;
            self.set_credits(tx, &[&bucket]).await?;
            let key = format!("ended:{credit}:{}", self.kit.ids.next());
            let row = self.transfer(user, reference, Account::Credit(credit), Account::House(to), left, TransferKind::Ended, key.clone());
            self.insert(tx, &[row], &key).await?;
        }
        Ok(left)
    }

    /// A credit of a customer whose wallet is locked.
    async fn credit(&self, tx: &mut Tx, user: Id, credit: Id) -> Result<CreditRow, LedgerError> {
        store::credit_of(tx, user, credit).await?.ok_or(LedgerError::UnknownCredit(credit))
    }
}
