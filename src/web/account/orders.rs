//! `/account/top-up` and `/account/orders`: buying, paying, and what became of it.

use super::dashboard::{forgive, guess};
use super::views::{OrderPage, Orders, TopUp};
use crate::coupons::CouponError;
use crate::gift_cards::sale::{Gift, GiftFields};
use crate::invoices;
use crate::kernel::{FieldError, Id, Usd};
use crate::ledger::LedgerError;
use crate::limits::Attempt;
use crate::payments::{Method, NewOrder, Order, PaymentError, State as OrderState, What, Wish};
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

/// `POST /account/orders`: makes the order and leads to where it is paid, or to what it has brought.
pub async fn create(State(site): State<Site>, customer: Customer, mut form: Form) -> Answer {
    let page = &customer.page;
    let wish = match form.text("what") {
        "plan" => {
            let plan = form.text("plan").parse().map_err(|_| Problem::BadRequest)?;
            Ok(if form.text("way") == "subscription" { Wish::Subscription(plan) } else { Wish::Plan(plan) })
        }
        "gift_card" => gift(&site, &form),
        _ if form.ticked("keep_card") => credit(&site, &form).map(Wish::TopUpAndKeepCard),
        _ => credit(&site, &form).map(Wish::TopUp),
    };
    let made = match wish {
        _ if customer.user.verified_at.is_none() => Err(vec![FieldError::new("", "top_up.error.not_verified")]),
        Err(mistakes) => Err(mistakes),
        Ok(wish) => {
            let title = match &wish {
                Wish::GiftCard(amount, _) => page.with2("order.gift_card_title", "amount", amount.display(), "site", &page.site),
                Wish::TopUp(amount) | Wish::TopUpAndKeepCard(amount) => page.with2("top_up.order_title", "amount", amount.display(), "site", &page.site),
                Wish::Plan(_) | Wish::Subscription(_) => String::new(),
            };
            let by_balance = form.text("by") == "balance" && matches!(wish, Wish::Plan(_) | Wish::GiftCard(..));
            let method = if by_balance { Ok(Method::Balance) } else { site.payments.by_card() };
            match method {
                Err(_) => Err(vec![FieldError::new("", "top_up.error.no_cards")]),
                Ok(method) => {
                    let (language, coupon) = (page.lang.tag().to_owned(), form.text("coupon").to_owned());
                    // A coupon is money to whoever finds its code.
                    let guesses = if coupon.is_empty() { Vec::new() } else { guess(&site, &customer).await? };
                    let ordered = site.payments.order(&NewOrder { user: customer.user.id, wish, title, language, method, coupon }).await;
                    if !matches!(ordered, Err(PaymentError::Coupon(CouponError::Unknown))) {
                        forgive(&site, &guesses).await;
                    }
                    match ordered {
                        Ok(order) => Ok(order),
                        // Two pages on which the same is subscribed to would be paid twice.
                        Err(PaymentError::AlreadyOrdered(open)) => return Ok(Redirect::to(&format!("/account/orders/{open}?go")).into_response()),
                        Err(error) => Err(vec![why_not(error)?]),
                    }
                }
            }
        }
    };
    match made {
        Ok(order) if order.state == OrderState::Pending => Ok(Redirect::to(&format!("/account/orders/{}?go", order.id)).into_response()),
        Ok(order) => {
            flash::good(&customer.session, customer.page.t("order.delivered")).await?;
            let place = if matches!(order.what, What::Plan(_)) { "/account/plan".to_owned() } else { format!("/account/orders/{}", order.id) };
            Ok(Redirect::to(&place).into_response())
        }
        Err(mistakes) => {
            form.refuse_all(&mistakes);
            refused(&site, customer, form).await
        }
    }
}

/// The form again from which the order came, with what was typed.
async fn refused(site: &Site, customer: Customer, form: Form) -> Answer {
    match form.text("what") {
        "plan" => {
            let said: Vec<&str> = form.errors().iter().map(|(_, text)| text.as_str()).collect();
            flash::bad(&customer.session, said.join(" ")).await?;
            Ok(Redirect::to("/account/plans").into_response())
        }
        "gift_card" => {
            let page = super::gift_cards::page(site, customer, Default::default(), form).await?;
            Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
        _ => {
            let (terms, takes_cards) = (site.settings.now().top_up.clone(), site.payments.takes_cards());
            Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &TopUp { page: customer.page, form, terms, takes_cards }))
        }
    }
}

/// How much credit is wanted: what was typed, or what was chosen.
fn credit(site: &Site, form: &Form) -> Result<Usd, Vec<FieldError>> {
    let typed = if form.text("amount").is_empty() { form.text("preset") } else { form.text("amount") };
    site.settings.now().top_up.amount(typed).map_err(|key| vec![FieldError::new("amount", key)])
}

/// A gift card for somebody.
fn gift(site: &Site, form: &Form) -> Result<Wish, Vec<FieldError>> {
    let fields = GiftFields {
        to: form.text("to"),
        giver: form.text("giver"),
        message: form.text("message"),
        lang: form.text("letter_lang"),
        deliver_on: form.text("deliver_on"),
        time_zone: form.text("time_zone"),
    };
    match (credit(site, form), Gift::parse(&fields, site.now())) {
        (Ok(amount), Ok(gift)) => Ok(Wish::GiftCard(amount, gift)),
        (amount, gift) => Err(amount.err().into_iter().chain(gift.err()).flatten().collect()),
    }
}

fn why_not(error: PaymentError) -> Result<FieldError, Problem> {
    let whole = |key| FieldError::new("", key);
    Ok(match error {
        PaymentError::Refused(Refused::NotForSale) => whole("order.error.not_for_sale"),
        PaymentError::Refused(Refused::NotSoldThisWay) => whole("order.error.not_this_way"),
        PaymentError::Refused(Refused::SoldOut) => whole("order.error.sold_out"),
        PaymentError::Refused(Refused::LimitReached) => whole("order.error.limit_reached"),
        PaymentError::Refused(Refused::AlreadySubscribed) => whole("order.error.subscribed"),
        PaymentError::Coupon(error) => FieldError::new("coupon", error.key().ok_or_else(|| Problem::internal(&error))?),
        PaymentError::Ledger(LedgerError::InsufficientBalance { .. }) => whole("order.error.balance"),
        PaymentError::NoRate(_) => whole("order.error.no_rate"),
        PaymentError::TooManyPending => whole("order.too_many_pending"),
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
    let confirm = site.payments.waits_for_confirmation(&order).await?;
    let can_pay = is_pending && order.expires_at > site.now() && !order.is_automatic();
    let leads_on = way.go.is_some() && can_pay;
    let documents = invoices::of_order(&mut *site.db.read().await?, id).await?;
    let waits = waits && is_pending && !confirm;
    Ok(render(&OrderPage { page: customer.page, order, documents, can_pay, leads_on, waits, confirm }))
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
pub(super) async fn own(site: &Site, customer: &Customer, id: Id) -> Result<Order, Problem> {
    match site.payments.find(id).await {
        Ok(order) if order.user == customer.user.id => Ok(order),
        Ok(_) | Err(PaymentError::NoOrder(_)) => Err(Problem::NotFound),
        Err(other) => Err(other.into()),
    }
}
