//! The shop window: what everyone sees, and how one becomes a customer.

pub mod home;
pub mod language;
pub mod log_in;
pub mod password;
#[cfg(test)]
mod samples;
pub mod setup;
pub mod sign_up;
pub mod views;

use super::error::Problem;
use super::{Form, Page};
use crate::accounts::{AccountError, Email, LinkError, Password};
use axum::response::Response;
use views::Message;

/// What is not the visitor's typing mistake.
pub(super) fn problem(error: AccountError) -> Problem {
    match error {
        AccountError::TooMany(limit) => Problem::TooMany(limit.retry_after_s),
        AccountError::NotFound => Problem::NotFound,
        AccountError::NotAllowed => Problem::Forbidden,
        other => Problem::internal(other),
    }
}

fn email(form: &mut Form) -> Option<Email> {
    form.read("email", "field.email", Email::parse)
}

/// Passwords are taken as typed: space around one belongs to it.
fn password(form: &mut Form) -> Option<Password> {
    let parsed = Password::parse(form.raw("password")).ok();
    if parsed.is_none() {
        form.refuse("password", "field.password");
    }
    parsed
}

/// A mailed link that does not work: why, and how to get another.
fn dead_link(page: Page, why: LinkError, link: &str, link_text: &str) -> Response {
    let (title, text) = match why {
        LinkError::Used => ("link.used", "link.used_text"),
        LinkError::Unknown | LinkError::Expired => ("link.expired", "link.expired_text"),
    };
    let (title, text, link_text) = (page.t(title).into_owned(), page.t(text).into_owned(), page.t(link_text).into_owned());
    let message = Message { title, text, link: link.to_owned(), link_text, request_id: None, page };
    super::page::render_as(axum::http::StatusCode::GONE, &message)
}

/// The token that a mailed link carries.
#[derive(serde::Deserialize)]
pub struct Link {
    #[serde(default)]
    token: String,
}
