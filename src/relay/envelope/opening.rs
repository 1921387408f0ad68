//! What a conversation is recognised by: the words with which it begins, however they are written.
//!
//! From one request of a conversation to the next a client may move the mark of a prompt cache, or write a text as a list of one part.

use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Fields that say how something is written, or are made anew each time.
const NOT_READ: [&str; 4] = ["cache_control", "type", "id", "status"];
/// How much of either end of a long text is kept, and how much of them all.
const END: usize = 2_048;
const MOST: usize = 64 * 1024;

/// The texts of a JSON text, or of the beginning of one, in their order, the long ones by their ends and lengths; what is no JSON as it is.
pub(super) fn words(json: &[u8]) -> Vec<u8> {
    if json.is_empty() {
        return Vec::new();
    }
    let mut out = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    if Words(&mut out).deserialize(&mut deserializer).is_err() && out.is_empty() {
        return json[..json.len().min(MOST)].to_vec();
    }
    out
}

struct Words<'o>(&'o mut Vec<u8>);

impl Words<'_> {
    fn take(self, text: &str) {
        if self.0.len() > MOST {
            return;
        }
        let bytes = text.as_bytes();
        if bytes.len() <= 2 * END {
            self.0.extend_from_slice(bytes);
        } else {
            self.0.extend_from_slice(&bytes[..END]);
            self.0.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            self.0.extend_from_slice(&bytes[bytes.len() - END..]);
        }
        self.0.push(0);
    }
}

impl<'de> DeserializeSeed<'de> for Words<'_> {
    type Value = ();
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Words<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.take(text);
        Ok(())
    }
    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<(), S::Error> {
        while items.next_element_seed(Words(&mut *self.0))?.is_some() {}
        Ok(())
    }
    fn visit_map<M: MapAccess<'de>>(self, mut fields: M) -> Result<(), M::Error> {
        while let Some(key) = fields.next_key::<Cow<'de, str>>()? {
            if NOT_READ.contains(&key.as_ref()) {
                fields.next_value::<IgnoredAny>()?;
            } else {
                fields.next_value_seed(Words(&mut *self.0))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_are_the_same_however_they_are_written() {
        let plain = words(br#"[{"role":"user","content":"Hello there"}]"#);
        for same in [
            r#"[ {"role": "user", "content": "Hello\u0020there"} ]"#,
            r#"[{"role":"user","content":[{"type":"text","text":"Hello there"}]}]"#,
            r#"[{"role":"user","content":[{"type":"text","text":"Hello there","cache_control":{"type":"ephemeral","ttl":"1h"}}]}]"#,
            r#"[{"type":"message","id":"msg_2","status":"completed","role":"user","content":[{"type":"input_text","text":"Hello there"}]}]"#,
        ] {
            assert_eq!(words(same.as_bytes()), plain, "{same}");
            assert_eq!(words(&same.as_bytes()[..same.len() - 1]), plain, "what comes behind the first turns is not there");
        }
        for other in
            [r#"[{"role":"user","content":"Hello"}]"#, r#"[{"role":"user","content":["Hello", "there"]}]"#, r#"[{"role":"system","content":"Hello there"}]"#]
        {
            assert_ne!(words(other.as_bytes()), plain, "{other}");
        }
    }

    #[test]
    fn whatever_comes_little_is_kept() {
        assert_eq!(words(b""), b"");
        assert_eq!(words(b"no json"), b"no json");
        let deep = "[".repeat(100_000);
        let long = format!("[{}\"\"]", format!("\"{}\",", "a".repeat(9_000)).repeat(1_000));
        for json in [deep, long] {
            assert!(words(json.as_bytes()).len() <= MOST + 2 * END + 9);
        }
        let (one, other) = (format!("\"{}b\"", "a".repeat(9_000)), format!("\"{}c\"", "a".repeat(9_000)));
        assert_ne!(words(one.as_bytes()), words(other.as_bytes()));
        assert_ne!(words(format!("\"{}\"", "a".repeat(9_000)).as_bytes()), words(format!("\"{}\"", "a".repeat(9_001)).as_bytes()));
    }
}
