//! What reads bytes before anything is understood: the scanner of streams, the envelope of a request, forms, reports of usage, the bound of the input. Real ones are
//! damaged: nothing panics, nothing grows out of bounds, and it makes no difference in what pieces a stream comes.

use super::fuzz::{apply, damage};
use super::golden;
use bytes::Bytes;
use farebox::relay::Operation;
use farebox::relay::count;
use farebox::relay::dialect::Dialect;
use farebox::relay::envelope::{Edits, Envelope};
use farebox::relay::report::{self, Accumulator, Form, UsageReport};
use farebox::relay::scan::{self, Scanner, Wire};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde::de::IgnoredAny;

const WIRES: [Wire; 7] = [Wire::Chat, Wire::Responses, Wire::Messages, Wire::Gemini, Wire::Images, Wire::Transcription, Wire::Speech];
const FORMS: [Form; 9] =
    [Form::Chat, Form::Responses, Form::Messages, Form::Gemini, Form::Embeddings, Form::Images, Form::Transcription, Form::Speech, Form::Rerank];
/// More than any report may come to.
const MOST: u64 = 1_000_000_000;

/// The golden inputs of a kind.
fn inputs(ending: &str) -> Vec<Vec<u8>> {
    golden::inputs().into_iter().filter(|(_, name, _)| name.ends_with(ending)).map(|(_, _, text)| text.into_bytes()).collect()
}

/// One of them, spoiled or not.
fn spoiled(inputs: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    assert!(!inputs.is_empty());
    (select(inputs), vec((0.0..1.0, damage()), 0..4)).prop_map(|(mut bytes, damages)| {
        damages.iter().for_each(|(at, damage)| apply(&mut bytes, *at, damage));
        bytes
    })
}

fn check<S: Strategy>(strategy: S, test: impl Fn(S::Value)) {
    let mut runner = TestRunner::new(Config { cases: 512, failure_persistence: None, ..Config::default() });
    runner
        .run(&strategy, |value| {
            test(value);
            Ok(())
        })
        .unwrap();
}

/// All that a scanner makes of a stream that comes in these pieces.
fn scanned(wire: Wire, pieces: &[&[u8]]) -> (Vec<u8>, Vec<u8>, u64, bool, String) {
    let mut scanner = Scanner::new(wire, true);
    let (mut forward, mut events, mut done, mut broken) = (Vec::new(), 0, false, None);
    for piece in pieces {
        let passed = scanner.push(Bytes::copy_from_slice(piece));
        forward.extend_from_slice(&passed.forward);
        (events, done, broken) = (events + passed.events, passed.done, passed.broken);
        if done || broken.is_some() {
            break;
        }
    }
    let is_complete = done || broken.is_none() && scanner.end();
    let kept = scanner.take_kept_back().to_vec();
    (forward, kept, events, is_complete, format!("{broken:?} {:?} {:?}", scanner.reported(), scanner.told()))
}

#[test]
fn a_stream_comes_to_the_same_in_whatever_pieces() {
    check((spoiled(inputs(".stream.txt")), vec(0.0..1.0, 0..8)), |(bytes, cuts)| {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| (bytes.len() as f64 * cut) as usize).collect();
        cuts.sort_unstable();
        let starts = std::iter::once(0).chain(cuts.iter().copied());
        let pieces: Vec<&[u8]> = starts.zip(cuts.iter().copied().chain([bytes.len()])).map(|(from, to)| &bytes[from..to]).collect();
        for wire in WIRES {
            let whole = scanned(wire, &[&bytes]);
            assert!(whole.0.len() + whole.1.len() <= bytes.len() + 2, "{wire:?}");
            assert_eq!(scanned(wire, &pieces), whole, "{wire:?} cut at {cuts:?}");
            let mut text = String::new();
            scan::append_text(wire, &bytes, &mut text);
            assert!(text.len() <= bytes.len() * 4);
        }
        let (events, used) = scan::whole_events(&bytes);
        assert!(events.map(<[u8]>::len).sum::<usize>() <= used && used <= bytes.len());
    });
}

fn is_sane(report: UsageReport) -> bool {
    if let UsageReport::Usage(usage) = report { usage.all_input() <= MOST && usage.all_output() <= MOST } else { true }
}

#[test]
fn usage_only_grows_and_never_beyond_reason() {
    check(spoiled(inputs(".stream.txt")), |bytes| {
        for form in FORMS {
            let mut usage = Accumulator::new(form);
            let mut before = usage.usage();
            for data in bytes.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data: ")) {
                let report = usage.add(data);
                assert!(is_sane(report), "{form:?}: {report:?}");
                let now = usage.usage();
                assert!(now.all_input() >= before.all_input() && now.all_output() >= before.all_output(), "{form:?}: {before:?} {now:?}");
                before = now;
            }
        }
    });
    check(spoiled(inputs(".answer.json")), |bytes| FORMS.into_iter().for_each(|form| assert!(is_sane(report::read_answer(form, &bytes)), "{form:?}")));
}

