//! What is kept of a choice: who was asked, with what outcome, and why others before them were not.
//!
//! As JSON it is short, since every request has one: `{"a":[{"c":"0H…","r":200,"t":312}]}` for a channel that was alone and answered.

use crate::kernel::Id;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// How many channels that were not asked are listed.
const LISTED: usize = 20;

/// The explanation of one request's way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// How many channels served the model; left out when it was one.
    #[serde(rename = "n", default = "one", skip_serializing_if = "is_one")]
    candidates: usize,
    /// Channels whose turn it was and that were not asked.
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    passed: Vec<Passed>,
    /// Channels that were asked, in order.
    #[serde(rename = "a", default, skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<Tried>,
}

/// A channel that was not asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed(
    /// Which.
    pub Id,
    /// Why: a word of the relay's.
    pub Cow<'static, str>,
);

/// A channel that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// Which.
    #[serde(rename = "c")]
    pub channel: Id,
    /// With which of its keys; left out for the first.
    #[serde(rename = "k", default, skip_serializing_if = "is_zero")]
    pub key: usize,
    /// For which of the upstream's models; left out when that has the public name.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What came of it.
    #[serde(rename = "r")]
    pub result: Answered,
    /// After how many milliseconds.
    #[serde(rename = "t")]
    pub ms: i64,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answered {
    /// An HTTP status.
    Status(u16),
    /// `timeout`, `connect` or `broken`.
    Word(Cow<'static, str>),
}

impl Decision {
    /// Of a request whose model so many channels serve.
    pub fn of(candidates: usize) -> Self {
        Self { candidates, ..Self::default() }
    }

    /// Notes a channel that was not asked.
    pub fn pass(&mut self, channel: Id, why: &'static str) {
        if self.passed.len() < LISTED {
            self.passed.push(Passed(channel, Cow::Borrowed(why)));
        }
    }

    /// Notes one that was asked.
    pub fn tried(&mut self, tried: Tried) {
        self.attempts.push(tried);
    }

    /// How many channels served the model.
    pub fn candidates(&self) -> usize {
        self.candidates
    }

    /// Who was not asked, and why; of many, the first.
    pub fn passed(&self) -> &[Passed] {
        &self.passed
    }

    /// Who was asked, in order.
    pub fn attempts(&self) -> &[Tried] {
        &self.attempts
    }

    /// As the request's row keeps it.
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What [`Decision::write`] wrote.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

const fn one() -> usize {
    1
}

fn is_one(n: &usize) -> bool {
    *n == 1
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_short_and_reads_back() {
        let plain = Tried { channel: Id(1 << 40), key: 0, model: None, result: Answered::Status(200), ms: 312 };
        let decision = Decision { candidates: 1, passed: vec![], attempts: vec![plain.clone()] };
        assert_eq!(decision.write(), r#"{"a":[{"c":"0000100000000","r":200,"t":312}]}"#);
        let failed = Tried { key: 2, model: Some("up".into()), result: Answered::Word("timeout".into()), ..plain.clone() };
        let decision = Decision { candidates: 3, passed: vec![Passed(Id(7), "open".into())], attempts: vec![failed, plain] };
        assert_eq!(Decision::read(&decision.write()), Some(decision));
        assert_eq!(Decision::read("{}").unwrap().candidates(), 1);
        assert_eq!(Decision::read("nonsense"), None);
        let mut many = Decision::of(500);
        (0..500).for_each(|n| many.pass(Id(n), "busy"));
        assert!(many.write().len() < 700);
    }
}
