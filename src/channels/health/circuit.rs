//! One circuit: closed while things go well, open after a run of failures, half-open when its cool-down has passed. Pure: the time and the chance
//! come from outside.

use super::Verdict;
use std::time::Duration;

/// How many of the latest outcomes say how things are, where no more than these are awaited at once.
const WINDOW: u32 = 20;
/// How many of the latest outcomes are remembered.
const MEMORY: u32 = u64::BITS;
/// A circuit that stayed closed for so long begins with its shortest cool-down again.
const FORGIVEN_AFTER_MS: i64 = 600_000;
/// The bounds within which an upstream's `Retry-After` is believed.
const RETRY_AFTER_MS: std::ops::RangeInclusive<i64> = 1_000..=900_000;

/// When a circuit opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// So many failures in a row open it; more when many outcomes are awaited: see [`Rule::enough`].
    pub(super) streak: u32,
    /// Half of at least ten of the latest twenty outcomes do so, too, or of as many as are awaited at once, up to 64.
    pub(super) by_share: bool,
    /// The first cool-down; each further one is twice as long.
    pub(super) base_ms: i64,
    /// The longest cool-down.
    pub(super) cap_ms: i64,
}

impl Rule {
    /// How many failures in a row open the circuit while `awaited` other requests wait for their outcome. An upstream fails at once and answers late: of fifty
    /// requests that were sent together the five that fail come first, whatever becomes of the others. Hence half of what is awaited, within bounds.
    pub(super) fn enough(self, awaited: u32) -> u32 {
        self.streak.max((awaited / 2).min(MEMORY / 2))
    }
}

/// How a circuit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing went wrong lately.
    Healthy,
    /// In use, but something went wrong lately.
    Degraded,
    /// The cool-down has passed: one request is let through to see.
    HalfOpen,
    /// Out of use.
    Open,
}

/// What went wrong last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When, in unix milliseconds.
    pub at: i64,
    /// What.
    pub verdict: Verdict,
    /// With which of the upstream's models.
    pub model: Box<str>,
    /// It was asked for a chat.
    pub chat: bool,
}

/// A failure to be counted.
pub(super) struct Failure {
    pub(super) fault: Fault,
    pub(super) rule: Rule,
    /// Opens the circuit whatever happened before.
    pub(super) at_once: bool,
    /// It was the one that a half-open circuit let through.
    pub(super) trial: bool,
    pub(super) retry_after: Option<Duration>,
    /// How many other requests wait for their outcome.
    pub(super) awaited: u32,
    /// Any number, for the jitter.
    pub(super) draw: u64,
}

#[derive(Clone, Debug)]
struct Opened {
    at: i64,
    until: i64,
    /// The upstream asked for the pause itself: nothing is tried before it is over.
    asked_for: bool,
    /// A trial is under way.
    trial: bool,
    probed_at: i64,
}

/// One circuit.
#[derive(Clone, Debug, Default)]
pub(super) struct Circuit {
    opened: Option<Opened>,
    /// The latest outcomes, the newest in the lowest bit; 1 is a failure.
    window: u64,
    seen: u32,
    streak: u32,
    /// What the streak counts against: failures of one kind are no run of another.
    rule: Option<Rule>,
    /// How many times in a row it has opened.
    openings: u32,
    closed_at: i64,
    fault: Option<Fault>,
}

impl Circuit {
    pub(super) fn standing(&self, now: i64) -> Standing {
        match &self.opened {
            Some(opened) if now < opened.until => Standing::Open,
            Some(_) => Standing::HalfOpen,
            None if self.latest(WINDOW) != 0 => Standing::Degraded,
            None => Standing::Healthy,
        }
    }

    /// Nothing went wrong lately: forgetting it loses nothing.
    pub(super) fn is_clean(&self) -> bool {
        self.opened.is_none() && self.latest(WINDOW) == 0
    }

