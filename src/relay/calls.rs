//! The paths of `/v1` and `/v1beta` that reach an upstream: each a name for an operation.

use super::dialect::Dialect;
use super::operation::Operation;
use super::pipeline::{Address, answer};
use super::{ApiError, Relay, Tongue, count_tokens, refusal};
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::Response;

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident = $operation:expr;)+) => {
        $($(#[$doc])*
        pub async fn $name(State(relay): State<Relay>, request: Request) -> Response<Body> {
            answer(&relay, Address { operation: $operation, gemini: None, array: false }, request).await
        })+
    };
}

calls! {
    /// `POST /v1/chat/completions`
    chat_completions = Operation::Generate(Dialect::Chat);
    /// `POST /v1/responses`
    responses = Operation::Generate(Dialect::Responses);
    /// `POST /v1/messages`
    messages = Operation::Generate(Dialect::Messages);
    /// `POST /v1/completions`
    completions = Operation::Completions;
    /// `POST /v1/embeddings`
    embeddings = Operation::Embeddings;
    /// `POST /v1/moderations`
    moderations = Operation::Moderations;
    /// `POST /v1/images/generations`
    image_generations = Operation::ImageGenerations;
    /// `POST /v1/images/edits`
    image_edits = Operation::ImageEdits;
    /// `POST /v1/audio/speech`
    speech = Operation::Speech;
    /// `POST /v1/audio/transcriptions`
    transcriptions = Operation::Transcriptions;
    /// `POST /v1/audio/translations`
    translations = Operation::Translations;
    /// `POST /v1/rerank`
    rerank = Operation::Rerank;
}

/// `POST /v1beta/models/{model}:{method}`; newer clients of Gemini's ask behind `/v1`.
pub async fn gemini(State(relay): State<Relay>, Path(rest): Path<String>, RawQuery(query): RawQuery, request: Request) -> Response<Body> {
    let (model, method) = rest.rsplit_once(':').unwrap_or((&rest, ""));
    let model = model.to_owned();
    let generate = Operation::Generate(Dialect::Gemini);
    let is_events = query.unwrap_or_default().split('&').any(|pair| pair == "alt=sse");
    let (operation, stream) = match method {
        "generateContent" => (generate, false),
        "streamGenerateContent" => (generate, true),
        "countTokens" => return count_tokens::gemini(&relay, &model, request).await,
        "embedContent" => (Operation::GeminiEmbed, false),
        "batchEmbedContents" => (Operation::GeminiEmbedBatch, false),
        _ => return refusal(&relay, Tongue::Gemini, ApiError::unknown_url("POST", request.uri().path())),
    };
    answer(&relay, Address { operation, gemini: Some((&model, stream)), array: stream && !is_events }, request).await
}
