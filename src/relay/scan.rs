//! Reads a Chat Completions stream as it passes: finds the usage and the end, keeps back what must wait for the charge, and
//! leaves every other byte alone. Pure. Format: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use super::dialect::openai_answer;
use super::report::UsageReport;
use crate::kernel::Usage;
use bytes::{Bytes, BytesMut};
use memchr::{memchr_iter, memmem};

/// The largest single event: more is a fault of the upstream, and would be memory without bound.
const MAX_EVENT: usize = 8 * 1024 * 1024;
/// How much of an upstream's error is kept for the admin.
const ERROR_SHOWN: usize = 300;

/// Why a stream cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// An event without end.
    TooLong,
    /// An event that is no chunk.
    Garbage,
    /// Usage that cannot be.
    AbsurdUsage,
    /// The upstream sent an error event. It is not passed on: it may name things of the upstream's own.
    UpstreamError,
}

/// What a piece of the stream comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// What the client gets now.
    pub(super) forward: Bytes,
    /// How many events that is.
    pub(super) events: u64,
    /// The stream said that it is complete.
    pub(super) done: bool,
    /// The stream cannot go on; `forward` still stands.
    pub(super) broken: Option<Broken>,
}

/// The state between two pieces.
pub(super) struct Scanner {
    /// Whether the client wants the usage chunk.
    include_usage: bool,
    pending: BytesMut,
    /// The usage so far.
    pub(super) usage: Option<Usage>,
    /// The usage chunk, kept until the charge is durable.
    pub(super) kept_back: Option<Bytes>,
    /// The beginning of the upstream's error event.
    error: String,
}

/// What to do with one event.
enum Verdict {
    Forward,
    KeepBack,
    Drop,
    Done,
    Broken(Broken),
}

impl Scanner {
    pub(super) fn new(include_usage: bool) -> Self {
        Self { include_usage, pending: BytesMut::new(), usage: None, kept_back: None, error: String::new() }
    }

    /// Takes the next piece. Whole events go on; the rest waits for its end.
    pub(super) fn push(&mut self, piece: Bytes) -> Passed {
        let whole = if self.pending.is_empty() {
            piece
        } else {
            self.pending.extend_from_slice(&piece);
            self.pending.split().freeze()
        };
        let mut passed = Passed { forward: Bytes::new(), events: 0, done: false, broken: None };
        let mut out = Pieces { whole: &whole, start: 0, end: 0, copied: BytesMut::new() };
        let mut at = 0;
        while let Some(length) = event_length(&whole[at..]) {
            let range = at..at + length;
            at = range.end;
            match self.judge(&whole[range.clone()]) {
                Verdict::Forward => {
                    out.take(range);
                    passed.events += 1;
                }
                Verdict::KeepBack => self.kept_back = Some(whole.slice(range)),
                Verdict::Drop => {}
                Verdict::Done => {
                    passed.done = true;
                    break;
                }
                Verdict::Broken(broken) => {
                    passed.broken = Some(broken);
                    break;
                }
            }
        }
        passed.forward = out.finish();
        if !passed.done && passed.broken.is_none() {
            self.pending.extend_from_slice(&whole[at..]);
            if self.pending.len() > MAX_EVENT {
                passed.broken = Some(Broken::TooLong);
            }
        }
        passed
    }

    /// Why the stream broke, for the admin.
    pub(super) fn why(&self, broken: Broken) -> String {
        match broken {
            Broken::TooLong => "an event without end".to_owned(),
            Broken::Garbage => "an event that is no chunk".to_owned(),
            Broken::AbsurdUsage => "usage that cannot be".to_owned(),
            Broken::UpstreamError => format!("the upstream sent an error: {}", self.error),
        }
    }

    fn judge(&mut self, event: &[u8]) -> Verdict {
        let Some(data) = data_of(event) else { return Verdict::Forward };
        if data == b"[DONE]" {
            return Verdict::Done;
        }
        if data.first() != Some(&b'{') || data.last() != Some(&b'}') {
            return Verdict::Broken(Broken::Garbage);
        }
        // Most chunks have neither word and need no parsing. A word inside the answer's text only costs the parsing.
        if memmem::find(data, b"\"usage\"").is_none() && memmem::find(data, b"\"error\"").is_none() {
            return Verdict::Forward;
        }
        let Some(chunk) = openai_answer::read_chunk(data) else { return Verdict::Broken(Broken::Garbage) };
        match chunk.usage {
            UsageReport::Usage(tokens) => self.usage = Some(tokens),
            UsageReport::Absurd => return Verdict::Broken(Broken::AbsurdUsage),
            UsageReport::Absent => {}
        }
        if chunk.error {
            self.error = String::from_utf8_lossy(data).chars().take(ERROR_SHOWN).collect();
            return Verdict::Broken(Broken::UpstreamError);
        }
        match (chunk.usage_only, self.include_usage) {
            (true, true) => Verdict::KeepBack,
            (true, false) => Verdict::Drop,
            (false, _) => Verdict::Forward,
        }
    }
}

/// Why a stream that begins with this piece is none, when nothing of it could be passed on: then another channel can still take over.
pub(super) fn false_start(first: &Bytes) -> Option<String> {
    let mut scanner = Scanner::new(true);
    let passed = scanner.push(first.clone());
    match passed.broken {
        _ if !passed.forward.is_empty() => None,
        Some(broken) => Some(scanner.why(broken)),
        None if passed.done => Some("the stream is complete with nothing in it".to_owned()),
        None => None,
    }
}

/// Collects ranges of one buffer: a slice of it while they touch, a copy when something between them was left out.
struct Pieces<'a> {
    whole: &'a Bytes,
    start: usize,
    end: usize,
    copied: BytesMut,
}

