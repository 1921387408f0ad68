//! Which credit pays: the spend order and the split of an amount over it. Pure.

use crate::kernel::{Id, Usd};

/// Where a credit came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CreditKind {
    /// Given away or redeemed: spent first.
    Gift,
    /// A plan's allowance.
    Plan,
    /// Bought: spent last.
    Paid,
}

impl CreditKind {
    /// The word in the database.
    pub const fn word(self) -> &'static str {
        match self {
            CreditKind::Gift => "gift",
            CreditKind::Plan => "plan",
            CreditKind::Paid => "paid",
        }
    }

    /// From the word in the database, whose CHECK admits no other.
    pub fn from_word(word: &str) -> Self {
        match word {
            "gift" => CreditKind::Gift,
            "plan" => CreditKind::Plan,
            _ => CreditKind::Paid,
        }
    }
}

/// A credit as the spender sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The credit's id, which grows with its age.
    pub id: Id,
    /// Where it came from.
    pub kind: CreditKind,
    /// What is left of it, in-flight requests included.
    pub posted: Usd,
    /// What in-flight requests hold of it.
    pub held: Usd,
    /// Lower is spent first.
    pub priority: i64,
    /// Not spendable before this unix millisecond.
    pub effective_at: i64,
    /// Not spendable from this unix millisecond on.
    pub expires_at: i64,
    /// What it pays for: [`EVERYTHING`], or what one subscription to a plan covers.
    pub scope: Id,
}

/// The scope of a credit that pays for everything.
pub const EVERYTHING: Id = Id(0);

/// Which credits may pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pays {
    /// Those with one of these scopes.
    pub scopes: Vec<Id>,
    /// Those that pay for everything.
    pub wallet: bool,
}

impl Pays {
    /// Whether this one may.
    pub fn admits(&self, bucket: &Bucket) -> bool {
        if bucket.scope == EVERYTHING { self.wallet } else { self.scopes.contains(&bucket.scope) }
    }
}

impl Default for Pays {
    /// What is not bound to a plan.
    fn default() -> Self {
        Self { scopes: Vec::new(), wallet: true }
    }
}

impl Bucket {
    /// What a new request can take at `now_ms`.
    pub fn available(&self, now_ms: i64) -> Usd {
        if self.effective_at <= now_ms && now_ms < self.expires_at { self.posted - self.held } else { Usd::ZERO }
    }
}

/// One bucket's part of an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    /// The credit.
    pub credit: Id,
    /// Its part, more than zero.
    pub amount: Usd,
}

/// Sorts buckets into spend order: priority, soonest expiry, gift before plan before paid, age.
pub fn order(buckets: &mut [Bucket]) {
    buckets.sort_by_key(|b| (b.priority, b.expires_at, b.kind, b.id));
}

/// Takes up to `want` from those of `buckets` that may pay; they stand in spend order. The legs sum to `want`, or to everything available when
/// that is less.
pub fn split(buckets: &[Bucket], want: Usd, now_ms: i64, pays: &Pays) -> Vec<Leg> {
    let mut left = want;
    let mut legs = Vec::with_capacity(1);
    for bucket in buckets.iter().filter(|bucket| pays.admits(bucket)) {
        if left <= Usd::ZERO {
            break;
        }
        let amount = bucket.available(now_ms).min(left);
        if amount > Usd::ZERO {
            legs.push(Leg { credit: bucket.id, amount });
            left -= amount;
        }
    }
    legs
}

/// What is left of what pays for everything, with what is held of it, less what is owed.
pub fn balance<'b>(buckets: impl IntoIterator<Item = &'b Bucket>, owed: Usd, now_ms: i64) -> Usd {
    let counts = |bucket: &&Bucket| bucket.scope == EVERYTHING && bucket.effective_at <= now_ms && now_ms < bucket.expires_at;
    buckets.into_iter().filter(counts).map(|bucket| bucket.posted).sum::<Usd>() - owed
}

/// What the legs sum to.
pub fn total(legs: &[Leg]) -> Usd {
    legs.iter().map(|leg| leg.amount).sum()
}

/// Cuts `amount` off the front of `legs`: the parts that are captured, in spend order.
pub fn front(legs: &[Leg], amount: Usd) -> Vec<Leg> {
    let mut left = amount;
    let take = |leg: &Leg| {
        let part = leg.amount.min(left);
        left -= part;
        Leg { credit: leg.credit, amount: part }
    };
    legs.iter().map(take).filter(|leg| leg.amount > Usd::ZERO).collect()
}

/// Legs as the hold's row keeps them.
pub fn write_legs(legs: &[Leg]) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(legs.len() * 32);
    for leg in legs {
        let comma = if out.is_empty() { "" } else { "," };
        let _ = write!(out, "{comma}{}:{}", leg.credit.0, leg.amount.0);
    }
    out
}

/// Legs from the hold's row; `None` when the text is not what [`write_legs`] makes.
pub fn read_legs(text: &str) -> Option<Vec<Leg>> {
    let leg = |part: &str| {
        let (credit, amount) = part.split_once(':')?;
        Some(Leg { credit: Id(credit.parse().ok()?), amount: Usd(amount.parse().ok()?) })
    };
    text.split(',').map(leg).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::NEVER;

    fn bucket(id: i64, kind: CreditKind, available: i64, priority: i64, expires_at: i64) -> Bucket {
        Bucket { id: Id(id), kind, posted: Usd(available + 5), held: Usd(5), priority, effective_at: 0, expires_at, scope: EVERYTHING }
    }

    #[test]
    fn spends_by_priority_then_expiry_then_kind_then_age() {
        let mut buckets = vec![
            bucket(1, CreditKind::Paid, 10, 100, NEVER),
            bucket(2, CreditKind::Gift, 10, 100, NEVER),
            bucket(3, CreditKind::Paid, 10, 100, 500),
            bucket(4, CreditKind::Gift, 10, 100, NEVER),
            bucket(5, CreditKind::Paid, 10, 1, NEVER),
            bucket(6, CreditKind::Plan, 10, 100, NEVER),
        ];
        order(&mut buckets);
        let ids: Vec<i64> = buckets.iter().map(|b| b.id.0).collect();
        assert_eq!(ids, [5, 3, 2, 4, 6, 1]);
        assert_eq!(split(&buckets, Usd(15), 100, &Pays::default()), [Leg { credit: Id(5), amount: Usd(10) }, Leg { credit: Id(3), amount: Usd(5) }]);
        assert_eq!(total(&split(&buckets, Usd(1000), 100, &Pays::default())), Usd(60));
        assert_eq!(total(&split(&buckets, Usd(1000), 500, &Pays::default())), Usd(50), "an expired credit pays nothing");
        assert!(split(&buckets, Usd::ZERO, 100, &Pays::default()).is_empty());
    }

    #[test]
    fn legs_survive_their_row() {
        let legs = [Leg { credit: Id(7), amount: Usd(3) }, Leg { credit: Id(9), amount: Usd(i64::MAX - 3) }];
        assert_eq!(read_legs(&write_legs(&legs)).unwrap(), legs);
        assert_eq!(read_legs("x"), None);
        assert_eq!(front(&legs, Usd(5)), [legs[0], Leg { credit: Id(9), amount: Usd(2) }]);
        assert!(front(&legs, Usd::ZERO).is_empty());
    }
}
