//! The balance that clients ask for: `/v1/dashboard/billing/subscription` and `/usage`, also without `/v1`; and `/v1/usage`.
//!
//! Clients show `hard_limit_usd - total_usage / 100` as what is left; `total_usage` is in cents.

use super::error::ApiError;
use super::models::respond;
use super::{Relay, Tongue, auth};
use crate::kernel::{NEVER, Usd};
use crate::keys::Entry;
use crate::{keys, usage};
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::Response;
use axum::http::request::Parts;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Serialize)]
struct Subscription<'a> {
    object: &'static str,
    has_payment_method: bool,
    soft_limit_usd: &'a RawValue,
    hard_limit_usd: &'a RawValue,
    system_hard_limit_usd: &'a RawValue,
    access_until: i64,
}

#[derive(Serialize)]
struct TotalUsage {
    object: &'static str,
    total_usage: Box<RawValue>,
}

/// The days of a report, both of them in it.
#[derive(Debug, Default, Deserialize)]
pub struct Days {
    start_date: Option<String>,
    end_date: Option<String>,
}

/// Answers `GET /v1/dashboard/billing/subscription`.
pub async fn subscription(State(relay): State<Relay>, parts: Parts) -> Response<Body> {
    let answer = match auth::visitor(&relay, Tongue::OpenAi, &parts) {
        Ok(key) => limits(&relay, &key).await.map_err(internal),
        Err(error) => Err(error),
    };
    respond(&relay, answer)
}

async fn limits(relay: &Relay, key: &Entry) -> anyhow::Result<String> {
    let mut conn = relay.db.read().await?;
    let hard_limit = match key.budget {
        Some(budget) => budget,
        None => {
            let balance = relay.books.balance(&mut conn, key.user_id).await?;
            balance.available + balance.held - balance.owed + keys::spent_by_user(&mut conn, key.user_id).await?
        }
    };
    let limit = number(hard_limit.to_decimal())?;
    let access_until = if key.ends_at() == NEVER { 0 } else { key.ends_at() / 1000 };
    let subscription = Subscription {
        object: "billing_subscription",
        has_payment_method: true,
        soft_limit_usd: &limit,
        hard_limit_usd: &limit,
        system_hard_limit_usd: &limit,
        access_until,
    };
    Ok(serde_json::to_string(&subscription)?)
}

/// Answers `GET /v1/dashboard/billing/usage`.
pub async fn total_usage(State(relay): State<Relay>, days: Result<Query<Days>, QueryRejection>, parts: Parts) -> Response<Body> {
    let answer = match auth::visitor(&relay, Tongue::OpenAi, &parts).and_then(|key| Ok((key, range(&given(days)?)?))) {
        Ok((key, range)) => spent(&relay, &key, range).await.map_err(internal),
        Err(error) => Err(error),
    };
    respond(&relay, answer)
}

async fn spent(relay: &Relay, key: &Entry, range: Option<(i64, i64)>) -> anyhow::Result<String> {
    let mut conn = relay.db.read().await?;
    let spent = match (range, key.budget) {
        (Some((from, to)), Some(_)) => usage::spend_of_key_between(&mut conn, key.user_id, key.key_id, from, to).await?,
        (Some((from, to)), None) => usage::spend_between(&mut conn, key.user_id, from, to).await?,
        (None, Some(_)) => keys::spent(&mut conn, key.key_id).await?,
        (None, None) => keys::spent_by_user(&mut conn, key.user_id).await?,
    };
    let total_usage = number(spent.to_decimal() * Decimal::ONE_HUNDRED)?;
    Ok(serde_json::to_string(&TotalUsage { object: "list", total_usage })?)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Remaining<'a> {
    is_valid: bool,
    plan_name: &'a str,
    remaining: Box<RawValue>,
    unit: &'static str,
}

