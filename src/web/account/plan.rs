//! `/account/plan`: what a customer has of plans: what is left, when it resets, when it ends, and what comes next.

use super::views::{Ask, ChangePlan, MyPlan, MyPlans, PayPlan};
use crate::kernel::{Id, Usd};
use crate::ledger::{Balance, House};
use crate::limits::Attempt;
use crate::payments::{Changed, PaidAgain, PaymentError, UnpaidBill};
use crate::plans::{self, Ending, State as SubscriptionState, SubscriptionError, SubscriptionView, TermView, When};
use crate::web::error::{Answer, Problem};
use crate::web::page::render;
use crate::web::ui::Question;
use crate::web::who::Customer;
use crate::web::{Form, Site, flash};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};

const PAGE: i64 = 20;

/// Which page.
#[derive(serde::Deserialize)]
pub struct Cursor {
    before: Option<Id>,
}

/// `GET /account/plan`
pub async fn list(State(site): State<Site>, Customer { user, page, balance, .. }: Customer, Query(cursor): Query<Cursor>) -> Answer {
    let mut views = plans::of_user(&mut *site.db.read().await?, user.id, cursor.before, PAGE + 1).await?;
    let more = views.len() as i64 > PAGE;
    views.truncate(PAGE as usize);
    let older = views.last().filter(|_| more).map(|view| view.id);
    let now = site.now();
    let mut all: Vec<MyPlan> = views.into_iter().map(|view| mine(view, &balance, now)).collect();
    for plan in all.iter_mut().filter(|plan| plan.view.state == SubscriptionState::PastDue) {
        plan.bill = site.payments.unpaid_bill(&mut *site.db.read().await?, plan.view.id).await?;
    }
    let (live, past) = all.into_iter().partition(|plan| plan.view.state != SubscriptionState::Ended);
    Ok(render(&MyPlans { page, live, past, older }))
}

/// A subscription with what its page tells of it.
pub(in crate::web) fn mine(view: SubscriptionView, balance: &Balance, now: i64) -> MyPlan {
    let credits = balance.credits.iter().filter(|credit| credit.bucket.scope == view.id);
    let left: Usd = credits.map(|credit| credit.bucket.available(now)).sum();
    let period = view.period_at(now).map(|period| period.ends_at);
    // The end of the last period is no reset, unless somebody renews it.
    let goes_on = view.renewing && view.cancelled_at.is_none();
    let resets_at = period.filter(|end| *end < view.paid_until || goes_on);
    let waits = goes_on && view.state == SubscriptionState::Active && view.paid_until <= now;
    MyPlan { left, resets_at, goes_on, waits, bill: None, view, now }
}

impl MyPlan {
    /// The term that runs, else the last one.
    pub fn term(&self) -> Option<&TermView> {
        self.view.term_at(self.now)
    }
}

/// `GET /account/plan/{id}/cancel`: asks first.
pub async fn ask_cancel(State(site): State<Site>, customer: Customer, Path(id): Path<Id>) -> Answer {
    let view = own(&site, customer.user.id, id).await?;
    ask(customer, &view, "cancel", ("plan.cancel_title", "plan.cancel_loss", "plan.cancel_yes"))
}

/// `GET /account/plan/{id}/end`: asks first.
pub async fn ask_end(State(site): State<Site>, customer: Customer, Path(id): Path<Id>) -> Answer {
    let view = own(&site, customer.user.id, id).await?;
    ask(customer, &view, "end", ("plan.end_title", "plan.end_loss", "plan.end_yes"))
}

fn ask(Customer { page, .. }: Customer, view: &SubscriptionView, action: &str, (title, loss, yes): (&str, &str, &str)) -> Answer {
    let name = view.terms.last().map_or_else(String::new, |term| term.terms.name.clone());
    let question = Question {
        title: page.with(title, "name", name),
        loss: page.t(loss).into_owned(),
        action: format!("/account/plan/{}/{action}", view.id),
        yes: page.t(yes).into_owned(),
        back: "/account/plan".to_owned(),
    };
    Ok(render(&Ask { page, question }))
}

