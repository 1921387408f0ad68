//! `/admin/gift-cards`: batches of codes, shown once and downloaded once.

use super::views::{Ask, Batch, Codes, FoundCards, GiftCards};
use crate::gift_cards::{self, BatchFields, BatchView, CardFilter, CardView, Created, GiftCardError, NewBatch, Origin};
use crate::kernel::secrets::Secret;
use crate::kernel::{FieldError, Id};
use crate::plans;
use crate::web::error::{Answer, Problem};
use crate::web::page::{lifetime_end, render, render_as};
use crate::web::ui::Question;
use crate::web::who::{Admin, Customer};
use crate::web::{Form, Page, Site, flash, format};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

const BATCHES: i64 = 25;
const CARDS: i64 = 100;
/// How many plans the form offers.
const PLANS: i64 = 200;

/// Which page of the batches.
#[derive(serde::Deserialize)]
pub struct Batches {
    #[serde(default)]
    from: String,
    before: Option<Id>,
}

/// Which page of a batch's cards.
#[derive(serde::Deserialize)]
pub struct Cards {
    #[serde(default)]
    state: String,
    after: Option<Id>,
}

/// A search for cards.
#[derive(serde::Deserialize)]
pub struct Search {
    #[serde(default)]
    q: String,
    before: Option<Id>,
}

async fn page(site: &Site, page: Page, which: Batches, form: Form) -> Result<GiftCards, Problem> {
    let origin = Origin::from_word(&which.from);
    let mut batches = gift_cards::batches(&mut *site.db.read().await?, origin, which.before, BATCHES + 1).await?;
    let more = batches.len() as i64 > BATCHES;
    batches.truncate(BATCHES as usize);
    let older = batches.last().filter(|_| more).map(|batch| match origin {
        Some(origin) => format!("/admin/gift-cards?from={}&before={}", origin.word(), batch.id),
        None => format!("/admin/gift-cards?before={}", batch.id),
    });
    let filter = Form::empty(page.lang).fill("from", origin.map_or("", Origin::word));
    let plans = plan_choices(site, &page).await?;
    Ok(GiftCards { page, batches, older, form, filter, plans })
}

/// What a card may give: credit, or one of the plans.
async fn plan_choices(site: &Site, page: &Page) -> Result<Vec<(String, String)>, Problem> {
    let plans = plans::list(&mut *site.db.read().await?, None, None, PLANS).await?;
    let credit = (String::new(), page.t("gift_card.plan_none").into_owned());
    Ok(std::iter::once(credit)
        .chain(plans.into_iter().map(|plan| (plan.id.to_string(), format!("{} · {}", plan.terms.name, plan.terms.price().display()))))
        .collect())
}

/// `GET /admin/gift-cards`
pub async fn list(State(site): State<Site>, Admin(Customer { page: context, .. }): Admin, Query(which): Query<Batches>) -> Answer {
    let form = Form::empty(context.lang);
    Ok(render(&page(&site, context, which, form).await?))
}

/// `POST /admin/gift-cards`: the answer itself shows the codes of a small batch. A large one is made in the meantime; its page says how far it is.
pub async fn create(State(site): State<Site>, Admin(Customer { page: context, user, .. }): Admin, mut form: Form) -> Answer {
    let Created { batch_id, codes } = match make(&site, user.id, &form).await {
        Ok(created) => created,
        Err(GiftCardError::Invalid(mistakes)) => {
            form.refuse_all(&mistakes);
            let all = Batches { from: String::new(), before: None };
            return Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &page(&site, context, all, form).await?));
        }
        Err(other) => return Err(gone(other)),
    };
    if codes.is_empty() {
        return Ok(Redirect::to(&format!("/admin/gift-cards/{batch_id}")).into_response());
    }
    Ok(render(&Codes { page: context, batch: batch_id, codes }))
}

async fn make(site: &Site, actor: Id, form: &Form) -> Result<Created, GiftCardError> {
    let now = site.now();
    let expires_at = lifetime_end(form.text("expires_at"), now).ok_or_else(|| GiftCardError::Invalid(vec![FieldError::new("expires_at", "field.required")]))?;
    let typed = BatchFields {
        amount: form.text("amount"),
        plan: form.text("plan"),
        count: form.text("count"),
        expires_at,
        note: form.text("note"),
        prefix: form.text("prefix"),
        per_customer: form.text("per_customer"),
        origin: form.text("origin"),
    };
    let new = NewBatch::parse(&typed, now).map_err(GiftCardError::Invalid)?;
    gift_cards::create_batch(&site.db, &site.kit, &site.secret, actor, new).await
}

