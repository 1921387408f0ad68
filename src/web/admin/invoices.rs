//! `/admin/invoices`: every document, and what stands on those to come.

use super::views::{AdminInvoice, AdminInvoices, InvoiceTerms};
use crate::db::Db;
use crate::invoices::{self, Filter, Kind, Listed, TermsDraft};
use crate::kernel::Id;
use crate::web::account::invoices::file;
use crate::web::error::{Answer, Problem};
use crate::web::page::{render, render_as};
use crate::web::who::{Admin, Customer, Owner};
use crate::web::{Form, Page, Site, csv, flash, format};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use futures_util::stream;
use jiff::civil::Date;
use jiff::tz::TimeZone;

const PAGE: i64 = 50;
/// How many rows of a file are read at once.
const PORTION: i64 = 500;
const COLUMNS: [&str; 14] =
    ["number", "kind", "issued_at", "date", "corrects", "order", "customer", "buyer", "buyer_tax_id", "currency", "net", "tax", "gross", "tax_rate"];

/// A search and which page of it.
#[derive(serde::Deserialize)]
pub struct Search {
    #[serde(default)]
    q: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    until: String,
    before: Option<Id>,
}

impl Search {
    /// What was searched for, and the form with it; a day that is none is said there, and does not count.
    fn read(&self, page: &Page, zone: &TimeZone) -> (Filter, Form) {
        let mut form = Form::empty(page.lang);
        for (name, value) in [("q", &self.q), ("kind", &self.kind), ("from", &self.from), ("until", &self.until)] {
            form = form.fill(name, value);
        }
        let midnight = |text: &str, days: i64| {
            let day: Date = text.parse().ok()?;
            let day = day.checked_add(jiff::Span::new().days(days)).ok()?;
            day.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp().as_millisecond())
        };
        let from = form.read_optional("from", "bill.error.day", |text| midnight(text, 0).ok_or(())).flatten();
        let until = form.read_optional("until", "bill.error.day", |text| midnight(text, 1).ok_or(())).flatten();
        let filter = Filter { q: self.q.clone(), kind: Kind::from_word(&self.kind), from: from.unwrap_or(0), until: until.unwrap_or(i64::MAX) };
        (filter, form)
    }

    /// The same search somewhere else.
    fn link(&self, path: &str, before: Option<Id>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("q", &self.q), ("kind", &self.kind), ("from", &self.from), ("until", &self.until)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        if let Some(before) = before {
            query.append_pair("before", &before.to_string());
        }
        format!("{path}?{}", query.finish())
    }
}

/// `GET /admin/invoices`
pub async fn list(State(site): State<Site>, Admin(Customer { page, user, .. }): Admin, Query(search): Query<Search>) -> Answer {
    let (filter, form) = search.read(&page, &site.settings.now().time_zone);
    let mut documents = invoices::list(&mut *site.db.read().await?, &filter, search.before, PAGE + 1).await?;
    let more = documents.len() as i64 > PAGE;
    documents.truncate(PAGE as usize);
    let older = documents.last().filter(|_| more).map(|last| search.link("/admin/invoices", Some(last.id)));
    let file = search.link("/admin/invoices.csv", None);
    let may_set = user.role == crate::accounts::Role::Owner;
    Ok(render(&AdminInvoices { page, documents, form, older, file, may_set }))
}

/// `GET /admin/invoices.csv`: what the search finds, newest first, as it is read.
pub async fn download_list(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Query(search): Query<Search>) -> Answer {
    let (filter, _) = search.read(&page, &site.settings.now().time_zone);
    let begin = Reading { db: site.db.clone(), filter, before: None, head: Some(csv::Row::of(COLUMNS).line()), is_over: false };
    Ok(csv::stream("invoices", stream::try_unfold(begin, portion)))
}

/// How far a file is.
struct Reading {
    db: Db,
    filter: Filter,
    before: Option<Id>,
    /// The first line, until it is sent.
    head: Option<String>,
    is_over: bool,
}

