//! `/account/keys`: the keys that a customer's programs call with.

use super::views::{Ask, EditKey, Keys};
use crate::kernel::secrets::Secret;
use crate::kernel::{FieldError, Id};
use crate::keys::{self, KeyChange, KeyError, KeyFields, KeyView, NewKey};
use crate::web::error::{Answer, Problem};
use crate::web::page::{KEEP, lifetime_end, render, render_as};
use crate::web::ui::Question;
use crate::web::who::Customer;
use crate::web::{Form, Page, Site, flash};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

async fn page(site: &Site, user: Id, page: Page, form: Form, made: Option<Secret<String>>) -> Result<Keys, Problem> {
    let keys = keys::list(&mut *site.db.read().await?, user).await?;
    Ok(Keys { page, keys, form, made, now: site.now() })
}

/// `GET /account/keys`
pub async fn list(State(site): State<Site>, Customer { user, page: context, .. }: Customer) -> Answer {
    let form = Form::empty(context.lang);
    Ok(render(&page(&site, user.id, context, form, None).await?))
}

/// `POST /account/keys`: the answer itself shows the key. A redirect would have to keep it somewhere, and it is kept nowhere.
pub async fn create(State(site): State<Site>, Customer { user, page: context, .. }: Customer, mut form: Form) -> Answer {
    let made = match make(&site, user.id, &form).await {
        Ok(key) => key,
        Err(KeyError::Invalid(mistakes)) => {
            form.refuse_all(&mistakes);
            None
        }
        Err(KeyError::NotVerified) => return Err(Problem::Forbidden),
        Err(KeyError::TooMany) => {
            form.refuse("", "key.too_many");
            None
        }
        Err(other) => return Err(other.into()),
    };
    if form.is_bad() {
        return Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &page(&site, user.id, context, form, None).await?));
    }
    site.keys.refresh(&site.db).await?;
    let form = Form::empty(context.lang);
    Ok(render(&page(&site, user.id, context, form, made).await?))
}

async fn make(site: &Site, user: Id, form: &Form) -> Result<Option<Secret<String>>, KeyError> {
    let now = site.now();
    let fields = KeyFields::read(|name| form.raw(name));
    let new = NewKey::parse(&fields, expiry(form, now)?, now).map_err(KeyError::Invalid)?;
    let most = site.plans.limits(user, now).keys.map_or(keys::MAX_PER_USER, |keys| i64::try_from(keys.get()).unwrap_or(keys::MAX_PER_USER));
    Ok(Some(keys::create_within(&site.db, &site.kit, user, new, most).await?.key))
}

fn expiry(form: &Form, now: i64) -> Result<i64, KeyError> {
    lifetime_end(form.text("expires"), now).ok_or_else(|| KeyError::Invalid(vec![FieldError::new("expires", "field.required")]))
}

/// `GET /account/keys/{id}`: what limits the key, to be changed.
pub async fn edit(State(site): State<Site>, Customer { user, page, .. }: Customer, Path(id): Path<Id>) -> Answer {
    let key = find(&site, user.id, id).await?;
    let form = filled(Form::empty(page.lang), &key);
    Ok(render(&EditKey { page, key, form }))
}

fn filled(form: Form, key: &KeyView) -> Form {
    let form = form.fill("name", &key.name).fill("expires", KEEP);
    key.options.fields(key.budget).into_iter().fold(form, |form, (name, value)| form.fill(name, value))
}

/// `POST /account/keys/{id}`
pub async fn update(State(site): State<Site>, Customer { user, mut page, session, .. }: Customer, Path(id): Path<Id>, mut form: Form) -> Answer {
    let key = find(&site, user.id, id).await?;
    match change(&site, user.id, id, &form).await {
        Ok(()) => {
            site.keys.refresh(&site.db).await?;
            flash::good(&session, page.t("common.saved")).await?;
            Ok(Redirect::to("/account/keys").into_response())
        }
        Err(KeyError::Invalid(mistakes)) => {
            form.refuse_all(&mistakes);
            page.here = format!("/account/keys/{id}");
            Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &EditKey { page, key, form }))
        }
        Err(other) => Err(gone(other)),
    }
}

async fn change(site: &Site, user: Id, id: Id, form: &Form) -> Result<(), KeyError> {
    let now = site.now();
    let expires_at = if form.text("expires") == KEEP { None } else { Some(expiry(form, now)?) };
    let change = KeyChange::parse(&KeyFields::read(|name| form.raw(name)), expires_at, now).map_err(KeyError::Invalid)?;
    keys::update(&site.db, user, id, &change).await
}

async fn find(site: &Site, user: Id, id: Id) -> Result<KeyView, Problem> {
    keys::find(&mut *site.db.read().await?, user, id).await?.ok_or(Problem::NotFound)
}

/// `POST /account/keys/{id}/enable`
pub async fn enable(state: State<Site>, customer: Customer, id: Path<Id>, form: Form) -> Answer {
    switch(state, customer, id, form, false).await
}

/// `POST /account/keys/{id}/disable`
pub async fn disable(state: State<Site>, customer: Customer, id: Path<Id>, form: Form) -> Answer {
    switch(state, customer, id, form, true).await
}

async fn switch(State(site): State<Site>, Customer { user, page, session, .. }: Customer, Path(id): Path<Id>, _form: Form, off: bool) -> Answer {
    keys::set_disabled(&site.db, &site.kit, user.id, id, off).await.map_err(gone)?;
    site.keys.refresh(&site.db).await?;
    flash::good(&session, page.t(if off { "key.switched_off" } else { "key.switched_on" })).await?;
    Ok(Redirect::to("/account/keys").into_response())
}

/// `GET /account/keys/{id}/delete`: asks first.
pub async fn ask_delete(State(site): State<Site>, Customer { user, page, .. }: Customer, Path(id): Path<Id>) -> Answer {
    let key = find(&site, user.id, id).await?;
    let question = Question {
        title: page.with("key.delete_title", "name", &key.name),
        loss: page.with2("key.delete_loss", "name", &key.name, "prefix", &key.prefix),
        action: format!("/account/keys/{id}/delete"),
        yes: page.t("key.delete_yes").into_owned(),
        back: "/account/keys".to_owned(),
    };
    Ok(render(&Ask { page, question }))
}

/// `POST /account/keys/{id}/delete`
pub async fn delete(State(site): State<Site>, Customer { user, page, session, .. }: Customer, Path(id): Path<Id>, _form: Form) -> Answer {
    keys::delete(&site.db, &site.kit, user.id, id).await.map_err(gone)?;
    site.keys.refresh(&site.db).await?;
    flash::good(&session, page.t("key.deleted")).await?;
    Ok(Redirect::to("/account/keys").into_response())
}

fn gone(error: KeyError) -> Problem {
    match error {
        KeyError::NotFound => Problem::NotFound,
        other => other.into(),
    }
}
