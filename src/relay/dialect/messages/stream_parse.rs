//! Reading a Messages stream.

use super::{answer::made_up_id, stop};
use crate::relay::dialect::Dialect;
use crate::relay::dialect::canonical::{Broken, Delta, Event, Opening, Signature, Stop};
use crate::relay::report::{Accumulator, Form, UsageReport};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// More blocks than any answer has.
const MAX_BLOCKS: usize = 4_096;

/// A string that is borrowed when it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Str<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
    #[serde(borrow, default)]
    content_block: Option<Block<'a>>,
    #[serde(borrow, default)]
    delta: Option<Growth<'a>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    id: Option<Str<'a>>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
    #[serde(borrow, default)]
    text: Option<Str<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Str<'a>>,
    #[serde(borrow, default)]
    signature: Option<Str<'a>>,
    #[serde(borrow, default)]
    data: Option<Str<'a>>,
    #[serde(borrow, default)]
    id: Option<Str<'a>>,
    #[serde(borrow, default)]
    name: Option<Str<'a>>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Growth<'a> {
    #[serde(borrow, default)]
    text: Option<Str<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Str<'a>>,
    #[serde(borrow, default)]
    signature: Option<Str<'a>>,
    #[serde(borrow, default)]
    partial_json: Option<Str<'a>>,
    #[serde(borrow, default)]
    stop_reason: Option<Str<'a>>,
    #[serde(borrow, default)]
    stop_sequence: Option<Str<'a>>,
}

/// A block that is open.
#[derive(Debug)]
struct Open {
    upstream: u64,
    /// Its number for us; none for a block of a kind that nobody asked for.
    part: Option<usize>,
    /// Of a tool call: the input that came with its start, which counts when none grows.
    input: Option<String>,
}

/// Reads a stream, event by event.
#[derive(Debug)]
pub struct StreamParser {
    has_begun: bool,
    is_done: bool,
    next: usize,
    blocks: usize,
    open: Vec<Open>,
    usage: Accumulator,
    stop: Option<Stop>,
}

impl Default for StreamParser {
    fn default() -> Self {
        Self::new()
    }
}

impl StreamParser {
    /// Before the first event.
    pub fn new() -> Self {
        Self { has_begun: false, is_done: false, next: 0, blocks: 0, open: Vec::new(), usage: Accumulator::new(Form::Messages), stop: None }
    }

