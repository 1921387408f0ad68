//! A stream that passes untouched, but for what must wait for the charge.

use super::Taken;
use super::array::Array;
use crate::kernel::Usage;
use crate::relay::charge::Settled;
use crate::relay::dialect::responses;
use crate::relay::error::ApiError;
use crate::relay::operation::Tongue;
use crate::relay::rename::Rename;
use crate::relay::scan::{self, Made, Scanner, Wire};
use crate::relay::whole;
use bytes::{Bytes, BytesMut};

/// Delivered events are reduced to their text when they pass this many bytes.
const REDUCE_AT: usize = 64 * 1024;

/// More bytes around its text than this no event is taken to have.
const MOST_SHELL: usize = 512;

/// What was delivered, in case it has to be counted.
pub(in crate::relay) struct Delivered {
    wire: Wire,
    events: Vec<u8>,
    pub(super) text: String,
    pub(super) count: u64,
    /// Pictures and sound among the words, as far as the events are reduced.
    pub(super) made: Made,
    /// How many of the events are not reduced yet.
    raw: usize,
    /// How many bytes an event has beside its text, by the smallest that came.
    shell: usize,
}

impl Delivered {
    fn new(wire: Wire) -> Self {
        Self { wire, events: Vec::new(), text: String::new(), count: 0, made: Made::default(), raw: 0, shell: MOST_SHELL }
    }

    /// How long the text is, at most: events that are not looked into have all their bytes but the shell that the smallest of them has.
    pub(super) fn text_len(&self) -> usize {
        self.text.len() + self.events.len().saturating_sub(self.raw * self.shell)
    }

    fn add(&mut self, events: &[u8], count: u64) {
        self.count += count;
        // Pictures and sound have no text, and are long.
        if matches!(self.wire, Wire::Images | Wire::Speech) {
            return;
        }
        self.events.extend_from_slice(events);
        if let Some(each) = events.len().checked_div(count as usize) {
            self.raw += count as usize;
            self.shell = self.shell.min(each.max(least_shell(self.wire)));
        }
        if self.events.len() > REDUCE_AT {
            self.reduce();
        }
    }

    /// The number of a Responses stream's next event: one more than the last that was delivered, wherever its server began to count.
    fn next_number(&self) -> u64 {
        const NAME: &[u8] = b"\"sequence_number\":";
        let digits = memchr::memmem::rfind(&self.events, NAME).map(|at| self.events[at + NAME.len()..].trim_ascii_start());
        let last = digits.map(|rest| {
            rest.iter().take_while(|byte| byte.is_ascii_digit()).fold(0, |sum: u64, byte| sum.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
        });
        last.map_or(self.count, |last| last.saturating_add(1))
    }

    pub(super) fn reduce(&mut self) {
        scan::append_text(self.wire, &self.events, &mut self.text);
        self.made = self.made.and(scan::made(self.wire, true, &self.events));
        self.events.clear();
        self.raw = 0;
    }
}

/// The bytes of an event around its text, when nothing is in it that could be left out.
fn least_shell(wire: Wire) -> usize {
    match wire {
        Wire::Chat | Wire::Gemini => 50,
        Wire::Messages | Wire::Responses => 110,
        _ => 0,
    }
}

/// A stream that passes untouched.
pub(in crate::relay) struct Pass {
    wire: Wire,
    tongue: Tongue,
    request_id: String,
    include_cost: bool,
    rename: Option<Rename>,
    array: Option<Array>,
    pub(super) scanner: Scanner,
    pub(super) delivered: Delivered,
}

/// How a stream passes.
pub(in crate::relay) struct PassOptions {
    /// What its events look like.
    pub(in crate::relay) wire: Wire,
    /// In whose words an error is told.
    pub(in crate::relay) tongue: Tongue,
    /// Our id of the request.
    pub(in crate::relay) request_id: String,
    /// The client wants the usage chunk of a Chat stream.
    pub(in crate::relay) include_usage: bool,
    /// The client wants the cost in the usage object.
    pub(in crate::relay) include_cost: bool,
    /// The public name of the model, when the upstream has another.
    pub(in crate::relay) rename: Option<Rename>,
    /// The client wants Gemini's JSON array instead of events.
    pub(in crate::relay) array: bool,
    /// How many answers were asked for.
    pub(in crate::relay) choices: u64,
}

impl Pass {
    pub(in crate::relay) fn new(options: PassOptions) -> Self {
        let PassOptions { wire, tongue, request_id, include_usage, include_cost, rename, array, choices } = options;
        let scanner = Scanner::new(wire, include_usage || include_cost).choices(choices);
        let delivered = Delivered::new(wire);
        Self { wire, tongue, request_id, include_cost, rename, array: array.then(Array::default), scanner, delivered }
    }

