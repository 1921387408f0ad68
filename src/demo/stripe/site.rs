//! The HTTP of the simulated Stripe: which request is the API's, which a page's, which the controls'.

use super::api::{self, Call};
use super::card::Card;
use super::form::{self, text};
use super::world::{Kind, World};
use super::{Asked, Fault, REMEMBERED, Shared, State, billing, checkout, control, invoices, pages, payments};
use crate::demo::upstream::server::HangUp;
use axum::Router;
use axum::body::Bytes;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

/// All paths lead to one handler.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let shared = shared.clone();
        async move { answer(&shared, &method, &uri, &headers, &body).await }
    })
}

async fn answer(shared: &Shared, method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Response {
    let body = String::from_utf8_lossy(body);
    if let Some(path) = uri.path().strip_prefix("/v1/") {
        let form = if method == Method::GET || body.is_empty() { uri.query().unwrap_or_default() } else { &body };
        return ask(shared, method, path, form, headers);
    }
    if let Some(rest) = uri.path().strip_prefix("/control") {
        let wants_page = headers.get("accept").and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("text/html"));
        return control::answer(shared, method, rest, &form::parse(&body), wants_page).await;
    }
    let segments: Vec<&str> = uri.path().split('/').filter(|segment| !segment.is_empty()).collect();
    let typed = form::parse(&body);
    let failed = uri.query().is_some_and(|query| query.contains("failed=1"));
    shared.act(|state| visit(&mut state.world, method, &segments, &typed, failed))
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn ask(shared: &Shared, method: &Method, path: &str, form: &str, headers: &HeaderMap) -> Response {
    let idempotency_key = header(headers, &HeaderName::from_static("idempotency-key"));
    let key = header(headers, &AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    let call = Call { method: method.as_str(), path, form, key, idempotency_key };
    shared.act(|state| {
        let fault = state.faults.pop_front();
        let (status, body, again) = match fault {
            Some(Fault::HangUp) => (0, Value::Null, false),
            Some(Fault::Status(status)) => (status, json!({"error": {"type": "api_error", "message": "An error occurred while connecting to Stripe."}}), false),
            Some(Fault::LoseAnswer) => {
                api::answer(&mut state.world, &mut state.replays, &shared.secret_key, &call);
                (0, Value::Null, false)
            }
            None | Some(Fault::Pass) => api::answer(&mut state.world, &mut state.replays, &shared.secret_key, &call),
        };
        note(state, &call, status);
        if status == 0 {
            let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
            response.extensions_mut().insert(HangUp);
            return response;
        }
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response();
        if again {
            response.headers_mut().insert("idempotent-replayed", axum::http::HeaderValue::from_static("true"));
        }
        response
    })
}

fn note(state: &mut State, call: &Call<'_>, status: u16) {
    if state.asked.len() == REMEMBERED {
        state.asked.pop_front();
    }
    state.asked.push_back(Asked {
        method: call.method.to_owned(),
        path: call.path.to_owned(),
        form: call.form.to_owned(),
        idempotency_key: call.idempotency_key.map(str::to_owned),
        status,
    });
}

/// A customer's browser.
fn visit(world: &mut World, method: &Method, segments: &[&str], typed: &Value, failed: bool) -> Response {
    let posted = method == Method::POST;
    let page = match *segments {
        ["c", "pay", session] if posted => return pay(world, session, typed),
        ["c", "pay", session] => pages::checkout(world, session, failed.then_some("Your bank has not confirmed the payment.")),
        ["bank", intent] if posted => match payments::answered(world, intent, text(typed, "/answer") == Some("yes")) {
            Ok(url) => {
                payments::open_disputes(world);
                return see(&url);
            }
            Err(_) => pages::bank(world, intent),
        },
        ["bank", intent] => pages::bank(world, intent),
        ["p", "session", portal] if posted => {
            in_portal(world, portal, typed);
            return see(&format!("/p/session/{portal}"));
        }
        ["p", "session", portal] => pages::portal(world, portal),
        ["i", invoice] if posted => {
            pay_invoice(world, invoice, typed);
            return see(&format!("/i/{invoice}"));
        }
        ["i", invoice] => pages::invoice(world, invoice),
        _ => None,
    };
    match page {
        Some(page) => Html(page).into_response(),
        None => (StatusCode::NOT_FOUND, Html(pages::page("Not found", "<h1>There is no such page</h1>"))).into_response(),
    }
}

/// Sends a browser on.
pub(super) fn see(url: &str) -> Response {
    let location = axum::http::HeaderValue::from_str(url).unwrap_or(axum::http::HeaderValue::from_static("/control"));
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

fn pay(world: &mut World, session: &str, typed: &Value) -> Response {
    let transfer = text(typed, "/do") == Some("transfer");
    let card = if transfer { Some(Card::Transfer) } else { Card::from_number(text(typed, "/number").unwrap_or_default()) };
    let error = match card.map(|card| checkout::pay(world, session, card)) {
        Some(Ok(checkout::Step::Done(url) | checkout::Step::Confirm(url))) => return see(&url),
        Some(Ok(checkout::Step::No(sentence))) => sentence,
        Some(Err(refusal)) => refusal.error["message"].as_str().unwrap_or_default().to_owned(),
        None => "This number is none of the test cards below.".to_owned(),
    };
    match pages::checkout(world, session, Some(&error)) {
        Some(page) => Html(page).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn in_portal(world: &mut World, portal: &str, typed: &Value) {
    let customer = world.text(portal, "/customer");
    let subscription = text(typed, "/subscription").unwrap_or_default().to_owned();
    let own = world.find(Kind::Subscription, &subscription).is_some() && world.text(&subscription, "/customer") == customer;
    match text(typed, "/do") {
        Some("cancel") if own => drop(billing::update(world, &subscription, &json!({"cancel_at_period_end": "true"}))),
        Some("resume") if own => drop(billing::update(world, &subscription, &json!({"cancel_at_period_end": "false"}))),
        Some("card") if !customer.is_empty() => {
            if let Some(card) = Card::from_number(text(typed, "/number").unwrap_or_default()) {
                control::another_card(world, &customer, card);
            }
        }
        _ => {}
    }
}

/// The owner is there and pays by another card, which the subscription keeps.
fn pay_invoice(world: &mut World, invoice: &str, typed: &Value) {
    let card = Card::from_number(text(typed, "/number").unwrap_or_default());
    let Some(card) = card.filter(|_| world.text(invoice, "/status") == "open") else { return };
    let method = payments::new_method(world, card, Some(&world.text(invoice, "/customer")));
    let _ = invoices::pay(world, invoice, &json!({"payment_method": method})); // a decline shows on the page: the invoice is still open
}
