//! One visit of one page: who came, in which language, and how the answer leaves.
//!
//! The layer [`greet`] stands around every page. It finds out who visits, lets the handler work, turns what went wrong into a
//! page ([`error`](super::error)) and sets the security headers.

use super::page::Theme;
use super::{Site, error, headers};
use crate::accounts::{self, User};
use crate::i18n::Lang;
use crate::kernel::Id;
use crate::sessions;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tower_sessions::Session;
use tracing::Instrument;

/// The cookie of the language.
pub const LANGUAGE_COOKIE: &str = "language";
/// The cookie of light and dark, which `app.js` writes.
const THEME_COOKIE: &str = "theme";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is known of a visit. In the request's extensions.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Names the visit in the log and on error pages.
    pub id: Id,
    /// Who came, when logged in.
    pub user: Option<User>,
    /// The account's language, else the cookie's, else the browser's.
    pub lang: Lang,
    /// Light or dark.
    pub theme: Theme,
    /// Path and query.
    pub here: String,
    /// Asked by htmx for a part of a page.
    pub fragment: bool,
    /// The caller's address as limits count it.
    pub source: String,
}

/// The layer around every page.
pub async fn greet(State(site): State<Site>, mut request: Request, next: Next) -> Response {
    let id = site.kit.ids.next();
    let span = tracing::info_span!("visit", request = %id, method = %request.method(), path = request.uri().path());
    let stranger = stranger(&site, id, &request);
    let session = request.extensions().get::<Session>().cloned();
    let visit = match recognise(&site, stranger.clone(), session).await {
        Ok(visit) => visit,
        Err(failed) => return finish(&site, id, error::answer(&site, &stranger, failed.into_response())),
    };
    let visit = Arc::new(visit);
    request.extensions_mut().insert(Arc::clone(&visit));
    let response = next.run(request).instrument(span.clone()).await;
    let _entered = span.enter();
    let response = error::answer(&site, &visit, response);
    finish(&site, id, response)
}

fn finish(site: &Site, id: Id, response: Response) -> Response {
    let mut response = headers::secure(response, site.public_url.is_https());
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

async fn recognise(site: &Site, mut visit: Visit, session: Option<Session>) -> Result<Visit, error::Problem> {
    let Some(session) = session else { return Ok(visit) };
    // Without a cookie there is no session, and the database is not asked.
    if let Some(user) = sessions::user(&session).await? {
        visit.user = accounts::find(&mut *site.db.read().await?, user).await?.filter(|user| user.disabled_at.is_none());
    }
    if let Some(chosen) = visit.user.as_ref().and_then(|user| user.locale.as_deref()).and_then(Lang::parse) {
        visit.lang = chosen;
    }
    Ok(visit)
}

fn stranger(site: &Site, id: Id, request: &Request) -> Visit {
    let headers = request.headers();
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Visit {
        id,
        user: None,
        lang: cookie(headers, LANGUAGE_COOKIE).and_then(Lang::parse).unwrap_or_else(|| Lang::from_accept_language(accepted)),
        theme: cookie(headers, THEME_COOKIE).map(Theme::parse).unwrap_or_default(),
        here: request.uri().path_and_query().map_or("/", |here| here.as_str()).to_owned(),
        fragment: headers.contains_key("hx-request"),
        source: source(site, request),
    }
}

fn source(site: &Site, request: &Request) -> String {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
    crate::limits::source(site.proxies.caller(peer, request.headers()))
}

/// A cookie's value.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('=')).find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// The visit that [`greet`] noted.
///
/// # Errors
/// A 500 when the layer is missing: a mistake in the router.
pub fn of(parts: &Parts) -> Result<Arc<Visit>, error::Problem> {
    parts.extensions.get::<Arc<Visit>>().cloned().ok_or_else(|| error::Problem::internal("the visit layer is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=1; language=zh;theme=dark".parse().unwrap());
        headers.append(header::COOKIE, "b=2".parse().unwrap());
        assert_eq!((cookie(&headers, "language"), cookie(&headers, "theme"), cookie(&headers, "b")), (Some("zh"), Some("dark"), Some("2")));
        assert_eq!(cookie(&headers, "guage"), None);
    }
}
