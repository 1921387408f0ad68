//! The controls: what a test or somebody who tries the demo can make happen that no shop and no customer can.
//!
//! `GET /control/messages`, `GET /control/object/{id}`; `POST /control/...` takes a form: `post` (held, repeat, shuffled, lose), `deliver` (id, or nothing for all
//! that were not taken), `hurry` (days or seconds), `settle` (checkout, comes), `dispute` (payment), `close` (dispute, won), `refund` (payment, minor), `card`
//! (customer, number). Answers are JSON, or the page again for a browser.

use super::card::Card;
use super::form::{flag, text};
use super::world::{Kind, World, word};
use super::{Post, Refusal, Shared, pages, payments, site};
use axum::http::{Method, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};
use std::fmt::Write;

pub(super) async fn answer(shared: &Shared, method: &Method, path: &str, form: &Value, wants_page: bool) -> Response {
    let path = path.trim_matches('/');
    if method == Method::GET {
        return match path.split_once('/') {
            None if path.is_empty() => Html(shared.act(|state| page(&state.world, &state.post))).into_response(),
            None if path == "messages" => axum::Json(shared.act(|state| state.world.messages.clone())).into_response(),
            Some(("object", id)) => axum::Json(shared.act(|state| state.world.show(id))).into_response(),
            _ => StatusCode::NOT_FOUND.into_response(),
        };
    }
    let done = if path == "deliver" { deliver(shared, form).await } else { change(shared, path, form) };
    match done {
        Ok(_) if wants_page => site::see("/control"),
        Ok(value) => axum::Json(value).into_response(),
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
            (status, axum::Json(json!({"error": refusal.error}))).into_response()
        }
    }
}

async fn deliver(shared: &Shared, form: &Value) -> Result<Value, Refusal> {
    let ids: Vec<String> = match text(form, "/id") {
        Some(id) => vec![id.to_owned()],
        None => shared.act(|state| state.world.messages.iter().filter(|message| !message.is_taken()).map(|message| message.id.clone()).collect()),
    };
    let mut answers = Vec::new();
    for id in ids {
        let status = shared.deliver(&id).await;
        answers.push(json!({"id": id, "status": status}));
    }
    Ok(json!(answers))
}

fn change(shared: &Shared, path: &str, form: &Value) -> Result<Value, Refusal> {
    let number = |name: &str| text(form, name).and_then(|typed| typed.parse::<i64>().ok());
    let named = |name: &str| text(form, name).unwrap_or_default().to_owned();
    match path {
        "post" => {
            let lose = named("/lose").split_whitespace().map(str::to_owned).collect();
            let repeat = number("/repeat").and_then(|times| u32::try_from(times).ok()).unwrap_or_default().min(100);
            let post = Post { held: flag(form, "/held"), repeat, shuffled: flag(form, "/shuffled"), lose };
            shared.act(|state| state.post = post);
            Ok(json!({}))
        }
        "hurry" => {
            let seconds = number("/seconds").unwrap_or_default().saturating_add(number("/days").unwrap_or_default().saturating_mul(86_400));
            shared.act(|state| state.world.hurry(seconds.clamp(0, 10 * 366 * 86_400)));
            Ok(json!({}))
        }
        "settle" => shared.act(|state| settle(&mut state.world, &named("/checkout"), flag(form, "/comes"))).map(|()| json!({})),
        "dispute" => shared.act(|state| payments::dispute(&mut state.world, &named("/payment"), "fraudulent")).map(|id| json!({"id": id})),
        "close" => shared.act(|state| payments::close_dispute(&mut state.world, &named("/dispute"), flag(form, "/won"))),
        "refund" => shared.act(|state| refund(&mut state.world, &named("/payment"), number("/minor"))),
        "card" => {
            let card = Card::from_number(&named("/number")).ok_or_else(|| Refusal::invalid("number", "None of the test cards.", ""))?;
            shared.act(|state| card_becomes(&mut state.world, &named("/customer"), card));
            Ok(json!({}))
        }
        _ => Err(Refusal { status: 404, ..Refusal::invalid("", "There is no such control.", "") }),
    }
}

