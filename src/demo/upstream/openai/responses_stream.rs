//! `POST /v1/responses` as typed events, each with its `sequence_number`.

use super::super::answer::{Answer, Call, Choice, joined};
use super::super::job::Job;
use super::super::script::Frame;
use super::responses::{Item, Kind, content, finished, incomplete, items, started, summary};
use super::typed_sse;
use serde_json::{Value, json};

/// All events.
pub fn frames(job: &Job<'_>, answer: &Answer) -> Vec<Frame> {
    let mut stream = Stream { frames: Vec::new() };
    stream.head(json!({"type": "response.created", "response": started(job)}));
    stream.head(json!({"type": "response.in_progress", "response": started(job)}));
    let items = items(job, answer);
    let closing = items.len();
    for (index, item) in items.iter().enumerate() {
        stream.item(index, item, index + 1 == closing);
    }
    let whole = finished(job, answer, items.iter().map(Item::whole).collect());
    let kind = if incomplete(&answer.choices[0].finish).is_some() { "response.incomplete" } else { "response.completed" };
    stream.tail(json!({"type": kind, "response": whole}));
    stream.frames
}

struct Stream {
    frames: Vec<Frame>,
}

impl Stream {
    fn text(&self, mut event: Value) -> String {
        event["sequence_number"] = json!(self.frames.len());
        typed_sse(&event)
    }

    fn head(&mut self, event: Value) {
        self.frames.push(Frame::head(self.text(event)));
    }

    fn content(&mut self, event: Value, text: &str, tokens: u64) {
        self.frames.push(Frame::content(self.text(event), text, tokens));
    }

    fn tail(&mut self, event: Value) {
        self.frames.push(Frame::tail(self.text(event)));
    }

    /// The event that ends a part: only behind the last item it closes the whole answer.
    fn end(&mut self, event: Value, last: bool) {
        if last { self.tail(event) } else { self.head(event) }
    }

    fn item(&mut self, index: usize, item: &Item<'_>, last: bool) {
        let added = json!({"type": "response.output_item.added", "output_index": index, "item": item.opening()});
        match &item.kind {
            Kind::Call { call, .. } => self.content(added, "", call.tokens),
            _ => self.head(added),
        }
        match &item.kind {
            Kind::Reasoning(choice) if item.shows_thoughts() => self.thoughts(index, item, choice),
            Kind::Reasoning(_) => {}
            Kind::Message(choice) => self.message(index, item, choice, last),
            Kind::Call { call, .. } => self.call(index, item, call, last),
        }
        self.end(json!({"type": "response.output_item.done", "output_index": index, "item": item.whole()}), last);
    }

    fn thoughts(&mut self, index: usize, item: &Item<'_>, choice: &Choice) {
        let text = joined(&choice.thoughts);
        let event = |kind: &str| json!({"type": format!("response.reasoning_summary_{kind}"), "item_id": item.id, "output_index": index, "summary_index": 0});
        let with = |kind: &str, name: &str, value: Value| {
            let mut event = event(kind);
            event[name] = value;
            event
        };
        self.head(with("part.added", "part", summary("")));
        for piece in &choice.thoughts {
            self.content(with("text.delta", "delta", json!(piece.text)), "", piece.tokens);
        }
        self.head(with("text.done", "text", json!(text)));
        self.head(with("part.done", "part", summary(&text)));
    }

    fn message(&mut self, index: usize, item: &Item<'_>, choice: &Choice, last: bool) {
        let text = joined(&choice.text);
        let (kind, name) = if choice.refused { ("response.refusal", "refusal") } else { ("response.output_text", "text") };
        let event = |kind: String, name: &str, value: Value| {
            let mut event = json!({"type": kind, "item_id": item.id, "output_index": index, "content_index": 0});
            if kind.starts_with("response.output_text") {
                event["logprobs"] = json!([]);
            }
            event[name] = value;
            event
        };
        self.head(event("response.content_part.added".into(), "part", content(choice.refused, "")));
        for piece in &choice.text {
            self.content(event(format!("{kind}.delta"), "delta", json!(piece.text)), &piece.text, piece.tokens);
        }
        self.end(event(format!("{kind}.done"), name, json!(text)), last);
        self.end(event("response.content_part.done".into(), "part", content(choice.refused, &text)), last);
    }

    fn call(&mut self, index: usize, item: &Item<'_>, call: &Call, last: bool) {
        let kind = if call.custom { "response.custom_tool_call_input" } else { "response.function_call_arguments" };
        let event = |kind: String| json!({"type": kind, "item_id": item.id, "output_index": index});
        for piece in &call.arguments {
            let mut delta = event(format!("{kind}.delta"));
            delta["delta"] = json!(piece.text);
            self.content(delta, &piece.text, piece.tokens);
        }
        let mut done = event(format!("{kind}.done"));
        if call.custom {
            done["input"] = json!(joined(&call.arguments));
        } else {
            done["name"] = json!(call.name);
            done["arguments"] = json!(joined(&call.arguments));
        }
        self.end(done, last);
    }
}

/// An error in the middle, as the event behind so many others: one of its own, or the answer as it was begun, failed.
pub fn error_event(overload: bool, position: usize, first: &str) -> String {
    let message = "The server had an error while processing your request in org-upstream. Sorry about that!";
    let begun = first.lines().find_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    let Some(begun) = begun.filter(|_| overload) else {
        return typed_sse(&json!({"type": "error", "code": "server_error", "message": message, "param": null, "sequence_number": position}));
    };
    let mut response = begun["response"].clone();
    response["status"] = json!("failed");
    response["error"] = json!({"code": "server_error", "message": "Our servers are currently overloaded. Please try again later."});
    typed_sse(&json!({"type": "response.failed", "response": response, "sequence_number": position}))
}
