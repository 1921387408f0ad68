//! Who calls: the key in the headers, looked up in memory.

use super::Relay;
use super::error::ApiError;
use crate::keys::{ApiKey, Entry};
use axum::http::{HeaderMap, header};
use std::sync::Arc;

/// The live key that a request came with, from `Authorization: Bearer` or `x-api-key`.
///
/// # Errors
/// A 401 that does not tell an unknown key from one that is disabled or expired.
pub(super) fn authenticate(relay: &Relay, headers: &HeaderMap) -> Result<Arc<Entry>, ApiError> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer_token);
    let text = bearer.or_else(|| headers.get("x-api-key").and_then(|value| value.to_str().ok()));
    let key = text.and_then(|text| ApiKey::parse(text.trim()).ok()).ok_or_else(ApiError::invalid_key)?;
    let entry = relay.keys.get(&key).ok_or_else(ApiError::invalid_key)?;
    if entry.is_live(relay.kit.clock.now_ms()) { Ok(entry) } else { Err(ApiError::invalid_key()) }
}

/// The scheme's name is case-insensitive (RFC 9110, 11.1).
fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_may_be_written_in_any_case() {
        assert_eq!(bearer_token("Bearer sk-x"), Some("sk-x"));
        assert_eq!(bearer_token("bearer sk-x"), Some("sk-x"));
        assert_eq!(bearer_token("Basic sk-x"), None);
        assert_eq!(bearer_token("sk-x"), None);
    }
}
