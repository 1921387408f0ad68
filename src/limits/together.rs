//! What keys and users have used of their limits, counted in Redis for all nodes together: one round trip for a request, whatever its limits.
//!
//! A request in progress has a lease, which its node renews while it runs: when the node dies, the lease ends by itself. What has become of requests that ended travels
//! with the next request's question, or shortly after by itself, so that a caller who sends one request after the other is never refused for the last one.

use super::link::Link;
use super::local::refused;
use super::rules::{Exceeded, HOUR, MINUTE, Rates, Rules, Scope, ScopeId, State, What, Whose, correction, most_tokens, reserved};
use crate::kernel::{Clock, Random, secrets};
use redis::Script;
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("rates.lua")));

/// How long a lease lasts that nobody renews.
pub(super) const LEASE_MS: i64 = 60_000;
const RENEW_EVERY: Duration = Duration::from_secs(15);
/// A request waits no longer than this.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);
/// What ended is told by itself when no request takes it along for so long.
const TELL_AFTER: Duration = Duration::from_millis(20);
/// How many ended requests one question takes along, and how many wait while Redis is away; the leases of others end by themselves.
const TOLD_AT_ONCE: usize = 100;
const WAITING: usize = 10_000;

/// A request that has ended, and what is to be corrected.
struct Ended {
    scopes: Vec<Scope>,
    estimated: u64,
    used: u64,
    lease: String,
}

/// The limits of all nodes.
pub(super) struct Together {
    link: Arc<Link>,
    clock: Clock,
    patience: Duration,
    /// What this node's leases begin with, and how many there were.
    name: String,
    leases: AtomicU64,
    ended: Mutex<Vec<Ended>>,
    /// The leases of this node's requests, with whose they are.
    running: Mutex<HashMap<String, Vec<ScopeId>>>,
    wake: Arc<Notify>,
    kept_up: AtomicBool,
}

/// A request was counted.
pub(super) struct Admitted {
    pub(super) rates: Rates,
    pub(super) lease: String,
}

impl Together {
    pub(super) fn new(link: Arc<Link>, clock: Clock, random: &Random, patience: Duration) -> Self {
        let (ended, running, wake) = Default::default();
        let name = secrets::token(random);
        Self { link, clock, patience, name, leases: AtomicU64::new(0), ended, running, wake, kept_up: AtomicBool::new(false) }
    }

    /// Counts one request in every scope, or in none; nothing when Redis cannot be asked. Not to be dropped before it is done: it tells of others, too.
    pub(super) async fn admit(self: &Arc<Self>, scopes: &[Scope], tokens: u64, now: i64) -> Option<Result<Admitted, Exceeded>> {
        if self.link.rests(now) {
            return None;
        }
        self.keep_up();
        let (ended, lease) = (self.take_ended(), self.lease(scopes));
        let Some((counted, mut states)) = self.ask(&ended, scopes, tokens, &lease, now).await else {
            self.doubt(ended, scopes, lease);
            return None;
        };
        if !counted {
            let exceeded = refused(scopes.iter().zip(&states), tokens, now);
            return Some(Err(exceeded.unwrap_or_else(|| unexplained(scopes))));
        }
        let mut rates = Rates::default();
        for (scope, state) in scopes.iter().zip(&mut states) {
            state.take(&scope.rules, tokens, now);
            rates = rates.and(state.rates(&scope.rules, now));
        }
        if !lease.is_empty() {
            let whose = scopes.iter().filter(|scope| scope.rules.concurrency.is_some()).map(|scope| scope.id).collect();
            lock(&self.running).insert(lease.clone(), whose);
        }
        Some(Ok(Admitted { rates, lease }))
    }

    /// Nobody knows whether a question was understood before its answer was lost. Leases are taken back in any case, as often as it takes; tokens are not corrected
    /// twice, they leak away.
    fn doubt(&self, ended: Vec<Ended>, scopes: &[Scope], lease: String) {
        let own = Ended { scopes: scopes.to_vec(), estimated: 0, used: 0, lease };
        for mut one in ended.into_iter().chain([own]).filter(|one| !one.lease.is_empty()) {
            one.scopes.iter_mut().for_each(|scope| scope.rules = Rules::default());
            self.note(one);
        }
    }

    /// A name for a new lease; none is needed where nobody limits requests at the same time.
    fn lease(&self, scopes: &[Scope]) -> String {
        if scopes.iter().all(|scope| scope.rules.concurrency.is_none()) {
            return String::new();
        }
        format!("{}-{}", self.name, self.leases.fetch_add(1, Ordering::Relaxed))
    }

    /// A request has ended, and has used so many tokens.
    pub(super) fn finish(&self, scopes: Vec<Scope>, estimated: u64, used: u64, lease: String) {
        if !lease.is_empty() {
            lock(&self.running).remove(&lease);
        } else if scopes.iter().all(|scope| scope.rules.tpm.is_none()) {
            return;
        }
        self.note(Ended { scopes, estimated, used, lease });
    }

