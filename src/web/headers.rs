//! What every page tells the browser not to do.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;

/// Only our own files: no inline script or style, no other host, no frame around us.
pub const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'";

const FIXED: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // Links in mails carry tokens in the query: they must not leak to the next site.
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=()"),
];

/// Sets the security headers. Pages are private to who asked for them unless the handler said otherwise.
pub fn secure(mut response: Response, https: bool) -> Response {
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_inline_and_no_other_host() {
        let answer = secure(Response::default(), false);
        let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert!(!answer.headers().contains_key(header::STRICT_TRANSPORT_SECURITY));
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
        assert!(secure(Response::default(), true).headers().contains_key(header::STRICT_TRANSPORT_SECURITY));
    }
}