    /// Takes the data of one event in.
    ///
    /// # Errors
    /// [`Broken`] when it is no event of an answer.
    pub fn push(&mut self, data: &str, out: &mut Vec<Event>) -> Result<(), Broken> {
        let event: Data<'_> = serde_json::from_str(data).map_err(|error| Broken::Garbage(format!("not an event: {error}")))?;
        match event.kind.0.as_ref() {
            "error" => return Err(Broken::Upstream(event.error.map_or_else(String::new, |error| error.get().to_owned()))),
            "ping" => out.push(Event::Ping),
            "message_start" if !self.has_begun => {
                self.has_begun = true;
                let id = event.message.and_then(|message| message.id).map(|id| id.0.into_owned());
                out.push(Event::Start { id: id.filter(|id| !id.is_empty()) });
                self.count(data, out)?;
            }
            "content_block_start" | "content_block_delta" | "content_block_stop" | "message_delta" | "message_stop" if !self.has_begun => {
                return Err(Broken::Garbage("the stream does not begin with message_start".to_owned()));
            }
            "content_block_start" => self.start(&event, out)?,
            "content_block_delta" => self.grow(event, out)?,
            "content_block_stop" => self.stop_block(event.index.unwrap_or(0), out),
            "message_delta" => {
                let delta = event.delta.as_ref();
                let sequence = delta.and_then(|delta| delta.stop_sequence.as_ref()).map(|sequence| sequence.0.as_ref());
                if let Some(Str(reason)) = delta.and_then(|delta| delta.stop_reason.as_ref()) {
                    self.stop = Some(stop(reason, sequence));
                }
                self.count(data, out)?;
            }
            "message_stop" => self.is_done = true,
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, data: &str, out: &mut Vec<Event>) -> Result<(), Broken> {
        match self.usage.add(data.as_bytes()) {
            UsageReport::Usage(usage) => out.push(Event::Usage(usage)),
            UsageReport::Absurd => return Err(Broken::AbsurdUsage),
            UsageReport::Absent => {}
        }
        Ok(())
    }

    /// Whether the upstream said that the stream is complete.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// [`Broken`] when it was cut off.
    pub fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Broken> {
        if !self.is_done {
            return Err(Broken::Garbage("the stream ended in the middle".to_owned()));
        }
        while let Some(upstream) = self.open.first().map(|open| open.upstream) {
            self.stop_block(upstream, out);
        }
        out.push(Event::Stop(self.stop.take().unwrap_or(Stop::End)));
        Ok(())
    }

    fn start(&mut self, event: &Data<'_>, out: &mut Vec<Event>) -> Result<(), Broken> {
        let upstream = event.index.unwrap_or(0);
        let block = event.content_block.as_ref().ok_or_else(|| Broken::Garbage("a block without content".to_owned()))?;
        self.blocks += 1;
        if self.blocks > MAX_BLOCKS {
            return Err(Broken::Garbage(format!("more than {MAX_BLOCKS} blocks")));
        }
        // A server that forgets to close a block closes it by opening its like.
        self.stop_block(upstream, out);
        let owned = |text: &Option<Str<'_>>| text.as_ref().map(|text| text.0.clone().into_owned()).filter(|text| !text.is_empty());
        let mut open = Open { upstream, part: Some(self.next), input: None };
        let part = match block.kind.0.as_ref() {
            "text" => Opening::Text,
            "thinking" => Opening::Thought { id: None, summary: false, redacted: None },
            "redacted_thinking" => {
                Opening::Thought { id: None, summary: false, redacted: Some(Signature::read(Dialect::Messages, &owned(&block.data).unwrap_or_default())) }
            }
            "tool_use" => {
                let name = owned(&block.name).ok_or_else(|| Broken::Garbage("a tool call without a name".to_owned()))?;
                let id = owned(&block.id).unwrap_or_else(|| made_up_id(self.next));
                open.input = Some(block.input.map_or("{}", RawValue::get).to_owned());
                Opening::ToolCall { id, name, custom: false, signature: None }
            }
            _ => {
                open.part = None;
                self.open.push(open);
                return Ok(());
            }
        };
        self.open.push(open);
        let index = self.next;
        self.next += 1;
        out.push(Event::Open { index, part });
        let words = owned(&block.text).or(owned(&block.thinking));
        out.extend(words.map(|text| Event::Grow { index, delta: Delta::Text(text) }));
        out.extend(owned(&block.signature).map(|seal| Event::Grow { index, delta: Delta::Signature(Signature::read(Dialect::Messages, &seal)) }));
        Ok(())
    }

    fn grow(&mut self, event: Data<'_>, out: &mut Vec<Event>) -> Result<(), Broken> {
        let upstream = event.index.unwrap_or(0);
        let open = self.open.iter_mut().find(|open| open.upstream == upstream);
        let open = open.ok_or_else(|| Broken::Garbage(format!("block {upstream} grows and is not open")))?;
        let (Some(index), Some(delta)) = (open.part, event.delta) else { return Ok(()) };
        let owned = |text: Option<Str<'_>>| text.map(|text| text.0.into_owned()).filter(|text| !text.is_empty());
        let is_call = open.input.is_some() || delta.partial_json.is_some();
        let delta = if is_call {
            owned(delta.partial_json).map(|json| {
                open.input = Some(String::new());
                Delta::Arguments(json)
            })
        } else {
            let words = owned(delta.text).or(owned(delta.thinking)).map(Delta::Text);
            words.or_else(|| owned(delta.signature).map(|seal| Delta::Signature(Signature::read(Dialect::Messages, &seal))))
        };
        out.extend(delta.map(|delta| Event::Grow { index, delta }));
        Ok(())
    }

    fn stop_block(&mut self, upstream: u64, out: &mut Vec<Event>) {
        let Some(at) = self.open.iter().position(|open| open.upstream == upstream) else { return };
        let open = self.open.remove(at);
        let Some(index) = open.part else { return };
        if let Some(input) = open.input.filter(|input| !input.is_empty()) {
            out.push(Event::Grow { index, delta: Delta::Arguments(input) });
        }
        out.push(Event::Close { index });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":7,"cache_read_input_tokens":2,"output_tokens":1}}}"#;
    const STOP: &str = r#"{"type":"message_stop"}"#;

    fn read(events: &[&str]) -> Result<Vec<Event>, Broken> {
        let (mut parser, mut out) = (StreamParser::new(), Vec::new());
        events.iter().try_for_each(|data| parser.push(data, &mut out))?;
        parser.finish(&mut out)?;
        Ok(out)
    }

    fn calls(start: &str, deltas: &[&str]) -> String {
        let start = format!(r#"{{"type":"content_block_start","index":0,"content_block":{{"type":"tool_use","id":"c","name":"f"{start}}}}}"#);
        let deltas: Vec<String> = deltas
            .iter()
            .map(|json| format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"input_json_delta","partial_json":{json:?}}}}}"#))
            .collect();
        let mut events = vec![START, &start];
        events.extend(deltas.iter().map(String::as_str));
        events.extend([r#"{"type":"content_block_stop","index":0}"#, STOP]);
        let argument = |event: Event| if let Event::Grow { delta: Delta::Arguments(piece), .. } = event { Some(piece) } else { None };
        read(&events).unwrap().into_iter().filter_map(argument).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn input_may_grow_or_come_with_the_start_or_be_none() {
        assert_eq!(calls(r#","input":{}"#, &["", "{\"a\"", ":1}"]), r#"{"a"|:1}"#);
        assert_eq!(calls(r#","input":{"a":1}"#, &[]), r#"{"a":1}"#);
        assert_eq!(calls("", &[]), "{}");
    }

    #[test]
    fn unknown_blocks_leave_no_gap_and_usage_adds_up() {
        let events = read(&[
            START,
            r#"{"type":"ping"}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"s","name":"web_search"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"a"}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{}}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"stop_sequence","stop_sequence":"X"},"usage":{"output_tokens":9}}"#,
            STOP,
        ])
        .unwrap();
        assert!(matches!(events[3], Event::Open { index: 0, part: Opening::Text }), "{events:?}");
        assert_eq!(events.last(), Some(&Event::Stop(Stop::Sequence(Some("X".to_owned())))));
        let usage = events.iter().filter_map(|event| if let Event::Usage(usage) = event { Some((usage.input, usage.cached, usage.output)) } else { None });
        assert_eq!(usage.collect::<Vec<_>>(), [(7, 2, 1), (7, 2, 9)]);
    }

    #[test]
    fn a_stream_that_breaks_off_or_is_none_is_broken() {
        assert!(read(&[START]).is_err() && read(&[STOP]).is_err());
        assert!(matches!(read(&[START, r#"{"type":"error","error":{"type":"overloaded_error"}}"#]), Err(Broken::Upstream(_))));
        for data in ["", "[]", "{}", r#"{"type":"content_block_delta","index":3,"delta":{"text":"a"}}"#, r#"{"type":"content_block_start","index":0}"#] {
            assert!(matches!(read(&[START, data]), Err(Broken::Garbage(_))), "{data}");
        }
    }
}
