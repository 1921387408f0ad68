//! What can be called now, which means switched on, priced, and allowed for the key: `GET /v1/models` and `GET /v1/models/{id}`, in OpenAI's shape, or in Anthropic's for
//! clients of theirs, which send `anthropic-version` with their key in either header; and `GET /v1beta/models` in Gemini's.

use super::error::ApiError;
use super::{Relay, Tongue, auth, with_request_id};
use crate::catalog::Model;
use crate::keys::Entry;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Response, header};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The most that one page of a list has, and how many it has when nobody says.
const MAX_PAGE: usize = 1000;

/// Which part of the list is asked for: Anthropic's and Gemini's words for it. OpenAI's list has no parts.
#[derive(Debug, Default, Deserialize)]
pub struct Page {
    limit: Option<usize>,
    after_id: Option<String>,
    before_id: Option<String>,
    #[serde(rename = "pageSize")]
    page_size: Option<usize>,
    #[serde(rename = "pageToken")]
    page_token: Option<String>,
}

/// Answers `GET /v1/models`.
pub async fn list(State(relay): State<Relay>, page: Result<Query<Page>, QueryRejection>, parts: Parts) -> Response<Body> {
    listed(&relay, tongue_of(&parts.headers), page, &parts)
}

/// Answers `GET /v1beta/models`.
pub async fn gemini_list(State(relay): State<Relay>, page: Result<Query<Page>, QueryRejection>, parts: Parts) -> Response<Body> {
    listed(&relay, Tongue::Gemini, page, &parts)
}

/// Answers `GET /v1/models/{id}`; names of models may contain slashes.
pub async fn one(State(relay): State<Relay>, name: Result<Path<String>, PathRejection>, parts: Parts) -> Response<Body> {
    single(&relay, tongue_of(&parts.headers), name, &parts)
}

/// Answers `GET /v1beta/models/{id}`.
pub async fn gemini_one(State(relay): State<Relay>, name: Result<Path<String>, PathRejection>, parts: Parts) -> Response<Body> {
    single(&relay, Tongue::Gemini, name, &parts)
}

fn tongue_of(headers: &HeaderMap) -> Tongue {
    if headers.contains_key("anthropic-version") {
        Tongue::Anthropic
    } else if headers.contains_key("x-goog-api-key") {
        // Newer clients of Gemini's ask behind /v1.
        Tongue::Gemini
    } else {
        Tongue::OpenAi
    }
}

fn listed(relay: &Relay, tongue: Tongue, page: Result<Query<Page>, QueryRejection>, parts: &Parts) -> Response<Body> {
    let answer = auth::visitor(relay, tongue, parts).and_then(|key| {
        let Query(page) = page.map_err(|_| ApiError::invalid(None, "The parameters of the list cannot be read: a page has 1 to 1000 models."))?;
        let models = callable(relay, &key);
        match tongue {
            Tongue::OpenAi => Ok(json!({"object": "list", "data": models.iter().map(|model| object(tongue, model)).collect::<Vec<_>>()})),
            Tongue::Anthropic => anthropic_page(&models, &page),
            Tongue::Gemini => gemini_page(&models, &page),
        }
    });
    respond_in(relay, tongue, answer.map(|value| value.to_string()))
}

fn single(relay: &Relay, tongue: Tongue, name: Result<Path<String>, PathRejection>, parts: &Parts) -> Response<Body> {
    let now = relay.kit.clock.now_ms();
    let answer = auth::visitor(relay, tongue, parts).and_then(|key| {
        let Path(name) = name.map_err(|_| ApiError::invalid("model", "The model's name is not valid UTF-8."))?;
        let model = relay.catalog.get(&name).filter(|model| model.is_callable(now) && key.may_use(&name));
        model.map(|model| object(tongue, &model).to_string()).ok_or_else(|| ApiError::unknown_model(&name))
    });
    respond_in(relay, tongue, answer)
}

/// The models that the key may call now, in the order of their names.
pub(super) fn callable(relay: &Relay, key: &Entry) -> Vec<Arc<Model>> {
    let now = relay.kit.clock.now_ms();
    relay.catalog.iter().filter(|model| model.is_callable(now) && key.may_use(&model.name)).collect()
}

