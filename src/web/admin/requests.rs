//! `/admin/requests`: every request of the shop, and of each why it went where it went.

use super::views::{Request, Requests, Step};
use crate::kernel::Id;
use crate::usage::{self, Answered, Decision, Outcome};
use crate::web::error::{Answer, Problem};
use crate::web::page::render;
use crate::web::who::{Admin, Customer};
use crate::web::{Form, Page, Site};
use crate::{accounts, channels, keys};
use axum::extract::{Path, Query, State};
use std::collections::HashMap;

const PAGE: i64 = 50;

/// A search and which page of it.
#[derive(serde::Deserialize)]
pub struct Search {
    user: Option<Id>,
    #[serde(default)]
    outcome: String,
    #[serde(default)]
    status: String,
    before: Option<Id>,
}

/// `GET /admin/requests`
pub async fn list(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Query(search): Query<Search>) -> Answer {
    let mut form = Form::empty(page.lang).fill("outcome", &search.outcome).fill("status", &search.status);
    let status = search.status.trim().parse().ok().filter(|status| (100..600).contains(status));
    if status.is_none() && !search.status.trim().is_empty() {
        form.refuse("status", "request.bad_status");
    }
    let wanted = usage::Search { user: search.user, outcome: Outcome::from_word(&search.outcome), status };
    let mut conn = site.db.read().await?;
    let user = match search.user {
        Some(id) => Some(accounts::find(&mut conn, id).await?.ok_or(Problem::NotFound)?),
        None => None,
    };
    let mut requests = usage::search(&mut conn, wanted, search.before, PAGE + 1).await?;
    let more = requests.len() as i64 > PAGE;
    requests.truncate(PAGE as usize);
    let older = requests.last().filter(|_| more).map(|last| older_link(&search, last.request.id));
    Ok(render(&Requests { page, requests, form, user, older }))
}

fn older_link(search: &Search, before: Id) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if let Some(user) = search.user {
        query.append_pair("user", &user.to_string());
    }
    for (name, value) in [("outcome", &search.outcome), ("status", &search.status)] {
        if !value.is_empty() {
            query.append_pair(name, value);
        }
    }
    format!("/admin/requests?{}", query.append_pair("before", &before.to_string()).finish())
}

/// `GET /admin/requests/{id}`
pub async fn show(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Path(id): Path<Id>) -> Answer {
    let mut conn = site.db.read().await?;
    let row = usage::find(&mut conn, id).await?.ok_or(Problem::NotFound)?;
    let key = keys::list(&mut conn, row.listed.user).await?.into_iter().find(|key| key.id == row.key).map(|key| key.name);
    let names = channels::names(&mut conn).await?;
    let candidates = row.decision.as_ref().map(|decision| decision.candidates() as i64);
    let steps = row.decision.as_ref().map(|decision| steps(&page, decision, &row.listed.request.model, &names)).unwrap_or_default();
    Ok(render(&Request { page, row, key, candidates, steps }))
}

/// Who was asked, then who was not.
pub(super) fn steps(page: &Page, decision: &Decision, model: &str, names: &HashMap<Id, String>) -> Vec<Step> {
    let name = |id: Id| names.get(&id).cloned().unwrap_or_else(|| id.to_string());
    let asked = decision.attempts().iter().map(|tried| {
        let (tone, words) = page.answered(&tried.result);
        let asked = Some((tried.key + 1, tried.model.clone().unwrap_or_else(|| model.to_owned())));
        Step { channel: tried.channel, name: name(tried.channel), asked, tone, words, ms: Some(tried.ms) }
    });
    let passed = decision.passed().iter().map(|passed| {
        let words = page.why_not(&passed.1);
        Step { channel: passed.0, name: name(passed.0), asked: None, tone: "warn", words, ms: None }
    });
    asked.chain(passed).collect()
}

impl Page {
    /// How a request may have ended, for a field.
    pub fn outcomes(&self) -> Vec<(&'static str, String)> {
        let any = std::iter::once(("", self.t("request.any").into_owned()));
        any.chain(Outcome::ALL.into_iter().map(|outcome| (outcome.word(), self.outcome(outcome.word()).1.into_owned()))).collect()
    }

    /// What came of asking a channel, and how it looks.
    fn answered(&self, result: &Answered) -> (&'static str, String) {
        match result {
            Answered::Status(200..=299) => ("good", self.t("request.answered").into_owned()),
            Answered::Status(status) => ("bad", self.with("request.why_status", "status", status)),
            Answered::Word(word) => {
                let key = match &**word {
                    "timeout" => "request.why_timeout",
                    "connect" => "request.why_connect",
                    _ => "request.why_broken",
                };
                ("bad", self.t(key).into_owned())
            }
        }
    }

    /// Why a channel was not asked.
    fn why_not(&self, word: &str) -> String {
        let key = match word {
            "dialect" => "request.skip_dialect",
            "tools" => "request.skip_tools",
            "vision" => "request.skip_vision",
            "json_schema" => "request.skip_json_schema",
            "streaming" => "request.skip_streaming",
            "context" => "request.skip_context",
            "open" => "request.skip_open",
            "keys" => "request.skip_keys",
            "busy" => "request.skip_busy",
            "unfit" => "request.skip_unfit",
            "disabled" => "request.skip_disabled",
            _ => "request.skip_other",
        };
        self.t(key).into_owned()
    }
}
