//! Time, injected. Everything that asks what time it is asks a [`Clock`], so that a test can turn the hands.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The moment that never comes: the `expires_at` of what does not expire.
pub const NEVER: i64 = i64::MAX;

/// One day in milliseconds.
pub const DAY_MS: i64 = 86_400_000;

/// Unix time in milliseconds, from the system or from a test's hands.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still at `now_ms` until [`Clock::advance`] moves it. Clones share the hands.
    pub fn manual(now_ms: i64) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(now_ms))))
    }

    /// Unix time in milliseconds.
    #[allow(clippy::disallowed_methods)] // the one place that may ask the machine
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Source::System => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64),
            Source::Manual(hands) => hands.load(Ordering::SeqCst),
        }
    }

    /// Moves a manual clock forward by `ms`.
    ///
    /// # Panics
    /// On the system clock: nobody moves that.
    pub fn advance(&self, ms: i64) {
        match &self.0 {
            Source::System => panic!("the system clock cannot be moved"),
            Source::Manual(hands) => hands.fetch_add(ms, Ordering::SeqCst),
        };
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clock({})", self.now_ms())
    }
}
