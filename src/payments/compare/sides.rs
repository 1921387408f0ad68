//! The two sides of a comparison, and what differs. Pure.

use super::Comparison;
use super::store::{Bill, Kept, OurDispute, OurRefund};
use crate::kernel::{Id, Money};
use crate::payments::State;
use crate::payments::provider::{Dispute, DisputeState, Movement, Payment, PaymentState, Refund, RefundState};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Money that came.
    Payment,
    /// Money that went back.
    Refund,
    /// Money that a bank wants back.
    Dispute,
    /// What the provider keeps.
    Fee,
}

/// How something stands, on either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// The money is where it belongs.
    Done,
    /// It is under way.
    Open,
    /// It came to nothing.
    Failed,
    /// A bank asks.
    Inquiry,
    /// A bank has given the money to us.
    Won,
    /// Or kept it.
    Lost,
}

/// One side of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// How much.
    pub amount: Money,
    /// How it stands.
    pub stand: Stand,
    /// When it was made.
    pub at: i64,
}

/// Why the sides differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The provider has it, our books do not.
    MissingHere,
    /// Our books have it, the provider does not.
    MissingThere,
    /// They do not agree on how much.
    Amount,
    /// They do not agree on how it stands.
    Stand,
    /// A fee that is not posted, since its currency has no rate.
    NoRate,
}

/// Something on which the sides differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is.
    pub subject: Subject,
    /// The provider's id, when it has one.
    pub theirs_id: Option<String>,
    /// Our order, when there is one.
    pub order: Option<Id>,
    /// What the provider says.
    pub theirs: Option<Side>,
    /// What our books say.
    pub ours: Option<Side>,
    /// What is different.
    pub reason: Reason,
}

impl Difference {
    /// When it was made, by whoever says.
    pub fn at(&self) -> i64 {
        self.theirs.or(self.ours).map_or(0, |side| side.at)
    }
}

/// What both sides have of one thing in one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// What.
    pub subject: Subject,
    /// How many the provider has, and how much that is.
    pub theirs: (i64, Money),
    /// How many our books have.
    pub ours: (i64, Money),
}

impl Totals {
    /// Whether both say the same.
    pub fn agree(&self) -> bool {
        self.theirs == self.ours
    }
}

/// A comparison in the making.
pub(super) struct Sheet {
    within: Range<i64>,
    totals: BTreeMap<(Subject, String), Totals>,
    differences: Vec<Difference>,
    is_cut: bool,
}

/// What is held against each other: a thing of either side.
struct Pair {
    theirs_id: Option<String>,
    order: Option<Id>,
    theirs: Option<Side>,
    ours: Option<Side>,
}

impl Sheet {
    pub(super) fn new((from, until): (i64, i64), is_cut: bool) -> Self {
        Self { within: from..until, totals: BTreeMap::new(), differences: Vec::new(), is_cut }
    }

    pub(super) fn done(mut self) -> Comparison {
        self.differences.sort_by_key(|difference| (std::cmp::Reverse(difference.at()), difference.subject));
        Comparison { totals: self.totals.into_values().collect(), differences: self.differences, is_cut: self.is_cut }
    }

    /// Counts a pair on its sides and notes what differs. It belongs to the period in which it was made here, else there, so that a pair is never torn apart.
    fn hold(&mut self, subject: Subject, pair: Pair) {
        let Some(at) = pair.ours.or(pair.theirs).map(|side| side.at) else { return };
        if !self.within.contains(&at) {
            return;
        }
        for (is_theirs, side) in [(true, pair.theirs), (false, pair.ours)] {
            if let Some(side) = side.filter(|side| counts(subject, side.stand)) {
                self.count(subject, is_theirs, side.amount);
            }
        }
        let reason = match (pair.theirs, pair.ours) {
            (Some(_), None) => Reason::MissingHere,
            (None, Some(_)) => Reason::MissingThere,
            (Some(theirs), Some(ours)) if theirs.amount != ours.amount => Reason::Amount,
            (Some(theirs), Some(ours)) if theirs.stand != ours.stand => Reason::Stand,
            _ => return,
        };
        let Pair { theirs_id, order, theirs, ours } = pair;
        self.differences.push(Difference { subject, theirs_id, order, theirs, ours, reason });
    }

