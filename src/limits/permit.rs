//! A request that was let through, until it ends.

use super::rules::{Rates, Scope};
use super::{Inner, Limits};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Leave to run one request. When it ends, [`Permit::finish`] corrects the tokens that it reserved; a permit that is dropped without has used none. Either gives
/// its place among the requests at the same time back.
#[derive(Debug, Default)]
pub struct Permit(Option<Arc<Held>>);

/// What a request with limits has taken.
pub(super) struct Held {
    pub(super) limits: Arc<Inner>,
    pub(super) scopes: Vec<Scope>,
    pub(super) estimated: u64,
    pub(super) rates: Rates,
    pub(super) counted: Counted,
    pub(super) ended: AtomicBool,
}

/// Where it was counted.
pub(super) enum Counted {
    /// In this process.
    Here,
    /// In Redis, with this lease, which may be empty.
    Together(String),
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("scopes", &self.scopes).field("rates", &self.rates).finish_non_exhaustive()
    }
}

impl Permit {
    /// Leave without limits.
    pub fn unlimited() -> Self {
        Self(None)
    }

    pub(super) fn new(limits: &Limits, scopes: Vec<Scope>, estimated: u64, rates: Rates, counted: Counted) -> Self {
        Self(Some(Arc::new(Held { limits: Arc::clone(&limits.0), scopes, estimated, rates, counted, ended: AtomicBool::new(false) })))
    }

    /// The tightest limits as they are with this request: for the headers of its answer.
    pub fn rates(&self) -> Rates {
        self.0.as_ref().map_or_else(Rates::default, |held| held.rates)
    }

    /// The same leave in another hand: whoever is the first to say that the request has ended is heard.
    #[must_use]
    pub fn share(&self) -> Self {
        Self(self.0.clone())
    }

    /// The request has ended and used so many tokens. Only the first call counts.
    pub fn finish(&self, tokens: u64) {
        if let Some(held) = &self.0 {
            held.finish(tokens);
        }
    }
}

impl Held {
    fn finish(&self, tokens: u64) {
        if self.ended.swap(true, Ordering::Relaxed) {
            return;
        }
        match (&self.counted, &self.limits.together) {
            (Counted::Together(lease), Some(together)) => together.finish(self.scopes.clone(), self.estimated, tokens, lease.clone()),
            _ => self.limits.local.finish(&self.scopes, self.estimated, tokens, self.limits.clock.now_ms()),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.finish(0);
    }
}
