//! Finds the pictures, sounds and files that stand encoded inside a request: a picture of four megabytes is not four million tokens of text.
//!
//! Only what stands where a dialect has media is taken for it: a part of a message, of a tool's result, of Gemini's contents. The same bytes in a text or in
//! the arguments of a call are text, and count as text. A body without any is only searched for a few words, with no allocation.

use super::image::{self, Detail};
use super::sniff::Encoded;
use super::sound::{USUAL_BYTES_PER_SECOND, duration};
use memchr::memmem;
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// What a medium is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// A picture, with its dimensions where they can be read.
    Image {
        /// Width and height in pixels.
        size: Option<(u32, u32)>,
        /// How closely it is to be looked at.
        detail: Detail,
    },
    /// A sound.
    Sound {
        /// Its duration in milliseconds, as far as its bytes tell.
        ms: u64,
        /// The most that it can be.
        most_ms: u64,
    },
    /// A document, a film, or anything else, of so many bytes.
    File {
        /// Decoded.
        bytes: usize,
    },
    /// Anything but a picture of which only the address or a number is known.
    Remote,
}

/// Tokens of a second of sound: as Gemini counts, the most of those who say.
const SOUND_PER_SECOND: u64 = 32;
/// A sound without a rate of its own has at least so many bytes for a second: speech, poorly compressed.
const BYTES_PER_SECOND: u64 = 1_000;
/// A page of a document has at least so many bytes, compressed.
const BYTES_PER_PAGE: usize = 2_000;
/// The most pages that a provider reads.
const MOST_PAGES: usize = 1_000;
/// What a page counts: its text, three thousand tokens at most, and its picture.
const PER_PAGE: u64 = 5_000;
/// The most that a medium counts of which only the address is known: a film of three minutes, a document of some ten pages. Nobody can look before the upstream does.
pub const REMOTE: u64 = 50_000;

impl Media {
    /// The most tokens that it counts for a model.
    pub fn most(&self, model: &str) -> u64 {
        match *self {
            Media::Image { size: Some((width, height)), detail } => image::image(model, width, height, detail),
            Media::Image { size: None, .. } => image::largest_image(model),
            Media::Sound { most_ms, .. } => sound_tokens(most_ms),
            Media::Remote => REMOTE,
            Media::File { bytes } => (bytes / BYTES_PER_PAGE + 1).min(MOST_PAGES) as u64 * PER_PAGE,
        }
    }
}

fn sound_tokens(ms: u64) -> u64 {
    ms.saturating_mul(SOUND_PER_SECOND).div_ceil(1000)
}

/// A page of a document usually has so many bytes, and counts so much.
const USUAL_PAGE: (usize, u64) = (20_000, 2_000);

impl Media {
    /// What it usually counts for a model: the truth for a picture of known size, and a fair guess for what only an upstream can look into.
    pub fn usual(&self, model: &str) -> u64 {
        match *self {
            Media::Remote | Media::Image { size: None, .. } => super::PER_MEDIA_PART,
            Media::File { bytes } => (bytes / USUAL_PAGE.0 + 1).min(MOST_PAGES) as u64 * USUAL_PAGE.1,
            Media::Sound { ms, .. } => sound_tokens(ms),
            Media::Image { .. } => self.most(model),
        }
    }
}

/// What the input of a request can come to, without a tokenizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputBound {
    /// Bytes of everything but encoded media: a token never has less than one.
    pub text_bytes: usize,
    /// The media, encoded or by their addresses.
    pub media: Vec<Media>,
}

impl InputBound {
    /// The most tokens of input for a model.
    pub fn tokens(&self, model: &str) -> u64 {
        self.media.iter().fold(self.text_bytes as u64, |sum, media| sum.saturating_add(media.most(model)))
    }
}

/// Letters without any of which no medium stands in a body. An escape may hide a name.
const SIGNS: [&[u8]; 7] = [b"data\"", b"file_id\"", b"Data\"", b"_url\"", b"_audio\"", b"\"source\"", b"\\u00"];

/// Looks through a request's body. What cannot be parsed has no media.
pub fn input_bound(body: &[u8]) -> InputBound {
    let plain = InputBound { text_bytes: body.len(), media: Vec::new() };
    if !SIGNS.iter().any(|sign| memmem::find(body, sign).is_some()) {
        return plain;
    }
    let mut found = Found { encoded: 0, media: Vec::new() };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    match (Walk { place: Place::Body, found: &mut found }).deserialize(&mut deserializer) {
        Ok(()) => InputBound { text_bytes: body.len().saturating_sub(found.encoded), media: found.media },
        Err(_) => plain,
    }
}

