//! Reading a Chat stream.

use super::stream_tools::{Calls, Piece};
use super::{answer, stop};
use crate::relay::dialect::Dialect;
use crate::relay::dialect::canonical::{Broken, Delta, Event, Opening, Signature};
use crate::relay::report::{self, Form, UsageReport};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A string that is borrowed when it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Str<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<Growth<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Str<'a>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Growth<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<Str<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Str<'a>>,
    #[serde(borrow, default)]
    reasoning: Option<Str<'a>>,
    #[serde(borrow, default)]
    reasoning_details: Option<Vec<Detail<'a>>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<Call<'a>>>,
}

#[derive(Deserialize)]
struct Detail<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Str<'a>>,
    #[serde(borrow, default)]
    text: Option<Str<'a>>,
    #[serde(borrow, default)]
    summary: Option<Str<'a>>,
    #[serde(borrow, default)]
    data: Option<Str<'a>>,
    #[serde(borrow, default)]
    signature: Option<Str<'a>>,
    #[serde(borrow, default)]
    id: Option<Str<'a>>,
    #[serde(default)]
    index: Option<u64>,
}

const TEXT: &str = "reasoning.text";
const SUMMARY: &str = "reasoning.summary";
const ENCRYPTED: &str = "reasoning.encrypted";

impl Detail<'_> {
    fn kind(&self) -> &'static str {
        let kind = self.kind.as_ref().map(|kind| kind.0.as_ref());
        [TEXT, SUMMARY, ENCRYPTED].into_iter().find(|known| kind == Some(known)).unwrap_or_default()
    }
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    id: Option<Str<'a>>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
    #[serde(borrow, default)]
    custom: Option<Function<'a>>,
    #[serde(borrow, default)]
    extra_content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Option<Str<'a>>,
    #[serde(borrow, default, alias = "input")]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ExtraContent {
    google: Option<Google>,
}

#[derive(Deserialize)]
struct Google {
    thought_signature: Option<String>,
}

/// The part that words flow into.
#[derive(Debug, PartialEq, Eq)]
enum Words {
    Text,
    Refusal,
    Thought { number: Option<u64>, summary: bool, is_sealed: bool },
}

/// Reads a stream, event by event.
#[derive(Debug, Default)]
pub struct StreamParser {
    has_begun: bool,
    is_done: bool,
    id: Option<String>,
    /// The number of the next part.
    next: usize,
    open: Option<(usize, Words)>,
    calls: Calls,
    has_refusal: bool,
    finish_reason: Option<String>,
}

impl StreamParser {
    /// Before the first event.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the data of one event in.
    ///
    /// # Errors
    /// [`Broken`] when it is no chunk of an answer.
    pub fn push(&mut self, data: &str, out: &mut Vec<Event>) -> Result<(), Broken> {
        let data = data.trim();
        if data == "[DONE]" {
            self.is_done = true;
            return Ok(());
        }
        if !data.starts_with('{') {
            return Err(Broken::Garbage("not a chunk: no object".to_owned()));
        }
        let chunk: Chunk<'_> = serde_json::from_str(data).map_err(|error| Broken::Garbage(format!("not a chunk: {error}")))?;
        if let Some(error) = chunk.error {
            return Err(Broken::Upstream(error.get().to_owned()));
        }
        if !self.has_begun {
            self.has_begun = true;
            self.id = chunk.id.and_then(|id| serde_json::from_str::<String>(id.get()).ok()).filter(|id| !id.is_empty());
            out.push(Event::Start { id: self.id.clone() });
        }
        let mut usage = chunk.usage;
        for choice in chunk.choices.into_iter().flatten().filter(|choice| choice.index.unwrap_or(0) == 0) {
            usage = usage.or(choice.usage);
            if let Some(delta) = choice.delta {
                self.grow(delta, out)?;
            }
            if let Some(Str(reason)) = choice.finish_reason.filter(|reason| !reason.0.is_empty()) {
                self.finish_reason = Some(reason.into_owned());
            }
        }
        match usage.map(|usage| report::read(Form::Chat, usage.get())) {
            Some(UsageReport::Usage(usage)) => out.push(Event::Usage(usage)),
            Some(UsageReport::Absurd) => return Err(Broken::AbsurdUsage),
            Some(UsageReport::Absent) | None => {}
        }
        Ok(())
    }

