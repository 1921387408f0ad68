//! The texts of a conversation, for counting: whatever a model may read, wherever it stands.

use crate::relay::count;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Objects of the dialects in which the next level may be text or hold media. What any other object holds counts as it is written.
const KNOWN: [&str; 17] = [
    "content",
    "output",
    "parts",
    "summary",
    "function",
    "custom",
    "tool_calls",
    "function_call",
    "functionCall",
    "functionResponse",
    "function_response",
    "requests",
    "documents",
    "message",
    "citations",
    "annotations",
    "cache_control",
];
/// Where media stand, as `count::input_bound` finds them: their tokens do not come from their letters.
const MEDIA: [&str; 13] = [
    "image_url",
    "input_audio",
    "file",
    "video_url",
    "audio_url",
    "document_url",
    "file_data",
    "fileData",
    "source",
    "inlineData",
    "inline_data",
    "file_id",
    "file_url",
];
/// Inside of one: an address, a number of a file, or encoded bytes.
const PAYLOAD: [&str; 7] = ["url", "data", "file_data", "file_id", "fileUri", "file_uri", "file_url"];
/// No name of what a part is has more letters.
const LONGEST_TYPE: usize = 64;

/// The texts that a model reads of a JSON text. Of a repeated field every value counts, since upstreams disagree on which one they read; what is nested deeper
/// than a parser goes counts as it is written, and so do arguments and results that are objects. In `tokens`, numbers are tokens already, and are counted there.
pub(in crate::relay) fn strings<'j>(json: &'j [u8], mut tokens: Option<&mut u64>) -> Vec<Cow<'j, str>> {
    let mut out = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let walk = Strings { out: &mut out, tokens: tokens.as_deref_mut(), place: Place::Part };
    if walk.deserialize(&mut deserializer).is_err() {
        if let Some(tokens) = tokens {
            *tokens = 0;
        }
        return vec![String::from_utf8_lossy(json)];
    }
    out
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a turn or a part, or a list of them.
    Part,
    /// What a part is called.
    Type,
    /// In a medium, or in the place of one.
    Medium,
    /// The address of a medium, or its bytes.
    Payload,
}

impl Place {
    /// The place of the value of `key`; none where it counts as it is written, unless it is a plain text.
    fn inside(self, key: &str) -> Option<Self> {
        match (self, key) {
            (_, "type") => Some(Place::Type),
            (Place::Medium, _) if PAYLOAD.contains(&key) => Some(Place::Payload),
            (Place::Part, _) if MEDIA.contains(&key) => Some(Place::Medium),
            _ if KNOWN.contains(&key) => Some(Place::Part),
            _ => None,
        }
    }
}

struct Strings<'o, 'de> {
    out: &'o mut Vec<Cow<'de, str>>,
    tokens: Option<&'o mut u64>,
    place: Place,
}

impl<'o, 'de> Strings<'o, 'de> {
    fn inner(&mut self, place: Place) -> Strings<'_, 'de> {
        Strings { out: self.out, tokens: self.tokens.as_deref_mut(), place }
    }

    fn take(&mut self, text: Cow<'de, str>) {
        let is_text = match self.place {
            Place::Part => true,
            Place::Type => text.len() > LONGEST_TYPE,
            // A document may be a text in plain words.
            Place::Medium | Place::Payload => !is_address(&text) && count::is_plain(&text),
        };
        if is_text {
            self.out.push(text);
        }
    }

    fn number(&mut self, number: impl fmt::Display) {
        match self.tokens.as_deref_mut() {
            Some(tokens) => *tokens += 1,
            None => self.out.push(Cow::Owned(number.to_string())),
        }
    }
}

fn is_address(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| (1..=8).contains(&scheme.len()) && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        && !text.contains(' ')
}

/// Counts as it is written, without the breaks and escapes of JSON that no model reads.
fn as_written<'de>(raw: &'de RawValue) -> Cow<'de, str> {
    serde_json::from_str::<Value>(raw.get()).map_or(Cow::Borrowed(raw.get()), |value| Cow::Owned(unescaped(&value)))
}

fn unescaped(value: &Value) -> String {
    if let Value::String(text) = value { text.clone() } else { value.to_string() }
}

