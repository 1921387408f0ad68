//! An upstream's typed events, read. Deltas make the parts grow; the items that come whole when they are done fill in whatever had no delta.

use super::super::canonical::{Broken, Delta, Event, Opening, Part, Signature, Stop, Thought};
use super::answer::Response;
use super::item::{Content, Item};
use crate::relay::report::UsageReport;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashSet;

/// An event's data, as far as any event is read.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(default)]
    output_index: Option<u64>,
    #[serde(default)]
    content_index: Option<u64>,
    #[serde(default)]
    summary_index: Option<u64>,
    #[serde(default)]
    delta: Option<String>,
    #[serde(borrow, default)]
    item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    part: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
}

/// Which words of an item a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// A part of a message.
    Content(u64),
    /// A summary of thoughts: its paragraphs are one part.
    Summary,
    /// The thoughts themselves.
    Thoughts,
    /// A tool call's arguments.
    Call,
}

/// A part that is open.
struct Open {
    item: u64,
    slot: Slot,
    index: usize,
    /// It got a delta, so the whole text adds nothing.
    grown: bool,
    /// The paragraph of the summary that is written.
    paragraph: u64,
}

/// More parts than any model has open at once.
const MOST_OPEN: usize = 1_024;

/// Reads a stream.
#[derive(Default)]
pub struct StreamParser {
    started: bool,
    done: bool,
    next: usize,
    open: Vec<Open>,
    /// The parts of messages that were ever open.
    begun: HashSet<(u64, u64)>,
    /// Items that came whole.
    complete: HashSet<u64>,
    /// The ids of reasoning items that are open and have no words yet.
    reasoning: Vec<(u64, Option<String>)>,
    aside: Option<Signature>,
    calls: bool,
    refusal: bool,
}