impl Pieces<'_> {
    fn take(&mut self, range: std::ops::Range<usize>) {
        if self.end == range.start && self.start < self.end {
            self.end = range.end;
            return;
        }
        if self.start < self.end {
            self.copied.extend_from_slice(&self.whole[self.start..self.end]);
        }
        (self.start, self.end) = (range.start, range.end);
    }

    fn finish(mut self) -> Bytes {
        if self.copied.is_empty() {
            return self.whole.slice(self.start..self.end);
        }
        self.copied.extend_from_slice(&self.whole[self.start..self.end]);
        self.copied.freeze()
    }
}

/// The length of the first event with its blank line, if it has ended.
fn event_length(bytes: &[u8]) -> Option<usize> {
    memchr_iter(b'\n', bytes).find_map(|at| match &bytes[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// The data of an event; `None` when it has none, as a comment. Data over several lines is no chunk of this dialect: the first line
/// stands for it.
fn data_of(event: &[u8]) -> Option<&[u8]> {
    let line = event.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(b"data:"))?;
    Some(line.trim_ascii())
}

/// Appends the text of the chunks in `events` to `out`.
pub(super) fn append_text(events: &[u8], out: &mut String) {
    for line in events.split(|&b| b == b'\n') {
        if let Some(data) = line.strip_prefix(b"data:") {
            openai_answer::append_text(data.trim_ascii(), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
    const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n";
    const DONE: &str = "data: [DONE]\n\n";

    /// Feeds `stream` in pieces of `size` bytes.
    fn run(stream: &str, size: usize, include_usage: bool) -> (Scanner, String, bool, Option<Broken>) {
        let mut scanner = Scanner::new(include_usage);
        let (mut out, mut done, mut broken) = (String::new(), false, None);
        for piece in stream.as_bytes().chunks(size) {
            let passed = scanner.push(Bytes::copy_from_slice(piece));
            out.push_str(std::str::from_utf8(&passed.forward).unwrap());
            done |= passed.done;
            broken = broken.or(passed.broken);
            if done || broken.is_some() {
                break;
            }
        }
        (scanner, out, done, broken)
    }

    #[test]
    fn pieces_of_any_size_come_to_the_same() {
        let stream = format!(": comment\n\n{TEXT}{TEXT}{USAGE}{TEXT}{DONE}");
        for size in 1..stream.len() {
            let (scanner, out, done, broken) = run(&stream, size, false);
            assert_eq!(out, format!(": comment\n\n{TEXT}{TEXT}{TEXT}"), "pieces of {size}");
            assert!(done && broken.is_none());
            assert_eq!(scanner.usage, Some(Usage { input: 3, output: 2, ..Usage::default() }));
            assert_eq!(scanner.kept_back, None);
            let (scanner, out, ..) = run(&stream, size, true);
            assert_eq!(out, format!(": comment\n\n{TEXT}{TEXT}{TEXT}"));
            assert_eq!(scanner.kept_back.as_deref(), Some(USAGE.as_bytes()));
        }
    }

    #[test]
    fn whole_events_pass_without_a_copy() {
        let stream = Bytes::from(format!("{TEXT}{TEXT}"));
        let passed = Scanner::new(false).push(stream.clone());
        assert_eq!(passed.forward.as_ptr(), stream.as_ptr());
        assert_eq!((passed.forward.len(), passed.events), (stream.len(), 2));
    }

    #[test]
    fn lines_may_end_as_in_http() {
        let stream = format!("{TEXT}{USAGE}{DONE}").replace('\n', "\r\n");
        let (scanner, out, done, _) = run(&stream, 7, false);
        assert!(done && scanner.usage.is_some());
        assert_eq!(out, TEXT.replace('\n', "\r\n"));
    }

    #[test]
    fn nonsense_breaks_the_stream() {
        let broken = |event: &str| run(&format!("{TEXT}data: {event}\n\n{TEXT}"), 4096, false);
        assert_eq!(broken("<html>").3, Some(Broken::Garbage));
        assert_eq!(broken("{\"usage\": oops}").3, Some(Broken::Garbage));
        assert_eq!(broken("{\"choices\":[],\"usage\":{\"prompt_tokens\":-3}}").3, Some(Broken::AbsurdUsage));
        let (_, out, _, why) = broken("{\"error\":{\"message\":\"org-upstream is overloaded\"}}");
        assert_eq!(why, Some(Broken::UpstreamError));
        assert_eq!(out, TEXT, "the upstream's own words stay here");
        let mut scanner = Scanner::new(false);
        let endless = Bytes::from(vec![b'x'; 1 << 20]);
        assert!((0..16).any(|_| scanner.push(endless.clone()).broken == Some(Broken::TooLong)));
    }

    #[test]
    fn a_false_start_is_seen_before_anything_is_passed_on() {
        let start = |text: &str| false_start(&Bytes::copy_from_slice(text.as_bytes()));
        assert!(start("data: {\"error\":{\"message\":\"overloaded\"}}\n\n").is_some_and(|why| why.contains("overloaded")));
        assert!(start("data: <html>\n\n").is_some() && start(DONE).is_some());
        assert!(start(&format!("{USAGE}{DONE}")).is_some());
        for good in [format!("{TEXT}{DONE}"), format!("{TEXT}data: <html>\n\n"), TEXT[..9].to_owned(), ": wait\n\n".to_owned(), String::new()] {
            assert_eq!(start(&good), None, "{good}");
        }
    }

    #[test]
    fn the_text_of_delivered_events_is_collected() {
        let mut text = String::new();
        append_text(format!("{TEXT}: x\n\n{TEXT}").as_bytes(), &mut text);
        assert_eq!(text, "hihi");
    }
}
