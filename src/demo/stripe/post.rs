//! The messages that the simulated Stripe sends: signed as Stripe signs, and what may happen to them on the way.

use super::world::word;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

/// A message and what became of it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Message {
    /// The id of the event.
    pub id: String,
    /// What happened: `checkout.session.completed`.
    pub kind: String,
    /// When, in unix seconds.
    pub created: i64,
    /// The body, byte for byte the same at every delivery.
    pub body: String,
    /// What the receiver answered, delivery by delivery; 0 for no answer.
    pub answers: Vec<u16>,
    /// It was lost on the way and is never delivered by itself. The list of events still has it.
    pub lost: bool,
    /// Deliveries that are still to be made by themselves.
    pub due: u32,
    /// It was just written, and its fate is not decided.
    #[serde(skip)]
    pub(super) fresh: bool,
}

impl Message {
    pub(super) fn new(event: &Value) -> Self {
        let body = serde_json::to_string_pretty(event).unwrap_or_default(); // Stripe's bodies have line breaks, too
        let created = event["created"].as_i64().unwrap_or_default();
        Self { id: word(event, "/id").to_owned(), kind: word(event, "/type").to_owned(), created, body, answers: Vec::new(), lost: false, due: 0, fresh: true }
    }

    /// Decides what becomes of it on the way.
    pub(super) fn dispatch(&mut self, post: &Post) {
        self.fresh = false;
        self.lost = post.loses(&self.kind);
        self.due = if self.lost { 0 } else { 1 + post.repeat };
    }

    /// Whether the receiver has taken it.
    pub fn is_taken(&self) -> bool {
        self.answers.iter().any(|status| (200..300).contains(status))
    }
}

/// How messages travel. The default is at once, in order, once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Post {
    /// Nothing is delivered by itself: the test delivers what it likes, when it likes.
    pub held: bool,
    /// Each message is delivered so many times more.
    pub repeat: u32,
    /// In any order instead of that of the events.
    pub shuffled: bool,
    /// Kinds of events whose messages are lost; `*` for all.
    pub lose: Vec<String>,
}

impl Post {
    /// Whether messages of this kind are lost.
    pub(super) fn loses(&self, kind: &str) -> bool {
        self.lose.iter().any(|lost| lost == "*" || lost == kind)
    }
}

/// Where messages go.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The address.
    pub url: String,
    /// What they are signed with.
    pub secret: String,
}

/// The value of `Stripe-Signature` for a body that is sent at `at` (unix seconds).
pub fn signature(secret: &str, at: i64, body: &str) -> String {
    format!("t={at},v1={}", mac(secret, &format!("{at}.{body}")))
}

fn mac(secret: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length will do");
    mac.update(text.as_bytes());
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_rfc_4231_says() {
        // Test case 2 of the RFC.
        assert_eq!(mac("Jefe", "what do ya want for nothing?"), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert!(signature("whsec_x", 1_700_000_000, "{}").starts_with("t=1700000000,v1="));
    }
}
