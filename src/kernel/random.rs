//! Randomness, injected: the operating system's in production, a seeded stream in tests.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng, TryRng};
use std::sync::{Arc, Mutex};

/// Where random bytes come from. Clones share the stream.
#[derive(Clone)]
pub struct Random(Source);

#[derive(Clone)]
enum Source {
    System,
    Seeded(Arc<Mutex<StdRng>>),
}

impl Random {
    /// The operating system's generator: for secrets in production.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A repeatable stream, for tests only.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    /// `N` random bytes.
    ///
    /// # Panics
    /// When the operating system has no randomness to give: nothing safe can be done without it.
    #[allow(clippy::disallowed_methods, clippy::disallowed_types)] // the one place that may ask the machine
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0u8; N];
        match &self.0 {
            Source::System => rand::rngs::SysRng.try_fill_bytes(&mut out).expect("the operating system gives random bytes"),
            Source::Seeded(rng) => rng.lock().unwrap_or_else(|e| e.into_inner()).fill_bytes(&mut out),
        }
        out
    }

    /// A number from `0..bound`, for choices that are not secrets (the bias of at most `bound / 2^64` is accepted).
    pub fn below(&self, bound: u64) -> u64 {
        ((u128::from(u64::from_le_bytes(self.bytes())) * u128::from(bound)) >> 64) as u64
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random")
    }
}