/// <https://docs.anthropic.com/en/api/models-list>
fn anthropic_page(models: &[Arc<Model>], page: &Page) -> Result<Value, ApiError> {
    let size = size_of(page.limit)?;
    let (from, to) = match (&page.after_id, &page.before_id) {
        (Some(_), Some(_)) => return Err(ApiError::invalid("after_id", "Give 'after_id' or 'before_id', not both.")),
        (Some(after), None) => (place(models, after, "after_id")? + 1, models.len()),
        (None, Some(before)) => {
            let end = place(models, before, "before_id")?;
            (end.saturating_sub(size), end)
        }
        (None, None) => (0, models.len()),
    };
    let part = &models[from..to];
    let shown = &part[..part.len().min(size)];
    // Towards the way in which the pages are turned.
    let has_more = if page.before_id.is_some() { from > 0 } else { shown.len() < part.len() };
    let name = |model: Option<&Arc<Model>>| model.map(|model| model.name.clone());
    let data: Vec<Value> = shown.iter().map(|model| object(Tongue::Anthropic, model)).collect();
    Ok(json!({"data": data, "has_more": has_more, "first_id": name(shown.first()), "last_id": name(shown.last())}))
}

/// <https://ai.google.dev/api/models>
fn gemini_page(models: &[Arc<Model>], page: &Page) -> Result<Value, ApiError> {
    let size = size_of(page.page_size)?;
    let from = page.page_token.as_deref().filter(|token| !token.is_empty()).map_or(Ok(0), |token| place(models, token, "pageToken").map(|at| at + 1))?;
    let shown = &models[from..models.len().min(from + size)];
    let mut answer = json!({"models": shown.iter().map(|model| object(Tongue::Gemini, model)).collect::<Vec<_>>()});
    if let Some(last) = shown.last().filter(|_| from + shown.len() < models.len()) {
        answer["nextPageToken"] = json!(last.name);
    }
    Ok(answer)
}

/// How many a page has. None is what nobody asks for on purpose: it stands for the usual size.
fn size_of(asked: Option<usize>) -> Result<usize, ApiError> {
    match asked {
        None | Some(0) => Ok(MAX_PAGE),
        Some(size) => Ok(size.min(MAX_PAGE)),
    }
}

fn place(models: &[Arc<Model>], name: &str, field: &'static str) -> Result<usize, ApiError> {
    models
        .iter()
        .position(|model| model.name == name)
        .ok_or_else(|| ApiError::invalid(field, format!("'{field}' names no model of this list. Begin with its first page.")))
}

fn object(tongue: Tongue, model: &Model) -> Value {
    let made_at = model.id.made_at_ms();
    match tongue {
        Tongue::OpenAi => json!({"id": model.name, "object": "model", "created": made_at / 1000, "owned_by": "farebox"}),
        Tongue::Anthropic => {
            let at = Timestamp::from_millisecond(made_at).unwrap_or(Timestamp::UNIX_EPOCH).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            json!({"type": "model", "id": model.name, "display_name": model.name, "created_at": at, "lifecycle": "active"})
        }
        Tongue::Gemini => {
            let mut object = json!({
                "name": format!("models/{}", model.name),
                "baseModelId": model.name,
                "version": "001",
                "displayName": model.name,
                "description": "",
                "supportedGenerationMethods": ["generateContent", "countTokens"],
            });
            if let Some(most) = model.max_output_tokens {
                object["outputTokenLimit"] = json!(most);
            }
            object
        }
    }
}

/// An answer in JSON, or an error in OpenAI's words.
pub(super) fn respond(relay: &Relay, answer: Result<String, ApiError>) -> Response<Body> {
    respond_in(relay, Tongue::OpenAi, answer)
}

pub(super) fn respond_in(relay: &Relay, tongue: Tongue, answer: Result<String, ApiError>) -> Response<Body> {
    let id = relay.kit.ids.next();
    let plain = |text| {
        let mut response = Response::new(Body::from(text));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    };
    with_request_id(answer.map_or_else(|error| error.into_response(tongue, &id.to_string()), plain), tongue, id)
}