    /// How many of the latest `span` outcomes were failures.
    fn latest(&self, span: u32) -> u32 {
        (self.window & (u64::MAX >> (MEMORY - span))).count_ones()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.opened.is_none()
    }

    /// Nothing has gone wrong for a long time, if only because nobody asked: what was before says nothing of now.
    pub(super) fn is_stale(&self, now: i64) -> bool {
        let is_old = self.fault.as_ref().is_none_or(|fault| now.saturating_sub(fault.at) > FORGIVEN_AFTER_MS);
        is_old && self.opened.as_ref().is_none_or(|opened| !opened.trial && now >= opened.until)
    }

    pub(super) fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// When it lets the next request through; none when it does so now.
    pub(super) fn closed_until(&self, now: i64) -> Option<i64> {
        let opened = self.opened.as_ref()?;
        // A trial that is under way decides soon; until then there is nothing better to say than "in a moment".
        if now < opened.until { Some(opened.until) } else { opened.trial.then_some(now + 1_000) }
    }

    /// Takes the trial of a half-open circuit. Whether there was one to take.
    pub(super) fn begin_trial(&mut self) -> bool {
        self.opened.as_mut().is_some_and(|opened| !std::mem::replace(&mut opened.trial, true))
    }

    /// Gives a trial back that came to nothing.
    pub(super) fn end_trial(&mut self) {
        if let Some(opened) = &mut self.opened {
            opened.trial = false;
        }
    }

    /// Whether a probe should be sent now; `interval` is how often while it is open, else one follows the cool-down.
    pub(super) fn wants_probe(&self, now: i64, interval: Option<Duration>) -> bool {
        let Some(opened) = self.opened.as_ref().filter(|opened| !opened.trial) else { return false };
        match interval {
            Some(interval) if !opened.asked_for => now >= opened.at.max(opened.probed_at).saturating_add(millis(interval)),
            // One that has said nothing is followed by another as long after it as the cool-down was.
            _ => now >= opened.until.max(opened.probed_at.saturating_add(opened.until.saturating_sub(opened.at))),
        }
    }

    /// Notes that a probe is on its way: nobody else tries at the same time.
    pub(super) fn begin_probe(&mut self, now: i64) -> bool {
        match &mut self.opened {
            Some(opened) => {
                opened.probed_at = now;
                !std::mem::replace(&mut opened.trial, true)
            }
            None => false,
        }
    }

    /// Counts a success. An open circuit closes only by that of its own trial: all others were under way when it opened and say nothing of now.
    pub(super) fn succeed(&mut self, now: i64, trial: bool) {
        if let Some(opened) = &mut self.opened {
            // Nor does a lucky answer cut into a pause that the upstream has asked for meanwhile.
            let closes = trial && !(opened.asked_for && now < opened.until);
            opened.trial &= !trial;
            if !closes {
                return;
            }
            self.opened = None;
            (self.window, self.seen, self.closed_at) = (0, 0, now);
        }
        self.streak = 0;
        self.push(0);
    }

    fn push(&mut self, bit: u64) {
        self.window = self.window << 1 | bit;
        self.seen = (self.seen + 1).min(MEMORY);
    }

    /// Whether half of the latest outcomes were failures; a ratio says nothing about few.
    fn is_bad(&self, awaited: u32) -> bool {
        let span = awaited.clamp(WINDOW, MEMORY);
        let seen = self.seen.min(span);
        seen >= span / 2 && self.latest(span) * 2 >= seen
    }

