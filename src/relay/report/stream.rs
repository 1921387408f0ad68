//! Gathers the usage of a stream from its events.

use super::outline::Outline;
use super::{Absurd, Form, Half, UsageReport, within_reason};
use crate::kernel::Usage;
use memchr::memmem;

/// The usage so far. Upstreams tell it once, or again and again as it grows, or the input first and the output last.
///
/// A later report takes the place of an earlier one, the input and the output each on its own, unless it is smaller: counts only grow, and an event that
/// leaves a part out must not take it back.
#[derive(Clone, Debug)]
pub struct Accumulator {
    form: Form,
    so_far: Half,
    /// Items that events brought one by one; the answer at the end counts them again.
    searches: u64,
    images: u64,
}

impl Accumulator {
    /// Nothing so far.
    pub fn new(form: Form) -> Self {
        Self { form, so_far: Half::default(), searches: 0, images: 0 }
    }

    /// Whether an event's data can say anything of usage: cheap, and wrong only in one direction.
    pub fn may_tell(&self, data: &[u8]) -> bool {
        let has = |word: &[u8]| memmem::find(data, word).is_some();
        match self.form {
            Form::Gemini => tells(data, b"\"usageMetadata\"") || has(b"\"webSearchQueries\"") || has(b"\"maps\""),
            Form::Responses => tells(data, b"\"usage\"") || has(b"\"response.output_item.done\""),
            Form::Chat => tells(data, b"\"usage\"") || has(b"\"url_citation\""),
            Form::Rerank => tells(data, b"\"usage\"") || has(b"\"meta\""),
            Form::Images => tells(data, b"\"usage\"") || has(b".completed\""),
            Form::Messages | Form::Embeddings | Form::Transcription | Form::Speech => tells(data, b"\"usage\""),
        }
    }

    /// Takes the data of the next event, and says what is known now. What is no JSON says nothing.
    pub fn add(&mut self, data: &[u8]) -> UsageReport {
        if !self.may_tell(data) {
            return self.report();
        }
        let Ok(event) = serde_json::from_slice::<Outline<'_>>(data) else { return self.report() };
        match self.take(&event) {
            Ok(()) => self.report(),
            Err(Absurd) => UsageReport::Absurd,
        }
    }

    fn take(&mut self, event: &Outline<'_>) -> Result<(), Absurd> {
        let half = event.half(self.form)?;
        within_reason(&half.usage)?;
        if self.form == Form::Responses {
            let item = event.done_item();
            self.searches = self.searches.saturating_add(item.searches);
            self.images = self.images.saturating_add(item.images);
        }
        if self.form == Form::Images && event.brings_picture() {
            self.images = self.images.saturating_add(1);
        }
        self.so_far = merged(self.so_far, half);
        within_reason(&self.usage())
    }

    /// What is known so far.
    pub fn report(&self) -> UsageReport {
        match self.so_far.report() {
            UsageReport::Usage(_) => UsageReport::Usage(self.usage()),
            other => other,
        }
    }

    /// The same with whatever is missing as zero: what a stream that broke off has said at least.
    pub fn usage(&self) -> Usage {
        let usage = self.so_far.usage;
        Usage { searches: usage.searches.max(self.searches), images: usage.images.max(self.images), ..usage }
    }
}

fn merged(before: Half, now: Half) -> Half {
    let (old, new) = (before.usage, now.usage);
    let input = if new.all_input() >= old.all_input() { new } else { old };
    let output = if new.all_output() >= old.all_output() { new } else { old };
    let usage = Usage {
        input: input.input,
        cached: input.cached,
        cache_write: input.cache_write,
        cache_write_1h: input.cache_write_1h,
        audio_input: input.audio_input,
        image_input: input.image_input,
        output: output.output,
        reasoning: output.reasoning,
        audio_output: output.audio_output,
        image_output: output.image_output,
        images: old.images.max(new.images),
        audio_ms: old.audio_ms.max(new.audio_ms),
        characters: old.characters.max(new.characters),
        searches: old.searches.max(new.searches),
    };
    Half { usage, has_input: before.has_input || now.has_input, has_output: before.has_output || now.has_output }
}

/// Whether a name stands in an event with anything but null: OpenAI puts `"usage":null` into every chunk but the last.
fn tells(data: &[u8], name: &[u8]) -> bool {
    memmem::find_iter(data, name).any(|at| {
        let rest = data[at + name.len()..].trim_ascii_start();
        !rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"null"))
    })
}
