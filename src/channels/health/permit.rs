//! The way to a channel: a permit for one request, with the key that it goes with.

use super::circuit::Circuit;
use super::{Health, Report, State, Verdict};
use crate::channels::{Channel, KeySlot};
use std::sync::Arc;
use std::time::Duration;

/// Why a channel is not to be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It, or the model on it, is out of use until then (unix milliseconds).
    Open(i64),
    /// All of its keys are out of use until then, or were tried already.
    Keys(i64),
    /// As many requests run as may.
    Busy,
}

/// Which circuits let the request through only to see.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trials {
    pub(super) whole: bool,
    pub(super) key: bool,
    pub(super) model: bool,
}

/// Leave to ask a channel once. It counts as a running request until it is dropped.
#[derive(Debug)]
pub struct Permit {
    health: Arc<Health>,
    /// Which key to send.
    pub key: usize,
    fingerprint: u64,
    /// The upstream's name of the model.
    pub model: String,
    /// It is asked for a chat, as by a probe.
    pub chat: bool,
    trials: Trials,
    epoch: u32,
    /// Counts towards the channel's running requests; a probe does not.
    counted: bool,
    /// What will come of it is not known yet.
    awaited: bool,
}

impl Channel {
    /// Leave to ask the channel for a model (by the upstream's name), with a key that is not among those tried before (by index). With an
    /// affinity the same key is chosen each time while it is healthy, else they take turns.
    ///
    /// # Errors
    /// Why not.
    pub fn permit(&self, model: &str, affinity: Option<u64>, tried: &[usize]) -> Result<Permit, Refusal> {
        let health = &self.health;
        let mut guard = health.lock();
        let state = &mut *guard;
        if self.options.max_concurrency.is_some_and(|limit| state.in_flight >= limit) {
            return Err(Refusal::Busy);
        }
        let (whole, own) = (&mut state.whole, state.models.get_mut(model));
        // The clock is asked only when something is wrong: mostly nothing is.
        let mut now = None;
        let mut now = || *now.get_or_insert_with(|| health.clock.now_ms());
        if let Some(until) = [Some(&*whole), own.as_deref()].into_iter().flatten().filter_map(|circuit| blocked(circuit, &mut now)).max() {
            return Err(Refusal::Open(until));
        }
        let start = affinity.map_or(state.next_key, |affinity| (affinity % self.keys.len().max(1) as u64) as usize);
        let slot = pick(&self.keys, &state.keys, start, tried, &mut now)?;
        state.next_key = state.next_key.wrapping_add(1) % self.keys.len().max(1);
        state.in_flight += 1;
        state.awaited += 1;
        let epoch = state.epoch;
        let mut trials = Trials { whole: state.whole.begin_trial(), ..Trials::default() };
        trials.model = state.models.get_mut(model).is_some_and(Circuit::begin_trial);
        trials.key = state.key(slot.fingerprint).is_some_and(Circuit::begin_trial);
        drop(guard);
        let (health, model) = (Arc::clone(health), model.to_owned());
        Ok(Permit { health, key: slot.index, fingerprint: slot.fingerprint, model, chat: true, trials, epoch, counted: true, awaited: true })
    }
}

/// Until when a circuit keeps requests away.
fn blocked(circuit: &Circuit, now: &mut impl FnMut() -> i64) -> Option<i64> {
    if circuit.is_closed() { None } else { circuit.closed_until(now()) }
}

/// The first key from `start` on that is healthy and was not tried.
fn pick<'a>(slots: &'a [KeySlot], circuits: &[(u64, Circuit)], start: usize, tried: &[usize], now: &mut impl FnMut() -> i64) -> Result<&'a KeySlot, Refusal> {
    let mut soonest = i64::MAX;
    for slot in slots.iter().cycle().skip(start).take(slots.len()).filter(|slot| !tried.contains(&slot.index)) {
        // A key that this reading of the channel does not know has nothing against it.
        let circuit = circuits.iter().find(|(fingerprint, _)| *fingerprint == slot.fingerprint).map(|(_, circuit)| circuit);
        match circuit.and_then(|circuit| blocked(circuit, now)) {
            None => return Ok(slot),
            Some(until) => soonest = soonest.min(until),
        }
    }
    Err(Refusal::Keys(soonest))
}

impl Permit {
    /// Counts what came of the request; `retry_after` is the pause that the upstream asked for. May be called again, for a stream that begins well
    /// and then breaks off.
    pub fn report(&mut self, verdict: Verdict, retry_after: Option<Duration>) {
        let trials = std::mem::take(&mut self.trials);
        let report = Report { verdict, fingerprint: self.fingerprint, model: &self.model, chat: self.chat, retry_after, trials };
        let mut state = self.health.lock();
        if std::mem::take(&mut self.awaited) {
            state.awaited = state.awaited.saturating_sub(1);
        }
        if state.epoch != self.epoch {
            return;
        }
        let opened = state.count(&report, self.health.clock.now_ms(), || u64::from_le_bytes(self.health.random.bytes()));
        give_back(&mut state, trials, self.fingerprint, &self.model);
        drop(state);
        if let Some(what) = opened {
            tracing::warn!(what, model = %self.model, key = self.key, ?verdict, "taken out of use for a while");
        }
    }
}

