//! What the relay asks of the ledger, and what it is told.

use super::LedgerError;
use super::budget::{Budgets, Shortage};
use super::spend::{Leg, Pays};
use crate::db::Part;
use crate::kernel::{Id, Usd};

/// A request for a reservation.
#[derive(Clone, Debug)]
pub struct HoldRequest {
    /// The request's id, which becomes the hold's.
    pub id: Id,
    /// Who pays.
    pub user: Id,
    /// The key that the request came with.
    pub key: Id,
    /// What the key may spend.
    pub key_budget: Budgets,
    /// What the customer may spend with all keys.
    pub user_budget: Budgets,
    /// The worst case: what is held when the balance allows.
    pub full: Usd,
    /// The least that is worth holding: less is [`LedgerError::InsufficientBalance`].
    pub floor: Usd,
    /// Which credits may pay.
    pub pays: Pays,
    /// What the request costs as soon as it is sent: what recovery charges when the node dies.
    pub checkpoint: Usd,
    /// What the journal needs to describe the request when the node dies.
    pub memo: String,
}

/// A reservation that was made.
#[derive(Clone, Debug)]
pub struct Hold {
    /// The request's id.
    pub id: Id,
    /// Who pays.
    pub user: Id,
    /// The key that the request came with.
    pub key: Id,
    /// What is held: at most what was asked for.
    pub amount: Usd,
    /// From which credits.
    pub legs: Vec<Leg>,
    /// The plan's subscription that pays for it, alone or first.
    pub scope: Option<Id>,
    /// The budget that ends first, when less was held than asked for because of it and not of the balance.
    pub short_of_budget: Option<Shortage>,
}

/// What a request was charged in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Charge {
    /// What the customer pays.
    pub charged: Usd,
    /// What nobody could be charged for.
    pub absorbed: Usd,
}

/// A request whose node died.
#[derive(Clone, Debug)]
pub struct LostRequest {
    /// The request's id.
    pub id: Id,
    /// Who pays.
    pub user: Id,
    /// The key that the request came with.
    pub key: Id,
    /// What the relay said of it when it was held.
    pub memo: String,
    /// When it was held, in unix milliseconds.
    pub held_at: i64,
    /// When it was recovered.
    pub recovered_at: i64,
}

/// Where requests are written down, in the same transaction as their charge.
pub trait Journal: Send + Sync + 'static {
    /// What a request was.
    type Entry: Send + Sync + 'static;

    /// The statement that writes entries; one that exists already is overwritten, because what is known later is better. `None` where
    /// nothing is kept.
    fn write<'a>(&self, entries: &'a [(&'a Self::Entry, Charge)]) -> Option<Part<'a>>;

    /// Describes a request whose node died.
    fn recovered(&self, lost: &LostRequest) -> Self::Entry;
}

/// How a hold ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By the relay that made it.
    Finished,
    /// By recovery.
    Recovered,
}

/// A hold to end.
#[derive(Debug)]
pub(super) struct Settlement<E> {
    pub(super) hold: Hold,
    pub(super) cost: Usd,
    pub(super) end: End,
    pub(super) entry: Option<E>,
}

/// One thing to do in a batch.
#[derive(Debug)]
pub(super) enum Op<E> {
    /// Reserve.
    Hold(HoldRequest),
    /// Charge and release.
    Settle(Settlement<E>),
    /// Release a hold that nobody waits for, if it exists.
    Void(Id),
    /// Write down a request that held nothing.
    Note(E),
    /// Remember what a running request has cost so far.
    Checkpoint(Id, Usd),
}

impl<E> Op<E> {
    /// The hold that it is about.
    pub(super) fn hold_id(&self) -> Option<Id> {
        match self {
            Op::Hold(request) => Some(request.id),
            Op::Settle(settlement) => Some(settlement.hold.id),
            Op::Void(id) | Op::Checkpoint(id, _) => Some(*id),
            Op::Note(_) => None,
        }
    }
}

/// What became of an [`Op`].
#[derive(Debug)]
pub(super) enum Outcome {
    Hold(Result<Hold, LedgerError>),
    Settled(Result<Settled, LedgerError>),
    Done,
}

/// What a settlement came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled {
    pub(super) charge: Charge,
    /// This settlement moved the money; a replay only tells of it.
    pub(super) fresh: bool,
}
