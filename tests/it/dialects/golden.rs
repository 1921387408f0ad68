//! Golden files. `tests/golden/inputs/{dialect}/{case}` has requests of callers (`.request.json`), answers of upstreams (`.answer.json`) and their streams
//! (`.stream.txt`); `tests/golden/{from}-{to}` has what each comes to in another dialect, or how it is refused. `tests/golden/compatible/{from}-{to}` has the
//! requests that a server which is only compatible with OpenAI's is asked otherwise; those that are not there are asked of it in the same words.
//!
//! `FAREBOX_WRITE_GOLDEN=1 cargo test --test it dialects::golden` writes them anew: read what has changed before you keep it.

use super::{DIALECTS, echo, events, target};
use farebox::relay::dialect::canonical::{Request, Unfit};
use farebox::relay::dialect::{self, Closing, Dialect};
use farebox::relay::report::UsageReport;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The names of the files in a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Every input there is: its dialect, its name, and what it says.
pub(super) fn inputs() -> Vec<(Dialect, String, String)> {
    let of = |dialect: Dialect| {
        let folder = folder().join("inputs").join(dialect.word());
        names(&folder).into_iter().map(move |name| (dialect, name.clone(), std::fs::read_to_string(folder.join(&name)).unwrap()))
    };
    DIALECTS.into_iter().flat_map(of).collect()
}

fn pretty(value: &Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).unwrap())
}

fn parse(dialect: Dialect, text: &str) -> Result<Request, Unfit> {
    dialect::parse_request(dialect, text.as_bytes(), "public-model", false)
}

/// What the caller asked in the case of an answer; its tools make a difference.
fn asked(dialect: Dialect, case: &str) -> Request {
    let file = folder().join("inputs").join(dialect.word()).join(format!("{case}.request.json"));
    std::fs::read_to_string(file).ok().and_then(|text| parse(dialect, &text).ok()).unwrap_or_default()
}

/// What an input comes to.
fn translate(from: Dialect, to: Dialect, name: &str, text: &str, is_openai: bool) -> String {
    let case = name.split('.').next().unwrap();
    if name.ends_with(".request.json") {
        let rendered = parse(from, text).and_then(|request| {
            let rendered = dialect::render_request(to, &request, &target(to, &request, is_openai));
            rendered.map_err(|unfit| dialect::trace(from, text.as_bytes(), &request, unfit))
        });
        return match rendered {
            Ok(body) => pretty(&serde_json::from_slice(&body).unwrap()),
            Err(unfit) => pretty(&json!({"refused": unfit.field, "message": unfit.message})),
        };
    }
    let request = asked(to, case);
    if name.ends_with(".answer.json") {
        let answer = dialect::parse_answer(from, text.as_bytes()).unwrap();
        let UsageReport::Usage(usage) = answer.usage else { panic!("{name}: no usage") };
        let body = dialect::render_answer(to, &answer, &echo(request), &Closing { usage, cost: None });
        return pretty(&serde_json::from_slice(&body).unwrap());
    }
    assert!(name.ends_with(".stream.txt"), "{name}");
    events::write(to, &events::read(from, text).unwrap(), &request)
}

#[test]
fn each_input_comes_to_what_is_written() {
    let mut wrong = Vec::new();
    for (from, to) in DIALECTS.into_iter().flat_map(|from| DIALECTS.map(|to| (from, to))).filter(|(from, to)| from != to) {
        let folder = folder().join(format!("{}-{}", from.word(), to.word()));
        let mut left = names(&folder);
        for (_, name, text) in inputs().into_iter().filter(|(dialect, _, _)| *dialect == from) {
            left.remove(&name);
            wrong.extend(compare(&folder, &name, &translate(from, to, &name, &text, true)));
        }
        assert!(left.is_empty(), "without an input: {left:?} in {}", folder.display());
    }
    assert!(inputs().len() >= 30, "the inputs were not found");
    told(&wrong);
}

#[test]
fn a_compatible_server_is_asked_as_is_written() {
    let (mut wrong, mut kept) = (Vec::new(), 0);
    let targets = [Dialect::Chat, Dialect::Responses];
    for (from, to) in DIALECTS.into_iter().flat_map(|from| targets.map(|to| (from, to))).filter(|(from, to)| from != to) {
        let folder = folder().join("compatible").join(format!("{}-{}", from.word(), to.word()));
        let mut left = names(&folder);
        for (_, name, text) in inputs().into_iter().filter(|(dialect, name, _)| *dialect == from && name.ends_with(".request.json")) {
            let (now, to_openai) = (translate(from, to, &name, &text, false), translate(from, to, &name, &text, true));
            // The models differ in any case.
            if now.replace("deepseek-chat", "gpt-4.1") != to_openai {
                left.remove(&name);
                kept += 1;
                wrong.extend(compare(&folder, &name, &now));
            }
        }
        assert!(left.is_empty(), "asked in the same words, or without an input: {left:?} in {}", folder.display());
    }
    assert!(kept >= 20, "only {kept} requests make a difference");
    told(&wrong);
}

/// What is wrong with a file, or nothing; when they are written anew, writes it.
fn compare(folder: &Path, name: &str, now: &str) -> Option<String> {
    let file = folder.join(name);
    if std::env::var_os("FAREBOX_WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(&file, now).unwrap();
        return None;
    }
    (std::fs::read_to_string(&file).ok().as_deref() != Some(now)).then(|| format!("{}:\n{now}", file.display()))
}

fn told(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} of the golden files are wrong, and now come to:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_stream_and_the_whole_answer_say_the_same() {
    let inputs = inputs();
    let mut pairs = 0;
    for (dialect, name, text) in &inputs {
        let Some(case) = name.strip_suffix(".stream.txt") else { continue };
        let Some((_, _, whole)) = inputs.iter().find(|(other, name, _)| other == dialect && *name == format!("{case}.answer.json")) else { continue };
        let answer = dialect::parse_answer(*dialect, whole.as_bytes()).unwrap();
        assert_eq!(events::gather(&events::read(*dialect, text).unwrap()), answer, "{dialect:?} {case}");
        pairs += 1;
    }
    assert!(pairs >= 2 * DIALECTS.len(), "only {pairs} streams have a whole answer beside them");
}
