//! The three kinds of circuits together.

use super::circuit::Standing;
use super::{Health, HealthView, Permit, Refusal, Registry, Verdict, Wanted};
use crate::channels::Channel;
use crate::channels::samples::channel;
use crate::channels::{Options, Probe};
use crate::kernel::{Clock, Id, Random};
use std::sync::Arc;
use std::time::Duration;

const RETRY_AFTER: Option<Duration> = Some(Duration::from_secs(30));

fn with_keys(n: usize, clock: &Clock) -> Channel {
    let keys: Vec<String> = (0..n).map(|n| format!("key-{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    channel(1).keys(&keys).clock(clock).open()
}

fn ask(channel: &Channel) -> Result<Permit, Refusal> {
    channel.permit("m", None, &[])
}

fn fail(channel: &Channel, model: &str, verdict: Verdict, times: usize) {
    for _ in 0..times {
        channel.permit(model, None, &[]).expect("a permit").report(verdict, None);
    }
}

fn probes(channel: &Channel) -> Vec<Permit> {
    channel.due_probes().iter().filter_map(|wanted| channel.begin_probe(wanted)).collect()
}

fn view(channel: &Channel) -> HealthView {
    channel.health().view()
}

#[test]
fn keys_take_turns_and_a_refused_one_is_left_out_until_none_is_left() {
    let clock = Clock::manual(0);
    let channel = with_keys(3, &clock);
    let turns: Vec<usize> = (0..6).map(|_| ask(&channel).unwrap().key).collect();
    assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
    for _ in 0..2 {
        channel.permit("m", Some(1), &[]).unwrap().report(Verdict::Status(401), None);
    }
    assert_eq!(view(&channel).keys, [Standing::Healthy, Standing::Open, Standing::Healthy]);
    assert_eq!(view(&channel).standing, Standing::Degraded, "others can still be used");
    assert!((0..6).all(|_| ask(&channel).unwrap().key != 1));
    assert_eq!(channel.permit("m", Some(1), &[]).unwrap().key, 2, "the next one");
    assert_eq!(channel.permit("m", Some(1), &[2]).unwrap().key, 0, "without those that were tried");
    assert!(matches!(channel.permit("m", None, &[0, 2]), Err(Refusal::Keys(_))));
    for (key, verdict) in [(0, Verdict::Status(402)), (2, Verdict::Status(401))] {
        (0..2).for_each(|_| channel.permit("m", Some(key), &[]).unwrap().report(verdict, None));
    }
    let Err(Refusal::Keys(until)) = ask(&channel) else { panic!("no key is left") };
    assert!((48_000..=72_000).contains(&until), "{until}");
    assert_eq!((view(&channel).standing, view(&channel).open_until), (Standing::Open, Some(until)));
    clock.advance(until);
    let mut permit = ask(&channel).unwrap();
    permit.report(Verdict::Ok, None);
    assert_eq!(view(&channel).keys[permit.key], Standing::Healthy);
}

#[test]
fn a_429_that_names_its_pause_gets_it_and_one_that_does_not_is_one_failure() {
    let clock = Clock::manual(0);
    let channel = with_keys(1, &clock);
    ask(&channel).unwrap().report(Verdict::Status(429), None);
    assert!(ask(&channel).is_ok(), "one failure never bans");
    ask(&channel).unwrap().report(Verdict::Status(429), RETRY_AFTER);
    let Err(Refusal::Keys(until)) = ask(&channel) else { panic!("the key rests") };
    assert!((30_000..=33_000).contains(&until));
    clock.advance(until - 1);
    assert!(ask(&channel).is_err());
    clock.advance(1);
    assert!(ask(&channel).is_ok());
}

#[test]
fn whatever_is_worth_another_try_gets_the_pause_that_it_names() {
    for status in [408, 409, 500, 502, 503, 504, 529] {
        let clock = Clock::manual(0);
        let channel = with_keys(1, &clock);
        ask(&channel).unwrap().report(Verdict::Status(status), None);
        assert!(ask(&channel).is_ok(), "{status}: one failure never bans");
        ask(&channel).unwrap().report(Verdict::Status(status), RETRY_AFTER);
        let Err(Refusal::Open(until)) = ask(&channel) else { panic!("{status}: it rests") };
        assert!((30_000..=33_000).contains(&until), "{status}");
        assert!(channel.permit("other", None, &[]).is_ok(), "the others go on");
    }
    let channel = with_keys(1, &Clock::manual(0));
    ask(&channel).unwrap().report(Verdict::Status(401), RETRY_AFTER);
    assert!(ask(&channel).is_ok(), "a key that is refused does not get better by waiting");
}

#[test]
fn a_model_that_fails_does_not_take_the_others_along_but_several_do() {
    let clock = Clock::manual(0);
    let channel = with_keys(1, &clock);
    fail(&channel, "bad", Verdict::Status(500), 5);
    assert!(matches!(channel.permit("bad", None, &[]), Err(Refusal::Open(_))));
    assert!(ask(&channel).is_ok());
    assert_eq!((view(&channel).standing, view(&channel).models_out), (Standing::Degraded, vec!["bad".to_owned()]));
    assert_eq!(view(&channel).last_fault.unwrap().verdict, Verdict::Status(500));
    ask(&channel).unwrap().report(Verdict::Ok, None);

    let channel = with_keys(1, &clock);
    for model in ["a", "b", "c", "d"] {
        fail(&channel, model, Verdict::Timeout, 1);
    }
    assert!(ask(&channel).is_ok());
    fail(&channel, "e", Verdict::Broken, 1);
    assert!(matches!(ask(&channel), Err(Refusal::Open(_))), "whatever was asked for has failed");
    assert_eq!(view(&channel).standing, Standing::Open);
}

#[test]
fn what_cannot_be_reached_is_out_for_every_model() {
    let clock = Clock::manual(0);
    let channel = with_keys(1, &clock);
    fail(&channel, "m", Verdict::Connect, 3);
    let Err(Refusal::Open(until)) = channel.permit("other", None, &[]) else { panic!("nothing connects") };
    assert!((4_000..=6_000).contains(&until));
    clock.advance(until);
    let trial = ask(&channel).unwrap();
    assert_eq!(ask(&channel).unwrap_err(), Refusal::Open(until + 1_000), "one is let through");
    drop(trial);
    let mut trial = ask(&channel).expect("a trial that was given up is free again");
    trial.report(Verdict::Status(400), None);
    assert!(ask(&channel).is_ok(), "who says that the request is wrong is there");
}

#[test]
fn only_an_answer_to_the_trial_itself_closes_what_is_open() {
    let clock = Clock::manual(0);
    let channel = with_keys(1, &clock);
    let mut under_way = ask(&channel).unwrap();
    ask(&channel).unwrap().report(Verdict::Status(429), RETRY_AFTER);
    under_way.report(Verdict::Ok, None);
    assert!(matches!(ask(&channel), Err(Refusal::Keys(_))), "it began before the pause did");
    clock.advance(40_000);
    let mut trial = ask(&channel).unwrap();
    under_way.report(Verdict::Ok, None);
    assert!(ask(&channel).is_err(), "a stream from then that ends now says nothing either");
    trial.report(Verdict::Status(400), None);
    assert_eq!(view(&channel).keys, [Standing::HalfOpen], "anybody can send what is refused");
    ask(&channel).expect("the trial is free again").report(Verdict::Ok, None);
    assert_eq!(view(&channel).keys, [Standing::Healthy]);
}

#[test]
fn requests_are_counted_while_they_run() {
    let clock = Clock::manual(0);
    let channel = channel(1).clock(&clock).options(Options { max_concurrency: Some(2), ..Options::default() }).open();
    let (first, _second) = (ask(&channel).unwrap(), ask(&channel).unwrap());
    assert_eq!(ask(&channel).unwrap_err(), Refusal::Busy);
    assert_eq!(view(&channel).in_flight, 2);
    drop(first);
    assert!(ask(&channel).is_ok());
}

#[test]
fn health_stays_when_the_channel_is_read_again_and_goes_when_it_is_pointed_elsewhere() {
    let clock = Clock::manual(0);
    let mut registry = Registry::new(clock.clone(), Random::seeded(1));
    let fault = |health: &Arc<Health>, fingerprint: u64| {
        let mut state = health.lock();
        let report = super::Report { verdict: Verdict::Status(401), fingerprint, model: "m", chat: true, retry_after: None, trials: Default::default() };
        state.count(&report, 0, || 0);
        state.count(&report, 0, || 0);
    };
    let health = registry.of(Id(1), "here", &[11, 22]);
    fault(&health, 22);
    let health = registry.of(Id(1), "here", &[33, 22, 44]);
    assert_eq!(health.view().keys, [Standing::Healthy, Standing::Open, Standing::Healthy], "by fingerprint, not by place");
    let health = registry.of(Id(1), "there", &[22]);
    assert_eq!(health.view().keys, [Standing::Healthy]);
    registry.of(Id(2), "x", &[]);
    registry.keep(|id| id == Id(2));
    assert_eq!(registry.len(), 1);
}

#[test]
fn requests_that_outlive_the_switch_still_count_when_the_channel_comes_back() {
    let limited = Options { max_concurrency: Some(1), ..Options::default() };
    let clock = Clock::manual(0);
    let mut registry = Registry::new(clock.clone(), Random::seeded(1));
    let open = |registry: &mut Registry| channel(1).clock(&clock).options(limited.clone()).open_in(registry);
    let before = open(&mut registry);
    let mut running = ask(&before).unwrap();
    registry.keep(|_| false);
    let after = open(&mut registry);
    assert_eq!(ask(&after).unwrap_err(), Refusal::Busy);
    (0..5).for_each(|_| running.report(Verdict::Connect, None));
    assert_eq!(view(&after).standing, Standing::Healthy, "what it tells is of the time before");
    drop((running, before));
    assert!(ask(&after).is_ok());
    drop(after);
    registry.keep(|_| false);
    assert_eq!(registry.len(), 0);
}

#[test]
fn a_request_that_is_forbidden_takes_the_key_from_nobody_for_long() {
    let clock = Clock::manual(0);
    let channel = with_keys(1, &clock);
    fail(&channel, "m", Verdict::Status(403), 7);
    ask(&channel).unwrap().report(Verdict::Ok, None);
    fail(&channel, "m", Verdict::Status(403), 7);
    ask(&channel).unwrap().report(Verdict::Status(401), None);
    assert!(ask(&channel).is_ok(), "the first refusal of another kind");
    let mut longest = 0;
    for _ in 0..20 {
        while let Ok(mut permit) = ask(&channel) {
            permit.report(Verdict::Status(403), None);
        }
        let until = view(&channel).open_until.unwrap();
        longest = longest.max(until - clock.now_ms());
        clock.advance(until - clock.now_ms());
    }
    assert!((20_000..=36_000).contains(&longest), "{longest}");
}

#[test]
fn models_that_failed_long_ago_are_forgotten() {
    let clock = Clock::manual(0);
    let channel = with_keys(1, &clock);
    let fail_many = |from: usize| {
        for n in from..from + super::MAX_MODELS {
            if let Ok(mut permit) = channel.permit(&format!("model-{n}"), None, &[]) {
                permit.report(Verdict::Status(500), None);
            }
            clock.advance(1);
            channel.health().lock().failing = None;
        }
    };
    fail_many(0);
    assert_eq!(channel.health().lock().models.len(), super::MAX_MODELS);
    clock.advance(super::RUN_ENDS_AFTER_MS + 1);
    fail_many(1_000);
    assert_eq!(channel.health().lock().models.len(), super::MAX_MODELS, "others have their place");
    assert!(ask(&channel).is_ok() && channel.health().lock().whole.is_clean(), "and the channel is not blamed for them");
    clock.advance(super::RUN_ENDS_AFTER_MS + 1);
    assert_eq!(view(&channel).standing, Standing::Healthy);
    for model in ["a", "b", "c", "d", "e", "f"] {
        fail(&channel, model, Verdict::Timeout, 1);
        clock.advance(super::RUN_ENDS_AFTER_MS + 1);
    }
    assert!(ask(&channel).is_ok(), "no run of failures");
}

#[test]
fn what_failed_as_no_chat_waits_for_a_customer() {
    let clock = Clock::manual(0);
    let channel = with_keys(1, &clock);
    for _ in 0..5 {
        let mut permit = channel.permit("embed", None, &[]).unwrap();
        permit.chat = false;
        permit.report(Verdict::Status(500), None);
    }
    clock.advance(10_000);
    assert_eq!(view(&channel).models_out, ["embed"]);
    assert!(channel.due_probes().is_empty());
    channel.permit("embed", None, &[]).expect("a trial").report(Verdict::Ok, None);
    assert!(view(&channel).models_out.is_empty());
}

#[test]
fn a_trial_is_taken_when_its_probe_is_sent() {
    let clock = Clock::manual(0);
    let channel = with_keys(1, &clock);
    fail(&channel, "m", Verdict::Connect, 3);
    clock.advance(10_000);
    let due = channel.due_probes();
    assert_eq!(due, [Wanted::Whole]);
    let mut trial = ask(&channel).expect("a probe that is not sent yet keeps nobody away");
    assert!(channel.begin_probe(&due[0]).is_none(), "a customer was faster");
    trial.report(Verdict::Ok, None);
    assert!(channel.begin_probe(&due[0]).is_none(), "there is nothing to try");
}

#[test]
fn memory_for_failing_models_is_bounded() {
    let channel = with_keys(1, &Clock::manual(0));
    for n in 0..super::MAX_MODELS * 2 {
        if let Ok(mut permit) = channel.permit(&format!("model-{n}"), None, &[]) {
            permit.report(Verdict::Status(500), None);
            permit.report(Verdict::Ok, None);
        }
        if let Ok(mut permit) = channel.permit(&format!("model-{n}"), None, &[]) {
            permit.report(Verdict::Status(500), None);
            if let Ok(mut fine) = channel.permit("fine", None, &[]) {
                fine.report(Verdict::Ok, None);
            }
        }
    }
    assert_eq!(channel.health().lock().models.len(), super::MAX_MODELS);
}

#[test]
fn probes_are_due_for_what_is_out_of_use_and_only_once_at_a_time() {
    let clock = Clock::manual(0);
    let with_probe = |model: Option<&str>| {
        let probe = Probe { model: model.map(str::to_owned), interval: Some(Duration::from_secs(1)) };
        channel(1).keys(&["a", "b"]).clock(&clock).options(Options { probe, ..Options::default() }).open()
    };
    let channel = with_probe(Some("cheap"));
    assert!(channel.due_probes().is_empty());
    (0..2).for_each(|_| channel.permit("m", Some(1), &[]).unwrap().report(Verdict::Status(401), None));
    fail(&channel, "bad", Verdict::Status(500), 5);
    clock.advance(1_000);
    let due = probes(&channel);
    assert_eq!(due.iter().map(|permit| (permit.key, permit.model.as_str())).collect::<Vec<_>>(), [(1, "cheap")], "the failing model waits for a request");
    assert!(channel.due_probes().is_empty() && view(&channel).in_flight == 0);
    drop(due);
    assert!(channel.due_probes().is_empty(), "not before its interval has passed again");
    clock.advance(1_000);
    probes(&channel).pop().unwrap().report(Verdict::Ok, None);
    assert_eq!(view(&channel).keys[1], Standing::Healthy);

    let channel = with_probe(None);
    fail(&channel, "bad", Verdict::Status(500), 5);
    fail(&channel, "m", Verdict::Connect, 3);
    clock.advance(1_000);
    let due = probes(&channel);
    assert_eq!(due.iter().map(|permit| permit.model.as_str()).collect::<Vec<_>>(), ["m", "bad"]);
    for mut permit in due {
        permit.report(Verdict::Ok, None);
    }
    assert_eq!(view(&channel).models_out, Vec::<String>::new());
    assert!(ask(&channel).is_ok());
}

#[test]
fn answers_and_refusals_at_the_same_moment_leave_the_pause_that_was_asked_for() {
    for _ in 0..50 {
        let channel = with_keys(1, &Clock::manual(0));
        let permits: Vec<Permit> = (0..8).map(|_| ask(&channel).unwrap()).collect();
        let barrier = std::sync::Barrier::new(permits.len());
        std::thread::scope(|scope| {
            for (n, mut permit) in permits.into_iter().enumerate() {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    let refused = n % 4 == 0;
                    permit.report(if refused { Verdict::Status(429) } else { Verdict::Ok }, RETRY_AFTER.filter(|_| refused));
                });
            }
        });
        assert_eq!((view(&channel).keys, view(&channel).in_flight), (vec![Standing::Open], 0));
    }
}
