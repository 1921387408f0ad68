//! Delays that grow with every wrong guess of the same subject, and outlast them: a gift card code is worth money to whoever finds one.
//!
//! A guess counts before it is known to be wrong, so that many at once gain nothing; one that was right is taken back.

use super::memory::CAPACITY;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

/// How long the wrong guesses of a subject are remembered after the last, beyond its delay.
pub(super) const KEPT_MS: i64 = 24 * 60 * 60_000;

/// How a kind of guess is slowed down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slope {
    /// How many wrong guesses cost nothing.
    pub(super) free: i64,
    /// The delay after the first that does; each further one doubles it.
    pub(super) first_ms: i64,
    /// The longest delay.
    pub(super) most_ms: i64,
}

impl Slope {
    /// How long nobody may guess after the `n`th wrong guess.
    pub(super) fn delay(&self, n: i64) -> i64 {
        let doublings = n - self.free - 1;
        if doublings < 0 { 0 } else { self.first_ms.checked_shl(doublings.min(40) as u32).map_or(self.most_ms, |delay| delay.clamp(0, self.most_ms)) }
    }
}

/// What is remembered of a subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Guesses {
    /// How many, less those that were right.
    n: i64,
    /// Until when no other is let through.
    until: i64,
    /// When all of it is forgotten.
    ends: i64,
}

/// What this process remembers.
#[derive(Default)]
pub(super) struct Delays(Mutex<Subjects>);

#[derive(Default)]
struct Subjects {
    guesses: HashMap<String, Guesses>,
    /// The same keys in the order in which they are forgotten.
    by_end: BTreeSet<(i64, String)>,
}

impl Delays {
    /// Counts a guess and returns its number, or how many milliseconds are to be waited first.
    pub(super) fn guess(&self, key: &str, slope: Slope, now: i64) -> Result<i64, i64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.drop_ended(now);
        let before = all.guesses.get(key).copied().unwrap_or_default();
        if before.until > now {
            return Err(before.until - now);
        }
        let n = before.n + 1;
        let until = now + slope.delay(n);
        all.put(key, Guesses { n, until, ends: until + KEPT_MS });
        Ok(n)
    }

    /// Takes back the guess with this number: it was right.
    pub(super) fn take_back(&self, key: &str, n: i64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(now) = all.guesses.get(key).copied() else { return };
        if now.n <= 1 {
            all.remove(key);
        } else {
            all.put(key, Guesses { n: now.n - 1, until: if now.n == n { 0 } else { now.until }, ..now });
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(all.guesses.len(), all.by_end.len());
        all.guesses.len()
    }
}

impl Subjects {
    fn put(&mut self, key: &str, guesses: Guesses) {
        self.remove(key);
        if self.guesses.len() >= CAPACITY
            && let Some((_, first)) = self.by_end.pop_first()
        {
            self.guesses.remove(&first);
        }
        self.guesses.insert(key.to_owned(), guesses);
        self.by_end.insert((guesses.ends, key.to_owned()));
    }

    fn remove(&mut self, key: &str) {
        if let Some(known) = self.guesses.remove(key) {
            self.by_end.remove(&(known.ends, key.to_owned()));
        }
    }

    fn drop_ended(&mut self, now: i64) {
        while self.by_end.first().is_some_and(|(ends, _)| *ends <= now) {
            if let Some((_, key)) = self.by_end.pop_first() {
                self.guesses.remove(&key);
            }
        }
    }
}
