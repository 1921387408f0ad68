//! A stream for a caller: typed events, numbered, each item and part announced, grown and finished.

use super::super::canonical::{Delta, Event, Opening, Signature, Stop};
use super::super::{Closing, Echo};
use super::answer::answer_id;
use super::echo::{self, Status};
use super::emit::{Step, emit, emit_item, emit_json};
use super::failure;
use super::seal::Seal;
use super::written::{self, Called, Seen};
use bytes::{BufMut, BytesMut};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// An item of the answer.
enum Item {
    /// Words, in parts.
    Message { id: String, contents: Vec<Words> },
    /// Thoughts.
    Reasoning { id: String, text: String, seal: Option<Seal> },
    /// A tool call.
    Call(Called),
    /// It is complete.
    Done(Value),
}

struct Words {
    refusal: bool,
    text: String,
    open: bool,
}

impl Words {
    fn value(&self) -> Value {
        if self.refusal { written::refusal(&self.text) } else { written::text(&self.text) }
    }
}

/// Where a part of ours stands among the caller's items.
#[derive(Clone, Copy)]
struct Place {
    item: usize,
    content: usize,
}

/// Writes a stream.
pub struct StreamRenderer {
    echo: Echo,
    id: Option<String>,
    sequence: u64,
    items: Vec<Item>,
    places: HashMap<usize, Place>,
    /// The ids of items that the upstream gave: each may stand once.
    ids: HashSet<String>,
    stop: Option<Stop>,
}

impl StreamRenderer {
    /// For the caller of `echo`.
    pub fn new(echo: Echo) -> Self {
        Self { echo, id: None, sequence: 0, items: Vec::new(), places: HashMap::new(), ids: HashSet::new(), stop: None }
    }

    /// Writes what a step of the answer means.
    pub fn push(&mut self, event: Event, out: &mut BytesMut) {
        match event {
            Event::Start { id } => self.start(id, out),
            Event::Open { index, part } => self.open(index, part, out),
            Event::Grow { index, delta } => self.grow(index, delta, out),
            Event::Close { index } => self.close(index, out),
            Event::Stop(stop) => self.stop = Some(stop),
            Event::Usage(_) => {}
            Event::Ping => out.put_slice(b": ping\n\n"),
        }
    }

    /// Writes the end.
    pub fn finish(&mut self, closing: &Closing<'_>, out: &mut BytesMut) {
        self.start(None, out);
        let stop = self.stop.take().unwrap_or(Stop::End);
        let status = if matches!(stop, Stop::Length | Stop::Filter) { "incomplete" } else { "completed" };
        for at in 0..self.items.len() {
            self.complete(at, status, out);
        }
        self.ended(Status::Ended(&stop), Some(closing), out);
    }

    /// Writes that the answer failed.
    pub fn fail(&mut self, _kind: &str, code: &str, message: &str, out: &mut BytesMut) {
        self.start(None, out);
        failure::error(&mut self.sequence, Some(code), message, None, out);
        self.ended(Status::Failed(failure::code_of(code), message), None, out);
    }

    fn start(&mut self, id: Option<String>, out: &mut BytesMut) {
        if self.id.is_some() {
            return;
        }
        let id = answer_id(id.as_deref(), &self.echo);
        let response = echo::response(&self.echo, &id, Status::InProgress, Vec::new(), None);
        self.id = Some(id);
        for kind in ["response.created", "response.in_progress"] {
            emit_json(&mut self.sequence, kind, "\"response\":", &response, out);
        }
    }

    fn ended(&mut self, status: Status<'_>, closing: Option<&Closing<'_>>, out: &mut BytesMut) {
        let output: Vec<Value> = self.items.drain(..).filter_map(|item| if let Item::Done(value) = item { Some(value) } else { None }).collect();
        let (word, _) = echo::outcome(status, &output);
        let response = echo::response(&self.echo, self.id.as_deref().unwrap_or_default(), status, output, closing);
        let kind = &format!("response.{word}");
        emit_json(&mut self.sequence, kind, "\"response\":", &response, out);
    }