    fn count(&mut self, subject: Subject, is_theirs: bool, amount: Money) {
        let none = (0, Money::zero(amount.currency));
        let totals = self.totals.entry((subject, amount.currency.code().to_owned())).or_insert(Totals { subject, theirs: none, ours: none });
        let side = if is_theirs { &mut totals.theirs } else { &mut totals.ours };
        *side = (side.0 + 1, Money::new(side.1.minor.saturating_add(amount.minor), amount.currency));
    }

    pub(super) fn payments(&mut self, theirs: &[Payment], bills: &[Bill], by_payment: &HashMap<String, Bill>) {
        let mut seen = HashSet::new();
        for payment in theirs {
            let bill = by_payment.get(&payment.id);
            seen.extend(bill.map(|bill| bill.order));
            let is_paid = payment.status == PaymentState::Paid;
            let stand = match payment.status {
                PaymentState::Paid => Stand::Done,
                PaymentState::Canceled => Stand::Failed,
                PaymentState::Processing | PaymentState::NeedsAction | PaymentState::NeedsCard => Stand::Open,
            };
            let ours = bill.map(of_bill);
            // An attempt that nobody has completed is none of either side's, and of an order that is not paid.
            if !is_paid && ours.is_none_or(|side| side.stand != Stand::Done) {
                continue;
            }
            let amount = if is_paid { payment.received } else { payment.amount };
            let theirs = Some(Side { amount, stand, at: payment.created_at });
            self.hold(Subject::Payment, Pair { theirs_id: Some(payment.id.clone()), order: bill.map(|bill| bill.order).or(payment.order), theirs, ours });
        }
        for bill in bills.iter().filter(|bill| bill.price.minor > 0 && bill.state.was_paid() && !seen.contains(&bill.order)) {
            self.hold(Subject::Payment, Pair { theirs_id: bill.payment.clone(), order: Some(bill.order), theirs: None, ours: Some(of_bill(bill)) });
        }
    }

    pub(super) fn refunds(&mut self, theirs: &[Refund], ours: &[OurRefund], by_payment: &HashMap<String, Bill>) {
        let mut used = vec![false; ours.len()];
        for refund in theirs {
            let order = refund.payment.as_ref().and_then(|payment| by_payment.get(payment)).map(|bill| bill.order).or(refund.order);
            let by_id = ours.iter().position(|row| row.theirs.as_deref() == Some(&refund.id));
            // What was made on the provider's pages has no id here.
            let by_hand = || {
                let fits = |row: &OurRefund| row.theirs.is_none() && row.is_theirs && Some(row.order) == order && row.amount == refund.amount;
                ours.iter().zip(&used).position(|(row, used)| !used && fits(row))
            };
            let found = by_id.or_else(by_hand);
            found.into_iter().for_each(|at| used[at] = true);
            let stand = match refund.status {
                RefundState::Done => Stand::Done,
                RefundState::Pending => Stand::Open,
                RefundState::Failed => Stand::Failed,
            };
            let mine = found.map(|at| of_refund(&ours[at]));
            if stand == Stand::Failed && mine.is_none_or(|side| side.stand == Stand::Failed) {
                continue;
            }
            // On its way is as good as done: both say that it will come.
            let stand = if stand == Stand::Open && mine.is_some_and(|side| side.stand == Stand::Done) { Stand::Done } else { stand };
            let theirs = Some(Side { amount: refund.amount, stand, at: refund.created_at });
            self.hold(Subject::Refund, Pair { theirs_id: Some(refund.id.clone()), order, theirs, ours: mine });
        }
        for (row, _) in ours.iter().zip(&used).filter(|(row, used)| !**used && row.state != "failed") {
            self.hold(Subject::Refund, Pair { theirs_id: row.theirs.clone(), order: Some(row.order), theirs: None, ours: Some(of_refund(row)) });
        }
    }