    /// Whether the upstream said that the stream is complete.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Ends the stream. Servers that forget `[DONE]` have at least said why they ended.
    ///
    /// # Errors
    /// [`Broken`] when it was cut off.
    pub fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Broken> {
        if !self.has_begun || !(self.is_done || self.finish_reason.is_some()) {
            return Err(Broken::Garbage("the stream ended in the middle".to_owned()));
        }
        self.close(out);
        self.calls.finish(out)?;
        let reason = self.finish_reason.take().unwrap_or_default();
        out.push(Event::Stop(stop(&reason, !self.calls.is_empty(), self.has_refusal)));
        Ok(())
    }

    fn grow(&mut self, delta: Growth<'_>, out: &mut Vec<Event>) -> Result<(), Broken> {
        let details = delta.reasoning_details.unwrap_or_default();
        let tells_words = details.iter().any(|detail| matches!(detail.kind(), TEXT | SUMMARY));
        if let Some(Str(text)) = delta.reasoning_content.or(delta.reasoning).filter(|_| !tells_words) {
            self.words(Words::Thought { number: None, summary: false, is_sealed: false }, text.into_owned(), out);
        }
        details.into_iter().for_each(|detail| self.detail(detail, out));
        if let Some(content) = delta.content {
            self.content(content, out)?;
        }
        if let Some(Str(text)) = delta.refusal.filter(|text| !text.0.is_empty()) {
            self.has_refusal = true;
            self.words(Words::Refusal, text.into_owned(), out);
        }
        for call in delta.tool_calls.into_iter().flatten() {
            self.close(out);
            self.calls.push(piece(call)?, self.id.as_deref(), &mut self.next, out)?;
        }
        Ok(())
    }

    fn content(&mut self, content: &RawValue, out: &mut Vec<Event>) -> Result<(), Broken> {
        let garbage = |error: serde_json::Error| Broken::Garbage(format!("not a content: {error}"));
        if content.get().starts_with('"') {
            let Str(text) = serde_json::from_str(content.get()).map_err(garbage)?;
            self.words(Words::Text, text.into_owned(), out);
        } else {
            let value = serde_json::from_str(content.get()).map_err(garbage)?;
            let (text, thought) = answer::content(Some(&value));
            self.words(Words::Thought { number: None, summary: false, is_sealed: false }, thought, out);
            self.words(Words::Text, text, out);
        }
        Ok(())
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if let Some((index, _)) = self.open.take() {
            out.push(Event::Close { index });
        }
    }

    fn open(&mut self, part: Opening, words: Words, out: &mut Vec<Event>) -> usize {
        self.close(out);
        self.calls.close_complete(out);
        let index = self.next;
        self.next += 1;
        out.push(Event::Open { index, part });
        self.open = Some((index, words));
        index
    }

    /// Words go on where the open part is of their kind, and open a part of their own elsewhere.
    fn words(&mut self, words: Words, text: String, out: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        let index = match &self.open {
            Some((index, open)) if *open == words => *index,
            _ => {
                let part = match &words {
                    Words::Text => Opening::Text,
                    Words::Refusal => Opening::Refusal,
                    Words::Thought { summary, .. } => Opening::Thought { id: None, summary: *summary, redacted: None },
                };
                self.open(part, words, out)
            }
        };
        out.push(Event::Grow { index, delta: Delta::Text(text) });
    }

