//! The figures of an accountant, each defined by transfers between accounts. Pure.

use super::store::Cost;
use crate::kernel::Usd;
use crate::ledger::House;
use crate::ledger::rolls::{CREDITS, Moves, RECEIVABLES};

/// What happened in some time. Everything is what was added to a figure, less what was taken from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Money that came from payers.
    pub received: Usd,
    /// Money that went back to payers.
    pub refunds: Usd,
    /// Money that banks took back.
    pub disputes: Usd,
    /// What payment providers kept.
    pub fees: Usd,
    /// What was earned.
    pub revenue: Usd,
    /// Credit that was given away.
    pub promotion: Usd,
    /// Credit that expired.
    pub breakage: Usd,
    /// What went back although it was spent, and usage that nobody could be charged for.
    pub losses: Usd,
    /// What was given by hand, less what was taken.
    pub adjustments: Usd,
    /// By how much what the shop owes in goods has grown.
    pub deferred: Usd,
    /// By how much what customers owe has grown.
    pub receivable: Usd,
    /// What upstreams have asked.
    pub cost: Cost,
}

impl Figures {
    /// Of these movements and costs.
    pub fn of(moves: &Moves, cost: Cost) -> Self {
        let cash = House::Cash.number();
        // What left the till for one of these reasons, less what came back for it.
        let paid_out = |is: fn(&str) -> bool| moves.sum(|key| key.credit == cash && is(&key.kind)) - moves.sum(|key| key.debit == cash && is(&key.kind));
        let net = |house: House| moves.net(house.number());
        let standing = Standing::of(moves);
        Self {
            received: -paid_out(|kind| !matches!(kind, "refund" | "chargeback" | "fee")),
            refunds: paid_out(|kind| kind == "refund"),
            disputes: paid_out(|kind| kind == "chargeback"),
            fees: net(House::Fees),
            revenue: -net(House::Revenue),
            promotion: net(House::Promotion),
            breakage: -net(House::Breakage),
            losses: net(House::Loss) + net(House::Absorbed),
            adjustments: net(House::Adjustment),
            deferred: standing.deferred(),
            receivable: standing.receivable,
            cost,
        }
    }

    /// What is left of what was earned.
    pub fn margin(&self) -> Usd {
        self.revenue + self.breakage - self.promotion - self.losses - self.fees - self.cost.cost
    }

    /// Both together.
    pub fn and(self, other: &Self) -> Self {
        Self {
            received: self.received + other.received,
            refunds: self.refunds + other.refunds,
            disputes: self.disputes + other.disputes,
            fees: self.fees + other.fees,
            revenue: self.revenue + other.revenue,
            promotion: self.promotion + other.promotion,
            breakage: self.breakage + other.breakage,
            losses: self.losses + other.losses,
            adjustments: self.adjustments + other.adjustments,
            deferred: self.deferred + other.deferred,
            receivable: self.receivable + other.receivable,
            cost: self.cost.and(other.cost),
        }
    }

    /// By how much the figures do not add up; nothing, whatever was posted between the accounts that they know.
    pub fn difference(&self) -> Usd {
        let came = self.received + self.promotion + self.losses + self.adjustments + self.receivable;
        came - (self.refunds + self.disputes + self.revenue + self.breakage + self.deferred)
    }
}

/// What the shop and its customers owe each other at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Credit that customers have left.
    pub credit: Usd,
    /// What was paid for plans and is not delivered.
    pub plans: Usd,
    /// What was paid for gift cards that nobody has redeemed.
    pub cards: Usd,
    /// What customers owe.
    pub receivable: Usd,
}

impl Standing {
    /// After these movements, from nothing.
    pub fn of(moves: &Moves) -> Self {
        let owed = |account: i64| -moves.net(account);
        Self { credit: owed(CREDITS), plans: owed(House::Plans.number()), cards: owed(House::Cards.number()), receivable: moves.net(RECEIVABLES) }
    }

    /// The deferred balance: everything that was paid for, or given, and is still to be delivered.
    pub fn deferred(&self) -> Usd {
        self.credit + self.plans + self.cards
    }

    /// Both together.
    pub fn and(self, other: &Self) -> Self {
        Self {
            credit: self.credit + other.credit,
            plans: self.plans + other.plans,
            cards: self.cards + other.cards,
            receivable: self.receivable + other.receivable,
        }
    }
}
