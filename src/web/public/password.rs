//! A forgotten password.

use super::views::{Forgot, Reset};
use super::{Link, dead_link, email, password, problem};
use crate::accounts::AccountError;
use crate::web::error::Answer;
use crate::web::page::{render, render_as};
use crate::web::who::Guest;
use crate::web::{Form, Site, flash};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

/// `GET /forgot`
pub async fn ask(Guest { page, .. }: Guest) -> Answer {
    let form = Form::empty(page.lang);
    Ok(render(&Forgot { page, form }))
}

/// `POST /forgot`: the same answer whether the address has an account or not.
pub async fn send(State(site): State<Site>, Guest { page, session, source, .. }: Guest, mut form: Form) -> Answer {
    let Some(email) = email(&mut form) else { return Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &Forgot { page, form })) };
    site.accounts.request_reset(&email, page.lang, &source).await.map_err(problem)?;
    flash::good(&session, page.with("forgot.sent", "email", email.as_str())).await?;
    Ok(Redirect::to("/log-in").into_response())
}

/// `GET /reset?token=`
pub async fn show(State(site): State<Site>, Guest { page, .. }: Guest, Query(Link { token }): Query<Link>) -> Answer {
    match site.accounts.check_reset(&token).await {
        Ok(()) => {}
        Err(AccountError::Link(why)) => return Ok(dead_link(page, why, "/forgot", "forgot.title")),
        Err(other) => return Err(problem(other)),
    }
    let form = Form::empty(page.lang);
    Ok(render(&Reset { page, form, token }))
}

/// `POST /reset`
pub async fn save(State(site): State<Site>, Guest { page, session, source, .. }: Guest, mut form: Form) -> Answer {
    let token = form.text("token").to_owned();
    let Some(password) = password(&mut form) else { return Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &Reset { page, form, token })) };
    match site.accounts.reset(&token, &password, &source).await {
        Ok(_) => {}
        Err(AccountError::Link(why)) => return Ok(dead_link(page, why, "/forgot", "forgot.title")),
        Err(other) => return Err(problem(other)),
    }
    flash::good(&session, page.t("reset.done")).await?;
    Ok(Redirect::to("/log-in").into_response())
}
