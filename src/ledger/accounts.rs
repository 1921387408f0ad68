//! The accounts of the books and the transfers between them.

use crate::kernel::{Id, Usd};
use sha2::{Digest, Sha256};

/// The shop's own accounts. What it owes customers ("deferred") is the sum of all [`Account::Credit`] accounts, what they owe
/// it ("receivable") the sum of all [`Account::Receivable`] ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum House {
    /// Money received.
    Cash,
    /// What was earned by relaying.
    Revenue,
    /// Credit that was given away.
    Promotion,
    /// Credit that expired unspent.
    Breakage,
    /// Usage that nobody could be charged for.
    Absorbed,
    /// Corrections by hand.
    Adjustment,
    /// Plans that are paid for and whose allowance is not granted yet.
    Plans,
    /// Gift cards that are paid for and not redeemed yet.
    Cards,
    /// What went back to a payer although it was spent.
    Loss,
    /// What payment providers keep for themselves.
    Fees,
}

impl House {
    /// Every house account.
    pub const ALL: [House; 10] = [
        House::Cash,
        House::Revenue,
        House::Promotion,
        House::Breakage,
        House::Absorbed,
        House::Adjustment,
        House::Plans,
        House::Cards,
        House::Loss,
        House::Fees,
    ];

    /// The account's number in the books.
    pub const fn number(self) -> i64 {
        match self {
            House::Cash => 1,
            House::Revenue => 2,
            House::Promotion => 3,
            House::Breakage => 4,
            House::Absorbed => 5,
            House::Adjustment => 6,
            House::Plans => 7,
            House::Cards => 8,
            House::Loss => 9,
            House::Fees => 10,
        }
    }
}

/// Either side of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// One of the shop's own.
    House(House),
    /// A bucket of a customer's credit, by the credit's id.
    Credit(Id),
    /// What a customer owes, by the customer's id.
    Receivable(Id),
}

impl Account {
    /// The account's number in the books.
    pub fn number(self) -> i64 {
        match self {
            Account::House(house) => house.number(),
            Account::Credit(id) | Account::Receivable(id) => id.0,
        }
    }
}

/// Why money moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferKind {
    /// A credit enters a wallet.
    Grant,
    /// The charge of a request, out of its hold.
    Capture,
    /// What a request cost beyond its hold, from what was still available.
    Overage,
    /// What a request cost beyond everything available, within the overdraft limit.
    Overdraft,
    /// What a request cost beyond the overdraft limit: the shop's loss.
    Absorbed,
    /// A charge corrected downwards after a recovery had guessed too high.
    Correction,
    /// What a recovery had taken for the shop's loss, and was not.
    Recouped,
    /// Debt paid out of a new credit.
    Debt,
    /// Credit that expired.
    Expiry,
    /// A correction by hand that takes money away.
    Adjustment,
    /// Something bought with credit: a plan, a gift card.
    Purchase,
    /// Something bought with money whose credit comes later.
    Sale,
    /// What was sold has been delivered, or never will be: it is revenue now.
    Recognised,
    /// What is left of a credit that has ended before its time.
    Ended,
    /// Money that went back to the payer.
    Refund,
    /// Money that a bank took back for the payer.
    Chargeback,
    /// What a payment provider keeps for itself.
    Fee,
}

impl TransferKind {
    /// The word in the database.
    pub const fn word(self) -> &'static str {
        match self {
            TransferKind::Grant => "grant",
            TransferKind::Capture => "capture",
            TransferKind::Overage => "overage",
            TransferKind::Overdraft => "overdraft",
            TransferKind::Absorbed => "absorbed",
            TransferKind::Correction => "correction",
            TransferKind::Recouped => "recouped",
            TransferKind::Debt => "debt",
            TransferKind::Expiry => "expiry",
            TransferKind::Adjustment => "adjustment",
            TransferKind::Purchase => "purchase",
            TransferKind::Sale => "sale",
            TransferKind::Recognised => "recognised",
            TransferKind::Ended => "ended",
            TransferKind::Refund => "refund",
            TransferKind::Chargeback => "chargeback",
            TransferKind::Fee => "fee",
        }
    }
}

/// A row to be posted.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// The row's id.
    pub id: Id,
    /// The account that is debited.
    pub debit: Account,
    /// The account that is credited.
    pub credit: Account,
    /// More than zero.
    pub amount: Usd,
    /// Why.
    pub kind: TransferKind,
    /// The customer concerned.
    pub user: Id,
    /// What it is for, in words that a statement shows: a request id, a gift card, a reason.
    pub reference: String,
    /// Unique for ever: the same key never posts twice.
    pub idempotency_key: String,
    /// Unix milliseconds.
    pub at: i64,
}

impl Transfer {
    /// What a replay is compared by: everything but the id and the time.
    pub fn payload_hash(&self) -> i64 {
        payload_hash(self.debit.number(), self.credit.number(), self.amount, self.kind.word(), self.user, &self.reference)
    }
}

/// The first eight bytes of SHA-256 over a transfer's content.
pub fn payload_hash(debit: i64, credit: i64, amount: Usd, kind: &str, user: Id, reference: &str) -> i64 {
    let mut hasher = Sha256::new();
    for number in [debit, credit, amount.0, user.0] {
        hasher.update(number.to_le_bytes());
    }
    hasher.update(kind.as_bytes());
    hasher.update([0]);
    hasher.update(reference.as_bytes());
    let digest = hasher.finalize();
    i64::from_le_bytes(std::array::from_fn(|i| digest[i]))
}
