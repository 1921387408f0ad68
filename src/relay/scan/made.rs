//! What stands in an answer of words beside them: pictures by their number, sound by how long it is. Tokens of either are told by most upstreams, at the end.
//! Formats: <https://ai.google.dev/api/caching#Blob>, <https://platform.openai.com/docs/api-reference/chat/object>.

use super::Wire;
use crate::relay::count;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Pictures and sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Pictures.
    pub pictures: u64,
    /// Milliseconds of sound.
    pub sound_ms: u64,
}

impl Made {
    /// Both together.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self { pictures: self.pictures.saturating_add(more.pictures), sound_ms: self.sound_ms.saturating_add(more.sound_ms) }
    }
}

/// Samples a second where nobody says: what OpenAI's streams and Gemini's speech have.
const USUAL_RATE: u64 = 24_000;
/// Bytes of a sample.
const SAMPLE: u64 = 2;

#[derive(Deserialize)]
struct Blob<'a> {
    #[serde(rename = "mimeType", alias = "mime_type", default)]
    kind: Option<String>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// What is made in an answer, or in events of one. Inside a text the quotes around these names would be escaped.
pub fn made(wire: Wire, is_event: bool, json: &[u8]) -> Made {
    let names: &[&[u8]] = match wire {
        Wire::Gemini => &[b"\"inlineData\"", b"\"inline_data\""],
        Wire::Chat => &[b"\"audio\""],
        _ => return Made::default(),
    };
    let blobs = names.iter().flat_map(|name| memmem::find_iter(json, name).filter_map(|at| blob(&json[at + name.len()..])));
    blobs.fold(Made::default(), |sum, blob| {
        let data = blob.data.map_or("", |raw| raw.get().trim_matches('"')).as_bytes();
        let kind = blob.kind.unwrap_or_default().to_ascii_lowercase();
        sum.and(match wire {
            // The sound of a stream has no head: it is samples.
            Wire::Chat if is_event => Made { sound_ms: samples_ms(data, USUAL_RATE), ..Made::default() },
            Wire::Chat => Made { sound_ms: count::encoded_sound_ms(data).unwrap_or_else(|| samples_ms(data, USUAL_RATE)), ..Made::default() },
            _ if kind.is_empty() || kind.starts_with("image/") => Made { pictures: 1, ..Made::default() },
            _ if kind.starts_with("audio/") => Made { sound_ms: sound_ms(&kind, data), ..Made::default() },
            _ => Made::default(),
        })
    })
}

/// The object behind a name.
fn blob(rest: &[u8]) -> Option<Blob<'_>> {
    let value = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    if !value.starts_with(b"{") {
        return None;
    }
    serde_json::Deserializer::from_slice(value).into_iter().next()?.ok()
}

/// How long samples of sound take, encoded in base64.
fn samples_ms(data: &[u8], rate: u64) -> u64 {
    count::encoded_len(data).saturating_mul(1_000) / (rate * SAMPLE)
}

/// How long a sound of this type takes. What cannot be read is taken to be long for its bytes.
fn sound_ms(kind: &str, data: &[u8]) -> u64 {
    if kind.starts_with("audio/l16") || kind.contains("pcm") {
        let named = kind.split(';').find_map(|part| part.trim().strip_prefix("rate=")?.parse::<u64>().ok());
        return samples_ms(data, named.unwrap_or(USUAL_RATE).clamp(8_000, 192_000));
    }
    count::encoded_sound_ms(data).unwrap_or_else(|| count::encoded_len(data).saturating_mul(1_000) / count::USUAL_BYTES_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::BASE64;

    fn seconds(seconds: usize) -> String {
        BASE64.encode(&vec![0; seconds * 48_000])
    }

    #[test]
    fn pictures_are_counted_and_sound_is_measured() {
        let second = seconds(1);
        let part = |kind: &str| format!(r#"{{"candidates":[{{"content":{{"parts":[{{"inlineData": {{"mimeType":"{kind}","data":"{second}"}}}}]}}}}]}}"#);
        let of = |json: &str| made(Wire::Gemini, true, json.as_bytes());
        assert_eq!(of(&part("image/png")), Made { pictures: 1, sound_ms: 0 });
        assert_eq!(of(&part("audio/L16;codec=pcm;rate=24000")), Made { pictures: 0, sound_ms: 1_000 });
        assert_eq!(of(&part("audio/pcm;rate=48000")).sound_ms, 500);
        assert_eq!(of(&part("audio/pcm;rate=0")).sound_ms, 3_000, "no rate is believed that nothing has");
        assert_eq!(of(&part("audio/new")).sound_ms, 12_000, "long for its bytes");
        assert_eq!(of(&part("application/pdf")), Made::default());
        assert_eq!(of(&(part("image/png") + &part("audio/pcm"))), Made { pictures: 1, sound_ms: 1_000 });
        assert_eq!(of(r#"{"inlineData":null,"inline_data":{"data":"x"}}"#).pictures, 1, "what says nothing is a picture");
        assert_eq!(of(r#"{"text":"\"inlineData\":{}"}"#), Made::default());
    }

    #[test]
    fn the_sound_of_a_chat_is_measured() {
        let chunk = format!(r#"{{"choices":[{{"delta":{{"audio":{{"id":"a","data":"{}"}}}}}}]}}"#, seconds(2));
        assert_eq!(made(Wire::Chat, true, format!("data: {chunk}\n\ndata: {chunk}\n\n").as_bytes()).sound_ms, 4_000);
        assert_eq!(made(Wire::Chat, false, chunk.as_bytes()).sound_ms, 2_000);
        assert_eq!(made(Wire::Chat, true, br#"{"delta":{"audio":{"transcript":"x"},"b":{"audio":null}}}"#), Made::default());
        assert_eq!(made(Wire::Messages, true, chunk.as_bytes()), Made::default());
    }
}