impl<'de> DeserializeSeed<'de> for Strings<'_, 'de> {
    type Value = ();
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strings<'_, 'de> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(mut self, number: i64) -> Result<(), E> {
        self.number(number);
        Ok(())
    }
    fn visit_u64<E>(mut self, number: u64) -> Result<(), E> {
        self.number(number);
        Ok(())
    }
    fn visit_f64<E>(mut self, number: f64) -> Result<(), E> {
        // In full, a number of five letters can be one of three hundred.
        self.number(format_args!("{number:e}"));
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_borrowed_str<E>(mut self, text: &'de str) -> Result<(), E> {
        self.take(Cow::Borrowed(text));
        Ok(())
    }
    fn visit_str<E>(mut self, text: &str) -> Result<(), E> {
        self.take(Cow::Owned(text.to_owned()));
        Ok(())
    }
    fn visit_seq<S: SeqAccess<'de>>(mut self, mut items: S) -> Result<(), S::Error> {
        let place = self.place;
        while items.next_element_seed(self.inner(place))?.is_some() {}
        Ok(())
    }
    fn visit_map<M: MapAccess<'de>>(mut self, mut fields: M) -> Result<(), M::Error> {
        // An object where a text or bytes should be is neither.
        let place = if matches!(self.place, Place::Type | Place::Payload) { Place::Part } else { self.place };
        while let Some(key) = fields.next_key::<Cow<'de, str>>()? {
            match place.inside(&key) {
                Some(inner) => fields.next_value_seed(self.inner(inner))?,
                None => {
                    let raw = fields.next_value::<&'de RawValue>()?;
                    // A key of the dialect's own says nothing to the model; what a tool is given and gives is read with its names.
                    match raw.get().as_bytes().first() {
                        Some(b'n' | b't' | b'f') => {}
                        Some(b'{' | b'[') if self.tokens.is_some() => {
                            self.inner(Place::Part).deserialize(&mut serde_json::Deserializer::from_str(raw.get())).map_err(de::Error::custom)?
                        }
                        _ => self.out.push(as_written(raw)),
                    }
                }
            }
        }
        Ok(())
    }
}

/// How many bytes of a conversation its first turns take, up to the first of the user.
pub(super) fn first_turns(turns: &[u8]) -> usize {
    struct First<'a>(&'a mut usize, usize);
    impl<'de> Visitor<'de> for First<'_> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a conversation")
        }
        fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<(), S::Error> {
            while let Some(turn) = items.next_element::<&serde_json::value::RawValue>()? {
                *self.0 = turn.get().as_ptr() as usize + turn.get().len() - self.1;
                if memchr::memmem::find(turn.get().as_bytes(), b"\"user\"").is_some() {
                    return Err(de::Error::custom("enough"));
                }
            }
            Ok(())
        }
    }
    let mut length = 0;
    let mut deserializer = serde_json::Deserializer::from_slice(turns);
    // That it stops early is no error.
    let _ = de::Deserializer::deserialize_seq(&mut deserializer, First(&mut length, turns.as_ptr() as usize));
    if length == 0 { turns.len() } else { length }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_counts_wherever_it_stands() {
        let json =
            br#"[{"role":"user","content":"a","content":"b\n"},{"content":[{"type":"text","text":"data:c"},{"image_url":{"url":"https://x"}}]},null,true]"#;
        assert_eq!(strings(json, None), ["user", "a", "b\n", "data:c"]);
        assert_eq!(strings(br#"[{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}]"#, None), ["wav"]);
    }

    #[test]
    fn what_a_tool_is_given_and_gives_counts_as_it_is_written() {
        for (json, text) in [
            (r#"[{"type":"tool_use","name":"f","input":{"data": "x", "n": [1, 2]}}]"#, vec!["f", r#"{"data":"x","n":[1,2]}"#]),
            (r#"[{"functionResponse":{"name":"f","response":{"url":"u","type":7}}}]"#, vec!["f", r#"{"url":"u","type":7}"#]),
            (r#"[{"functionCall":{"name":"f","args":{"\u00e9":1}}}]"#, vec!["f", r#"{"é":1}"#]),
            (r#"[{"tool_calls":[{"id":"i","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]}]"#, vec!["i", "f", r#"{"a":1}"#]),
            (r#"[{"url":"words","data":"more","content":[5, 1.5]}]"#, vec!["words", "more", "5", "1.5e0"]),
            (r#"[{"source":{"type":"text","media_type":"text/plain","data":"plain words here"}}]"#, vec!["text/plain", "plain words here"]),
        ] {
            assert_eq!(strings(json.as_bytes(), None), text, "{json}");
        }
    }

    #[test]
    fn tokens_count_by_their_number() {
        for (json, texts, tokens) in [("[[1,2,3],[15339]]", 0, 4), ("[1,2]", 0, 2), (r#"["a","b"]"#, 2, 0), (r#"[{"parts":[{"text":"a"}],"n":[1,2]}]"#, 1, 2)] {
            let mut counted = 0;
            assert_eq!((strings(json.as_bytes(), Some(&mut counted)).len(), counted), (texts, tokens), "{json}");
        }
    }

    #[test]
    fn what_is_nested_too_deeply_counts_as_it_is_written() {
        let deep = format!("{}\"x\"{}", "[".repeat(500), "]".repeat(500));
        assert_eq!(strings(deep.as_bytes(), None), [deep.as_str()]);
    }
}