    pub(super) fn disputes(&mut self, theirs: &[Dispute], ours: &[OurDispute], by_payment: &HashMap<String, Bill>) {
        for dispute in theirs {
            let mine = ours.iter().find(|row| row.theirs == dispute.id);
            let order = mine.map(|row| row.order).or_else(|| by_payment.get(dispute.payment.as_ref()?).map(|bill| bill.order));
            let side = |amount, state, at| Side { amount, stand: of_dispute(state), at };
            let pair = Pair {
                theirs_id: Some(dispute.id.clone()),
                order,
                theirs: Some(side(dispute.amount, dispute.status, dispute.created_at)),
                ours: mine.map(|row| side(row.amount, row.state, row.at)),
            };
            self.hold(Subject::Dispute, pair);
        }
        for row in ours.iter().filter(|row| theirs.iter().all(|dispute| dispute.id != row.theirs)) {
            let ours = Some(Side { amount: row.amount, stand: of_dispute(row.state), at: row.at });
            self.hold(Subject::Dispute, Pair { theirs_id: Some(row.theirs.clone()), order: Some(row.order), theirs: None, ours });
        }
    }

    pub(super) fn fees(&mut self, theirs: &[Movement], ours: &[Kept], by_payment: &HashMap<String, Bill>) {
        let order = |payment: Option<&String>| payment.and_then(|payment| by_payment.get(payment)).map(|bill| bill.order);
        let side = |amount, at| Side { amount, stand: Stand::Done, at };
        for movement in theirs {
            let mine = ours.iter().find(|row| row.theirs == movement.id);
            let cost = movement.cost();
            if cost.minor == 0 && mine.is_none_or(|row| row.cost.minor == 0) {
                continue;
            }
            let pair = Pair {
                theirs_id: Some(movement.id.clone()),
                order: order(movement.payment.as_ref()),
                theirs: Some(side(cost, movement.created_at)),
                ours: mine.map(|row| side(row.cost, row.created_at)),
            };
            self.hold(Subject::Fee, pair);
        }
        for row in ours.iter().filter(|row| row.cost.minor != 0) {
            let ours = Some(side(row.cost, row.created_at));
            if theirs.iter().all(|movement| movement.id != row.theirs) {
                self.hold(Subject::Fee, Pair { theirs_id: Some(row.theirs.clone()), order: order(row.payment.as_ref()), theirs: None, ours });
            } else if row.posted.is_none() && self.within.contains(&row.created_at) {
                let (theirs_id, order) = (Some(row.theirs.clone()), order(row.payment.as_ref()));
                self.differences.push(Difference { subject: Subject::Fee, theirs_id, order, theirs: ours, ours: None, reason: Reason::NoRate });
            }
        }
    }
}

/// Whether it counts in the sums.
fn counts(subject: Subject, stand: Stand) -> bool {
    match subject {
        Subject::Payment | Subject::Fee => stand == Stand::Done,
        Subject::Refund => matches!(stand, Stand::Done | Stand::Open),
        Subject::Dispute => true,
    }
}

fn of_bill(bill: &Bill) -> Side {
    let stand = match bill.state {
        State::Pending => Stand::Open,
        State::Expired | State::Failed => Stand::Failed,
        State::Paid | State::Refunded | State::PartlyRefunded | State::Disputed => Stand::Done,
    };
    Side { amount: bill.price, stand, at: bill.at }
}

fn of_refund(row: &OurRefund) -> Side {
    let stand = match row.state.as_str() {
        "done" => Stand::Done,
        "failed" => Stand::Failed,
        // Made there already: only the credit waits for requests that run.
        "taking" if row.is_theirs => Stand::Done,
        _ => Stand::Open,
    };
    Side { amount: row.amount, stand, at: row.at }
}

fn of_dispute(state: DisputeState) -> Stand {
    match state {
        DisputeState::Inquiry => Stand::Inquiry,
        DisputeState::Open => Stand::Open,
        DisputeState::Won => Stand::Won,
        DisputeState::Lost => Stand::Lost,
    }
}
