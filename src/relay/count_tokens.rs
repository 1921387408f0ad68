//! `POST /v1/messages/count_tokens` and Gemini's `:countTokens`: answered here, free, and limited, since an editor may ask for fifty at once.

use super::charge::count_input;
use super::count::Care;
use super::envelope::Envelope;
use super::error::ApiError;
use super::models::respond_in;
use super::{Relay, Tongue, admit, auth, body};
use crate::limits::Attempt;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use serde_json::json;

/// `POST /v1/messages/count_tokens`
pub async fn messages(State(relay): State<Relay>, request: Request) -> Response<Body> {
    let answer = count(&relay, Tongue::Anthropic, None, request).await.map(|tokens| json!({"input_tokens": tokens}).to_string());
    respond_in(&relay, Tongue::Anthropic, answer)
}

/// `POST /v1beta/models/{model}:countTokens`
pub(super) async fn gemini(relay: &Relay, model: &str, request: Request) -> Response<Body> {
    let answer = count(relay, Tongue::Gemini, Some(model), request).await;
    let object = |tokens| json!({"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]}).to_string();
    respond_in(relay, Tongue::Gemini, answer.map(object))
}

async fn count(relay: &Relay, tongue: Tongue, gemini_model: Option<&str>, request: Request) -> Result<u64, ApiError> {
    let (parts, incoming) = request.into_parts();
    let key = auth::visitor(relay, tongue, &parts)?;
    let limited = relay.limits.attempt(Attempt::CountTokens, &key.key_id.to_string()).await;
    limited.map_err(|too_many| ApiError::rate_limited("Tokens were counted too often. Wait a little.", too_many.retry_after_s.saturating_mul(1000)))?;
    let body = body::read(&parts.headers, incoming, &relay.bodies, key.user_id).await?;
    let envelope = Envelope::read_to_count(gemini_model, &body)?;
    let now = relay.kit.clock.now_ms();
    let name = &envelope.model;
    let model = relay.catalog.get(name).filter(|model| model.enabled).ok_or_else(|| ApiError::unknown_model(name))?;
    model.price_at(now).ok_or_else(|| ApiError::unpriced_model(name))?;
    admit::check_model(&key, name)?;
    // The tokenizer is kept to one thread at a time: nobody pays for it.
    let _turn = relay.counting.acquire().await.map_err(|_| ApiError::unavailable())?;
    tokio::task::spawn_blocking(move || count_input(&envelope, &body, Care::Likely)).await.map_err(|_| ApiError::internal())
}
