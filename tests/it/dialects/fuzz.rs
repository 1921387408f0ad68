//! Bytes without sense: nothing panics, and nothing grows out of bounds.

use super::{echo, events, golden, target};
use farebox::relay::dialect::canonical::{Event, Request};
use farebox::relay::dialect::{self, Closing, Dialect, StreamParser, embed, messages};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// How much more may come out than went in.
const GROWTH: usize = 64;
/// What comes out whatever goes in.
const LEAST: usize = 4_096;

fn must_be_bounded(input: usize, output: usize) {
    assert!(output <= input * GROWTH + LEAST, "{output} bytes of {input}");
}

/// Everything that a caller's bytes may come to.
fn request(bytes: &[u8]) {
    for from in Dialect::ALL {
        let Ok(request) = dialect::parse_request(from, bytes, "m", true) else { continue };
        for to in Dialect::ALL {
            for body in [true, false].into_iter().filter_map(|is_openai| dialect::render_request(to, &request, &target(to, &request, is_openai)).ok()) {
                must_be_bounded(bytes.len(), body.len());
            }
        }
    }
    let _ = messages::parse_count(bytes);
    for body in [embed::gemini_to_openai(bytes, "m"), embed::openai_to_gemini(bytes, "m")].into_iter().flatten() {
        must_be_bounded(bytes.len(), body.len());
    }
}

/// Everything that an upstream's bytes may come to.
fn answer(bytes: &[u8]) {
    for from in Dialect::ALL {
        let Ok(answer) = dialect::parse_answer(from, bytes) else { continue };
        for to in Dialect::ALL {
            must_be_bounded(bytes.len(), dialect::render_answer(to, &answer, &echo(Request::default()), &Closing::default()).len());
        }
    }
    let asked = br#"{"input":"a","encoding_format":"base64"}"#;
    let embeddings =
        [embed::openai_answer_to_gemini(bytes, true), embed::openai_answer_to_gemini(bytes, false), embed::gemini_answer_to_openai(bytes, asked, "m")];
    for body in embeddings.into_iter().flatten() {
        must_be_bounded(bytes.len(), body.len());
    }
}

/// Everything that an upstream's stream may come to. A stream that breaks has said what it said.
fn stream(text: &str) {
    for from in Dialect::ALL {
        let (mut parser, mut read): (_, Vec<Event>) = (StreamParser::new(from), Vec::new());
        let datas = text.split("\n\n").filter_map(|event| event.lines().find_map(|line| line.strip_prefix("data: ")));
        let is_whole = datas.into_iter().all(|data| parser.push(data, &mut read).is_ok()) && parser.finish(&mut read).is_ok();
        if is_whole && !read.is_empty() {
            events::gather(&read);
        }
        for to in Dialect::ALL {
            must_be_bounded(text.len().max(1) * 4, events::write(to, &read, &Request::default()).len());
        }
    }
}

fn check(cases: u32, bytes: impl Strategy<Value = Vec<u8>>) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let result = runner.run(&bytes, |bytes| {
        request(&bytes);
        answer(&bytes);
        stream(&String::from_utf8_lossy(&bytes));
        Ok(())
    });
    result.unwrap();
}

#[test]
fn arbitrary_bytes_are_refused() {
    check(256, vec(any::<u8>(), 0..256));
    // The letters of JSON come closer to something.
    check(256, vec(proptest::sample::select(br#"{}[]":,0123456789truefalsenull\udata "#.to_vec()), 0..256));
}

/// A way to spoil bytes.
#[derive(Clone, Debug)]
pub(super) enum Damage {
    Set(u8),
    Cut(usize),
    Repeat(usize),
    /// A value of another kind in the place of the next.
    Swap(&'static str),
}

pub(super) fn damage() -> impl Strategy<Value = Damage> {
    let values = proptest::sample::select(vec!["null", "-1", "1e999", "\"\"", "[]", "{}", "true", "\"farebox.gemini.x\"", "18446744073709551616"]);
    prop_oneof![any::<u8>().prop_map(Damage::Set), (1_usize..40).prop_map(Damage::Cut), (1_usize..40).prop_map(Damage::Repeat), values.prop_map(Damage::Swap)]
}

pub(super) fn apply(bytes: &mut Vec<u8>, at: f64, damage: &Damage) {
    let at = ((bytes.len() as f64) * at) as usize;
    let rest = bytes.len() - at;
    match damage {
        Damage::Set(byte) if rest > 0 => bytes[at] = *byte,
        Damage::Set(_) => {}
        Damage::Cut(most) => drop(bytes.drain(at..at + rest.min(*most))),
        Damage::Repeat(most) => {
            let piece = bytes[at..at + rest.min(*most)].to_vec();
            bytes.splice(at..at, piece);
        }
        Damage::Swap(value) => {
            let Some(colon) = bytes[at..].iter().position(|byte| *byte == b':') else { return };
            let start = at + colon + 1;
            let end = bytes[start..].iter().position(|byte| b",}\n".contains(byte)).map_or(bytes.len(), |end| start + end);
            bytes.splice(start..end, value.bytes());
        }
    }
}

/// Requests for embeddings and answers with some, of both dialects.
const EMBEDDINGS: [&str; 4] = [
    r#"{"input":["a","b"],"dimensions":8,"encoding_format":"base64","user":"u"}"#,
    r#"{"requests":[{"model":"models/m","content":{"parts":[{"text":"a"}]},"outputDimensionality":8}]}"#,
    r#"{"object":"list","data":[{"index":0,"embedding":[0.5,-1e-9]},{"index":1,"embedding":"AACAPwAAAEA="}],"usage":{"prompt_tokens":7,"total_tokens":7}}"#,
    r#"{"embeddings":[{"values":[0.5,-1e-9]}],"usageMetadata":{"promptTokenCount":7}}"#,
];

#[test]
fn damaged_bodies_are_refused_or_understood() {
    let inputs = golden::inputs().into_iter().map(|(_, _, text)| text).chain(EMBEDDINGS.map(str::to_owned));
    let inputs: Vec<Vec<u8>> = inputs.map(String::into_bytes).collect();
    let damaged = (proptest::sample::select(inputs), vec((0.0..1.0, damage()), 1..4)).prop_map(|(mut bytes, damages)| {
        damages.iter().for_each(|(at, damage)| apply(&mut bytes, *at, damage));
        bytes
    });
    check(1_024, damaged);
}