struct Found {
    /// Letters of all encoded media.
    encoded: usize,
    media: Vec<Media>,
}

/// Where in a request the walk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The request itself.
    Body,
    /// A turn, a part or a result, or a list of them: what may hold media.
    Part,
    /// Inside the object of one medium, of this kind.
    Medium(Kind),
    /// The encoded text of a medium, or its address.
    Payload(Kind),
    /// An address, or the number of a stored file.
    Address(Kind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Image,
    Sound,
    File,
    /// The bytes have to tell.
    Unknown,
    /// It is elsewhere.
    Remote,
}

impl Place {
    /// Where the value of `key` is; none where nothing can be.
    fn inside(self, key: &str) -> Option<Self> {
        Some(match (self, key) {
            (Place::Body, "messages" | "system" | "input" | "contents" | "systemInstruction" | "system_instruction" | "images") => Place::Part,
            // A document of parts.
            (Place::Medium(_), "content") => Place::Part,
            (Place::Part, "content" | "output" | "parts" | "functionResponse" | "function_response") => Place::Part,
            (Place::Part, "image_url") => Place::Medium(Kind::Image),
            (Place::Part, "input_audio") => Place::Medium(Kind::Sound),
            (Place::Part, "file") => Place::Medium(Kind::File),
            (Place::Part, "video_url" | "audio_url" | "document_url") => Place::Medium(Kind::Remote),
            // A text in Responses; in Gemini's snake case an object with an address.
            (Place::Part, "file_data") => Place::Medium(Kind::File),
            (Place::Part, "fileData") => Place::Medium(Kind::Remote),
            (Place::Part, "source" | "inlineData" | "inline_data") => Place::Medium(Kind::Unknown),
            (Place::Part, "file_id" | "file_url") => Place::Address(Kind::Remote),
            (Place::Medium(Kind::Image), "url") => Place::Payload(Kind::Image),
            (Place::Medium(Kind::File), "file_data") => Place::Payload(Kind::File),
            (Place::Medium(kind), "url" | "file_id" | "fileUri" | "file_uri") => Place::Address(kind),
            (Place::Medium(kind), "data") => Place::Payload(kind),
            _ => return None,
        })
    }
}

/// One value of the request. Gives back whether a picture was asked to be glanced at only.
struct Walk<'f> {
    place: Place,
    found: &'f mut Found,
}

impl Walk<'_> {
    fn take(self, text: &str) {
        let (kind, is_address) = match self.place {
            Place::Payload(kind) => (kind, false),
            Place::Address(kind) => (kind, true),
            // Responses writes an address or the bytes where others have an object.
            Place::Medium(kind @ (Kind::Image | Kind::Sound | Kind::File | Kind::Remote)) => (kind, false),
            Place::Medium(Kind::Unknown) | Place::Body | Place::Part => return,
        };
        let encoded = match text.split_once(";base64,") {
            Some((head, encoded)) if head.starts_with("data:") => encoded,
            _ if is_address || kind == Kind::Image || kind == Kind::Remote || text.starts_with("http") => return self.remote(kind),
            _ => text,
        };
        let bytes = Encoded(encoded.as_bytes());
        let media = match (kind, bytes.dimensions()) {
            (Kind::Image | Kind::Unknown | Kind::Remote, Some(size)) => Media::Image { size: Some(size), detail: Detail::High },
            (Kind::Image, None) => Media::Image { size: None, detail: Detail::High },
            (Kind::Sound, _) => sound(bytes),
            (Kind::Unknown | Kind::Remote, None) if is_sound(bytes) => sound(bytes),
            (Kind::File, _) | (Kind::Unknown | Kind::Remote, None) => Media::File { bytes: bytes.len() },
        };
        // A document may be a text in plain words: its letters stay.
        if !is_plain(encoded) {
            self.found.encoded += encoded.len();
        }
        self.found.media.push(media);
    }

    fn remote(self, kind: Kind) {
        let is_image = kind == Kind::Image;
        self.found.media.push(if is_image { Media::Image { size: None, detail: Detail::High } } else { Media::Remote });
    }
}

/// Whether a text has a letter that base64 has not: then nothing of it was encoded.
pub fn is_plain(text: &str) -> bool {
    text.bytes().take(256).any(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'\r' | b'\n')))
}

