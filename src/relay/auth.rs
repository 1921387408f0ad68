//! Who calls: the key that a request came with, looked up in memory.

use super::error::ApiError;
use super::operation::Tongue;
use super::{Relay, admit};
use crate::keys::{ApiKey, Entry};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use std::borrow::Cow;
use std::sync::Arc;

/// Before the key in `sec-websocket-protocol`: browsers can set no other header when they open a socket.
const SUBPROTOCOL: &str = "openai-insecure-api-key.";

/// The live key that a request came with, from `Authorization: Bearer` or `x-api-key`; on Gemini's paths also from `x-goog-api-key` and `?key=`; last from
/// the subprotocol `openai-insecure-api-key.<key>`.
///
/// # Errors
/// A 401 that does not tell an unknown key from one that is disabled or expired.
pub(super) fn authenticate(relay: &Relay, tongue: Tongue, parts: &Parts) -> Result<Arc<Entry>, ApiError> {
    let text = key_text(tongue, &parts.headers, &parts.uri).ok_or_else(ApiError::invalid_key)?;
    live(relay, &text)
}

/// The same for a path that reaches no upstream, where the key's addresses are all that there is to check.
///
/// # Errors
/// As [`authenticate`], and 403 when the key may not be called from there.
pub(super) fn visitor(relay: &Relay, tongue: Tongue, parts: &Parts) -> Result<Arc<Entry>, ApiError> {
    let key = authenticate(relay, tongue, parts)?;
    admit::check_address(&key, admit::address_of(relay, parts))?;
    Ok(key)
}

/// The entry of a key that may be used now.
///
/// # Errors
/// As [`authenticate`].
pub(super) fn live(relay: &Relay, text: &str) -> Result<Arc<Entry>, ApiError> {
    let key = ApiKey::parse(text.trim()).map_err(|_| ApiError::invalid_key())?;
    let entry = relay.keys.get(&key).ok_or_else(ApiError::invalid_key)?;
    if entry.is_live(relay.kit.clock.now_ms()) { Ok(entry) } else { Err(ApiError::invalid_key()) }
}

/// Whether a request names any key.
pub(super) fn is_anonymous(headers: &HeaderMap) -> bool {
    !headers.contains_key(header::AUTHORIZATION) && !headers.contains_key("x-api-key") && in_subprotocol(headers).is_none()
}

fn key_text<'a>(tongue: Tongue, headers: &'a HeaderMap, uri: &'a Uri) -> Option<Cow<'a, str>> {
    let of = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = || of("authorization").and_then(bearer_token);
    let google = || of("x-goog-api-key").map(Cow::from).or_else(|| in_query(uri));
    let first = if tongue == Tongue::Gemini { google() } else { None };
    first.or_else(|| bearer().or_else(|| of("x-api-key")).or_else(|| in_subprotocol(headers)).map(Cow::from))
}

/// A list of protocols, perhaps over several headers (RFC 6455, 4.1).
fn in_subprotocol(headers: &HeaderMap) -> Option<&str> {
    let lists = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).find_map(|protocol| protocol.trim().strip_prefix(SUBPROTOCOL))
}

fn in_query(uri: &Uri) -> Option<Cow<'_, str>> {
    let pairs = url::form_urlencoded::parse(uri.query()?.as_bytes());
    pairs.into_iter().find(|(name, _)| name == "key").map(|(_, value)| value)
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

    #[test]
    fn a_subprotocol_may_carry_the_key_where_nothing_else_does() {
        let uri: Uri = "/v1/models".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.append("sec-websocket-protocol", "realtime".parse().unwrap());
        assert!(is_anonymous(&headers) && key_text(Tongue::OpenAi, &headers, &uri).is_none());
        headers.append("sec-websocket-protocol", "realtime, openai-insecure-api-key.sk-w , openai-beta.realtime-v1".parse().unwrap());
        assert!(!is_anonymous(&headers));
        assert_eq!(key_text(Tongue::OpenAi, &headers, &uri).as_deref(), Some("sk-w"));
        headers.insert("x-api-key", "sk-a".parse().unwrap());
        assert_eq!(key_text(Tongue::OpenAi, &headers, &uri).as_deref(), Some("sk-a"));
    }

    #[test]
    fn gemini_s_ways_count_on_its_paths_only() {
        let uri: Uri = "/v1beta/models?alt=sse&key=sk%2Dq".parse().unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(key_text(Tongue::Gemini, &headers, &uri).as_deref(), Some("sk-q"));
        assert_eq!(key_text(Tongue::OpenAi, &headers, &uri), None);
        headers.insert("x-goog-api-key", "sk-g".parse().unwrap());
        assert_eq!(key_text(Tongue::Gemini, &headers, &uri).as_deref(), Some("sk-g"));
        assert_eq!(key_text(Tongue::Anthropic, &headers, &uri), None);
        headers.insert("x-api-key", "sk-a".parse().unwrap());
        assert_eq!(key_text(Tongue::OpenAi, &headers, &uri).as_deref(), Some("sk-a"));
        headers.insert("authorization", "Bearer sk-b".parse().unwrap());
        assert_eq!(key_text(Tongue::OpenAi, &headers, &uri).as_deref(), Some("sk-b"));
    }
}
