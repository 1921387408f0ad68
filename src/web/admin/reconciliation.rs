//! `/admin/reconciliation`: what the payment provider says of a period beside what the books say.

use super::money_views::Reconciliation;
use crate::admin_log;
use crate::kernel::{Day, Days};
use crate::payments::PaymentError;
use crate::payments::compare::{Comparison, Reason, Stand, Subject};
use crate::payments::provider::{Advice, ProviderError};
use crate::web::error::{Answer, Problem};
use crate::web::page::{Page, render};
use crate::web::who::{Admin, Customer};
use crate::web::{Form, Site, flash};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect};
use std::borrow::Cow;

/// The longest period, in days.
const MOST_DAYS: i64 = 100;

/// Which period.
#[derive(serde::Deserialize, Default)]
#[serde(default)]
pub struct Choice {
    from: String,
    until: String,
}

/// `GET /admin/reconciliation`: without a period it asks for one, since comparing asks the provider.
pub async fn show(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Query(choice): Query<Choice>) -> Answer {
    let days = Days::of(&site.settings.now().time_zone);
    let today = days.day(site.now());
    let is_asked = !choice.from.is_empty() || !choice.until.is_empty();
    let (from, until) = if is_asked { (choice.from, choice.until) } else { (today.month().to_string(), today.to_string()) };
    let mut form = Form::empty(page.lang).fill("from", &from).fill("until", &until);
    let from = form.read("from", "statement.error.day", str::parse::<Day>);
    let until = form.read("until", "statement.error.day", str::parse::<Day>);
    let mut answer = Reconciliation { page, form, comparison: None, failed: None, zone: days.zone().to_owned() };
    let Some((from, until)) = from.zip(until) else { return Ok(render(&answer)) };
    if until < from {
        answer.form.refuse("until", "statement.error.order");
    } else if until.less(MOST_DAYS) > from {
        answer.form.refuse("until", "reconcile.error.long");
    } else if is_asked || !site.payments.takes_cards() {
        match site.payments.compare(days.begin(from), days.begin(until.next())).await {
            Ok(comparison) => answer.comparison = Some(comparison),
            Err(error) => answer.failed = Some(sentence(&answer.page, error)?),
        }
    }
    Ok(render(&answer))
}

/// What went wrong with asking the provider, and what can be done.
fn sentence(page: &Page, error: PaymentError) -> Result<String, Problem> {
    let error: ProviderError = match error {
        PaymentError::NoProvider => return Ok(page.t("reconcile.no_provider").into_owned()),
        PaymentError::Provider(error) => error,
        other => return Err(other.into()),
    };
    tracing::warn!(%error, "the provider could not be asked for a reconciliation");
    let advice = match error.advice() {
        Advice::Wait => "reconcile.advice_wait",
        Advice::CheckKey => "reconcile.advice_key",
        Advice::CheckAccount => "reconcile.advice_account",
        Advice::AskCustomer | Advice::LookThere => "reconcile.advice_there",
    };
    Ok(page.with("reconcile.failed", "advice", page.t(advice)))
}

/// `POST /admin/reconciliation`: fetches what was lost on the way, and the fees, now.
pub async fn fetch(State(site): State<Site>, Admin(Customer { page, user, session, .. }): Admin, form: Form) -> Answer {
    let fetched = async {
        let messages = site.payments.fetch_messages().await?;
        Ok::<_, PaymentError>((messages, site.payments.read_fees().await?))
    };
    match fetched.await {
        Ok((messages, movements)) => {
            let mut tx = site.db.write().await?;
            admin_log::record(&mut tx, &site.kit, Some(user.id), "payments-fetched", "", &format!("{messages} {movements}")).await?;
            tx.commit().await?;
            flash::good(&session, page.with2("reconcile.fetched", "messages", messages, "movements", movements)).await?;
        }
        Err(error) => flash::bad(&session, sentence(&page, error)?).await?,
    }
    let days = ["from", "until"].map(|name| form.text(name).parse::<Day>().ok());
    let back = match days {
        [Some(from), Some(until)] => format!("/admin/reconciliation?from={from}&until={until}"),
        _ => "/admin/reconciliation".to_owned(),
    };
    Ok(Redirect::to(&back).into_response())
}

impl Page {
    /// What is compared.
    pub fn compared(&self, subject: &Subject) -> Cow<'static, str> {
        self.t(match subject {
            Subject::Payment => "reconcile.payment",
            Subject::Refund => "reconcile.refund",
            Subject::Dispute => "reconcile.dispute",
            Subject::Fee => "reconcile.fee",
        })
    }

    /// How something stands on one side.
    pub fn stand(&self, stand: &Stand) -> Cow<'static, str> {
        self.t(match stand {
            Stand::Done => "reconcile.done",
            Stand::Open => "reconcile.open",
            Stand::Failed => "reconcile.nothing",
            Stand::Inquiry => "dispute.inquiry",
            Stand::Won => "dispute.won",
            Stand::Lost => "dispute.lost",
        })
    }

    /// Why the sides differ.
    pub fn reason(&self, reason: &Reason) -> Cow<'static, str> {
        self.t(match reason {
            Reason::MissingHere => "reconcile.missing_here",
            Reason::MissingThere => "reconcile.missing_there",
            Reason::Amount => "reconcile.other_amount",
            Reason::Stand => "reconcile.other_state",
            Reason::NoRate => "reconcile.no_rate",
        })
    }
}

impl Comparison {
    /// Whether both sides say the same.
    pub fn agrees(&self) -> bool {
        self.differences.is_empty() && !self.is_cut
    }
}
