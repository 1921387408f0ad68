//! Reads what an upstream says that a request used, in the words of each API, into [`Usage`], whose kinds never overlap. Pure; no float is ever made.
//!
//! What cannot be is [`UsageReport::Absurd`]: numbers that are negative, fractional, contradictory or beyond any model. Half a report is none: what it leaves out was
//! not free. [`plausible`] then holds a report against what was sent. Whatever is not believed is counted locally instead and marked so.
//!
//! Whole answers go through [`read_answer`], the events of a stream through an [`Accumulator`].

mod gemini;
mod media;
mod messages;
mod number;
mod openai;
mod outline;
mod stream;

pub use stream::Accumulator;

use crate::kernel::Usage;
use outline::Outline;

/// What an answer, or a part of one, says of its usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageReport {
    /// Nothing, or only half of it.
    Absent,
    /// This much.
    Usage(Usage),
    /// Something that cannot be.
    Absurd,
}

/// In whose words a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// OpenAI Chat Completions and the older Completions, with the dialects of its many imitators.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Messages,
    /// Gemini generateContent and embedContent.
    Gemini,
    /// OpenAI Embeddings, and moderations where they report anything.
    Embeddings,
    /// OpenAI Images.
    Images,
    /// OpenAI Audio: transcriptions and translations.
    Transcription,
    /// OpenAI Audio: the events of streamed speech.
    Speech,
    /// Rerank, as Jina and as Cohere report it.
    Rerank,
}

/// A report cannot be: what it says contradicts itself or any model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Absurd;

/// A report as far as it goes. Streams may tell the input first and the output last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Half {
    usage: Usage,
    has_input: bool,
    has_output: bool,
}

impl Half {
    fn report(self) -> UsageReport {
        if self.has_input && self.has_output { UsageReport::Usage(self.usage) } else { UsageReport::Absent }
    }
}

/// More of anything than a request can use: beyond it is a fault of the upstream.
const MOST: u64 = 1_000_000_000;
/// More pictures or searches than a request can make.
const MOST_PIECES: u64 = 100_000;

/// Refuses numbers beyond any model.
fn within_reason(usage: &Usage) -> Result<(), Absurd> {
    let is_small = usage.all_input() <= MOST && usage.all_output() <= MOST && usage.audio_ms <= MOST && usage.characters <= MOST;
    if is_small && usage.images <= MOST_PIECES && usage.searches <= MOST_PIECES { Ok(()) } else { Err(Absurd) }
}

fn of(read: Result<Half, Absurd>) -> UsageReport {
    read.and_then(|half| within_reason(&half.usage).map(|()| half)).map_or(UsageReport::Absurd, Half::report)
}

/// Reads a usage object alone (`usage`, `usageMetadata`, for Rerank also `meta`), for whoever has parsed the rest already. Searches and pictures that only
/// the rest of an answer shows are not in it.
pub fn read(form: Form, usage: &str) -> UsageReport {
    if usage == "null" { UsageReport::Absent } else { of(half(form, usage)) }
}

fn half(form: Form, usage: &str) -> Result<Half, Absurd> {
    // A parser takes a list for an object whose fields come in order.
    if !usage.trim_start().starts_with('{') {
        return Err(Absurd);
    }
    match form {
        Form::Chat | Form::Responses | Form::Embeddings => openai::read(form, usage),
        Form::Messages => messages::read(usage),
        Form::Gemini => gemini::read(usage),
        Form::Images => media::images(usage),
        Form::Transcription => media::transcription(usage),
        Form::Speech => media::speech(usage),
        Form::Rerank => media::rerank(usage),
    }
}

/// Reads a whole answer that is no stream. What is no JSON says nothing.
pub fn read_answer(form: Form, body: &[u8]) -> UsageReport {
    serde_json::from_slice::<Outline<'_>>(body).map_or(UsageReport::Absent, |answer| of(answer.half(form)))
}

/// What was asked of an upstream, to hold its report against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// The most tokens that the input can have by its bytes and media (`count::InputBound`); none when the upstream reads what is not in the request: an earlier
    /// response, a stored file, the pages of a search.
    pub input: Option<u64>,
    /// The most tokens of output that were asked for, all choices together; none when no cap was sent.
    pub output: Option<u64>,
    /// The most of each kind, where no words were asked for: pictures, sound, searches are as many as the request says.
    pub pieces: Option<Usage>,
}

/// More input than any model reads in one request, all rounds of its own tools together.
const MOST_INPUT: u64 = 20_000_000;
/// More output than any model gives.
const MOST_OUTPUT: u64 = 1_000_000;
/// What upstreams may add to the input unseen: instructions of their own, the definitions of tools.
const UNSEEN_INPUT: u64 = 65_536;
/// How far upstreams overshoot a cap, beside a quarter of it: by the tokens that end a turn, by a round of their own.
const OVERSHOOT: u64 = 1_024;

/// Whether a report can be true of what was asked. The margins are generous: this catches an upstream that has lost its measure, not one that rounds.
pub fn plausible(usage: &Usage, bound: Bound) -> bool {
    let searched = usage.searches > 0;
    let input = bound.input.filter(|_| !searched || bound.pieces.is_some()).map_or(MOST_INPUT, |most| most.saturating_mul(2).saturating_add(UNSEEN_INPUT));
    // Not every upstream counts thoughts and pictures against the cap.
    let capped = usage.output.saturating_add(usage.audio_output);
    let output = bound.output.map_or(MOST_OUTPUT, |cap| cap.saturating_add(cap / 4).saturating_add(OVERSHOOT));
    let beside = if bound.pieces.is_some() { 0 } else { MOST_OUTPUT };
    let is_within = usage.all_input() <= input && capped <= output && usage.all_output() <= output.saturating_add(beside);
    is_within && bound.pieces.is_none_or(|most| as_many(usage, &most))
}

/// How much longer than its bytes say a sound may be: some providers charge a least duration.
const LEAST_SOUND_MS: u64 = 60_000;

/// Whether a report has no more of what comes by the piece than was asked for. A long document is several to those who rerank, and a sound may be packed tightly.
fn as_many(usage: &Usage, most: &Usage) -> bool {
    let twice = |count: u64| count.saturating_mul(2);
    usage.images <= most.images
        && usage.searches <= twice(most.searches)
        && usage.characters <= twice(most.characters)
        && usage.audio_ms <= twice(most.audio_ms).saturating_add(LEAST_SOUND_MS)
}

#[cfg(test)]
mod tests;
