//! `/admin/users`: people, what they have, and corrections by hand.

use super::views::{Ask, Person, Users};
use crate::accounts::{self, Role, User};
use crate::kernel::{FieldError, Id, NEVER, Usd, fields};
use crate::keys::UserLimits;
use crate::ledger::LedgerError;
use crate::web::account::plan::mine;
use crate::web::error::{Answer, Problem};
use crate::web::format::month_start;
use crate::web::page::{KEEP, lifetime_end, render, render_as};
use crate::web::ui::Question;
use crate::web::who::{Admin, Customer};
use crate::web::{Form, Site, flash, public};
use crate::{admin_log, plans, usage};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

const PAGE: i64 = 50;
const MOVEMENTS: i64 = 20;
const PLANS: i64 = 20;

/// A search and which page of it.
#[derive(serde::Deserialize)]
pub struct Search {
    #[serde(default)]
    q: String,
    before: Option<Id>,
}

/// `GET /admin/users`
pub async fn list(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Query(search): Query<Search>) -> Answer {
    let mut users = accounts::list(&mut *site.db.read().await?, &search.q, search.before, PAGE + 1).await?;
    let more = users.len() as i64 > PAGE;
    users.truncate(PAGE as usize);
    let older = users.last().filter(|_| more).map(|last| older_link(&search.q, last.id));
    let form = Form::empty(page.lang).fill("q", &search.q);
    Ok(render(&Users { page, users, form, older }))
}

fn older_link(q: &str, before: Id) -> String {
    let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("q", q).append_pair("before", &before.to_string()).finish();
    format!("/admin/users?{query}")
}

/// `GET /admin/users/{id}`
pub async fn show(State(site): State<Site>, Admin(admin): Admin, Path(id): Path<Id>) -> Answer {
    let limits = accounts::limits(&mut *site.db.read().await?, id).await?;
    let form = filled(Form::empty(admin.page.lang), &limits);
    Ok(render(&person(&site, admin, id, form, &limits).await?))
}

/// The form with what was set for the user.
fn filled(form: Form, limits: &UserLimits) -> Form {
    let form = form.fill("expires", KEEP);
    limits.fields().into_iter().fold(form, |form, (name, value)| form.fill(name, value))
}

async fn person(site: &Site, Customer { mut page, user: actor, .. }: Customer, id: Id, form: Form, limits: &UserLimits) -> Result<Person, Problem> {
    // A refused adjustment is answered under its own path, which nobody can visit.
    page.here = format!("/admin/users/{id}");
    let mut conn = site.db.read().await?;
    let user = accounts::find(&mut conn, id).await?.ok_or(Problem::NotFound)?;
    let balance = site.books.balance(&mut conn, id).await?;
    let month = usage::spend_since(&mut conn, id, month_start(site.now())).await?;
    let movements = site.books.statement(&mut conn, id, None, MOVEMENTS).await?;
    let plans = plans::of_user(&mut conn, id, None, PLANS).await?.into_iter().map(|view| mine(view, &balance, site.now())).collect();
    let may_disable = actor.id != id && (user.role == Role::Customer || (user.role == Role::Admin && actor.role == Role::Owner));
    let defaults = site.settings.now().allowance;
    let access_ends = limits.expires_at.unwrap_or(NEVER);
    Ok(Person { page, user, balance, month, movements, plans, form, once: site.kit.ids.next(), may_disable, defaults, access_ends })
}

/// `POST /admin/users/{id}/adjust`
pub async fn adjust(State(site): State<Site>, Admin(admin): Admin, Path(id): Path<Id>, mut form: Form) -> Answer {
    let user = find(&site, id).await?;
    let wrong = match post(&site, &admin.user, &user, &form).await? {
        Ok(amount) => {
            let done = admin.page.with2("adjust.done", "amount", amount.display(), "email", &user.email);
            flash::good(&admin.session, done).await?;
            return Ok(Redirect::to(&format!("/admin/users/{id}")).into_response());
        }
        Err(mistakes) => mistakes,
    };
    form.refuse_all(&wrong);
    let limits = accounts::limits(&mut *site.db.read().await?, id).await?;
    Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &person(&site, admin, id, filled(form, &limits), &limits).await?))
}

