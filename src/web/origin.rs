//! Forms come from our own pages only: browsers say where a request comes from, and a token in the form proves it again.

use axum::http::HeaderMap;
use axum::http::header;
use url::Url;

/// Whether the browser says that the request comes from this site, or says nothing.
pub fn is_ours(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin")) {
        // A page of ours, or the visitor's own doing (a bookmark, the address bar).
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => text(header::HOST.as_str()).is_some_and(|host| same_host(origin, host)),
        // Old browsers say nothing: the token has to do.
        (None, None) => true,
    }
}

/// The scheme is not compared: behind a proxy that ends TLS we see http where the browser saw https.
fn same_host(origin: &str, host: &str) -> bool {
    let Ok(url) = Url::parse(origin) else { return false };
    let known = |port: Option<u16>| port.map_or_else(String::new, |port| format!(":{port}"));
    url.host_str().is_some_and(|name| format!("{name}{}", known(url.port())).eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (axum::http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn other_sites_cannot_post() {
        for (pairs, ours) in [
            (&[][..], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("origin", "http://127.0.0.1:3000"), ("host", "127.0.0.1:3000")], true),
            (&[("origin", "https://shop.example"), ("host", "shop.example")], true),
            (&[("origin", "https://shop.example:444"), ("host", "shop.example")], false),
            (&[("origin", "https://evil.example"), ("host", "shop.example")], false),
            (&[("origin", "null"), ("host", "shop.example")], false),
            (&[("origin", "https://shop.example")], false),
            (&[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")], true),
        ] {
            assert_eq!(is_ours(&headers(pairs)), ours, "{pairs:?}");
        }
    }
}
