//! `/admin/settings`: what the shop is called. Its owner's to say.

use super::views::Settings;
use crate::admin_log;
use crate::settings::{self, SiteName};
use crate::web::error::Answer;
use crate::web::page::{render, render_as};
use crate::web::who::{Customer, Owner};
use crate::web::{Form, Site, flash};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

/// `GET /admin/settings`
pub async fn show(Owner(Customer { page, .. }): Owner) -> Answer {
    let form = Form::empty(page.lang).fill("site_name", &page.site);
    Ok(render(&Settings { page, form }))
}

/// `POST /admin/settings`
pub async fn save(State(site): State<Site>, Owner(Customer { page, user, session, .. }): Owner, mut form: Form) -> Answer {
    let Some(name) = form.read("site_name", "settings.bad_site_name", SiteName::parse) else {
        return Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &Settings { page, form }));
    };
    let mut tx = site.db.write().await?;
    settings::set_site_name(&mut tx, site.now(), &name).await?;
    admin_log::record(&mut tx, &site.kit, Some(user.id), "site-named", "", name.as_str()).await?;
    tx.commit().await?;
    site.settings.refresh(&site.db).await?;
    flash::good(&session, page.t("common.saved")).await?;
    Ok(Redirect::to("/admin/settings").into_response())
}
