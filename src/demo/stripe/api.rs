//! Stripe's API: who asks, what was asked before with the same key, which path it is, and the form of lists and errors.

use super::form::{self, text};
use super::world::{Kind, World, shown, word};
use super::{billing, catalog, checkout, invoices, payments};
use serde_json::{Value, json};
use std::collections::HashMap;

/// A request that is refused: Stripe's status and error object.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub status: u16,
    pub error: Value,
}

impl Refusal {
    /// A request that is wrong in itself.
    pub fn invalid(param: &str, message: &str, code: &str) -> Self {
        let mut error = json!({"type": "invalid_request_error", "message": message});
        for (name, value) in [("param", param), ("code", code)] {
            if !value.is_empty() {
                error[name] = json!(value);
            }
        }
        Self { status: 400, error }
    }

    /// Something that is not there.
    pub fn missing(param: &str, id: &str, name: &str) -> Self {
        Self { status: 404, ..Self::invalid(param, &format!("No such {name}: '{id}'"), "resource_missing") }
    }

    fn body(&self) -> Value {
        json!({"error": self.error})
    }
}

/// One request to the API.
pub(super) struct Call<'a> {
    pub method: &'a str,
    /// What follows `/v1/`.
    pub path: &'a str,
    /// The query of a GET, the body of everything else.
    pub form: &'a str,
    /// What stands behind `Bearer`.
    pub key: Option<&'a str>,
    pub idempotency_key: Option<&'a str>,
}

/// What was answered to a request that had a key.
#[derive(Clone)]
struct Kept {
    /// The path and the parameters, in whatever order they stood.
    asked: (String, Value),
    status: u16,
    body: Value,
}

/// The answers to requests with keys.
#[derive(Default)]
pub(super) struct Replays(HashMap<String, Kept>);

/// An answer: its status, its body, and whether it is one that was given before.
pub(super) type Answer = (u16, Value, bool);

/// Answers a request.
pub(super) fn answer(world: &mut World, replays: &mut Replays, secret: &str, call: &Call<'_>) -> Answer {
    if call.key != Some(secret) {
        let error = json!({"type": "invalid_request_error", "message": "Invalid API Key provided."});
        return (401, json!({"error": error}), false);
    }
    let Some(key) = call.idempotency_key.filter(|_| call.method == "POST") else {
        let (status, body) = perform(world, call);
        return (status, body, false);
    };
    let asked = (call.path.to_owned(), form::parse(call.form));
    match replays.0.get(key) {
        Some(kept) if kept.asked == asked => (kept.status, kept.body.clone(), true),
        Some(_) => {
            let message = "Keys for idempotent requests can only be used with the same parameters they were first used with.";
            (400, json!({"error": {"type": "idempotency_error", "message": message}}), false)
        }
        None => {
            let (status, body) = perform(world, call);
            // Stripe keeps what was begun; a request that was wrong in itself was not.
            if status < 400 || status == 402 {
                replays.0.insert(key.to_owned(), Kept { asked, status, body: body.clone() });
            }
            (status, body, false)
        }
    }
}

fn perform(world: &mut World, call: &Call<'_>) -> (u16, Value) {
    let form = form::parse(call.form);
    let segments: Vec<&str> = call.path.split('/').filter(|segment| !segment.is_empty()).collect();
    let done = match call.method {
        "GET" => read(world, call.path, &segments, &form),
        "POST" => change(world, &segments, &form),
        "DELETE" => match segments[..] {
            ["subscriptions", id] => known(world, Kind::Subscription, id, "subscription").and_then(|()| billing::cancel(world, id)),
            _ => Err(unknown_path(call)),
        },
        _ => Err(unknown_path(call)),
    };
    match done {
        Ok(Value::Null) => (404, unknown_path(call).body()),
        Ok(mut body) => {
            expand(world, &mut body, &form);
            (200, body)
        }
        Err(refusal) => (refusal.status, refusal.body()),
    }
}

fn unknown_path(call: &Call<'_>) -> Refusal {
    let message = format!("Unrecognized request URL ({}: /v1/{}).", call.method, call.path);
    Refusal { status: 404, ..Refusal::invalid("", &message, "") }
}

fn known(world: &World, kind: Kind, id: &str, name: &str) -> Result<(), Refusal> {
    world.find(kind, id).map(|_| ()).ok_or_else(|| Refusal::missing("id", id, name))
}