    fn open(&mut self, index: usize, part: Opening, out: &mut BytesMut) {
        self.start(None, out);
        match part {
            Opening::Text => self.open_words(index, false, out),
            Opening::Refusal => self.open_words(index, true, out),
            Opening::Thought { id, redacted, .. } => {
                let id = id.filter(|id| self.ids.insert(id.clone())).unwrap_or_else(|| self.item_id("rs"));
                let item = self.add(index, Item::Reasoning { id: id.clone(), text: String::new(), seal: redacted.map(Seal::Redacted) }, out);
                emit_item(&mut self.sequence, "response.output_item.added", item, &written::reasoning(&id, "", None), out);
            }
            Opening::ToolCall { id, name, custom, signature } => {
                if let Some(signature) = signature {
                    self.sealed_call(signature, out);
                }
                let name = self.echo.request.own_name(&name).to_owned();
                let seen = Seen::of(&self.echo.request, &name, custom);
                let called = Called { seen, id: self.item_id(seen.prefix()), call_id: id, name, arguments: String::new() };
                let shown = called.item(&self.echo.request, "in_progress");
                let item = self.add(index, Item::Call(called), out);
                // A call of the shell has no form before its command is known.
                if seen != Seen::Shell {
                    emit_item(&mut self.sequence, "response.output_item.added", item, &shown, out);
                }
            }
        }
    }

    fn item_id(&self, prefix: &str) -> String {
        format!("{prefix}_{}_{}", self.echo.id, self.items.len())
    }

    /// A new item; a message that waited for more words is complete.
    fn add(&mut self, index: usize, item: Item, out: &mut BytesMut) -> usize {
        let waits = |item: &Item| matches!(item, Item::Message { contents, .. } if contents.iter().all(|words| !words.open));
        if self.items.last().is_some_and(waits) {
            self.complete(self.items.len() - 1, "completed", out);
        }
        self.items.push(item);
        self.places.insert(index, Place { item: self.items.len() - 1, content: 0 });
        self.items.len() - 1
    }

    /// The seal that Gemini puts on a call goes before it, as an item of its own.
    fn sealed_call(&mut self, signature: Signature, out: &mut BytesMut) {
        let id = self.item_id("rs");
        let at = self.add(usize::MAX, Item::Reasoning { id: id.clone(), text: String::new(), seal: Some(Seal::Call(signature)) }, out);
        emit_item(&mut self.sequence, "response.output_item.added", at, &written::reasoning(&id, "", None), out);
        self.complete(at, "completed", out);
    }

    fn open_words(&mut self, index: usize, refusal: bool, out: &mut BytesMut) {
        let words = Words { refusal, text: String::new(), open: true };
        if !matches!(self.items.last(), Some(Item::Message { .. })) {
            let id = self.item_id("msg");
            let item = self.add(index, Item::Message { id: id.clone(), contents: Vec::new() }, out);
            emit_item(&mut self.sequence, "response.output_item.added", item, &written::message(&id, "in_progress", Vec::new()), out);
        }
        let item = self.items.len() - 1;
        let Some(Item::Message { id, contents }) = self.items.last_mut() else { return };
        let part = Some(words.value());
        contents.push(words);
        let content = contents.len() - 1;
        let step = Step { part, ..Step::new("response.content_part.added", id, item).content(content) };
        emit(&mut self.sequence, step, out);
        self.places.insert(index, Place { item, content });
    }

