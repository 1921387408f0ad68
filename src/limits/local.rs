//! What keys and users have used of their limits, counted in this process.
//!
//! One lock: a request has it for well under a microsecond, and both of its scopes are decided together. Only scopes with limits are remembered, and those
//! that have run empty go, a few with every request, so that no request waits for a sweep.

use super::rules::{Exceeded, Rates, Scope, ScopeId, State};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many scopes are remembered. When there are more, those that nobody is in go before they have run empty.
pub(super) const CAPACITY: usize = 200_000;
/// How many scopes a request looks at to find idle ones: more than it can add.
const SWEPT: usize = 3;

#[derive(Default)]
pub(super) struct Local(Mutex<States>);

/// Ids are our own numbers, which nobody can choose: one multiplication spreads them.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u64(&mut self, n: u64) {
        let mixed = (self.0.rotate_left(5) ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn write_i64(&mut self, n: i64) {
        self.write_u64(n as u64);
    }

    fn write_isize(&mut self, n: isize) {
        self.write_u64(n as u64);
    }
}

#[derive(Default)]
struct States {
    places: HashMap<ScopeId, usize, BuildHasherDefault<IdHasher>>,
    states: Vec<(ScopeId, State)>,
    /// Where the sweep goes on.
    hand: usize,
}

impl Local {
    /// Counts one request in every scope, or in none.
    pub(super) fn admit(&self, scopes: &[Scope], tokens: u64, now: i64) -> Result<Rates, Exceeded> {
        let mut all = self.lock();
        all.sweep(now);
        let places: Vec<usize> = scopes.iter().map(|scope| all.place(scope.id)).collect();
        for (scope, &place) in scopes.iter().zip(&places) {
            all.states[place].1.leak(&scope.rules, now);
        }
        let states = scopes.iter().zip(places.iter().map(|&place| &all.states[place].1));
        if let Some(exceeded) = refused(states, tokens, now) {
            return Err(exceeded);
        }
        let mut rates = Rates::default();
        for (scope, &place) in scopes.iter().zip(&places) {
            let state = &mut all.states[place].1;
            state.take(&scope.rules, tokens, now);
            rates = rates.and(state.rates(&scope.rules, now));
        }
        Ok(rates)
    }

    /// A request has ended, and has used so many tokens.
    pub(super) fn finish(&self, scopes: &[Scope], estimated: u64, used: u64, now: i64) {
        let mut all = self.lock();
        for scope in scopes {
            let place = all.place(scope.id);
            let state = &mut all.states[place].1;
            if scope.rules.concurrency.is_some() {
                state.running = state.running.saturating_sub(1);
            }
            if let Some(limit) = scope.rules.tpm {
                state.leak(&scope.rules, now);
                state.correct(limit, estimated, used);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, States> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let all = self.lock();
        assert_eq!(all.places.len(), all.states.len());
        assert!(all.states.iter().enumerate().all(|(place, (id, _))| all.places[id] == place));
        all.states.len()
    }
}

impl States {
    fn place(&mut self, id: ScopeId) -> usize {
        *self.places.entry(id).or_insert_with(|| {
            self.states.push((id, State::default()));
            self.states.len() - 1
        })
    }

    fn sweep(&mut self, now: i64) {
        for _ in 0..SWEPT.min(self.states.len()) {
            if self.hand >= self.states.len() {
                self.hand = 0;
            }
            let full = self.states.len() >= CAPACITY;
            let Some((id, state)) = self.states.get(self.hand) else { return };
            let goes = state.is_idle(now) || (full && state.running == 0);
            if !goes {
                self.hand += 1;
                continue;
            }
            self.places.remove(id);
            self.states.swap_remove(self.hand);
            if let Some((moved, _)) = self.states.get(self.hand) {
                self.places.insert(*moved, self.hand);
            }
        }
    }
}

/// The refusal that takes longest, with all limits for the headers; none when the request may pass.
pub(super) fn refused<'a>(states: impl Iterator<Item = (&'a Scope, &'a State)>, tokens: u64, now: i64) -> Option<Exceeded> {
    let mut worst: Option<Exceeded> = None;
    let mut rates = Rates::default();
    for (scope, state) in states {
        rates = rates.and(state.rates(&scope.rules, now));
        let Some((what, rate, retry_after_ms)) = state.refusal(&scope.rules, tokens, now) else { continue };
        if worst.as_ref().is_none_or(|worst| worst.retry_after_ms < retry_after_ms) {
            worst = Some(Exceeded { what, whose: scope.id.whose, limit: rate.limit, remaining: rate.remaining, retry_after_ms, rates });
        }
    }
    worst.map(|worst| Exceeded { rates, ..worst })
}
