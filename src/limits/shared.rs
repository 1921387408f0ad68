//! Counters of attempts and of wrong guesses in Redis.

use super::Counter;
use super::delays::{KEPT_MS, Slope};
use super::link::{Link, PATIENCE};
use redis::Script;
use std::sync::LazyLock;

static DELAYS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("delays.lua")));

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

    /// Counts a guess and returns its number, or how many milliseconds are to be waited first; nothing when Redis cannot be asked.
    pub(super) async fn guess(&self, key: &str, slope: Slope, now: i64) -> Option<Result<i64, i64>> {
        let mut question = DELAYS.key(key);
        for number in [now, slope.free, slope.first_ms, slope.most_ms, KEPT_MS] {
            question.arg(number);
        }
        let (n, wait): (i64, i64) = self.ask(now, PATIENCE, async |connection| question.invoke_async(connection).await).await?;
        Some(if wait > 0 { Err(wait) } else { Ok(n) })
    }

    /// Takes the guess with this number back.
    pub(super) async fn take_back(&self, key: &str, n: i64, now: i64) {
        let mut question = DELAYS.key(key);
        question.arg(now).arg(n);
        let _: Option<(i64, i64)> = self.ask(now, PATIENCE, async |connection| question.invoke_async(connection).await).await;
    }
}
