//! Writing a Messages stream: one block after the other. A part that opens while another is open waits for it.

use super::{answer, stop_reason, usage};
use crate::kernel::Usage;
use crate::relay::dialect::canonical::{Delta, Event, Opening, Stop};
use crate::relay::dialect::{Closing, Dialect, Echo, sse};
use bytes::{BufMut, BytesMut};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A part that waits.
#[derive(Debug)]
struct Waiting {
    part: Opening,
    deltas: Vec<Delta>,
    is_closed: bool,
}

/// Writes a stream, event by event.
#[derive(Debug)]
pub struct StreamRenderer {
    echo: Echo,
    has_begun: bool,
    /// The number of the next block.
    next: usize,
    /// The part whose block is open.
    open: Option<usize>,
    /// Whether that block has thoughts.
    is_thinking: bool,
    waiting: BTreeMap<usize, Waiting>,
    usage: Usage,
    stop: Option<Stop>,
}

impl StreamRenderer {
    /// Before the first event.
    pub fn new(echo: Echo) -> Self {
        Self { echo, has_begun: false, next: 0, open: None, is_thinking: false, waiting: BTreeMap::new(), usage: Usage::default(), stop: None }
    }

    /// Writes what an event comes to.
    pub fn push(&mut self, event: Event, out: &mut BytesMut) {
        match event {
            Event::Start { id } => self.start(id.as_deref(), out),
            Event::Open { index, part } if self.open.is_none() => {
                self.start(None, out);
                self.open_block(index, part, out);
            }
            Event::Open { index, part } => drop(self.waiting.insert(index, Waiting { part, deltas: Vec::new(), is_closed: false })),
            Event::Grow { index, delta } if self.open == Some(index) => self.grow(delta, out),
            Event::Grow { index, delta } => {
                if let Some(waiting) = self.waiting.get_mut(&index) {
                    waiting.deltas.push(delta);
                }
            }
            Event::Close { index } if self.open == Some(index) => {
                self.close_block(out);
                self.go_on(out);
            }
            Event::Close { index } => {
                if let Some(waiting) = self.waiting.get_mut(&index) {
                    waiting.is_closed = true;
                }
            }
            Event::Usage(usage) => self.usage = usage,
            Event::Stop(stop) => self.stop = Some(stop),
            Event::Ping => event_of(out, "ping", &json!({"type": "ping"})),
        }
    }

    /// Writes the parts that waited, up to one that still grows.
    fn go_on(&mut self, out: &mut BytesMut) {
        while self.open.is_none() {
            let Some((index, waiting)) = self.waiting.pop_first() else { return };
            self.open_block(index, waiting.part, out);
            waiting.deltas.into_iter().for_each(|delta| self.grow(delta, out));
            if waiting.is_closed {
                self.close_block(out);
            }
        }
    }

    fn start(&mut self, id: Option<&str>, out: &mut BytesMut) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        // The end of the stream has the exact count. Few upstreams tell it before they answer.
        let usage = if self.usage.all_input() > 0 { self.usage } else { Usage { input: self.echo.input_tokens, ..Usage::default() } };
        let message = json!({
            "id": id.unwrap_or(&self.echo.id),
            "type": "message",
            "role": "assistant",
            "model": self.echo.model,
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": usage::render(&Closing { usage, cost: None }),
        });
        event_of(out, "message_start", &json!({"type": "message_start", "message": message}));
    }

    fn open_block(&mut self, index: usize, part: Opening, out: &mut BytesMut) {
        self.is_thinking = matches!(part, Opening::Thought { .. });
        let block = match part {
            Opening::Text | Opening::Refusal => json!({"type": "text", "text": ""}),
            Opening::Thought { redacted: Some(data), .. } => json!({"type": "redacted_thinking", "data": data.write(Dialect::Messages)}),
            Opening::Thought { .. } => json!({"type": "thinking", "thinking": "", "signature": ""}),
            Opening::ToolCall { id, name, signature, .. } => {
                if let Some(signature) = signature {
                    self.begin(answer::seal(&signature), out);
                    self.close_block(out);
                }
                json!({"type": "tool_use", "id": id, "name": self.echo.request.own_name(&name), "input": {}})
            }
        };
        self.begin(block, out);
        self.open = Some(index);
    }

    fn begin(&mut self, block: Value, out: &mut BytesMut) {
        event_of(out, "content_block_start", &json!({"type": "content_block_start", "index": self.next, "content_block": block}));
    }

    fn close_block(&mut self, out: &mut BytesMut) {
        event_of(out, "content_block_stop", &json!({"type": "content_block_stop", "index": self.next}));
        self.next += 1;
        self.open = None;
    }

    fn grow(&self, delta: Delta, out: &mut BytesMut) {
        let (kind, field, text) = match delta {
            Delta::Text(text) | Delta::Picture(text) if self.is_thinking => ("thinking_delta", "thinking", text),
            Delta::Text(text) | Delta::Picture(text) => ("text_delta", "text", text),
            Delta::Arguments(json) => ("input_json_delta", "partial_json", json),
            Delta::Signature(signature) => ("signature_delta", "signature", signature.write(Dialect::Messages)),
        };
        sse::event(out, Some("content_block_delta"), |out| {
            out.put_slice(b"{\"type\":\"content_block_delta\",\"index\":");
            sse::json(out, &self.next);
            for literal in [",\"delta\":{\"type\":\"", kind, "\",\"", field, "\":"] {
                out.put_slice(literal.as_bytes());
            }
            sse::string(out, &text);
            out.put_slice(b"}}");
        });
    }

    /// Writes the end.
    pub fn finish(&mut self, closing: &Closing<'_>, out: &mut BytesMut) {
        self.start(None, out);
        while self.open.is_some() {
            self.close_block(out);
            self.go_on(out);
        }
        let (reason, sequence) = stop_reason(self.stop.as_ref().unwrap_or(&Stop::End));
        let delta = json!({"stop_reason": reason, "stop_sequence": sequence});
        event_of(out, "message_delta", &json!({"type": "message_delta", "delta": delta, "usage": usage::render(closing)}));
        event_of(out, "message_stop", &json!({"type": "message_stop"}));
    }

    /// Writes an error, after which nothing follows.
    pub fn fail(&mut self, kind: &str, _code: &str, message: &str, out: &mut BytesMut) {
        event_of(out, "error", &json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": self.echo.id}));
    }
}

