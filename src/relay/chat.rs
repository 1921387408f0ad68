//! `POST /v1/chat/completions`: the pipeline from end to end.

use super::bound::{Fit, Size};
use super::charge::{Call, Charge, Ending, Used, count_input};
use super::dialect::openai_answer;
use super::dialect::openai_chat::ChatRequest;
use super::dispatch::{self, Dispatched};
use super::error::ApiError;
use super::report::UsageReport;
use super::stream::StreamBody;
use super::{COST, Relay, auth, body, with_request_id};
use crate::catalog::Model;
use crate::channels::Channel;
use crate::failpoint;
use crate::kernel::{Id, Prices, Usd};
use crate::keys::Entry;
use crate::ledger::{Budgets, Hold, HoldRequest, LedgerError, Whose};
use crate::usage::{Memo, Outcome, Record};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use std::sync::Arc;

/// Answers `POST /v1/chat/completions`.
pub async fn chat_completions(State(relay): State<Relay>, request: Request) -> Response<Body> {
    let id = relay.kit.ids.next();
    let response = serve(&relay, id, request).await.unwrap_or_else(ApiError::into_response);
    with_request_id(response, id)
}

async fn serve(relay: &Relay, id: Id, request: Request) -> Result<Response<Body>, ApiError> {
    let started_ms = relay.kit.clock.now_ms();
    let (parts, incoming) = request.into_parts();
    let key = auth::authenticate(relay, &parts.headers)?;
    let body = body::read(&parts.headers, incoming, relay.config.body_limit).await?;
    let request = ChatRequest::parse(&body)?;
    let (model, prices) = find_model(relay, &request.model, started_ms)?;
    let call = Arc::new(Call { id, user: key.user_id, key: key.key_id, request, body, prices, started_ms });
    let channels = dispatch::order(relay, &relay.channels.candidates(&call.request.model));
    let size = size(&call, &model);
    let hold = match reserve(relay, &call, size, &key, &channels).await {
        Ok(hold) => hold,
        Err(error) => {
            note_refusal(relay, &call, &error).await;
            return Err(error);
        }
    };
    let (charge, cap) = admit(relay, &call, size, hold).await?;
    run(charge, &channels, cap).await
}

fn find_model(relay: &Relay, name: &str, now: i64) -> Result<(Arc<Model>, Prices), ApiError> {
    let model = relay.catalog.get(name).filter(|model| model.enabled).ok_or_else(|| ApiError::unknown_model(name))?;
    let prices = model.prices_at(now).ok_or_else(|| ApiError::unpriced_model(name))?;
    Ok((model, prices))
}

fn size(call: &Call, model: &Model) -> Size {
    Size {
        bytes: call.body.len(),
        media_parts: call.request.media_parts,
        output_cap: call.request.output_cap,
        model_cap: model.max_output_tokens,
        choices: call.request.choices,
    }
}

/// Reserves the money, as far as the balance goes; none for a model that costs nothing.
async fn reserve(relay: &Relay, call: &Call, size: Size, key: &Entry, channels: &[Arc<Channel>]) -> Result<Option<Hold>, ApiError> {
    if channels.is_empty() {
        return Err(ApiError::no_channel(&call.request.model));
    }
    let full = size.worst_case(&call.prices);
    if full == Usd::ZERO {
        return Ok(None);
    }
    let memo = Memo { model: call.request.model.clone(), streamed: call.request.stream }.write();
    let request = HoldRequest {
        id: call.id,
        user: call.user,
        key: call.key,
        key_budget: Budgets::total(key.budget),
        user_budget: Budgets::default(),
        full,
        floor: size.least(&call.prices).max(Usd(1)),
        checkpoint: size.input_estimate(&call.prices),
        memo,
    };
    let hold = relay.meter.hold(request).await.map_err(|error| refused(relay, error))?;
    failpoint::reach("hold_committed");
    Ok(Some(hold))
}

/// Takes charge of the hold. Returns also the output cap to send when the balance is too short for what was asked.
async fn admit(relay: &Relay, call: &Arc<Call>, size: Size, hold: Option<Hold>) -> Result<(Charge, Option<u64>), ApiError> {
    match hold {
        Some(hold) if hold.amount < size.worst_case(&call.prices) => fit_balance(relay, call, size, hold).await,
        hold => Ok((Charge::new(relay.clone(), Arc::clone(call), hold, size.output_limit()), None)),
    }
}

