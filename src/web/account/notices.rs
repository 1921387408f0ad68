//! `/account/notices`: what a customer wants to be told by mail.

use super::views::Notices;
use crate::notices::{self, Choice};
use crate::web::error::Answer;
use crate::web::page::{render, render_as};
use crate::web::who::Customer;
use crate::web::{Form, Page, Site, flash};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

/// `GET /account/notices`
pub async fn show(State(site): State<Site>, Customer { page, user, .. }: Customer) -> Answer {
    let choice = notices::choice(&mut *site.db.read().await?, user.id).await?;
    let low = choice.low_below.map_or_else(String::new, |level| level.to_string());
    let form = Form::empty(page.lang).fill("low_below", low).fill("expiry_days", choice.expiry_days).fill("plan_days", choice.plan_days);
    Ok(render(&Notices { page, email: user.email, form }))
}

/// `POST /account/notices`
pub async fn save(State(site): State<Site>, Customer { page, user, session, .. }: Customer, mut form: Form) -> Answer {
    match Choice::parse(|name| form.text(name)) {
        Ok(choice) => {
            notices::choose(&site.db, &site.books, user.id, &choice).await?;
            flash::good(&session, page.t("common.saved")).await?;
            Ok(Redirect::to("/account/notices").into_response())
        }
        Err(mistakes) => {
            form.refuse_all(&mistakes);
            Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &Notices { page, email: user.email, form }))
        }
    }
}

impl Page {
    /// So many days ahead, or never.
    pub fn days_ahead(&self) -> Vec<(&'static str, String)> {
        const WORDS: [&str; 6] = ["0", "1", "3", "7", "14", "30"];
        let words = |(days, word): (i64, &'static str)| match days {
            0 => (word, self.t("notices.never").into_owned()),
            1 => (word, self.t("notices.one_day").into_owned()),
            _ => (word, self.with("notices.days", "n", days)),
        };
        notices::DAYS.into_iter().zip(WORDS).map(words).collect()
    }
}
