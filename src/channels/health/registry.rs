//! The health of all channels of a snapshot, from one reading of it to the next.

use super::Health;
use crate::kernel::{Clock, Id, Random};
use std::collections::HashMap;
use std::sync::Arc;

/// Who has been doing how.
pub(in crate::channels) struct Registry {
    clock: Clock,
    random: Random,
    all: HashMap<Id, Arc<Health>>,
}

impl Registry {
    pub(in crate::channels) fn new(clock: Clock, random: Random) -> Self {
        Self { clock, random, all: HashMap::new() }
    }

    /// The health of a channel with these keys: what it was, when it was known before under the same identity (where it points).
    pub(in crate::channels) fn of(&mut self, id: Id, identity: &str, fingerprints: &[u64]) -> Arc<Health> {
        let health = self.all.entry(id).or_insert_with(|| Arc::new(Health::new(self.clock.clone(), self.random.clone())));
        health.adopt(identity, fingerprints);
        Arc::clone(health)
    }

    /// Forgets channels that are not in use any more; of those on which requests still run, all but their number.
    pub(in crate::channels) fn keep(&mut self, in_use: impl Fn(Id) -> bool) {
        self.all.retain(|id, health| in_use(*id) || health.retire());
    }

    #[cfg(test)]
    pub(in crate::channels) fn len(&self) -> usize {
        self.all.len()
    }
}