/// The balance is short of the worst case: the input is counted for real, and the output cap lowered to what is left.
async fn fit_balance(relay: &Relay, call: &Arc<Call>, size: Size, hold: Hold) -> Result<(Charge, Option<u64>), ApiError> {
    let (held, short_of_budget) = (hold.amount, hold.short_of_budget);
    let mut charge = Charge::new(relay.clone(), Arc::clone(call), Some(hold), size.output_limit());
    let counted = Arc::clone(call);
    let input = tokio::task::spawn_blocking(move || count_input(&counted.request, &counted.body)).await.map_err(|_| ApiError::internal())?;
    match size.fit(&call.prices, held, input) {
        Fit::AsAsked => Ok((charge, None)),
        Fit::Lowered(cap) => {
            charge.output_cap = cap.saturating_mul(call.request.choices);
            Ok((charge, Some(cap)))
        }
        Fit::TooLittle => {
            let error = short_of_budget.map_or(LedgerError::InsufficientBalance { available: held }, |shortage| shortage.refusal(held));
            let error = refused(relay, error);
            let ending = Ending { outcome: Outcome::Refused, status: error.status.as_u16(), used: Used::Nothing, error: None };
            charge.settle(ending).await.map_err(|error| refused(relay, error))?;
            Err(error)
        }
    }
}

fn refused(relay: &Relay, error: LedgerError) -> ApiError {
    match error {
        LedgerError::InsufficientBalance { available } => ApiError::insufficient_balance(&available.display_short(), &relay.config.top_up_url),
        LedgerError::KeyBudgetExhausted { left } | LedgerError::PeriodBudgetExhausted { whose: Whose::Key, left, .. } => {
            ApiError::key_budget(&left.max(Usd::ZERO).display_short())
        }
        LedgerError::UserBudgetExhausted { left } | LedgerError::PeriodBudgetExhausted { whose: Whose::User, left, .. } => {
            ApiError::account_budget(&left.max(Usd::ZERO).display_short())
        }
        LedgerError::NoWallet(_) => ApiError::insufficient_balance(&Usd::ZERO.display(), &relay.config.top_up_url),
        LedgerError::Stopped | LedgerError::Database(_) => {
            tracing::error!(%error, "the ledger cannot hold");
            ApiError::unavailable()
        }
        other => {
            tracing::error!(error = %other, "the ledger refused a hold");
            ApiError::internal()
        }
    }
}

/// A request for which nothing was held leaves a row too; one that held something leaves its row when the hold ends.
async fn note_refusal(relay: &Relay, call: &Call, error: &ApiError) {
    let record = Record {
        id: call.id,
        user: call.user,
        key: call.key,
        channel: None,
        model: call.request.model.clone(),
        streamed: call.request.stream,
        status: error.status.as_u16(),
        outcome: Outcome::Refused,
        usage: Default::default(),
        counted: false,
        ttft_ms: None,
        duration_ms: (relay.kit.clock.now_ms() - call.started_ms).max(0),
        error: error.code.map(str::to_owned),
    };
    let _ = relay.meter.note(record).await;
}

async fn run(mut charge: Charge, channels: &[Arc<Channel>], cap: Option<u64>) -> Result<Response<Body>, ApiError> {
    let forwarded = Bytes::from(charge.call.request.forward(&charge.call.body, cap));
    match dispatch::dispatch(&mut charge, channels, forwarded).await {
        Dispatched::Answer { body, answer } => deliver(charge, body, answer.usage).await,
        Dispatched::Stream { response, first } => Ok(streamed(StreamBody::new(charge, response, first))),
        Dispatched::Refused { status, body } => {
            let ending = Ending {
                outcome: Outcome::UpstreamError,
                status: status.as_u16(),
                used: Used::Nothing,
                error: Some(format!("refused by the upstream: {}", first_of(&body))),
            };
            charge.settle(ending).await.map_err(|_| ApiError::unavailable())?;
            Ok(json(status, Body::from(body)))
        }
        Dispatched::Failed { error, why } => {
            let ending = Ending { outcome: Outcome::UpstreamError, status: error.status.as_u16(), used: Used::Nothing, error: Some(first_of(&why)) };
            charge.settle(ending).await.map_err(|_| ApiError::unavailable())?;
            Err(error)
        }
    }
}

/// Charges a whole answer, then sends it.
async fn deliver(charge: Charge, body: Bytes, usage: UsageReport) -> Result<Response<Body>, ApiError> {
    let used = match usage {
        UsageReport::Usage(tokens) => Used::Reported(tokens),
        UsageReport::Absent | UsageReport::Absurd => {
            let mut text = String::new();
            openai_answer::append_text(&body, &mut text);
            Used::Delivered(text)
        }
    };
    let ending = Ending { outcome: Outcome::Complete, status: 200, used, error: None };
    let charged = charge.settle(ending).await.map_err(|error| {
        tracing::error!(%error, "an answer could not be charged and was not delivered");
        ApiError::unavailable()
    })?;
    let mut response = json(StatusCode::OK, Body::from(body));
    if let Ok(value) = HeaderValue::try_from(charged.charged.to_string()) {
        response.headers_mut().insert(COST, value);
    }
    Ok(response)
}

fn first_of(text: &str) -> String {
    text.chars().take(500).collect()
}

fn json(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn streamed(body: StreamBody) -> Response<Body> {
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Understood by nginx: events must not wait in its buffer.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
