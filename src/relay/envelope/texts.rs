//! The texts of a conversation, for counting: whatever a model may read, wherever it stands, and the parts that are not text.

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// What a content part that is not text is called, as its `type` and as the key of its content.
const MEDIA: [&[u8]; 5] = [b"\"image_url\"", b"\"input_audio\"", b"\"file\"", b"\"video_url\"", b"\"audio_url\""];
/// Fields that say what a part is, or carry an address or encoded bytes: their tokens do not come from their letters.
const NOT_TEXT: [&str; 7] = ["type", "url", "image_url", "video_url", "audio_url", "data", "file_data"];

/// The same, and what a provider may drop or never show its model: seals of thoughts, numbers of calls, roles.
const NOT_READ: [&str; 18] = [
    "type",
    "url",
    "image_url",
    "video_url",
    "audio_url",
    "data",
    "file_data",
    "role",
    "id",
    "call_id",
    "tool_call_id",
    "tool_use_id",
    "signature",
    "thoughtSignature",
    "thought_signature",
    "encrypted_content",
    "thinking",
    "reasoning_content",
];

/// Every string of a JSON text. Of a repeated field every value counts, since upstreams disagree on which one they read; what is nested deeper than a
/// parser goes counts as it is written.
pub(in crate::relay) fn strings(json: &[u8]) -> Vec<Cow<'_, str>> {
    strings_but(json, &NOT_TEXT).unwrap_or_else(|| vec![String::from_utf8_lossy(json)])
}

/// Of a JSON text the strings that a model surely reads; of what is nested deeper than a parser goes, none.
pub(super) fn letters(json: &[u8]) -> Vec<Cow<'_, str>> {
    strings_but(json, &NOT_READ).unwrap_or_default()
}

fn strings_but<'b>(json: &'b [u8], skipped: &'static [&'static str]) -> Option<Vec<Cow<'b, str>>> {
    let mut out = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    (Strings { out: &mut out, is_text: true, skipped }).deserialize(&mut deserializer).ok()?;
    Some(out)
}

struct Strings<'o, 'de> {
    out: &'o mut Vec<Cow<'de, str>>,
    is_text: bool,
    skipped: &'static [&'static str],
}

impl<'o, 'de> Strings<'o, 'de> {
    fn inner(&mut self, is_text: bool) -> Strings<'_, 'de> {
        Strings { out: self.out, is_text, skipped: self.skipped }
    }

    fn take(&mut self, text: Cow<'de, str>) {
        if self.is_text {
            self.out.push(text);
        }
    }
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
    fn visit_borrowed_str<E>(mut self, text: &'de str) -> Result<(), E> {
        self.take(Cow::Borrowed(text));
        Ok(())
    }
    fn visit_str<E>(mut self, text: &str) -> Result<(), E> {
        self.take(Cow::Owned(text.to_owned()));
        Ok(())
    }
    fn visit_seq<S: SeqAccess<'de>>(mut self, mut items: S) -> Result<(), S::Error> {
        let is_text = self.is_text;
        while items.next_element_seed(self.inner(is_text))?.is_some() {}
        Ok(())
    }
    fn visit_map<M: MapAccess<'de>>(mut self, mut fields: M) -> Result<(), M::Error> {
        while let Some(key) = fields.next_key::<Cow<'de, str>>()? {
            let is_text = !self.skipped.contains(&key.as_ref());
            fields.next_value_seed(self.inner(is_text))?;
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

/// How many parts of the messages are not text. Reads no JSON, since every request passes here: a part is known by its `type`,
/// or, for upstreams that go without one, by the key of its content.
pub(super) fn media_parts(messages: &[u8]) -> u64 {
    let plain = unescaped(messages);
    let count = |tag: &&[u8]| {
        let (mut types, mut keys) = (0u64, 0u64);
        for at in memchr::memmem::find_iter(&plain, *tag) {
            let after = plain[at + tag.len()..].trim_ascii_start();
            let before = plain[..at].trim_ascii_end().strip_suffix(b":").map(<[u8]>::trim_ascii_end);
            keys += u64::from(after.first() == Some(&b':'));
            types += u64::from(before.is_some_and(|before| before.ends_with(b"\"type\"")));
        }
        types.max(keys)
    };
    MEDIA.iter().map(count).sum()
}

/// The bytes with letters that were written as `\u00XX` written plainly: nobody hides a picture by spelling its name so.
fn unescaped(json: &[u8]) -> Cow<'_, [u8]> {
    const ESCAPE: &[u8] = b"\\u00";
    if memchr::memmem::find(json, ESCAPE).is_none() {
        return Cow::Borrowed(json);
    }
    let (mut out, mut rest) = (Vec::with_capacity(json.len()), json);
    while let Some(at) = memchr::memmem::find(rest, ESCAPE) {
        let (before, escape) = rest.split_at(at);
        out.extend_from_slice(before);
        let digits = escape.get(4..6).and_then(|digits| std::str::from_utf8(digits).ok());
        let letter = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        out.extend(letter.map_or(&escape[..1], |_| &[]));
        out.extend(letter);
        rest = &escape[if letter.is_some() { 6 } else { 1 }..];
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_counts_wherever_it_stands() {
        let json = br#"[{"role":"user","content":"a","content":"b\n"},{"content":[{"type":"text","text":"data:c"},{"image_url":{"url":"https://x"}}]},1,null,true,2.5]"#;
        assert_eq!(strings(json), ["user", "a", "b\n", "data:c"]);
        assert_eq!(strings(br#"[{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}]"#), ["wav"]);
    }

    #[test]
    fn what_is_nested_too_deeply_counts_as_it_is_written() {
        let deep = format!("{}\"x\"{}", "[".repeat(500), "]".repeat(500));
        assert_eq!(strings(deep.as_bytes()), [deep.as_str()]);
    }

    #[test]
    fn a_part_is_counted_once_however_it_is_written() {
        for (json, parts) in [
            (r#"[{"type":"image_url","image_url":{"url":"u"}},{"type" : "image_url", "image_url" : "u"}]"#, 2),
            (r#"[{"image_url":{"url":"u"}}]"#, 1),
            (r#"[{"type":"image\u005furl","image_ur\u006c":{"url":"u"}}]"#, 1),
            (r#"[{"type":"file","file":{"file_id":"f"}},{"type":"input_audio","input_audio":{}}]"#, 2),
            (r#"[{"role":"tool","name":"file","content":"say \"image_url\" \u0022file\u0022 \u00e9 \u00"}]"#, 0),
        ] {
            assert_eq!(media_parts(json.as_bytes()), parts, "{json}");
        }
    }
}
