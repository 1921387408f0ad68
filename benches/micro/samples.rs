//! The same question and the same answer in the words of each dialect, and what else reports usage.

use bytes::BytesMut;
use farebox::kernel::Usage;
use farebox::relay::dialect::canonical::{Event, Request};
use farebox::relay::dialect::{self, Closing, Dialect, Echo, StreamParser, StreamRenderer, Target, parse_request, render_request};
use farebox::relay::report::Form;
use std::sync::Arc;

/// A question as a tool sends it: a system prompt, a conversation of one kilobyte, one tool.
pub const CHAT: &str = include_str!("chat.json");
/// How many pieces an answer comes in.
pub const PIECES: usize = 50;
/// The end of the answer, with what it used.
fn closing() -> Closing<'static> {
    Closing { usage: Usage { input: 200, cached: 13, output: 50, ..Usage::default() }, cost: None }
}

/// An answer in fifty pieces, then usage, then the end.
pub fn chat_stream() -> String {
    let piece = r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763700000,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":" of a token"},"finish_reason":null}]}"#;
    let last = r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763700000,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let usage = r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763700000,"model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":213,"completion_tokens":50,"total_tokens":263}}"#;
    std::iter::repeat_n(piece, PIECES).chain([last, usage, "[DONE]"]).map(|data| format!("data: {data}\n\n")).collect()
}

/// The data of each event of a stream.
pub fn data(stream: &str) -> Vec<&str> {
    stream.lines().filter_map(|line| line.strip_prefix("data: ")).collect()
}

pub fn target(dialect: Dialect) -> Target<'static> {
    let model = match dialect {
        Dialect::Chat | Dialect::Responses => "gpt-4o-mini",
        Dialect::Messages => "claude-sonnet-4-5",
        Dialect::Gemini => "gemini-2.5-flash",
    };
    Target { model, output_cap: Some(256), default_cap: 4096, is_openai: true }
}

pub fn echo(request: &Arc<Request>) -> Echo {
    Echo { request: Arc::clone(request), model: "gpt-4o-mini".to_owned(), id: "1".to_owned(), created: 1, include_usage: true, input_tokens: 200 }
}

/// The question in a dialect.
pub fn question(dialect: Dialect, request: &Request) -> Vec<u8> {
    render_request(dialect, request, &target(dialect)).expect("the request can be said")
}

/// The question, read.
pub fn request() -> Request {
    parse_request(Dialect::Chat, CHAT.as_bytes(), "", false).expect("the request reads")
}

/// What a stream comes to, in another dialect.
pub fn translated(from: Dialect, to: Dialect, data: &[&str], request: &Arc<Request>) -> BytesMut {
    let (mut parser, mut renderer) = (StreamParser::new(from), StreamRenderer::new(to, false, echo(request)));
    let (mut events, mut out): (Vec<Event>, _) = (Vec::new(), BytesMut::new());
    for event in data {
        parser.push(event, &mut events).expect("the stream reads");
        events.drain(..).for_each(|event| renderer.push(event, &mut out));
    }
    parser.finish(&mut events).expect("the stream is complete");
    events.drain(..).for_each(|event| renderer.push(event, &mut out));
    renderer.finish(&closing(), &mut out);
    out
}

/// The answer's stream in a dialect.
pub fn stream(dialect: Dialect, request: &Arc<Request>) -> String {
    let chat = chat_stream();
    let out = translated(Dialect::Chat, dialect, &data(&chat), request);
    String::from_utf8(out.to_vec()).expect("it is text")
}

/// The answer as a whole in a dialect.
pub fn answer(dialect: Dialect, request: &Arc<Request>) -> Vec<u8> {
    let text = " of a token".repeat(PIECES);
    let chat = format!(
        r#"{{"id":"c","choices":[{{"message":{{"content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":213,"completion_tokens":50}}}}"#
    );
    let answer = dialect::parse_answer(Dialect::Chat, chat.as_bytes()).expect("the answer reads");
    dialect::render_answer(dialect, &answer, &echo(request), &closing())
}

/// Answers of every form that reports usage.
pub fn reports(request: &Arc<Request>) -> Vec<(Form, Vec<u8>)> {
    let vector = "0.0123,".repeat(1_535);
    let embeddings = format!(r#"{{"object":"list","data":[{{"index":0,"embedding":[{vector}0]}}],"usage":{{"prompt_tokens":8,"total_tokens":8}}}}"#);
    let picture = "A".repeat(100_000);
    let images = format!(r#"{{"created":1,"data":[{{"b64_json":"{picture}"}}],"usage":{{"input_tokens":9,"output_tokens":1056,"total_tokens":1065}}}}"#);
    let transcription = r#"{"text":"hello","usage":{"type":"tokens","input_tokens":14,"output_tokens":5,"total_tokens":19}}"#;
    let rerank = r#"{"results":[{"index":0,"relevance_score":0.9}],"usage":{"total_tokens":12}}"#;
    let others = [(Form::Embeddings, embeddings), (Form::Images, images), (Form::Transcription, transcription.to_owned()), (Form::Rerank, rerank.to_owned())];
    let chats = [(Form::Chat, Dialect::Chat), (Form::Responses, Dialect::Responses), (Form::Messages, Dialect::Messages), (Form::Gemini, Dialect::Gemini)];
    let chats = chats.into_iter().map(|(form, dialect)| (form, answer(dialect, request)));
    chats.chain(others.map(|(form, body)| (form, body.into_bytes()))).collect()
}
