//! `/account`: what there is, what was spent, how to go on; and the redeem box.

use super::views::Dashboard;
use crate::gift_cards::{self, RedeemError, Redeemed};
use crate::limits::{Guess, Guessed};
use crate::web::error::{Answer, Problem};
use crate::web::format::{day_start, month_start};
use crate::web::page::{render, render_as};
use crate::web::public::home::{EXAMPLE_KEY, example_model};
use crate::web::snippets::quick_start;
use crate::web::who::Customer;
use crate::web::{Form, Site, flash};
use crate::{keys, plans, usage};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

/// How many requests the dashboard shows.
const LATEST: i64 = 8;

/// `GET /account`
pub async fn show(State(site): State<Site>, customer: Customer) -> Answer {
    let form = Form::empty(customer.page.lang);
    Ok(render(&dashboard(&site, customer, form).await?))
}

async fn dashboard(site: &Site, customer: Customer, form: Form) -> Result<Dashboard, Problem> {
    let Customer { user, mut page, balance, .. } = customer;
    // A refused code is answered under the redeem box's own path, which nobody can visit.
    page.here = "/account".to_owned();
    let now = site.now();
    let mut conn = site.db.read().await?;
    let today = usage::spend_since(&mut conn, user.id, day_start(now)).await?;
    let month = usage::spend_since(&mut conn, user.id, month_start(now)).await?;
    let requests = usage::recent(&mut conn, user.id, None, LATEST).await?;
    let keys = keys::list(&mut conn, user.id).await?;
    let snippets = quick_start(&page.base_url, &example_model(site), EXAMPLE_KEY);
    Ok(Dashboard { page, balance, today, month, requests, keys, form, snippets })
}

/// `POST /account/redeem`
pub async fn redeem(State(site): State<Site>, customer: Customer, mut form: Form) -> Answer {
    match try_code(&site, &customer, form.text("code")).await? {
        Ok(done) => {
            flash::good(&customer.session, done).await?;
            Ok(Redirect::to("/account").into_response())
        }
        Err(wrong) => {
            form.refuse("code", wrong);
            Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &dashboard(&site, customer, form).await?))
        }
    }
}

/// Redeems a code and says what it gave, or the key of why it did not. Every wrong code makes the account and its address wait longer.
pub(super) async fn try_code(site: &Site, customer: &Customer, typed: &str) -> Result<Result<String, &'static str>, Problem> {
    let guesses = guess(site, customer).await?;
    let outcome = gift_cards::redeem(&site.db, &site.kit, &site.books, customer.user.id, typed).await;
    if !outcome.as_ref().is_err_and(RedeemError::is_wrong_code) {
        forgive(site, &guesses).await;
    }
    match outcome {
        Ok(Redeemed { amount, plan: None }) => Ok(Ok(customer.page.with("redeem.done", "amount", amount.display()))),
        Ok(Redeemed { plan: Some(plan), .. }) => {
            let plan = plans::find(&mut *site.db.read().await?, plan).await?;
            Ok(Ok(customer.page.with("redeem.done_plan", "name", plan.map(|plan| plan.terms.name).unwrap_or_default())))
        }
        Err(error) => words(error).map(Err),
    }
}

/// Counts that a code was typed, as a wrong one: [`forgive`] takes it back.
pub(super) async fn guess(site: &Site, customer: &Customer) -> Result<Vec<Guessed>, Problem> {
    let mut guesses = Vec::new();
    for (guess, subject) in [(Guess::CodeAccount, customer.user.id.to_string()), (Guess::CodeSource, customer.source.clone())] {
        match site.limits.guess(guess, &subject).await {
            Ok(guessed) => guesses.push(guessed),
            Err(limit) => {
                // Nothing was tried: the account does not wait longer for what its address has done.
                forgive(site, &guesses).await;
                return Err(Problem::TooMany(limit.retry_after_s));
            }
        }
    }
    Ok(guesses)
}

/// Takes back what [`guess`] has counted.
pub(super) async fn forgive(site: &Site, guesses: &[Guessed]) {
    for guessed in guesses {
        site.limits.was_right(guessed).await;
    }
}

fn words(error: RedeemError) -> Result<&'static str, Problem> {
    Ok(match error {
        RedeemError::NotACode => "redeem.not_a_code",
        RedeemError::Unknown => "redeem.unknown",
        RedeemError::AlreadyRedeemed => "redeem.taken",
        RedeemError::AlreadyRedeemedByYou => "redeem.yours",
        RedeemError::Expired => "redeem.expired",
        RedeemError::Voided => "redeem.voided",
        RedeemError::Held => "redeem.held",
        RedeemError::LimitReached => "redeem.limit",
        RedeemError::NotVerified => "redeem.not_verified",
        RedeemError::UserDisabled => "log_in.disabled",
        RedeemError::Ledger(error) => return Err(error.into()),
        RedeemError::Plan(error) => return Err(error.into()),
        RedeemError::Database(error) => return Err(error.into()),
    })
}
