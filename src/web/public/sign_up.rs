//! Signing up and confirming the address.

use super::views::{SignUp, Verify};
use super::{Link, dead_link, email, password, problem};
use crate::accounts::{self, AccountError};
use crate::web::error::Answer;
use crate::web::page::{render, render_as};
use crate::web::who::{Customer, Guest};
use crate::web::{Form, Site, flash};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

/// `GET /sign-up`
pub async fn show(Guest { page, user, .. }: Guest) -> Answer {
    if user.is_some() {
        return Ok(Redirect::to("/account").into_response());
    }
    let form = Form::empty(page.lang);
    Ok(render(&SignUp { page, form }))
}

/// `POST /sign-up`: the same answer whether the address has an account or not.
pub async fn submit(State(site): State<Site>, Guest { page, session, source, .. }: Guest, mut form: Form) -> Answer {
    let (Some(email), Some(password)) = (email(&mut form), password(&mut form)) else {
        return Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &SignUp { page, form }));
    };
    let sent = page.with("sign_up.sent", "email", email.as_str());
    site.accounts.sign_up(&accounts::SignUp { email, password, lang: page.lang }, &source).await.map_err(problem)?;
    flash::good(&session, sent).await?;
    Ok(Redirect::to("/log-in").into_response())
}

/// `GET /verify?token=`: a button, because mail scanners open every link and must not confirm an address.
pub async fn ask(Guest { page, .. }: Guest, Query(Link { token }): Query<Link>) -> Answer {
    Ok(render(&Verify { page, token }))
}

/// `POST /verify`
pub async fn verify(State(site): State<Site>, Guest { page, session, user, .. }: Guest, form: Form) -> Answer {
    let verified = match site.accounts.verify(form.text("token")).await {
        Ok(verified) => verified,
        Err(AccountError::Link(why)) => return Ok(dead_link(page, why, "/account", "nav.dashboard")),
        Err(other) => return Err(problem(other)),
    };
    // Their keys may spend from now on.
    site.keys.refresh(&site.db).await?;
    flash::good(&session, page.t("verify.done")).await?;
    let same = user.is_some_and(|user| user.id == verified.id);
    Ok(Redirect::to(if same { "/account" } else { "/log-in" }).into_response())
}

/// `POST /verify/resend`
pub async fn resend(State(site): State<Site>, Customer { page, user, session, .. }: Customer, _form: Form) -> Answer {
    match site.accounts.resend(user.id).await {
        Ok(()) => flash::good(&session, page.with("sign_up.sent", "email", &user.email)).await?,
        Err(AccountError::AlreadyVerified) => flash::good(&session, page.t("verify.done")).await?,
        Err(other) => return Err(problem(other)),
    }
    Ok(Redirect::to("/account").into_response())
}
