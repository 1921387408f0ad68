//! Extractors that authorise: a handler that takes one runs only for whom it is meant.

use super::error::Problem;
use super::page::{self, Page, Visitor};
use super::visit;
use super::{Site, flash};
use crate::accounts::{Role, User};
use crate::ledger::Balance;
use crate::sessions::csrf;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Redirect, Response};
use tower_sessions::Session;

/// Anybody.
pub struct Guest {
    /// What the template knows.
    pub page: Page,
    /// Who it is, when logged in.
    pub user: Option<User>,
    /// The session.
    pub session: Session,
    /// The caller's address as limits count it.
    pub source: String,
}

/// Somebody who is logged in.
pub struct Customer {
    /// Who.
    pub user: User,
    /// What the template knows.
    pub page: Page,
    /// What the side bar and the dashboard show.
    pub balance: Balance,
    /// The session.
    pub session: Session,
    /// The caller's address as limits count it.
    pub source: String,
}

/// Somebody to whom the back office is open.
pub struct Admin(pub Customer);

/// The owner of the shop.
pub struct Owner(pub Customer);

/// Why somebody may not see a page.
pub enum Refusal {
    /// Nobody is logged in: the log-in page, which leads back.
    LogIn(String),
    /// Anything else.
    Problem(Problem),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::LogIn(next) => Redirect::to(&log_in_link(&next)).into_response(),
            Refusal::Problem(problem) => problem.into_response(),
        }
    }
}

impl<E: Into<Problem>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Refusal::Problem(error.into())
    }
}

/// The log-in page, leading to `next` afterwards.
fn log_in_link(next: &str) -> String {
    let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
    format!("/log-in?{query}")
}

impl FromRequestParts<Site> for Guest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Problem> {
        let visit = visit::of(parts)?;
        let session = Session::from_request_parts(parts, site).await.map_err(|(_, why)| Problem::internal(why))?;
        let mut page = page::context(site, &visit);
        page.flashes = flash::take(&session).await?;
        page.csrf = csrf::token(&session, &site.kit.random).await?;
        Ok(Self { page, user: visit.user.clone(), session, source: visit.source.clone() })
    }
}

impl FromRequestParts<Site> for Customer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Refusal> {
        let visit = visit::of(parts)?;
        let Some(user) = visit.user.clone() else { return Err(Refusal::LogIn(way_back(parts))) };
        let Guest { mut page, session, source, .. } = Guest::from_request_parts(parts, site).await?;
        let balance = site.books.balance(&mut *site.db.read().await?, user.id).await?;
        page.visitor = Some(Visitor { balance: Some(balance.available), ..Visitor::of(&user) });
        Ok(Self { user, page, balance, session, source })
    }
}

impl FromRequestParts<Site> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Refusal> {
        let mut customer = Customer::from_request_parts(parts, site).await?;
        // In the back office the admin's own balance would only mislead.
        customer.page.visitor = Some(Visitor::of(&customer.user));
        if customer.user.is_admin() { Ok(Self(customer)) } else { Err(Refusal::Problem(Problem::Forbidden)) }
    }
}

impl FromRequestParts<Site> for Owner {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Refusal> {
        let Admin(customer) = Admin::from_request_parts(parts, site).await?;
        if customer.user.role == Role::Owner { Ok(Self(customer)) } else { Err(Refusal::Problem(Problem::Forbidden)) }
    }
}

/// Where to go after log-in: the page that was asked for. What was posted is gone, so then the page it came from.
fn way_back(parts: &Parts) -> String {
    if parts.method == Method::GET {
        return parts.uri.path_and_query().map_or("/account", |here| here.as_str()).to_owned();
    }
    let referer = parts.headers.get(header::REFERER).and_then(|value| value.to_str().ok()).and_then(|text| url::Url::parse(text).ok());
    referer.map_or_else(|| "/account".to_owned(), |url| url.path().to_owned())
}

/// `next` if it is a path of this site, else `otherwise`: nobody is sent to another site.
pub fn local<'a>(next: &'a str, otherwise: &'a str) -> &'a str {
    // A backslash is a slash to browsers, and control characters are dropped by them: both could make "//other.site".
    let plain = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\') && !next.chars().any(char::is_control);
    if plain { next } else { otherwise }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        assert_eq!(local("/account/keys?x=1", "/"), "/account/keys?x=1");
        for bad in ["", "//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example", "javascript:alert(1)", "account"] {
            assert_eq!(local(bad, "/account"), "/account", "{bad:?}");
        }
        assert_eq!(log_in_link("/account/keys?a=b&c"), "/log-in?next=%2Faccount%2Fkeys%3Fa%3Db%26c");
    }
}