    fn grow(&mut self, index: usize, delta: Delta, out: &mut BytesMut) {
        let Some(Place { item: at, content }) = self.places.get(&index).copied() else { return };
        let Some(item) = self.items.get_mut(at) else { return };
        match (item, delta) {
            (Item::Message { id, contents }, Delta::Text(text) | Delta::Picture(text)) => {
                let Some(words) = contents.get_mut(content) else { return };
                words.text.push_str(&text);
                let kind = if words.refusal { "response.refusal.delta" } else { "response.output_text.delta" };
                let step = Step { delta: Some(&text), ..Step::new(kind, id, at).content(content) };
                emit(&mut self.sequence, if words.refusal { step } else { step.text_event() }, out);
            }
            (Item::Reasoning { id, text: all, .. }, Delta::Text(text) | Delta::Picture(text)) if !text.is_empty() => {
                if all.is_empty() {
                    let part = Some(json!({"type": "summary_text", "text": ""}));
                    emit(&mut self.sequence, Step { part, ..Step::new("response.reasoning_summary_part.added", id, at).summary() }, out);
                }
                all.push_str(&text);
                emit(&mut self.sequence, Step { delta: Some(&text), ..Step::new("response.reasoning_summary_text.delta", id, at).summary() }, out);
            }
            (Item::Reasoning { seal, .. }, Delta::Signature(signature)) => *seal = Some(Seal::Thought(signature)),
            (Item::Call(called), Delta::Arguments(text)) => {
                called.arguments.push_str(&text);
                let kind = match called.seen {
                    Seen::Function => "response.function_call_arguments.delta",
                    Seen::Custom => "response.custom_tool_call_input.delta",
                    // These are turned back when they are whole.
                    Seen::Wrapped | Seen::Shell => return,
                };
                emit(&mut self.sequence, Step { delta: Some(&text), ..Step::new(kind, &called.id, at) }, out);
            }
            _ => {}
        }
    }

    fn close(&mut self, index: usize, out: &mut BytesMut) {
        let Some(Place { item, content }) = self.places.remove(&index) else { return };
        match self.items.get_mut(item) {
            Some(Item::Message { id, contents }) => {
                if let Some(words) = contents.get_mut(content).filter(|words| words.open) {
                    words_done(&mut self.sequence, id, item, content, words, out);
                }
            }
            Some(_) => self.complete(item, "completed", out),
            None => {}
        }
    }

    /// Finishes an item, unless it is.
    fn complete(&mut self, at: usize, status: &str, out: &mut BytesMut) {
        let value = match &mut self.items[at] {
            Item::Done(_) => return,
            Item::Message { id, contents } => {
                for (content, words) in contents.iter_mut().enumerate().filter(|(_, words)| words.open) {
                    words_done(&mut self.sequence, id, at, content, words, out);
                }
                written::message(id, status, contents.iter().map(Words::value).collect())
            }
            Item::Reasoning { id, text, seal } => {
                if !text.is_empty() {
                    let part = Some(json!({"type": "summary_text", "text": text}));
                    emit(&mut self.sequence, Step { text: Some(text), ..Step::new("response.reasoning_summary_text.done", id, at).summary() }, out);
                    emit(&mut self.sequence, Step { part, ..Step::new("response.reasoning_summary_part.done", id, at).summary() }, out);
                }
                written::reasoning(id, text, seal.as_ref())
            }
            Item::Call(called) => {
                let item = called.item(&self.echo.request, status);
                call_done(&mut self.sequence, called, at, &item, out);
                item
            }
        };
        emit_item(&mut self.sequence, "response.output_item.done", at, &value, out);
        self.items[at] = Item::Done(value);
    }
}

fn words_done(sequence: &mut u64, id: &str, item: usize, content: usize, words: &mut Words, out: &mut BytesMut) {
    words.open = false;
    let step = if words.refusal {
        Step { refusal: Some(&words.text), ..Step::new("response.refusal.done", id, item) }
    } else {
        Step { text: Some(&words.text), ..Step::new("response.output_text.done", id, item) }.text_event()
    };
    emit(sequence, step.content(content), out);
    emit(sequence, Step { part: Some(words.value()), ..Step::new("response.content_part.done", id, item).content(content) }, out);
}

/// The end of a call's arguments, or of its input.
fn call_done(sequence: &mut u64, called: &Called, at: usize, item: &Value, out: &mut BytesMut) {
    let input = called.input();
    match called.seen {
        Seen::Shell => emit_item(sequence, "response.output_item.added", at, item, out),
        Seen::Function => {
            let name = item["name"].as_str();
            emit(sequence, Step { arguments: Some(&input), name, ..Step::new("response.function_call_arguments.done", &called.id, at) }, out);
        }
        Seen::Custom | Seen::Wrapped => {
            if called.seen == Seen::Wrapped && !input.is_empty() {
                emit(sequence, Step { delta: Some(&input), ..Step::new("response.custom_tool_call_input.delta", &called.id, at) }, out);
            }
            emit(sequence, Step { input: Some(&input), ..Step::new("response.custom_tool_call_input.done", &called.id, at) }, out);
        }
    }
}
