//! What the writer's last commits have left in the database, so that on SQLite the next one need not read it again.
//!
//! It holds only as long as nobody else has written: [`Db::write_since`](crate::db::Db::write_since) writes nothing otherwise, and then the writer forgets
//! everything and reads. See docs/decisions/0016.

use super::Watch;
use super::batch::{Meter, Wallet};
use super::spend::Bucket;
use super::store::{MeterRow, WalletRow};
use crate::db::Turn;
use crate::kernel::Id;
use std::collections::{BTreeMap, HashMap};

/// How many wallets, and how many meters, are remembered at most.
const MOST: usize = 2048;
/// A wallet with more credits than this is read each time.
const MOST_CREDITS: usize = 16;

/// A wallet as the database has it, with the credits that have something left, in spend order.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) row: WalletRow,
    pub(super) credits: Vec<Bucket>,
}

/// What is remembered, and since when nobody else has written.
#[derive(Default)]
pub(super) struct Memory {
    turn: Option<Turn>,
    wallets: HashMap<Id, Known>,
    meters: HashMap<Id, MeterRow>,
    watch: Watch,
}

impl Memory {
    /// Nothing yet. What is written is shown to `watch`.
    pub(super) fn new(watch: Watch) -> Self {
        Self { watch, ..Self::default() }
    }

    /// Since when all that is remembered holds.
    pub(super) fn turn(&self) -> Option<Turn> {
        self.turn
    }

    pub(super) fn wallet(&self, user: Id) -> Option<&Known> {
        self.wallets.get(&user)
    }

    pub(super) fn meter(&self, key: Id) -> Option<&MeterRow> {
        self.meters.get(&key)
    }

    /// Nothing is certain any more.
    pub(super) fn forget(&mut self) {
        self.turn = None;
        self.wallets.clear();
        self.meters.clear();
    }

    /// Remembers what a batch has written, and had read. `None` where others may write at any time.
    pub(super) fn keep(&mut self, turn: Option<Turn>, wallets: BTreeMap<Id, Wallet>, meters: BTreeMap<Id, Meter>) {
        self.watch.look_at(&wallets);
        let Some(turn) = turn else { return self.forget() };
        let goes_on = self.turn.is_some_and(|before| turn.follows(&before));
        let fits = self.wallets.len() + wallets.len() <= MOST && self.meters.len() + meters.len() <= MOST;
        if !goes_on || !fits {
            self.forget();
        }
        self.turn = Some(turn);
        for (user, wallet) in wallets {
            let known = wallet.written();
            if known.credits.len() <= MOST_CREDITS {
                self.wallets.insert(user, known);
            } else {
                self.wallets.remove(&user);
            }
        }
        for (key, meter) in meters {
            match meter.written() {
                Some(row) => self.meters.insert(key, row),
                None => self.meters.remove(&key),
            };
        }
    }
}