/// `POST /admin/users/{id}/limits`
pub async fn limit(State(site): State<Site>, Admin(admin): Admin, Path(id): Path<Id>, mut form: Form) -> Answer {
    let now = accounts::limits(&mut *site.db.read().await?, id).await?;
    let limits = match read_limits(&form, &now, site.now()) {
        Ok(limits) => limits,
        Err(mistakes) => {
            form.refuse_all(&mistakes);
            return Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &person(&site, admin, id, form, &now).await?));
        }
    };
    site.accounts.set_limits(&admin.user, id, &limits).await.map_err(public::problem)?;
    site.keys.refresh(&site.db).await?;
    flash::good(&admin.session, admin.page.t("common.saved")).await?;
    Ok(Redirect::to(&format!("/admin/users/{id}")).into_response())
}

/// What was typed; the end of the access stays as it is when nothing else was chosen.
fn read_limits(form: &Form, now: &UserLimits, now_ms: i64) -> Result<UserLimits, Vec<FieldError>> {
    let chosen = form.text("expires");
    let expires_at = if chosen == KEEP { Some(now.expires_at.unwrap_or(NEVER)) } else { lifetime_end(chosen, now_ms) };
    let expires_at = expires_at.ok_or_else(|| vec![FieldError::new("expires", "field.required")])?;
    UserLimits::parse(|name| form.raw(name), expires_at)
}

/// Posts the adjustment and notes who made it, in one transaction.
async fn post(site: &Site, actor: &User, user: &User, form: &Form) -> Result<Result<Usd, Vec<FieldError>>, Problem> {
    let mut mistakes = fields::Mistakes::default();
    let amount = mistakes.take("amount", form.text("amount").parse::<Usd>().map_err(fields::money_key));
    let reason = mistakes.take("reason", fields::label(form.text("reason")));
    if amount == Some(Usd::ZERO) {
        mistakes.add("amount", "adjust.zero");
    }
    if let Err(mistakes) = mistakes.check() {
        return Ok(Err(mistakes));
    }
    let (Some(amount), Some(reason)) = (amount, reason) else { return Err(Problem::BadRequest) };
    let once: Id = form.text("once").parse().map_err(|_| Problem::BadRequest)?;
    let mut tx = site.db.write().await?;
    match site.books.adjust(&mut tx, user.id, amount, reason.clone(), format!("adjustment:{once}")).await {
        Ok(()) => {}
        Err(LedgerError::InsufficientBalance { .. }) => return Ok(Err(vec![FieldError::new("amount", "adjust.too_much")])),
        Err(LedgerError::IdempotencyConflict(_)) => return Ok(Err(vec![FieldError::new("", "adjust.again")])),
        Err(other) => return Err(other.into()),
    }
    let detail = format!("{amount} {reason}");
    admin_log::record(&mut tx, &site.kit, Some(actor.id), "balance-adjusted", &user.id.to_string(), &detail).await?;
    tx.commit().await?;
    Ok(Ok(amount))
}

/// `GET /admin/users/{id}/disable`: asks first.
pub async fn ask_disable(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Path(id): Path<Id>) -> Answer {
    let user = find(&site, id).await?;
    let question = Question {
        title: page.with("user.disable_title", "email", &user.email),
        loss: page.t("user.disable_loss").into_owned(),
        action: format!("/admin/users/{id}/disable"),
        yes: page.t("user.disable_yes").into_owned(),
        back: format!("/admin/users/{id}"),
    };
    Ok(render(&Ask { page, question }))
}

/// `POST /admin/users/{id}/disable`
pub async fn disable(state: State<Site>, admin: Admin, id: Path<Id>, form: Form) -> Answer {
    switch(state, admin, id, form, true).await
}

/// `POST /admin/users/{id}/enable`
pub async fn enable(state: State<Site>, admin: Admin, id: Path<Id>, form: Form) -> Answer {
    switch(state, admin, id, form, false).await
}

async fn switch(State(site): State<Site>, Admin(Customer { page, user, session, .. }): Admin, Path(id): Path<Id>, _form: Form, off: bool) -> Answer {
    site.accounts.set_disabled(&user, id, off).await.map_err(public::problem)?;
    site.keys.refresh(&site.db).await?;
    flash::good(&session, page.t("common.saved")).await?;
    Ok(Redirect::to(&format!("/admin/users/{id}")).into_response())
}

async fn find(site: &Site, id: Id) -> Result<User, Problem> {
    accounts::find(&mut *site.db.read().await?, id).await?.ok_or(Problem::NotFound)
}