/// Whether bytes that may be anything begin as a sound does. A film is none, though its header may tell a duration.
fn is_sound(bytes: Encoded<'_>) -> bool {
    let Some(head) = bytes.decoded(0, 12) else { return false };
    let begins = |sign: &[u8]| head.starts_with(sign);
    let is_framed = head[0] == 0xFF && head[1] & 0xE0 == 0xE0;
    (begins(b"RIFF") || begins(b"fLaC") || begins(b"OggS") || begins(b"ID3") || head[4..].starts_with(b"ftypM4A") || is_framed) && duration(&bytes).is_some()
}

fn sound(bytes: Encoded<'_>) -> Media {
    let by_rate = |rate: u64| (bytes.len() as u64).saturating_mul(1000) / rate;
    let (known, most_ms) = (duration(&bytes), by_rate(BYTES_PER_SECOND));
    Media::Sound {
        ms: known.map_or_else(|| by_rate(USUAL_BYTES_PER_SECOND), |known| known.ms),
        most_ms: known.filter(|known| known.is_measured).map_or(most_ms, |known| known.ms),
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
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
        let Walk { place, found } = self;
        while items.next_element_seed(Walk { place, found: &mut *found })?.is_some() {}
        Ok(())
    }
    fn visit_map<M: MapAccess<'de>>(self, mut fields: M) -> Result<(), M::Error> {
        let Walk { place, found } = self;
        let first = found.media.len();
        let mut low = false;
        while let Some(key) = fields.next_key::<Cow<'de, str>>()? {
            match place.inside(&key) {
                Some(inner) => fields.next_value_seed(Walk { place: inner, found: &mut *found })?,
                None if key == "detail" => low = fields.next_value::<Cow<'de, str>>().is_ok_and(|detail| detail == "low"),
                None => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        if low {
            found.media[first..].iter_mut().for_each(Media::glance);
        }
        Ok(())
    }
}