    /// Counts a failure. Whether it has opened the circuit.
    pub(super) fn fail(&mut self, failure: Failure) -> bool {
        let now = failure.fault.at;
        self.fault = Some(failure.fault.clone());
        if self.rule.replace(failure.rule) != Some(failure.rule) {
            self.streak = 0;
        }
        self.streak = self.streak.saturating_add(1);
        if failure.rule.by_share {
            self.push(1);
        }
        if let Some(opened) = &mut self.opened {
            // Requests that were on their way when it opened say nothing new, but for a pause that the upstream asks for.
            if !failure.trial {
                if let Some(pause) = failure.retry_after {
                    opened.until = opened.until.max(now.saturating_add(believed(pause)));
                    opened.asked_for = true;
                }
                return false;
            }
            // A probe that fails within the cool-down does not make it longer.
            if now < opened.until {
                opened.trial = false;
                return false;
            }
            self.open(now, &failure);
            return true;
        }
        let bad_share = failure.rule.by_share && self.is_bad(failure.awaited);
        let opens = failure.at_once || self.streak >= failure.rule.enough(failure.awaited) || bad_share;
        if opens {
            if now.saturating_sub(self.closed_at) > FORGIVEN_AFTER_MS {
                self.openings = 0;
            }
            self.open(now, &failure);
        }
        opens
    }

    fn open(&mut self, now: i64, failure: &Failure) {
        let cool_down = match failure.retry_after {
            // Never earlier than asked for, and not all nodes in the same instant.
            Some(pause) => believed(pause) + believed(pause) * percent(failure.draw, 0, 10) / 100,
            None => {
                let doubled = failure.rule.base_ms.saturating_mul(1_i64 << self.openings.min(20)).min(failure.rule.cap_ms);
                doubled * percent(failure.draw, 80, 120) / 100
            }
        };
        self.openings = self.openings.saturating_add(1);
        self.opened =
            Some(Opened { at: now, until: now.saturating_add(cool_down), asked_for: failure.retry_after.is_some(), trial: false, probed_at: i64::MIN });
    }
}

