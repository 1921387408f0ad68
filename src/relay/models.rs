//! `GET /v1/models` and `GET /v1/models/{id}`, in OpenAI's shape: what can be called now, which means switched on and priced.

use super::error::ApiError;
use super::{Relay, auth, with_request_id};
use crate::catalog::Model;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Response, header};
use serde_json::{Value, json};

/// Answers `GET /v1/models`.
pub async fn list(State(relay): State<Relay>, headers: HeaderMap) -> Response<Body> {
    let now = relay.kit.clock.now_ms();
    let answer = auth::authenticate(&relay, &headers).map(|_| {
        let data: Vec<Value> = relay.catalog.iter().filter(|model| model.is_callable(now)).map(|model| object(&model)).collect();
        json!({"object": "list", "data": data}).to_string()
    });
    respond(&relay, answer)
}

/// Answers `GET /v1/models/{id}`; names of models may contain slashes.
pub async fn one(State(relay): State<Relay>, name: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Response<Body> {
    let now = relay.kit.clock.now_ms();
    let answer = auth::authenticate(&relay, &headers).and_then(|_| {
        let Path(name) = name.map_err(|_| ApiError::invalid("model", "The model's name is not valid UTF-8."))?;
        let model = relay.catalog.get(&name).filter(|model| model.is_callable(now));
        model.map(|model| object(&model).to_string()).ok_or_else(|| ApiError::unknown_model(&name))
    });
    respond(&relay, answer)
}

fn object(model: &Model) -> Value {
    json!({"id": model.name, "object": "model", "created": model.id.made_at_ms() / 1000, "owned_by": "farebox"})
}

pub(super) fn respond(relay: &Relay, answer: Result<String, ApiError>) -> Response<Body> {
    let id = relay.kit.ids.next();
    let plain = |text| {
        let mut response = Response::new(Body::from(text));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    };
    with_request_id(answer.map_or_else(|error| error.into_response(super::Tongue::OpenAi, &id.to_string()), plain), id)
}
