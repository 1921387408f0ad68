//! The upstream's own words about the caller's mistake, in the caller's dialect, without the upstream's name.

use super::ask::{MAX_ERROR, read_up_to};
use super::{Dispatched, Miss};
use crate::channels::{Channel, Kind, Permit, Verdict};
use crate::relay::charge::Call;
use crate::relay::operation::Tongue;
use axum::http::StatusCode;
use reqwest::Response;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// # Errors
/// When it is not the caller's mistake after all.
pub(super) async fn refusal(
    call: &Call,
    channel: &Channel,
    way: &Permit,
    status: StatusCode,
    response: Response,
    idle: Duration,
    deadline: Instant,
) -> Result<Dispatched, Miss> {
    let body = timeout_at(deadline, read_up_to(response, MAX_ERROR, idle)).await;
    let body = body.ok().and_then(Result::ok).unwrap_or_default();
    // Google says of a key that it is wrong with the status of a request that is wrong.
    if channel.kind == Kind::Gemini && memchr::memmem::find(&body, b"API_KEY_INVALID").is_some() {
        return Err(Miss::new(Verdict::Status(401), "its key is not valid"));
    }
    let parsed: Value = serde_json::from_slice(&body).unwrap_or_default();
    // Google wraps an error in a list when a stream was asked for; not every upstream wraps it in an object.
    let parsed = parsed.get(0).unwrap_or(&parsed);
    let error = parsed.get("error").unwrap_or(parsed);
    let clean = |value: &Value| match value {
        Value::String(text) => Some(Value::String(without_names(text, channel, way, &call.envelope.model))),
        Value::Number(_) => Some(value.clone()),
        _ => None,
    };
    let field = |name: &str| error.get(name).and_then(clean);
    let message = field("message").or_else(|| error.get("detail").and_then(clean)).or_else(|| clean(error));
    let message = message.unwrap_or_else(|| "The upstream provider refused the request as invalid.".into());
    let kind = field("type").filter(Value::is_string).unwrap_or_else(|| "invalid_request_error".into());
    let body = match call.tongue() {
        Tongue::OpenAi => json!({"error": {"message": message, "type": kind, "param": field("param"), "code": field("code")}}),
        Tongue::Anthropic => {
            let kind = if status == StatusCode::NOT_FOUND { "not_found_error".into() } else { kind };
            json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": call.id.to_string()})
        }
        Tongue::Gemini => {
            let word = field("status").unwrap_or_else(|| if status == StatusCode::NOT_FOUND { "NOT_FOUND" } else { "INVALID_ARGUMENT" }.into());
            json!({"error": {"code": status.as_u16(), "message": message, "status": word}})
        }
    };
    let why = message.as_str().unwrap_or_default().to_owned();
    Ok(Dispatched::Refused { status, body: body.to_string(), why })
}

/// Shorter values of a channel's own headers are words such as `true`, and no secrets.
const SECRET_LEN: usize = 8;

/// What of a channel's own headers may be a secret: each value, and each word of it, such as the token after `Bearer`.
fn header_secrets(channel: &Channel) -> impl Iterator<Item = &str> {
    let values = channel.options.private.extra_headers.iter().map(|(_, value)| value.as_str());
    values.flat_map(|value| std::iter::once(value).chain(value.split_whitespace())).filter(|secret| secret.len() >= SECRET_LEN)
}

fn without_names(text: &str, channel: &Channel, way: &Permit, public: &str) -> String {
    let mut out: String = text.chars().take(2000).collect();
    let host = channel.base_url.host_str().unwrap_or_default();
    let keys = channel.keys.iter().map(|key| key.secret.reveal().as_str());
    for name in keys.chain(header_secrets(channel)).chain([channel.base_url.as_str(), host, channel.name.as_str()]) {
        if name.len() > 3 {
            out = out.replace(name, "upstream");
        }
    }
    if way.model != public && way.model.len() > 3 { out.replace(&way.model, public) } else { out }
}