/// `GET /admin/gift-cards/find?q=`: by the last letters of a code, or all of it.
pub async fn find(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Query(search): Query<Search>) -> Answer {
    let mut form = Form::empty(page.lang).fill("q", &search.q);
    let found = gift_cards::find_cards(&mut *site.db.read().await?, &search.q, search.before, CARDS + 1).await?;
    if found.is_none() && !search.q.trim().is_empty() {
        form.refuse("q", "gift_card.find_more");
    }
    let mut cards = found.unwrap_or_default();
    let more = cards.len() as i64 > CARDS;
    cards.truncate(CARDS as usize);
    let link = |card: &CardView| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        format!("/admin/gift-cards/find?{}", query.append_pair("q", &search.q).append_pair("before", &card.id.to_string()).finish())
    };
    let older = cards.last().filter(|_| more).map(link);
    Ok(render(&FoundCards { page, cards, form, older, now: site.now() }))
}

/// `GET /admin/gift-cards/{batch}`
pub async fn show(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Path(id): Path<Id>, Query(which): Query<Cards>) -> Answer {
    let batch = batch(&site, id).await?;
    let filter = CardFilter::from_word(&which.state);
    let mut cards = gift_cards::cards(&mut *site.db.read().await?, id, filter, which.after, CARDS + 1).await?;
    let more = cards.len() as i64 > CARDS;
    cards.truncate(CARDS as usize);
    let further = cards.last().filter(|_| more).map(|card| format!("/admin/gift-cards/{id}?state={}&after={}", filter.word(), card.id));
    let form = Form::empty(page.lang).fill("state", filter.word());
    let plan = match batch.plan {
        Some(plan) => plans::find(&mut *site.db.read().await?, plan).await?.map(|plan| plan.terms.name),
        None => None,
    };
    Ok(render(&Batch { page, batch, cards, further, form, plan, now: site.now() }))
}

/// `POST /admin/gift-cards/{batch}/codes`: shows the codes, to one who asks.
pub async fn codes(State(site): State<Site>, Admin(Customer { page, user, session, .. }): Admin, Path(id): Path<Id>, _form: Form) -> Answer {
    match gift_cards::show(&site.db, &site.kit, &site.secret, user.id, id).await {
        Ok(codes) => Ok(render(&Codes { page, batch: id, codes })),
        Err(error) => no_codes(&site, error, &page, &session, id).await,
    }
}

/// `POST /admin/gift-cards/{batch}/codes.csv`: a file with the codes, for one who asks.
pub async fn download(State(site): State<Site>, Admin(Customer { page, user, session, .. }): Admin, Path(id): Path<Id>, _form: Form) -> Answer {
    match gift_cards::download(&site.db, &site.kit, &site.secret, user.id, id).await {
        Ok(codes) => Ok(file(&batch(&site, id).await?, &codes)),
        Err(error) => no_codes(&site, error, &page, &session, id).await,
    }
}

