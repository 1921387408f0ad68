//! One of Stripe's objects as JSON, read field by field: what nobody here knows is passed over, what counts must be as it should.

use crate::kernel::{Currency, Id, Money};
use crate::payments::provider::Unreadable;
use serde_json::Value;
use std::str::FromStr;

/// The longest id that is taken for one; Stripe's are shorter.
const LONGEST_ID: usize = 255;

/// An object and what it is called in errors.
#[derive(Clone, Copy)]
pub(super) struct Thing<'a> {
    value: &'a Value,
    name: &'a str,
}

impl<'a> Thing<'a> {
    /// An object of this kind (`checkout.session`).
    pub fn new(value: &'a Value, kind: &'a str) -> Result<Self, Unreadable> {
        let thing = Self { value, name: kind };
        match thing.text("/object") {
            Some(found) if found == kind => Ok(thing),
            _ => Err(thing.wrong("/object")),
        }
    }

    /// Anything, under a name.
    pub fn any(value: &'a Value, name: &'a str) -> Self {
        Self { value, name }
    }

    /// The error that a field is not as it should be.
    pub fn wrong(&self, pointer: &str) -> Unreadable {
        Unreadable(format!("{}{} is missing or not as it should be", self.name, pointer.replace('/', ".")))
    }

    /// A field; null is none.
    pub fn get(&self, pointer: &str) -> Option<&'a Value> {
        self.value.pointer(pointer).filter(|value| !value.is_null())
    }

    /// The items of a list.
    pub fn items(&self, pointer: &str) -> &'a [Value] {
        self.get(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// A text that may be absent.
    pub fn text(&self, pointer: &str) -> Option<&'a str> {
        self.get(pointer).and_then(Value::as_str)
    }

    /// A word that must be there.
    pub fn word(&self, pointer: &str) -> Result<&'a str, Unreadable> {
        self.text(pointer).ok_or_else(|| self.wrong(pointer))
    }

    /// Whether a field is true.
    pub fn is(&self, pointer: &str) -> bool {
        self.get(pointer).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The id of the object.
    pub fn id(&self) -> Result<String, Unreadable> {
        self.link("/id")?.ok_or_else(|| self.wrong("/id"))
    }

    /// The id of another object, which may stand here as a whole.
    pub fn link(&self, pointer: &str) -> Result<Option<String>, Unreadable> {
        let id = match self.get(pointer) {
            None => return Ok(None),
            Some(Value::String(id)) => Some(id.as_str()),
            Some(object) => object.get("id").and_then(Value::as_str),
        };
        id.filter(|id| is_id(id)).map(|id| Some(id.to_owned())).ok_or_else(|| self.wrong(pointer))
    }

    /// A whole number that may be absent.
    pub fn number(&self, pointer: &str) -> Result<Option<i64>, Unreadable> {
        match self.get(pointer) {
            None => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| self.wrong(pointer)),
        }
    }

    /// A moment, which Stripe has in seconds, in milliseconds.
    pub fn time(&self, pointer: &str) -> Result<Option<i64>, Unreadable> {
        match self.number(pointer)? {
            None => Ok(None),
            Some(seconds) => seconds.checked_mul(1000).filter(|ms| *ms >= 0).map(Some).ok_or_else(|| self.wrong(pointer)),
        }
    }

    /// A moment that must be there.
    pub fn moment(&self, pointer: &str) -> Result<i64, Unreadable> {
        self.time(pointer)?.ok_or_else(|| self.wrong(pointer))
    }

    /// The object's currency.
    pub fn currency(&self) -> Result<Currency, Unreadable> {
        self.word("/currency")?.parse().map_err(|_| self.wrong("/currency"))
    }

    /// An amount of the object's currency, zero or more.
    pub fn money(&self, pointer: &str) -> Result<Money, Unreadable> {
        let money = self.signed_money(pointer)?;
        if money.minor < 0 { Err(self.wrong(pointer)) } else { Ok(money) }
    }

    /// An amount that may be below zero.
    pub fn signed_money(&self, pointer: &str) -> Result<Money, Unreadable> {
        let minor = self.number(pointer)?.ok_or_else(|| self.wrong(pointer))?;
        Ok(Money::new(minor, self.currency()?))
    }

    /// One of our own ids in the object's metadata; `None` when it is not there or none of ours.
    pub fn ours(&self, metadata: &str, name: &str) -> Option<Id> {
        self.text(&format!("{metadata}/{name}")).and_then(|text| Id::from_str(text).ok())
    }
}

/// Whether a text can be an id of Stripe's: it goes into paths.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_ID && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