    /// An entry of `reasoning_details`: of the same number it goes on with a thought that has no seal yet.
    fn detail(&mut self, mut detail: Detail<'_>, out: &mut Vec<Event>) {
        let text = |text: Option<Str<'_>>| text.map(|text| text.0.into_owned()).filter(|text| !text.is_empty());
        let id = text(detail.id.take());
        let kind = detail.kind();
        if kind == ENCRYPTED {
            let Some(Str(data)) = detail.data else { return };
            let part = Opening::Thought { id, summary: false, redacted: Some(Signature::read(Dialect::Chat, &data)) };
            self.open(part, Words::Thought { number: None, summary: false, is_sealed: true }, out);
            return self.close(out);
        }
        let summary = kind == SUMMARY;
        if !summary && kind != TEXT {
            return;
        }
        let wanted = Words::Thought { number: detail.index, summary, is_sealed: false };
        let index = match &self.open {
            Some((index, open)) if *open == wanted => *index,
            _ => self.open(Opening::Thought { id, summary, redacted: None }, wanted, out),
        };
        if let Some(text) = text(if summary { detail.summary } else { detail.text }) {
            out.push(Event::Grow { index, delta: Delta::Text(text) });
        }
        if let Some(seal) = text(detail.signature) {
            out.push(Event::Grow { index, delta: Delta::Signature(Signature::read(Dialect::Chat, &seal)) });
            self.open = Some((index, Words::Thought { number: detail.index, summary, is_sealed: true }));
        }
    }
}

