//! OpenAI Chat Completions, the request: the few fields that the relay needs, and edits that leave every other byte alone.
//! Format: <https://platform.openai.com/docs/api-reference/chat>.

use super::chat_text;
use crate::relay::error::ApiError;
use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// The longest model name that is looked up.
const MAX_MODEL: usize = 200;
/// More output tokens than any model gives: a larger limit is a mistake.
const MAX_OUTPUT: u64 = 10_000_000;
/// The most choices that OpenAI gives.
const MAX_CHOICES: u64 = 128;

/// The fields that decide what a request costs.
const READ: [&str; 10] = ["model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "tools", "functions", "response_format"];
/// Those of them that the model reads as text beside the messages.
const DEFINITIONS: [&str; 3] = ["tools", "functions", "response_format"];

/// The top level of a request's body: each field with the bytes of its value.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields<'de>, M::Error> {
                let mut fields = Vec::with_capacity(12);
                while let Some(key) = map.next_key::<BorrowedKey<'de>>()? {
                    fields.push((key.0, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A key that is borrowed when it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct BorrowedKey<'a>(#[serde(borrow)] Cow<'a, str>);

/// What the relay reads of a request. Everything else passes through unseen.
#[derive(Debug)]
pub struct ChatRequest {
    /// The model's public name.
    pub model: String,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// How many output tokens each choice may have, when the caller says.
    pub output_cap: Option<u64>,
    /// How many choices.
    pub choices: u64,
    /// Whether the caller asked for the usage chunk of a stream.
    pub include_usage: bool,
    /// Parts that are not text, whose tokens cannot be told from their bytes.
    pub media_parts: u64,
    messages: Range<usize>,
    definitions: Vec<Range<usize>>,
    /// Where an output cap stands, or, when none has a number, where one could.
    caps: Vec<Range<usize>>,
    stream_options: Option<Range<usize>>,
    body_start: usize,
}

impl ChatRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// A 400 that names the field and says what it should be.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let text = std::str::from_utf8(body).map_err(|_| ApiError::invalid(None, "The body is not valid UTF-8."))?;
        let Fields(fields) = serde_json::from_str(text).map_err(|error| ApiError::invalid(None, format!("The body is not a valid JSON object: {error}.")))?;
        let reader = Reader { text, fields: &fields };
        reader.refuse_lookalikes()?;
        let include_usage = reader.include_usage()?;
        let (output_cap, caps) = reader.caps()?;
        let messages = reader.messages()?;
        Ok(Self {
            model: reader.model()?,
            stream: reader.optional::<bool>("stream", "true or false")?.unwrap_or(false),
            output_cap,
            choices: reader.choices()?,
            include_usage,
            media_parts: chat_text::media_parts(&body[messages.clone()]),
            messages,
            definitions: reader.definitions()?,
            caps,
            stream_options: reader.written("stream_options")?.map(|raw| reader.range(raw)),
            body_start: text.find('{').map_or(0, |at| at + 1),
        })
    }

    /// The bytes of the messages.
    pub fn messages<'b>(&self, body: &'b [u8]) -> &'b [u8] {
        &body[self.messages.clone()]
    }

    /// The bytes of what the model reads beside the messages: tool definitions and the form of the answer.
    pub fn definitions<'b>(&self, body: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
        self.definitions.iter().map(|range| &body[range.clone()])
    }

    /// The body for the upstream: usage asked for on streams, the output cap lowered to `cap` when there is one; every other
    /// byte as it came.
    pub fn forward(&self, body: &[u8], cap: Option<u64>) -> Vec<u8> {
        let mut edits: Vec<(Range<usize>, String)> = Vec::new();
        let mut inserted = String::new();
        if let Some(cap) = cap {
            edits.extend(self.caps.iter().map(|range| (range.clone(), cap.to_string())));
            if self.caps.is_empty() {
                inserted.push_str(&format!("\"{}\":{cap},", cap_field(&self.model)));
            }
        }
        if self.stream && !self.include_usage {
            match &self.stream_options {
                Some(range) => edits.push((range.clone(), with_usage(&body[range.clone()]))),
                None => inserted.push_str("\"stream_options\":{\"include_usage\":true},"),
            }
        }
        edits.push((self.body_start..self.body_start, inserted));
        edits.sort_by_key(|(range, _)| range.start);
        let mut out = Vec::with_capacity(body.len() + 96);
        let mut at = 0;
        for (range, text) in edits {
            out.extend_from_slice(&body[at..range.start]);
            out.extend_from_slice(text.as_bytes());
            at = range.end;
        }
        out.extend_from_slice(&body[at..]);
        out
    }
}