/// Answers `GET /v1/usage`: what is left, for the tools that show it beside the key.
pub async fn remaining(State(relay): State<Relay>, parts: Parts) -> Response<Body> {
    let answer = match auth::visitor(&relay, Tongue::OpenAi, &parts) {
        Ok(key) => left(&relay, &key).await.map_err(internal),
        Err(error) => Err(error),
    };
    respond(&relay, answer)
}

async fn left(relay: &Relay, key: &Entry) -> anyhow::Result<String> {
    let standing = Standing::of(relay, key).await?;
    let answer = Remaining { is_valid: true, plan_name: &relay.settings.now().site_name, remaining: number(standing.left.to_decimal())?, unit: "USD" };
    Ok(serde_json::to_string(&answer)?)
}

/// What a key has spent and what it may still spend.
pub(super) struct Standing {
    /// What it spent.
    pub(super) spent: Usd,
    /// What a request with it could take now: as far as the balance goes, and the budgets of the key and of its owner, in all and of the periods that run.
    pub(super) left: Usd,
    /// Nothing but the balance bounds it.
    pub(super) is_unbounded: bool,
}

impl Standing {
    pub(super) async fn of(relay: &Relay, key: &Entry) -> anyhow::Result<Self> {
        let (of_user, of_key) = (key.user_allowance(&relay.settings.now().allowance).budgets, key.budgets());
        let mut conn = relay.db.read().await?;
        let spent = keys::spent(&mut conn, key.key_id).await?;
        let left = relay.books.room(&mut conn, (key.user_id, &of_user), (key.key_id, &of_key)).await?;
        Ok(Self { spent, left, is_unbounded: of_key.is_unbounded() && of_user.is_unbounded() })
    }
}

fn given(days: Result<Query<Days>, QueryRejection>) -> Result<Days, ApiError> {
    days.map(|Query(days)| days).map_err(|_| ApiError::invalid(None, "'start_date' and 'end_date' may each be given once."))
}

/// From the first day's start to the last day's end, in UTC; none when no day is given.
fn range(days: &Days) -> Result<Option<(i64, i64)>, ApiError> {
    let parse = |name: &'static str, text: &Option<String>| {
        let wrong = || ApiError::invalid(name, format!("'{name}' must be a date such as 2026-01-31."));
        text.as_deref().map(|text| text.get(..10).and_then(|day| day.parse::<Date>().ok()).ok_or_else(wrong)).transpose()
    };
    let (start, end) = (parse("start_date", &days.start_date)?, parse("end_date", &days.end_date)?);
    if start.is_none() && end.is_none() {
        return Ok(None);
    }
    let at = |day: Date| day.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp().as_millisecond());
    let too_far = |_| ApiError::invalid("end_date", "That date is out of range.");
    let from = start.map(at).transpose().map_err(too_far)?.unwrap_or(0);
    let to = end.map(|day| day.tomorrow().and_then(at)).transpose().map_err(too_far)?.unwrap_or(i64::MAX);
    Ok(Some((from, to)))
}

/// A decimal as a JSON number, without passing through a float.
pub(super) fn number(decimal: Decimal) -> anyhow::Result<Box<RawValue>> {
    Ok(RawValue::from_string(decimal.normalize().to_string())?)
}

pub(super) fn internal(error: anyhow::Error) -> ApiError {
    tracing::error!(%error, "a balance could not be read");
    ApiError::unavailable()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(start: &str, end: &str) -> Days {
        Days { start_date: (!start.is_empty()).then(|| start.to_owned()), end_date: (!end.is_empty()).then(|| end.to_owned()) }
    }

    #[test]
    fn both_days_are_in_the_range() {
        assert_eq!(range(&days("1970-01-01", "1970-01-01")).unwrap(), Some((0, 86_400_000)));
        assert_eq!(range(&days("1970-01-02T00:00:00Z", "")).unwrap(), Some((86_400_000, i64::MAX)));
        assert_eq!(range(&days("", "")).unwrap(), None);
        for bad in ["x", "2026-02-30", "1"] {
            assert_eq!(range(&days(bad, "")).unwrap_err().status.as_u16(), 400);
        }
    }
}