    fn note(&self, ended: Ended) {
        let mut waiting = lock(&self.ended);
        if waiting.len() < WAITING {
            waiting.push(ended);
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// Tells Redis what has ended.
    pub(super) async fn tell(&self) {
        loop {
            let now = self.clock.now_ms();
            let ended = if self.link.rests(now) { Vec::new() } else { self.take_ended() };
            if ended.is_empty() {
                return;
            }
            if self.ask(&ended, &[], 0, "", now).await.is_none() {
                return self.doubt(ended, &[], String::new());
            }
        }
    }

    /// Renews the leases of what still runs here.
    pub(super) async fn renew(&self) {
        self.renew_these(self.leases_held()).await;
    }

    /// The leases of what runs here now, with whose they are.
    pub(super) fn leases_held(&self) -> Vec<(String, Vec<ScopeId>)> {
        lock(&self.running).iter().map(|(lease, whose)| (lease.clone(), whose.clone())).collect()
    }

    /// Renews these leases, also those that Redis has forgotten. What has ended meanwhile may have been taken back before it was renewed: it is taken back again.
    pub(super) async fn renew_these(&self, leases: Vec<(String, Vec<ScopeId>)>) {
        let now = self.clock.now_ms();
        let mut commands = redis::pipe();
        for (lease, whose) in &leases {
            for id in whose {
                let key = key("busy", *id);
                commands.zadd(&key, lease, now + LEASE_MS).ignore().pexpire(&key, LEASE_MS + MINUTE).ignore();
            }
        }
        if commands.is_empty() {
            return;
        }
        let _: Option<()> = self.link.run(&commands, now).await;
        let gone: Vec<_> = {
            let running = lock(&self.running);
            leases.into_iter().filter(|(lease, _)| !running.contains_key(lease)).collect()
        };
        for (lease, whose) in gone {
            let scopes = whose.into_iter().map(|id| Scope { id, rules: Rules::default() }).collect();
            self.note(Ended { scopes, estimated: 0, used: 0, lease });
        }
    }

    fn take_ended(&self) -> Vec<Ended> {
        let mut waiting = lock(&self.ended);
        let first = waiting.len().saturating_sub(TOLD_AT_ONCE);
        waiting.split_off(first)
    }

    async fn ask(&self, ended: &[Ended], scopes: &[Scope], tokens: u64, lease: &str, now: i64) -> Option<(bool, Vec<State>)> {
        let told = ended.iter().map(|one| one.scopes.len()).sum::<usize>();
        let mut call = SCRIPT.prepare_invoke();
        call.arg(now).arg(lease).arg(now + LEASE_MS).arg(told).arg(scopes.len());
        for one in ended {
            for scope in &one.scopes {
                let (correction, most) = scope.rules.tpm.map_or((0, 0), |limit| (correction(limit, one.estimated, one.used), most_tokens(limit)));
                call.key(key("rate", scope.id)).key(key("busy", scope.id));
                call.arg(number(scope.rules.rpm)).arg(number(scope.rules.tpm)).arg(correction).arg(most).arg(&one.lease);
            }
        }
        for scope in scopes {
            let rules = &scope.rules;
            call.key(key("rate", scope.id)).key(key("day", scope.id)).key(key("busy", scope.id));
            call.arg(number(rules.rpm)).arg(number(rules.tpm)).arg(number(rules.rpd)).arg(number(rules.concurrency));
            call.arg(rules.tpm.map_or(0, |limit| reserved(limit, tokens)));
        }
        let answer: Vec<String> = self.link.ask(now, self.patience, async |connection| call.invoke_async(connection).await).await?;
        Some(read(&answer, now))
    }

    /// Sees to it that what ended is told and what runs is renewed, as long as somebody has this.
    fn keep_up(self: &Arc<Self>) {
        if self.kept_up.swap(true, Ordering::Relaxed) {
            return;
        }
        let (together, wake) = (Arc::downgrade(self), Arc::clone(&self.wake));
        tokio::spawn(keep_up(together, wake));
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

async fn keep_up(together: Weak<Together>, wake: Arc<Notify>) {
    let mut renewal = tokio::time::interval(RENEW_EVERY);
    renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let renew = tokio::select! {
            () = wake.notified() => false,
            _ = renewal.tick() => true,
        };
        if !renew {
            tokio::time::sleep(TELL_AFTER).await;
        }
        let Some(together) = together.upgrade() else { return };
        if renew {
            together.renew().await;
        }
        together.tell().await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(what: &str, scope: ScopeId) -> String {
    let whose = match scope.whose {
        Whose::Key => 'k',
        Whose::User => 'u',
    };
    format!("farebox:{what}:{whose}{}", scope.id)
}

fn number(limit: Option<NonZeroU64>) -> i64 {
    limit.map_or(0, super::rules::signed)
}

/// Reads the script's answer. What cannot be read counts as nothing used: Redis holds no money.
fn read(answer: &[String], now: i64) -> (bool, Vec<State>) {
    let counted = answer.first().is_some_and(|word| word == "1");
    let states = answer.get(1..).unwrap_or_default().chunks_exact(4).map(|of| {
        let mut state = State { at: now, requests: of[0].parse().unwrap_or(0), tokens: of[1].parse().unwrap_or(0), ..State::default() };
        state.running = of[2].parse().unwrap_or(0);
        let mut day = Box::<super::rules::Day>::default();
        day.add(now.div_euclid(HOUR), 0);
        for (hour, count) in of[3].split(' ').filter_map(|pair| pair.split_once(':')) {
            day.add(hour.parse().unwrap_or(0), count.parse().unwrap_or(0));
        }
        state.day = Some(day);
        state
    });
    (counted, states.collect())
}

/// The script refused and the arithmetic here would not have: a clock that jumped between the two.
fn unexplained(scopes: &[Scope]) -> Exceeded {
    let (whose, limit) = scopes.first().map_or((Whose::User, 0), |scope| (scope.id.whose, scope.rules.rpm.map_or(0, NonZeroU64::get)));
    Exceeded { what: What::Requests, whose, limit, remaining: 0, retry_after_ms: 1_000, rates: Rates::default() }
}
