//! Limits: how often an account or an address may try to log in, sign up, ask for mail, redeem a code; and how much a key or a user may ask of the relay.
//!
//! Attempts are counted in fixed windows that begin at multiples of their length, so that every node counts in the same one. What the relay lets through is counted as
//! [`rules`] says, and wrong guesses of codes as [`delays`] does. All are shared through Redis when there is one; without it, or while it does not answer, each node counts for itself: a limit is then as many times looser as
//! there are nodes, and nobody is locked out. Nothing here decides about money. Memory is bounded in both. No counter holds an address or an e-mail in readable form.
//!
//! Called by `accounts`, `gift_cards`, `keys` and `settings` (for the rules) and the relay.

mod delays;
mod link;
mod local;
mod memory;
mod permit;
#[cfg(test)]
mod rates_tests;
mod rules;
mod shared;
#[cfg(test)]
mod tests;
mod together;

pub use permit::Permit;
pub use rules::{Exceeded, MAX_LIMIT, Rate, Rates, Rules, Scope, ScopeId, What, Whose};

use crate::kernel::{Clock, Random, secrets};
use delays::{Delays, Slope};
use link::Link;
use local::Local;
use memory::Memory;
use permit::Counted;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use together::Together;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attempt {
    /// A log-in with one account.
    LogInAccount,
    /// Log-ins from one address.
    LogInSource,
    /// Sign-ups with one e-mail address.
    SignUpAccount,
    /// Sign-ups from one address.
    SignUpSource,
    /// Verification mails to one account.
    Resend,
    /// Reset mails to one e-mail address.
    ResetAccount,
    /// Reset mails asked for from one address, and reset links opened there.
    ResetSource,
    /// Setup links tried from one address.
    Setup,
    /// Tokens counted for one key, for nothing: an editor asks for fifty within a second when it starts.
    CountTokens,
    /// Looks of one customer at what became of an order.
    LookAtOrder,
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

impl Attempt {
    /// Its name in the counter's key, how many attempts a window has, and the window's length.
    fn rule(self) -> (&'static str, i64, i64) {
        match self {
            Attempt::LogInAccount => ("log-in-account", 10, 15 * MINUTE_MS),
            Attempt::LogInSource => ("log-in-source", 60, 15 * MINUTE_MS),
            Attempt::SignUpAccount => ("sign-up-account", 5, HOUR_MS),
            Attempt::SignUpSource => ("sign-up-source", 20, HOUR_MS),
            Attempt::Resend => ("resend", 5, HOUR_MS),
            Attempt::ResetAccount => ("reset-account", 5, HOUR_MS),
            Attempt::ResetSource => ("reset-source", 30, HOUR_MS),
            Attempt::Setup => ("setup", 30, HOUR_MS),
            Attempt::CountTokens => ("count-tokens", 600, MINUTE_MS),
            Attempt::LookAtOrder => ("look-at-order", 60, 10 * MINUTE_MS),
        }
    }

    /// How many attempts a window has.
    pub fn allowed(self) -> i64 {
        self.rule().1
    }
}

/// What must not be found by trying, and gets slower with each wrong guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guess {
    /// Codes typed by one account.
    CodeAccount,
    /// Codes typed from one address, which many customers may share.
    CodeSource,
}

impl Guess {
    fn rule(self) -> (&'static str, Slope) {
        match self {
            Guess::CodeAccount => ("code-account", Slope { free: 5, first_ms: 10_000, most_ms: 24 * HOUR_MS }),
            Guess::CodeSource => ("code-source", Slope { free: 30, first_ms: 10_000, most_ms: HOUR_MS }),
        }
    }
}

/// A guess that was let through. Unless it is taken back, it was wrong.
#[derive(Clone, Debug)]
pub struct Guessed {
    key: String,
    n: i64,
}

/// Too many attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts; try again in {retry_after_s} seconds")]
pub struct TooMany {
    /// After how many seconds the next attempt is allowed.
    pub retry_after_s: i64,
}

/// One counter in one window.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Counter {
    /// Action, hashed subject and number of the window.
    key: String,
    ends_at: i64,
}

/// The counters. Clones share them.
#[derive(Clone)]
pub struct Limits(Arc<Inner>);

struct Inner {
    clock: Clock,
    own: Memory,
    delays: Delays,
    local: Local,
    shared: Option<Arc<Link>>,
    together: Option<Arc<Together>>,
}

impl Limits {
    /// Counters of this process only.
    pub fn in_process(clock: Clock) -> Self {
        Self(Arc::new(Inner { clock, own: Memory::default(), delays: Delays::default(), local: Local::default(), shared: None, together: None }))
    }

    /// Counters in Redis, which is connected to when it is first needed.
    ///
    /// # Errors
    /// When the URL is not one of Redis.
    pub fn shared(clock: Clock, random: &Random, redis_url: &str) -> Result<Self, redis::RedisError> {
        Self::with_patience(clock, random, redis_url, together::PATIENCE)
    }

