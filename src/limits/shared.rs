//! Counters of attempts in Redis.

use super::Counter;
use super::link::Link;

impl Link {
    /// Counts one more and returns how many there are; nothing when Redis cannot be asked.
    pub(super) async fn count(&self, counter: &Counter, now: i64) -> Option<i64> {
        let lifetime_ms = counter.ends_at - now + 1_000;
        let mut both = redis::pipe();
        both.atomic().incr(&counter.key, 1).pexpire(&counter.key, lifetime_ms).ignore();
        let (count,): (i64,) = self.run(&both, now).await?;
        Some(count)
    }

    pub(super) async fn forget(&self, counter: &Counter, now: i64) {
        let _: Option<()> = self.run(redis::pipe().del(&counter.key).ignore(), now).await;
    }
}
