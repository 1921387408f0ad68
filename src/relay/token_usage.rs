//! `GET /api/usage/token/`: what a key was granted and has used, in the shape of New API, whose customers' tools ask for it. Amounts are in its units.

use super::billing::{Standing, internal};
use super::models::{callable, respond};
use super::{Relay, Tongue, auth};
use crate::kernel::{NEVER, Usd};
use crate::keys::{self, Entry};
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use axum::http::request::Parts;
use serde_json::{Map, Value, json};

/// A dollar is 500,000 of New API's units, so one of them is 2,000 nano-dollars.
const NANOS_PER_UNIT: i64 = 2_000;

/// Answers `GET /api/usage/token/`, also when nothing is left.
pub async fn show(State(relay): State<Relay>, parts: Parts) -> Response<Body> {
    let answer = match auth::visitor(&relay, Tongue::OpenAi, &parts) {
        Ok(key) => usage(&relay, &key).await.map_err(internal),
        Err(error) => Err(error),
    };
    respond(&relay, answer)
}

async fn usage(relay: &Relay, key: &Entry) -> anyhow::Result<String> {
    let standing = Standing::of(relay, key).await?;
    let name = keys::find(&mut *relay.db.read().await?, key.user_id, key.key_id).await?.map(|view| view.name).unwrap_or_default();
    let limited = key.has_model_rule();
    // Patterns and what is denied cannot be said in this shape: the models that are left can.
    let models = if limited { callable(relay, key) } else { Vec::new() };
    let model_limits: Map<String, Value> = models.iter().map(|model| (model.name.clone(), Value::Bool(true))).collect();
    let (used, available) = (units(standing.spent), units(standing.left));
    let data = json!({
        "object": "token_usage",
        "name": name,
        "total_granted": used + available,
        "total_used": used,
        "total_available": available,
        "unlimited_quota": standing.is_unbounded,
        "model_limits": model_limits,
        "model_limits_enabled": limited,
        "expires_at": if key.ends_at() == NEVER { 0 } else { key.ends_at() / 1000 },
    });
    Ok(json!({"code": true, "message": "ok", "data": data}).to_string())
}

fn units(amount: Usd) -> i64 {
    amount.0.div_euclid(NANOS_PER_UNIT)
}
