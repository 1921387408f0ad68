//! What the simulated Stripe keeps: every object by its id, the cards behind the payment methods, and the clock.
//!
//! An object is JSON of the shape that Stripe documents (`objects.json` has one of each kind). Fields whose names begin with `_` are our own notes and are
//! never shown.

use super::card::Card;
use super::post::Message;
use crate::kernel::{Clock, Random};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::LazyLock;

static SHAPES: LazyLock<Map<String, Value>> = LazyLock::new(|| serde_json::from_str(include_str!("objects.json")).expect("the file is ours"));

/// The kinds of objects and what their ids begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Customer,
    Product,
    Price,
    Method,
    Session,
    Intent,
    Charge,
    Refund,
    Dispute,
    Balance,
    Subscription,
    Item,
    Invoice,
    Line,
    InvoicePayment,
    Portal,
    Event,
}

impl Kind {
    /// The name of the object and the beginning of its id.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Customer => ("customer", "cus_"),
            Self::Product => ("product", "prod_"),
            Self::Price => ("price", "price_"),
            Self::Method => ("payment_method", "pm_"),
            Self::Session => ("checkout.session", "cs_test_"),
            Self::Intent => ("payment_intent", "pi_"),
            Self::Charge => ("charge", "ch_"),
            Self::Refund => ("refund", "re_"),
            Self::Dispute => ("dispute", "du_"),
            Self::Balance => ("balance_transaction", "txn_"),
            Self::Subscription => ("subscription", "sub_"),
            Self::Item => ("subscription_item", "si_"),
            Self::Invoice => ("invoice", "in_"),
            Self::Line => ("line_item", "il_"),
            Self::InvoicePayment => ("invoice_payment", "inpay_"),
            Self::Portal => ("billing_portal.session", "bps_"),
            Self::Event => ("event", "evt_"),
        }
    }
}

/// Everything that is kept.
pub(super) struct World {
    clock: Clock,
    random: Random,
    /// How far its time is ahead of the clock, in seconds.
    ahead: i64,
    /// While something that was due earlier is done: when it was due.
    due_at: Option<i64>,
    things: HashMap<String, Value>,
    lists: HashMap<Kind, Vec<String>>,
    /// How each payment method behaves.
    pub cards: HashMap<String, Card>,
    /// Every message that was written, the oldest first.
    pub messages: Vec<Message>,
    /// `http://127.0.0.1:port`.
    pub base: String,
}

impl World {
    pub fn new(clock: Clock, random: Random, base: String) -> Self {
        Self { clock, random, ahead: 0, due_at: None, things: HashMap::new(), lists: HashMap::new(), cards: HashMap::new(), messages: Vec::new(), base }
    }

    /// Unix seconds: what every `created` is.
    pub fn now(&self) -> i64 {
        self.due_at.unwrap_or(self.clock.now_ms().div_euclid(1000) + self.ahead)
    }

    /// Unix seconds by the clock, however far this world is ahead: what signatures are dated.
    pub fn clock(&self) -> i64 {
        self.clock.now_ms().div_euclid(1000)
    }

    /// Moves the time of this world alone.
    pub fn hurry(&mut self, seconds: i64) {
        self.ahead += seconds.max(0);
    }

    /// Does something as if it were `at`.
    pub fn at<T>(&mut self, at: i64, act: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.due_at.replace(at);
        let done = act(self);
        self.due_at = before;
        done
    }

    /// An unguessable text of `length` letters and digits.
    pub fn letters(&self, length: usize) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..length).map(|_| LETTERS[self.random.below(LETTERS.len() as u64) as usize] as char).collect()
    }

    /// One of `0..bound`.
    pub fn pick(&self, bound: usize) -> usize {
        self.random.below(bound as u64) as usize
    }

    /// A new object of a kind with these fields, which is not kept yet.
    pub fn shape(&self, kind: Kind, fields: Value) -> Value {
        let (name, prefix) = kind.names();
        let mut thing = SHAPES.get(name).cloned().unwrap_or_else(|| json!({}));
        thing["id"] = json!(format!("{prefix}{}", self.letters(24)));
        if thing.get("created").is_some() {
            thing["created"] = json!(self.now());
        }
        merge(&mut thing, fields);
        thing
    }

    /// Makes and keeps an object; its id.
    pub fn make(&mut self, kind: Kind, fields: Value) -> String {
        let thing = self.shape(kind, fields);
        let id = word(&thing, "/id").to_owned();
        self.lists.entry(kind).or_default().push(id.clone());
        self.things.insert(id.clone(), thing);
        id
    }

    /// An object with our notes in it; null when there is none.
    pub fn get(&self, id: &str) -> &Value {
        self.things.get(id).unwrap_or(&Value::Null)
    }

    /// An object of this kind.
    pub fn find(&self, kind: Kind, id: &str) -> Option<&Value> {
        self.things.get(id).filter(|thing| word(thing, "/object") == kind.names().0)
    }

    /// Replaces fields of an object.
    pub fn set(&mut self, id: &str, fields: Value) {
        if let Some(thing) = self.things.get_mut(id) {
            merge(thing, fields);
        }
    }

    /// A text of an object; empty when it has none.
    pub fn text(&self, id: &str, pointer: &str) -> String {
        word(self.get(id), pointer).to_owned()
    }

    /// A number of an object; zero when it has none.
    pub fn number(&self, id: &str, pointer: &str) -> i64 {
        self.get(id).pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
    }

    /// The objects of a kind, the oldest first.
    pub fn all(&self, kind: Kind) -> impl DoubleEndedIterator<Item = &Value> {
        self.lists.get(&kind).into_iter().flatten().map(|id| self.get(id))
    }

    /// The ids of those objects of a kind that fit, the oldest first.
    pub fn ids(&self, kind: Kind, fits: impl Fn(&Value) -> bool) -> Vec<String> {
        self.all(kind).filter(|thing| fits(thing)).map(|thing| word(thing, "/id").to_owned()).collect()
    }

    /// The object as it is shown.
    pub fn show(&self, id: &str) -> Value {
        shown(self.get(id))
    }

    /// Writes the message that something happened to an object.
    pub fn emit(&mut self, kind: &str, id: &str) {
        let object = self.show(id);
        let event = self.make(Kind::Event, json!({"type": kind, "pending_webhooks": 1, "data": {"object": object}}));
        let event = self.get(&event).clone();
        self.messages.push(Message::new(&event));
    }
}

/// A text of an object; empty when it has none.
pub(super) fn word<'a>(thing: &'a Value, pointer: &str) -> &'a str {
    thing.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The object without our notes.
pub(super) fn shown(thing: &Value) -> Value {
    match thing.as_object() {
        Some(map) => Value::Object(map.iter().filter(|(name, _)| !name.starts_with('_')).map(|(name, value)| (name.clone(), value.clone())).collect()),
        None => thing.clone(),
    }
}

fn merge(thing: &mut Value, fields: Value) {
    if let (Some(thing), Value::Object(fields)) = (thing.as_object_mut(), fields) {
        thing.extend(fields);
    }
}