fn piece(call: Call<'_>) -> Result<Piece, Broken> {
    let text = |text: Option<Str<'_>>| text.map(|text| text.0.into_owned()).unwrap_or_default();
    let custom = call.custom.is_some();
    let (name, arguments) = call.custom.or(call.function).map_or((None, None), |inner| (inner.name, inner.arguments));
    let arguments = match arguments.map(RawValue::get) {
        None => String::new(),
        Some(raw) if raw.starts_with('"') => serde_json::from_str(raw).map_err(|error| Broken::Garbage(format!("not arguments: {error}")))?,
        Some(raw) => raw.to_owned(),
    };
    let extra = call.extra_content.and_then(|extra| serde_json::from_str::<ExtraContent>(extra.get()).ok());
    let seal = extra.and_then(|extra| extra.google?.thought_signature);
    let signature = seal.map(|seal| Signature::read(Dialect::Gemini, &seal));
    Ok(Piece { index: call.index, id: text(call.id), name: text(name), arguments, custom, signature })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads chunks, each with the given delta, and writes the events down shortly.
    fn read(deltas: &[&str], reason: &str) -> Result<String, Broken> {
        let (mut parser, mut out) = (StreamParser::new(), Vec::new());
        for delta in deltas {
            parser.push(&format!(r#"{{"id":"x","choices":[{{"index":0,"delta":{delta}}}]}}"#), &mut out)?;
        }
        parser.push(&format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":{reason}}}]}}"#), &mut out)?;
        parser.push("[DONE]", &mut out)?;
        assert!(parser.is_done());
        parser.finish(&mut out)?;
        Ok(out.iter().map(short).collect::<Vec<_>>().join(" "))
    }

    fn short(event: &Event) -> String {
        match event {
            Event::Start { id } => format!("start:{}", id.as_deref().unwrap_or("-")),
            Event::Open { index, part: Opening::ToolCall { id, name, .. } } => format!("{index}+{name}/{id}"),
            Event::Open { index, part: Opening::Thought { redacted: Some(data), .. } } => format!("{index}+redacted/{}", data.value),
            Event::Open { index, part } => format!("{index}+{}", format!("{part:?}").split(' ').next().unwrap()),
            Event::Grow { index, delta: Delta::Text(text) | Delta::Picture(text) | Delta::Arguments(text) } => format!("{index}={text}"),
            Event::Grow { index, delta: Delta::Signature(signature) } => format!("{index}!{}", signature.value),
            Event::Close { index } => format!("{index}."),
            Event::Stop(stop) => format!("{stop:?}"),
            Event::Usage(usage) => format!("{}/{}", usage.input, usage.output),
            Event::Ping => "ping".to_owned(),
        }
    }

    #[test]
    fn streams_of_every_kind_are_understood() {
        for (deltas, reason, events) in [
            (&[r#"{"role":"assistant","content":""}"#, r#"{"content":"a"}"#, r#"{"content":"b"}"#][..], "\"stop\"", "start:x 0+Text 0=a 0=b 0. End"),
            (&[r#"{"reasoning_content":"t"}"#, r#"{"reasoning_content":null,"content":"a"}"#], "\"length\"", "start:x 0+Thought 0=t 0. 1+Text 1=a 1. Length"),
            (&[r#"{"refusal":"no"}"#], "\"stop\"", "start:x 0+Refusal 0=no 0. Refusal"),
            (
                &[
                    r#"{"reasoning":"a","reasoning_details":[{"type":"reasoning.text","text":"a","index":0}]}"#,
                    r#"{"reasoning_details":[{"type":"reasoning.text","text":null,"signature":"s","index":0}]}"#,
                ],
                "null",
                "start:x 0+Thought 0=a 0!s 0. End",
            ),
            (
                &[r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"d"}]}"#, r#"{"content":"a"}"#],
                "null",
                "start:x 0+redacted/d 0. 1+Text 1=a 1. End",
            ),
            (
                &[r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"t"}]}]}"#, r#"{"content":[{"type":"text","text":"a"}]}"#],
                "null",
                "start:x 0+Thought 0=t 0. 1+Text 1=a 1. End",
            ),
            // Whole calls in one chunk, several at once, without numbers.
            (
                &[r#"{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},{"id":"b","function":{"name":"g","arguments":{"x":1}}}]}"#],
                "\"stop\"",
                r#"start:x 0+f/a 0={} 0. 1+g/b 1={"x":1} 1. ToolUse"#,
            ),
            // All numbered 0.
            (
                &[
                    r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#,
                    r#"{"tool_calls":[{"index":0,"id":"b","function":{"name":"g","arguments":"{}"}}]}"#,
                ],
                "\"tool_calls\"",
                "start:x 0+f/a 0={} 0. 1+g/b 1={} 1. ToolUse",
            ),
            // The name late, the id never.
            (
                &[
                    r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}"#,
                    r#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":":1}"}}]}"#,
                ],
                "\"tool_calls\"",
                r#"start:x 0+f/call_x_0 0={"a":1} 0. ToolUse"#,
            ),
            // Id and name in every chunk; two calls side by side.
            (
                &[
                    r#"{"content":"so","tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\""}}]}"#,
                    r#"{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}]}"#,
                    r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"}\":1}"}}]}"#,
                ],
                "\"tool_calls\"",
                r#"start:x 0+Text 0=so 0. 1+f/a 1={" 2+g/b 2={} 1=}":1} 1. 2. ToolUse"#,
            ),
        ] {
            assert_eq!(read(deltas, reason).expect(events), events);
        }
    }

    #[test]
    fn a_stream_that_breaks_off_or_is_none_is_broken() {
        for data in ["", "{", "[]", r#"{"choices":{}}"#, r#"{"error":{"message":"m"}}"#] {
            assert!(StreamParser::new().push(data, &mut Vec::new()).is_err(), "{data}");
        }
        let mut parser = StreamParser::new();
        parser.push(r#"{"choices":[{"delta":{"content":"a"}}]}"#, &mut Vec::new()).unwrap();
        assert!(parser.finish(&mut Vec::new()).is_err());
        assert!(read(&[r#"{"tool_calls":[{"index":0,"id":"a","function":{"arguments":"{}"}}]}"#], "null").is_err());
        assert!(read(&[], "\"stop\"").is_ok());
    }

    #[test]
    fn usage_may_come_in_any_chunk() {
        let (mut parser, mut out) = (StreamParser::new(), Vec::new());
        for data in [
            r#"{"id":"x","choices":[{"delta":{"content":"a"}}],"usage":null}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":3,"completion_tokens":1}}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#,
        ] {
            parser.push(data, &mut out).unwrap();
        }
        parser.finish(&mut out).unwrap();
        assert_eq!(out.iter().map(short).collect::<Vec<_>>().join(" "), "start:x 0+Text 0=a 3/1 3/2 0. End");
    }
}
