//! What single pieces of the hot path cost, without a network or a database: `cargo bench --bench micro`. One function for each room; what is
//! measured next is a few lines in the room's function.

mod samples;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use farebox::kernel::pricing::{Rare, Tier};
use farebox::kernel::{Id, NEVER, Price, Prices, Usage, Usd};
use farebox::ledger::{Bucket, CreditKind, EVERYTHING, Pays, order, split};
use farebox::relay::count::{self, Care};
use farebox::relay::dialect::{Closing, Dialect, parse_answer, parse_request, render_answer, render_request};
use farebox::relay::report::{Accumulator, UsageReport, read_answer};
use farebox::relay::scan::{Scanner, Wire};
use std::hint::black_box;
use std::sync::Arc;

fn prices(c: &mut Criterion) {
    let prices =
        Prices { input: Price(150_000_000), output: Price(600_000_000), cached_input: Price(75_000_000), cache_write: Price(150_000_000), ..Prices::default() };
    let usage = Usage { input: 213, output: 47, cached: 1024, ..Usage::default() };
    let long = Usage { input: 250_000, ..usage };
    let tier = |above: u64, times: i64| Tier { above, input: Price(150_000_000 * times), output: Price(600_000_000 * times), ..Tier::default() };
    let tiered = prices.clone().with(Rare { tiers: vec![tier(128_000, 2), tier(200_000, 3)], ..Rare::default() });
    c.bench_function("price", |b| b.iter(|| black_box(&prices).charge(black_box(&usage))));
    c.bench_function("price in tiers, a short input", |b| b.iter(|| black_box(&tiered).charge(black_box(&usage))));
    c.bench_function("price in tiers, a long input", |b| b.iter(|| black_box(&tiered).charge(black_box(&long))));
}

fn ledger(c: &mut Criterion) {
    let bucket = |n: i64| Bucket {
        id: Id(n),
        kind: CreditKind::Paid,
        posted: Usd(1_000),
        held: Usd(n % 7),
        priority: 100,
        effective_at: 0,
        expires_at: NEVER - n % 3,
        scope: EVERYTHING,
    };
    for credits in [1, 8] {
        let mut buckets: Vec<Bucket> = (0..credits).map(bucket).collect();
        c.bench_function(&format!("split over {credits}"), |b| {
            b.iter(|| {
                order(&mut buckets);
                split(black_box(&buckets), Usd(2_500), 5, &Pays::default())
            });
        });
    }
}

fn scanner(c: &mut Criterion) {
    let request = Arc::new(samples::request());
    let mut group = c.benchmark_group("scan a stream");
    for (dialect, wire) in Dialect::ALL.map(|dialect| (dialect, Wire::from(dialect))) {
        let stream = samples::stream(dialect, &request);
        let events: Vec<Bytes> = stream.split_inclusive("\n\n").map(|event| Bytes::copy_from_slice(event.as_bytes())).collect();
        group.throughput(Throughput::Elements(events.len() as u64));
        group.bench_function(dialect.word(), |b| {
            b.iter(|| {
                let mut scanner = Scanner::new(wire, true);
                events.iter().map(|event| scanner.push(event.clone()).events).sum::<u64>()
            });
        });
    }
}

fn requests(c: &mut Criterion) {
    let request = samples::request();
    let mut group = c.benchmark_group("requests");
    for dialect in Dialect::ALL {
        let (body, word) = (samples::question(dialect, &request), dialect.word());
        group.bench_function(format!("read {word}"), |b| b.iter(|| parse_request(dialect, black_box(&body), "m", false)));
        group.bench_function(format!("write {word}"), |b| b.iter(|| render_request(dialect, black_box(&request), &samples::target(dialect))));
    }
}

fn answers(c: &mut Criterion) {
    let request = Arc::new(samples::request());
    let mut group = c.benchmark_group("answers");
    for dialect in Dialect::ALL {
        let (body, word) = (samples::answer(dialect, &request), dialect.word());
        let (answer, echo) = (parse_answer(dialect, &body).expect("the answer reads"), samples::echo(&request));
        group.bench_function(format!("read {word}"), |b| b.iter(|| parse_answer(dialect, black_box(&body))));
        group.bench_function(format!("write {word}"), |b| b.iter(|| render_answer(dialect, black_box(&answer), &echo, &Closing::default())));
    }
}

fn streams(c: &mut Criterion) {
    let request = Arc::new(samples::request());
    let mut group = c.benchmark_group("translate a stream");
    for from in Dialect::ALL {
        let stream = samples::stream(from, &request);
        let data = samples::data(&stream);
        group.throughput(Throughput::Elements(data.len() as u64));
        for to in Dialect::ALL.into_iter().filter(|to| *to != from) {
            group.bench_function(format!("{} to {}", from.word(), to.word()), |b| b.iter(|| samples::translated(from, to, black_box(&data), &request).len()));
        }
    }
}

fn reports(c: &mut Criterion) {
    let request = Arc::new(samples::request());
    let mut group = c.benchmark_group("read a report");
    for (form, body) in samples::reports(&request) {
        assert!(matches!(read_answer(form, &body), UsageReport::Usage(_)), "{form:?} reports");
        group.bench_function(format!("{form:?} whole"), |b| b.iter(|| read_answer(form, black_box(&body))));
    }
    for dialect in Dialect::ALL {
        let stream = samples::stream(dialect, &request);
        let data = samples::data(&stream);
        group.bench_function(format!("{} stream", dialect.word()), |b| {
            b.iter(|| {
                let mut usage = Accumulator::new(Wire::from(dialect).form());
                data.iter().map(|event| usage.add(event.as_bytes())).last()
            });
        });
    }
}

fn counts(c: &mut Criterion) {
    let mut group = c.benchmark_group("count");
    let picture = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{}"}}}}]}}]}}"#,
        "A".repeat(100_000)
    );
    for (what, body) in [("text", samples::CHAT), ("a picture", &picture)] {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format!("bound of {what}"), |b| b.iter(|| count::input_bound(black_box(body.as_bytes()))));
    }
    group.throughput(Throughput::Bytes(samples::CHAT.len() as u64));
    for model in ["gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-flash"] {
        group.bench_function(format!("tokens for {model}"), |b| b.iter(|| count::text_with(model, Care::AtMost, black_box(samples::CHAT))));
    }
}

criterion_group!(benches, prices, ledger, scanner, requests, answers, streams, reports, counts);
criterion_main!(benches);