    pub(super) fn push(&mut self, piece: Bytes) -> Taken {
        let passed = self.scanner.push(piece);
        self.delivered.add(&passed.forward, passed.events);
        let forward = self.for_client(passed.forward);
        Taken { forward, done: passed.done, broken: passed.broken.map(|broken| self.scanner.why(broken)) }
    }

    /// The text that waits for the end: of Gemini's alone, whose last words come with the reason for it.
    pub(super) fn kept_text(&self) -> String {
        let mut out = String::new();
        if self.wire == Wire::Gemini {
            scan::append_text(self.wire, self.scanner.kept_back(), &mut out);
        }
        out
    }

    /// What was kept back is delivered, too.
    pub(super) fn add_kept(&mut self, text: &str) {
        self.delivered.reduce();
        self.delivered.text.push_str(text);
        self.delivered.made = self.delivered.made.and(scan::made(self.wire, true, self.scanner.kept_back()));
    }

    fn renamed(&self, events: Bytes) -> Bytes {
        match &self.rename {
            Some(rename) => rename.events(events),
            None => events,
        }
    }

    fn for_client(&mut self, events: Bytes) -> Bytes {
        let renamed = self.renamed(events);
        match &mut self.array {
            Some(array) => array.add(&renamed),
            None => renamed,
        }
    }

    pub(super) fn tells_at_the_end(&self) -> bool {
        self.wire != Wire::Gemini
    }

    /// What of the usage was told so far. Where all of it comes at once, a part of it is not to be believed.
    pub(super) fn told(&self) -> Usage {
        if self.wire == Wire::Chat { self.scanner.told_whole() } else { self.scanner.told() }
    }

    pub(super) fn end(&mut self) -> Result<(), String> {
        if self.scanner.end() { Ok(()) } else { Err("it ended before its end".to_owned()) }
    }

    pub(super) fn finish(&mut self, settled: &Settled) -> Bytes {
        let mut tail = self.scanner.take_kept_back();
        if self.include_cost {
            tail = with_cost(&tail, &settled.charge.charged.to_string());
        }
        if self.wire == Wire::Chat {
            tail.extend_from_slice(b"data: [DONE]\n\n");
        }
        let tail = self.for_client(tail.freeze());
        match &mut self.array {
            Some(array) => array.close(tail),
            None => tail,
        }
    }

    /// The code of an error without one is that of a channel's: nothing else breaks a stream off.
    fn fail_response(&self, error: &ApiError) -> Bytes {
        let (number, code) = (self.delivered.next_number(), error.code.unwrap_or("upstream_error"));
        let mut out = BytesMut::new();
        responses::fail_begun(self.scanner.created(), number, code, &error.message, error.param.as_deref(), &mut out);
        self.renamed(out.freeze())
    }

    pub(super) fn fail(&mut self, error: &ApiError) -> Bytes {
        let event = match self.wire {
            Wire::Responses => return self.fail_response(error),
            Wire::Messages => format!("event: error\ndata: {}\n\n", error.to_json(self.tongue, &self.request_id)),
            _ => format!("data: {}\n\n", error.to_json(self.tongue, &self.request_id)),
        };
        match &mut self.array {
            Some(array) => {
                let last = array.add(event.as_bytes());
                array.close(last)
            }
            None => Bytes::from(event),
        }
    }
}

/// Writes the cost into the usage objects of the events that end a stream.
fn with_cost(events: &[u8], cost: &str) -> BytesMut {
    let mut out = BytesMut::with_capacity(events.len() + 64);
    for line in events.split_inclusive(|&b| b == b'\n') {
        let costed = line.strip_prefix(b"data:").and_then(|data| whole::with_cost(data.trim_ascii(), cost));
        match costed {
            Some(data) => {
                out.extend_from_slice(b"data: ");
                out.extend_from_slice(&data);
                out.extend_from_slice(b"\n");
            }
            None => out.extend_from_slice(line),
        }
    }
    out
}
