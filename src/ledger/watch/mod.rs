//! Who wants to know when a balance falls below a level, or rises to it again.
//!
//! The writer knows every balance that it has just changed. It compares the few that somebody waits for with their levels in memory, so a charge costs no
//! statement more, and whoever waits is woken when the charge is committed. What else moves a balance (credit that expires, a refund, a purchase), and what was
//! seen by a process that died, is found by [`Watch::sweep`]. Who is woken looks again under locks of its own: to be woken twice, or for nothing, is harmless.
//!
//! A balance here is what is left of the credits that pay for everything, with what requests hold and do not yet take, less what is owed.
//! See docs/decisions/0022.

pub mod store;

use super::batch::Wallet;
use crate::db::revision::{self, Topic};
use crate::db::{Conn, Db, Tx};
use crate::kernel::{Clock, Id, Usd};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::Notify;

/// How many balances one statement of a sweep returns.
const PORTION: i64 = 500;

/// What a level is watched for. Each has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To buy credit by itself.
    TopUp,
    /// To tell the customer.
    Notice,
}

impl Purpose {
    const ALL: [Purpose; 2] = [Purpose::TopUp, Purpose::Notice];

    fn word(self) -> &'static str {
        match self {
            Purpose::TopUp => "top_up",
            Purpose::Notice => "notice",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.word() == word)
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Less than this.
    Below(Usd),
    /// At least this.
    Above(Usd),
}

impl Wire {
    fn is_tripped(self, balance: Usd) -> bool {
        match self {
            Wire::Below(level) => balance < level,
            Wire::Above(level) => balance >= level,
        }
    }
}

/// Sets what is waited for, or ends the waiting. Takes the lock on the revision, so it comes last in a transaction.
///
/// # Errors
/// The database's.
pub async fn set_wire(tx: &mut Tx, user: Id, purpose: Purpose, wire: Option<Wire>) -> Result<(), sqlx::Error> {
    let revision = revision::bump(tx, Topic::Balances).await?;
    store::set(tx, user, purpose, wire, revision).await
}

/// What is waited for.
///
/// # Errors
/// The database's.
pub async fn wire(conn: &mut Conn, user: Id, purpose: Purpose) -> Result<Option<Wire>, sqlx::Error> {
    store::find(conn, user, purpose).await
}

/// What is waited for on this node, and who is to be woken. Clones share it.
#[derive(Clone, Default)]
pub struct Watch(Arc<Inner>);

#[derive(Default)]
struct Inner {
    wires: RwLock<HashMap<Id, [Option<Wire>; Purpose::ALL.len()]>>,
    tripped: Mutex<BTreeSet<Id>>,
    wake: Notify,
    seen: AtomicI64,
    /// One refresh at a time: an older answer must not overwrite a newer one.
    refreshing: tokio::sync::Mutex<()>,
}

impl Watch {
    /// Reads what changed since the last time.
    ///
    /// # Errors
    /// The database's; then nothing has changed here.
    pub async fn refresh(&self, db: &Db) -> Result<(), sqlx::Error> {
        let _turn = self.0.refreshing.lock().await;
        let mut conn = db.read().await?;
        // The number is read before the rows: what commits in between is read twice, never missed.
        let current = revision::current(&mut conn).await?.of(Topic::Balances);
        let changes = store::changes(&mut conn, self.revision()).await?;
        let newest = changes.iter().map(|(.., revision)| *revision).fold(current.max(self.revision()), i64::max);
        let mut wires = self.0.wires.write().unwrap_or_else(PoisonError::into_inner);
        for (user, purpose, wire, _) in changes {
            let known = wires.entry(user).or_default();
            known[purpose as usize] = wire;
            if known.iter().all(Option::is_none) {
                wires.remove(&user);
            }
        }
        drop(wires);
        self.0.seen.store(newest, Ordering::Release);
        Ok(())
    }

    /// The revision of the topic `balances` that this shows.
    pub fn revision(&self) -> i64 {
        self.0.seen.load(Ordering::Acquire)
    }

    /// Looks at wallets as a batch has left them in the database.
    pub(super) fn look_at(&self, wallets: &BTreeMap<Id, Wallet>) {
        let tripped: Vec<Id> = {
            let wires = self.0.wires.read().unwrap_or_else(PoisonError::into_inner);
            if wires.is_empty() {
                return;
            }
            let is_tripped = |(user, wallet): &(&Id, &Wallet)| {
                wires.get(user).is_some_and(|wires| {
                    let balance = wallet.balance();
                    wires.iter().flatten().any(|wire| wire.is_tripped(balance))
                })
            };
            wallets.iter().filter(is_tripped).map(|(user, _)| *user).collect()
        };
        self.wake(tripped);
    }

    fn wake(&self, users: Vec<Id>) {
        if users.is_empty() {
            return;
        }
        self.0.tripped.lock().unwrap_or_else(PoisonError::into_inner).extend(users);
        self.0.wake.notify_one();
    }

    /// Waits for balances that have passed what was waited for. Each is told until somebody sets its wire anew.
    pub async fn tripped(&self) -> Vec<Id> {
        loop {
            let tripped = std::mem::take(&mut *self.0.tripped.lock().unwrap_or_else(PoisonError::into_inner));
            if !tripped.is_empty() {
                return tripped.into_iter().collect();
            }
            self.0.wake.notified().await;
        }
    }

    /// Finds in the database which balances have passed what was waited for, and wakes whoever waits. Returns how many.
    ///
    /// # Errors
    /// The database's; those that were found are told all the same.
    pub async fn sweep(&self, db: &Db, clock: &Clock) -> Result<usize, sqlx::Error> {
        let (mut found, mut after) = (0, Id(0));
        loop {
            let users = store::tripped(&mut *db.read().await?, clock.now_ms(), after, PORTION).await?;
            let Some(last) = users.last() else { return Ok(found) };
            after = *last;
            found += users.len();
            self.wake(users);
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Watch({})", self.0.wires.read().unwrap_or_else(PoisonError::into_inner).len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_itself_is_not_below_it() {
        let at = Usd::dollars(5);
        assert!(!Wire::Below(at).is_tripped(at) && Wire::Below(at).is_tripped(at - Usd(1)));
        assert!(Wire::Above(at).is_tripped(at) && !Wire::Above(at).is_tripped(at - Usd(1)));
        assert!(Wire::Below(at).is_tripped(Usd::ZERO - at), "what is owed counts");
    }
}
