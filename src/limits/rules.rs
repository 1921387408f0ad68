//! What may be limited, and the arithmetic of it: pure, and the same whether the counters are in this process or in Redis.
//!
//! Requests and tokens per minute are buckets that leak: a request fills one, and it runs empty at exactly the limit per minute. So a burst of the whole
//! limit is allowed, a caller who keeps to the limit is never refused, and there is no edge of a window at which two limits fit into a moment: in any
//! span of time a caller gets at most the limit, and the limit per minute of that span. A bucket is two numbers, whatever the limit.
//!
//! A day is counted strictly, since "a thousand a day" must not mean two thousand in one: the hour that runs and the 24 before it, together at most the limit. What was
//! used comes back hour by hour.
//!
//! Levels are whole numbers in 1/60,000 of a request or a token, so that every millisecond leaks exactly `limit` of them and nothing is ever rounded.

use crate::kernel::Id;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;

/// One minute in milliseconds, and how many units of a level a request or a token is.
pub(super) const MINUTE: i64 = 60_000;
pub(super) const HOUR: i64 = 60 * MINUTE;
/// The hours that count: the one that runs, and a day before it.
pub(super) const HOURS: usize = 25;
/// The highest limit: levels stay whole numbers in Redis's arithmetic too, which is that of doubles.
pub const MAX_LIMIT: u64 = 100_000_000_000;
/// How many minutes' worth of tokens an answer may leave a bucket in debt: nobody waits longer than an hour.
pub(super) const MAX_DEBT: i64 = 60;
/// When a place among the requests at the same time becomes free is not known.
const BUSY_RETRY_MS: i64 = 1_000;

/// The limits of a key or of a user; none for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rules {
    /// Requests per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpm: Option<NonZeroU64>,
    /// Tokens per minute, input and output together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<NonZeroU64>,
    /// Requests per day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpd: Option<NonZeroU64>,
    /// Requests at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroU64>,
}

impl Rules {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These, and `others` where nothing is said.
    pub fn or(self, others: Rules) -> Rules {
        Rules { rpm: self.rpm.or(others.rpm), tpm: self.tpm.or(others.tpm), rpd: self.rpd.or(others.rpd), concurrency: self.concurrency.or(others.concurrency) }
    }
}

/// Whose limits they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    /// The key's.
    Key,
    /// The user's, for all their keys together.
    User,
}

/// What counts together: a key or a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScopeId {
    /// Of which kind.
    pub whose: Whose,
    /// Which one.
    pub id: Id,
}

/// A key or a user with their limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Which one.
    pub id: ScopeId,
    /// What limits it.
    pub rules: Rules,
}

/// What there is too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Requests in a minute.
    Requests,
    /// Tokens in a minute.
    Tokens,
    /// Requests in a day.
    Day,
    /// Requests at the same time.
    Concurrency,
}

/// A limit as its caller is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The limit.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// Milliseconds until all of it is there again, if nothing is used.
    pub reset_ms: i64,
}

/// The tightest limits of a request, of whoever they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// On requests, in a minute or in a day.
    pub requests: Option<Rate>,
    /// On tokens.
    pub tokens: Option<Rate>,
}

/// A limit is reached. Nothing was counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what:?} of the {whose:?}: the limit of {limit} is reached")]
pub struct Exceeded {
    /// What there is too much of.
    pub what: What,
    /// Whose limit it is.
    pub whose: Whose,
    /// The limit.
    pub limit: u64,
    /// What is left of it: not enough.
    pub remaining: u64,
    /// After how many milliseconds trying again makes sense.
    pub retry_after_ms: i64,
    /// All limits, for the headers.
    pub rates: Rates,
}

/// The requests of a day by the hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Day {
    /// The hour, counted from 1970, that the last count is for.
    newest: i64,
    counts: [u32; HOURS],
}

impl Default for Day {
    fn default() -> Self {
        Self { newest: 0, counts: [0; HOURS] }
    }
}