/// Codes are letters, digits and hyphens, and the rest is ours: nothing in it to quote, and nothing that a spreadsheet would run.
fn file(batch: &BatchView, codes: &[Secret<String>]) -> Response {
    let expires = if batch.expires_at == crate::kernel::NEVER { String::new() } else { format::iso(batch.expires_at) };
    let mut text = String::from("code,amount_usd,expires_at\r\n");
    for code in codes {
        text.push_str(&format!("{},{},{expires}\r\n", code.reveal(), batch.amount));
    }
    let name = format!("attachment; filename=\"gift-cards-{}.csv\"", batch.id);
    let headers = [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
    (headers, [(header::CACHE_CONTROL, "no-store")], text).into_response()
}

async fn no_codes(site: &Site, error: GiftCardError, page: &Page, session: &crate::sessions::Session, id: Id) -> Answer {
    let GiftCardError::NoCodes = error else { return Err(gone(error)) };
    batch(site, id).await?;
    flash::bad(session, page.t("gift_card.no_codes")).await?;
    Ok(Redirect::to(&format!("/admin/gift-cards/{id}")).into_response())
}

/// `GET /admin/gift-cards/{batch}/void`: asks first.
pub async fn ask_void(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Path(id): Path<Id>) -> Answer {
    let batch = batch(&site, id).await?;
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
    match gift_cards::void_batch(&site.db, &site.kit, user.id, id).await {
        Ok(voided) => flash::good(&session, page.with("gift_card.void_done", "n", voided)).await?,
        Err(GiftCardError::Bought) => flash::bad(&session, page.t("gift_card.void_bought")).await?,
        Err(other) => return Err(gone(other)),
    }
    Ok(Redirect::to(&format!("/admin/gift-cards/{id}")).into_response())
}

/// `GET /admin/gift-cards/card/{card}/void`: asks first.
pub async fn ask_void_card(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Path(id): Path<Id>) -> Answer {
    let card = gift_cards::card(&mut *site.db.read().await?, id).await?.ok_or(Problem::NotFound)?;
    let question = Question {
        title: page.with("gift_card.void_card_title", "tail", &card.tail),
        loss: page.with2("gift_card.void_loss", "n", 1, "amount", card.amount.display()),
        action: format!("/admin/gift-cards/card/{id}/void"),
        yes: page.t("gift_card.void_card_yes").into_owned(),
        back: format!("/admin/gift-cards/{}", card.batch),
    };
    Ok(render(&Ask { page, question }))
}

/// `POST /admin/gift-cards/card/{card}/void`
pub async fn void_card(State(site): State<Site>, Admin(Customer { page, user, session, .. }): Admin, Path(id): Path<Id>, _form: Form) -> Answer {
    let card = gift_cards::card(&mut *site.db.read().await?, id).await?.ok_or(Problem::NotFound)?;
    match gift_cards::void_card(&site.db, &site.kit, user.id, id).await {
        Ok(()) => flash::good(&session, page.with("gift_card.void_done", "n", 1)).await?,
        Err(GiftCardError::Bought) => flash::bad(&session, page.t("gift_card.void_bought")).await?,
        Err(GiftCardError::AlreadyRedeemed) => flash::bad(&session, page.t("gift_card.void_redeemed")).await?,
        Err(other) => return Err(gone(other)),
    }
    Ok(Redirect::to(&format!("/admin/gift-cards/{}", card.batch)).into_response())
}

async fn batch(site: &Site, id: Id) -> Result<BatchView, Problem> {
    gift_cards::batch(&mut *site.db.read().await?, id).await?.ok_or(Problem::NotFound)
}

fn gone(error: GiftCardError) -> Problem {
    match error {
        GiftCardError::NotFound => Problem::NotFound,
        other => other.into(),
    }
}

impl Page {
    /// Where a batch may come from, for the form of a new one.
    pub fn new_origins(&self) -> Vec<(&'static str, String)> {
        Origin::MADE.into_iter().map(|origin| (origin.word(), self.origin(&origin))).collect()
    }

    /// Which batches a list shows.
    pub fn origin_filters(&self) -> Vec<(&'static str, String)> {
        let made = std::iter::once(("", self.t("gift_card.origin_made").into_owned()));
        made.chain([Origin::Given, Origin::Sold, Origin::Bought].into_iter().map(|origin| (origin.word(), self.origin(&origin)))).collect()
    }

    /// Where a batch comes from.
    pub fn origin(&self, origin: &Origin) -> String {
        let key = match origin {
            Origin::Given => "gift_card.origin_given",
            Origin::Sold => "gift_card.origin_sold",
            Origin::Bought => "gift_card.origin_bought",
        };
        self.t(key).into_owned()
    }

    /// Which cards a batch's page shows.
    pub fn card_filters(&self) -> Vec<(&'static str, String)> {
        let key = |filter| match filter {
            CardFilter::All => "gift_card.all_cards",
            CardFilter::Open => "gift_card.open",
            CardFilter::Redeemed => "gift_card.redeemed",
            CardFilter::Voided => "gift_card.voided",
        };
        CardFilter::ALL.into_iter().map(|filter| (filter.word(), self.t(key(filter)).into_owned())).collect()
    }
}
