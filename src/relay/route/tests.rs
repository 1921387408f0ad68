//! The order of attempts, and what is told about it.

use super::*;
use crate::channels::samples::{Sample, channel};
use crate::channels::{Capabilities, Kind, Options};
use crate::kernel::{Clock, Id};
use serde_json::json;

const EMBEDDINGS: &[Target<'static>] = &[Target::OpenAi("embeddings")];

fn needs() -> Needs {
    Needs { targets: chat(Dialect::Chat), tools: false, vision: false, json_schema: false, streaming: false, tokens: 10 }
}

fn open(samples: impl IntoIterator<Item = Sample>) -> Arc<[Arc<Channel>]> {
    samples.into_iter().map(|sample| Arc::new(sample.open())).collect()
}

fn route(candidates: &Arc<[Arc<Channel>]>, needs: Needs, affinity: Option<u64>) -> Route {
    Route::new(Arc::clone(candidates), "m", needs, affinity, &Random::seeded(3))
}

/// The ids in the order in which they are asked when each fails so.
fn asked(mut route: Route, verdict: Verdict) -> Vec<i64> {
    let mut ids = Vec::new();
    while let Some(attempt) = route.next_attempt() {
        ids.push(attempt.channel.id.0);
        route.missed(attempt, verdict, None, 1);
    }
    ids
}

fn first(candidates: &Arc<[Arc<Channel>]>, affinity: Option<u64>) -> i64 {
    route(candidates, needs(), affinity).next_attempt().unwrap().channel.id.0
}

fn mapped(names: &[&str]) -> Options {
    Options { model_mapping: vec![("m".into(), names.iter().map(|name| (*name).to_owned()).collect())], ..Options::default() }
}

#[test]
fn priorities_go_first_and_weights_divide_equals() {
    let candidates = open([channel(1).priority(9), channel(2).weight(1), channel(3).weight(9), channel(4).priority(-1)]);
    let mut heavier = 0;
    for seed in 0..300 {
        let ids = asked(Route::new(Arc::clone(&candidates), "m", needs(), Some(chance::mix(seed)), &Random::seeded(1)), Verdict::Status(404));
        assert_eq!((ids[0], ids[3], ids.len()), (1, 4, 4));
        heavier += usize::from(ids[1] == 3);
    }
    assert!((240..300).contains(&heavier), "nine in ten: {heavier} of 300");
    assert!((0..50).map(|_| first(&open([channel(1), channel(2)]), None)).all(|id| id == 1 || id == 2));
}

#[test]
fn without_affinity_chance_decides_anew_each_time() {
    let candidates = open([channel(1), channel(2), channel(3)]);
    let random = Random::seeded(5);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..60 {
        seen.insert(Route::new(Arc::clone(&candidates), "m", needs(), None, &random).next_attempt().unwrap().channel.id.0);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_conversation_stays_while_its_channel_is_healthy_and_comes_back() {
    let clock = Clock::manual(0);
    let candidates = open((1..=4).map(|id| channel(id).clock(&clock)));
    let homes: Vec<i64> = (0..200).map(|n| first(&candidates, Some(chance::mix(n)))).collect();
    let again: Vec<i64> = (0..200).map(|n| first(&candidates, Some(chance::mix(n)))).collect();
    assert_eq!(homes, again);
    let sick = &candidates[1];
    for _ in 0..3 {
        sick.permit("m", None, &[]).unwrap().report(Verdict::Connect, None);
    }
    for (n, home) in homes.iter().enumerate() {
        let now = first(&candidates, Some(chance::mix(n as u64)));
        assert!(if *home == 2 { now != 2 } else { now == *home }, "only those of the sick channel move");
    }
    clock.advance(10_000);
    sick.permit("m", None, &[]).unwrap().report(Verdict::Ok, None);
    let back: Vec<i64> = (0..200).map(|n| first(&candidates, Some(chance::mix(n)))).collect();
    assert_eq!(homes, back);
}

#[test]
fn what_a_request_needs_decides_who_may_be_asked() {
    let can = |change: fn(&mut Capabilities)| {
        let mut capabilities = Capabilities::default();
        change(&mut capabilities);
        Options { capabilities, ..Options::default() }
    };
    let limited = [
        (can(|can| can.tools = false), Skip::Tools),
        (can(|can| can.vision = false), Skip::Vision),
        (can(|can| can.json_schema = false), Skip::JsonSchema),
        (can(|can| can.streaming = false), Skip::Streaming),
        (can(|can| can.context_length = Some(9)), Skip::Context),
    ];
    let all = Needs { tools: true, vision: true, json_schema: true, streaming: true, ..needs() };
    for (options, why) in limited {
        let mut route = route(&open([channel(1).options(options.clone())]), all, None);
        assert!(route.next_attempt().is_none());
        assert_eq!((route.unserved(), route.decision().passed()), (Unserved::Incapable(why), &[Passed(Id(1), why.word().into())][..]));
        let plain = super::tests::route(&open([channel(1).options(options)]), Needs { tokens: 9, ..needs() }, None).next_attempt();
        assert!(plain.is_some(), "{why:?} does not matter to a request without");
    }
    let candidates = open([channel(1).kind(Kind::Gemini), channel(2)]);
    let mut embeddings = route(&candidates, Needs { targets: EMBEDDINGS, ..needs() }, None);
    let attempt = embeddings.next_attempt().unwrap();
    assert_eq!((attempt.channel.id, attempt.target), (Id(2), EMBEDDINGS[0]));
}

#[test]
fn a_chat_is_asked_in_the_callers_dialect_where_it_is_spoken() {
    let target = |kind, dialect| {
        let needs = Needs { targets: chat(dialect), ..needs() };
        route(&open([channel(1).kind(kind)]), needs, None).next_attempt().unwrap().target
    };
    assert_eq!(target(Kind::OpenAi, Dialect::Chat), Target::Chat(Dialect::Chat));
    assert_eq!(target(Kind::OpenAi, Dialect::Messages), Target::Chat(Dialect::Chat));
    assert_eq!(target(Kind::AzureOpenAi, Dialect::Responses), Target::Chat(Dialect::Responses));
    assert_eq!(target(Kind::Anthropic, Dialect::Responses), Target::Chat(Dialect::Messages));
    assert_eq!(target(Kind::Gemini, Dialect::Messages), Target::Chat(Dialect::Gemini));
}

#[test]
fn another_key_is_tried_before_the_next_channel_and_further_ones_after_it() {
    let candidates = open([channel(1).priority(1).keys(&["a", "b", "c", "d"]), channel(2).keys(&["a", "b", "c"])]);
    let mut route = route(&candidates, needs(), Some(1));
    let mut tried = Vec::new();
    for status in [401, 429, 401, 401, 402, 429] {
        let attempt = route.next_attempt().unwrap();
        tried.push((attempt.channel.id.0, attempt.permit.key));
        route.missed(attempt, Verdict::Status(status), None, 5);
    }
    assert_eq!(tried.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 1, 2, 2, 1, 2]);
    let mut last = route.next_attempt().unwrap();
    tried.push((last.channel.id.0, last.permit.key));
    tried.sort_unstable();
    assert_eq!(tried, [(1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (2, 1), (2, 2)], "each key once");
    route.answered(&mut last, 200, 40);
    let results: Vec<&Answered> = route.decision().attempts().iter().map(|tried| &tried.result).collect();
    assert_eq!(results, [401, 429, 401, 401, 402, 429, 200].map(Answered::Status).iter().collect::<Vec<_>>());
    assert!(route.next_attempt().is_none());
}

#[test]
fn a_channel_that_was_silent_is_asked_again_only_when_all_others_were_asked() {
    let candidates = open([channel(1).priority(1).options(mapped(&["a", "b"])), channel(2), channel(3).priority(-1)]);
    assert_eq!(asked(route(&candidates, needs(), Some(1)), Verdict::Timeout), [1, 2, 3, 1]);
}

#[test]
fn one_that_was_switched_off_meanwhile_is_told_as_such() {
    let candidates = open([channel(1).priority(1), channel(2)]);
    let mut route = route(&candidates, needs(), None);
    let attempt = route.next_attempt().unwrap();
    route.missed(attempt, Verdict::Connect, None, 1);
    let attempt = route.next_attempt().unwrap();
    route.gone(attempt);
    assert!(route.next_attempt().is_none());
    assert_eq!(route.decision().passed(), [Passed(Id(2), "disabled".into())]);
    assert_eq!(candidates[1].health().view().in_flight, 0);
}

#[test]
fn another_model_of_a_pool_is_tried_before_the_next_channel() {
    let candidates = open([channel(1).priority(1).options(mapped(&["a", "b"])), channel(2)]);
    let mut route = route(&candidates, needs(), Some(1));
    let mut names = Vec::new();
    for verdict in [Verdict::Broken, Verdict::Status(500), Verdict::Status(500)] {
        let attempt = route.next_attempt().unwrap();
        names.push(attempt.permit.model.clone());
        route.missed(attempt, verdict, None, 5);
    }
    assert_eq!(names[2], "m", "the second channel has no mapping");
    names.truncate(2);
    names.sort();
    assert_eq!(names, ["a", "b"]);
    assert!(route.next_attempt().is_none());
    assert_eq!(route.unserved(), Unserved::Busy);
    let told: serde_json::Value = serde_json::from_str(&route.decision().write()).unwrap();
    assert_eq!((&told["n"], &told["a"][2]), (&json!(2), &json!({"c": Id(2), "r": 500, "t": 5})));
    assert_eq!(
        asked(super::tests::route(&candidates, needs(), Some(1)), Verdict::Connect),
        [1, 2],
        "a channel that cannot be reached has no turn for each model"
    );
}

#[test]
fn a_pool_is_shared_out_and_what_is_out_of_use_in_it_is_passed_over() {
    let candidates = open([channel(1).options(mapped(&["a", "b", "b"]))]);
    let name = |seed| route(&candidates, needs(), Some(chance::mix(seed))).next_attempt().unwrap().permit.model.clone();
    let a = (0..300).filter(|seed| name(*seed) == "a").count();
    assert!((60..140).contains(&a), "one in three: {a} of 300");
    for _ in 0..5 {
        candidates[0].permit("b", None, &[]).unwrap().report(Verdict::Status(503), None);
    }
    assert!((0..50).all(|seed| name(seed) == "a"));
}

#[test]
fn what_cannot_be_said_to_a_channel_goes_to_the_next() {
    let candidates = open([channel(1).priority(1).keys(&["a", "b"]), channel(2)]);
    let mut route = route(&candidates, needs(), None);
    let attempt = route.next_attempt().unwrap();
    route.missed(attempt, Verdict::Status(429), None, 1);
    let attempt = route.next_attempt().unwrap();
    assert_eq!(attempt.channel.id, Id(1), "with its other key");
    route.unfit(attempt);
    assert_eq!(candidates[0].health().view().in_flight, 0);
    let attempt = route.next_attempt().unwrap();
    assert_eq!((attempt.channel.id, route.decision().passed()), (Id(2), &[Passed(Id(1), "unfit".into())][..]));
    route.unfit(attempt);
    assert!(route.next_attempt().is_none());
    let mut route = super::tests::route(&candidates, needs(), None);
    while let Some(attempt) = route.next_attempt() {
        route.unfit(attempt);
    }
    assert_eq!(route.unserved(), Unserved::Incapable(Skip::Unfit));
}

#[test]
fn who_is_out_of_use_is_told_with_the_time_of_return() {
    let clock = Clock::manual(0);
    let candidates = open([channel(1).clock(&clock), channel(2).clock(&clock)]);
    for (at, pause) in [(0, 60), (1, 30)] {
        candidates[at].permit("m", None, &[]).unwrap().report(Verdict::Status(429), Some(Duration::from_secs(pause)));
    }
    let mut shut = route(&candidates, needs(), None);
    assert!(shut.next_attempt().is_none());
    assert!(matches!(shut.unserved(), Unserved::Until(30_000..=33_000)));
    assert_eq!(shut.decision().passed().len(), 2);

    let full = open([channel(1).options(Options { max_concurrency: Some(1), ..Options::default() })]);
    let _running = route(&full, needs(), None).next_attempt().unwrap();
    let mut route = route(&full, needs(), None);
    assert!(route.next_attempt().is_none());
    assert_eq!((route.unserved(), route.decision().passed()), (Unserved::Busy, &[Passed(Id(1), "busy".into())][..]));
    assert_eq!(super::tests::route(&open([]), needs(), None).unserved(), Unserved::Nobody);
}
