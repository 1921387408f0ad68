//! What becomes of one event, by its dialect.

use super::{Broken, ERROR_SHOWN, MAX_CREATED, Scanner, Wire, data_of, memmem};
use crate::relay::dialect::responses;
use crate::relay::report::UsageReport;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What to do with one event.
pub(super) enum Verdict {
    /// Pass it on.
    Forward,
    /// It belongs to the end.
    KeepBack,
    /// It is nothing for the client.
    Drop,
    /// The stream is complete; the event itself is made anew.
    Done,
    /// The stream is complete with this event.
    Last,
    /// It cannot go on.
    Broken(Broken),
}

/// The parts of an event that decide. Everything else may be of any form: upstreams differ.
#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    choices: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    candidates: Option<&'a RawValue>,
}

/// What ends a Gemini stream.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ends {
    #[serde(default)]
    candidates: Option<Vec<Candidate>>,
    #[serde(default)]
    prompt_feedback: Option<Feedback>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    #[serde(default)]
    block_reason: Option<String>,
}

/// Gemini's word for no reason.
const UNSPECIFIED: &str = "FINISH_REASON_UNSPECIFIED";

impl Outline<'_> {
    fn has_error(&self) -> bool {
        self.error.is_some_and(|raw| raw.get() != "null")
    }
}

fn has(data: &[u8], word: &[u8]) -> bool {
    memmem::find(data, word).is_some()
}

impl Scanner {
    pub(super) fn judge(&mut self, event: &[u8]) -> Verdict {
        let Some(data) = data_of(event) else {
            // An event that is only a name would be a shell without content; a comment passes.
            return Verdict::Forward;
        };
        if data == b"[DONE]" {
            return if self.wire == Wire::Chat { Verdict::Done } else { Verdict::Drop };
        }
        if data.first() != Some(&b'{') || data.last() != Some(&b'}') {
            return Verdict::Broken(Broken::Garbage);
        }
        match self.wire {
            Wire::Chat => self.chat(data),
            Wire::Responses => self.responses(event, data),
            Wire::Messages => self.messages(event, data),
            Wire::Gemini => self.gemini(data),
            Wire::Images | Wire::Transcription | Wire::Speech => self.media(data),
        }
    }

    /// Most chunks have none of these words and need no parsing. A word inside the answer's text only costs the parsing.
    fn chat(&mut self, data: &[u8]) -> Verdict {
        self.has_reason = self.has_reason || says_reason(data);
        if !self.usage.may_tell(data) && !has(data, b"\"error\"") {
            // What is said behind a report is not in it.
            self.is_final = self.is_final && !says_words(data);
            return Verdict::Forward;
        }
        let Ok(chunk) = serde_json::from_slice::<Outline<'_>>(data) else { return Verdict::Broken(Broken::Garbage) };
        if let Err(broken) = self.add(data) {
            return Verdict::Broken(broken);
        }
        if chunk.has_error() {
            return self.upstream_error(data);
        }
        let no_choices = chunk.choices.is_none_or(|raw| raw.get().trim_start_matches('[').trim_start().starts_with(']') || raw.get() == "null");
        let tells = matches!(self.usage.report(), UsageReport::Usage(_)) && chunk.usage.is_some_and(|raw| raw.get() != "null");
        self.is_final |= tells;
        match (no_choices && tells, self.include_usage) {
            (true, true) => Verdict::KeepBack,
            (true, false) => Verdict::Drop,
            (false, _) => Verdict::Forward,
        }
    }

    fn responses(&mut self, event: &[u8], data: &[u8]) -> Verdict {
        let Some(kind) = kind_of(event, data) else { return Verdict::Broken(Broken::Garbage) };
        match kind.as_ref() {
            "response.completed" | "response.incomplete" => {
                if let Err(broken) = self.add(data) {
                    return Verdict::Broken(broken);
                }
                self.is_final = true;
                Verdict::Last
            }
            "response.failed" | "error" => self.upstream_error(data),
            "response.created" => {
                self.created = if data.len() <= MAX_CREATED { Some(data.into()) } else { responses::brief(data).map(Vec::into_boxed_slice) };
                Verdict::Forward
            }
            "response.output_item.done" => self.add(data).map_or_else(Verdict::Broken, |()| Verdict::Forward),
            _ => Verdict::Forward,
        }
    }

