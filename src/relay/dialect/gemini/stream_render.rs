//! A stream for a caller: each step as a piece of the form of a whole answer, as server-sent events or in one JSON array.

use super::super::canonical::{Delta, Event, Opening, Signature, Stop, Thought};
use super::super::{Closing, Echo, custom, sse};
use super::written;
use bytes::{BufMut, BytesMut};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A part that is open.
enum Open {
    Text,
    Thought(Thought),
    /// Calls go whole: their arguments are an object.
    Call {
        id: String,
        name: String,
        arguments: String,
        custom: bool,
        signature: Option<Signature>,
    },
    /// A call that is whole and waits for those that began before it.
    Ready(Value),
}

/// Writes a stream.
pub struct StreamRenderer {
    echo: Echo,
    /// The caller wants one array; `Some(true)` once it has begun.
    array: Option<bool>,
    id: Option<String>,
    open: BTreeMap<usize, Open>,
    stop: Option<Stop>,
}

/// A piece with words, which is most of a stream.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Piece<'a> {
    candidates: [Candidate<'a>; 1],
    model_version: &'a str,
    response_id: &'a str,
}

#[derive(Serialize)]
struct Candidate<'a> {
    content: Content<'a>,
    index: u8,
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [Words<'a>; 1],
    role: &'static str,
}

#[derive(Serialize)]
struct Words<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    thought: bool,
}

impl StreamRenderer {
    /// For the caller of `echo`, as server-sent events.
    pub fn new(echo: Echo) -> Self {
        Self { echo, array: None, id: None, open: BTreeMap::new(), stop: None }
    }

    /// For the caller of `echo`, as one JSON array.
    pub fn array(echo: Echo) -> Self {
        Self { array: Some(false), ..Self::new(echo) }
    }

    /// Writes what a step of the answer means.
    pub fn push(&mut self, event: Event, out: &mut BytesMut) {
        match event {
            Event::Start { id } => self.id = id.filter(|id| !id.is_empty()),
            Event::Open { index, part } => {
                let open = match part {
                    Opening::Text | Opening::Refusal => Open::Text,
                    Opening::Thought { redacted, .. } => Open::Thought(Thought { redacted, ..Thought::default() }),
                    Opening::ToolCall { id, name, custom, signature } => Open::Call { id, name, arguments: String::new(), custom, signature },
                };
                self.open.insert(index, open);
            }
            Event::Grow { index, delta } => self.grow(index, delta, out),
            Event::Close { index } => self.close(index, out),
            Event::Stop(stop) => self.stop = Some(stop),
            Event::Ping => out.put_slice(keep_alive(self.array.is_some()).as_bytes()),
            Event::Usage(_) => {}
        }
    }

    /// Writes the end.
    pub fn finish(&mut self, closing: &Closing<'_>, out: &mut BytesMut) {
        let open: Vec<_> = self.open.keys().copied().collect();
        open.into_iter().for_each(|index| self.close(index, out));
        let stop = self.stop.take().unwrap_or(Stop::End);
        let mut last = self.piece(vec![written::text("")], Some(&stop));
        last["usageMetadata"] = written::usage(closing);
        self.write(&last, out);
        self.end(out);
    }

    /// Writes that the answer failed.
    pub fn fail(&mut self, kind: &str, code: &str, message: &str, out: &mut BytesMut) {
        let (number, status) = match (kind, code) {
            ("invalid_request_error", _) => (400, "INVALID_ARGUMENT"),
            ("authentication_error", _) => (401, "UNAUTHENTICATED"),
            ("insufficient_quota", _) => (402, "FAILED_PRECONDITION"),
            ("permission_error", _) => (403, "PERMISSION_DENIED"),
            ("rate_limit_error", _) => (429, "RESOURCE_EXHAUSTED"),
            (_, "upstream_timeout") => (504, "DEADLINE_EXCEEDED"),
            (_, "no_channel" | "maintenance" | "upstream_error") => (503, "UNAVAILABLE"),
            _ => (500, "INTERNAL"),
        };
        self.write(&json!({"error": {"code": number, "message": message, "status": status}}), out);
        self.end(out);
    }

    fn end(&mut self, out: &mut BytesMut) {
        if self.array.is_some() {
            out.put_slice(b"]");
        }
    }

    fn response_id(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.echo.id)
    }

    fn piece(&self, parts: Vec<Value>, stop: Option<&Stop>) -> Value {
        json!({"candidates": [written::candidate(parts, stop)], "modelVersion": self.echo.model, "responseId": self.response_id()})
    }

    fn write(&mut self, piece: &impl Serialize, out: &mut BytesMut) {
        put(&mut self.array, piece, out);
    }

    fn words(&mut self, text: &str, thought: bool, out: &mut BytesMut) {
        let content = Content { parts: [Words { text, thought }], role: "model" };
        let response_id = self.id.as_deref().unwrap_or(&self.echo.id);
        let piece = Piece { candidates: [Candidate { content, index: 0 }], model_version: &self.echo.model, response_id };
        put(&mut self.array, &piece, out);
    }

    fn grow(&mut self, index: usize, delta: Delta, out: &mut BytesMut) {
        match (self.open.get_mut(&index), delta) {
            (_, Delta::Text(text) | Delta::Picture(text)) if text.is_empty() => {}
            (Some(Open::Text), Delta::Text(text) | Delta::Picture(text)) => self.words(&text, false, out),
            (Some(Open::Thought(thought)), Delta::Text(text) | Delta::Picture(text)) => {
                // Whether there were words is all that its end must know.
                thought.summary = true;
                self.words(&text, true, out);
            }
            (Some(Open::Thought(thought)), Delta::Signature(signature)) => thought.signature = Some(signature),
            (Some(Open::Call { arguments, .. }), Delta::Arguments(more)) => arguments.push_str(&more),
            _ => {}
        }
    }

    fn close(&mut self, index: usize, out: &mut BytesMut) {
        match self.open.remove(&index) {
            Some(Open::Call { id, name, arguments, custom, signature }) => {
                let arguments = if custom { custom::wrap(&arguments) } else { arguments };
                let part = written::call(&id, self.echo.request.own_name(&name), &arguments, signature.as_ref());
                self.open.insert(index, Open::Ready(part));
            }
            Some(Open::Thought(thought)) if thought.signature.is_some() || thought.redacted.is_some() => {
                let mut part = written::thought(&thought);
                // The seal on thoughts whose words went before.
                if thought.summary {
                    part["thought"] = true.into();
                }
                self.write(&self.piece(vec![part], None), out);
            }
            Some(ready @ Open::Ready(_)) => drop(self.open.insert(index, ready)),
            _ => {}
        }
        // Calls leave in the order in which they began.
        while let Some((&index, Open::Ready(_))) = self.open.iter().find(|(_, open)| matches!(open, Open::Call { .. } | Open::Ready(_))) {
            if let Some(Open::Ready(part)) = self.open.remove(&index) {
                self.write(&self.piece(vec![part], None), out);
            }
        }
    }
}

/// A sign of life. Google's clients take a comment for a broken piece, so it is one without words; an array takes blanks.
pub fn keep_alive(array: bool) -> &'static str {
    if array { "\n" } else { "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},\"index\":0}]}\n\n" }
}

/// One piece, with what stands before it.
fn put(array: &mut Option<bool>, piece: &impl Serialize, out: &mut BytesMut) {
    match array {
        None => sse::event(out, None, |out| sse::json(out, piece)),
        Some(begun) => {
            out.put_slice(if std::mem::replace(begun, true) { b",\r\n" } else { b"[" });
            sse::json(out, piece);
        }
    }
}
