//! Writing a Chat stream.

use super::{finish_reason, thoughts, usage};
use crate::relay::dialect::canonical::{Delta, Event, Opening, Stop, Thought};
use crate::relay::dialect::custom::CustomCalls;
use crate::relay::dialect::{Closing, Dialect, Echo, sse};
use bytes::{BufMut, BytesMut};
use serde_json::{Value, json};

/// What a part is, and its number among those of its kind.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Refusal,
    Thought { number: usize, summary: bool },
    Call { number: usize, custom: bool },
}

/// Writes a stream, event by event.
#[derive(Debug)]
pub struct StreamRenderer {
    echo: Echo,
    custom: CustomCalls,
    /// What stands before the delta of each chunk.
    head: Vec<u8>,
    parts: Vec<Kind>,
    thoughts: usize,
    calls: usize,
    has_refusal: bool,
    stop: Option<Stop>,
}

impl StreamRenderer {
    /// Before the first event.
    pub fn new(echo: Echo) -> Self {
        Self { echo, custom: CustomCalls::default(), head: Vec::new(), parts: Vec::new(), thoughts: 0, calls: 0, has_refusal: false, stop: None }
    }

    /// Writes what an event comes to.
    pub fn push(&mut self, event: Event, out: &mut BytesMut) {
        if self.echo.request.tools.is_empty() {
            return self.write(event, out);
        }
        let mut custom = std::mem::take(&mut self.custom);
        let request = std::sync::Arc::clone(&self.echo.request);
        custom.pass(&request, event, |event| self.write(event, out));
        self.custom = custom;
    }

    fn write(&mut self, event: Event, out: &mut BytesMut) {
        match event {
            Event::Start { id } => self.start(id.as_deref(), out),
            Event::Open { part, .. } => self.open(part, out),
            Event::Grow { index, delta } => self.grow(index, &delta, out),
            Event::Stop(stop) => self.stop = Some(stop),
            Event::Close { .. } | Event::Usage(_) | Event::Ping => {}
        }
    }

    fn start(&mut self, id: Option<&str>, out: &mut BytesMut) {
        if !self.head.is_empty() {
            return;
        }
        let mut head = BytesMut::with_capacity(160);
        head.put_slice(b"{\"id\":");
        sse::string(&mut head, id.unwrap_or(&self.echo.id));
        head.put_slice(b",\"object\":\"chat.completion.chunk\",\"created\":");
        sse::json(&mut head, &self.echo.created);
        head.put_slice(b",\"model\":");
        sse::string(&mut head, &self.echo.model);
        head.put_slice(b",\"choices\":[");
        self.head = head.to_vec();
        self.chunk(out, None, |out| out.put_slice(b"{\"role\":\"assistant\",\"content\":\"\"}"));
    }

    /// A chunk with one choice.
    fn chunk(&self, out: &mut BytesMut, reason: Option<&str>, delta: impl FnOnce(&mut BytesMut)) {
        sse::event(out, None, |out| {
            out.put_slice(&self.head);
            out.put_slice(b"{\"index\":0,\"delta\":");
            delta(out);
            out.put_slice(b",\"finish_reason\":");
            sse::json(out, &reason);
            out.put_slice(b"}]");
            // As OpenAI writes it, for those who asked for the last one.
            out.put_slice(if self.echo.include_usage { b",\"usage\":null}" } else { b"}" });
        });
    }

    fn value(&self, out: &mut BytesMut, delta: &Value) {
        self.chunk(out, None, |out| sse::json(out, delta));
    }

    fn open(&mut self, part: Opening, out: &mut BytesMut) {
        self.start(None, out);
        let kind = match part {
            Opening::Text => Kind::Text,
            Opening::Refusal => {
                self.has_refusal = true;
                Kind::Refusal
            }
            Opening::Thought { id, summary, redacted } => {
                let number = self.thoughts;
                self.thoughts += 1;
                if id.is_some() || redacted.is_some() {
                    let thought = Thought { id, summary, redacted, ..Thought::default() };
                    self.value(out, &json!({"reasoning_details": [thoughts::detail(&thought, number)]}));
                }
                Kind::Thought { number, summary }
            }
            Opening::ToolCall { id, name, custom, signature } => {
                let number = self.calls;
                self.calls += 1;
                let (kind, inner) = if custom { ("custom", json!({"name": name, "input": ""})) } else { ("function", json!({"name": name, "arguments": ""})) };
                let mut call = json!({"index": number, "id": id, "type": kind, kind: inner});
                if let Some(signature) = signature {
                    call["extra_content"] = json!({"google": {"thought_signature": signature.write(Dialect::Gemini)}});
                }
                self.value(out, &json!({"tool_calls": [call]}));
                Kind::Call { number, custom }
            }
        };
        self.parts.push(kind);
    }

    fn grow(&self, index: usize, delta: &Delta, out: &mut BytesMut) {
        let Some(kind) = self.parts.get(index).copied() else { return };
        match (kind, delta) {
            (Kind::Text, Delta::Text(text) | Delta::Picture(text)) => self.words(out, b"{\"content\":", text),
            (Kind::Refusal, Delta::Text(text) | Delta::Picture(text)) => self.words(out, b"{\"refusal\":", text),
            (Kind::Thought { number, summary }, Delta::Text(text) | Delta::Picture(text)) => {
                let thought = Thought { text: text.clone(), summary, ..Thought::default() };
                self.value(out, &json!({"reasoning_content": text, "reasoning_details": [thoughts::detail(&thought, number)]}));
            }
            (Kind::Thought { number, summary }, Delta::Signature(signature)) => {
                let thought = Thought { summary, signature: Some(signature.clone()), ..Thought::default() };
                self.value(out, &json!({"reasoning_details": [thoughts::detail(&thought, number)]}));
            }
            (Kind::Call { number, custom }, Delta::Arguments(piece)) => self.chunk(out, None, |out| {
                out.put_slice(b"{\"tool_calls\":[{\"index\":");
                sse::json(out, &number);
                out.put_slice(if custom { b",\"custom\":{\"input\":" } else { b",\"function\":{\"arguments\":" });
                sse::string(out, piece);
                out.put_slice(b"}}]}");
            }),
            _ => {}
        }
    }

