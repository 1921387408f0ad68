//! Whether a call may be served now: where it comes from, what it asks for, and how much its key and its owner have asked for lately.

use super::Relay;
use super::error::ApiError;
use super::operation::Tongue;
use crate::keys::{Allowance, Entry};
use crate::limits::{Exceeded, Permit, Rate, Rates, Scope, ScopeId, What, Whose};
use crate::plans;
use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Lets a call through, or says why not: a limit of the key or of its owner is reached.
///
/// To be called after the key was authenticated, its address and the model checked ([`check_address`], [`check_model`]), and before money is held. `tokens` is what the
/// request will probably use, input and output together. Keep the permit until the request has ended, then call [`Permit::finish`] with the tokens that it used; put
/// [`headers`] on the answer. A permit that is dropped gives everything back but the request itself: so a request that comes to nothing counts as well.
///
/// # Errors
/// 429 `rate_limit_exceeded` with the headers of the limits and with when to try again.
pub(super) async fn admit(relay: &Relay, key: &Entry, tokens: u64, tongue: Tongue) -> Result<Permit, ApiError> {
    let defaults = relay.settings.now().allowance;
    // A plan is better than what every customer has; what was set for this one is nearer still.
    let of_user = match relay.plans.of(key.user_id) {
        None => key.user_allowance(&defaults).rules,
        Some(all) => {
            let planned = plans::limits(&all, relay.kit.clock.now_ms()).rules();
            key.user_allowance(&Allowance { rules: planned.or(defaults.rules), ..defaults }).rules
        }
    };
    let scopes = [
        Scope { id: ScopeId { whose: Whose::Key, id: key.key_id }, rules: key.rules() },
        Scope { id: ScopeId { whose: Whose::User, id: key.user_id }, rules: of_user },
    ];
    relay.limits.admit(&scopes, tokens).await.map_err(|exceeded| {
        let headers = headers(tongue, &exceeded.rates, relay.kit.clock.now_ms());
        ApiError::rate_limited(message(&exceeded), exceeded.retry_after_ms).with_headers(headers)
    })
}

/// Whether the key may call this model.
///
/// # Errors
/// 403 `model_not_allowed`.
pub(super) fn check_model(key: &Entry, model: &str) -> Result<(), ApiError> {
    if key.may_use(model) { Ok(()) } else { Err(ApiError::model_not_allowed(model)) }
}

/// Whether the key may be called from this address.
///
/// # Errors
/// 403 `ip_not_allowed`.
pub(super) fn check_address(key: &Entry, address: IpAddr) -> Result<(), ApiError> {
    if key.allows(address) { Ok(()) } else { Err(ApiError::ip_not_allowed(address)) }
}

/// Where a request comes from: the connection's other end, or whom a trusted proxy names.
pub(super) fn address_of(relay: &Relay, parts: &Parts) -> IpAddr {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
    relay.proxies.caller(peer, &parts.headers)
}

fn message(exceeded: &Exceeded) -> String {
    let Exceeded { what, whose, limit, retry_after_ms, .. } = exceeded;
    let whose = match whose {
        Whose::Key => "this key",
        Whose::User => "your account",
    };
    let wait = span(*retry_after_ms);
    match what {
        What::Requests => format!("{limit} requests per minute are the limit of {whose}. Try again in {wait}."),
        What::Tokens => format!("{limit} tokens per minute are the limit of {whose}. Try again in {wait}."),
        What::Day => format!("{limit} requests per day are the limit of {whose}. Try again in {wait}."),
        What::Concurrency => format!("{limit} requests at the same time are the limit of {whose}. Wait for one of them to end."),
    }
}

/// The headers that tell a caller how much of the tightest limits is left; none without limits. OpenAI's names, which tools of all kinds look for, have the time
/// until a limit is whole again; Anthropic's, for its dialect, have the moment.
pub(super) fn headers(tongue: Tongue, rates: &Rates, now_ms: i64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (kind, rate) in [("requests", rates.requests), ("tokens", rates.tokens)] {
        let Some(rate) = rate else { continue };
        add(&mut headers, kind, &rate, &span(rate.reset_ms), |kind, what| format!("x-ratelimit-{what}-{kind}"));
        if tongue == Tongue::Anthropic {
            let at = Timestamp::from_millisecond(now_ms.saturating_add(rate.reset_ms)).unwrap_or(Timestamp::MAX);
            add(&mut headers, kind, &rate, &at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), |kind, what| format!("anthropic-ratelimit-{kind}-{what}"));
        }
    }
    headers
}

fn add(headers: &mut HeaderMap, kind: &str, rate: &Rate, reset: &str, name: impl Fn(&str, &str) -> String) {
    let values = [("limit", HeaderValue::from(rate.limit)), ("remaining", HeaderValue::from(rate.remaining))];
    let reset = HeaderValue::from_str(reset).map(|reset| ("reset", reset));
    for (what, value) in values.into_iter().chain(reset) {
        if let Ok(name) = HeaderName::try_from(name(kind, what)) {
            headers.insert(name, value);
        }
    }
}

/// A span of time as OpenAI's headers have it: `20ms`, `1.5s`, `6m0s`, `1h0m5s`.
fn span(ms: i64) -> String {
    let (seconds, millis) = (ms.max(0) / 1000, ms.max(0) % 1000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = if millis == 0 { format!("{}s", seconds % 60) } else { format!("{}.{millis:03}s", seconds % 60) };
    match (hours, minutes) {
        (0, 0) if seconds == 0 && millis > 0 => format!("{millis}ms"),
        (0, 0) => rest,
        (0, _) => format!("{minutes}m{rest}"),
        _ => format!("{hours}h{minutes}m{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_openai_writes_them() {
        for (ms, text) in
            [(0, "0s"), (20, "20ms"), (1_000, "1s"), (1_500, "1.500s"), (360_000, "6m0s"), (3_605_000, "1h0m5s"), (90_000_000, "25h0m0s"), (-5, "0s")]
        {
            assert_eq!(span(ms), text);
        }
    }

    #[test]
    fn each_dialect_has_its_names() {
        let rate = Rate { limit: 60, remaining: 59, reset_ms: 1_000 };
        let rates = Rates { requests: Some(rate), tokens: None };
        let of = |tongue| headers(tongue, &rates, 1_767_225_600_000);
        let names = |headers: &HeaderMap| headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect::<Vec<_>>().join("; ");
        let open = "x-ratelimit-limit-requests: 60; x-ratelimit-remaining-requests: 59; x-ratelimit-reset-requests: 1s";
        assert_eq!(names(&of(Tongue::OpenAi)), open);
        let anthropic =
            "anthropic-ratelimit-requests-limit: 60; anthropic-ratelimit-requests-remaining: 59; anthropic-ratelimit-requests-reset: 2026-01-01T00:00:01Z";
        assert_eq!(names(&of(Tongue::Anthropic)), format!("{open}; {anthropic}"));
        assert!(headers(Tongue::Anthropic, &Rates::default(), 0).is_empty());
    }
}
