//! An upstream's answer in pieces, each of the form of a whole one. A whole answer is read as a stream of one piece.

use super::super::canonical::{Broken, Delta, Event, Opening, Signature, Stop};
use super::seal::Seal;
use crate::relay::report::{self, Form, UsageReport};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// A piece, as far as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(default)]
    candidates: Option<Vec<Candidate<'a>>>,
    #[serde(default)]
    prompt_feedback: Option<Feedback>,
    #[serde(borrow, default)]
    usage_metadata: Option<&'a RawValue>,
    #[serde(default)]
    response_id: Option<String>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(borrow, default)]
    content: Option<Content<'a>>,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    index: Option<u64>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    parts: Option<Vec<Part<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    thought: Option<bool>,
    #[serde(default)]
    thought_signature: Option<String>,
    #[serde(borrow, default)]
    function_call: Option<Call<'a>>,
    #[serde(default)]
    inline_data: Option<Blob>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(borrow, default)]
    args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Blob {
    #[serde(default)]
    mime_type: String,
    #[serde(default)]
    data: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    #[serde(default)]
    block_reason: Option<String>,
}

/// The part that is open: text, or thoughts.
struct Open {
    index: usize,
    is_thought: bool,
}

/// Reads a stream.
#[derive(Default)]
pub struct StreamParser {
    id: Option<String>,
    started: bool,
    next: usize,
    calls: usize,
    open: Option<Open>,
    reason: Option<String>,
    blocked: bool,
    finished: bool,
}

impl StreamParser {
    /// At the beginning.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gemini never says so: what comes after the reason of the end may be usage.
    pub fn is_done(&self) -> bool {
        false
    }

