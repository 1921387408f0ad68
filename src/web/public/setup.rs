//! The one-time link that makes the owner and names the shop.

use super::views::Setup;
use super::{Link, email, password, problem};
use crate::accounts::{AccountError, Claim};
use crate::sessions;
use crate::settings::SiteName;
use crate::web::error::{Answer, Problem};
use crate::web::page::{render, render_as};
use crate::web::who::Guest;
use crate::web::{Form, Site, flash};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

/// `GET /setup?token=`
pub async fn show(State(site): State<Site>, Guest { page, source, .. }: Guest, Query(Link { token }): Query<Link>) -> Answer {
    site.accounts.check_setup(&token, &source).await.map_err(refused)?;
    let form = Form::empty(page.lang);
    Ok(render(&Setup { page, form, token }))
}

/// `POST /setup`
pub async fn submit(State(site): State<Site>, Guest { page, session, source, .. }: Guest, mut form: Form) -> Answer {
    let token = form.text("token").to_owned();
    let site_name = form.read("site_name", "settings.bad_site_name", SiteName::parse);
    let (Some(site_name), Some(email), Some(password)) = (site_name, email(&mut form), password(&mut form)) else {
        return Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &Setup { page, form, token }));
    };
    let claim = Claim { email, password, site_name, lang: page.lang };
    let owner = site.accounts.claim(&token, &claim, &source).await.map_err(refused)?;
    sessions::log_in(&session, &owner).await?;
    flash::good(&session, page.t("setup.done")).await?;
    Ok(Redirect::to("/admin").into_response())
}

/// A shop that has an owner shows nothing here, however good the link once was.
fn refused(error: AccountError) -> Problem {
    match error {
        AccountError::Link(_) | AccountError::OwnerExists => Problem::NotFound,
        other => problem(other),
    }
}