    fn with_patience(clock: Clock, random: &Random, redis_url: &str, patience: Duration) -> Result<Self, redis::RedisError> {
        let link = Arc::new(Link::new(redis_url)?);
        let together = Some(Arc::new(Together::new(Arc::clone(&link), clock.clone(), random, patience)));
        Ok(Self(Arc::new(Inner { clock, own: Memory::default(), delays: Delays::default(), local: Local::default(), shared: Some(link), together })))
    }

    /// Lets a request through that will use about so many tokens, if the limits of every scope allow it: it is counted in all of them, or in none. Scopes without
    /// rules cost nothing.
    ///
    /// # Errors
    /// [`Exceeded`] names the limit that takes longest to allow it.
    pub async fn admit(&self, scopes: &[Scope], tokens: u64) -> Result<Permit, Exceeded> {
        let scopes: Vec<Scope> = scopes.iter().filter(|scope| !scope.rules.is_empty()).copied().collect();
        if scopes.is_empty() {
            return Ok(Permit::unlimited());
        }
        if self.0.together.is_some() {
            // On a task of its own: a caller who leaves in the meantime drops the permit, not the question.
            let (limits, asked) = (self.clone(), scopes.clone());
            if let Ok(Some(answer)) = tokio::spawn(async move { limits.admit_together(asked, tokens).await }).await {
                return answer;
            }
        }
        let rates = self.0.local.admit(&scopes, tokens, self.0.clock.now_ms())?;
        Ok(Permit::new(self, scopes, tokens, rates, Counted::Here))
    }

    async fn admit_together(&self, scopes: Vec<Scope>, tokens: u64) -> Option<Result<Permit, Exceeded>> {
        let answer = self.0.together.as_ref()?.admit(&scopes, tokens, self.0.clock.now_ms()).await?;
        Some(answer.map(|admitted| Permit::new(self, scopes, tokens, admitted.rates, Counted::Together(admitted.lease))))
    }

    /// Whether limits that should be counted for all nodes together are counted by this node for itself, because Redis does not answer.
    pub async fn is_alone(&self) -> bool {
        match &self.0.shared {
            Some(link) => !link.is_well(self.0.clock.now_ms()).await,
            None => false,
        }
    }

    /// Counts an attempt of `subject` (an account, an address).
    ///
    /// # Errors
    /// [`TooMany`] when the window's attempts are used up; the next window begins afresh, however many were refused.
    pub async fn attempt(&self, what: Attempt, subject: &str) -> Result<(), TooMany> {
        let now = self.0.clock.now_ms();
        let counter = counter(what, subject, now);
        let count = self.count(&counter, now).await;
        if count <= what.allowed() {
            return Ok(());
        }
        Err(TooMany { retry_after_s: ((counter.ends_at - now) as u64).div_ceil(1000) as i64 })
    }

    /// Forgets the attempts of `subject`: it has proved to be who it says.
    pub async fn forget(&self, what: Attempt, subject: &str) {
        let now = self.0.clock.now_ms();
        let counter = counter(what, subject, now);
        self.0.own.forget(&counter);
        if let Some(shared) = &self.0.shared {
            shared.forget(&counter, now).await;
        }
    }

    /// Counts a guess of `subject` as a wrong one; [`Limits::was_right`] takes it back.
    ///
    /// # Errors
    /// [`TooMany`] says when the next is let through: later each time.
    pub async fn guess(&self, what: Guess, subject: &str) -> Result<Guessed, TooMany> {
        let now = self.0.clock.now_ms();
        let (name, slope) = what.rule();
        let key = format!("farebox:guess:{name}:{}", &secrets::hash(subject)[..32]);
        let shared = match &self.0.shared {
            Some(shared) => shared.guess(&key, slope, now).await,
            None => None,
        };
        match shared.unwrap_or_else(|| self.0.delays.guess(&key, slope, now)) {
            Ok(n) => Ok(Guessed { key, n }),
            Err(wait_ms) => Err(TooMany { retry_after_s: wait_ms.unsigned_abs().div_ceil(1000) as i64 }),
        }
    }

    /// Takes a guess back: it was none, or it was right.
    pub async fn was_right(&self, guessed: &Guessed) {
        self.0.delays.take_back(&guessed.key, guessed.n);
        if let Some(shared) = &self.0.shared {
            shared.take_back(&guessed.key, guessed.n, self.0.clock.now_ms()).await;
        }
    }

    async fn count(&self, counter: &Counter, now: i64) -> i64 {
        if let Some(shared) = &self.0.shared
            && let Some(count) = shared.count(counter, now).await
        {
            return count;
        }
        self.0.own.count(counter, now)
    }
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.shared.is_some() { "Limits(redis)" } else { "Limits(in process)" })
    }
}

fn counter(what: Attempt, subject: &str, now: i64) -> Counter {
    let (name, _, window) = what.rule();
    let number = now.div_euclid(window);
    Counter { key: format!("farebox:attempt:{name}:{}:{number}", &secrets::hash(subject)[..32]), ends_at: (number + 1) * window }
}

/// The subject for a client's address. An IPv6 network of 64 bits is one subject, since a single customer owns all of it.
pub fn source(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}