fn believed(pause: Duration) -> i64 {
    millis(pause).clamp(*RETRY_AFTER_MS.start(), *RETRY_AFTER_MS.end())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A number from `low` to `high`.
fn percent(draw: u64, low: i64, high: i64) -> i64 {
    low + ((u128::from(draw) * (high - low + 1) as u128) >> 64) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULE: Rule = Rule { streak: 3, by_share: true, base_ms: 1_000, cap_ms: 8_000 };

    fn failure(at: i64) -> Failure {
        let fault = Fault { at, verdict: Verdict::Status(500), model: "m".into(), chat: true };
        Failure { fault, rule: RULE, at_once: false, trial: false, retry_after: None, awaited: 0, draw: 0 }
    }

    #[test]
    fn a_run_of_failures_opens_it_and_one_never_does() {
        let mut circuit = Circuit::default();
        assert!(!circuit.fail(failure(0)));
        assert_eq!(circuit.standing(0), Standing::Degraded);
        assert!(!circuit.fail(failure(1)));
        circuit.succeed(2, false);
        assert!(!circuit.fail(failure(3)) && !circuit.fail(failure(4)) && circuit.fail(failure(5)));
        assert_eq!((circuit.standing(5), circuit.closed_until(5)), (Standing::Open, Some(805)), "the jitter's low end");
        assert_eq!((circuit.standing(805), circuit.closed_until(805)), (Standing::HalfOpen, None));
    }

    #[test]
    fn half_of_the_latest_opens_it_too() {
        let mut circuit = Circuit::default();
        let opened = (0..30).any(|n| {
            circuit.succeed(n, false);
            circuit.fail(failure(n))
        });
        assert!(opened);
        let mut circuit = Circuit::default();
        for n in 0..300 {
            circuit.succeed(n, false);
            circuit.succeed(n, false);
            assert!(!circuit.fail(failure(n)), "a third is bad, but no reason to stop");
        }
    }

    #[test]
    fn failures_that_come_before_the_answers_of_the_same_moment_do_not_open_it() {
        let mut circuit = Circuit::default();
        for awaited in (40..50).rev() {
            assert!(!circuit.fail(Failure { awaited, ..failure(0) }), "a fifth of fifty");
        }
        (0..40).for_each(|_| circuit.succeed(1, false));
        assert!(!circuit.fail(failure(1)) && !circuit.fail(failure(1)), "the run has ended");
        let mut circuit = Circuit::default();
        let failures = (0..1_000).rev().position(|awaited| circuit.fail(Failure { awaited, ..failure(0) }));
        assert_eq!(failures, Some(31), "of a thousand no more are sent to their failure than of sixty-four");
    }

    #[test]
    fn half_open_lets_one_through_whose_success_closes_and_whose_failure_doubles() {
        let mut circuit = Circuit::default();
        (0..3).for_each(|_| _ = circuit.fail(failure(0)));
        let mut now = 800;
        for expected in [1_600, 3_200, 6_400, 6_400] {
            assert!(circuit.begin_trial() && !circuit.begin_trial());
            assert_eq!(circuit.closed_until(now), Some(now + 1_000), "others wait for the trial");
            assert!(circuit.fail(Failure { trial: true, ..failure(now) }));
            assert_eq!(circuit.closed_until(now), Some(now + expected));
            now += expected;
        }
        assert!(circuit.begin_trial());
        circuit.end_trial();
        assert!(circuit.begin_trial(), "a trial that came to nothing is given back");
        circuit.succeed(now, false);
        assert_eq!(circuit.standing(now), Standing::HalfOpen, "what was under way when it opened says nothing of now");
        circuit.succeed(now, true);
        assert_eq!(circuit.standing(now), Standing::Healthy);
    }

    #[test]
    fn a_trial_that_ends_well_does_not_cut_into_a_pause_that_was_asked_for_meanwhile() {
        let mut circuit = Circuit::default();
        (0..3).for_each(|_| _ = circuit.fail(failure(0)));
        assert!(circuit.begin_trial());
        circuit.fail(Failure { retry_after: Some(Duration::from_secs(30)), ..failure(900) });
        circuit.succeed(1_000, true);
        assert_eq!(circuit.closed_until(1_000), Some(30_900));
        assert!(!circuit.wants_probe(30_899, Some(Duration::ZERO)) && circuit.begin_trial());
        circuit.succeed(30_900, true);
        assert_eq!(circuit.standing(30_900), Standing::Healthy);
    }

    #[test]
    fn failures_of_different_kinds_are_no_run() {
        let (strict, mild) = (Rule { streak: 2, ..RULE }, Rule { streak: 8, by_share: false, ..RULE });
        let mut circuit = Circuit::default();
        for rule in [mild, mild, mild, strict, mild, strict] {
            assert!(!circuit.fail(Failure { rule, ..failure(0) }));
        }
        assert!(circuit.fail(Failure { rule: strict, ..failure(0) }));
    }

    #[test]
    fn what_is_long_past_is_stale() {
        let mut circuit = Circuit::default();
        circuit.fail(failure(0));
        assert!(!circuit.is_stale(FORGIVEN_AFTER_MS) && circuit.is_stale(FORGIVEN_AFTER_MS + 1));
        (0..2).for_each(|_| _ = circuit.fail(Failure { retry_after: Some(Duration::from_secs(900)), ..failure(0) }));
        assert!(!circuit.is_stale(899_999) && circuit.is_stale(900_000));
        circuit.begin_trial();
        assert!(!circuit.is_stale(900_000));
    }

    #[test]
    fn a_long_time_without_trouble_is_rewarded() {
        let mut circuit = Circuit::default();
        (0..3).for_each(|_| _ = circuit.fail(failure(0)));
        circuit.begin_trial();
        circuit.succeed(1_000, true);
        (0..3).for_each(|_| _ = circuit.fail(failure(2_000)));
        assert_eq!(circuit.closed_until(2_000), Some(3_600), "it flaps");
        circuit.begin_trial();
        circuit.succeed(3_000, true);
        let later = 3_001 + FORGIVEN_AFTER_MS;
        (0..3).for_each(|_| _ = circuit.fail(failure(later)));
        assert_eq!(circuit.closed_until(later), Some(later + 800));
    }

    #[test]
    fn the_upstreams_own_pause_counts_within_bounds() {
        for (seconds, at_least, at_most) in [(0, 1_000, 1_100), (30, 30_000, 33_000), (1_000_000, 900_000, 990_000)] {
            for draw in [0, u64::MAX / 2, u64::MAX] {
                let mut circuit = Circuit::default();
                let asked = Failure { at_once: true, retry_after: Some(Duration::from_secs(seconds)), draw, ..failure(0) };
                assert!(circuit.fail(asked));
                let until = circuit.closed_until(0).unwrap();
                assert!((at_least..=at_most).contains(&until), "{seconds} s: {until}");
                assert!(!circuit.wants_probe(until - 1, Some(Duration::from_millis(1))) && circuit.wants_probe(until, None));
            }
        }
    }

    #[test]
    fn probes_come_at_their_interval_and_do_not_prolong() {
        let mut circuit = Circuit::default();
        assert!(!circuit.wants_probe(0, Some(Duration::ZERO)));
        (0..3).for_each(|_| _ = circuit.fail(failure(0)));
        let every = Some(Duration::from_millis(100));
        assert!(!circuit.wants_probe(99, every) && circuit.wants_probe(100, every) && !circuit.wants_probe(799, None));
        assert!(circuit.begin_probe(100) && !circuit.wants_probe(150, every));
        assert!(!circuit.fail(Failure { trial: true, ..failure(150) }));
        assert!(!circuit.wants_probe(199, every) && circuit.wants_probe(200, every));
        assert_eq!(circuit.closed_until(200), Some(800));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Wait(i64),
        Succeed,
        Fail(Option<u64>, u64),
        Try(bool),
        GiveBack,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_i64..5_000).prop_map(Step::Wait),
            Just(Step::Succeed),
            (proptest::option::of(0_u64..2_000), any::<u64>()).prop_map(|(pause, draw)| Step::Fail(pause, draw)),
            any::<bool>().prop_map(Step::Try),
            Just(Step::GiveBack),
        ]
    }

    proptest! {
        /// Whatever happens: a pause is bounded and kept, at most one trial runs, only its success closes, and time alone makes every circuit let
        /// somebody through.
        #[test]
        fn a_circuit_never_stays_shut(steps in proptest::collection::vec(step(), 0..200)) {
            let (mut circuit, mut now, mut trial) = (Circuit::default(), 0_i64, false);
            for step in steps {
                match step {
                    Step::Wait(ms) => now += ms,
                    Step::Succeed => {
                        let (before, standing) = (circuit.closed_until(now), circuit.standing(now));
                        circuit.succeed(now, false);
                        prop_assert_eq!(circuit.closed_until(now), before);
                        prop_assert_eq!(circuit.standing(now) >= Standing::HalfOpen, standing >= Standing::HalfOpen);
                    }
                    Step::Fail(pause, draw) => {
                        let was = trial;
                        trial = false;
                        circuit.fail(Failure { retry_after: pause.map(Duration::from_secs), draw, trial: was, ..failure(now) });
                    }
                    Step::Try(won) if circuit.closed_until(now).is_none() && circuit.standing(now) == Standing::HalfOpen => {
                        prop_assert!(!trial && circuit.begin_trial());
                        trial = true;
                        if won {
                            circuit.succeed(now, true);
                            trial = false;
                            prop_assert!(circuit.is_closed());
                        }
                    }
                    Step::GiveBack if trial => {
                        circuit.end_trial();
                        trial = false;
                    }
                    Step::Try(_) | Step::GiveBack => {}
                }
                let until = circuit.closed_until(now).unwrap_or(now);
                prop_assert!(until - now <= 990_000);
                prop_assert_eq!(circuit.standing(until) == Standing::Open, false);
            }
        }
    }
}
