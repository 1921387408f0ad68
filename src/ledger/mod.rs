//! The ledger: what every customer has, what in-flight requests hold of it, and every movement of money, in double entry.
//!
//! Invariants, which [`audit`] proves and the tests race:
//! - a transfer is append-only and its idempotency key posts once;
//! - `0 <= held <= posted` for every credit, `posted` is the sum of its transfers, `held` the sum of the open holds' legs;
//! - a hold ends exactly once, and captured + released = held;
//! - what a key or a customer spent in a day, week or month, and in all, is what their requests were charged then; with what is in flight
//!   it never exceeds a budget that was there when it was held, but for what a request cost beyond its hold: that is charged in full, and the next one finds the budget spent;
//! - a wallet's row is locked before anything in the wallet is read to be changed, wallets in the order of their ids.
//!
//! Callers: the relay holds and settles through [`Meter`]; payments, gift cards and the back office post through [`Books`] in
//! their own transaction. This room knows only `kernel` and `db`; what a request was is described by a [`Journal`] that the
//! caller brings.

mod accounts;
mod audit;
mod batch;
mod books;
mod budget;
mod late;
mod memory;
mod meter;
mod recovery;
mod request;
pub mod rolls;
mod spend;
pub mod statement;
pub mod store;
pub mod watch;
mod writer;

pub use accounts::{Account, House, Transfer, TransferKind};
pub use audit::{Finding, Report, audit, audit_in};
pub use books::{Balance, Books, Grant, Granted, NOBODY, Posting, Spent, Take, TakeBack, TakenBack};
pub use budget::{Budgets, Period, Shortage, Whose};
pub use meter::Meter;
pub use recovery::{Recovery, recover_dead, recover_node};
pub use request::{Charge, Hold, HoldRequest, Journal, LostRequest};
pub use spend::{Bucket, CreditKind, EVERYTHING, Leg, Pays, order, split};
pub use watch::Watch;
pub use writer::NodeRun;

use crate::kernel::{Id, Usd};

/// Why the ledger refused.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is less than needed.
    #[error("insufficient balance: {available} dollars available")]
    InsufficientBalance {
        /// What a request could still take.
        available: Usd,
    },
    /// The key's own total budget does not allow it.
    #[error("the key's budget has {left} dollars left")]
    KeyBudgetExhausted {
        /// What is left of the budget.
        left: Usd,
    },
    /// The customer's total budget does not allow it.
    #[error("the customer's budget has {left} dollars left")]
    UserBudgetExhausted {
        /// What is left of the budget.
        left: Usd,
    },
    /// The budget of a day, a week or a month does not allow it.
    #[error("the {whose:?}'s budget of this {period:?} has {left} dollars left")]
    PeriodBudgetExhausted {
        /// Whose budget.
        whose: Whose,
        /// Of which period.
        period: Period,
        /// What is left of the budget.
        left: Usd,
        /// The unix millisecond in which the next period begins.
        resets_at_ms: i64,
    },
    /// The customer has no wallet.
    #[error("no wallet for {0}")]
    NoWallet(Id),
    /// The customer has no such credit.
    #[error("no credit {0}")]
    UnknownCredit(Id),
    /// Requests that run hold a part of the credit: what will be left of it is not known yet.
    #[error("requests in flight hold {held} dollars of the credit")]
    InFlight {
        /// How much.
        held: Usd,
    },
    /// No such hold.
    #[error("no hold {0}")]
    UnknownHold(Id),
    /// The idempotency key was used for something else.
    #[error("the idempotency key {0} was used for another transfer")]
    IdempotencyConflict(String),
    /// An amount that is not positive, or does not fit.
    #[error("not an amount that can be posted: {0}")]
    BadAmount(Usd),
    /// The books contradict themselves: nothing is written, somebody must look.
    #[error("the books contradict themselves: {0}")]
    Corrupt(String),
    /// The writer has stopped: the node is shutting down.
    #[error("the ledger's writer has stopped")]
    Stopped,
    /// The database refused or is away.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}
