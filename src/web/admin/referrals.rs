//! `/admin/referrals`: what the shop gives for bringing others, and who has brought whom.

use super::views::Referrals;
use crate::kernel::Id;
use crate::referrals::{self, Rules, RulesFields, Search, State as Stage};
use crate::web::error::{Answer, Problem};
use crate::web::page::{render, render_as};
use crate::web::who::{Admin, Customer, Owner};
use crate::web::{Form, Page, Site, flash};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

const PAGE: i64 = 50;

/// A search and which page of it.
#[derive(Default, serde::Deserialize)]
pub struct Wanted {
    #[serde(default)]
    state: String,
    #[serde(default)]
    same: String,
    user: Option<Id>,
    before: Option<Id>,
}

/// `GET /admin/referrals`
pub async fn list(State(site): State<Site>, Admin(Customer { page: context, user, .. }): Admin, Query(wanted): Query<Wanted>) -> Answer {
    let rules = referrals::rules(&mut *site.db.read().await?).await?;
    let form = rules.fields().into_iter().fold(Form::empty(context.lang), |form, (name, value)| form.fill(name, value));
    let owner = user.role == crate::accounts::Role::Owner;
    Ok(render(&page(&site, context, wanted, form, owner).await?))
}

async fn page(site: &Site, page: Page, wanted: Wanted, form: Form, owner: bool) -> Result<Referrals, Problem> {
    let search = Search { state: Stage::from_word(&wanted.state), referrer: wanted.user, same_source: !wanted.same.is_empty() };
    let mut all = referrals::search(&mut *site.db.read().await?, search, wanted.before, PAGE + 1).await?;
    let more = all.len() as i64 > PAGE;
    all.truncate(PAGE as usize);
    let older = all.last().filter(|_| more).map(|last| older_link(&wanted, last.user));
    let filter = Form::empty(page.lang).fill("state", &wanted.state).fill("same", &wanted.same);
    Ok(Referrals { page, all, older, form, filter, owner })
}

fn older_link(wanted: &Wanted, before: Id) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if let Some(user) = wanted.user {
        query.append_pair("user", &user.to_string());
    }
    for (name, value) in [("state", &wanted.state), ("same", &wanted.same)] {
        if !value.is_empty() {
            query.append_pair(name, value);
        }
    }
    format!("/admin/referrals?{}", query.append_pair("before", &before.to_string()).finish())
}

/// `POST /admin/referrals`: what is given from now on. Its owner's to say.
pub async fn save(State(site): State<Site>, Owner(Customer { page: context, user, session, .. }): Owner, mut form: Form) -> Answer {
    let [enabled, reward, welcome] = ["enabled", "reward", "welcome"].map(|name| form.text(name));
    let [minimum, hold_days, cap] = ["minimum", "hold_days", "cap"].map(|name| form.text(name));
    match Rules::parse(&RulesFields { enabled, reward, welcome, minimum, hold_days, cap }) {
        Ok(rules) => {
            referrals::save_rules(&site.db, &site.kit, user.id, &rules).await?;
            flash::good(&session, context.t("common.saved")).await?;
            Ok(Redirect::to("/admin/referrals").into_response())
        }
        Err(mistakes) => {
            form.refuse_all(&mistakes);
            Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &page(&site, context, Wanted::default(), form, true).await?))
        }
    }
}

impl Page {
    /// Which referrals a list shows.
    pub fn referral_filters(&self) -> Vec<(&'static str, String)> {
        let any = std::iter::once(("", self.t("referral.any").into_owned()));
        any.chain(Stage::ALL.into_iter().map(|state| (state.word(), self.referral_state(&state).1))).collect()
    }
}