    /// Reads one event's data.
    ///
    /// # Errors
    /// When it is no piece of an answer, or says that the upstream failed.
    pub fn push(&mut self, data: &str, out: &mut Vec<Event>) -> Result<(), Broken> {
        let wire: Wire<'_> = serde_json::from_str(data).map_err(|error| Broken::Garbage(format!("not a piece of an answer: {error}")))?;
        if let Some(error) = wire.error.filter(|raw| raw.get() != "null") {
            return Err(Broken::Upstream(error.get().to_owned()));
        }
        match wire.usage_metadata.filter(|raw| raw.get() != "null").map(|raw| report::read(Form::Gemini, raw.get())) {
            Some(UsageReport::Usage(usage)) => out.push(Event::Usage(usage)),
            Some(UsageReport::Absurd) => return Err(Broken::AbsurdUsage),
            Some(UsageReport::Absent) | None => {}
        }
        if !self.started {
            self.started = true;
            self.id = wire.response_id;
            out.push(Event::Start { id: self.id.clone() });
        }
        for candidate in wire.candidates.into_iter().flatten().filter(|candidate| candidate.index.unwrap_or(0) == 0) {
            for part in candidate.content.and_then(|content| content.parts).into_iter().flatten() {
                self.part(part, out);
            }
            self.reason = candidate.finish_reason.filter(|reason| !reason.is_empty() && reason != "FINISH_REASON_UNSPECIFIED").or(self.reason.take());
        }
        self.blocked |= wire.prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some());
        Ok(())
    }

    /// The end of the stream.
    ///
    /// # Errors
    /// When no reason for it came, or one that means that the model failed.
    pub fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Broken> {
        if std::mem::replace(&mut self.finished, true) {
            return Ok(());
        }
        self.close(out);
        let stop = match self.reason.as_deref() {
            None if self.blocked => Stop::Filter,
            None => return Err(Broken::Garbage("the answer ended without a reason".to_owned())),
            Some(reason) if FAILED.contains(&reason) && self.next == 0 => return Err(Broken::Upstream(reason.to_owned())),
            Some("MAX_TOKENS") => Stop::Length,
            Some(reason) if FILTERED.contains(&reason) => Stop::Filter,
            Some(_) if self.calls > 0 => Stop::ToolUse,
            Some(_) => Stop::End,
        };
        out.push(Event::Stop(stop));
        Ok(())
    }

    fn part(&mut self, part: Part<'_>, out: &mut Vec<Event>) {
        let seal = part.thought_signature.filter(|seal| !seal.is_empty()).map(Seal::read);
        if let Some(call) = part.function_call {
            self.call(call, seal, out);
            return;
        }
        let is_thought = part.thought.unwrap_or(false);
        let picture = part.inline_data.map(|blob| format!("![image](data:{};base64,{})", blob.mime_type, blob.data));
        let words = part.text.filter(|text| !text.is_empty()).map(Delta::Text);
        if let Some(delta) = picture.map(Delta::Picture).or(words) {
            let index = self.grown(is_thought, out);
            out.push(Event::Grow { index, delta });
        }
        match seal {
            // The seal on thoughts that were shown.
            Some(Seal::Signature(signature)) if is_thought && self.open.as_ref().is_some_and(|open| open.is_thought) => self.seal(signature, out),
            Some(seal) => {
                self.close(out);
                let redacted = if let Seal::Redacted(data) = &seal { Some(data.clone()) } else { None };
                self.begin(Opening::Thought { id: None, summary: true, redacted }, out);
                match seal {
                    Seal::Signature(signature) => self.seal(signature, out),
                    Seal::Redacted(_) => self.close(out),
                }
            }
            None => {}
        }
    }

    /// The open part of that kind.
    fn grown(&mut self, is_thought: bool, out: &mut Vec<Event>) -> usize {
        match &self.open {
            Some(open) if open.is_thought == is_thought => open.index,
            _ => {
                self.close(out);
                self.begin(if is_thought { Opening::Thought { id: None, summary: true, redacted: None } } else { Opening::Text }, out)
            }
        }
    }

    fn begin(&mut self, part: Opening, out: &mut Vec<Event>) -> usize {
        let index = self.next;
        self.next += 1;
        self.open = Some(Open { index, is_thought: matches!(part, Opening::Thought { .. }) });
        out.push(Event::Open { index, part });
        index
    }

    /// A sealed thought is complete.
    fn seal(&mut self, signature: Signature, out: &mut Vec<Event>) {
        if let Some(open) = &self.open {
            out.push(Event::Grow { index: open.index, delta: Delta::Signature(signature) });
        }
        self.close(out);
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if let Some(open) = self.open.take() {
            out.push(Event::Close { index: open.index });
        }
    }

    fn call(&mut self, call: Call<'_>, seal: Option<Seal>, out: &mut Vec<Event>) {
        self.close(out);
        let name = call.name.unwrap_or_default();
        let arguments = call.args.map(RawValue::get).filter(|args| *args != "null").map_or_else(|| "{}".to_owned(), compact);
        let id = call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| self.made_up_id(&name, &arguments));
        let signature = if let Some(Seal::Signature(signature)) = seal { Some(signature) } else { None };
        let index = self.begin(Opening::ToolCall { id, name, custom: false, signature }, out);
        out.push(Event::Grow { index, delta: Delta::Arguments(arguments) });
        self.close(out);
        self.calls += 1;
    }

    /// The same at every reading, and another for every call of a conversation: of the answer's id, the place, and what is called.
    fn made_up_id(&self, name: &str, arguments: &str) -> String {
        let mut hash = Sha256::new();
        for piece in [self.id.as_deref().unwrap_or_default(), name, arguments] {
            hash.update(piece.as_bytes());
            hash.update([0]);
        }
        format!("call_{}_{}", self.calls, HEXLOWER.encode(&hash.finalize()[..8]))
    }
}

/// JSON without the breaks and spaces that Google sends.
fn compact(json: &str) -> String {
    serde_json::from_str::<serde_json::Value>(json).map_or_else(|_| json.to_owned(), |value| value.to_string())
}

/// The model wrote what Google could not read. With nothing said, another try may help.
const FAILED: [&str; 5] = ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE", "TOO_MANY_TOOL_CALLS"];

/// Google cut the model off.
const FILTERED: [&str; 12] = [
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MODEL_ARMOR",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "IMAGE_OTHER",
    "ESCALATION",
];