/// `POST /account/plan/{id}/cancel`: it is not renewed any more.
pub async fn cancel(State(site): State<Site>, customer: Customer, Path(id): Path<Id>, _form: Form) -> Answer {
    own(&site, customer.user.id, id).await?;
    let mut tx = site.db.write().await?;
    let done = plans::cancel(&mut tx, &site.kit, &site.books, id, Ending::PeriodEnd).await.map(drop);
    finish(&site, tx, customer, done, "plan.cancelled").await
}

/// `POST /account/plan/{id}/end`: it ends now, and nothing is paid back.
pub async fn end(State(site): State<Site>, customer: Customer, Path(id): Path<Id>, _form: Form) -> Answer {
    own(&site, customer.user.id, id).await?;
    let mut tx = site.db.write().await?;
    let done = plans::cancel(&mut tx, &site.kit, &site.books, id, Ending::Now(House::Revenue)).await.map(drop);
    finish(&site, tx, customer, done, "plan.ended_now").await
}

/// `POST /account/plan/{id}/resume`
pub async fn resume(State(site): State<Site>, customer: Customer, Path(id): Path<Id>, _form: Form) -> Answer {
    own(&site, customer.user.id, id).await?;
    let mut tx = site.db.write().await?;
    let done = plans::resume(&mut tx, &site.kit, &site.books, id).await;
    finish(&site, tx, customer, done, "plan.resumed").await
}

/// To which plan.
#[derive(serde::Deserialize)]
pub struct Target {
    plan: Id,
}

/// `GET /account/plan/{id}/change`: what it would cost, and when it could count.
pub async fn ask_change(State(site): State<Site>, customer: Customer, Path(id): Path<Id>, Query(target): Query<Target>) -> Answer {
    own(&site, customer.user.id, id).await?;
    let offer = site.payments.change_offer(customer.user.id, id, target.plan).await?.ok_or(Problem::NotFound)?;
    Ok(render(&ChangePlan { page: customer.page, subscription: id, offer }))
}

/// `POST /account/plan/{id}/change`: another plan, at once or from the next renewal on.
pub async fn change(State(site): State<Site>, customer: Customer, Path(id): Path<Id>, form: Form) -> Answer {
    own(&site, customer.user.id, id).await?;
    let plan: Id = form.text("plan").parse().map_err(|_| Problem::BadRequest)?;
    let Customer { user, page, session, .. } = customer;
    let is_now = form.text("when") == "now";
    let done = match is_now {
        true => site.payments.change_now(user.id, id, plan).await,
        false => site.payments.change_at_renewal(user.id, id, plan).await.map(|()| Changed::Done),
    };
    match done {
        Ok(Changed::Done) => {
            site.plans.refresh(&site.db).await?;
            flash::good(&session, page.t(if is_now { "plan.changed" } else { "plan.will_change" })).await?;
        }
        Ok(Changed::Underway) => flash::good(&session, page.t("plan.change_underway")).await?,
        Ok(Changed::Declined(_)) => {
            flash::bad(&session, page.t("plan.change_declined")).await?;
            return Ok(Redirect::to(&format!("/account/plan/{id}/change?plan={plan}")).into_response());
        }
        Err(PaymentError::CannotChange | PaymentError::Subscription(SubscriptionError::Ended | SubscriptionError::NotRenewing)) => {
            flash::bad(&session, page.t("plan.too_late")).await?;
        }
        Err(error @ (PaymentError::Provider(_) | PaymentError::NoProvider)) => {
            tracing::error!(%error, subscription = %id, "a subscription could not be changed");
            flash::bad(&session, page.t("plan.change_unknown")).await?;
        }
        Err(other) => return Err(other.into()),
    }
    Ok(Redirect::to("/account/plan").into_response())
}

/// `POST /account/plan/{id}/keep`: the change that was wished for the next renewal is not wished any more.
pub async fn keep(State(site): State<Site>, customer: Customer, Path(id): Path<Id>, _form: Form) -> Answer {
    let view = own(&site, customer.user.id, id).await?;
    let mut tx = site.db.write().await?;
    let done = plans::change_to(&mut tx, &site.kit, &site.books, id, view.plan, &When::PeriodEnd).await;
    finish(&site, tx, customer, done, "plan.kept").await
}

