//! `/admin/settings`: what the shop is called, and how much every customer may use. Its owner's to say.

use super::views::Settings;
use crate::admin_log;
use crate::keys::{Allowance, AllowanceFields};
use crate::settings::{self, SiteName};
use crate::web::error::Answer;
use crate::web::page::{render, render_as};
use crate::web::who::{Customer, Owner};
use crate::web::{Form, Site, flash};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use jiff::tz::TimeZone;

/// `GET /admin/settings`
pub async fn show(State(site): State<Site>, Owner(Customer { page, .. }): Owner) -> Answer {
    let form = Form::empty(page.lang).fill("site_name", &page.site);
    let form = form.fill("time_zone", site.settings.now().time_zone.iana_name().unwrap_or("UTC"));
    let form = site.settings.now().allowance.fields().into_iter().fold(form, |form, (name, value)| form.fill(name, value));
    Ok(render(&Settings { page, form }))
}

/// `POST /admin/settings`
pub async fn save(State(site): State<Site>, Owner(Customer { page, user, session, .. }): Owner, mut form: Form) -> Answer {
    let name = form.read("site_name", "settings.bad_site_name", SiteName::parse);
    let zone = form.read_optional("time_zone", "settings.bad_time_zone", settings::time_zone).map(|zone| zone.unwrap_or(TimeZone::UTC));
    let allowance = Allowance::parse(&AllowanceFields::read(|name| form.raw(name)));
    let (Some(name), Some(zone), Ok(allowance)) = (&name, &zone, &allowance) else {
        form.refuse_all(&allowance.err().unwrap_or_default());
        return Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &Settings { page, form }));
    };
    let before = site.settings.now();
    let mut tx = site.db.write().await?;
    if before.site_name != name.as_str() {
        settings::set_site_name(&mut tx, site.now(), name).await?;
        admin_log::record(&mut tx, &site.kit, Some(user.id), "site-named", "", name.as_str()).await?;
    }
    if before.time_zone != *zone {
        settings::set_time_zone(&mut tx, site.now(), zone).await?;
        admin_log::record(&mut tx, &site.kit, Some(user.id), "time-zone-set", "", zone.iana_name().unwrap_or("UTC")).await?;
    }
    if before.allowance != *allowance {
        settings::set_allowance(&mut tx, site.now(), allowance).await?;
        admin_log::record(&mut tx, &site.kit, Some(user.id), "customers-limited", "", &allowance.write()).await?;
    }
    tx.commit().await?;
    site.settings.refresh(&site.db).await?;
    flash::good(&session, page.t("common.saved")).await?;
    Ok(Redirect::to("/admin/settings").into_response())
}
