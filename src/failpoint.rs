//! Where the crash tests kill the process: named points between the durable steps of a charge. A release build has none.

/// Kills this process with SIGKILL when `FAREBOX_KILL_AT` names this point (`name` or `name:n` for the n-th time it is reached).
#[cfg(debug_assertions)]
pub fn reach(point: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static TARGET: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static REACHED: AtomicU64 = AtomicU64::new(0);
    let target = TARGET.get_or_init(|| {
        let text = std::env::var("FAREBOX_KILL_AT").ok()?;
        let (name, nth) = text.split_once(':').map_or((text.as_str(), 1), |(name, nth)| (name, nth.parse().unwrap_or(1)));
        Some((name.to_owned(), nth))
    });
    if let Some((name, nth)) = target
        && name == point
        && REACHED.fetch_add(1, Ordering::SeqCst) + 1 == *nth
    {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn reach(_point: &str) {}
