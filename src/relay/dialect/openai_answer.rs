//! OpenAI Chat Completions, the answer: its usage and its text, whole or in chunks. Format: <https://platform.openai.com/docs/api-reference/chat>.

use super::chat_text;
use crate::relay::report::{self, Form, UsageReport};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The parts of an answer or a chunk that the relay looks at. Everything else may be of any form: upstreams differ.
#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow, default)]
    choices: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

impl Outline<'_> {
    fn is_error(&self) -> bool {
        self.error.is_some_and(|raw| raw.get() != "null")
    }
}

#[derive(Deserialize)]
struct WireChoice<'a> {
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireMessage<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow, default)]
    function_call: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireToolCall<'a> {
    #[serde(borrow, default)]
    function: Option<&'a RawValue>,
}

/// What a chunk of a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// What it says of the usage so far.
    pub usage: UsageReport,
    /// It has no choices: it is there only for its usage.
    pub usage_only: bool,
    /// It is an error that ends the stream.
    pub error: bool,
}

/// Reads one event's data. `None` when it is not a chunk at all.
pub fn read_chunk(data: &[u8]) -> Option<Chunk> {
    let outline: Outline<'_> = serde_json::from_slice(data).ok()?;
    let no_choices = outline.choices.is_none_or(|raw| raw.get().trim_start_matches('[').trim_start().starts_with(']') || raw.get() == "null");
    let usage = outline.usage.map_or(UsageReport::Absent, |raw| report::read(Form::Chat, raw.get()));
    Some(Chunk { usage, usage_only: no_choices && usage != UsageReport::Absent, error: outline.is_error() })
}

/// An answer that is no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it says of its usage.
    pub usage: UsageReport,
}

/// Reads a whole answer. `None` when it is not one: not JSON, no choices, or an error in a 200.
pub fn read_answer(body: &[u8]) -> Option<Answer> {
    let answer: Outline<'_> = serde_json::from_slice(body).ok()?;
    if answer.is_error() || !answer.choices?.get().starts_with('[') {
        return None;
    }
    Some(Answer { usage: report::read_answer(Form::Chat, body) })
}

/// Appends the text that a model produced, in an answer or in a chunk's data, to `out`: what is counted when no usage came.
pub fn append_text(data: &[u8], out: &mut String) {
    let choices = serde_json::from_slice(data).ok().and_then(|outline: Outline<'_>| outline.choices);
    for choice in parsed::<Vec<WireChoice<'_>>>(choices).into_iter().flatten() {
        if let Some(message) = parsed::<WireMessage<'_>>(choice.message.or(choice.delta)) {
            append_message(&message, out);
        }
    }
}

fn append_message(message: &WireMessage<'_>, out: &mut String) {
    // Some upstreams send the same thoughts under both names.
    let thoughts = message.reasoning_content.or(message.reasoning);
    let calls = parsed::<Vec<WireToolCall<'_>>>(message.tool_calls).into_iter().flatten().map(|call| call.function);
    for part in [message.content, message.refusal, thoughts, message.function_call].into_iter().chain(calls).flatten() {
        chat_text::strings(part.get().as_bytes()).iter().for_each(|text| out.push_str(text));
    }
}

fn parsed<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_answer_is_none() {
        assert_eq!(read_answer(b"<html>"), None);
        assert_eq!(read_answer(br#"{"error":{"message":"no"}}"#), None);
    }

    #[test]
    fn knows_chunks_and_their_text() {
        let text = read_chunk(br#"{"choices":[{"index":0,"delta":{"content":"a\nb"}}],"usage":null}"#).unwrap();
        assert_eq!(text, Chunk { usage: UsageReport::Absent, usage_only: false, error: false });
        assert!(read_chunk(br#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#).unwrap().usage_only);
        assert!(read_chunk(br#"{"error":{"message":"x"}}"#).unwrap().error);
        assert_eq!(read_chunk(b"garbage"), None);
        let mut out = String::new();
        append_text(br#"{"choices":[{"delta":{"content":"a\nb","tool_calls":[{"function":{"name":"f","arguments":"{\"x\":"}}]}}]}"#, &mut out);
        assert_eq!(out, "a\nbf{\"x\":");
    }

    #[test]
    fn answers_of_unusual_form_are_answers_and_their_text_counts_once() {
        for (message, text) in [
            (r#"{"content":[{"type":"text","text":"a"}]}"#, "a"),
            (r#"{"content":"a","reasoning":"r","reasoning_content":"r"}"#, "ar"),
            (r#"{"content":null,"reasoning":"r","tool_calls":null}"#, "r"),
            (r#"{"content":"a","tool_calls":[{"function":{"name":"f","arguments":{"x":"y"}}}]}"#, "afy"),
            (r#"{"content":"","function_call":{"name":"f","arguments":"{}"}}"#, "f{}"),
            (r#"{"content":"a","tool_calls":7}"#, "a"),
        ] {
            for field in ["message", "delta"] {
                let body = format!(r#"{{"choices":[{{"{field}":{message}}}]}}"#);
                assert_eq!(read_answer(body.as_bytes()), Some(Answer { usage: UsageReport::Absent }), "{body}");
                let mut out = String::new();
                append_text(body.as_bytes(), &mut out);
                assert_eq!(out, text, "{body}");
            }
        }
        assert_eq!(read_answer(br#"{"choices":{}}"#), None);
        assert_eq!(read_answer(br#"{"choices":null}"#), None);
    }
}
