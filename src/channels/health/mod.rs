//! How channels have been doing: what keeps requests away from an upstream that fails, and lets them come back.
//!
//! A channel has circuits of three kinds. Its own opens when nothing can connect, or when one request after the other fails whatever model it is
//! for. Each key has one, for refusals that are the key's (401, 402, 429) or that may be (403, which some upstreams say to what a request says). Each of the upstream's models that failed lately has one, for 5xx,
//! time-outs and answers that are none: one broken model does not take the others along. A request passes when all three let it.
//!
//! One failure never opens a circuit, but for one that names the pause that it asks for. An open circuit closes when the one request that it lets
//! through to see, or a probe, is answered; whatever was under way before says nothing of now. The state is this node's own and in memory; it stays
//! when the snapshot is read again, by the channel's id and its keys' fingerprints, and goes with the channel.

mod circuit;
mod permit;
mod registry;

pub use circuit::{Fault, Standing};
pub(super) use permit::Wanted;
pub use permit::{Permit, Refusal};
pub(super) use registry::Registry;

use crate::kernel::{Clock, Random};
use circuit::{Circuit, Failure, Rule};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Nothing connects.
const UNREACHABLE: Rule = Rule { streak: 3, by_share: true, base_ms: 5_000, cap_ms: 300_000 };
/// Answers are failures.
const FAILING: Rule = Rule { streak: 5, by_share: true, base_ms: 5_000, cap_ms: 300_000 };
/// The key is refused: somebody has to do something about it, or to pay.
const REFUSED: Rule = Rule { streak: 2, by_share: true, base_ms: 60_000, cap_ms: 3_600_000 };
/// The key is refused, or what was asked is: a customer who provokes it must not take the key from the others for long.
const FORBIDDEN: Rule = Rule { streak: 8, by_share: false, base_ms: 2_000, cap_ms: 30_000 };
/// The key is over its limits, and the upstream does not say for how long.
const LIMITED: Rule = Rule { streak: 3, by_share: true, base_ms: 2_000, cap_ms: 60_000 };
/// How many models of a channel are kept apart; further ones count for the channel as a whole.
const MAX_MODELS: usize = 64;
/// After so long without another failure a run of them is none.
const RUN_ENDS_AFTER_MS: i64 = 600_000;

/// What came of asking an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answered.
    Ok,
    /// It answered with this status and no answer.
    Status(u16),
    /// Nothing came in time.
    Timeout,
    /// Nothing came in what was left of the request's own time, which may have been little.
    TimeUp,
    /// No connection.
    Connect,
    /// The connection broke off, or what came was no answer.
    Broken,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blame {
    Nobody,
    /// The caller's request is wrong, which tells of the upstream only that it is there.
    Caller,
    Key(KeyFault),
    Model,
    Channel,
}

/// Why a key was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyFault {
    Refused,
    Forbidden,
    Limited,
}

impl Verdict {
    fn blame(self) -> Blame {
        match self {
            Verdict::Ok => Blame::Nobody,
            Verdict::Status(401 | 402) => Blame::Key(KeyFault::Refused),
            Verdict::Status(403) => Blame::Key(KeyFault::Forbidden),
            Verdict::Status(429) => Blame::Key(KeyFault::Limited),
            Verdict::Status(300..=399 | 408 | 409 | 500..) | Verdict::Timeout | Verdict::Broken => Blame::Model,
            Verdict::Status(_) | Verdict::TimeUp => Blame::Caller,
            Verdict::Connect => Blame::Channel,
        }
    }

    /// Whether another key of the same channel may do better.
    pub fn is_the_keys(self) -> bool {
        matches!(self.blame(), Blame::Key(_))
    }

    /// Whether it says that the request itself is wrong.
    pub fn is_the_callers(self) -> bool {
        self.blame() == Blame::Caller
    }

    /// Whether another model of the same upstream may do better.
    pub fn is_the_models(self) -> bool {
        self.blame() == Blame::Model
    }
}

