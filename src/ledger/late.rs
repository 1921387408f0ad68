//! Settlements that come after the hold has ended: a replay, or the word of a node that recovery had taken for dead.

use super::LedgerError;
use super::accounts::{Account, House, TransferKind};
use super::batch::{Batch, transfer};
use super::budget::Numbers;
use super::request::{Charge, End, Hold, Journal, Settled, Settlement};
use super::spend::{self, Leg};
use super::store;
use crate::db::Tx;
use crate::kernel::{Id, Usd};

/// What the request of a hold was charged so far.
struct Paid {
    charge: Charge,
    /// By which credits, in the order in which they paid.
    credits: Vec<Leg>,
    /// When.
    at: i64,
}

impl Paid {
    fn read(rows: Vec<(String, i64, Usd, i64)>) -> Self {
        let mut paid = Paid { charge: Charge::default(), credits: Vec::new(), at: 0 };
        for (kind, debit, amount, at) in rows {
            if kind == TransferKind::Absorbed.word() {
                paid.charge.absorbed += amount;
            } else if kind == TransferKind::Recouped.word() {
                paid.charge.absorbed -= amount;
            } else if kind == TransferKind::Correction.word() {
                paid.charge.charged -= amount;
            } else {
                paid.charge.charged += amount;
                paid.at = at;
                if kind != TransferKind::Overdraft.word() {
                    paid.credits.push(Leg { credit: Id(debit), amount });
                }
            }
        }
        paid
    }
}

impl<J: Journal> Batch<'_, J> {
    /// A settlement whose hold had already ended: a replay changes nothing; after a recovery only the difference is posted, once.
    pub(super) async fn settle_late(&mut self, tx: &mut Tx, settlement: &Settlement<J::Entry>) -> Result<Result<Settled, LedgerError>, LedgerError> {
        let (hold, cost) = (&settlement.hold, settlement.cost);
        if store::hold_by_id(tx, hold.id).await?.is_none() {
            return Ok(Err(LedgerError::UnknownHold(hold.id)));
        }
        let paid = Paid::read(store::paid_for(tx, hold.user, hold.id).await?);
        let before = paid.charge;
        if settlement.end == End::Recovered || !store::correct_hold(tx, hold.id).await? {
            return Ok(Ok(Settled { charge: before, fresh: false }));
        }
        let so_far = before.charged + before.absorbed;
        let charge = if cost > so_far {
            let absorbed = before.absorbed + self.charge_beyond(hold, cost - so_far, "late")?;
            Charge { charged: cost - absorbed, absorbed }
        } else {
            let absorbed = before.absorbed - before.absorbed.min(so_far - cost);
            self.give_back(tx, hold, &paid, so_far - cost).await?;
            self.unmeter(hold, before.charged - (cost - absorbed), paid.at)?;
            Charge { charged: cost - absorbed, absorbed }
        };
        Ok(Ok(Settled { charge, fresh: true }))
    }

    /// What was given back was not spent: in no period that has begun since, either.
    fn unmeter(&mut self, hold: &Hold, amount: Usd, charged_at: i64) -> Result<(), LedgerError> {
        let wallet = self.wallets.get_mut(&hold.user).ok_or(LedgerError::NoWallet(hold.user))?;
        let charged_at = if charged_at < wallet.row.counted_from { i64::MIN } else { charged_at };
        let charged = Numbers::at(charged_at);
        wallet.row.spending.give_back(amount, charged);
        self.meter(hold.key)?.spending.give_back(amount, charged);
        Ok(())
    }

    /// Gives back what a recovery charged too much: first what nobody had paid, then the customer's debt, then to the credits
    /// that paid, the last one first.
    async fn give_back(&mut self, tx: &mut Tx, hold: &Hold, paid: &Paid, amount: Usd) -> Result<(), LedgerError> {
        let mut left = amount;
        let mut parts = Vec::new();
        let mut give = |account, most: Usd| {
            let part = most.min(left);
            left -= part;
            if part > Usd::ZERO {
                parts.push((account, part));
            }
            part
        };
        give(Account::House(House::Absorbed), paid.charge.absorbed);
        let wallet = self.wallets.get_mut(&hold.user).ok_or(LedgerError::NoWallet(hold.user))?;
        let at = wallet.at;
        let debt = give(Account::Receivable(hold.user), wallet.row.owed);
        wallet.row.owed -= debt;
        let mut refills: Vec<Leg> = Vec::new();
        for leg in paid.credits.iter().rev() {
            refills.push(Leg { credit: leg.credit, amount: give(Account::Credit(leg.credit), leg.amount) });
        }
        // What was charged as debt and has been paid since has no credit of its own.
        if let Some(first) = hold.legs.first() {
            refills.push(Leg { credit: first.credit, amount: give(Account::Credit(first.credit), amount) });
        }
        for (n, (account, part)) in parts.into_iter().enumerate() {
            let kind = if matches!(account, Account::House(_)) { TransferKind::Recouped } else { TransferKind::Correction };
            let (debit, key) = (Account::House(House::Revenue), format!("correction:{}:{n}", hold.id));
            self.transfers.push(transfer(self.kit, at, hold, debit, account, part, kind, key));
        }
        for leg in refills.into_iter().filter(|leg| leg.amount > Usd::ZERO) {
            self.refill(tx, hold.user, leg).await?;
        }
        Ok(())
    }

    /// Puts money back into a credit, which may have been empty and so not have been read.
    async fn refill(&mut self, tx: &mut Tx, user: Id, leg: Leg) -> Result<(), LedgerError> {
        let wallet = self.wallets.get_mut(&user).ok_or(LedgerError::NoWallet(user))?;
        if !wallet.buckets.iter().any(|b| b.id == leg.credit)
            && let Some(credit) = store::credit_by_id(tx, leg.credit).await?
        {
            wallet.refilled.insert(credit.bucket.id);
            wallet.buckets.push(credit.bucket);
            spend::order(&mut wallet.buckets);
        }
        wallet.bucket(leg.credit)?.posted += leg.amount;
        Ok(())
    }
}
