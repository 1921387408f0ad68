//! `/admin/payments`: how credit is sold, and messages of the provider that somebody must look at. Its owner's to say.

use super::views::Payments;
use crate::admin_log;
use crate::kernel::Id;
use crate::settings::{self, TopUpFields, TopUpTerms};
use crate::web::error::{Answer, Problem};
use crate::web::page::{Page, render, render_as};
use crate::web::who::{Customer, Owner};
use crate::web::{Form, Site, flash};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

const MESSAGES: i64 = 25;

/// Which messages.
#[derive(serde::Deserialize)]
pub struct Cursor {
    before: Option<Id>,
}

/// `GET /admin/payments`
pub async fn show(State(site): State<Site>, Owner(Customer { page, .. }): Owner, Query(cursor): Query<Cursor>) -> Answer {
    let form = site.settings.now().top_up.fields().into_iter().fold(Form::empty(page.lang), |form, (name, value)| form.fill(name, value));
    Ok(render(&payments(&site, page, cursor.before, form).await?))
}

async fn payments(site: &Site, page: Page, before: Option<Id>, form: Form) -> Result<Payments, Problem> {
    let mut messages = site.payments.messages_to_look_at(&mut *site.db.read().await?, before, MESSAGES + 1).await?;
    let more = messages.len() as i64 > MESSAGES;
    messages.truncate(MESSAGES as usize);
    let older = messages.last().filter(|_| more).map(|message| message.id);
    let hook = format!("{}/webhooks/stripe", page.base_url);
    Ok(Payments { page, form, takes_cards: site.payments.takes_cards(), hook, messages, older })
}

/// `POST /admin/payments`
pub async fn save(State(site): State<Site>, Owner(Customer { page, user, session, .. }): Owner, mut form: Form) -> Answer {
    let fields = TopUpFields {
        currency: form.text("currency"),
        rate: form.text("rate"),
        least: form.text("least"),
        most: form.text("most"),
        presets: form.text("presets"),
        tiers: form.text("tiers"),
    };
    let terms = match TopUpTerms::parse(&fields) {
        Ok(terms) => terms,
        Err(mistakes) => {
            form.refuse_all(&mistakes);
            return Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &payments(&site, page, None, form).await?));
        }
    };
    if site.settings.now().top_up != terms {
        let mut tx = site.db.write().await?;
        settings::set_top_up(&mut tx, site.now(), &terms).await?;
        admin_log::record(&mut tx, &site.kit, Some(user.id), "top-up-terms-set", "", &terms.write()).await?;
        tx.commit().await?;
        site.settings.refresh(&site.db).await?;
    }
    flash::good(&session, page.t("common.saved")).await?;
    Ok(Redirect::to("/admin/payments").into_response())
}
