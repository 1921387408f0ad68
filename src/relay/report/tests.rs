//! Answers of real providers, and what they come to: `cases.json` has for each the prices, the usage and the exact charge.

use super::*;
use crate::kernel::pricing::Rare;
use crate::kernel::{Price, Prices, Usd};
use serde_json::{Map, Value};

fn cases() -> Value {
    serde_json::from_str(include_str!("cases.json")).unwrap()
}

fn form(name: &str) -> Form {
    match name {
        "chat" => Form::Chat,
        "responses" => Form::Responses,
        "messages" => Form::Messages,
        "gemini" => Form::Gemini,
        "embeddings" => Form::Embeddings,
        "images" => Form::Images,
        "transcription" => Form::Transcription,
        "speech" => Form::Speech,
        "rerank" => Form::Rerank,
        other => panic!("no such form: {other}"),
    }
}

fn prices(json: &Value) -> Prices {
    let mut rare: Map<String, Value> = json.as_object().unwrap().clone();
    let mut take = |name: &str| Price::per_million(rare.remove(name).unwrap().as_str().unwrap()).unwrap();
    let basic =
        Prices { input: take("input"), output: take("output"), cached_input: take("cached_input"), cache_write: take("cache_write"), ..Prices::default() };
    basic.with(serde_json::from_value::<Rare>(Value::Object(rare)).unwrap())
}

fn usage(json: &Value) -> Usage {
    let mut parts = json.as_object().unwrap().clone();
    let mut take = |name: &str| parts.remove(name).map_or(0, |count| count.as_u64().unwrap());
    let usage = Usage {
        input: take("input"),
        cached: take("cached"),
        cache_write: take("cache_write"),
        cache_write_1h: take("cache_write_1h"),
        audio_input: take("audio_input"),
        image_input: take("image_input"),
        output: take("output"),
        reasoning: take("reasoning"),
        audio_output: take("audio_output"),
        image_output: take("image_output"),
        images: take("images"),
        audio_ms: take("audio_ms"),
        characters: take("characters"),
        searches: take("searches"),
    };
    assert!(parts.is_empty(), "{parts:?}");
    usage
}

fn report(case: &Value) -> UsageReport {
    let form = form(case["form"].as_str().unwrap());
    let Some(events) = case["events"].as_array() else { return read_answer(form, case["answer"].to_string().as_bytes()) };
    let mut stream = Accumulator::new(form);
    for event in events {
        assert_ne!(stream.add(event.to_string().as_bytes()), UsageReport::Absurd);
    }
    stream.report()
}

#[test]
fn every_case_reads_and_costs_exactly() {
    let all = cases();
    let cases = all["cases"].as_array().unwrap();
    assert!(cases.len() >= 60);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let expected = match case["report"].as_str() {
            Some("absurd") => UsageReport::Absurd,
            Some(_) => UsageReport::Absent,
            None => UsageReport::Usage(usage(&case["usage"])),
        };
        assert_eq!(report(case), expected, "{name}");
        if let UsageReport::Usage(usage) = expected {
            let charge = prices(&all["prices"][case["model"].as_str().unwrap()]).charge(&usage);
            assert_eq!(charge, Usd(case["nanos"].as_i64().unwrap()), "{name}");
        }
    }
}

#[test]
fn a_stream_that_repeats_or_shrinks_changes_nothing() {
    for case in cases()["cases"].as_array().unwrap() {
        let Some(events) = case["events"].as_array() else { continue };
        let mut stream = Accumulator::new(form(case["form"].as_str().unwrap()));
        // Pictures and finished items are counted as they come; everything else may come twice.
        let again: Vec<&Value> =
            events.iter().filter(|event| !event["type"].as_str().is_some_and(|kind| kind.ends_with("completed") || kind.ends_with("item.done"))).collect();
        for event in events.iter().chain(again) {
            stream.add(event.to_string().as_bytes());
            stream.add(b"{\"usage\":{},\"usageMetadata\":{}}");
            stream.add(b"{\"usage\":null}");
            stream.add(b"no json \"usage\"");
        }
        assert_eq!(stream.report(), UsageReport::Usage(usage(&case["usage"])), "{}", case["name"]);
    }
}

