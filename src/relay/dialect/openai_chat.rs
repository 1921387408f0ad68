//! OpenAI Chat Completions: the few fields of a request that the relay needs, edits that leave every other byte alone, and
//! the usage and text of answers. Format: <https://platform.openai.com/docs/api-reference/chat>.

use crate::kernel::Tokens;
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
/// More tokens than any answer can have used: usage beyond is a fault of the upstream.
const ABSURD: u64 = 1_000_000_000;

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
    tools: Option<Range<usize>>,
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
        let include_usage = reader.include_usage()?;
        let caps = [reader.cap("max_tokens")?, reader.cap("max_completion_tokens")?];
        let messages = reader.messages()?;
        Ok(Self {
            model: reader.model()?,
            stream: reader.optional::<bool>("stream", "true or false")?.unwrap_or(false),
            output_cap: caps.iter().flatten().map(|(cap, _)| *cap).max(),
            choices: reader.choices()?,
            include_usage,
            media_parts: media_parts(&body[messages.clone()]),
            messages,
            tools: reader.get("tools")?.map(|raw| reader.range(raw)),
            caps: caps.into_iter().flatten().map(|(_, range)| range).collect(),
            stream_options: reader.get("stream_options")?.map(|raw| reader.range(raw)),
            body_start: text.find('{').map_or(0, |at| at + 1),
        })
    }

    /// The bytes of the messages.
    pub fn messages<'b>(&self, body: &'b [u8]) -> &'b [u8] {
        &body[self.messages.clone()]
    }

    /// The bytes of the tool definitions.
    pub fn tools<'b>(&self, body: &'b [u8]) -> Option<&'b [u8]> {
        self.tools.clone().map(|range| &body[range])
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

fn media_parts(messages: &[u8]) -> u64 {
    [b"\"image_url\"".as_slice(), b"\"input_audio\"", b"\"file\""].iter().map(|tag| memchr::memmem::find_iter(messages, tag).count() as u64).sum()
}

struct Reader<'a> {
    text: &'a str,
    fields: &'a [(Cow<'a, str>, &'a RawValue)],
}

impl<'a> Reader<'a> {
    /// The value of a field; a repeated field is an error, because upstreams disagree on which one counts.
    fn get(&self, name: &'static str) -> Result<Option<&'a RawValue>, ApiError> {
        let mut found = self.fields.iter().filter(|(key, _)| key == name).map(|(_, raw)| *raw);
        let first = found.next();
        if found.next().is_some() {
            return Err(ApiError::invalid(name, format!("'{name}' is given more than once.")));
        }
        Ok(first.filter(|raw| raw.get() != "null"))
    }

    fn range(&self, raw: &RawValue) -> Range<usize> {
        let start = raw.get().as_ptr() as usize - self.text.as_ptr() as usize;
        start..start + raw.get().len()
    }

    fn optional<T: Deserialize<'a>>(&self, name: &'static str, what: &str) -> Result<Option<T>, ApiError> {
        let parse = |raw: &'a RawValue| serde_json::from_str(raw.get()).map_err(|_| ApiError::invalid(name, format!("'{name}' must be {what}.")));
        self.get(name)?.map(parse).transpose()
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
            Some(_) => Ok(self.range(raw)),
        }
    }

    fn cap(&self, name: &'static str) -> Result<Option<(u64, Range<usize>)>, ApiError> {
        let what = format!("a whole number from 1 to {MAX_OUTPUT}");
        let Some(cap) = self.optional::<u64>(name, &what)? else { return Ok(None) };
        if cap == 0 || cap > MAX_OUTPUT {
            return Err(ApiError::invalid(name, format!("'{name}' must be {what}.")));
        }
        Ok(self.get(name)?.map(|raw| (cap, self.range(raw))))
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

/// Usage as an upstream sends it.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
struct WireUsage {
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

/// What an answer, or a chunk of one, says of its usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageReport {
    /// Nothing.
    Absent,
    /// These tokens.
    Tokens(Tokens),
    /// Something that cannot be: negative, fractional, or beyond any model.
    Absurd,
}

fn read_usage(raw: Option<&RawValue>) -> UsageReport {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return UsageReport::Absent };
    let Ok(usage) = serde_json::from_str::<WireUsage>(raw.get()) else { return UsageReport::Absurd };
    let cached = usage.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0);
    if cached > usage.prompt_tokens || usage.prompt_tokens > ABSURD || usage.completion_tokens > ABSURD {
        return UsageReport::Absurd;
    }
    // OpenAI counts cached tokens inside prompt_tokens.
    UsageReport::Tokens(Tokens { input: usage.prompt_tokens - cached, cached, cache_write: 0, output: usage.completion_tokens })
}

/// The parts of an answer or a chunk that the relay looks at.
#[derive(Deserialize)]
struct WireAnswer<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<WireChoice<'a>>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireChoice<'a> {
    #[serde(borrow, default, alias = "delta")]
    message: Option<WireMessage<'a>>,
}

