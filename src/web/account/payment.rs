//! `/account/payment`: the saved card, credit that is bought by itself, and the way to the provider's own pages.

use super::orders::own;
use super::views::{Ask, ConfirmPayment, Payment, SavedWith};
use crate::kernel::{FieldError, Id, Usd};
use crate::limits::Attempt;
use crate::payments::PaymentError;
use crate::payments::automatic::Terms;
use crate::web::error::{Answer, Problem};
use crate::web::page::{render, render_as};
use crate::web::ui::Question;
use crate::web::who::Customer;
use crate::web::{Form, Site, flash};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

/// What the form proposes to whoever has agreed to nothing yet, in dollars.
const PROPOSED: [(&str, i64); 3] = [("below", 5), ("amount", 20), ("monthly", 100)];

/// `GET /account/payment`
pub async fn show(State(site): State<Site>, customer: Customer) -> Answer {
    let known = site.payments.automatic(customer.user.id).await?;
    let form = Form::empty(customer.page.lang);
    let form = match &known {
        Some(known) => form.fill("below", known.terms.below).fill("amount", known.terms.amount).fill("monthly", known.terms.monthly),
        None => PROPOSED.iter().fold(form, |form, (name, dollars)| form.fill(name, Usd::dollars(*dollars))),
    };
    Ok(render(&page(&site, customer, form).await?))
}

async fn page(site: &Site, customer: Customer, form: Form) -> Result<Payment, Problem> {
    let user = customer.user.id;
    let card = card(site, user).await;
    let automatic = site.payments.automatic(user).await?;
    let (bought, under_way) = (site.payments.bought_this_month(user).await?, site.payments.automatic_order(user).await?);
    let (terms, now) = (site.settings.now().top_up.clone(), site.now());
    Ok(Payment { page: customer.page, card, automatic, bought, under_way, terms, form, now })
}

/// What the provider says of the card, asked not too often.
async fn card(site: &Site, user: Id) -> SavedWith {
    if !site.payments.takes_cards() {
        return SavedWith::NoProvider;
    }
    if site.limits.attempt(Attempt::LookAtOrder, &user.to_string()).await.is_err() {
        return SavedWith::Unknown;
    }
    match site.payments.saved_card(user).await {
        Ok(Some(card)) => SavedWith::Card(card),
        Ok(None) => SavedWith::Nothing,
        Err(error) => {
            tracing::warn!(%error, %user, "the provider could not say which card is saved");
            SavedWith::Unknown
        }
    }
}

/// `POST /account/payment/automatic`: agrees to be charged.
pub async fn save(State(site): State<Site>, customer: Customer, mut form: Form) -> Answer {
    let sold = site.settings.now().top_up.clone();
    let whole = |key| Err(vec![FieldError::new("", key)]);
    let agreed = match Terms::parse(|name| form.text(name), &sold) {
        _ if !customer.user.may_spend() => whole("top_up.error.not_verified"),
        Err(mistakes) => Err(mistakes),
        Ok(terms) => match site.payments.saved_card(customer.user.id).await {
            Ok(Some(card)) => match site.payments.agree(customer.user.id, &terms, &card, customer.page.lang.tag()).await {
                Ok(()) => Ok(()),
                Err(PaymentError::NoRate(_)) => whole("order.error.no_rate"),
                Err(other) => return Err(other.into()),
            },
            Ok(None) => whole("autopay.error.no_card"),
            Err(PaymentError::Provider(_) | PaymentError::NoProvider) => whole("autopay.unreachable"),
            Err(other) => return Err(other.into()),
        },
    };
    match agreed {
        Ok(()) => back(customer, "autopay.switched_on").await,
        Err(mistakes) => {
            form.refuse_all(&mistakes);
            Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &page(&site, customer, form).await?))
        }
    }
}

/// `POST /account/payment/automatic/off`
pub async fn off(State(site): State<Site>, customer: Customer, _form: Form) -> Answer {
    site.payments.switch_off(customer.user.id).await?;
    back(customer, "autopay.switched_off").await
}

/// `GET /account/payment/forget`: asks first.
pub async fn ask_forget(Customer { page, .. }: Customer) -> Answer {
    let question = Question {
        title: page.t("autopay.forget_title").into_owned(),
        loss: page.t("autopay.forget_loss").into_owned(),
        action: "/account/payment/forget".to_owned(),
        yes: page.t("autopay.forget").into_owned(),
        back: "/account/payment".to_owned(),
    };
    Ok(render(&Ask { page, question }))
}

/// `POST /account/payment/forget`
pub async fn forget(State(site): State<Site>, customer: Customer, _form: Form) -> Answer {
    match site.payments.forget_cards(customer.user.id).await {
        Ok(()) => back(customer, "autopay.forgotten").await,
        Err(error @ (PaymentError::Provider(_) | PaymentError::NoProvider)) => {
            tracing::warn!(%error, user = %customer.user.id, "a card could not be forgotten");
            flash::bad(&customer.session, customer.page.t("autopay.not_forgotten")).await?;
            Ok(Redirect::to("/account/payment").into_response())
        }
        Err(other) => Err(other.into()),
    }
}

/// `GET /account/payment/portal`: to the provider's pages. No form leads there: a browser follows it to no other site.
pub async fn portal(State(site): State<Site>, customer: Customer) -> Answer {
    let words = match site.payments.portal(customer.user.id).await {
        Ok(Some(url)) => return Ok(Redirect::to(&url).into_response()),
        Ok(None) => "autopay.no_portal",
        Err(error @ (PaymentError::Provider(_) | PaymentError::NoProvider)) => {
            tracing::warn!(%error, user = %customer.user.id, "the provider's pages could not be opened");
            "autopay.unreachable"
        }
        Err(other) => return Err(other.into()),
    };
    flash::bad(&customer.session, customer.page.t(words)).await?;
    Ok(Redirect::to("/account/payment").into_response())
}

/// `GET /account/orders/{id}/confirm`: where our mail leads when the bank wants a confirmation. The bank's page is made when the customer goes on: it is open for
/// a short time only.
pub async fn ask_confirm(State(site): State<Site>, customer: Customer, Path(id): Path<Id>) -> Answer {
    let order = own(&site, &customer, id).await?;
    if !site.payments.waits_for_confirmation(&order).await? {
        return Ok(Redirect::to(&format!("/account/orders/{id}")).into_response());
    }
    Ok(render(&ConfirmPayment { page: customer.page, order }))
}

/// `GET /account/orders/{id}/bank`: to the bank.
pub async fn to_bank(State(site): State<Site>, customer: Customer, Path(id): Path<Id>) -> Answer {
    let order = own(&site, &customer, id).await?;
    match site.payments.confirm_page(&order).await {
        Ok(Some(url)) => Ok(Redirect::to(&url).into_response()),
        Ok(None) => Ok(Redirect::to(&format!("/account/orders/{id}")).into_response()),
        Err(error @ (PaymentError::Provider(_) | PaymentError::NoProvider)) => {
            tracing::warn!(%error, order = %id, "the bank's page could not be opened");
            flash::bad(&customer.session, customer.page.t("order.cannot_pay_now")).await?;
            Ok(Redirect::to(&format!("/account/orders/{id}/confirm")).into_response())
        }
        Err(other) => Err(other.into()),
    }
}

async fn back(customer: Customer, words: &str) -> Result<Response, Problem> {
    flash::good(&customer.session, customer.page.t(words)).await?;
    Ok(Redirect::to("/account/payment").into_response())
}
