//! What the relay reads of a request before it goes anywhere: the few fields that decide what it may cost and who can serve it, and where they stand in the
//! body. Everything else passes through unseen, and the body is edited in place, so that every other byte stays as it came.

mod edit;
mod gemini;
mod generate;
mod json;
mod letters;
mod multipart;
mod opening;
mod others;
#[cfg(test)]
mod tests;
mod texts;

pub use edit::Edits;
pub use multipart::Form;

use super::error::ApiError;
use super::operation::Operation;
use std::borrow::Cow;
use std::ops::Range;

/// What is read of a request.
#[derive(Debug)]
pub struct Envelope {
    /// What is asked for.
    pub operation: Operation,
    /// The model's public name.
    pub model: String,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// How many output tokens each choice may have, when the caller says.
    pub output_cap: Option<u64>,
    /// How many choices, over all prompts.
    pub choices: u64,
    /// Whether the caller of a Chat stream asked for its usage chunk.
    pub include_usage: bool,
    /// Whether the caller asked for the cost in the usage object.
    pub include_cost: bool,
    /// Pictures that came as files of a form.
    pub pictures: u64,
    /// How many turns the conversation has.
    pub turns: u64,
    /// What the answer needs of whoever serves it.
    pub needs: Needs,
    /// What keeps a conversation on one channel, when the caller names it.
    pub affinity: Option<String>,
    /// How many searches the request may set off.
    pub searches: u64,
    /// How often the first of its texts is read beside the first time: a query, with each further document.
    pub again: u64,
    /// The field that asks for a tool which the provider bills by the piece.
    pub by_the_piece: Option<&'static str>,
    /// How often tools of the provider's may bring to the model what is not in the request: the pages of a search, answers of other servers.
    pub fetches: u64,
    /// An answer that is spoken is asked for.
    pub spoken: bool,
    /// What it asks for beside tokens.
    pub wanted: Wanted,
    spans: Spans,
}

/// What not every channel can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Tools.
    pub tools: bool,
    /// Answers by a JSON schema.
    pub json_schema: bool,
}

/// What is asked for beside tokens of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Pictures to make.
    pub images: u64,
    /// Characters to speak.
    pub characters: u64,
    /// Bytes of sound to hear.
    pub audio_bytes: u64,
    /// How long that sound is in milliseconds, when its bytes tell.
    pub audio_ms: Option<u64>,
}

/// Where things stand in the body.
#[derive(Debug, Default)]
struct Spans {
    /// The value of `model`; none when it is in the address, or the body is a form.
    model: Option<Range<usize>>,
    /// What the model reads: conversation, instructions.
    texts: Vec<Range<usize>>,
    /// What it reads as it is written: definitions of tools, the form of the answer.
    definitions: Vec<Range<usize>>,
    /// The conversation.
    turns: Range<usize>,
    /// What stands over it, where that has a field of its own.
    instructions: Option<Range<usize>>,
    /// Where an output cap stands, or, when none has a number, where one could.
    caps: Vec<Range<usize>>,
    /// Where to put an output cap that is not there, and what stands around it.
    cap_home: Option<CapHome>,
    /// How much of the output may be thoughts, where that must be less than the cap.
    thinking: Option<Thinking>,
    /// The value of `stream_options`.
    stream_options: Option<Range<usize>>,
    /// Just behind the opening brace.
    start: usize,
    /// A body that is a form.
    form: Option<Form>,
}

/// Anthropic's `thinking` with a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Thinking {
    /// The whole object.
    object: Range<usize>,
    /// The value of `budget_tokens` in it.
    budget: Range<usize>,
    /// How much that is.
    tokens: u64,
}

/// Where to put an output cap that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CapHome {
    at: usize,
    field: &'static str,
    /// The field stands in an object that has to be made as well.
    inside: Option<&'static str>,
    /// Nothing follows in the object, so no comma either.
    is_last: bool,
}

impl Envelope {
    /// Reads a request. `address` is what the path says of a Gemini call: the model and whether a stream is asked for.
    ///
    /// # Errors
    /// A 400 that names the field and says what it should be.
    pub fn read(operation: Operation, address: Option<(&str, bool)>, content_type: &str, body: &[u8]) -> Result<Self, ApiError> {
        use super::dialect::Dialect;
        if let Some(boundary) = multipart::boundary(content_type)
            && matches!(operation, Operation::ImageEdits | Operation::Transcriptions | Operation::Translations)
        {
            return others::form(operation, Form::read(&boundary, body)?, body);
        }
        let text = json::text_of(body)?;
        match (operation, address) {
            (Operation::Generate(Dialect::Chat), _) => generate::chat(text),
            (Operation::Generate(Dialect::Responses), _) => generate::responses(text),
            (Operation::Generate(Dialect::Messages), _) => generate::messages(text, false),
            (Operation::Generate(Dialect::Gemini) | Operation::GeminiEmbed | Operation::GeminiEmbedBatch, Some((model, stream))) => {
                gemini::read(operation, model, stream, text)
            }
            (Operation::Completions, _) => others::completions(text),
            (Operation::Embeddings | Operation::Moderations | Operation::Rerank, _) => others::plain(operation, text),
            (Operation::ImageGenerations | Operation::ImageEdits, _) => others::images(operation, text),
            (Operation::Speech, _) => others::speech(text),
            _ => Err(ApiError::invalid(None, "The body must be multipart/form-data with a 'file'.")),
        }
    }

