//! A stream between two dialects.

use super::Taken;
use crate::kernel::Usage;
use crate::relay::charge::Settled;
use crate::relay::dialect::canonical::{Delta, Event, Opening};
use crate::relay::dialect::{Closing, Dialect, Echo, StreamParser, StreamRenderer};
use crate::relay::error::ApiError;
use crate::relay::scan::{self, Made, Pending};
use bytes::{Bytes, BytesMut};

/// The largest single event: more is a fault of the upstream, and would be memory without bound.
const MAX_EVENT: usize = 8 * 1024 * 1024;

/// A stream between two dialects.
pub(in crate::relay) struct Translation {
    pending: Pending,
    /// What the end of the upstream's bytes let go.
    last: BytesMut,
    parser: StreamParser,
    renderer: StreamRenderer,
    /// Scratch.
    parsed: Vec<Event>,
    usage: Option<Usage>,
    is_complete: bool,
    include_cost: bool,
    pub(super) tells_at_the_end: bool,
    pub(super) text: String,
    pub(super) events: u64,
    /// Pictures that the client got; sound is not translated.
    pub(super) made: Made,
}

impl Translation {
    /// From an upstream's dialect to the caller's. `array`: a Gemini client wants one JSON array.
    pub(in crate::relay) fn new(from: Dialect, to: Dialect, array: bool, include_cost: bool, echo: Echo) -> Self {
        Self {
            pending: Pending::default(),
            last: BytesMut::new(),
            parser: StreamParser::new(from),
            renderer: StreamRenderer::new(to, array, echo),
            parsed: Vec::new(),
            usage: None,
            is_complete: false,
            include_cost,
            tells_at_the_end: from != Dialect::Gemini,
            text: String::new(),
            events: 0,
            made: Made::default(),
        }
    }

    pub(super) fn push(&mut self, piece: Bytes) -> Taken {
        let Some(whole) = self.pending.gather(piece) else {
            return Taken { forward: Bytes::new(), done: false, broken: self.too_long() };
        };
        let mut out = BytesMut::with_capacity(whole.len());
        let mut broken = None;
        let (events, used) = scan::whole_events(&whole);
        for data in events {
            if let Err(why) = self.event(data, &mut out) {
                broken = Some(why);
                break;
            }
            if self.parser.is_done() {
                break;
            }
        }
        let done = broken.is_none() && self.parser.is_done();
        if done {
            broken = self.complete(&mut out).err();
        } else if broken.is_none() {
            self.pending.keep(&whole[used..]);
            broken = self.too_long();
        }
        Taken { forward: out.freeze(), done: done && broken.is_none(), broken }
    }

    fn too_long(&self) -> Option<String> {
        (self.pending.len() > MAX_EVENT).then(|| "an event without end".to_owned())
    }

    fn event(&mut self, data: &[u8], out: &mut BytesMut) -> Result<(), String> {
        let data = std::str::from_utf8(data).map_err(|_| "an event that is not UTF-8".to_owned())?;
        self.parser.push(data, &mut self.parsed).map_err(|broken| broken.to_string())?;
        self.render(out);
        Ok(())
    }

    fn render(&mut self, out: &mut BytesMut) {
        for event in self.parsed.drain(..) {
            match &event {
                Event::Usage(usage) => self.usage = Some(*usage),
                Event::Grow { delta: Delta::Text(text) | Delta::Arguments(text), .. } => {
                    self.text.push_str(text);
                    self.events += 1;
                }
                Event::Grow { delta: Delta::Picture(_), .. } => self.made.pictures += 1,
                Event::Open { part: Opening::ToolCall { name, .. }, .. } => self.text.push_str(name),
                _ => {}
            }
            self.renderer.push(event, out);
        }
    }

    fn complete(&mut self, out: &mut BytesMut) -> Result<(), String> {
        self.parser.finish(&mut self.parsed).map_err(|broken| broken.to_string())?;
        self.render(out);
        self.is_complete = true;
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<(), String> {
        let mut out = BytesMut::new();
        self.complete(&mut out)?;
        self.last = out;
        Ok(())
    }

    pub(super) fn finish(&mut self, settled: &Settled) -> Bytes {
        let mut out = std::mem::take(&mut self.last);
        let cost = settled.charge.charged.to_string();
        let closing = Closing { usage: settled.usage, cost: self.include_cost.then_some(cost.as_str()) };
        self.renderer.finish(&closing, &mut out);
        out.freeze()
    }

    pub(super) fn fail(&mut self, error: &ApiError) -> Bytes {
        let mut out = BytesMut::new();
        self.renderer.fail(error.kind, error.code.unwrap_or("upstream_error"), &error.message, &mut out);
        out.freeze()
    }

    pub(super) fn reported(&self) -> Option<Usage> {
        self.usage.filter(|_| self.is_complete)
    }

    pub(super) fn told(&self) -> Usage {
        self.usage.unwrap_or_default()
    }
}
