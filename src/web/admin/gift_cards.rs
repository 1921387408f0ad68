//! `/admin/gift-cards`: batches of codes, shown once.

use super::note;
use super::views::{Ask, Batch, Codes, GiftCards};
use crate::gift_cards::{self, BatchView, Created, GiftCardError, NewBatch};
use crate::kernel::{FieldError, Id};
use crate::web::error::{Answer, Problem};
use crate::web::page::{lifetime_end, render, render_as};
use crate::web::ui::Question;
use crate::web::who::{Admin, Customer};
use crate::web::{Form, Page, Site, flash};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

const BATCHES: i64 = 25;
const CARDS: i64 = 100;

/// Which page.
#[derive(serde::Deserialize)]
pub struct Cursor {
    before: Option<Id>,
    after: Option<Id>,
}

async fn page(site: &Site, page: Page, before: Option<Id>, form: Form) -> Result<GiftCards, Problem> {
    let mut batches = gift_cards::batches(&mut *site.db.read().await?, before, BATCHES + 1).await?;
    let more = batches.len() as i64 > BATCHES;
    batches.truncate(BATCHES as usize);
    let older = batches.last().filter(|_| more).map(|batch| batch.id);
    Ok(GiftCards { page, batches, older, form })
}

/// `GET /admin/gift-cards`
pub async fn list(State(site): State<Site>, Admin(Customer { page: context, .. }): Admin, Query(cursor): Query<Cursor>) -> Answer {
    let form = Form::empty(context.lang);
    Ok(render(&page(&site, context, cursor.before, form).await?))
}

/// `POST /admin/gift-cards`: the answer itself shows the codes. A redirect would have to keep them somewhere, and they are kept nowhere.
pub async fn create(State(site): State<Site>, Admin(Customer { page: context, user, .. }): Admin, mut form: Form) -> Answer {
    let Created { batch_id, codes } = match make(&site, user.id, &form).await {
        Ok(created) => created,
        Err(GiftCardError::Invalid(mistakes)) => {
            form.refuse_all(&mistakes);
            return Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &page(&site, context, None, form).await?));
        }
        Err(other) => return Err(gone(other)),
    };
    Ok(render(&Codes { page: context, batch: batch_id, codes }))
}

async fn make(site: &Site, actor: Id, form: &Form) -> Result<Created, GiftCardError> {
    let now = site.now();
    let end = lifetime_end(form.text("expires_at"), now).ok_or_else(|| GiftCardError::Invalid(vec![FieldError::new("expires_at", "field.required")]))?;
    let new = NewBatch::parse(form.text("amount"), form.text("count"), end, form.text("note"), now).map_err(GiftCardError::Invalid)?;
    gift_cards::create_batch(&site.db, &site.kit, actor, new).await
}

/// `GET /admin/gift-cards/{batch}`
pub async fn show(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Path(id): Path<Id>, Query(cursor): Query<Cursor>) -> Answer {
    let batch = find(&site, id).await?;
    let mut cards = gift_cards::cards(&mut *site.db.read().await?, id, cursor.after, CARDS + 1).await?;
    let more = cards.len() as i64 > CARDS;
    cards.truncate(CARDS as usize);
    let further = cards.last().filter(|_| more).map(|card| card.id);
    Ok(render(&Batch { page, batch, cards, further, now: site.now() }))
}

/// `GET /admin/gift-cards/{batch}/void`: asks first.
pub async fn ask_void(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Path(id): Path<Id>) -> Answer {
    let batch = find(&site, id).await?;
    let question = Question {
        title: page.t("gift_card.void_title").into_owned(),
        loss: page.with2("gift_card.void_loss", "n", batch.left, "amount", batch.amount.display()),
        action: format!("/admin/gift-cards/{id}/void"),
        yes: page.t("gift_card.void_yes").into_owned(),
        back: format!("/admin/gift-cards/{id}"),
    };
    Ok(render(&Ask { page, question }))
}

/// `POST /admin/gift-cards/{batch}/void`
pub async fn void(State(site): State<Site>, Admin(Customer { page, user, session, .. }): Admin, Path(id): Path<Id>, _form: Form) -> Answer {
    let voided = gift_cards::void_batch(&site.db, &site.kit, id).await.map_err(gone)?;
    note(&site, &user, "gift-cards-voided", &id.to_string(), &voided.to_string()).await?;
    flash::good(&session, page.with("gift_card.void_done", "n", voided)).await?;
    Ok(Redirect::to(&format!("/admin/gift-cards/{id}")).into_response())
}

async fn find(site: &Site, id: Id) -> Result<BatchView, Problem> {
    gift_cards::batch(&mut *site.db.read().await?, id).await?.ok_or(Problem::NotFound)
}

fn gone(error: GiftCardError) -> Problem {
    match error {
        GiftCardError::NotFound => Problem::NotFound,
        other => other.into(),
    }
}
