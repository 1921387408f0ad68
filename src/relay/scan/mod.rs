//! Reads a stream as it passes: finds the usage and the end, keeps back what must wait for the charge, and leaves every other byte alone. Pure.
//! Format: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

mod judge;
mod made;
mod pending;
#[cfg(test)]
mod tests;
mod text;

pub use made::{Made, made};
pub(super) use pending::Pending;
pub(super) use text::append_answer;
pub use text::append_text;

use super::dialect::Dialect;
use super::operation::Operation;
use super::report::{Accumulator, Form, UsageReport};
use crate::kernel::Usage;
use bytes::{Bytes, BytesMut};
use judge::Verdict;
use memchr::{memchr_iter, memmem};

/// The largest single event: more is a fault of the upstream, and would be memory without bound. A streamed picture is one event.
const MAX_EVENT: usize = 32 * 1024 * 1024;
/// The longest first event that is kept whole, as its end repeats it. It may echo long instructions: of a longer one little is kept.
const MAX_CREATED: usize = 64 * 1024;
/// How much of an upstream's error is kept for the admin.
const ERROR_SHOWN: usize = 300;

/// What a stream's events look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Chat Completions, and the legacy Completions, whose chunks differ in their text alone.
    Chat,
    /// Responses.
    Responses,
    /// Messages.
    Messages,
    /// Gemini.
    Gemini,
    /// OpenAI Images with previews.
    Images,
    /// OpenAI Audio: a transcription as it grows.
    Transcription,
    /// OpenAI Audio: speech in events.
    Speech,
}

impl Wire {
    /// Of an operation that an upstream answers in the caller's dialect.
    pub fn of(operation: Operation) -> Self {
        match operation {
            Operation::Generate(dialect) => dialect.into(),
            Operation::ImageGenerations | Operation::ImageEdits => Wire::Images,
            Operation::Transcriptions | Operation::Translations => Wire::Transcription,
            Operation::Speech => Wire::Speech,
            _ => Wire::Chat,
        }
    }

    /// How it reports usage.
    pub fn form(self) -> Form {
        match self {
            Wire::Chat => Form::Chat,
            Wire::Responses => Form::Responses,
            Wire::Messages => Form::Messages,
            Wire::Gemini => Form::Gemini,
            Wire::Images => Form::Images,
            Wire::Transcription => Form::Transcription,
            Wire::Speech => Form::Speech,
        }
    }
}

impl From<Dialect> for Wire {
    fn from(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Chat => Wire::Chat,
            Dialect::Responses => Wire::Responses,
            Dialect::Messages => Wire::Messages,
            Dialect::Gemini => Wire::Gemini,
        }
    }
}

/// Why a stream cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
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
pub struct Passed {
    /// What the client gets now.
    pub forward: Bytes,
    /// How many events that is.
    pub events: u64,
    /// The stream said that it is complete.
    pub done: bool,
    /// The stream cannot go on; `forward` still stands.
    pub broken: Option<Broken>,
}

/// The state between two pieces.
pub struct Scanner {
    wire: Wire,
    /// Whether the client wants the usage chunk of a Chat stream.
    include_usage: bool,
    pending: Pending,
    usage: Accumulator,
    /// The usage is all there: nothing of it is still to come.
    is_final: bool,
    /// A choice of a Chat stream said why it ends.
    has_reason: bool,
    /// How many answers were asked for; of a Gemini stream.
    choices: u64,
    /// Which of them have ended, a bit for each.
    ended: u64,
    /// The events that end the stream, kept until the charge is durable.
    kept_back: BytesMut,
    /// The beginning of the upstream's error event.
    error: String,
    /// What a Responses stream began with.
    created: Option<Box<[u8]>>,
}

impl Scanner {
    /// At the beginning of a stream.
    pub fn new(wire: Wire, include_usage: bool) -> Self {
        let (pending, kept_back) = (Pending::default(), BytesMut::new());
        Self {
            wire,
            include_usage,
            pending,
            usage: Accumulator::new(wire.form()),
            is_final: false,
            has_reason: false,
            choices: 1,
            ended: 0,
            kept_back,
            error: String::new(),
            created: None,
        }
    }

    /// Of a request for so many answers: a Gemini stream goes on until each has ended.
    #[must_use]
    pub fn choices(self, choices: u64) -> Self {
        Self { choices, ..self }
    }