/// How one channel has been doing.
#[derive(Debug)]
pub struct Health {
    clock: Clock,
    random: Random,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Tells when the channel was pointed elsewhere: then what was before does not count.
    identity: String,
    /// Counts its changes: what permits from before have to tell is of something else.
    epoch: u32,
    whole: Circuit,
    keys: Vec<(u64, Circuit)>,
    /// Only those that failed lately, by the upstream's names.
    models: HashMap<Box<str>, Circuit>,
    /// The failures in a row that were a model's.
    failing: Option<Run>,
    in_flight: u32,
    /// How many of these nothing is known of yet.
    awaited: u32,
    next_key: usize,
}

/// Failures in a row.
#[derive(Debug)]
struct Run {
    /// The model of the first one.
    model: Box<str>,
    /// Another model has failed, too.
    several: bool,
    length: u32,
    /// When the latest was.
    at: i64,
}

/// What the admin sees of a channel's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthView {
    /// How it stands as a whole: open when no request can pass, degraded when some cannot.
    pub standing: Standing,
    /// When the next request is let through, while it is open.
    pub open_until: Option<i64>,
    /// How many requests run now, on this node.
    pub in_flight: u32,
    /// How its keys stand, in their order.
    pub keys: Vec<Standing>,
    /// The upstream's models that are out of use, in the order of their names.
    pub models_out: Vec<String>,
    /// What went wrong last.
    pub last_fault: Option<Fault>,
}

impl Health {
    fn new(clock: Clock, random: Random) -> Self {
        Self { clock, random, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over the keys of a channel that was read again.
    fn adopt(&self, identity: &str, fingerprints: &[u64]) {
        let mut state = self.lock();
        if state.identity != identity {
            state.begin_anew(identity);
        }
        let mut before = std::mem::take(&mut state.keys);
        let known = |fingerprint: &u64, before: &mut Vec<(u64, Circuit)>| {
            let at = before.iter().position(|(known, _)| known == fingerprint)?;
            Some(before.swap_remove(at))
        };
        state.keys = fingerprints.iter().map(|fingerprint| known(fingerprint, &mut before).unwrap_or((*fingerprint, Circuit::default()))).collect();
    }

    /// Forgets how a channel was doing that is not in use any more. Whether requests still run on it, which count when it comes back.
    fn retire(&self) -> bool {
        let mut state = self.lock();
        state.begin_anew("");
        state.in_flight > 0
    }

    /// What the admin sees.
    pub fn view(&self) -> HealthView {
        let (mut state, now) = (self.lock(), self.clock.now_ms());
        state.models.retain(|_, circuit| !circuit.is_stale(now));
        let keys: Vec<Standing> = state.keys.iter().map(|(_, circuit)| circuit.standing(now)).collect();
        let mut models_out: Vec<String> =
            state.models.iter().filter(|(_, circuit)| circuit.standing(now) >= Standing::HalfOpen).map(|(name, _)| name.to_string()).collect();
        models_out.sort();
        let best_key = keys.iter().min().copied().unwrap_or(Standing::Healthy);
        let worst = state.keys.iter().map(|(_, circuit)| circuit).chain(state.models.values()).map(|circuit| circuit.standing(now)).max();
        let blemish = worst.filter(|worst| *worst > Standing::Healthy).map_or(Standing::Healthy, |_| Standing::Degraded);
        let standing = state.whole.standing(now).max(best_key).max(blemish);
        let circuits = || std::iter::once(&state.whole).chain(state.keys.iter().map(|(_, circuit)| circuit)).chain(state.models.values());
        let keys_until = state.keys.iter().filter_map(|(_, circuit)| circuit.closed_until(now)).min();
        let open_until = (standing == Standing::Open).then(|| state.whole.closed_until(now).max(keys_until)).flatten();
        let last_fault = circuits().filter_map(Circuit::fault).max_by_key(|fault| fault.at).cloned();
        HealthView { standing, open_until, in_flight: state.in_flight, keys, models_out, last_fault }
    }
}

/// What is reported: the verdict and everything that it is held against.
struct Report<'a> {
    verdict: Verdict,
    fingerprint: u64,
    model: &'a str,
    chat: bool,
    retry_after: Option<Duration>,
    trials: permit::Trials,
}

impl State {
    fn begin_anew(&mut self, identity: &str) {
        let (in_flight, awaited, epoch) = (self.in_flight, self.awaited, self.epoch.wrapping_add(1));
        *self = Self { identity: identity.to_owned(), in_flight, awaited, epoch, ..Self::default() };
    }

