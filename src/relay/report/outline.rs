//! Where in an answer, or in an event of a stream, the usage stands, and what is counted because only the answer itself shows it.

use super::number::Seconds;
use super::{Absurd, Form, Half, half, media};
use crate::kernel::Usage;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The parts of an answer that this room looks at. Everything else may be of any form: upstreams differ.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Outline<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, rename = "usageMetadata")]
    usage_metadata: Option<&'a RawValue>,
    /// Cohere.
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
    /// Groq, in streams.
    #[serde(borrow)]
    x_groq: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<&'a RawValue>,
    #[serde(borrow)]
    candidates: Option<&'a RawValue>,
    /// The items of a Responses answer.
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    /// The pictures of an Images answer.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    /// Of a sound, in a verbose transcription.
    #[serde(borrow)]
    duration: Option<&'a RawValue>,
    /// In an event: the answer, or what there is of it.
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    /// In an event of Responses: an item that is done.
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
}

fn parsed<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

fn told(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| raw.get() != "null")
}

impl<'a> Outline<'a> {
    pub(super) fn half(&self, form: Form) -> Result<Half, Absurd> {
        let usage = self.usage_of(form).map_or(Ok(Half::default()), |usage| half(form, usage.get()))?;
        Ok(self.with_pieces(form, usage))
    }

    fn usage_of(&self, form: Form) -> Option<&'a RawValue> {
        match form {
            Form::Chat => told(self.usage).or_else(|| self.usage_inside(self.x_groq)).or_else(|| self.usage_of_choice()),
            Form::Gemini => told(self.usage_metadata),
            Form::Rerank => told(self.usage).or(told(self.meta)),
            Form::Messages => told(self.usage).or_else(|| self.usage_inside(self.message)),
            Form::Responses => told(self.usage).or_else(|| self.usage_inside(self.response)),
            Form::Embeddings | Form::Images | Form::Transcription | Form::Speech => told(self.usage),
        }
    }

    fn usage_inside(&self, raw: Option<&'a RawValue>) -> Option<&'a RawValue> {
        told(parsed::<Outline<'a>>(raw)?.usage)
    }

    /// Moonshot writes the usage of a stream into its last choice.
    fn usage_of_choice(&self) -> Option<&'a RawValue> {
        let choices = self.choices.filter(|choices| memmem::find(choices.get().as_bytes(), b"\"usage\"").is_some());
        parsed::<Vec<Outline<'a>>>(choices)?.into_iter().rev().find_map(|choice| told(choice.usage))
    }

    /// Adds what only the answer shows: pictures, searches, the duration of a sound.
    fn with_pieces(&self, form: Form, mut half: Half) -> Half {
        let usage = &mut half.usage;
        match form {
            Form::Chat => usage.searches = usage.searches.max(self.cited()),
            Form::Gemini => usage.searches = usage.searches.max(queries(self.candidates)),
            Form::Responses => {
                let response = parsed::<Outline<'a>>(self.response);
                let items = Items::of(self.output.or(response.and_then(|response| response.output)));
                usage.searches = usage.searches.max(items.searches);
                usage.images = items.images;
            }
            Form::Images => {
                usage.images = parsed::<Vec<serde::de::IgnoredAny>>(self.data).map_or(0, |pictures| pictures.len() as u64);
                // Where nobody reports tokens, the pictures are the measure.
                let is_measured = usage.images > 0 && !half.has_input && !half.has_output;
                half.has_input |= is_measured;
                half.has_output |= is_measured;
            }
            Form::Transcription if !half.has_input => return parsed::<Seconds>(self.duration).map_or(half, media::duration),
            Form::Rerank if told(self.usage).is_some() => return self.with_units(half),
            _ => {}
        }
        half
    }

    /// One when the answer cites the web and nobody told the number of searches.
    fn cited(&self) -> u64 {
        // Inside a text of the model's the second quote would be escaped.
        u64::from(self.choices.is_some_and(|choices| memmem::find(choices.get().as_bytes(), b"\"url_citation\"").is_some()))
    }

    /// Units of reranking that are told beside tokens.
    fn with_units(&self, mut half: Half) -> Half {
        if let Some(Ok(meta)) = told(self.meta).map(|meta| media::rerank(meta.get())) {
            half.usage.searches = half.usage.searches.max(meta.usage.searches);
            half.has_input |= meta.has_input;
            half.has_output |= meta.has_output;
        }
        half
    }

    /// The item that an event says is done, as one of [`Items`].
    pub(super) fn done_item(&self) -> Usage {
        let is_done = self.r#type.is_some_and(|kind| kind.get() == "\"response.output_item.done\"");
        let items = Items::default().with(self.item.filter(|_| is_done));
        Usage { searches: items.searches, images: items.images, ..Usage::default() }
    }

    /// Whether an event brings a whole picture.
    pub(super) fn brings_picture(&self) -> bool {
        self.r#type.is_some_and(|kind| matches!(kind.get(), "\"image_generation.completed\"" | "\"image_edit.completed\""))
    }
}

/// What the items of a Responses answer are charged for beside tokens: searches of the web and of files, pictures.
#[derive(Clone, Copy, Debug, Default)]
struct Items {
    searches: u64,
    images: u64,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    r#type: &'a RawValue,
    #[serde(borrow, default)]
    action: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, default)]
    r#type: Option<&'a RawValue>,
}

impl Items {
    fn of(output: Option<&RawValue>) -> Self {
        let items = output.filter(|output| memmem::find(output.get().as_bytes(), b"_call\"").is_some());
        parsed::<Vec<&RawValue>>(items).unwrap_or_default().into_iter().fold(Self::default(), |sum, item| sum.with(Some(item)))
    }

    fn with(mut self, item: Option<&RawValue>) -> Self {
        let Some(item) = parsed::<Item<'_>>(item) else { return self };
        match item.r#type.get() {
            // Opening a page and looking into it belong to the search that found it.
            "\"web_search_call\"" => {
                let action = parsed::<Kind<'_>>(item.action).and_then(|action| action.r#type).map_or("", RawValue::get);
                self.searches += u64::from(!matches!(action, "\"open_page\"" | "\"find_in_page\"" | "\"find\""));
            }
            "\"file_search_call\"" => self.searches += 1,
            "\"image_generation_call\"" => self.images += 1,
            _ => {}
        }
        self
    }
}

/// The searches that Gemini grounded its answer on, of the web and of Maps.
fn queries(candidates: Option<&RawValue>) -> u64 {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Candidate {
        grounding_metadata: Option<Grounding>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Grounding {
        web_search_queries: Option<Vec<serde::de::IgnoredAny>>,
        grounding_chunks: Option<Vec<Chunk>>,
    }
    #[derive(Deserialize)]
    struct Chunk {
        maps: Option<serde::de::IgnoredAny>,
    }
    let has = |raw: &&RawValue| [&b"\"webSearchQueries\""[..], b"\"maps\""].iter().any(|sign| memmem::find(raw.get().as_bytes(), sign).is_some());
    let grounded = candidates.filter(has);
    let candidates = parsed::<Vec<Candidate>>(grounded).unwrap_or_default();
    let of_one = |candidate: Candidate| {
        candidate.grounding_metadata.map_or(0, |grounding| {
            // Google bills an answer that is grounded on Maps once.
            let is_on_maps = grounding.grounding_chunks.into_iter().flatten().any(|chunk| chunk.maps.is_some());
            grounding.web_search_queries.map_or(0, |queries| queries.len() as u64) + u64::from(is_on_maps)
        })
    };
    candidates.into_iter().map(of_one).sum()
}