fn event_of(out: &mut BytesMut, name: &str, data: &Value) {
    sse::event(out, Some(name), |out| sse::json(out, data));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::dialect::canonical::{Request, Signature};
    use std::sync::Arc;

    fn render(events: Vec<Event>) -> Vec<Value> {
        let echo =
            Echo { request: Arc::new(Request::default()), model: "m".to_owned(), id: "own".to_owned(), created: 0, include_usage: false, input_tokens: 7 };
        let (mut renderer, mut out) = (StreamRenderer::new(echo), BytesMut::new());
        events.into_iter().for_each(|event| renderer.push(event, &mut out));
        renderer.finish(&Closing { usage: Usage { input: 3, cached: 2, output: 1, reasoning: 4, ..Usage::default() }, cost: None }, &mut out);
        let text = String::from_utf8(out.to_vec()).unwrap();
        let event = |event: &str| {
            let (name, data) = event.split_once("\ndata: ").unwrap();
            let data: Value = serde_json::from_str(data).unwrap();
            assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
            data
        };
        text.split("\n\n").filter(|event| !event.is_empty()).map(event).collect()
    }

    fn call(index: usize, id: &str, signature: Option<Signature>) -> Event {
        Event::Open { index, part: Opening::ToolCall { id: id.to_owned(), name: "f".to_owned(), custom: false, signature } }
    }

    fn arguments(index: usize, json: &str) -> Event {
        Event::Grow { index, delta: Delta::Arguments(json.to_owned()) }
    }

    #[test]
    fn parts_side_by_side_come_one_after_the_other() {
        let events = vec![
            Event::Start { id: None },
            call(0, "a", None),
            call(1, "b", None),
            arguments(1, "[1"),
            arguments(0, "{}"),
            Event::Close { index: 0 },
            arguments(1, "]"),
            Event::Stop(Stop::ToolUse),
        ];
        let short = |event: &Value| match event["type"].as_str().unwrap() {
            "content_block_start" => format!("{}+{}", event["index"], event["content_block"]["id"].as_str().unwrap()),
            "content_block_delta" => format!("{}={}", event["index"], event["delta"]["partial_json"].as_str().unwrap()),
            "content_block_stop" => format!("{}.", event["index"]),
            kind => kind.to_owned(),
        };
        let events = render(events);
        assert_eq!(events.iter().map(short).collect::<Vec<_>>().join(" "), "message_start 0+a 0={} 0. 1+b 1=[1 1=] 1. message_delta message_stop");
        let usage = &events[events.len() - 2]["usage"];
        assert_eq!((&usage["input_tokens"], &usage["cache_read_input_tokens"], &usage["output_tokens"]), (&json!(3), &json!(2), &json!(5)));
    }

    #[test]
    fn the_start_tells_the_input() {
        let started = |events: Vec<Event>| render(events)[0]["message"]["usage"]["input_tokens"].clone();
        assert_eq!(started(vec![Event::Start { id: None }]), 7);
        let told = Event::Usage(Usage { input: 9, output: 1, ..Usage::default() });
        assert_eq!(started(vec![told, Event::Start { id: None }]), 9);
    }

    #[test]
    fn a_seal_on_a_call_is_a_block_before_it() {
        let seal = Signature { of: Dialect::Gemini, value: "g".to_owned() };
        let events = render(vec![call(0, "a", Some(seal)), Event::Close { index: 0 }]);
        assert_eq!(events[1]["content_block"], json!({"type": "thinking", "thinking": "", "signature": "farebox.gemini.g"}));
        assert_eq!((&events[3]["index"], &events[3]["content_block"]["type"]), (&json!(1), &json!("tool_use")));
    }
}