    /// Reads a request whose tokens are to be counted: as one for an answer, but without a cap.
    ///
    /// # Errors
    /// As [`Envelope::read`].
    pub fn read_to_count(gemini_model: Option<&str>, body: &[u8]) -> Result<Self, ApiError> {
        let text = json::text_of(body)?;
        match gemini_model {
            Some(model) => gemini::read_to_count(model, text),
            None => generate::messages(text, true),
        }
    }

    fn new(operation: Operation, model: String) -> Self {
        Self {
            operation,
            model,
            stream: false,
            output_cap: None,
            choices: 1,
            include_usage: false,
            include_cost: false,
            pictures: 0,
            turns: 1,
            needs: Needs::default(),
            affinity: None,
            searches: 0,
            again: 0,
            fetches: 0,
            by_the_piece: None,
            spoken: false,
            wanted: Wanted::default(),
            spans: Spans::default(),
        }
    }

    /// The texts that the model reads, for counting, and how many tokens stand among them as numbers.
    pub fn texts<'b>(&'b self, body: &'b [u8]) -> (Vec<Cow<'b, str>>, u64) {
        if let Some(form) = &self.spans.form {
            return (form.texts().map(Cow::Borrowed).collect(), 0);
        }
        let (mut out, mut tokens) = (Vec::new(), 0u64);
        for range in &self.spans.texts {
            let mut counted = 0;
            let numbers = matches!(self.operation, Operation::Completions | Operation::Embeddings).then_some(&mut counted);
            out.append(&mut texts::strings(&body[range.clone()], numbers));
            tokens = tokens.saturating_add(counted);
        }
        out.extend(self.spans.definitions.iter().map(|range| String::from_utf8_lossy(&body[range.clone()])));
        (out, tokens)
    }

    /// How many bytes are read again.
    pub fn again_bytes(&self) -> usize {
        self.spans.texts.first().map_or(0, Range::len).saturating_mul(usize::try_from(self.again).unwrap_or(usize::MAX))
    }

    /// The texts that are read again.
    pub fn again<'b>(&self, body: &'b [u8]) -> Vec<Cow<'b, str>> {
        let first = self.spans.texts.first().filter(|_| self.again > 0);
        first.map_or_else(Vec::new, |range| texts::strings(&body[range.clone()], None))
    }

    /// The texts that a model surely reads: as [`Envelope::texts`], but tools without the names and signs around their words, and no seals, which some providers drop.
    pub fn letters<'b>(&'b self, body: &'b [u8]) -> Vec<Cow<'b, str>> {
        match &self.spans.form {
            Some(form) => form.texts().map(Cow::Borrowed).collect(),
            None => self.spans.texts.iter().chain(&self.spans.definitions).flat_map(|range| letters::letters(&body[range.clone()])).map(Cow::Owned).collect(),
        }
    }

    /// The same request, when it stands this far inside a body.
    fn moved_by(mut self, offset: usize) -> Self {
        let moved = |range: &mut Range<usize>| *range = range.start + offset..range.end + offset;
        self.spans.texts.iter_mut().for_each(moved);
        self.spans.definitions.iter_mut().for_each(moved);
        moved(&mut self.spans.turns);
        self
    }

    /// The bytes of the conversation.
    pub fn conversation<'b>(&self, body: &'b [u8]) -> &'b [u8] {
        body.get(self.spans.turns.clone()).unwrap_or_default()
    }

    /// How the conversation begins: its instructions, and its turns up to the first of the user, which stay the same while it goes on.
    /// Their words alone: how they are written, and what marks them for a cache, may change on the way.
    pub fn opening(&self, body: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let turns = self.conversation(body);
        let instructions = self.spans.instructions.clone().and_then(|range| body.get(range)).unwrap_or_default();
        (opening::words(instructions), opening::words(&turns[..texts::first_turns(turns)]))
    }

    /// The form, when the body is one.
    pub fn form(&self) -> Option<&Form> {
        self.spans.form.as_ref()
    }
}

/// Every string that a model may read in a JSON text.
pub(super) fn strings(json: &[u8]) -> Vec<Cow<'_, str>> {
    texts::strings(json, None)
}