/// Requests that are no conversation.
const OTHERS: [&str; 6] = [
    r#"{"model":"m","prompt":["a","b"],"suffix":"c","n":2,"best_of":3,"max_tokens":9,"stream":true,"stream_options":{"include_usage":true}}"#,
    r#"{"model":"m","input":["a",{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}],"usage":{"include":true}}"#,
    r#"{"model":"m","query":"a","documents":["b",{"text":"c"}],"top_n":1}"#,
    r#"{"model":"m","prompt":"a","n":2,"images":[{"image_url":"https://x/y.png"}],"stream":true}"#,
    r#"{"model":"m","input":"a","voice":"alloy","instructions":"b","stream_format":"sse"}"#,
    r#"{"model":"models/m","content":{"parts":[{"text":"a"}]},"requests":[{"content":{"parts":[{"text":"a"}]}}]}"#,
];

const OPERATIONS: [Operation; 12] = [
    Operation::Generate(Dialect::Chat),
    Operation::Generate(Dialect::Responses),
    Operation::Generate(Dialect::Messages),
    Operation::Generate(Dialect::Gemini),
    Operation::Completions,
    Operation::Embeddings,
    Operation::Moderations,
    Operation::ImageGenerations,
    Operation::ImageEdits,
    Operation::Speech,
    Operation::Rerank,
    Operation::GeminiEmbed,
];

/// All that is done with what was read of a body, and the body that goes on.
fn forwarded(envelope: &Envelope, body: &[u8], edits: &Edits<'_>) -> Bytes {
    assert!(envelope.texts(body).0.iter().map(|text| text.len()).sum::<usize>() <= body.len() * 4);
    assert!(envelope.conversation(body).len() <= body.len());
    let (instructions, turns) = envelope.opening(body);
    assert!(instructions.len() + turns.len() <= body.len());
    let out = envelope.forward(&Bytes::copy_from_slice(body), edits);
    assert!(out.len() <= body.len() * 6 + 256);
    out
}

#[test]
fn a_body_is_refused_or_edited_in_its_place() {
    #[derive(serde::Deserialize)]
    struct Named {
        model: String,
    }
    let bodies = inputs(".request.json").into_iter().chain(OTHERS.map(|body| body.as_bytes().to_vec())).collect();
    check(spoiled(bodies), |body| {
        let bound = count::input_bound(&body);
        assert!(bound.text_bytes <= body.len() && bound.media.len() <= body.len());
        bound.media.iter().for_each(|media| assert!(media.usual("m") <= media.most("m"), "{media:?}"));
        for operation in OPERATIONS {
            let Ok(envelope) = Envelope::read(operation, Some(("m", true)), "application/json", &body) else { continue };
            if !envelope.include_cost {
                assert_eq!(forwarded(&envelope, &body, &Edits::default()), body, "{operation:?}: nothing was to be changed");
            }
            let edits = Edits { model: Some("up"), cap: Some(7), ask_usage: true, ..Edits::default() };
            let out = forwarded(&envelope, &body, &edits);
            serde_json::from_slice::<IgnoredAny>(&out).unwrap_or_else(|error| panic!("{operation:?}: {error}: {}", String::from_utf8_lossy(&out)));
            if operation.openai_path().is_some() {
                assert_eq!(serde_json::from_slice::<Named>(&out).unwrap().model, "up", "{operation:?}");
            }
            let again = Envelope::read(operation, Some(("m", true)), "application/json", &out).expect("what went on can be read");
            if let Operation::Generate(_) = operation {
                assert_eq!(again.output_cap, Some(7), "{operation:?}: {}", String::from_utf8_lossy(&out));
            }
        }
        for gemini in [None, Some("m")] {
            if let Ok(envelope) = Envelope::read_to_count(gemini, &body) {
                assert!(envelope.texts(&body).0.len() <= body.len() + 1);
            }
        }
    });
}

#[test]
fn a_form_is_refused_or_passed_on_with_another_model() {
    let field = |name: &str, value: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let file = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF\0\x01\r\n--\r\n";
    let forms = [
        format!("{}{file}{}--b--\r\n", field("model", "m"), field("stream", "true")),
        format!("{file}{}{}{}--b--", field("prompt", "p"), field("n", "2"), field("model", "m")),
    ];
    check(spoiled(forms.map(String::into_bytes).to_vec()), |body| {
        for operation in [Operation::Transcriptions, Operation::Translations, Operation::ImageEdits] {
            for kind in ["multipart/form-data; boundary=b", "multipart/form-data; boundary=\"b\"", "multipart/form-data; boundary=bb"] {
                let Ok(envelope) = Envelope::read(operation, None, kind, &body) else { continue };
                let form = envelope.form().expect("it is a form");
                assert!(form.file_bytes() <= body.len() && form.first_file(&body).is_none_or(|file| file.len() <= body.len()));
                let out = forwarded(&envelope, &body, &Edits { model: Some("up"), ..Edits::default() });
                let again = Envelope::read(operation, None, kind, &out).expect("what went on can be read");
                assert_eq!((again.model.as_str(), again.form().unwrap().file_bytes()), ("up", form.file_bytes()));
            }
        }
    });
}
