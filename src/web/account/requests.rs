//! `/account/requests`: every request, page by page.

use super::views::Requests;
use crate::kernel::Id;
use crate::usage;
use crate::web::Site;
use crate::web::error::{Answer, Problem};
use crate::web::page::render;
use crate::web::who::Customer;
use axum::extract::{Query, State};

const PAGE: i64 = 50;

/// Which page.
#[derive(serde::Deserialize)]
pub struct Cursor {
    before: Option<Id>,
    /// Only this one: where a statement leads.
    only: Option<Id>,
}

/// `GET /account/requests`
pub async fn list(State(site): State<Site>, Customer { user, page, .. }: Customer, Query(Cursor { before, only }): Query<Cursor>) -> Answer {
    if let Some(id) = only {
        let found = usage::find(&mut *site.db.read().await?, id).await?.filter(|row| row.listed.user == user.id);
        let requests = vec![found.ok_or(Problem::NotFound)?.listed.request];
        return Ok(render(&Requests { page, requests, older: None, only: true }));
    }
    let mut requests = usage::recent(&mut *site.db.read().await?, user.id, before, PAGE + 1).await?;
    let more = requests.len() as i64 > PAGE;
    requests.truncate(PAGE as usize);
    let older = requests.last().filter(|_| more).map(|request| request.id);
    Ok(render(&Requests { page, requests, older, only: false }))
}