    fn messages(&mut self, event: &[u8], data: &[u8]) -> Verdict {
        let Some(kind) = kind_of(event, data) else { return Verdict::Broken(Broken::Garbage) };
        match kind.as_ref() {
            "content_block_delta" | "content_block_start" | "content_block_stop" | "ping" => Verdict::Forward,
            "message_start" => self.add(data).map_or_else(Verdict::Broken, |()| Verdict::Forward),
            "message_delta" => match self.add(data) {
                Ok(()) => {
                    self.is_final = true;
                    Verdict::KeepBack
                }
                Err(broken) => Verdict::Broken(broken),
            },
            "message_stop" => Verdict::Last,
            "error" => self.upstream_error(data),
            _ => Verdict::Forward,
        }
    }

    /// Every chunk tells the usage so far; the last one has the reason for the end, and nothing marks the end itself.
    fn gemini(&mut self, data: &[u8]) -> Verdict {
        if has(data, b"\"error\"") {
            let Ok(chunk) = serde_json::from_slice::<Outline<'_>>(data) else { return Verdict::Broken(Broken::Garbage) };
            if chunk.has_error() && chunk.candidates.is_none() {
                return self.upstream_error(data);
            }
        }
        if let Err(broken) = self.add(data) {
            return Verdict::Broken(broken);
        }
        // The words may stand in the arguments of a call.
        if !self.is_final && (has(data, b"\"finishReason\"") || has(data, b"\"blockReason\"")) {
            let Ok(ends) = serde_json::from_slice::<Ends>(data) else { return Verdict::Broken(Broken::Garbage) };
            let ended = |candidate: &Candidate| candidate.finish_reason.as_deref().is_some_and(|reason| !reason.is_empty() && reason != UNSPECIFIED);
            for candidate in ends.candidates.iter().flatten().filter(|candidate| ended(candidate)) {
                self.ended |= 1 << candidate.index.unwrap_or(0).min(63);
            }
            let is_blocked = ends.prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some());
            self.is_final = is_blocked || u64::from(self.ended.count_ones()) >= self.choices;
        }
        if self.is_final { Verdict::KeepBack } else { Verdict::Forward }
    }

    fn media(&mut self, data: &[u8]) -> Verdict {
        let Some(kind) = kind_of(b"", data) else { return Verdict::Broken(Broken::Garbage) };
        let is_last = match self.wire {
            Wire::Images => kind.ends_with(".completed"),
            _ => kind.ends_with(".done"),
        };
        if kind == "error" {
            return self.upstream_error(data);
        }
        if let Err(broken) = self.add(data) {
            return Verdict::Broken(broken);
        }
        self.is_final |= is_last;
        if is_last && self.wire != Wire::Images {
            Verdict::Last
        } else if is_last {
            Verdict::KeepBack
        } else {
            Verdict::Forward
        }
    }

    fn add(&mut self, data: &[u8]) -> Result<(), Broken> {
        if self.usage.add(data) == UsageReport::Absurd { Err(Broken::AbsurdUsage) } else { Ok(()) }
    }

    fn upstream_error(&mut self, data: &[u8]) -> Verdict {
        self.error = String::from_utf8_lossy(data).chars().take(ERROR_SHOWN).collect();
        Verdict::Broken(Broken::UpstreamError)
    }
}

/// Whether a choice says why it ends: until then there is null.
fn says_reason(data: &[u8]) -> bool {
    const NAME: &[u8] = b"\"finish_reason\"";
    memmem::find_iter(data, NAME).any(|at| {
        let value = data[at + NAME.len()..].trim_ascii_start().strip_prefix(b":");
        value.is_some_and(|value| value.trim_ascii_start().starts_with(b"\""))
    })
}

/// Whether a chunk of a Chat stream brings words.
fn says_words(data: &[u8]) -> bool {
    let mut words = String::new();
    super::append_answer(Wire::Chat, data, &mut words);
    !words.is_empty()
}

/// What an event is: its name where it has one, which repeats the `type` in its data.
fn kind_of<'a>(event: &'a [u8], data: &'a [u8]) -> Option<Cow<'a, str>> {
    if let Some(name) = event.strip_prefix(b"event:") {
        let end = memchr::memchr(b'\n', name)?;
        return std::str::from_utf8(name[..end].trim_ascii()).ok().map(Cow::Borrowed);
    }
    serde_json::from_slice::<Outline<'_>>(data).ok()?.kind
}