#[test]
fn an_absurd_event_is_told_and_not_taken() {
    let mut stream = Accumulator::new(Form::Chat);
    stream.add(br#"{"usage":{"prompt_tokens":5,"completion_tokens":1}}"#);
    assert_eq!(stream.add(br#"{"usage":{"prompt_tokens":5,"completion_tokens":-1}}"#), UsageReport::Absurd);
    assert_eq!(stream.report(), UsageReport::Usage(Usage { input: 5, output: 1, ..Usage::default() }));
    let mut stream = Accumulator::new(Form::Messages);
    stream.add(br#"{"type":"message_start","message":{"usage":{"input_tokens":5}}}"#);
    assert_eq!((stream.report(), stream.usage().input), (UsageReport::Absent, 5), "half a report is none, but known");
}

#[test]
fn most_events_are_not_even_parsed() {
    let chat = Accumulator::new(Form::Chat);
    assert!(!chat.may_tell(br#"{"choices":[{"delta":{"content":"the word usage"}}],"usage":null}"#));
    assert!(!chat.may_tell(br#"{"choices":[],"usage" : null}"#));
    assert!(chat.may_tell(br#"{"choices":[],"usage":null,"x_groq":{"usage":{}}}"#));
    assert!(!Accumulator::new(Form::Responses).may_tell(br#"{"type":"response.output_text.delta","delta":"x"}"#));
}

#[test]
fn a_usage_object_alone_reads_the_same() {
    let expected = UsageReport::Usage(Usage { input: 70, cached: 30, output: 5, ..Usage::default() });
    assert_eq!(read(Form::Chat, r#"{"prompt_tokens":100,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":30}}"#), expected);
    assert_eq!(read(Form::Chat, "null"), UsageReport::Absent);
    assert_eq!(read_answer(Form::Chat, b"<html>"), UsageReport::Absent);
}

#[test]
fn a_report_is_held_against_what_was_asked() {
    let bound = Bound { input: Some(1_000), output: Some(100), pieces: None };
    let used = |input, output, reasoning| Usage { input, output, reasoning, ..Usage::default() };
    for (usage, is_plausible) in [
        (used(1_000, 100, 0), true),
        (used(2_000, 110, 0), true),
        (used(60_000, 100, 50_000), true),
        (used(70_000, 100, 0), false),
        (used(10, 2_000, 0), false),
        (used(10, 100, 2_000_000), false),
        (Usage { searches: 1, ..used(300_000, 100, 0) }, true),
    ] {
        assert_eq!(plausible(&usage, bound), is_plausible, "{usage:?}");
    }
    assert!(plausible(&used(1_000_000, 200_000, 0), Bound::default()));
    assert!(!plausible(&used(100_000_000, 1, 0), Bound::default()));
}

#[test]
fn what_comes_by_the_piece_is_held_against_what_was_asked() {
    let most = Usage { images: 2, characters: 100, audio_ms: 30_000, searches: 1, ..Usage::default() };
    let bound = Bound { input: Some(1_000), output: Some(14_000), pieces: Some(most) };
    let none = Usage::default();
    for (usage, is_plausible) in [
        (most, true),
        (Usage { image_output: 14_000, ..none }, true),
        (Usage { image_output: 140_000, ..none }, false),
        (Usage { input: 2_000, searches: 2, ..none }, true),
        (Usage { input: 2_000_000, searches: 1, ..none }, false),
        (Usage { images: 3, ..none }, false),
        (Usage { searches: 3, ..none }, false),
        (Usage { characters: 201, ..none }, false),
        (Usage { audio_ms: 120_000, ..none }, true),
        (Usage { audio_ms: 120_001, ..none }, false),
    ] {
        assert_eq!(plausible(&usage, bound), is_plausible, "{usage:?}");
    }
}
