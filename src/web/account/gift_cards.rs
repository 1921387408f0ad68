//! `/account/gift-cards`: redeeming one, buying one for a friend, and what became of those that were bought.

use super::dashboard::try_code;
use super::views::{GiftCards, SendCard};
use crate::accounts::Email;
use crate::gift_cards::sale::{self, SaleState, SaleView, SendError, Sender};
use crate::gift_cards::{self, RedeemedCard};
use crate::i18n::Lang;
use crate::kernel::Id;
use crate::limits::Attempt;
use crate::web::error::{Answer, Problem};
use crate::web::page::{render, render_as};
use crate::web::who::Customer;
use crate::web::{Form, Page, Site, flash};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

const BOUGHT: i64 = 20;
const REDEEMED: i64 = 20;

/// Which page of either list.
#[derive(Default, serde::Deserialize)]
pub struct Cursors {
    /// Bought cards, before this order.
    bought: Option<Id>,
    /// Redeemed cards, before this moment...
    at: Option<i64>,
    /// ...and this card.
    card: Option<Id>,
}

/// `GET /account/gift-cards`
pub async fn show(State(site): State<Site>, customer: Customer, Query(cursors): Query<Cursors>) -> Answer {
    let form = blank(&customer);
    Ok(render(&page(&site, customer, cursors, form).await?))
}

/// The form for a new gift, with what is known of who gives it.
fn blank(customer: &Customer) -> Form {
    let zone = customer.user.time_zone.clone().unwrap_or_default();
    Form::empty(customer.page.lang).fill("letter_lang", customer.page.lang.code()).fill("time_zone", zone)
}

/// The page with a form as it was filled in: also for the orders, when what was typed to buy a card is wrong.
///
/// # Errors
/// What the database says.
pub async fn page(site: &Site, customer: Customer, cursors: Cursors, form: Form) -> Result<GiftCards, Problem> {
    let Customer { user, mut page, .. } = customer;
    page.here = "/account/gift-cards".to_owned();
    let mut conn = site.db.read().await?;
    let mut bought = sale::bought(&mut conn, user.id, cursors.bought, BOUGHT + 1).await?;
    let mut redeemed = gift_cards::cards_of(&mut conn, user.id, cursors.at.zip(cursors.card), REDEEMED + 1).await?;
    let more = (bought.len() as i64 > BOUGHT, redeemed.len() as i64 > REDEEMED);
    bought.truncate(BOUGHT as usize);
    redeemed.truncate(REDEEMED as usize);
    let older_bought = bought.last().filter(|_| more.0).map(|last: &SaleView| format!("/account/gift-cards?bought={}", last.order));
    let older_redeemed = redeemed.last().filter(|_| more.1).map(|last: &RedeemedCard| format!("/account/gift-cards?at={}&card={}", last.at, last.id));
    let takes_cards = site.payments.takes_cards();
    Ok(GiftCards { page, bought, older_bought, redeemed, older_redeemed, form, takes_cards })
}

/// `POST /account/gift-cards/redeem`
pub async fn redeem(State(site): State<Site>, customer: Customer, mut form: Form) -> Answer {
    match try_code(&site, &customer, form.text("code")).await? {
        Ok(done) => {
            flash::good(&customer.session, done).await?;
            Ok(Redirect::to("/account/gift-cards").into_response())
        }
        Err(wrong) => {
            form.refuse("code", wrong);
            Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &page(&site, customer, Cursors::default(), form).await?))
        }
    }
}

async fn mine(site: &Site, customer: &Customer, order: Id) -> Result<SaleView, Problem> {
    sale::sale(&mut *site.db.read().await?, customer.user.id, order).await?.ok_or(Problem::NotFound)
}

/// `GET /account/gift-cards/{order}/send`: to which address.
pub async fn ask_send(State(site): State<Site>, customer: Customer, Path(order): Path<Id>) -> Answer {
    let sale = mine(&site, &customer, order).await?;
    let form = Form::empty(customer.page.lang).fill("to", &sale.to);
    Ok(render(&SendCard { page: customer.page, sale, form }))
}

/// `POST /account/gift-cards/{order}/send`: the letter again, with another code.
pub async fn send(State(site): State<Site>, customer: Customer, Path(order): Path<Id>, mut form: Form) -> Answer {
    let sale = mine(&site, &customer, order).await?;
    let Some(to) = form.read("to", "field.email", Email::parse) else {
        return Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &SendCard { page: customer.page, sale, form }));
    };
    let user = &customer.user;
    site.limits.attempt(Attempt::Resend, &user.id.to_string()).await.map_err(|limit| Problem::TooMany(limit.retry_after_s))?;
    let site_name = site.settings.now().site_name.clone();
    let sender = Sender { site: &site_name, url: site.public_url.as_str() };
    let page = &customer.page;
    match sale::send_to(&site.db, &site.kit, sender, user.id, order, &to).await {
        Ok(()) => flash::good(&customer.session, page.with("gift.sent_to", "email", to.as_str())).await?,
        Err(SendError::NotFound) => return Err(Problem::NotFound),
        Err(SendError::AlreadyRedeemed) => flash::bad(&customer.session, page.t("gift.redeemed_text")).await?,
        Err(SendError::Held) => flash::bad(&customer.session, page.t("gift.held_text")).await?,
        Err(SendError::Recalled) => flash::bad(&customer.session, page.t("gift.recalled_text")).await?,
        Err(SendError::Database(error)) => return Err(error.into()),
    }
    Ok(Redirect::to("/account/gift-cards").into_response())
}

impl Page {
    /// How far a bought card is, and how it looks.
    pub fn sale_state(&self, state: &SaleState) -> (&'static str, String) {
        let (tone, key) = match state {
            SaleState::Waiting => ("", "gift.waiting"),
            SaleState::Sent => ("good", "gift.sent"),
            SaleState::Redeemed => ("good", "gift.redeemed"),
            SaleState::Held => ("warn", "gift.held"),
            SaleState::Recalled => ("warn", "gift.recalled"),
        };
        (tone, self.t(key).into_owned())
    }

    /// The languages that a letter can have.
    pub fn letter_languages(&self) -> Vec<(&'static str, String)> {
        Lang::ALL.into_iter().map(|lang| (lang.code(), lang.name().to_owned())).collect()
    }
}
