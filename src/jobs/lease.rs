//! The right to run a job, for a while.

use super::store;
use crate::db::Db;
use crate::kernel::Clock;

/// How long a lease lasts without being renewed, and so how long a job rests when its node dies.
pub const LEASE_MS: i64 = 30_000;

pub(super) struct Lease {
    db: Db,
    clock: Clock,
    name: &'static str,
    holder: i64,
    held_until: i64,
    failing: bool,
}

impl Lease {
    pub(super) fn new(db: Db, clock: Clock, name: &'static str, holder: i64) -> Self {
        Self { db, clock, name, holder, held_until: i64::MIN, failing: false }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the lease is ours. It is renewed when half of it has passed, so that a job that runs every second does not write every second.
    pub(super) async fn hold(&mut self) -> bool {
        self.held_until.saturating_sub(self.clock.now_ms()) > LEASE_MS / 2 || self.renew().await
    }

    /// Takes the lease or makes it last longer; false when another has it, or nobody can tell.
    pub(super) async fn renew(&mut self) -> bool {
        let now = self.clock.now_ms();
        match self.take(now).await {
            Ok(taken) => {
                self.held_until = if taken { now + LEASE_MS } else { i64::MIN };
                self.failing = false;
            }
            // What was taken before stays ours until it ends: others respect it.
            Err(error) if !self.failing => {
                tracing::warn!(job = self.name, %error, "the lease of a job cannot be read or written");
                self.failing = true;
            }
            Err(_) => {}
        }
        self.held_until > now
    }

    /// Lets another node run the job at once.
    pub(super) async fn give_back(&self) {
        if let Err(error) = self.free().await {
            tracing::warn!(job = self.name, %error, "the lease of a job could not be given back; it ends by itself");
        }
    }

    async fn take(&self, now: i64) -> Result<bool, sqlx::Error> {
        // Nodes that wait for their turn only read.
        let held = store::held(&mut *self.db.read().await?, self.name).await?;
        if held.is_some_and(|(holder, expires_at)| holder != self.holder && expires_at > now) {
            return Ok(false);
        }
        let mut tx = self.db.write().await?;
        let taken = store::take(&mut tx, self.name, self.holder, now, now + LEASE_MS).await?;
        tx.commit().await?;
        Ok(taken)
    }

    async fn free(&self) -> Result<(), sqlx::Error> {
        let mut tx = self.db.write().await?;
        store::free(&mut tx, self.name, self.holder).await?;
        tx.commit().await
    }
}