impl StreamParser {
    /// At the beginning.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the upstream said that the answer is complete.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Reads one event's data.
    ///
    /// # Errors
    /// When it is not an event, or says that the upstream failed.
    pub fn push(&mut self, data: &str, out: &mut Vec<Event>) -> Result<(), Broken> {
        let wire: Wire<'_> = match serde_json::from_str(data) {
            Ok(wire) => wire,
            Err(error) => return unknown(data, &error),
        };
        if self.done {
            return Ok(());
        }
        let item = wire.output_index.unwrap_or(0);
        let content = Slot::Content(wire.content_index.unwrap_or(0));
        match wire.kind {
            "response.output_text.delta" => self.grow(item, content, || Opening::Text, wire.delta, out),
            "response.refusal.delta" => self.grow(item, content, || Opening::Refusal, wire.delta, out),
            "response.reasoning_text.delta" => self.think(item, Slot::Thoughts, 0, wire.delta, out),
            "response.reasoning_summary_text.delta" => self.think(item, Slot::Summary, wire.summary_index.unwrap_or(0), wire.delta, out),
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => self.arguments(item, wire.delta, out)?,
            "response.created" | "response.in_progress" | "response.queued" => self.start(wire.response, out)?,
            "response.output_item.added" => self.added(item, parsed(wire.item, "item")?, out),
            "response.output_item.done" => self.completed(item, parsed(wire.item, "item")?, out),
            "response.content_part.done" => self.part_done(item, content, wire.part, out)?,
            "response.completed" | "response.incomplete" => self.ended(wire.response, out)?,
            "response.failed" | "error" => return Err(Broken::Upstream(data.to_owned())),
            "keepalive" | "ping" => out.push(Event::Ping),
            _ => {}
        }
        if self.open.len().max(self.reasoning.len()) > MOST_OPEN {
            return Err(Broken::Garbage("too many open items".to_owned()));
        }
        Ok(())
    }

    /// The end of the stream.
    ///
    /// # Errors
    /// When it came before the answer was complete.
    pub fn finish(&mut self, _out: &mut Vec<Event>) -> Result<(), Broken> {
        if self.done { Ok(()) } else { Err(Broken::Garbage("the stream ended before the response was complete".to_owned())) }
    }

    fn start(&mut self, response: Option<&RawValue>, out: &mut Vec<Event>) -> Result<(), Broken> {
        if !self.started {
            self.started = true;
            let id = match response {
                Some(raw) => serde_json::from_str::<Response<'_>>(raw.get()).map_err(|error| garbage("response", &error))?.id,
                None => None,
            };
            out.push(Event::Start { id });
        }
        Ok(())
    }

    fn ensure_started(&mut self, out: &mut Vec<Event>) {
        if !self.started {
            self.started = true;
            out.push(Event::Start { id: None });
        }
    }

    /// The place of an open part, which is opened when it is not.
    fn at(&mut self, item: u64, slot: Slot, opening: impl FnOnce() -> Opening, out: &mut Vec<Event>) -> usize {
        if let Some(at) = self.open.iter().rposition(|open| open.item == item && open.slot == slot) {
            return at;
        }
        self.ensure_started(out);
        let opening = opening();
        self.calls |= matches!(opening, Opening::ToolCall { .. });
        self.refusal |= matches!(opening, Opening::Refusal);
        if let Slot::Content(place) = slot {
            self.begun.insert((item, place));
        }
        out.push(Event::Open { index: self.next, part: opening });
        self.open.push(Open { item, slot, index: self.next, grown: false, paragraph: 0 });
        self.next += 1;
        self.open.len() - 1
    }

    fn grow(&mut self, item: u64, slot: Slot, opening: impl FnOnce() -> Opening, delta: Option<String>, out: &mut Vec<Event>) {
        let at = self.at(item, slot, opening, out);
        if let Some(text) = delta.filter(|text| !text.is_empty()) {
            self.open[at].grown = true;
            out.push(Event::Grow { index: self.open[at].index, delta: Delta::Text(text) });
        }
    }

    fn think(&mut self, item: u64, slot: Slot, paragraph: u64, delta: Option<String>, out: &mut Vec<Event>) {
        let Some(text) = delta.filter(|text| !text.is_empty()) else { return };
        let id = self.reasoning.iter().find(|(of, _)| *of == item).and_then(|(_, id)| id.clone());
        let at = self.at(item, slot, || Opening::Thought { id, summary: slot == Slot::Summary, redacted: None }, out);
        let open = &mut self.open[at];
        let gap = open.grown && open.paragraph != paragraph;
        (open.grown, open.paragraph) = (true, paragraph);
        let text = if gap { format!("\n\n{text}") } else { text };
        out.push(Event::Grow { index: open.index, delta: Delta::Text(text) });
    }

    fn arguments(&mut self, item: u64, delta: Option<String>, out: &mut Vec<Event>) -> Result<(), Broken> {
        let Some(text) = delta.filter(|text| !text.is_empty()) else { return Ok(()) };
        let open = self.open.iter_mut().find(|open| open.item == item && open.slot == Slot::Call);
        let open = open.ok_or_else(|| Broken::Garbage("arguments of a tool call that did not begin".to_owned()))?;
        open.grown = true;
        out.push(Event::Grow { index: open.index, delta: Delta::Arguments(text) });
        Ok(())
    }

    fn added(&mut self, at: u64, item: Item, out: &mut Vec<Event>) {
        self.ensure_started(out);
        match item.kind.as_str() {
            "function_call" | "custom_tool_call" => self.open_call(at, item, out),
            "reasoning" => self.reasoning.push((at, item.id)),
            // Messages begin with their first words, and a shell's call comes whole.
            _ => {}
        }
    }

    fn open_call(&mut self, at: u64, item: Item, out: &mut Vec<Event>) {
        let Some(call) = item.call(usize::try_from(at).unwrap_or(usize::MAX), &mut self.aside) else { return };
        let opening = || Opening::ToolCall { id: call.id, name: call.name, custom: call.custom, signature: call.signature };
        let place = self.at(at, Slot::Call, opening, out);
        if !self.open[place].grown && !call.arguments.is_empty() {
            self.open[place].grown = true;
            out.push(Event::Grow { index: self.open[place].index, delta: Delta::Arguments(call.arguments) });
        }
    }

    fn part_done(&mut self, item: u64, slot: Slot, part: Option<&RawValue>, out: &mut Vec<Event>) -> Result<(), Broken> {
        if let Some(part) = parsed::<Content>(part, "part")?.part() {
            self.whole_part(item, slot, part, out);
            self.close(|open| open.item == item && open.slot == slot, out);
        }
        Ok(())
    }

    /// A message's part that came whole, when its deltas did not.
    fn whole_part(&mut self, item: u64, slot: Slot, part: Part, out: &mut Vec<Event>) {
        let (opening, text) = match part {
            Part::Text(text) => (Opening::Text, text.text),
            Part::Refusal(text) => (Opening::Refusal, text),
            _ => return,
        };
        let at = self.at(item, slot, || opening, out);
        if !self.open[at].grown {
            self.grow(item, slot, || Opening::Text, Some(text), out);
        }
    }

    fn completed(&mut self, at: u64, item: Item, out: &mut Vec<Event>) {
        if !self.complete.insert(at) {
            return;
        }
        match item.kind.as_str() {
            "message" => {
                for (place, part) in (0..).zip(item.content.into_iter().flatten()) {
                    let is_open = self.open.iter().any(|open| open.item == at && open.slot == Slot::Content(place));
                    if let (Some(part), true) = (part.part(), is_open || !self.begun.contains(&(at, place))) {
                        self.whole_part(at, Slot::Content(place), part, out);
                    }
                }
            }
            "reasoning" => self.thought(at, item, out),
            _ => self.open_call(at, item, out),
        }
        self.close(|open| open.item == at, out);
        self.reasoning.retain(|(of, _)| *of != at);
    }

    fn thought(&mut self, at: u64, item: Item, out: &mut Vec<Event>) {
        let streamed = self.open.iter().any(|open| open.item == at && open.grown);
        for thought in item.thoughts(&mut self.aside) {
            let slot = if thought.summary { Slot::Summary } else { Slot::Thoughts };
            self.whole_thought(at, slot, thought, streamed, out);
        }
    }

    fn whole_thought(&mut self, at: u64, slot: Slot, thought: Thought, streamed: bool, out: &mut Vec<Event>) {
        let Thought { id, text, summary, signature, redacted } = thought;
        // When only one of summary and thoughts was streamed, the seal goes to that one.
        let slot = self.open.iter().rfind(|open| open.item == at && streamed && text.is_empty()).map_or(slot, |open| open.slot);
        let place = self.at(at, slot, || Opening::Thought { id, summary, redacted }, out);
        if !self.open[place].grown && !text.is_empty() {
            self.open[place].grown = true;
            out.push(Event::Grow { index: self.open[place].index, delta: Delta::Text(text) });
        }
        if let Some(signature) = signature {
            out.push(Event::Grow { index: self.open[place].index, delta: Delta::Signature(signature) });
        }
    }

    fn close(&mut self, which: impl Fn(&Open) -> bool, out: &mut Vec<Event>) {
        self.open.retain(|open| {
            let closing = which(open);
            if closing {
                out.push(Event::Close { index: open.index });
            }
            !closing
        });
    }

    fn ended(&mut self, response: Option<&RawValue>, out: &mut Vec<Event>) -> Result<(), Broken> {
        self.start(response, out)?;
        let Some(raw) = response else { return Err(Broken::Garbage("a response that ended without itself".to_owned())) };
        let response: Response<'_> = serde_json::from_str(raw.get()).map_err(|error| garbage("response", &error))?;
        if let Some(failure) = response.failure() {
            return Err(failure);
        }
        // Servers that send no items as they go have them here.
        if self.next == 0 && self.complete.is_empty() {
            for (at, raw) in (0..).zip(response.output.iter().flatten()) {
                self.completed(at, parsed(Some(raw), "output")?, out);
            }
        }
        self.close(|_| true, out);
        match response.usage() {
            UsageReport::Usage(usage) => out.push(Event::Usage(usage)),
            UsageReport::Absent => {}
            UsageReport::Absurd => return Err(Broken::AbsurdUsage),
        }
        let stop: Stop = response.stop(self.calls, self.refusal);
        out.push(Event::Stop(stop));
        self.done = true;
        Ok(())
    }
}

/// An event that does not read: only one that we do not know may be so.
fn unknown(data: &str, error: &serde_json::Error) -> Result<(), Broken> {
    let kind = serde_json::from_str::<Kind<'_>>(data).map_err(|error| garbage("event", &error))?.kind;
    let read = [
        "response.output_text.delta",
        "response.refusal.",
        "response.reasoning",
        "response.function_call_",
        "response.custom_tool_call_",
        "response.output_item.",
    ];
    let is_read = read.iter().any(|prefix| kind.starts_with(prefix)) || kind.bytes().filter(|byte| *byte == b'.').count() < 2;
    if is_read { Err(garbage(&kind, error)) } else { Ok(()) }
}

fn garbage(what: &str, error: &serde_json::Error) -> Broken {
    Broken::Garbage(format!("{what}: {error}"))
}

fn parsed<'a, T: Deserialize<'a> + Default>(raw: Option<&'a RawValue>, what: &str) -> Result<T, Broken> {
    raw.map_or_else(|| Ok(T::default()), |raw| serde_json::from_str(raw.get()).map_err(|error| garbage(what, &error)))
}