#[derive(Deserialize)]
struct WireMessage<'a> {
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    refusal: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "reasoning")]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<WireToolCall<'a>>>,
}

#[derive(Deserialize)]
struct WireToolCall<'a> {
    #[serde(borrow, default)]
    function: Option<WireFunction<'a>>,
}

#[derive(Deserialize)]
struct WireFunction<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    arguments: Option<Cow<'a, str>>,
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
    #[derive(Deserialize)]
    struct Outline<'a> {
        #[serde(borrow, default)]
        choices: Option<&'a RawValue>,
        #[serde(borrow, default)]
        usage: Option<&'a RawValue>,
        #[serde(borrow, default)]
        error: Option<&'a RawValue>,
    }
    let outline: Outline<'_> = serde_json::from_slice(data).ok()?;
    let no_choices = outline.choices.is_none_or(|raw| raw.get().trim_start_matches('[').trim_start().starts_with(']') || raw.get() == "null");
    let usage = read_usage(outline.usage);
    Some(Chunk { usage, usage_only: no_choices && usage != UsageReport::Absent, error: outline.error.is_some_and(|raw| raw.get() != "null") })
}

/// An answer that is no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it says of its usage.
    pub usage: UsageReport,
}

/// Reads a whole answer. `None` when it is not one: not JSON, no choices, or an error in a 200.
pub fn read_answer(body: &[u8]) -> Option<Answer> {
    let answer: WireAnswer<'_> = serde_json::from_slice(body).ok()?;
    if answer.choices.is_none() || answer.error.is_some_and(|raw| raw.get() != "null") {
        return None;
    }
    Some(Answer { usage: read_usage(answer.usage) })
}

/// Appends the text that a model produced, in an answer or in a chunk's data, to `out`: what is counted when no usage came.
pub fn append_text(data: &[u8], out: &mut String) {
    let Ok(answer) = serde_json::from_slice::<WireAnswer<'_>>(data) else { return };
    for message in answer.choices.into_iter().flatten().filter_map(|choice| choice.message) {
        for part in [message.content, message.refusal, message.reasoning_content].into_iter().flatten() {
            out.push_str(&part);
        }
        for function in message.tool_calls.into_iter().flatten().filter_map(|call| call.function) {
            for part in [function.name, function.arguments].into_iter().flatten() {
                out.push_str(&part);
            }
        }
    }
}

/// Collects every string of the messages and tool definitions: what is counted as input when no usage came. Binary content
/// in data URLs is left out; its tokens do not come from its letters.
pub fn input_text(json: &[u8]) -> (String, u64) {
    fn walk(value: &serde_json::Value, out: &mut String) {
        match value {
            serde_json::Value::String(text) if text.starts_with("data:") && text.len() > 256 => {}
            serde_json::Value::String(text) => {
                out.push_str(text);
                out.push('\n');
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| walk(item, out)),
            serde_json::Value::Object(fields) => fields.values().for_each(|value| walk(value, out)),
            _ => {}
        }
    }
    let value: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
    let mut text = String::new();
    walk(&value, &mut text);
    (text, value.as_array().map_or(0, |items| items.len() as u64))
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

        let body = format!("{HELLO}}}");
        let request = ChatRequest::parse(body.as_bytes()).unwrap();
        assert_eq!(request.forward(body.as_bytes(), None), body.as_bytes());
        assert!(String::from_utf8(request.forward(body.as_bytes(), Some(7))).unwrap().starts_with(r#"{"max_tokens":7,"model""#));
    }

    #[test]
    fn cached_tokens_stand_inside_the_prompt_and_nonsense_is_absurd() {
        let usage = |text: &str| read_answer(format!(r#"{{"choices":[],"usage":{text}}}"#).as_bytes()).unwrap().usage;
        let expected = Tokens { input: 70, cached: 30, cache_write: 0, output: 5 };
        assert_eq!(
            usage(r#"{"prompt_tokens":100,"completion_tokens":5,"total_tokens":105,"prompt_tokens_details":{"cached_tokens":30}}"#),
            UsageReport::Tokens(expected)
        );
        assert_eq!(usage("null"), UsageReport::Absent);
        for bad in [
            r#"{"prompt_tokens":-1,"completion_tokens":5}"#,
            r#"{"prompt_tokens":1,"completion_tokens":-5}"#,
            r#"{"prompt_tokens":5,"prompt_tokens_details":{"cached_tokens":9}}"#,
            r#"{"prompt_tokens":1e300,"completion_tokens":1}"#,
            r#"{"prompt_tokens":99999999999,"completion_tokens":1}"#,
            r#""many""#,
        ] {
            assert_eq!(usage(bad), UsageReport::Absurd, "{bad}");
        }
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
}