/// The money of a checkout's transfer comes, or does not.
pub(super) fn settle(world: &mut World, checkout: &str, comes: bool) -> Result<(), Refusal> {
    let intent = world.text(checkout, "/_intent");
    payments::settle(world, &intent, comes)
}

/// A refund by hand.
pub(super) fn refund(world: &mut World, payment: &str, minor: Option<i64>) -> Result<Value, Refusal> {
    let mut form = json!({"payment_intent": payment});
    if let Some(minor) = minor {
        form["amount"] = json!(minor.to_string());
    }
    payments::refund(world, &form)
}

/// Every saved card of a customer behaves so from now on.
pub(super) fn card_becomes(world: &mut World, customer: &str, card: Card) {
    for method in world.ids(Kind::Method, |method| word(method, "/customer") == customer) {
        world.cards.insert(method, card);
    }
}

/// A customer saves another card, and every subscription uses it.
pub(super) fn another_card(world: &mut World, customer: &str, card: Card) {
    let method = payments::new_method(world, card, Some(customer));
    world.emit("payment_method.attached", &method);
    for subscription in world.ids(Kind::Subscription, |subscription| word(subscription, "/customer") == customer && subscription["status"] != "canceled") {
        world.set(&subscription, json!({"default_payment_method": method}));
        world.emit("customer.subscription.updated", &subscription);
    }
}

/// A button that posts some fields.
fn button(path: &str, label: &str, fields: &[(&str, &str)]) -> String {
    let hidden: String = fields.iter().map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", pages::escaped(value))).collect();
    format!("<form method=\"post\" action=\"/control/{path}\">{hidden}<button>{label}</button></form>")
}

fn page(world: &World, post: &Post) -> String {
    let mut body = String::from("<h1>Controls</h1>");
    let (held, word_of_it) = if post.held { ("false", "Deliver messages again") } else { ("true", "Hold messages back") };
    body.push_str(&button("post", word_of_it, &[("held", held)]));
    body.push_str(&button("deliver", "Deliver what was not taken", &[]));
    body.push_str(&button("hurry", "A month later", &[("days", "31")]));
    body.push_str("<h2>Payments</h2><table>");
    for intent in world.all(Kind::Intent).rev().take(50) {
        let (id, status) = (word(intent, "/id"), word(intent, "/status"));
        let _ = write!(body, "<tr><td>{}<br>{}</td><td>", pages::escaped(id), pages::escaped(status));
        match status {
            "succeeded" => {
                body.push_str(&button("dispute", "Dispute", &[("payment", id)]));
                body.push_str(&button("refund", "Refund", &[("payment", id)]));
            }
            "processing" => {
                let session = word(intent, "/_session");
                body.push_str(&button("settle", "The money comes", &[("checkout", session), ("comes", "true")]));
                body.push_str(&button("settle", "It does not", &[("checkout", session), ("comes", "false")]));
            }
            _ => {}
        }
        body.push_str("</td></tr>");
    }
    body.push_str("</table>");
    for dispute in world.all(Kind::Dispute).filter(|dispute| ["needs_response", "under_review"].contains(&word(dispute, "/status"))) {
        let id = word(dispute, "/id");
        let _ = write!(body, "<h2>{}</h2>", pages::escaped(id));
        body.push_str(&button("close", "Won", &[("dispute", id), ("won", "true")]));
        body.push_str(&button("close", "Lost", &[("dispute", id), ("won", "false")]));
    }
    body.push_str("<h2>Messages</h2><table>");
    for message in world.messages.iter().rev().take(100) {
        let answers: Vec<String> = message.answers.iter().map(u16::to_string).collect();
        let lost = if message.lost { " lost" } else { "" };
        let again = button("deliver", "Deliver", &[("id", &message.id)]);
        let _ = write!(body, "<tr><td>{}</td><td>{}{lost}</td><td>{again}</td></tr>", pages::escaped(&message.kind), answers.join(" "));
    }
    body.push_str("</table>");
    pages::page("Controls", &body)
}