    fn key(&mut self, fingerprint: u64) -> Option<&mut Circuit> {
        self.keys.iter_mut().find(|(known, _)| *known == fingerprint).map(|(_, circuit)| circuit)
    }

    /// Counts what came of a request. Returns what it has opened, for the log.
    fn count(&mut self, report: &Report<'_>, now: i64, draw: impl Fn() -> u64) -> Option<&'static str> {
        let awaited = self.awaited;
        let failure = |rule: Rule, trial: bool| Failure {
            fault: circuit::Fault { at: now, verdict: report.verdict, model: report.model.into(), chat: report.chat },
            rule,
            at_once: false,
            trial,
            retry_after: report.retry_after,
            awaited,
            draw: draw(),
        };
        let blame = report.verdict.blame();
        // Whoever answers at all can be reached, if that was what was wrong.
        let is_answer = matches!(report.verdict, Verdict::Status(_)) && matches!(blame, Blame::Caller | Blame::Key(_));
        if is_answer && report.trials.whole && self.whole.fault().is_some_and(|fault| fault.verdict == Verdict::Connect) {
            self.whole.succeed(now, true);
        }
        match blame {
            Blame::Nobody => {
                self.whole.succeed(now, report.trials.whole);
                self.failing = None;
                if let Some(key) = self.key(report.fingerprint) {
                    key.succeed(now, report.trials.key);
                }
                if !self.models.is_empty() {
                    self.model_succeeded(report, now);
                }
                None
            }
            Blame::Caller => None,
            Blame::Key(why) => {
                let rule = match why {
                    KeyFault::Refused => REFUSED,
                    KeyFault::Forbidden => FORBIDDEN,
                    KeyFault::Limited => LIMITED,
                };
                let at_once = why == KeyFault::Limited && report.retry_after.is_some();
                let opened = self.key(report.fingerprint).is_some_and(|key| key.fail(Failure { at_once, ..failure(rule, report.trials.key) }));
                opened.then_some("key")
            }
            Blame::Model => self.model_failed(report, failure(FAILING, report.trials.model), failure(FAILING, report.trials.whole)),
            Blame::Channel => self.whole.fail(failure(UNREACHABLE, report.trials.whole)).then_some("channel"),
        }
    }

    fn model_succeeded(&mut self, report: &Report<'_>, now: i64) {
        if let Some(circuit) = self.models.get_mut(report.model) {
            circuit.succeed(now, report.trials.model);
            if circuit.is_clean() {
                self.models.remove(report.model);
            }
        }
    }

    fn model_failed(&mut self, report: &Report<'_>, own: Failure, whole: Failure) -> Option<&'static str> {
        let now = own.fault.at;
        let run = self.failing.take().filter(|run| now.saturating_sub(run.at) <= RUN_ENDS_AFTER_MS);
        let mut run = run.unwrap_or_else(|| Run { model: report.model.into(), several: false, length: 0, at: now });
        run.several |= *run.model != *report.model;
        (run.length, run.at) = (run.length.saturating_add(1), now);
        // One model that fails is no reason to leave the others alone; several in a row are.
        let all = run.several && run.length >= FAILING.enough(own.awaited);
        self.failing = Some(run);
        if self.models.len() >= MAX_MODELS {
            self.models.retain(|_, circuit| !circuit.is_stale(now));
        }
        let untracked = self.models.len() >= MAX_MODELS && !self.models.contains_key(report.model);
        if (all || untracked || report.trials.whole) && self.whole.fail(Failure { at_once: all, ..whole }) {
            return Some("channel");
        }
        let own = Failure { at_once: report.retry_after.is_some(), ..own };
        (!untracked && self.models.entry(report.model.into()).or_default().fail(own)).then_some("model")
    }
}

#[cfg(test)]
mod tests;
