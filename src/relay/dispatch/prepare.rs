//! What goes to a channel: the caller's body with a few edits, or the same request in the upstream's dialect.

use crate::channels::{Channel, Kind, Permit, Target as Door};
use crate::relay::charge::Call;
use crate::relay::dialect::canonical::Unfit;
use crate::relay::dialect::{self, Dialect, Target, embed};
use crate::relay::envelope::Edits;
use crate::relay::operation::Operation;
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
    pub(super) door: Door<'a>,
    pub(super) body: Bytes,
    pub(super) content_type: &'a str,
    pub(super) back: Back,
}

/// Readies a request for a channel. `cap` lowers the output cap of each choice.
///
/// # Errors
/// The channel's dialect has no words for it.
pub(super) fn prepare<'a>(call: &'a Call, channel: &Channel, way: &Permit, cap: Option<u64>) -> Result<Prepared<'a>, Unfit> {
    let envelope = &call.envelope;
    let model = (way.model != envelope.model).then_some(way.model.as_str());
    let as_is = |door: Door<'a>, overrides: Option<&Map<String, Value>>| {
        let ask_usage = matches!(envelope.operation, Operation::Generate(Dialect::Chat) | Operation::Completions);
        let body = envelope.forward(&call.body, &Edits { model, cap, overrides, ask_usage });
        let content_type = if envelope.form().is_some() { call.content_type.as_str() } else { "application/json" };
        Prepared { door, body, content_type, back: Back::AsIs }
    };
    match envelope.operation {
        Operation::Generate(dialect) => {
            let spoken = channel.dialect_for(dialect);
            let overrides = Some(&channel.options.body_overrides);
            if spoken == dialect { Ok(as_is(Door::Chat(dialect), overrides)) } else { translate(call, channel, way, cap, dialect, spoken) }
        }
        Operation::GeminiEmbed | Operation::GeminiEmbedBatch if channel.kind == Kind::Gemini => {
            let method = if envelope.operation == Operation::GeminiEmbed { "embedContent" } else { "batchEmbedContents" };
            Ok(as_is(Door::Gemini(method), None))
        }
        Operation::GeminiEmbed | Operation::GeminiEmbedBatch => {
            let body = embed::gemini_to_openai(&call.body, &way.model)?.into();
            Ok(Prepared { door: Door::OpenAi("embeddings"), body, content_type: "application/json", back: Back::EmbedFromOpenAi })
        }
        Operation::Embeddings if channel.kind == Kind::Gemini => {
            let body = embed::openai_to_gemini(&call.body, &way.model)?.into();
            Ok(Prepared { door: Door::Gemini("batchEmbedContents"), body, content_type: "application/json", back: Back::EmbedFromGemini })
        }
        other => Ok(as_is(Door::OpenAi(other.openai_path().unwrap_or_default()), None)),
    }
}

fn translate<'a>(call: &'a Call, channel: &Channel, way: &Permit, cap: Option<u64>, from: Dialect, to: Dialect) -> Result<Prepared<'a>, Unfit> {
    if call.envelope.choices > 1 {
        return Err(Unfit::inexpressible(if from == Dialect::Gemini { "generationConfig.candidateCount" } else { "n" }));
    }
    let request = call.canonical(from)?;
    let host = channel.base_url.host_str().unwrap_or_default();
    let target = Target {
        model: &way.model,
        output_cap: cap.or(call.envelope.output_cap),
        default_cap: call.size.model_cap.unwrap_or(DEFAULT_CAP),
        is_openai: channel.kind == Kind::AzureOpenAi || host == "api.openai.com",
    };
    let mut body: Bytes = dialect::render_request(to, &request, &target)?.into();
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
    Ok(Prepared { door: Door::Chat(to), body, content_type: "application/json", back: Back::From(to) })
}