/// Trials that have come to no decision are free again. On a circuit that has closed or opened anew this changes nothing.
fn give_back(state: &mut State, trials: Trials, fingerprint: u64, model: &str) {
    if trials.whole {
        state.whole.end_trial();
    }
    if let Some(circuit) = state.models.get_mut(model).filter(|_| trials.model) {
        circuit.end_trial();
    }
    if let Some(circuit) = state.key(fingerprint).filter(|_| trials.key) {
        circuit.end_trial();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.health.lock();
        if self.counted {
            state.in_flight = state.in_flight.saturating_sub(1);
        }
        if self.awaited {
            state.awaited = state.awaited.saturating_sub(1);
        }
        if state.epoch != self.epoch {
            return;
        }
        give_back(&mut state, self.trials, self.fingerprint, &self.model);
    }
}

/// A circuit that a probe should try out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::channels) enum Wanted {
    /// The channel's own.
    Whole,
    /// That of the key with this fingerprint.
    Key(u64),
    /// That of one of the upstream's models.
    Model(Box<str>),
}

impl Channel {
    /// What a probe is due for. Nothing is taken for it yet: [`Channel::begin_probe`] does when it is sent.
    pub(in crate::channels) fn due_probes(&self) -> Vec<Wanted> {
        let (state, now) = (self.health.lock(), self.health.clock.now_ms());
        let whole = std::iter::once((Wanted::Whole, &state.whole));
        let keys = state.keys.iter().map(|(fingerprint, circuit)| (Wanted::Key(*fingerprint), circuit));
        let mut models: Vec<_> = state.models.iter().map(|(name, circuit)| (Wanted::Model(name.clone()), circuit)).collect();
        models.sort_by_key(|(_, circuit)| circuit.fault().map(|fault| fault.at));
        whole.chain(keys).chain(models).filter(|(wanted, circuit)| self.is_due(wanted, circuit, now)).map(|(wanted, _)| wanted).collect()
    }

    fn is_due(&self, wanted: &Wanted, circuit: &Circuit, now: i64) -> bool {
        let probe = &self.options.probe;
        let named = probe.model.as_deref();
        let was_chat = circuit.fault().is_none_or(|fault| fault.chat);
        let may = match wanted {
            // A probe is a chat. What failed as something else, such as an embedding, may be no chat model at all: a customer's request tries it.
            Wanted::Whole | Wanted::Key(_) => named.is_some() || was_chat,
            // Another model says nothing about this one: when the admin names a model to probe with, the others wait for a customer's request.
            Wanted::Model(name) => was_chat && named.is_none_or(|named| named == &**name),
        };
        may && circuit.wants_probe(now, probe.interval)
    }

    /// Takes the trial of a circuit for a probe that is sent now, or none when it is not due any more. A probe does not count as a running request.
    pub(in crate::channels) fn begin_probe(&self, wanted: &Wanted) -> Option<Permit> {
        let (mut guard, now) = (self.health.lock(), self.health.clock.now_ms());
        let state = &mut *guard;
        let epoch = state.epoch;
        let is_open = |fingerprint: u64| state.keys.iter().any(|(known, circuit)| *known == fingerprint && !circuit.is_closed());
        let slot = match wanted {
            Wanted::Key(fingerprint) => self.keys.iter().find(|slot| slot.fingerprint == *fingerprint)?,
            _ => self.keys.iter().find(|slot| !is_open(slot.fingerprint)).or(self.keys.first())?,
        };
        let (circuit, trials) = match wanted {
            Wanted::Whole => (&mut state.whole, Trials { whole: true, ..Trials::default() }),
            Wanted::Key(fingerprint) => (state.key(*fingerprint)?, Trials { key: true, ..Trials::default() }),
            Wanted::Model(name) => (state.models.get_mut(name)?, Trials { model: true, ..Trials::default() }),
        };
        if !self.is_due(wanted, circuit, now) || !circuit.begin_probe(now) {
            return None;
        }
        let model = match wanted {
            Wanted::Model(name) => name.to_string(),
            _ => self.options.probe.model.clone().or_else(|| circuit.fault().map(|fault| fault.model.to_string())).unwrap_or_default(),
        };
        drop(guard);
        let health = Arc::clone(&self.health);
        Some(Permit { health, key: slot.index, fingerprint: slot.fingerprint, model, chat: true, trials, epoch, counted: false, awaited: false })
    }
}
