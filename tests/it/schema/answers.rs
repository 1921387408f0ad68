//! What each dialect's answers and streams come to for callers of OpenAI's dialects is what OpenAI says an answer is.

use super::check;
use bytes::BytesMut;
use farebox::relay::dialect::canonical::{Event, Request};
use farebox::relay::dialect::{self, Closing, Dialect, Echo, StreamParser, StreamRenderer};
use farebox::relay::report::UsageReport;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// The golden inputs of a dialect whose names end so.
fn inputs(dialect: Dialect, ending: &str) -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/inputs").join(dialect.word());
    let names = std::fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| Some((name.strip_suffix(ending)?.to_owned(), std::fs::read_to_string(folder.join(&name)).unwrap()))).collect()
}

/// The caller of a case: its request where there is one, so that tools and formats are repeated.
fn echo(to: Dialect, case: &str) -> Echo {
    let body = inputs(to, ".request.json").into_iter().find(|(name, _)| name == case);
    let request = body.and_then(|(_, body)| dialect::parse_request(to, body.as_bytes(), "m", false).ok()).unwrap_or_default();
    Echo { request: Arc::new(request), model: "public-model".to_owned(), id: "req_1".to_owned(), created: 1_700_000_000, include_usage: true, input_tokens: 7 }
}

fn closing(usage: UsageReport) -> Closing<'static> {
    let UsageReport::Usage(usage) = usage else { panic!("no usage") };
    Closing { usage, cost: Some("0.0001") }
}

/// The callers, and what an answer and an event of a stream are for each.
const CALLERS: [(Dialect, &str, &str); 2] =
    [(Dialect::Responses, "Response", "ResponseStreamEvent"), (Dialect::Chat, "CreateChatCompletionResponse", "CreateChatCompletionStreamResponse")];

#[test]
fn whole_answers_are_valid() {
    let mut checked = 0;
    for (from, (to, name, _)) in Dialect::ALL.into_iter().flat_map(|from| CALLERS.map(|caller| (from, caller))) {
        for (case, body) in inputs(from, ".answer.json") {
            let answer = dialect::parse_answer(from, body.as_bytes()).unwrap();
            let usage = closing(answer.usage);
            check(name, &serde_json::from_slice(&dialect::render_answer(to, &answer, &echo(to, &case), &usage)).unwrap());
            checked += 1;
        }
    }
    assert!(checked > 30, "only {checked} answers were found");
}

fn events(from: Dialect, stream: &str) -> Vec<Event> {
    let (mut parser, mut out) = (StreamParser::new(from), Vec::new());
    for data in stream.lines().filter_map(|line| line.strip_prefix("data: ")) {
        parser.push(data, &mut out).unwrap();
    }
    parser.finish(&mut out).unwrap();
    out
}

fn pieces(out: &BytesMut) -> Vec<Value> {
    let text = std::str::from_utf8(out).unwrap();
    let datas = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    datas.map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[test]
fn streams_are_valid() {
    let mut checked = 0;
    for (from, (to, _, name)) in Dialect::ALL.into_iter().flat_map(|from| CALLERS.map(|caller| (from, caller))) {
        // The description knows custom tools in whole answers of Chat, but not in its chunks.
        for (case, stream) in inputs(from, ".stream.txt").into_iter().filter(|(case, _)| to != Dialect::Chat || case != "custom_tool") {
            let (mut renderer, mut out) = (StreamRenderer::new(to, false, echo(to, &case)), BytesMut::new());
            let mut usage = UsageReport::Absent;
            for event in events(from, &stream) {
                if let Event::Usage(now) = &event {
                    usage = UsageReport::Usage(*now);
                }
                renderer.push(event, &mut out);
            }
            renderer.finish(&closing(usage), &mut out);
            pieces(&out).iter().for_each(|piece| check(name, piece));
            checked += 1;
        }
    }
    assert!(checked > 15, "only {checked} streams were found");
}

#[test]
fn a_failed_response_is_valid() {
    let echo = Echo { request: Arc::new(Request::default()), ..echo(Dialect::Responses, "") };
    let (mut renderer, mut out) = (StreamRenderer::new(Dialect::Responses, false, echo), BytesMut::new());
    renderer.push(Event::Start { id: None }, &mut out);
    renderer.fail("api_error", "upstream_error", "It broke.", &mut out);
    let pieces = pieces(&out);
    assert_eq!(pieces.last().unwrap()["type"], "response.failed");
    pieces.iter().for_each(|piece| check("ResponseStreamEvent", piece));
}

#[test]
fn embeddings_of_gemini_are_valid() {
    let body = br#"{"embeddings":[{"values":[0.5,-1e-9]}],"usageMetadata":{"promptTokenCount":7}}"#;
    let answer = dialect::embed::gemini_answer_to_openai(body, br#"{"input":"a"}"#, "m").unwrap();
    check("CreateEmbeddingResponse", &serde_json::from_slice(&answer).unwrap());
}
