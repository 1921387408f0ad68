//! What goes to a channel: the caller's body with a few edits, or the same request in the upstream's dialect.

use crate::channels::{Channel, Kind, Target as Door};
use crate::relay::charge::Call;
use crate::relay::dialect::canonical::Unfit;
use crate::relay::dialect::{self, Dialect, Target, embed};
use crate::relay::envelope::{Edits, Envelope};
use crate::relay::operation::Operation;
use crate::relay::route::{self, Attempt, Needs};
use bytes::Bytes;
use serde_json::{Map, Value};

/// The cap for a dialect that demands one, when neither the caller nor the model sets one.
const DEFAULT_CAP: u64 = 8_192;

/// How the answer comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Back {
    /// In the caller's dialect.
    AsIs,
    /// In this one.
    From(Dialect),
    /// Embeddings as OpenAI's API gives them, for a caller of Gemini's.
    EmbedFromOpenAi,
    /// Embeddings as Gemini gives them, for a caller of OpenAI's.
    EmbedFromGemini,
}

/// What goes to a channel.
pub(super) struct Prepared<'a> {
    pub(super) body: Bytes,
    pub(super) content_type: &'a str,
    pub(super) back: Back,
}

/// Readies a request for a channel. `cap` lowers the output cap of each choice.
///
/// # Errors
/// The channel's dialect has no words for it.
pub(super) fn prepare<'a>(call: &'a Call, attempt: &Attempt, cap: Option<u64>) -> Result<Prepared<'a>, Unfit> {
    let (envelope, upstream) = (&call.envelope, attempt.permit.model.as_str());
    let cap = cap.or(call.size.lowered_cap());
    let door = attempt.target;
    let json = |body: Vec<u8>, back| Ok(Prepared { body: body.into(), content_type: "application/json", back });
    match (envelope.operation, door) {
        (Operation::Generate(dialect), Door::Chat(spoken)) if spoken != dialect => translate(call, attempt, cap, dialect, spoken),
        (Operation::GeminiEmbed | Operation::GeminiEmbedBatch, Door::OpenAi(_)) => json(embed::gemini_to_openai(&call.body, upstream)?, Back::EmbedFromOpenAi),
        (Operation::Embeddings, Door::Gemini(_)) => json(embed::openai_to_gemini(&call.body, upstream)?, Back::EmbedFromGemini),
        (operation, _) => {
            // Where something is translated the tool is left out, or cannot be said: there is nothing to sell.
            if let Some(field) = envelope.by_the_piece.filter(|_| !call.prices.sells_searches()) {
                return Err(Unfit::new(field, format!("'{field}' asks for a search that has no price here. Leave it out, or ask the operator to set one.")));
            }
            let is_chat = matches!(operation, Operation::Generate(_));
            // What OpenAI takes for legacy completions where nobody says: servers differ, and it is what the answer is held to.
            let unsaid = envelope.output_cap.filter(|_| operation == Operation::Completions);
            let edits = Edits {
                model: (upstream != envelope.model).then_some(upstream),
                cap: cap.or(unsaid),
                is_openai: is_openai(&attempt.channel),
                overrides: is_chat.then_some(&attempt.channel.options.body_overrides),
                ask_usage: matches!(operation, Operation::Generate(Dialect::Chat) | Operation::Completions),
            };
            let content_type = if envelope.form().is_some() { call.content_type.as_str() } else { "application/json" };
            let body = without_foreign(call, &edits).unwrap_or_else(|| envelope.forward(&call.body, &edits));
            Ok(Prepared { body, content_type, back: Back::AsIs })
        }
    }
}

/// The body without thoughts that a provider of another dialect has sealed; none when there are none.
fn without_foreign(call: &Call, edits: &Edits<'_>) -> Option<Bytes> {
    let Operation::Generate(dialect) = call.envelope.operation else { return None };
    let body = Bytes::from(dialect::strip(dialect, &call.body)?);
    let envelope = Envelope::read(call.envelope.operation, Some((&call.envelope.model, call.envelope.stream)), "application/json", &body).ok()?;
    Some(envelope.forward(&body, edits))
}

/// Whether a channel is OpenAI's own service, or Azure's.
fn is_openai(channel: &Channel) -> bool {
    channel.kind == Kind::AzureOpenAi || channel.base_url.host_str() == Some("api.openai.com")
}

fn translate<'a>(call: &'a Call, attempt: &Attempt, cap: Option<u64>, from: Dialect, to: Dialect) -> Result<Prepared<'a>, Unfit> {
    if call.envelope.choices > 1 {
        return Err(Unfit::inexpressible(if from == Dialect::Gemini { "generationConfig.candidateCount" } else { "n" }));
    }
    let request = call.canonical(from)?;
    let channel = &attempt.channel;
    let target = Target {
        model: &attempt.permit.model,
        output_cap: cap.or(call.envelope.output_cap),
        default_cap: call.size.model_cap.unwrap_or(DEFAULT_CAP),
        is_openai: is_openai(channel),
    };
    let mut body: Bytes = dialect::render_request(to, &request, &target).map_err(|unfit| dialect::trace(from, &call.body, &request, unfit))?.into();
    let overrides = &channel.options.body_overrides;
    if !overrides.is_empty()
        && let Ok(mut fields) = serde_json::from_slice::<Map<String, Value>>(&body)
    {
        for (name, value) in overrides {
            match value {
                Value::Null => drop(fields.shift_remove(name)),
                value => drop(fields.insert(name.clone(), value.clone())),
            }
        }
        body = serde_json::to_vec(&fields).map_or(body, Bytes::from);
    }
    Ok(Prepared { body, content_type: "application/json", back: Back::From(to) })
}

impl Call {
    /// What the request asks of a channel, with the tokens that it needs at least.
    pub(in crate::relay) fn needs(&self, tokens: u64) -> Needs {
        let envelope = &self.envelope;
        let targets: &'static [Door<'static>] = match envelope.operation {
            Operation::Generate(dialect) => route::chat(dialect),
            Operation::Completions => &[Door::OpenAi("completions")],
            Operation::Embeddings => &[Door::OpenAi("embeddings"), Door::Gemini("batchEmbedContents")],
            Operation::Moderations => &[Door::OpenAi("moderations")],
            Operation::ImageGenerations => &[Door::OpenAi("images/generations")],
            Operation::ImageEdits => &[Door::OpenAi("images/edits")],
            Operation::Speech => &[Door::OpenAi("audio/speech")],
            Operation::Transcriptions => &[Door::OpenAi("audio/transcriptions")],
            Operation::Translations => &[Door::OpenAi("audio/translations")],
            Operation::Rerank => &[Door::OpenAi("rerank")],
            Operation::GeminiEmbed => &[Door::Gemini("embedContent"), Door::OpenAi("embeddings")],
            Operation::GeminiEmbedBatch => &[Door::Gemini("batchEmbedContents"), Door::OpenAi("embeddings")],
        };
        Needs { targets, tools: envelope.needs.tools, vision: self.size.pictures, json_schema: envelope.needs.json_schema, streaming: envelope.stream, tokens }
    }
}
