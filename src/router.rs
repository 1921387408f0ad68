//! Every path of the site and the API, and nothing else.

use crate::app::App;
use crate::relay::{self, Relay, billing, chat, models};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use std::sync::atomic::Ordering;

/// All of it.
pub fn build(app: App) -> Router {
    Router::new().merge(health().with_state(app.clone())).merge(api().with_state(app.relay.clone()))
}

fn health() -> Router<App> {
    Router::new().route("/healthz", get(alive)).route("/api/health", get(alive)).route("/readyz", get(ready))
}

fn api() -> Router<Relay> {
    let v1 = Router::new()
        .route("/chat/completions", post(chat::chat_completions))
        .route("/models", get(models::list))
        .route("/models/{*id}", get(models::one))
        .route("/dashboard/billing/subscription", get(billing::subscription))
        .route("/dashboard/billing/usage", get(billing::total_usage))
        .fallback(relay::unknown_url)
        .method_not_allowed_fallback(relay::wrong_method);
    Router::new()
        .nest("/v1", v1)
        .route("/dashboard/billing/subscription", get(billing::subscription))
        .route("/dashboard/billing/usage", get(billing::total_usage))
}

/// The process runs.
async fn alive() -> &'static str {
    "ok"
}

/// The node takes requests: its database answers and it is not going down.
async fn ready(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.draining.load(Ordering::Acquire) {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining");
    }
    match app.db.ping().await {
        Ok(()) => (StatusCode::OK, "ready"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database is away"),
    }
}