/// The field that carries an output cap which the caller did not send: OpenAI's reasoning models know only the newer one,
/// compatible servers often only the older.
fn cap_field(model: &str) -> &'static str {
    let newer = ["o1", "o3", "o4", "gpt-5"].iter().any(|prefix| model.starts_with(prefix));
    if newer { "max_completion_tokens" } else { "max_tokens" }
}

fn with_usage(options: &[u8]) -> String {
    let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(options).unwrap_or_default();
    object.insert("include_usage".to_owned(), true.into());
    serde_json::Value::Object(object).to_string()
}

/// A letter as parsers that do not mind the case compare it: two letters outside ASCII are a k and an s to them.
fn folded(letter: char) -> char {
    match letter {
        '\u{212a}' => 'k',
        '\u{17f}' => 's',
        other => other.to_ascii_lowercase(),
    }
}

struct Reader<'a> {
    text: &'a str,
    fields: &'a [(Cow<'a, str>, &'a RawValue)],
}

impl<'a> Reader<'a> {
    /// The value of a field, null being none.
    fn get(&self, name: &'static str) -> Result<Option<&'a RawValue>, ApiError> {
        Ok(self.written(name)?.filter(|raw| raw.get() != "null"))
    }

    /// The value of a field as it stands there; a repeated field is an error, because upstreams disagree on which one counts.
    fn written(&self, name: &'static str) -> Result<Option<&'a RawValue>, ApiError> {
        let mut found = self.fields.iter().filter(|(key, _)| key == name).map(|(_, raw)| *raw);
        let first = found.next();
        if found.next().is_some() {
            return Err(ApiError::invalid(name, format!("'{name}' is given more than once.")));
        }
        Ok(first)
    }

    fn range(&self, raw: &RawValue) -> Range<usize> {
        let start = raw.get().as_ptr() as usize - self.text.as_ptr() as usize;
        start..start + raw.get().len()
    }

    fn optional<T: Deserialize<'a>>(&self, name: &'static str, what: &str) -> Result<Option<T>, ApiError> {
        let parse = |raw: &'a RawValue| serde_json::from_str(raw.get()).map_err(|_| ApiError::invalid(name, format!("'{name}' must be {what}.")));
        self.get(name)?.map(parse).transpose()
    }

    /// Some upstreams read names of fields in any case: `Max_Tokens` must not get past the cap that was put on `max_tokens`, nor `Model` past the price.
    fn refuse_lookalikes(&self) -> Result<(), ApiError> {
        let is_other_spelling = |key: &str, name: &str| key != name && key.chars().map(folded).eq(name.chars());
        for (key, _) in self.fields {
            if let Some(name) = READ.iter().find(|name| is_other_spelling(key, name)) {
                return Err(ApiError::invalid(*name, format!("'{name}' must be written exactly so.")));
            }
        }
        Ok(())
    }

    fn definitions(&self) -> Result<Vec<Range<usize>>, ApiError> {
        let ranges: Result<Vec<_>, _> = DEFINITIONS.iter().map(|name| Ok(self.get(name)?.map(|raw| self.range(raw)))).collect();
        Ok(ranges?.into_iter().flatten().collect())
    }

    fn model(&self) -> Result<String, ApiError> {
        let model: Option<String> = self.optional("model", "a string")?;
        let model = model.ok_or_else(|| ApiError::invalid("model", "You must say which model: 'model' is missing."))?;
        if model.is_empty() || model.len() > MAX_MODEL {
            return Err(ApiError::invalid("model", format!("'model' must have 1 to {MAX_MODEL} bytes.")));
        }
        Ok(model)
    }

    fn messages(&self) -> Result<Range<usize>, ApiError> {
        let raw = self.get("messages")?.ok_or_else(|| ApiError::invalid("messages", "'messages' is missing."))?;
        let inner = raw.get().trim_start().strip_prefix('[').map(str::trim_start);
        match inner {
            None => Err(ApiError::invalid("messages", "'messages' must be an array.")),
            Some(rest) if rest.starts_with(']') => Err(ApiError::invalid("messages", "'messages' must have at least one message.")),
            Some(rest) if !rest.starts_with('{') => Err(ApiError::invalid("messages", "Each of 'messages' must be an object.")),
            Some(_) => Ok(self.range(raw)),
        }
    }

    /// The larger of the two caps, and what to overwrite to lower it: the numbers, or else a null, beside which an inserted field
    /// would only be one of two.
    fn caps(&self) -> Result<(Option<u64>, Vec<Range<usize>>), ApiError> {
        let (mut numbers, mut nulls, mut largest) = (Vec::new(), Vec::new(), None);
        for name in ["max_tokens", "max_completion_tokens"] {
            let Some(raw) = self.written(name)? else { continue };
            match self.cap(name)? {
                Some(cap) => {
                    largest = largest.max(Some(cap));
                    numbers.push(self.range(raw));
                }
                None => nulls.push(self.range(raw)),
            }
        }
        nulls.truncate(1);
        Ok((largest, if numbers.is_empty() { nulls } else { numbers }))
    }

    fn cap(&self, name: &'static str) -> Result<Option<u64>, ApiError> {
        let what = format!("a whole number from 1 to {MAX_OUTPUT}");
        let cap = self.optional::<u64>(name, &what)?;
        let is_good = cap.is_none_or(|cap| (1..=MAX_OUTPUT).contains(&cap));
        if is_good { Ok(cap) } else { Err(ApiError::invalid(name, format!("'{name}' must be {what}."))) }
    }

    fn choices(&self) -> Result<u64, ApiError> {
        let what = format!("a whole number from 1 to {MAX_CHOICES}");
        let n = self.optional::<u64>("n", &what)?.unwrap_or(1);
        if n == 0 || n > MAX_CHOICES { Err(ApiError::invalid("n", format!("'n' must be {what}."))) } else { Ok(n) }
    }

    fn include_usage(&self) -> Result<bool, ApiError> {
        #[derive(Deserialize)]
        struct Options {
            include_usage: Option<bool>,
        }
        let options: Option<Options> = self.optional("stream_options", "an object such as {\"include_usage\": true}")?;
        Ok(options.and_then(|options| options.include_usage).unwrap_or(false))
    }
}

/// The texts of the messages, and how many messages there are.
pub fn input_texts(messages: &[u8]) -> (Vec<Cow<'_, str>>, u64) {
    let count = serde_json::from_slice::<Vec<&RawValue>>(messages).map_or(1, |messages| messages.len() as u64);
    (chat_text::strings(messages), count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]"#;

    fn parse(rest: &str) -> Result<ChatRequest, ApiError> {
        ChatRequest::parse(format!("{HELLO}{rest}}}").as_bytes())
    }

    #[test]
    fn reads_what_it_needs() {
        let request = parse(r#","stream":true,"max_tokens":50,"n":2,"stream_options":{"include_usage":true}"#).unwrap();
        assert_eq!((request.model.as_str(), request.stream, request.output_cap, request.choices, request.include_usage), ("m", true, Some(50), 2, true));
        let request = parse(r#","stream":null,"max_tokens":null,"n":null"#).unwrap();
        assert_eq!((request.stream, request.output_cap, request.choices), (false, None, 1));
    }

    #[test]
    fn names_the_field_that_is_wrong() {
        for (rest, param) in [
            (r#","max_tokens":-1"#, "max_tokens"),
            (r#","max_tokens":0"#, "max_tokens"),
            (r#","max_tokens":1e99"#, "max_tokens"),
            (r#","max_tokens":1.5"#, "max_tokens"),
            (r#","max_tokens":"5""#, "max_tokens"),
            (r#","max_completion_tokens":99999999999999999999"#, "max_completion_tokens"),
            (r#","n":-1"#, "n"),
            (r#","n":1000000"#, "n"),
            (r#","stream":"yes""#, "stream"),
            (r#","stream_options":5"#, "stream_options"),
            (r#","model":"other""#, "model"),
            (r#","max_tokens":1,"max_tokens":100000"#, "max_tokens"),
            (r#","messages":[]"#, "messages"),
            (r#","Max_Tokens":100000"#, "max_tokens"),
            (r#","MODEL":"dear""#, "model"),
            (r#","N":128"#, "n"),
            (",\"\u{17f}tream\":true", "stream"),
            (r#","max_to\u212aens":9"#, "max_tokens"),
        ] {
            let error = parse(rest).expect_err(rest);
            assert_eq!((error.status.as_u16(), error.param.as_deref()), (400, Some(param)), "{rest}");
        }
        for bad in [
            &b"{"[..],
            b"[]",
            b"null",
            b"",
            b"\xff\xfe",
            br#"{"messages":[{}]}"#,
            br#"{"model":"m"}"#,
            br#"{"model":"m","messages":[]}"#,
            br#"{"model":"m","messages":{}}"#,
            br#"{"model":"m","messages":[1]}"#,
            br#"{"model":"m","messages":["hi"]}"#,
            br#"{"model":7,"messages":[{}]}"#,
            br#"{"model":"","messages":[{}]}"#,
        ] {
            assert_eq!(ChatRequest::parse(bad).expect_err("must not parse").status.as_u16(), 400, "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn forwards_every_byte_but_the_edits() {
        let body = format!(" {HELLO} , \"x\": {{\"y\" : [1.0, null]}}, \"stream\":true }}");
        let request = ChatRequest::parse(body.as_bytes()).unwrap();
        let forwarded = String::from_utf8(request.forward(body.as_bytes(), None)).unwrap();
        assert_eq!(forwarded, body.replacen('{', r#"{"stream_options":{"include_usage":true},"#, 1));

        let body = format!("{HELLO},\"max_tokens\": 5000 ,\"stream\":true,\"stream_options\":{{\"include_usage\":false,\"x\":1}}}}");
        let request = ChatRequest::parse(body.as_bytes()).unwrap();
        let forwarded = String::from_utf8(request.forward(body.as_bytes(), Some(40))).unwrap();
        assert_eq!(forwarded, format!("{HELLO},\"max_tokens\": 40 ,\"stream\":true,\"stream_options\":{{\"include_usage\":true,\"x\":1}}}}"));

        for (written, forwarded) in [
            (r#","max_tokens":null,"stream":true,"stream_options":null"#, r#","max_tokens":7,"stream":true,"stream_options":{"include_usage":true}"#),
            (r#","max_completion_tokens":null,"max_tokens":null"#, r#","max_completion_tokens":null,"max_tokens":7"#),
            (r#","max_completion_tokens":9,"max_tokens":null"#, r#","max_completion_tokens":7,"max_tokens":null"#),
        ] {
            let body = format!("{HELLO}{written}}}");
            let request = ChatRequest::parse(body.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(request.forward(body.as_bytes(), Some(7))).unwrap(), format!("{HELLO}{forwarded}}}"));
        }

        let body = format!("{HELLO}}}");
        let request = ChatRequest::parse(body.as_bytes()).unwrap();
        assert_eq!(request.forward(body.as_bytes(), None), body.as_bytes());
        assert!(String::from_utf8(request.forward(body.as_bytes(), Some(7))).unwrap().starts_with(r#"{"max_tokens":7,"model""#));
    }
}
