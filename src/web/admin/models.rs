//! `/admin/models`: what can be called and what it costs.

use super::note;
use super::views::{Ask, EditModel, ModelRow, Models};
use crate::catalog::{self, CatalogError, Model, ModelDraft, ModelFields};
use crate::kernel::{FieldError, Id};
use crate::web::error::{Answer, Problem};
use crate::web::page::{render, render_as};
use crate::web::ui::Question;
use crate::web::who::{Admin, Customer};
use crate::web::{Form, Site, flash};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

/// `GET /admin/models`
pub async fn list(State(site): State<Site>, Admin(Customer { page, .. }): Admin) -> Answer {
    let now = site.now();
    let models = catalog::list(&mut *site.db.read().await?, now).await?.iter().map(|model| ModelRow::at(model, now)).collect();
    Ok(render(&Models { page, models }))
}

/// `GET /admin/models/new`
pub async fn blank(Admin(Customer { page, .. }): Admin) -> Answer {
    let form = Form::empty(page.lang).fill("enabled", "on");
    Ok(render(&EditModel { page, model: None, form }))
}

/// `GET /admin/models/{id}`
pub async fn edit(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Path(id): Path<Id>) -> Answer {
    let model = find(&site, id).await?;
    let typed = ModelFields::of(&model, site.now());
    let form = typed.pairs().fold(Form::empty(page.lang), |form, (name, value)| form.fill(name, value));
    Ok(render(&EditModel { page, model: Some(ModelRow::at(&model, site.now())), form }))
}

/// `POST /admin/models/new`
pub async fn create(State(site): State<Site>, admin: Admin, form: Form) -> Answer {
    save(&site, admin, None, form).await
}

/// `POST /admin/models/{id}`
pub async fn update(State(site): State<Site>, admin: Admin, Path(id): Path<Id>, form: Form) -> Answer {
    let model = find(&site, id).await?;
    save(&site, admin, Some(ModelRow::at(&model, site.now())), form).await
}

async fn save(site: &Site, Admin(Customer { page, user, session, .. }): Admin, model: Option<ModelRow>, mut form: Form) -> Answer {
    if let Err(mistakes) = store(site, model.as_ref(), &form).await? {
        form.refuse_all(&mistakes);
        return Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &EditModel { page, model, form }));
    }
    site.catalog.refresh(&site.db).await?;
    note(site, &user, "model-saved", form.text("name"), &summary(&form)).await?;
    flash::good(&session, page.t("common.saved")).await?;
    Ok(Redirect::to("/admin/models").into_response())
}

/// What was saved, for the log of what admins do: the four usual prices, then whatever else was set.
fn summary(form: &Form) -> String {
    let usual = ["input", "output", "cached_input", "cache_write"];
    let fields = ModelFields::read(|name| form.text(name).to_owned());
    let others = fields.pairs().filter(|(name, value)| !usual.contains(name) && !["name", "enabled"].contains(name) && !value.is_empty());
    others.fold(usual.map(|name| form.text(name)).join(" / "), |sum, (name, value)| format!("{sum}, {name} {value}"))
}

async fn store(site: &Site, model: Option<&ModelRow>, form: &Form) -> Result<Result<Id, Vec<FieldError>>, Problem> {
    let fields = ModelFields::read(|name| form.text(name).to_owned());
    let draft = match ModelDraft::parse(&fields) {
        Ok(draft) => draft,
        Err(mistakes) => return Ok(Err(mistakes)),
    };
    match catalog::save(&site.db, &site.kit, model.map(|model| model.id), &draft).await {
        Ok(id) => Ok(Ok(id)),
        Err(CatalogError::Invalid(mistakes)) => Ok(Err(mistakes)),
        Err(error) => Err(gone(error)),
    }
}

/// `GET /admin/models/{id}/delete`: asks first.
pub async fn ask_delete(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Path(id): Path<Id>) -> Answer {
    let model = find(&site, id).await?;
    let question = Question {
        title: page.with("model.delete_title", "name", &model.name),
        loss: page.t("model.delete_loss").into_owned(),
        action: format!("/admin/models/{id}/delete"),
        yes: page.t("model.delete_yes").into_owned(),
        back: format!("/admin/models/{id}"),
    };
    Ok(render(&Ask { page, question }))
}

/// `POST /admin/models/{id}/delete`
pub async fn delete(State(site): State<Site>, Admin(Customer { page, user, session, .. }): Admin, Path(id): Path<Id>, _form: Form) -> Answer {
    let model = find(&site, id).await?;
    catalog::delete(&site.db, &site.kit, id).await.map_err(gone)?;
    site.catalog.refresh(&site.db).await?;
    note(&site, &user, "model-deleted", &model.name, "").await?;
    flash::good(&session, page.with("common.deleted", "name", &model.name)).await?;
    Ok(Redirect::to("/admin/models").into_response())
}

async fn find(site: &Site, id: Id) -> Result<Model, Problem> {
    catalog::find(&mut *site.db.read().await?, id, site.now()).await?.ok_or(Problem::NotFound)
}

fn gone(error: CatalogError) -> Problem {
    match error {
        CatalogError::NotFound => Problem::NotFound,
        other => other.into(),
    }
}
