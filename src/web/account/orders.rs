//! `/account/top-up` and `/account/orders`: buying, paying, and what became of it.

use super::views::{OrderPage, Orders, TopUp};
use crate::kernel::Id;
use crate::ledger::LedgerError;
use crate::limits::Attempt;
use crate::payments::{Method, NewOrder, Order, PaymentError, PlanOrder, State as OrderState, What};
use crate::plans::Refused;
use crate::web::error::{Answer, Problem};
use crate::web::page::{render, render_as};
use crate::web::who::Customer;
use crate::web::{Form, Site, flash};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

const PAGE: i64 = 50;

/// Which page.
#[derive(serde::Deserialize)]
pub struct Cursor {
    before: Option<Id>,
}

/// From where the customer comes.
#[derive(serde::Deserialize)]
pub struct Way {
    /// From the form: on to the page where it is paid.
    go: Option<String>,
    /// From there, paid.
    paid: Option<String>,
}

/// `GET /account/top-up`
pub async fn top_up(State(site): State<Site>, Customer { page, .. }: Customer) -> Answer {
    let form = Form::empty(page.lang);
    Ok(render(&TopUp { page, form, terms: site.settings.now().top_up.clone(), takes_cards: site.payments.takes_cards() }))
}

/// `POST /account/orders`: makes the order and leads to the page where it is paid.
pub async fn create(State(site): State<Site>, customer: Customer, mut form: Form) -> Answer {
    if form.text("what") == "plan" {
        return buy_plan(&site, customer, &form).await;
    }
    let terms = site.settings.now().top_up.clone();
    let typed = if form.text("amount").is_empty() { form.text("preset") } else { form.text("amount") };
    let amount = terms.amount(typed);
    let refused = match (&amount, site.payments.by_card()) {
        _ if customer.user.verified_at.is_none() => Some("top_up.error.not_verified"),
        (Err(key), _) => Some(*key),
        (_, Err(_)) => Some("top_up.error.no_cards"),
        _ => None,
    };
    let (Ok(credit), Ok(method), None) = (amount, site.payments.by_card(), refused) else {
        form.refuse("amount", refused.unwrap_or("top_up.error.no_cards"));
        let takes_cards = site.payments.takes_cards();
        return Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &TopUp { page: customer.page, form, terms, takes_cards }));
    };
    let price = terms.price(credit).ok_or(Problem::BadRequest)?;
    let order = NewOrder {
        user: customer.user.id,
        what: What::TopUp,
        details: String::new(),
        title: customer.page.with2("top_up.order_title", "amount", credit.display(), "site", &customer.page.site),
        language: customer.page.lang.tag().to_owned(),
        method,
        list_price: price,
        price,
        rate: terms.rate,
        credit,
        bonus: terms.bonus(credit),
    };
    match site.payments.order(&order).await {
        Ok(order) => Ok(Redirect::to(&format!("/account/orders/{}?go", order.id)).into_response()),
        Err(PaymentError::TooManyPending) => {
            flash::bad(&customer.session, customer.page.t("order.too_many_pending")).await?;
            Ok(Redirect::to("/account/orders").into_response())
        }
        Err(other) => Err(other.into()),
    }
}

/// A plan, out of the balance or by card.
async fn buy_plan(site: &Site, customer: Customer, form: &Form) -> Answer {
    let Customer { user, page, session, .. } = customer;
    let plan: Id = form.text("plan").parse().map_err(|_| Problem::BadRequest)?;
    let by_card = form.text("by") == "card";
    let method = if by_card { site.payments.by_card() } else { Ok(Method::Balance) };
    let made = match method {
        _ if user.verified_at.is_none() => Err("top_up.error.not_verified"),
        Err(_) => Err("top_up.error.no_cards"),
        Ok(method) => {
            let new = PlanOrder { user: user.id, plan, method, language: page.lang.tag().to_owned() };
            match site.payments.order_plan(&new).await {
                Ok(order) => Ok(order),
                Err(error) => Err(why_not(error)?),
            }
        }
    };
    match made {
        Ok(order) if order.state.was_paid() => {
            flash::good(&session, page.t("order.plan_begun")).await?;
            Ok(Redirect::to("/account/plan").into_response())
        }
        Ok(order) => Ok(Redirect::to(&format!("/account/orders/{}?go", order.id)).into_response()),
        Err(key) => {
            flash::bad(&session, page.t(key)).await?;
            Ok(Redirect::to("/account/plans").into_response())
        }
    }
}

