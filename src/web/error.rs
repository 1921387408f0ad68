//! What a visitor sees when something goes wrong: one renderer for pages and for the fragments that htmx asks for.
//!
//! A handler returns a [`Problem`]; the visit's layer turns it into a page in the visitor's language. What happened inside goes to
//! the log, under the request's id that the page shows; it never goes to the visitor.

use super::page::{Page, render_as};
use super::public::views::Message;
use super::visit::Visit;
use super::{Site, page};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use std::fmt::Display;

/// What a handler gives back.
pub type Answer = Result<Response, Problem>;

/// What went wrong, as far as a visitor may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// There is no such page or thing.
    NotFound,
    /// The visitor is known and may not.
    Forbidden,
    /// The path does not take this method.
    Method,
    /// The form's token is not this session's, or the form came from another site.
    Stale,
    /// More than a form may carry.
    TooLarge,
    /// Not a form.
    BadRequest,
    /// Too many attempts; seconds until the next.
    TooMany(i64),
    /// Our fault. The log has the rest.
    Internal,
}

impl Problem {
    /// Our fault: logs what happened.
    pub fn internal(what: impl Display) -> Self {
        tracing::error!(error = %what, "a page failed");
        Problem::Internal
    }

    fn status(self) -> StatusCode {
        match self {
            Problem::NotFound => StatusCode::NOT_FOUND,
            Problem::Forbidden | Problem::Stale => StatusCode::FORBIDDEN,
            Problem::Method => StatusCode::METHOD_NOT_ALLOWED,
            Problem::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Problem::BadRequest => StatusCode::BAD_REQUEST,
            Problem::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Problem::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The keys of the heading and of the sentence.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Problem::NotFound | Problem::Method => ("error.not_found", "error.not_found_text"),
            Problem::Forbidden => ("error.forbidden", "error.forbidden_text"),
            Problem::Stale => ("error.stale", "error.stale_text"),
            Problem::TooLarge | Problem::BadRequest => ("error.bad", "error.bad_text"),
            Problem::TooMany(_) => ("error.too_many", "error.too_many_text"),
            Problem::Internal => ("error.internal", "error.internal_text"),
        }
    }
}

/// Everything that a handler does not answer itself is our fault.
impl<E: std::error::Error> From<E> for Problem {
    fn from(error: E) -> Self {
        Problem::internal(error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The answer to a panic: nothing of it reaches the visitor.
pub fn panicked(what: Box<dyn std::any::Any + Send>) -> Response {
    let text = what.downcast_ref::<String>().map(String::as_str).or_else(|| what.downcast_ref::<&str>().copied());
    Problem::internal(format_args!("panic: {}", text.unwrap_or("no message"))).into_response()
}

/// Turns a problem into a page; leaves every other answer as it is.
pub fn answer(site: &Site, visit: &Visit, response: Response) -> Response {
    let known = response.extensions().get::<Problem>().copied();
    // What the router and its extractors refuse: a wrong method, an id or a cursor that is none.
    let by_status = match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => Some(Problem::Method),
        StatusCode::BAD_REQUEST => Some(Problem::NotFound),
        _ => None,
    };
    let Some(problem) = known.or(by_status) else { return response };
    let mut page = page::context(site, visit);
    page.here = "/".to_owned();
    let mut answer = render_as(problem.status(), &message(page, problem, visit));
    if let Problem::TooMany(seconds) = problem {
        answer.headers_mut().insert(axum::http::header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    if visit.fragment {
        // htmx puts a part of the answer into the page; a problem takes the whole page instead.
        answer.headers_mut().insert(HeaderName::from_static("hx-retarget"), HeaderValue::from_static("body"));
        answer.headers_mut().insert(HeaderName::from_static("hx-reswap"), HeaderValue::from_static("innerHTML"));
    }
    answer
}

fn message(page: Page, problem: Problem, visit: &Visit) -> Message {
    let (title, text) = problem.words();
    let (title, text) = (page.t(title).into_owned(), page.t(text).into_owned());
    let (link, link_text) = match visit.user {
        Some(_) => ("/account", page.t("nav.dashboard")),
        None => ("/", page.t("error.home")),
    };
    let request_id = (problem == Problem::Internal).then(|| visit.id.to_string());
    Message { link: link.to_owned(), link_text: link_text.into_owned(), page, title, text, request_id }
}
