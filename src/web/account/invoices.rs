//! `/account/invoices` and `/account/billing`: a customer's documents, and what they want to read on them.

use super::views::{BillingDetails, Invoice, Invoices};
use crate::invoices::{self, Billing, Document};
use crate::kernel::Id;
use crate::web::error::{Answer, Problem};
use crate::web::page::{render, render_as};
use crate::web::who::Customer;
use crate::web::{Form, Site, flash};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

const PAGE: i64 = 50;

/// Which page.
#[derive(serde::Deserialize)]
pub struct Cursor {
    before: Option<Id>,
}

/// `GET /account/invoices`
pub async fn list(State(site): State<Site>, Customer { user, page, .. }: Customer, Query(Cursor { before }): Query<Cursor>) -> Answer {
    let mut documents = invoices::of_user(&mut *site.db.read().await?, user.id, before, PAGE + 1).await?;
    let more = documents.len() as i64 > PAGE;
    documents.truncate(PAGE as usize);
    let older = documents.last().filter(|_| more).map(|document| document.id);
    Ok(render(&Invoices { page, documents, older }))
}

/// `GET /account/invoices/{id}`
pub async fn show(State(site): State<Site>, customer: Customer, Path(id): Path<Id>) -> Answer {
    let document = own(&site, &customer, id).await?;
    Ok(render(&Invoice { page: customer.page, id, sheet: document.sheet() }))
}

/// `GET /account/invoices/{id}/pdf`
pub async fn download(State(site): State<Site>, customer: Customer, Path(id): Path<Id>) -> Answer {
    Ok(file(&own(&site, &customer, id).await?))
}

/// A document as a file.
pub fn file(document: &Document) -> Response {
    let name = format!("attachment; filename=\"{}\"", invoices::file_name(document));
    let headers = [(header::CONTENT_TYPE, "application/pdf".to_owned()), (header::CONTENT_DISPOSITION, name)];
    (headers, [(header::CACHE_CONTROL, "private, no-store")], invoices::pdf(document)).into_response()
}

/// A document of this customer. Of somebody else's there is no word, not even that it exists.
async fn own(site: &Site, customer: &Customer, id: Id) -> Result<Document, Problem> {
    let found = invoices::find(&mut *site.db.read().await?, id).await?;
    found.filter(|(user, _)| *user == customer.user.id).map(|(_, document)| document).ok_or(Problem::NotFound)
}

/// `GET /account/billing`
pub async fn billing(State(site): State<Site>, Customer { user, page, .. }: Customer) -> Answer {
    let billing = invoices::billing(&mut *site.db.read().await?, user.id).await?;
    let form = billing.fields().into_iter().fold(Form::empty(page.lang), |form, (name, value)| form.fill(name, value));
    Ok(render(&BillingDetails { page, form }))
}

/// `POST /account/billing`
pub async fn save_billing(State(site): State<Site>, Customer { user, page, session, .. }: Customer, mut form: Form) -> Answer {
    let billing = match Billing::parse(|name| form.raw(name)) {
        Ok(billing) => billing,
        Err(mistakes) => {
            form.refuse_all(&mistakes);
            return Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &BillingDetails { page, form }));
        }
    };
    let mut tx = site.db.write().await?;
    invoices::set_billing(&mut tx, &site.kit, user.id, &billing).await?;
    tx.commit().await?;
    flash::good(&session, page.t("common.saved")).await?;
    Ok(Redirect::to("/account/billing").into_response())
}
