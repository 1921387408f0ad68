//! `/account/referrals`: the customer's link, and whom it has brought.

use super::views::Referrals;
use crate::kernel::Id;
use crate::referrals::{self, State as Stage};
use crate::web::error::Answer;
use crate::web::page::render;
use crate::web::who::Customer;
use crate::web::{Form, Page, Site};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect};

const PAGE: i64 = 50;

/// Which page.
#[derive(serde::Deserialize)]
pub struct Cursor {
    before: Option<Id>,
}

/// `GET /account/referrals`
pub async fn show(State(site): State<Site>, Customer { page, user, .. }: Customer, Query(cursor): Query<Cursor>) -> Answer {
    let mut conn = site.db.read().await?;
    let rules = referrals::rules(&mut conn).await?;
    let link = referrals::link(&mut conn, user.id).await?;
    let mut brought = referrals::brought_by(&mut conn, user.id, cursor.before, PAGE + 1).await?;
    let more = brought.len() as i64 > PAGE;
    brought.truncate(PAGE as usize);
    let older = brought.last().filter(|_| more).map(|last| last.user);
    Ok(render(&Referrals { page, rules, link, brought, older }))
}

/// `POST /account/referrals`: makes the link. Who only looks gets none, so that nobody is in the table who does not want to be.
pub async fn make(State(site): State<Site>, Customer { user, source, .. }: Customer, _form: Form) -> Answer {
    if user.may_spend() {
        referrals::make_link(&site.db, &site.kit, user.id, &referrals::mark(&site.secret, &source)).await?;
    }
    Ok(Redirect::to("/account/referrals").into_response())
}

impl Page {
    /// How far a referral is, and how it looks.
    pub fn referral_state(&self, state: &Stage) -> (&'static str, String) {
        let (tone, key) = match state {
            Stage::Joined => ("", "referral.joined"),
            Stage::Held => ("warn", "referral.held"),
            Stage::Granted => ("good", "referral.granted"),
            Stage::Undone => ("bad", "referral.undone"),
        };
        (tone, self.t(key).into_owned())
    }
}