    fn words(&self, out: &mut BytesMut, before: &[u8], text: &str) {
        self.chunk(out, None, |out| {
            out.put_slice(before);
            sse::string(out, text);
            out.put_slice(b"}");
        });
    }

    /// Writes the end.
    pub fn finish(&mut self, closing: &Closing<'_>, out: &mut BytesMut) {
        self.start(None, out);
        let reason = finish_reason(self.stop.as_ref().unwrap_or(&Stop::End), self.has_refusal);
        self.chunk(out, Some(reason), |out| out.put_slice(b"{}"));
        if self.echo.include_usage {
            sse::event(out, None, |out| {
                out.put_slice(&self.head);
                out.put_slice(b"],\"usage\":");
                sse::json(out, &usage::render(closing));
                out.put_slice(b"}");
            });
        }
        out.put_slice(b"data: [DONE]\n\n");
    }

    /// Writes an error, after which nothing follows.
    pub fn fail(&mut self, kind: &str, code: &str, message: &str, out: &mut BytesMut) {
        sse::event(out, None, |out| sse::json(out, &json!({"error": {"message": message, "type": kind, "param": null, "code": code}})));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::dialect::canonical::{Request, Signature, Tool, ToolKind};
    use std::sync::Arc;

    fn render(request: Request, include_usage: bool, events: Vec<Event>) -> Vec<Value> {
        let echo = Echo { request: Arc::new(request), model: "m".to_owned(), id: "own".to_owned(), created: 5, include_usage, input_tokens: 7 };
        let (mut renderer, mut out) = (StreamRenderer::new(echo), BytesMut::new());
        events.into_iter().for_each(|event| renderer.push(event, &mut out));
        renderer.finish(&Closing::default(), &mut out);
        let text = String::from_utf8(out.to_vec()).unwrap();
        let mut data: Vec<&str> = text.split("\n\n").filter(|event| !event.is_empty()).map(|event| event.strip_prefix("data: ").unwrap()).collect();
        assert_eq!(data.pop(), Some("[DONE]"));
        data.into_iter().map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    #[test]
    fn the_first_chunk_has_the_role_and_the_last_the_reason() {
        let text = |text: &str| Event::Grow { index: 0, delta: Delta::Text(text.to_owned()) };
        let events =
            vec![Event::Start { id: None }, Event::Open { index: 0, part: Opening::Text }, text("a\"b"), Event::Close { index: 0 }, Event::Stop(Stop::Length)];
        let chunks = render(Request::default(), true, events);
        let whole = json!({"id": "own", "object": "chat.completion.chunk", "created": 5, "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}], "usage": null});
        assert_eq!(chunks[0], whole);
        assert_eq!((&chunks[1]["choices"][0]["delta"]["content"], &chunks[2]["choices"][0]["finish_reason"]), (&json!("a\"b"), &json!("length")));
        assert_eq!((&chunks[3]["choices"], &chunks[3]["usage"]["total_tokens"]), (&json!([]), &json!(0)));
    }

    #[test]
    fn a_seal_follows_its_thought_under_the_same_number() {
        let thought = Opening::Thought { id: None, summary: false, redacted: None };
        let seal = Delta::Signature(Signature { of: Dialect::Messages, value: "s".to_owned() });
        let events = vec![
            Event::Start { id: Some("x".to_owned()) },
            Event::Open { index: 0, part: thought },
            Event::Grow { index: 0, delta: Delta::Text("t".to_owned()) },
            Event::Grow { index: 0, delta: seal },
            Event::Close { index: 0 },
            Event::Stop(Stop::End),
        ];
        let deltas: Vec<Value> = render(Request::default(), false, events).iter().map(|chunk| chunk["choices"][0]["delta"].clone()).collect();
        assert_eq!(deltas[1], json!({"reasoning_content": "t", "reasoning_details": [{"type": "reasoning.text", "text": "t", "index": 0}]}));
        assert_eq!(deltas[2], json!({"reasoning_details": [{"type": "reasoning.text", "text": "", "signature": "farebox.messages.s", "index": 0}]}));
    }

    #[test]
    fn a_function_that_stands_for_a_custom_tool_is_called_as_one() {
        let tool = Tool { name: "patch".to_owned(), description: None, kind: ToolKind::Custom { format: None }, cache: None };
        let call = Opening::ToolCall { id: "c".to_owned(), name: "patch".to_owned(), custom: false, signature: None };
        let events = vec![
            Event::Start { id: None },
            Event::Open { index: 0, part: call },
            Event::Grow { index: 0, delta: Delta::Arguments(r#"{"input":"x"}"#.to_owned()) },
            Event::Close { index: 0 },
            Event::Stop(Stop::ToolUse),
        ];
        let chunks = render(Request { tools: vec![tool], ..Request::default() }, false, events);
        assert_eq!(
            chunks[1]["choices"][0]["delta"]["tool_calls"][0],
            json!({"index": 0, "id": "c", "type": "custom", "custom": {"name": "patch", "input": ""}})
        );
        assert_eq!(chunks[2]["choices"][0]["delta"]["tool_calls"][0], json!({"index": 0, "custom": {"input": "x"}}));
        assert_eq!(chunks[3]["choices"][0]["finish_reason"], "tool_calls");
    }
}
