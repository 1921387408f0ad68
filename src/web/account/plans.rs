//! `/account/plans`: what can be bought. The order pages take it from there.

use super::views::{ChoosePlan, PlanOffer, PlanPage};
use crate::kernel::{Currency, Id, Rate};
use crate::ledger::Balance;
use crate::plans::{self, Plan, State as SubscriptionState, SubscriptionView, Visibility};
use crate::web::Site;
use crate::web::error::{Answer, Problem};
use crate::web::page::render;
use crate::web::who::Customer;
use axum::extract::{Path, Query, State};

const PAGE: i64 = 24;
/// So many of a customer's subscriptions are looked at for one that can be changed.
const LATEST: i64 = 20;

/// Which page.
#[derive(serde::Deserialize)]
pub struct Cursor {
    sort: Option<i64>,
    after: Option<Id>,
}

/// `GET /account/plans`
pub async fn list(State(site): State<Site>, customer: Customer, Query(cursor): Query<Cursor>) -> Answer {
    let mut conn = site.db.read().await?;
    let mut all = plans::list(&mut conn, Some(Visibility::Public), cursor.sort.zip(cursor.after), PAGE + 1).await?;
    let more = all.len() as i64 > PAGE;
    all.truncate(PAGE as usize);
    let further = all.last().filter(|_| more).map(|last| format!("/account/plans?sort={}&after={}", last.offer.sort, last.id));
    let mine = plans::of_user(&mut conn, customer.user.id, None, LATEST).await?;
    let mut offers = Vec::with_capacity(all.len());
    for plan in all {
        let trial_days = plans::trial_days(&mut conn, customer.user.id, plan.id, &plan.terms).await?;
        offers.push(offer(&site, plan, trial_days, &mine, &customer.balance));
    }
    Ok(render(&ChoosePlan { page: customer.page, offers, further, takes_cards: site.payments.takes_cards() }))
}

/// `GET /account/plans/{id}`: one of them, also for whoever was given the link of a hidden one.
pub async fn show(State(site): State<Site>, customer: Customer, Path(id): Path<Id>) -> Answer {
    let mut conn = site.db.read().await?;
    let plan = plans::find(&mut conn, id).await?.filter(|plan| plan.offer.visibility != Visibility::Off).ok_or(Problem::NotFound)?;
    let mine = plans::of_user(&mut conn, customer.user.id, None, LATEST).await?;
    let trial_days = plans::trial_days(&mut conn, customer.user.id, plan.id, &plan.terms).await?;
    let offer = offer(&site, plan, trial_days, &mine, &customer.balance);
    Ok(render(&PlanPage { page: customer.page, offer, takes_cards: site.payments.takes_cards() }))
}

/// A plan as one customer is offered it.
fn offer(site: &Site, plan: Plan, trial_days: i64, mine: &[SubscriptionView], balance: &Balance) -> PlanOffer {
    let changeable = |view: &&SubscriptionView| view.state == SubscriptionState::Active && view.renewing && view.plan != plan.id;
    let change = mine.iter().find(changeable).filter(|_| plan.terms.sold.by_subscription()).map(|view| view.id);
    let has_it = mine.iter().any(|view| view.state != SubscriptionState::Ended && view.plan == plan.id);
    let (price, terms) = (plan.terms.price(), &site.settings.now().top_up);
    let rate = if price.currency == Currency::USD { Some(Rate::ONE) } else { Some(terms.rate).filter(|_| price.currency == terms.currency) };
    let credit = rate.and_then(|rate| rate.credit(price));
    let covered = credit.is_some_and(|credit| credit <= balance.available);
    PlanOffer { plan, change, has_it, trial_days, credit, covered }
}