async fn portion(mut reading: Reading) -> Result<Option<(String, Reading)>, sqlx::Error> {
    if reading.is_over {
        return Ok(None);
    }
    let rows = invoices::list(&mut *reading.db.read().await?, &reading.filter, reading.before, PORTION).await?;
    let mut text = reading.head.take().unwrap_or_default();
    rows.iter().for_each(|row| text.push_str(&line(row)));
    reading.is_over = (rows.len() as i64) < PORTION;
    reading.before = rows.last().map(|row| row.id);
    Ok(Some((text, reading)))
}

fn line(row: &Listed) -> String {
    let document = &row.document;
    let about = document.about.as_ref().map_or("", |about| about.number.as_str());
    let cells = csv::Row::of([row.number.as_str(), row.kind.word()]).number(format::iso(row.issued_at)).number(&document.date).text(about).number(row.order);
    let cells = cells.text(&document.buyer.email).text(&document.buyer.name).text(&document.buyer.tax_id).number(row.gross.currency);
    cells.number(row.net()).number(row.tax).number(row.gross).number(invoices::rate_text(document.tax_rate)).line()
}

/// `GET /admin/invoices/{id}`
pub async fn show(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Path(id): Path<Id>) -> Answer {
    let (customer, document) = invoices::find(&mut *site.db.read().await?, id).await?.ok_or(Problem::NotFound)?;
    Ok(render(&AdminInvoice { page, id, customer, order: document.order, sheet: document.sheet() }))
}

/// `GET /admin/invoices/{id}/pdf`
pub async fn download(State(site): State<Site>, _admin: Admin, Path(id): Path<Id>) -> Answer {
    let (_, document) = invoices::find(&mut *site.db.read().await?, id).await?.ok_or(Problem::NotFound)?;
    Ok(file(&document))
}

/// `GET /admin/invoices/terms`
pub async fn terms(State(site): State<Site>, Owner(Customer { page, .. }): Owner) -> Answer {
    let draft = invoices::terms(&mut *site.db.read().await?).await?;
    let form = draft.fields().into_iter().fold(Form::empty(page.lang), |form, (name, value)| form.fill(name, value));
    Ok(render(&InvoiceTerms { page, form }))
}

/// `POST /admin/invoices/terms`
pub async fn save_terms(State(site): State<Site>, Owner(Customer { page, user, session, .. }): Owner, mut form: Form) -> Answer {
    let draft = match TermsDraft::parse(|name| form.raw(name)) {
        Ok(draft) => draft,
        Err(mistakes) => {
            form.refuse_all(&mistakes);
            return Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &InvoiceTerms { page, form }));
        }
    };
    let mut tx = site.db.write().await?;
    invoices::set_terms(&mut tx, &site.kit, user.id, &draft).await?;
    tx.commit().await?;
    flash::good(&session, page.t("common.saved")).await?;
    Ok(Redirect::to("/admin/invoices/terms").into_response())
}

impl Page {
    /// The tone and the word for what a document is.
    pub fn bill_kind(&self, listed: &Listed) -> (&'static str, String) {
        let tone = match listed.kind {
            Kind::Invoice => "",
            Kind::Credit => "warn",
            Kind::Cancellation => "bad",
        };
        (tone, listed.document.heading_in(self.lang))
    }

    /// Which documents a list shows.
    pub fn bill_kinds(&self) -> Vec<(&'static str, String)> {
        let key = |kind| match kind {
            Kind::Invoice => "nav.invoices",
            Kind::Credit => "bill.credit",
            Kind::Cancellation => "bill.cancellation",
        };
        let all = std::iter::once(("", self.t("bill.any_kind").into_owned()));
        all.chain(Kind::ALL.into_iter().map(|kind| (kind.word(), self.t(key(kind)).into_owned()))).collect()
    }

    /// What documents of purchases may be called.
    pub fn bill_names(&self) -> Vec<(&'static str, String)> {
        [("receipt", "bill.receipt"), ("invoice", "bill.invoice")].map(|(word, key)| (word, self.t(key).into_owned())).into()
    }

    /// How documents may be mailed.
    pub fn bill_mailings(&self) -> Vec<(&'static str, String)> {
        let ways = [("pdf", "bill.mailing_pdf"), ("link", "bill.mailing_link"), ("off", "bill.mailing_off")];
        ways.map(|(word, key)| (word, self.t(key).into_owned())).into()
    }
}