    /// Takes the next piece. Whole events go on; the rest waits for its end.
    pub fn push(&mut self, piece: Bytes) -> Passed {
        let mut passed = Passed { forward: Bytes::new(), events: 0, done: false, broken: None };
        let Some(whole) = self.pending.gather(piece) else {
            passed.broken = self.too_long();
            return passed;
        };
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
                Verdict::KeepBack => self.kept_back.extend_from_slice(&whole[range]),
                Verdict::Drop => {}
                Verdict::Done => {
                    passed.done = true;
                    break;
                }
                Verdict::Last => {
                    self.kept_back.extend_from_slice(&whole[range]);
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
            self.pending.keep(&whole[at..]);
            passed.broken = self.too_long();
        }
        passed
    }

    fn too_long(&self) -> Option<Broken> {
        (self.pending.len().saturating_add(self.kept_back.len()) > MAX_EVENT).then_some(Broken::TooLong)
    }

    /// The upstream's bytes are over. Whether the stream was complete: its last event may lack the blank line, and not every stream ends with a word for it.
    pub fn end(&mut self) -> bool {
        if !self.pending.is_blank() {
            let mut last = self.pending.take();
            let is_whole = data_of(&last).is_none_or(|data| data == b"[DONE]" || serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok());
            if !is_whole {
                return false;
            }
            last.extend_from_slice(b"\n\n");
            let passed = self.push(last.freeze());
            if passed.done || passed.broken.is_some() {
                return passed.done;
            }
            self.kept_back.extend_from_slice(&passed.forward);
        }
        match self.wire {
            // An upstream may give fewer answers than were asked for.
            Wire::Gemini => {
                self.is_final |= self.ended > 0;
                self.is_final
            }
            Wire::Images => self.is_final,
            // Some servers leave out `[DONE]`.
            Wire::Chat => self.has_reason && matches!(self.usage.report(), UsageReport::Usage(_)),
            _ => false,
        }
    }

    /// The events that end the stream.
    pub fn take_kept_back(&mut self) -> BytesMut {
        self.kept_back.split()
    }

    /// The same, left where they are.
    pub(super) fn kept_back(&self) -> &[u8] {
        &self.kept_back
    }

    /// All of the usage, when it was told.
    pub fn reported(&self) -> Option<Usage> {
        match self.usage.report() {
            UsageReport::Usage(usage) if self.is_final => Some(usage),
            _ => None,
        }
    }

    /// What of the usage was told so far.
    pub fn told(&self) -> Usage {
        self.usage.usage()
    }

    /// The same, where only a whole report says anything.
    pub fn told_whole(&self) -> Usage {
        match self.usage.report() {
            UsageReport::Usage(usage) => usage,
            _ => Usage::default(),
        }
    }

    /// The data of the event that a Responses stream began with, in brief when that is very long.
    pub fn created(&self) -> Option<&[u8]> {
        self.created.as_deref()
    }

    /// Why the stream broke, for the admin.
    pub fn why(&self, broken: Broken) -> String {
        match broken {
            Broken::TooLong => "an event without end".to_owned(),
            Broken::Garbage => "an event that is no chunk".to_owned(),
            Broken::AbsurdUsage => "usage that cannot be".to_owned(),
            Broken::UpstreamError => format!("the upstream sent an error: {}", self.error),
        }
    }
}

/// Why a stream that begins with this piece is none, when nothing of it could be passed on: then another channel can still take over.
pub fn false_start(wire: Wire, first: &Bytes) -> Option<String> {
    let mut scanner = Scanner::new(wire, true);
    let passed = scanner.push(first.clone());
    match passed.broken {
        _ if !passed.forward.is_empty() => None,
        Some(broken) => Some(scanner.why(broken)),
        None if passed.done && wire == Wire::Chat => Some("the stream is complete with nothing in it".to_owned()),
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

/// The data of an event; `None` when it has none, as a comment. Data over several lines is in none of these dialects: the first line stands for it.
fn data_of(event: &[u8]) -> Option<&[u8]> {
    let line = event.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(b"data:"))?;
    Some(line.trim_ascii())
}

/// The whole events at the beginning of `bytes`, and how many bytes they are: for whoever translates a stream.
pub fn whole_events(bytes: &[u8]) -> (impl Iterator<Item = &[u8]>, usize) {
    let mut lengths = Vec::new();
    let mut at = 0;
    while let Some(length) = event_length(&bytes[at..]) {
        lengths.push((at, at + length));
        at += length;
    }
    (lengths.into_iter().filter_map(move |(from, to)| data_of(&bytes[from..to])), at)
}