impl Media {
    fn glance(&mut self) {
        if let Media::Image { detail, .. } = self {
            *detail = Detail::Low;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::BASE64;
    use serde_json::{Value, json};

    /// A picture of so many pixels, a little over a kilobyte.
    fn png(width: u32, height: u32) -> String {
        let mut bytes = [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &width.to_be_bytes(), &height.to_be_bytes()].concat();
        bytes.resize(1_500, 0x5A);
        BASE64.encode(&bytes)
    }

    fn bound(body: &Value) -> InputBound {
        input_bound(body.to_string().as_bytes())
    }

    fn picture(width: u32, height: u32) -> Media {
        Media::Image { size: Some((width, height)), detail: Detail::High }
    }

    #[test]
    fn media_of_every_dialect_are_found() {
        let (data, url) = (png(640, 480), format!("data:image/png;base64,{}", png(640, 480)));
        for body in [
            json!({"messages":[{"role":"user","content":[{"type":"text","text":"what?"},{"type":"image_url","image_url":{"url":url}}]}]}),
            json!({"input":[{"role":"user","content":[{"type":"input_image","image_url":url}]}]}),
            json!({"input":[{"type":"function_call_output","output":[{"type":"input_image","image_url":url}]}]}),
            json!({"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":data}}]}]}),
            json!({"messages":[{"role":"user","content":[{"type":"tool_result","content":[{"type":"image","source":{"type":"base64","data":data}}]}]}]}),
            json!({"contents":[{"parts":[{"text":"what?"},{"inlineData":{"mimeType":"image/png","data":data}}]}]}),
            json!({"contents":[{"parts":[{"inline_data":{"mime_type":"image/png","data":data}}]}]}),
        ] {
            let found = bound(&body);
            assert_eq!(found.media, [picture(640, 480)], "{body:.100}");
            assert_eq!(found.text_bytes, body.to_string().len() - data.len());
        }
        let glance = json!({"messages":[{"content":[{"image_url":{"url":url,"detail":"low"}},{"image_url":{"detail":"auto","url":url}}]}]});
        assert_eq!(bound(&glance).media, [Media::Image { size: Some((640, 480)), detail: Detail::Low }, picture(640, 480)]);
    }

    #[test]
    fn sounds_and_files_are_known_by_their_bytes() {
        let mp3 = BASE64.encode(&vec![7; 30_000]);
        let found = bound(&json!({"messages":[{"content":[{"type":"input_audio","input_audio":{"data":mp3,"format":"mp3"}}]}]}));
        assert_eq!((found.media.as_slice(), found.media[0].most("gpt-audio")), (&[Media::Sound { ms: 7_500, most_ms: 30_000 }][..], 960));
        let mut pdf = b"%PDF-1.7".to_vec();
        pdf.resize(10_000, 9);
        let pdf = BASE64.encode(&pdf);
        for body in [
            json!({"messages":[{"content":[{"type":"file","file":{"filename":"a.pdf","file_data":format!("data:application/pdf;base64,{pdf}")}}]}]}),
            json!({"input":[{"content":[{"type":"input_file","file_data":format!("data:application/pdf;base64,{pdf}")}]}]}),
            json!({"messages":[{"content":[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":pdf}}]}]}),
        ] {
            let found = bound(&body);
            assert_eq!((found.media.as_slice(), found.media[0].most("claude-opus-4-6")), (&[Media::File { bytes: 10_000 }][..], 30_000));
            assert!(found.text_bytes < 200);
        }
    }

    #[test]
    fn what_only_looks_like_media_is_text() {
        let (data, url) = (png(1, 1), format!("data:image/png;base64,{}", png(1, 1)));
        for body in [
            json!({"messages":[{"role":"user","content":url}]}),
            json!({"messages":[{"role":"user","content":[{"type":"text","text":url}]}]}),
            json!({"messages":[{"content":[{"type":"tool_use","input":{"source":{"type":"base64","data":data},"image_url":{"url":url}}}]}]}),
            json!({"messages":[{"tool_calls":[{"function":{"arguments":url}}]}],"tools":[{"data":data,"inlineData":{"data":data}}]}),
            json!({"contents":[{"parts":[{"functionCall":{"args":{"inlineData":{"data":data}}}}]}]}),
            json!({"metadata":{"source":{"data":data}},"input":url}),
        ] {
            assert_eq!(bound(&body), InputBound { text_bytes: body.to_string().len(), media: Vec::new() }, "{body:.100}");
        }
        let words = "A plain text as a document. ".repeat(100);
        let document = json!({"messages":[{"content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":words}}]}]});
        assert_eq!(bound(&document).text_bytes, document.to_string().len(), "its letters stay");
        assert_eq!(input_bound(&[b"{\"data\":".as_slice(), &[b'['; 4000]].concat()).text_bytes, 4008);
    }

    #[test]
    fn what_is_elsewhere_is_known_by_its_address() {
        let unseen = Media::Image { size: None, detail: Detail::High };
        for (part, media) in [
            (json!({"type":"image_url","image_url":{"url":"https://example.org/a.png"}}), unseen),
            (json!({"type":"input_image","image_url":"https://example.org/a.png"}), unseen),
            (json!({"type":"image","source":{"type":"url","url":"https://example.org/a.png"}}), Media::Remote),
            (json!({"type":"document","source":{"type":"file","file_id":"file_1"}}), Media::Remote),
            (json!({"type":"file","file":{"file_id":"file_1"}}), Media::Remote),
            (json!({"type":"input_file","file_url":"https://example.org/a.pdf"}), Media::Remote),
            (json!({"type":"video_url","video_url":{"url":"https://example.org/a.mp4"}}), Media::Remote),
            (json!({"type":"input_audio","input_audio":{"data":"https://example.org/a.mp3"}}), Media::Remote),
        ] {
            let body = json!({"messages":[{"role":"user","content":[part]}]});
            assert_eq!(bound(&body).media, [media], "{body}");
            let hidden = body.to_string().replace("_url\"", "\\u005furl\"").replace("source", "s\\u006furce");
            assert_eq!(input_bound(hidden.as_bytes()).media, [media], "{hidden}");
        }
        for data in [json!({"fileData":{"mimeType":"video/mp4","fileUri":"gs://a"}}), json!({"file_data":{"file_uri":"gs://a"}})] {
            assert_eq!(bound(&json!({"contents":[{"parts":[data]}]})).media, [Media::Remote]);
        }
    }

    #[test]
    fn the_bound_adds_up() {
        let url = format!("data:image/png;base64,{}", png(1024, 1024));
        let body = json!({"messages":[{"content":[{"image_url":{"url":url}},{"image_url":{"url":"https://example.org/cat.png"}}]}]});
        let found = bound(&body);
        assert_eq!(found.tokens("gpt-4o"), found.text_bytes as u64 + 765 + image::largest_image("gpt-4o"));
        assert_eq!(input_bound(b"{\"messages\":[]}").tokens("gpt-4o"), 15);
    }
}
