//! `/admin/orders`: what was bought, what became of it, and how money goes back.

use super::views::{AdminOrder, AdminOrders};
use crate::accounts;
use crate::invoices;
use crate::kernel::{Id, Money, fields};
use crate::payments::{NewRefund, Order, PaymentError, State as OrderState};
use crate::web::error::{Answer, Problem};
use crate::web::page::{Page, render, render_as};
use crate::web::who::{Admin, Customer};
use crate::web::{Form, Site, flash};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

const PAGE: i64 = 50;

/// Which orders.
#[derive(serde::Deserialize)]
pub struct Filter {
    state: Option<String>,
    before: Option<Id>,
}

/// `GET /admin/orders`
pub async fn list(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Query(filter): Query<Filter>) -> Answer {
    let state = filter.state.as_deref().and_then(OrderState::from_word);
    let mut conn = site.db.read().await?;
    let mut orders = site.payments.orders(&mut conn, state, filter.before, PAGE + 1).await?;
    let more = orders.len() as i64 > PAGE;
    orders.truncate(PAGE as usize);
    let word = state.map_or("", OrderState::word);
    let older = orders.last().filter(|_| more).map(|order| format!("/admin/orders?state={word}&before={}", order.id));
    let mut rows = Vec::with_capacity(orders.len());
    for order in orders {
        let email = accounts::find(&mut conn, order.user).await?.map(|user| user.email);
        rows.push((order, email.unwrap_or_default()));
    }
    let form = Form::empty(page.lang).fill("state", word);
    Ok(render(&AdminOrders { page, orders: rows, older, form }))
}

/// `GET /admin/orders/{id}`
pub async fn show(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Path(id): Path<Id>) -> Answer {
    let order = find(&site, id).await?;
    let form = Form::empty(page.lang).fill("amount", order.refundable()).fill("once", site.kit.ids.next()).fill("spent", "owed");
    Ok(render(&order_page(&site, page, order, form).await?))
}

async fn order_page(site: &Site, page: Page, order: Order, form: Form) -> Result<AdminOrder, Problem> {
    let mut conn = site.db.read().await?;
    let email = accounts::find(&mut conn, order.user).await?.map(|user| user.email).unwrap_or_default();
    let history = site.payments.history(&mut conn, order.id).await?;
    let documents = invoices::of_order(&mut conn, order.id).await?;
    Ok(AdminOrder { page, order, email, history, documents, form })
}

/// `POST /admin/orders/{id}/refund`
pub async fn refund(State(site): State<Site>, Admin(Customer { page, user, session, .. }): Admin, Path(id): Path<Id>, mut form: Form) -> Answer {
    let order = find(&site, id).await?;
    let once: Id = form.text("once").parse().map_err(|_| Problem::BadRequest)?;
    let amount = form.read("amount", "payback.error.amount", |text| Money::parse(text, order.price.currency));
    let reason = form.text("reason").to_owned();
    let reason = fields::label(&reason).map_err(|key| form.refuse("reason", key)).ok();
    if let (Some(amount), Some(reason)) = (amount, reason) {
        let new = NewRefund { id: once, order: id, amount, owed: form.text("spent") != "lost", reason, actor: user.id };
        match site.payments.refund(&new).await {
            Ok(()) => {
                flash::good(&session, page.with("payback.begun", "amount", amount.display())).await?;
                return Ok(Redirect::to(&format!("/admin/orders/{id}")).into_response());
            }
            Err(PaymentError::NotRefundable) => form.refuse("amount", "payback.error.too_much"),
            Err(other) => return Err(other.into()),
        }
    }
    Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &order_page(&site, page, order, form).await?))
}

/// `POST /admin/orders/{id}/look`: asks the provider now.
pub async fn look(State(site): State<Site>, Admin(Customer { page, session, .. }): Admin, Path(id): Path<Id>, _form: Form) -> Answer {
    match site.payments.look(id).await {
        Ok(_) => flash::good(&session, page.t("order.looked")).await?,
        Err(PaymentError::NoOrder(_)) => return Err(Problem::NotFound),
        Err(error @ (PaymentError::Provider(_) | PaymentError::NoProvider | PaymentError::Mismatch(_))) => {
            flash::bad(&session, page.with("order.look_failed", "why", error)).await?;
        }
        Err(other) => return Err(other.into()),
    }
    Ok(Redirect::to(&format!("/admin/orders/{id}")).into_response())
}

async fn find(site: &Site, id: Id) -> Result<Order, Problem> {
    match site.payments.find(id).await {
        Err(PaymentError::NoOrder(_)) => Err(Problem::NotFound),
        found => Ok(found?),
    }
}
