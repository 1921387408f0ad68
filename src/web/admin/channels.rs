//! `/admin/channels`: where requests are forwarded to.

use super::note;
use super::views::{Ask, Channel, ChannelRow, Channels};
use crate::channels::{self, ChannelDraft, ChannelError, ChannelFields, ChannelView};
use crate::kernel::{FieldError, Id};
use crate::web::error::{Answer, Problem};
use crate::web::page::{render, render_as};
use crate::web::ui::Question;
use crate::web::who::{Admin, Customer};
use crate::web::{Form, Site, flash};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

/// `GET /admin/channels`
pub async fn list(State(site): State<Site>, Admin(Customer { page, .. }): Admin) -> Answer {
    let channels = channels::list(&mut *site.db.read().await?, &site.secret).await?;
    Ok(render(&Channels { page, channels: channels.into_iter().map(|channel| row(&site, channel)).collect() }))
}

/// With its health, when it is in use.
fn row(site: &Site, channel: ChannelView) -> ChannelRow {
    let health = site.channels.find(channel.id).map(|channel| channel.health().view());
    ChannelRow { channel, health }
}

/// `GET /admin/channels/new`
pub async fn blank(Admin(Customer { page, .. }): Admin) -> Answer {
    let form = Form::empty(page.lang).fill("priority", 0).fill("weight", 1).fill("enabled", "on").fill("chat", "on");
    Ok(render(&Channel { page, row: None, form }))
}

/// `GET /admin/channels/{id}`
pub async fn edit(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Path(id): Path<Id>) -> Answer {
    let channel = find(&site, id).await?;
    let form = Form::empty(page.lang)
        .fill("name", &channel.name)
        .fill("kind", channel.kind.word())
        .fill("base_url", &channel.base_url)
        .fill("models", channel.models.join("\n"))
        .fill("priority", channel.priority)
        .fill("weight", channel.weight)
        .fill("enabled", if channel.enabled { "on" } else { "" });
    let form = channel.option_texts().into_iter().fold(form, |form, (name, text)| form.fill(name, text));
    Ok(render(&Channel { page, row: Some(row(&site, channel)), form }))
}

/// `POST /admin/channels/new`
pub async fn create(State(site): State<Site>, admin: Admin, form: Form) -> Answer {
    save(&site, admin, None, form).await
}

/// `POST /admin/channels/{id}`
pub async fn update(State(site): State<Site>, admin: Admin, Path(id): Path<Id>, form: Form) -> Answer {
    let channel = find(&site, id).await?;
    save(&site, admin, Some(channel), form).await
}

async fn save(site: &Site, Admin(Customer { page, user, session, .. }): Admin, channel: Option<ChannelView>, mut form: Form) -> Answer {
    if let Err(mistakes) = store(site, channel.as_ref(), &form).await? {
        form.refuse_all(&mistakes);
        let row = channel.map(|channel| row(site, channel));
        return Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &Channel { page, row, form }));
    }
    site.channels.refresh(&site.db).await?;
    note(site, &user, "channel-saved", form.text("name"), form.text("base_url")).await?;
    flash::good(&session, page.t("common.saved")).await?;
    Ok(Redirect::to("/admin/channels").into_response())
}

async fn store(site: &Site, channel: Option<&ChannelView>, form: &Form) -> Result<Result<Id, Vec<FieldError>>, Problem> {
    let fields = ChannelFields::from_lookup(|name| form.text(name).to_owned());
    let draft = match ChannelDraft::parse(&fields, channel.map(|channel| &channel.options.private)) {
        Ok(draft) => draft,
        Err(mistakes) => return Ok(Err(mistakes)),
    };
    match channels::save(&site.db, &site.kit, &site.secret, channel.map(|channel| channel.id), &draft).await {
        Ok(id) => Ok(Ok(id)),
        Err(ChannelError::Invalid(mistakes)) => Ok(Err(mistakes)),
        Err(error) => Err(gone(error)),
    }
}

/// `GET /admin/channels/{id}/delete`: asks first.
pub async fn ask_delete(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Path(id): Path<Id>) -> Answer {
    let channel = find(&site, id).await?;
    let question = Question {
        title: page.with("channel.delete_title", "name", &channel.name),
        loss: page.with("channel.delete_loss", "n", channel.models.len()),
        action: format!("/admin/channels/{id}/delete"),
        yes: page.t("channel.delete_yes").into_owned(),
        back: format!("/admin/channels/{id}"),
    };
    Ok(render(&Ask { page, question }))
}

/// `POST /admin/channels/{id}/delete`
pub async fn delete(State(site): State<Site>, Admin(Customer { page, user, session, .. }): Admin, Path(id): Path<Id>, _form: Form) -> Answer {
    let channel = find(&site, id).await?;
    channels::delete(&site.db, &site.kit, id).await.map_err(gone)?;
    site.channels.refresh(&site.db).await?;
    note(&site, &user, "channel-deleted", &channel.name, &channel.base_url).await?;
    flash::good(&session, page.with("common.deleted", "name", &channel.name)).await?;
    Ok(Redirect::to("/admin/channels").into_response())
}

async fn find(site: &Site, id: Id) -> Result<ChannelView, Problem> {
    channels::find(&mut *site.db.read().await?, &site.secret, id).await?.ok_or(Problem::NotFound)
}

fn gone(error: ChannelError) -> Problem {
    match error {
        ChannelError::NotFound => Problem::NotFound,
        other => other.into(),
    }
}
