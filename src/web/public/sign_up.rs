//! Signing up and confirming the address.

use super::views::{SignUp, Verify};
use super::{Link, dead_link, email, password, problem};
use crate::accounts::{self, AccountError};
use crate::kernel::Usd;
use crate::referrals::{self, Invitation, Rules};
use crate::web::error::{Answer, Problem};
use crate::web::page::{render, render_as};
use crate::web::who::{Customer, Guest};
use crate::web::{Form, Site, flash};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use tower_sessions::Session;

/// `GET /sign-up`
pub async fn show(State(site): State<Site>, Guest { page, user, session, .. }: Guest) -> Answer {
    if user.is_some() {
        return Ok(Redirect::to("/account").into_response());
    }
    let (form, invited) = (Form::empty(page.lang), invited_by(&site, &session).await?);
    Ok(render(&SignUp { page, form, invited }))
}

/// What the shop gives to a visitor who has come by somebody's link.
async fn invited_by(site: &Site, session: &Session) -> Result<Option<Rules>, Problem> {
    if session.get::<String>(INVITATION).await?.is_none() {
        return Ok(None);
    }
    let rules = referrals::rules(&mut *site.db.read().await?).await?;
    Ok(Some(rules).filter(|rules| rules.enabled && rules.welcome > Usd::ZERO))
}

/// Where the session of a visitor keeps the link that they came by.
const INVITATION: &str = "invitation";

/// `GET /r/{code}`: a customer's link. The visitor's session keeps it until they sign up; one that leads nowhere is forgotten without a word.
pub async fn invited(State(site): State<Site>, Guest { user, session, .. }: Guest, Path(code): Path<String>) -> Answer {
    if user.is_some() {
        return Ok(Redirect::to("/account").into_response());
    }
    if let Some(code) = referrals::follow(&mut *site.db.read().await?, &code).await? {
        session.insert(INVITATION, code).await?;
    }
    Ok(Redirect::to("/sign-up").into_response())
}

/// `POST /sign-up`: the same answer whether the address has an account or not.
pub async fn submit(State(site): State<Site>, Guest { page, session, source, .. }: Guest, mut form: Form) -> Answer {
    let (Some(email), Some(password)) = (email(&mut form), password(&mut form)) else {
        let invited = invited_by(&site, &session).await?;
        return Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &SignUp { page, form, invited }));
    };
    let sent = page.with("sign_up.sent", "email", email.as_str());
    let code: Option<String> = session.get(INVITATION).await?;
    let invitation = code.map(|code| Invitation { code, mark: referrals::mark(&site.secret, &source) });
    site.accounts.sign_up(&accounts::SignUp { email, password, lang: page.lang, invitation }, &source).await.map_err(problem)?;
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
