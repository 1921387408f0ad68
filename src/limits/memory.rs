//! Counters in this process.

use super::Counter;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

/// How many counters are kept. When they are full, those whose windows end first go.
pub(super) const CAPACITY: usize = 50_000;

#[derive(Default)]
pub(super) struct Memory(Mutex<Counters>);

#[derive(Default)]
struct Counters {
    counts: HashMap<String, (i64, i64)>,
    /// The same keys in the order in which their windows end.
    by_end: BTreeSet<(i64, String)>,
}

impl Memory {
    /// Counts one more and returns how many there are in the counter's window.
    pub(super) fn count(&self, counter: &Counter, now: i64) -> i64 {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counters.drop_ended(now);
        if let Some((count, _)) = counters.counts.get_mut(&counter.key) {
            *count = count.saturating_add(1);
            return *count;
        }
        if counters.counts.len() >= CAPACITY {
            counters.drop_first();
        }
        counters.counts.insert(counter.key.clone(), (1, counter.ends_at));
        counters.by_end.insert((counter.ends_at, counter.key.clone()));
        1
    }

    pub(super) fn forget(&self, counter: &Counter) {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counters.counts.remove(&counter.key).is_some() {
            counters.by_end.remove(&(counter.ends_at, counter.key.clone()));
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(counters.counts.len(), counters.by_end.len());
        counters.counts.len()
    }
}

impl Counters {
    fn drop_ended(&mut self, now: i64) {
        while self.by_end.first().is_some_and(|(ends_at, _)| *ends_at <= now) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some((_, key)) = self.by_end.pop_first() {
            self.counts.remove(&key);
        }
    }
}
