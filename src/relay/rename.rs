//! The public name of a model in answers that otherwise pass as they came. Pure.

use bytes::Bytes;
use memchr::memmem;
use std::ops::Range;

/// How the fields begin that carry the name: `model`, and Gemini's `modelVersion`.
const NAME: &[u8] = b"\"model";

/// Puts the public name of a model where the upstream's stands, whatever it calls it: some answer with a dated name.
///
/// That is at the top of an answer or of an event, and at the top of the `message` or `response` that an event carries. Anywhere else `model` is a word of the
/// model's own, such as an argument of a tool.
pub(super) struct Rename {
    public: String,
}

impl Rename {
    /// None when the upstream's name is the public one.
    pub(super) fn new(upstream: &str, public: &str) -> Option<Self> {
        (upstream != public).then(|| Self { public: serde_json::Value::from(public).to_string() })
    }

    /// A whole answer, which is one JSON object.
    pub(super) fn answer(&self, body: Bytes) -> Bytes {
        let mut edit = Edit::new(&self.public);
        if memmem::find(&body, NAME).is_some() {
            edit.object(&body, 0..body.len());
        }
        edit.finish(body)
    }

    /// Whole events of a stream, each of which has its object on one line.
    pub(super) fn events(&self, events: Bytes) -> Bytes {
        let mut edit = Edit::new(&self.public);
        let mut at = 0;
        while let Some(found) = memmem::find(&events[at..], NAME) {
            let start = memchr::memrchr(b'\n', &events[..at + found]).map_or(0, |line| line + 1);
            let end = memchr::memchr(b'\n', &events[at + found..]).map_or(events.len(), |line| at + found + line);
            edit.object(&events, start..end);
            at = end;
        }
        edit.finish(events)
    }
}

/// The bytes with the name in them, as far as it has been put there.
struct Edit<'a> {
    public: &'a str,
    out: Vec<u8>,
    /// How much of the original is in `out`.
    copied: usize,
}

impl<'a> Edit<'a> {
    fn new(public: &'a str) -> Self {
        Self { public, out: Vec::new(), copied: 0 }
    }

    fn replace(&mut self, bytes: &[u8], value: Range<usize>) {
        self.out.extend_from_slice(&bytes[self.copied..value.start]);
        self.out.extend_from_slice(self.public.as_bytes());
        self.copied = value.end;
    }

    /// Looks for the name in one object. What is inside the values at its top is passed over, so this needs no more than a look at each byte.
    fn object(&mut self, bytes: &[u8], range: Range<usize>) {
        let json = &bytes[..range.end];
        let (mut at, mut depth, mut is_carrier) = (range.start, 0_usize, false);
        while let Some(byte) = json.get(at) {
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                b'"' => {
                    let Some(end) = string_end(json, at) else { return };
                    let key = &json[at + 1..end - 1];
                    at = end;
                    if depth == 1 || depth == 2 && is_carrier {
                        let Some(value) = value_behind(json, end) else { continue };
                        is_carrier = depth == 2 || matches!(key, b"message" | b"response") && json[value] == b'{';
                        at = value;
                        if matches!(key, b"model" | b"modelVersion") && json[value] == b'"' {
                            let Some(end) = string_end(json, value) else { return };
                            self.replace(bytes, value..end);
                            if memmem::find(&json[end..], NAME).is_none() {
                                return;
                            }
                            at = end;
                        }
                    }
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn finish(mut self, bytes: Bytes) -> Bytes {
        if self.copied == 0 {
            return bytes;
        }
        self.out.extend_from_slice(&bytes[self.copied..]);
        self.out.into()
    }
}

/// Just behind the string that begins at `start`.
fn string_end(json: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', json.get(at..)?)?;
        if json[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Where the value of a key begins that ends at `end`; none when what ends there is no key.
fn value_behind(json: &[u8], end: usize) -> Option<usize> {
    let colon = end + json[end..].iter().position(|byte| !byte.is_ascii_whitespace())?;
    let after = if json[colon] == b':' { colon + 1 } else { return None };
    Some(after + json[after..].iter().position(|byte| !byte.is_ascii_whitespace())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(text: &str) -> (String, String) {
        let rename = Rename::new("gpt-4o", "house").unwrap();
        let text = Bytes::copy_from_slice(text.as_bytes());
        let word = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        (word(rename.answer(text.clone())), word(rename.events(text)))
    }

    #[test]
    fn only_the_field_is_renamed() {
        for (text, expected) in [
            (r#"{"model":"gpt-4o-2024","x":"\"model\":\"gpt-4o\"","model" : "a"}"#, r#"{"model":"house","x":"\"model\":\"gpt-4o\"","model" : "house"}"#),
            (r#"{"candidates":[],"modelVersion":"g"}"#, r#"{"candidates":[],"modelVersion":"house"}"#),
            (r#"{"type":"message_start","message":{"id":"a","model":"c"}}"#, r#"{"type":"message_start","message":{"id":"a","model":"house"}}"#),
            (r#"{"response":{"tools":[{"model":"t"}],"model":"g"}}"#, r#"{"response":{"tools":[{"model":"t"}],"model":"house"}}"#),
            (r#"{"error":{"x":[1,{}]},"model":"g\"h"}"#, r#"{"error":{"x":[1,{}]},"model":"house"}"#),
        ] {
            assert_eq!(renamed(text).0, expected);
            assert_eq!(renamed(text).1, expected);
        }
    }

    #[test]
    fn the_words_of_the_model_stay() {
        for text in [
            r#"{"content":[{"type":"tool_use","input":{"model":"haiku","message":{"model":"x"}}}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"functionCall":{"args":{"model":"a"}}}]}}]}"#,
            r#"{"choices":[{"message":{"model":"a"}}],"x":["message",{"model":"b"}],"message":[{"model":"c"}]}"#,
            r#"{"message":{},"delta":{"model":"a"},"response":{"metadata":{"model":"b"}}}"#,
            r#"{"models":"g","model":{"type":"x"}}"#,
            r#"{"text":"{\"model\":\"a\"}","x":"model"}"#,
            r#"{"model"#,
            r#"{"model":"a"#,
            r#"{"model":"#,
            r#"[{"model":"a"}]"#,
            r#""model":"a""#,
        ] {
            assert_eq!(renamed(text).0, text);
            assert_eq!(renamed(text).1, text);
        }
        assert!(Rename::new("a", "a").is_none());
    }

    #[test]
    fn each_event_is_looked_at() {
        let event = |name: &str, kept: &str| format!("event: x\ndata: {{\"choices\":[{{\"model\":\"{kept}\"}}],\"model\":\"{name}\"}}\r\n\r\n");
        let stream = format!(": \"model\"\n\n{}{}data: [DONE]\n\n", event("a", "k"), event("b", "l"));
        let expected = format!(": \"model\"\n\n{}{}data: [DONE]\n\n", event("house", "k"), event("house", "l"));
        assert_eq!(renamed(&stream).1, expected);
        let plain = Bytes::from_static(b"data: {}\n\n");
        assert_eq!(Rename::new("a", "b").unwrap().events(plain.clone()).as_ptr(), plain.as_ptr());
    }
}
