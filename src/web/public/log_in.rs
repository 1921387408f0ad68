//! Logging in and out.

use super::problem;
use super::views;
use crate::accounts::{AccountError, LogIn, User};
use crate::kernel::secrets::Secret;
use crate::sessions;
use crate::web::error::Answer;
use crate::web::page::{render, render_as};
use crate::web::who::{Customer, Guest, local};
use crate::web::{Form, Site, flash};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

/// Where to go afterwards.
#[derive(serde::Deserialize)]
pub struct Next {
    #[serde(default)]
    next: String,
}

/// `GET /log-in`
pub async fn show(Guest { page, user, .. }: Guest, Query(Next { next }): Query<Next>) -> Answer {
    if let Some(user) = user {
        return Ok(Redirect::to(local(&next, start(&user))).into_response());
    }
    let form = Form::empty(page.lang);
    Ok(render(&views::LogIn { page, form, next }))
}

/// `POST /log-in`
pub async fn submit(State(site): State<Site>, Guest { page, session, source, .. }: Guest, mut form: Form) -> Answer {
    let next = form.text("next").to_owned();
    let typed = LogIn { email: form.text("email").to_owned(), password: Secret::new(form.raw("password").to_owned()) };
    let wrong = match site.accounts.log_in(&typed, &source).await {
        Ok(user) => {
            sessions::log_in(&session, &user).await?;
            return Ok(Redirect::to(local(&next, start(&user))).into_response());
        }
        Err(AccountError::WrongLogIn) => "log_in.wrong",
        Err(AccountError::Disabled) => "log_in.disabled",
        Err(other) => return Err(problem(other)),
    };
    form.refuse("", wrong);
    Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &views::LogIn { page, form, next }))
}

/// `POST /log-out`
pub async fn leave(Customer { page, session, .. }: Customer, _form: Form) -> Answer {
    sessions::log_out(&session).await?;
    flash::good(&session, page.t("log_in.left")).await?;
    Ok(Redirect::to("/log-in").into_response())
}

/// Where somebody lands who asked for no page: the shop's people in the back office.
fn start(user: &User) -> &'static str {
    if user.is_admin() { "/admin" } else { "/account" }
}