/// The kinds that can be read and listed, by their paths, with the names that errors call them.
const READABLE: [(&str, Kind, &str); 13] = [
    ("customers", Kind::Customer, "customer"),
    ("products", Kind::Product, "product"),
    ("prices", Kind::Price, "price"),
    ("payment_methods", Kind::Method, "PaymentMethod"),
    ("checkout/sessions", Kind::Session, "checkout.session"),
    ("payment_intents", Kind::Intent, "payment_intent"),
    ("charges", Kind::Charge, "charge"),
    ("refunds", Kind::Refund, "refund"),
    ("disputes", Kind::Dispute, "dispute"),
    ("balance_transactions", Kind::Balance, "balance transaction"),
    ("subscriptions", Kind::Subscription, "subscription"),
    ("invoices", Kind::Invoice, "invoice"),
    ("events", Kind::Event, "event"),
];

fn read(world: &World, path: &str, segments: &[&str], form: &Value) -> Result<Value, Refusal> {
    if let ["customers", customer, "payment_methods"] = segments {
        known(world, Kind::Customer, customer, "customer")?;
        let mut form = form.clone();
        form["customer"] = json!(customer);
        return list(world, Kind::Method, path, &form);
    }
    for (name, kind, word) in READABLE {
        match path.strip_prefix(name) {
            Some("") => return list(world, kind, path, form),
            Some(rest) if rest.starts_with('/') => {
                let id = &rest[1..];
                return known(world, kind, id, word).map(|()| world.show(id));
            }
            _ => {}
        }
    }
    Ok(Value::Null)
}

fn change(world: &mut World, segments: &[&str], form: &Value) -> Result<Value, Refusal> {
    match *segments {
        ["customers"] => Ok(catalog::new_customer(world, form)),
        ["customers", id] => known(world, Kind::Customer, id, "customer").map(|()| catalog::change_customer(world, id, form)),
        ["products"] => catalog::new_product(world, form),
        ["prices"] => catalog::new_price(world, form),
        ["checkout", "sessions"] => checkout::create(world, form),
        ["checkout", "sessions", id, "expire"] => known(world, Kind::Session, id, "checkout.session").and_then(|()| checkout::expire(world, id)),
        ["payment_intents"] => payments::create(world, form),
        ["payment_intents", id, "confirm"] => known(world, Kind::Intent, id, "payment_intent").and_then(|()| payments::confirm(world, id, form)),
        ["payment_intents", id, "cancel"] => known(world, Kind::Intent, id, "payment_intent").and_then(|()| payments::cancel(world, id)),
        ["payment_methods", id, "detach"] => known(world, Kind::Method, id, "PaymentMethod").and_then(|()| payments::detach(world, id)),
        ["refunds"] => payments::refund(world, form),
        ["disputes", id] => payments::answer_dispute(world, id),
        ["disputes", id, "close"] => payments::close_dispute(world, id, false),
        ["subscriptions", id] => known(world, Kind::Subscription, id, "subscription").and_then(|()| billing::update(world, id, form)),
        ["invoices", id, "pay"] => known(world, Kind::Invoice, id, "invoice").and_then(|()| invoices::pay(world, id, form)),
        ["billing_portal", "sessions"] => catalog::new_portal(world, form),
        _ => Ok(Value::Null),
    }
}

/// Parameters of a list that must equal a field.
const FILTERS: [(&str, &str); 9] = [
    ("customer", "/customer"),
    ("email", "/email"),
    ("payment_intent", "/payment_intent"),
    ("charge", "/charge"),
    ("subscription", "/parent/subscription_details/subscription"),
    ("status", "/status"),
    ("type", "/type"),
    ("source", "/source"),
    ("product", "/product"),
];