fn why_not(error: PaymentError) -> Result<&'static str, Problem> {
    Ok(match error {
        PaymentError::Refused(Refused::NotForSale) => "order.error.not_for_sale",
        PaymentError::Refused(Refused::NotSoldThisWay) => "order.error.not_this_way",
        PaymentError::Refused(Refused::SoldOut) => "order.error.sold_out",
        PaymentError::Refused(Refused::LimitReached) => "order.error.limit_reached",
        PaymentError::Refused(Refused::AlreadySubscribed) => "order.error.subscribed",
        PaymentError::Ledger(LedgerError::InsufficientBalance { .. }) => "order.error.balance",
        PaymentError::NoRate(_) => "order.error.no_rate",
        PaymentError::TooManyPending => "order.too_many_pending",
        other => return Err(other.into()),
    })
}

/// `GET /account/orders`
pub async fn list(State(site): State<Site>, Customer { user, page, .. }: Customer, Query(Cursor { before }): Query<Cursor>) -> Answer {
    let mut orders = site.payments.orders_of(&mut *site.db.read().await?, user.id, before, PAGE + 1).await?;
    let more = orders.len() as i64 > PAGE;
    orders.truncate(PAGE as usize);
    let older = orders.last().filter(|_| more).map(|order| order.id);
    Ok(render(&Orders { page, orders, older }))
}

/// `GET /account/orders/{id}`
pub async fn show(State(site): State<Site>, customer: Customer, Path(id): Path<Id>, Query(way): Query<Way>) -> Answer {
    let mut order = own(&site, &customer, id).await?;
    let waits = way.paid.is_some() && order.state == OrderState::Pending;
    // Somebody who has just paid should not have to wait for the message.
    if waits && site.limits.attempt(Attempt::LookAtOrder, &customer.user.id.to_string()).await.is_ok() {
        if let Err(error) = site.payments.look(id).await {
            tracing::warn!(%error, order = %id, "the provider could not say what became of an order");
        }
        order = own(&site, &customer, id).await?;
    }
    let is_pending = order.state == OrderState::Pending;
    let can_pay = is_pending && order.expires_at > site.now();
    let leads_on = way.go.is_some() && can_pay;
    Ok(render(&OrderPage { page: customer.page, order, can_pay, leads_on, waits: waits && is_pending }))
}

/// `GET /account/orders/{id}/pay`: to the page where it is paid.
pub async fn pay(State(site): State<Site>, customer: Customer, Path(id): Path<Id>) -> Answer {
    let order = own(&site, &customer, id).await?;
    match site.payments.pay_page(&order).await {
        Ok(Some(url)) => Ok(Redirect::to(&url).into_response()),
        Ok(None) => Ok(Redirect::to(&format!("/account/orders/{id}")).into_response()),
        Err(error @ (PaymentError::Provider(_) | PaymentError::NoProvider)) => {
            tracing::error!(%error, order = %id, "the page of an order could not be made");
            flash::bad(&customer.session, customer.page.t("order.cannot_pay_now")).await?;
            Ok(Redirect::to(&format!("/account/orders/{id}")).into_response())
        }
        Err(other) => Err(other.into()),
    }
}

/// `POST /account/orders/{id}/cancel`
pub async fn cancel(State(site): State<Site>, customer: Customer, Path(id): Path<Id>, _form: Form) -> Answer {
    own(&site, &customer, id).await?;
    let Customer { page, session, .. } = customer;
    match site.payments.cancel(id).await {
        Ok(state) if state.was_paid() => flash::good(&session, page.t("order.was_paid")).await?,
        Ok(OrderState::Pending) => flash::bad(&session, page.t("order.cannot_cancel_now")).await?,
        Ok(_) => flash::good(&session, page.t("order.canceled")).await?,
        Err(error @ PaymentError::Provider(_)) => {
            tracing::warn!(%error, order = %id, "an order could not be given up");
            flash::bad(&session, page.t("order.cannot_cancel_now")).await?;
        }
        Err(other) => return Err(other.into()),
    }
    Ok(Redirect::to(&format!("/account/orders/{id}")).into_response())
}

/// An order of this customer. Of somebody else's there is no word, not even that it exists.
async fn own(site: &Site, customer: &Customer, id: Id) -> Result<Order, Problem> {
    match site.payments.find(id).await {
        Ok(order) if order.user == customer.user.id => Ok(order),
        Ok(_) | Err(PaymentError::NoOrder(_)) => Err(Problem::NotFound),
        Err(other) => Err(other.into()),
    }
}