/// `GET /account/plan/{id}/pay`: the bill that could not be collected. Our mails lead here.
pub async fn ask_pay(State(site): State<Site>, customer: Customer, Path(id): Path<Id>) -> Answer {
    let view = own(&site, customer.user.id, id).await?;
    let bill = site.payments.unpaid_bill(&mut *site.db.read().await?, id).await?.filter(|_| view.state == SubscriptionState::PastDue);
    let Some(bill) = bill else {
        flash::good(&customer.session, customer.page.t("plan.nothing_to_pay")).await?;
        return Ok(Redirect::to("/account/plan").into_response());
    };
    Ok(render(&PayPlan { page: customer.page, view, bill }))
}

/// `GET /account/plan/{id}/bill`: to the provider's page on which it can be paid by another card.
pub async fn bill(State(site): State<Site>, customer: Customer, Path(id): Path<Id>) -> Answer {
    own(&site, customer.user.id, id).await?;
    let bill = site.payments.unpaid_bill(&mut *site.db.read().await?, id).await?;
    Ok(Redirect::to(bill.as_ref().and_then(UnpaidBill::web_page).unwrap_or("/account/plan")).into_response())
}

/// `POST /account/plan/{id}/pay`: once more, by the card that the provider has.
pub async fn pay(State(site): State<Site>, customer: Customer, Path(id): Path<Id>, _form: Form) -> Answer {
    own(&site, customer.user.id, id).await?;
    let Customer { user, page, session, .. } = customer;
    let again = Redirect::to(&format!("/account/plan/{id}/pay")).into_response();
    if site.limits.attempt(Attempt::LookAtOrder, &user.id.to_string()).await.is_err() {
        flash::bad(&session, page.t("plan.pay_later")).await?;
        return Ok(again);
    }
    match site.payments.pay_again(id).await {
        Ok(PaidAgain::Paid) => {
            site.plans.refresh(&site.db).await?;
            flash::good(&session, page.t("plan.paid_again")).await?;
        }
        Ok(PaidAgain::Nothing) => flash::good(&session, page.t("plan.nothing_to_pay")).await?,
        Ok(PaidAgain::Processing) => flash::good(&session, page.t("plan.pay_underway")).await?,
        Ok(PaidAgain::NeedsAction) => {
            flash::bad(&session, page.t("plan.pay_confirm")).await?;
            return Ok(again);
        }
        Ok(PaidAgain::Declined(_)) => {
            flash::bad(&session, page.t("plan.pay_declined")).await?;
            return Ok(again);
        }
        Err(error @ (PaymentError::Provider(_) | PaymentError::NoProvider)) => {
            tracing::error!(%error, subscription = %id, "a bill could not be paid");
            flash::bad(&session, page.t("plan.pay_unknown")).await?;
            return Ok(again);
        }
        Err(other) => return Err(other.into()),
    }
    Ok(Redirect::to("/account/plan").into_response())
}

/// Keeps what was done and says so.
async fn finish(site: &Site, tx: crate::db::Tx, customer: Customer, done: Result<(), SubscriptionError>, words: &str) -> Result<Response, Problem> {
    let Customer { page, session, .. } = customer;
    match done {
        Ok(()) => {
            tx.commit().await?;
            site.plans.refresh(&site.db).await?;
            flash::good(&session, page.t(words)).await?;
        }
        Err(SubscriptionError::Ended | SubscriptionError::NotRenewing) => flash::bad(&session, page.t("plan.too_late")).await?,
        Err(SubscriptionError::NotFound) => return Err(Problem::NotFound),
        Err(other) => return Err(other.into()),
    }
    Ok(Redirect::to("/account/plan").into_response())
}

/// A subscription of this customer. Of somebody else's there is no word, not even that it exists.
async fn own(site: &Site, user: Id, id: Id) -> Result<SubscriptionView, Problem> {
    let newest_first_from = Some(Id(id.0.saturating_add(1)));
    let found = plans::of_user(&mut *site.db.read().await?, user, newest_first_from, 1).await?;
    found.into_iter().find(|view| view.id == id).ok_or(Problem::NotFound)
}