fn list(world: &World, kind: Kind, path: &str, form: &Value) -> Result<Value, Refusal> {
    let limit: usize = text(form, "/limit")
        .unwrap_or("10")
        .parse()
        .ok()
        .filter(|limit| (1..=100).contains(limit))
        .ok_or_else(|| Refusal::invalid("limit", "Invalid integer: must be between 1 and 100", "parameter_invalid_integer"))?;
    let fits = |thing: &Value| {
        FILTERS.iter().all(|(name, pointer)| match text(form, &format!("/{name}")) {
            Some("all") if *name == "status" => true,
            Some(wanted) => word(thing, pointer) == wanted,
            None => true,
        }) && created(thing, form)
    };
    // An object without a customer belongs to nobody's list; a payment method that is not saved to none at all.
    let hidden = |thing: &Value| kind == Kind::Method && thing["customer"].is_null();
    let mut found: Vec<&Value> = world.all(kind).rev().filter(|thing| fits(thing) && !hidden(thing)).collect();
    let at = |id: &str| found.iter().position(|thing| word(thing, "/id") == id).ok_or_else(|| Refusal::missing("starting_after", id, "object"));
    let mut more = false;
    match (text(form, "/starting_after"), text(form, "/ending_before")) {
        (Some(after), _) => drop(found.drain(..=at(after)?)),
        (None, Some(before)) => {
            found.truncate(at(before)?);
            more = found.len() > limit;
            found.drain(..found.len().saturating_sub(limit));
        }
        (None, None) => {}
    }
    more |= found.len() > limit;
    found.truncate(limit);
    let data: Vec<Value> = found.into_iter().map(shown).collect();
    Ok(json!({"object": "list", "data": data, "has_more": more, "url": format!("/v1/{path}")}))
}

fn created(thing: &Value, form: &Value) -> bool {
    let created = thing["created"].as_i64().unwrap_or_default();
    let bound = |name: &str| text(form, &format!("/created/{name}")).and_then(|at| at.parse::<i64>().ok());
    bound("gte").is_none_or(|at| created >= at)
        && bound("gt").is_none_or(|at| created > at)
        && bound("lt").is_none_or(|at| created < at)
        && bound("lte").is_none_or(|at| created <= at)
}

/// Puts objects where their ids stand: `expand[]=latest_charge`, `expand[]=data.source`.
fn expand(world: &World, body: &mut Value, form: &Value) {
    for path in form.get("expand").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).take(20) {
        let parts: Vec<&str> = path.split('.').take(5).collect();
        expand_at(world, body, &parts);
    }
}

fn expand_at(world: &World, value: &mut Value, parts: &[&str]) {
    let Some((first, rest)) = parts.split_first() else { return };
    if let Value::Array(items) = value {
        items.iter_mut().for_each(|item| expand_at(world, item, parts));
        return;
    }
    let kept = world.get(word(value, "/id")).get(format!("_{first}")).cloned();
    let Some(map) = value.as_object_mut() else { return };
    if let Some(kept) = kept.filter(Value::is_object) {
        map.insert((*first).to_owned(), kept);
    }
    let Some(inner) = map.get_mut(*first) else { return };
    if let Some(found) = inner.as_str().map(|id| world.show(id)).filter(|found| !found.is_null()) {
        *inner = found;
    }
    expand_at(world, inner, rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Clock, Random};

    #[test]
    fn a_list_is_paged_both_ways_and_filtered_by_time() {
        let clock = Clock::manual(1_000_000);
        let mut world = World::new(clock.clone(), Random::seeded(1), String::new());
        let ids: Vec<String> = (0..5)
            .map(|_| {
                clock.advance(1000);
                world.make(Kind::Customer, json!({"email": "a@b.c"}))
            })
            .collect();
        let mut get = |query: &str| {
            let call = Call { method: "GET", path: "customers", form: query, key: Some("k"), idempotency_key: None };
            let (status, body, _) = answer(&mut world, &mut Replays::default(), "k", &call);
            assert_eq!(status, 200, "{body}");
            let found: Vec<usize> = body["data"].as_array().unwrap().iter().map(|thing| ids.iter().position(|id| thing["id"] == **id).unwrap()).collect();
            (found, body["has_more"] == true)
        };
        assert_eq!(get("limit=2"), (vec![4, 3], true));
        assert_eq!(get(&format!("limit=2&starting_after={}", ids[3])), (vec![2, 1], true));
        assert_eq!(get(&format!("limit=2&starting_after={}", ids[1])), (vec![0], false));
        assert_eq!(get(&format!("limit=2&ending_before={}", ids[1])), (vec![3, 2], true));
        assert_eq!(get("created[gte]=1003&created[lt]=1005"), (vec![3, 2], false));
        assert_eq!(get("email=x@y.z"), (vec![], false));
    }
}
