//! What single pieces of the hot path cost, without a network or a database: `cargo bench --bench micro`. One function for each room; what is
//! measured next is a few lines in the room's function.

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use farebox::kernel::{Id, NEVER, Price, Prices, Usage, Usd};
use farebox::ledger::{Bucket, CreditKind, order, split};
use farebox::relay::dialect::{Closing, Dialect, Echo, StreamParser, StreamRenderer, Target, parse_request, render_request};
use farebox::relay::scan::{Scanner, Wire};
use std::hint::black_box;
use std::sync::Arc;

/// A question as a tool sends it: a system prompt, a conversation of one kilobyte, one tool.
const CHAT: &str = include_str!("chat.json");
/// An answer in fifty pieces, then usage, then the end.
fn chat_stream() -> String {
    let piece = r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763700000,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":" of a token"},"finish_reason":null}]}"#;
    let last = r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763700000,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let usage = r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763700000,"model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":213,"completion_tokens":50,"total_tokens":263}}"#;
    std::iter::repeat_n(piece, 50).chain([last, usage, "[DONE]"]).map(|data| format!("data: {data}\n\n")).collect()
}

fn prices(c: &mut Criterion) {
    let prices = Prices { input: Price(150_000_000), output: Price(600_000_000), cached_input: Price(75_000_000), cache_write: Price(150_000_000), rare: None };
    let usage = Usage { input: 213, output: 47, cached: 1024, ..Usage::default() };
    c.bench_function("price", |b| b.iter(|| black_box(&prices).charge(black_box(&usage))));
}

fn ledger(c: &mut Criterion) {
    let bucket =
        |n: i64| Bucket { id: Id(n), kind: CreditKind::Paid, posted: Usd(1_000), held: Usd(n % 7), priority: 100, effective_at: 0, expires_at: NEVER - n % 3 };
    for credits in [1, 8] {
        let mut buckets: Vec<Bucket> = (0..credits).map(bucket).collect();
        c.bench_function(&format!("split over {credits}"), |b| {
            b.iter(|| {
                order(&mut buckets);
                split(black_box(&buckets), Usd(2_500), 5)
            });
        });
    }
}

fn scanner(c: &mut Criterion) {
    let stream = chat_stream();
    let events: Vec<Bytes> = stream.split_inclusive("\n\n").map(|event| Bytes::copy_from_slice(event.as_bytes())).collect();
    let mut group = c.benchmark_group("scan a stream");
    group.throughput(Throughput::Elements(events.len() as u64));
    group.bench_function("chat", |b| {
        b.iter(|| {
            let mut scanner = Scanner::new(Wire::Chat, true);
            events.iter().map(|event| scanner.push(event.clone()).events).sum::<u64>()
        });
    });
}

fn dialects(c: &mut Criterion) {
    let request = parse_request(Dialect::Chat, CHAT.as_bytes(), "", false).expect("the request reads");
    let target = Target { model: "gpt-4o-mini", output_cap: Some(256), default_cap: 4096, is_openai: true };
    let mut group = c.benchmark_group("requests");
    for dialect in [Dialect::Chat, Dialect::Messages, Dialect::Responses] {
        let body = render_request(dialect, &request, &target).expect("the request can be said");
        group.bench_function(format!("read {dialect:?}"), |b| b.iter(|| parse_request(dialect, black_box(&body), "", false)));
        group.bench_function(format!("write {dialect:?}"), |b| b.iter(|| render_request(dialect, black_box(&request), &target)));
    }
    group.finish();

    let stream = chat_stream();
    let data: Vec<&str> = stream.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect();
    let request = Arc::new(request);
    let mut group = c.benchmark_group("translate a chat stream");
    group.throughput(Throughput::Elements(data.len() as u64));
    for dialect in [Dialect::Chat, Dialect::Messages, Dialect::Responses] {
        group.bench_function(format!("to {dialect:?}"), |b| {
            b.iter(|| {
                let echo = Echo {
                    request: Arc::clone(&request),
                    model: "gpt-4o-mini".to_owned(),
                    id: "1".to_owned(),
                    created: 1,
                    include_usage: true,
                    input_tokens: 7,
                };
                let (mut parser, mut renderer) = (StreamParser::new(Dialect::Chat), StreamRenderer::new(dialect, false, echo));
                let (mut events, mut out) = (Vec::new(), BytesMut::new());
                for event in &data {
                    parser.push(event, &mut events).expect("the stream reads");
                    events.drain(..).for_each(|event| renderer.push(event, &mut out));
                }
                renderer.finish(&Closing::default(), &mut out);
                out.len()
            });
        });
    }
}

criterion_group!(benches, prices, ledger, scanner, dialects);
criterion_main!(benches);
