//! What a customer may ask about past calls: `GET /api/v1/usage/{key}` and `GET /api/v1/generations/{id}`.

use super::billing::{internal, number};
use super::models::respond;
use super::{ApiError, Relay, Tongue, admit, auth};
use crate::kernel::clock::DAY_MS;
use crate::kernel::{Id, Usd};
use crate::keys::{ApiKey, Entry};
use crate::usage::{self, KeyUsage, RequestView};
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::Response;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;

/// What a key may be called in the path instead of its text, which does not belong into logs.
const ITSELF: &str = "me";

/// How far back a report goes.
#[derive(Debug, Deserialize)]
pub struct Range {
    range: Option<String>,
}

/// Input and output of one call, or of many.
#[derive(Serialize)]
struct Tokens {
    input_tokens: i64,
    cached_input_tokens: i64,
    cache_write_tokens: i64,
    output_tokens: i64,
}

#[derive(Serialize)]
struct OfModel {
    model: String,
    requests: i64,
    #[serde(flatten)]
    tokens: Tokens,
    cost: Box<RawValue>,
}

#[derive(Serialize)]
struct OfKey {
    object: &'static str,
    key: String,
    range: &'static str,
    /// Unix seconds.
    start: i64,
    end: i64,
    requests: i64,
    #[serde(flatten)]
    tokens: Tokens,
    cost: Box<RawValue>,
    unit: &'static str,
    models: Vec<OfModel>,
}

/// Answers `GET /api/v1/usage/{key}`. The key asks about itself: in the path stands its text, its number, or `me`. A tool that sends no header at all may ask with the
/// text in the path.
pub async fn of_key(
    State(relay): State<Relay>,
    named: Result<Path<String>, PathRejection>,
    range: Result<Query<Range>, QueryRejection>,
    parts: Parts,
) -> Response<Body> {
    let answer = match asked_about(&relay, named, &parts).and_then(|key| Ok((key, span(range)?))) {
        Ok((key, (word, length))) => report(&relay, &key, word, length).await.map_err(internal),
        Err(error) => Err(error),
    };
    respond(&relay, answer)
}

fn asked_about(relay: &Relay, named: Result<Path<String>, PathRejection>, parts: &Parts) -> Result<Arc<Entry>, ApiError> {
    let named = named.map(|Path(named)| named).unwrap_or_default();
    if auth::is_anonymous(&parts.headers) {
        let key = auth::live(relay, &named)?;
        admit::check_address(&key, admit::address_of(relay, parts))?;
        return Ok(key);
    }
    let key = auth::visitor(relay, Tongue::OpenAi, parts)?;
    let by_text = || ApiKey::parse(&named).ok().and_then(|text| relay.keys.get(&text)).is_some_and(|entry| entry.key_id == key.key_id);
    if named == ITSELF || named == key.key_id.to_string() || by_text() {
        Ok(key)
    } else {
        Err(ApiError::not_found("A key may ask about its own usage only: put its text, its number or 'me' into the path."))
    }
}

fn span(range: Result<Query<Range>, QueryRejection>) -> Result<(&'static str, i64), ApiError> {
    let wrong = || ApiError::invalid("range", "'range' must be 24h, 7d or 30d.");
    let Query(Range { range }) = range.map_err(|_| wrong())?;
    match range.as_deref().unwrap_or("24h") {
        "24h" => Ok(("24h", DAY_MS)),
        "7d" => Ok(("7d", 7 * DAY_MS)),
        "30d" => Ok(("30d", 30 * DAY_MS)),
        _ => Err(wrong()),
    }
}

async fn report(relay: &Relay, key: &Entry, range: &'static str, length: i64) -> anyhow::Result<String> {
    let now = relay.kit.clock.now_ms();
    let rows = usage::of_key_since(&mut *relay.db.read().await?, key.user_id, key.key_id, now - length).await?;
    let sum = |of: fn(&KeyUsage) -> i64| rows.iter().map(of).fold(0, i64::saturating_add);
    let tokens = Tokens {
        input_tokens: sum(|row| row.input_tokens),
        cached_input_tokens: sum(|row| row.cached_tokens),
        cache_write_tokens: sum(|row| row.cache_write_tokens),
        output_tokens: sum(|row| row.output_tokens),
    };
    let (requests, cost) = (sum(|row| row.requests), rows.iter().map(|row| row.cost).sum::<Usd>());
    let models = rows.into_iter().map(of_model).collect::<anyhow::Result<_>>()?;
    let report = OfKey {
        object: "usage",
        key: key.key_id.to_string(),
        range,
        start: (now - length) / 1000,
        end: now / 1000,
        requests,
        tokens,
        cost: number(cost.to_decimal())?,
        unit: "USD",
        models,
    };
    Ok(serde_json::to_string(&report)?)
}

fn of_model(row: KeyUsage) -> anyhow::Result<OfModel> {
    let tokens = Tokens {
        input_tokens: row.input_tokens,
        cached_input_tokens: row.cached_tokens,
        cache_write_tokens: row.cache_write_tokens,
        output_tokens: row.output_tokens,
    };
    Ok(OfModel { model: row.model, requests: row.requests, tokens, cost: number(row.cost.to_decimal())? })
}

#[derive(Serialize)]
struct Generation {
    id: String,
    object: &'static str,
    model: String,
    /// Unix seconds.
    created: i64,
    streamed: bool,
    status: i64,
    outcome: String,
    usage: Tokens,
    /// The tokens were counted here because the provider told none.
    counted: bool,
    cost: Box<RawValue>,
    unit: &'static str,
    time_to_first_byte_ms: Option<i64>,
    duration_ms: i64,
}

/// Answers `GET /api/v1/generations/{id}`, to any key of the one who made the call.
pub async fn generation(State(relay): State<Relay>, id: Result<Path<Id>, PathRejection>, parts: Parts) -> Response<Body> {
    let answer = match auth::visitor(&relay, Tongue::OpenAi, &parts) {
        Ok(key) => match find(&relay, &key, id.ok().map(|Path(id)| id)).await {
            Ok(Some(request)) => described(request).map_err(internal),
            Ok(None) => Err(ApiError::not_found("You made no request of this number. Its number is the header 'x-request-id' of its answer.")),
            Err(error) => Err(internal(error)),
        },
        Err(error) => Err(error),
    };
    respond(&relay, answer)
}

async fn find(relay: &Relay, key: &Entry, id: Option<Id>) -> anyhow::Result<Option<RequestView>> {
    let Some(id) = id.filter(|id| id.0 < i64::MAX) else { return Ok(None) };
    let latest = usage::recent(&mut *relay.db.read().await?, key.user_id, Some(Id(id.0 + 1)), 1).await?;
    Ok(latest.into_iter().find(|request| request.id == id))
}

fn described(request: RequestView) -> anyhow::Result<String> {
    let usage = Tokens {
        input_tokens: request.input_tokens,
        cached_input_tokens: request.cached_tokens,
        cache_write_tokens: request.cache_write_tokens,
        output_tokens: request.output_tokens,
    };
    let generation = Generation {
        id: request.id.to_string(),
        object: "generation",
        model: request.model,
        created: request.id.made_at_ms() / 1000,
        streamed: request.streamed,
        status: request.status,
        outcome: request.outcome,
        usage,
        counted: request.counted,
        cost: number(request.cost.to_decimal())?,
        unit: "USD",
        time_to_first_byte_ms: request.ttft_ms,
        duration_ms: request.duration_ms,
    };
    Ok(serde_json::to_string(&generation)?)
}
