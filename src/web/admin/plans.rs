//! `/admin/plans`: what is offered for a price and a time.

use super::views::{Ask, EditPlan, Plans};
use crate::kernel::{FieldError, Id};
use crate::plans::{self, FIELDS, Plan, PlanDraft, PlanError, Visibility};
use crate::web::error::{Answer, Problem};
use crate::web::page::{render, render_as};
use crate::web::ui::Question;
use crate::web::who::{Admin, Customer};
use crate::web::{Form, Site, flash};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

const PAGE: i64 = 50;

/// Which plans, and which page of them.
#[derive(serde::Deserialize)]
pub struct Search {
    #[serde(default)]
    visibility: String,
    sort: Option<i64>,
    after: Option<Id>,
}

/// `GET /admin/plans`
pub async fn list(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Query(search): Query<Search>) -> Answer {
    let only = Visibility::from_word(&search.visibility);
    let after = search.sort.zip(search.after);
    let mut plans = plans::list(&mut *site.db.read().await?, only, after, PAGE + 1).await?;
    let more = plans.len() as i64 > PAGE;
    plans.truncate(PAGE as usize);
    let further = plans.last().filter(|_| more).map(|last| further_link(only, last));
    let form = Form::empty(page.lang).fill("visibility", only.map_or("", Visibility::word));
    Ok(render(&Plans { page, plans, form, further }))
}

fn further_link(only: Option<Visibility>, last: &Plan) -> String {
    format!("/admin/plans?visibility={}&sort={}&after={}", only.map_or("", Visibility::word), last.offer.sort, last.id)
}

/// `GET /admin/plans/new`
pub async fn blank(Admin(Customer { page, .. }): Admin) -> Answer {
    let usual =
        [("currency", "USD"), ("length", "1"), ("length_unit", "month"), ("factor", "1"), ("visibility", "public"), ("sold", "both"), ("reset", "none")];
    let form = usual.into_iter().fold(Form::empty(page.lang), |form, (name, value)| form.fill(name, value));
    Ok(render(&EditPlan { page, plan: None, form }))
}

/// `GET /admin/plans/{id}`
pub async fn edit(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Path(id): Path<Id>) -> Answer {
    let plan = find(&site, id).await?;
    let form = Form::empty(page.lang).fill("version", plan.version);
    let form = PlanDraft::fields(&plan.terms, &plan.offer).into_iter().fold(form, |form, (name, value)| form.fill(name, value));
    Ok(render(&EditPlan { page, plan: Some(plan), form }))
}

/// `POST /admin/plans/new`
pub async fn create(State(site): State<Site>, admin: Admin, form: Form) -> Answer {
    save(&site, admin, None, form).await
}

/// `POST /admin/plans/{id}`
pub async fn update(State(site): State<Site>, admin: Admin, Path(id): Path<Id>, form: Form) -> Answer {
    let plan = find(&site, id).await?;
    save(&site, admin, Some(plan), form).await
}

async fn save(site: &Site, Admin(Customer { page, user, session, .. }): Admin, plan: Option<Plan>, mut form: Form) -> Answer {
    if let Err(mistakes) = store(site, user.id, plan.as_ref(), &form).await? {
        form.refuse_all(&mistakes);
        return Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &EditPlan { page, plan, form }));
    }
    flash::good(&session, page.t("common.saved")).await?;
    Ok(Redirect::to("/admin/plans").into_response())
}

async fn store(site: &Site, actor: Id, plan: Option<&Plan>, form: &Form) -> Result<Result<Id, Vec<FieldError>>, Problem> {
    let draft = match PlanDraft::parse(|name| form.raw(name)) {
        Ok(draft) => draft,
        Err(mistakes) => return Ok(Err(mistakes)),
    };
    let known = match plan {
        None => None,
        Some(plan) => Some((plan.id, form.text("version").parse().map_err(|_| Problem::BadRequest)?)),
    };
    match plans::save(&site.db, &site.kit, actor, known, &draft).await {
        Ok(id) => Ok(Ok(id)),
        Err(PlanError::Changed) => Ok(Err(vec![FieldError::new("", "plan.changed_meanwhile")])),
        Err(other) => Err(gone(other)),
    }
}

/// `GET /admin/plans/{id}/off`: asks first.
pub async fn ask_off(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Path(id): Path<Id>) -> Answer {
    let plan = find(&site, id).await?;
    let question = Question {
        title: page.with("plan.off_title", "name", &plan.terms.name),
        loss: page.with("plan.off_loss", "n", plan.running),
        action: format!("/admin/plans/{id}/off"),
        yes: page.t("plan.off_yes").into_owned(),
        back: format!("/admin/plans/{id}"),
    };
    Ok(render(&Ask { page, question }))
}

/// `POST /admin/plans/{id}/off`
pub async fn take_off(State(site): State<Site>, Admin(Customer { page, user, session, .. }): Admin, Path(id): Path<Id>, _form: Form) -> Answer {
    plans::take_off(&site.db, &site.kit, user.id, id).await.map_err(gone)?;
    flash::good(&session, page.t("common.saved")).await?;
    Ok(Redirect::to("/admin/plans").into_response())
}

async fn find(site: &Site, id: Id) -> Result<Plan, Problem> {
    plans::find(&mut *site.db.read().await?, id).await?.ok_or(Problem::NotFound)
}

fn gone(error: PlanError) -> Problem {
    match error {
        PlanError::NotFound => Problem::NotFound,
        other => other.into(),
    }
}

impl EditPlan {
    /// Where customers find it.
    pub fn link(&self) -> String {
        self.plan.as_ref().map_or_else(String::new, |plan| format!("{}/account/plans/{}", self.page.base_url, plan.id))
    }

    /// Whether a group of fields is shown unfolded: something in it is set, or wrong.
    pub fn unfolds(&self, fields: &str) -> bool {
        fields.split(' ').any(|field| {
            debug_assert!(FIELDS.contains(&field), "{field}");
            self.form.ticked(field) || self.form.errors().iter().any(|(wrong, _)| *wrong == field)
        })
    }
}