impl Day {
    /// Adds requests of an hour; hours that are too old are not counted.
    pub(super) fn add(&mut self, hour: i64, requests: u32) {
        self.turn_to(hour);
        let age = self.newest - hour;
        if (0..HOURS as i64).contains(&age) {
            let count = &mut self.counts[HOURS - 1 - age as usize];
            *count = count.saturating_add(requests);
        }
    }

    /// Forgets the hours that do not count in `hour` any more. A clock that goes back forgets nothing.
    fn turn_to(&mut self, hour: i64) {
        let ahead = (hour - self.newest).clamp(0, HOURS as i64);
        self.counts.rotate_left(ahead as usize % HOURS);
        let kept = HOURS - ahead as usize;
        self.counts[kept..].fill(0);
        self.newest = self.newest.max(hour);
    }

    fn sum(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    /// In how many milliseconds at most `limit` requests count, when none is added.
    fn wait(&self, limit: u64, now: i64) -> i64 {
        let mut left = self.sum();
        let mut gone = 0;
        while left > limit && gone < HOURS {
            left -= u64::from(self.counts[gone]);
            gone += 1;
        }
        if gone == 0 { 0 } else { ((self.newest + gone as i64) * HOUR - now).max(0) }
    }
}

/// How much of its limits a scope has used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// The moment that the levels are of.
    pub(super) at: i64,
    pub(super) requests: i64,
    pub(super) tokens: i64,
    pub(super) running: u64,
    pub(super) day: Option<Box<Day>>,
}

impl State {
    /// Lets time pass.
    pub(super) fn leak(&mut self, rules: &Rules, now: i64) {
        // A clock that was an hour ahead and was set right must not lock anybody out.
        let elapsed = if self.at > now + MINUTE { 0 } else { (now - self.at).max(0) };
        self.at = if self.at > now + MINUTE { now } else { self.at.max(now) };
        let leaked = |level: i64, limit: Option<NonZeroU64>| limit.map_or(0, |limit| level.saturating_sub(elapsed.saturating_mul(signed(limit))).max(0));
        self.requests = leaked(self.requests, rules.rpm);
        self.tokens = leaked(self.tokens, rules.tpm);
        match (&mut self.day, rules.rpd) {
            (Some(day), Some(_)) => day.turn_to(now.div_euclid(HOUR)),
            (day, None) => *day = None,
            (None, Some(_)) => {}
        }
    }

    /// What stands against one request more, after [`State::leak`]: of several limits the one that takes longest.
    pub(super) fn refusal(&self, rules: &Rules, tokens: u64, now: i64) -> Option<(What, Rate, i64)> {
        let over = |what, limit: NonZeroU64, level: i64, need: i64| {
            let too_much = level.saturating_add(need) - signed(limit) * MINUTE;
            (too_much > 0).then(|| (what, bucket(limit, level), ceil_div(too_much, signed(limit))))
        };
        let requests = rules.rpm.and_then(|limit| over(What::Requests, limit, self.requests, MINUTE));
        let tokens = rules.tpm.and_then(|limit| over(What::Tokens, limit, self.tokens, reserved(limit, tokens)));
        let day = rules.rpd.filter(|limit| self.used_today() >= limit.get()).map(|limit| {
            let wait = self.day.as_ref().map_or(HOUR, |day| day.wait(limit.get() - 1, now));
            (What::Day, self.today(limit, now), wait)
        });
        let full = rules.concurrency.filter(|limit| self.running >= limit.get());
        let busy = full.map(|limit| (What::Concurrency, Rate { limit: limit.get(), remaining: 0, reset_ms: BUSY_RETRY_MS }, BUSY_RETRY_MS));
        [requests, tokens, day, busy].into_iter().flatten().max_by_key(|(_, _, wait)| *wait)
    }

    /// Counts one request, after [`State::refusal`] found nothing.
    pub(super) fn take(&mut self, rules: &Rules, tokens: u64, now: i64) {
        if rules.rpm.is_some() {
            self.requests = self.requests.saturating_add(MINUTE);
        }
        if let Some(limit) = rules.tpm {
            self.tokens = self.tokens.saturating_add(reserved(limit, tokens));
        }
        if rules.concurrency.is_some() {
            self.running += 1;
        }
        if rules.rpd.is_some() {
            self.day.get_or_insert_default().add(now.div_euclid(HOUR), 1);
        }
    }

    /// Corrects the tokens of a request that has ended, after [`State::leak`].
    pub(super) fn correct(&mut self, limit: NonZeroU64, reserved_tokens: u64, used: u64) {
        self.tokens = self.tokens.saturating_add(correction(limit, reserved_tokens, used)).clamp(0, most_tokens(limit));
    }

    /// Nothing is left to remember.
    pub(super) fn is_idle(&self, now: i64) -> bool {
        let silent = now - self.at;
        let leaked = self.tokens == 0 && (self.requests == 0 || silent > MINUTE) || silent > (MAX_DEBT + 1) * MINUTE;
        self.running == 0 && leaked && self.day.as_ref().is_none_or(|day| day.newest + HOURS as i64 <= now.div_euclid(HOUR))
    }

    /// The limits of this scope, for its caller.
    pub(super) fn rates(&self, rules: &Rules, now: i64) -> Rates {
        let minute = rules.rpm.map(|limit| bucket(limit, self.requests));
        let day = rules.rpd.map(|limit| self.today(limit, now));
        Rates { requests: tighter(minute, day), tokens: rules.tpm.map(|limit| bucket(limit, self.tokens)) }
    }

    fn used_today(&self) -> u64 {
        self.day.as_ref().map_or(0, |day| day.sum())
    }

    fn today(&self, limit: NonZeroU64, now: i64) -> Rate {
        let reset_ms = self.day.as_ref().map_or(0, |day| day.wait(0, now));
        Rate { limit: limit.get(), remaining: limit.get().saturating_sub(self.used_today()), reset_ms }
    }
}

impl Rates {
    /// Of each kind the tighter one.
    pub(super) fn and(self, other: Rates) -> Rates {
        Rates { requests: tighter(self.requests, other.requests), tokens: tighter(self.tokens, other.tokens) }
    }
}

fn tighter(a: Option<Rate>, b: Option<Rate>) -> Option<Rate> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if (b.remaining, -b.reset_ms) < (a.remaining, -a.reset_ms) { b } else { a }),
        (a, b) => a.or(b),
    }
}

fn bucket(limit: NonZeroU64, level: i64) -> Rate {
    let room = (signed(limit) * MINUTE - level).max(0);
    Rate { limit: limit.get(), remaining: (room / MINUTE) as u64, reset_ms: ceil_div(level, signed(limit)) }
}

/// What a request reserves. One that is estimated at more than a whole minute's tokens is let through when the bucket is empty: it could never be otherwise. What it
/// really uses is counted afterwards.
pub(super) fn reserved(limit: NonZeroU64, tokens: u64) -> i64 {
    signed(limit).min(i64::try_from(tokens).unwrap_or(i64::MAX)).max(1) * MINUTE
}

/// By how much the level changes when a request that was estimated has used so many tokens.
pub(super) fn correction(limit: NonZeroU64, estimated: u64, used: u64) -> i64 {
    let used = i64::try_from(used).unwrap_or(i64::MAX).saturating_mul(MINUTE).min(most_tokens(limit));
    used - reserved(limit, estimated)
}

/// The highest level of tokens: the limit, and the debt that an answer may leave.
pub(super) fn most_tokens(limit: NonZeroU64) -> i64 {
    signed(limit) * MINUTE * (MAX_DEBT + 1)
}

/// A limit as a number to count with. No larger one than [`MAX_LIMIT`] counts.
pub(super) fn signed(limit: NonZeroU64) -> i64 {
    limit.get().min(MAX_LIMIT) as i64
}

fn ceil_div(a: i64, b: i64) -> i64 {
    a / b + i64::from(a % b > 0)
}
