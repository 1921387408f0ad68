//! A whole answer, read from an upstream and written for a caller.

use super::super::canonical::{Answer, Broken, Image, Part, Source, Stop};
use super::super::{Closing, Echo};
use super::echo::{self, Status};
use super::item::Item;
use super::seal::Seal;
use super::written::{self, Called, Seen};
use crate::relay::report::{self, Form, UsageReport};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashSet;

/// The `response` object as far as it is read.
#[derive(Deserialize)]
pub(super) struct Response<'a> {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(default)]
    incomplete_details: Option<Incomplete>,
    #[serde(borrow, default)]
    pub(super) output: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Incomplete {
    #[serde(default)]
    reason: Option<String>,
}

impl Response<'_> {
    /// The upstream's words when it says that it failed.
    pub(super) fn failure(&self) -> Option<Broken> {
        let error = self.error.filter(|raw| raw.get() != "null");
        if error.is_none() && !matches!(self.status.as_deref(), Some("failed" | "cancelled")) {
            return None;
        }
        Some(Broken::Upstream(error.map_or("no reason given", RawValue::get).to_owned()))
    }

    /// What it says of its usage.
    pub(super) fn usage(&self) -> UsageReport {
        self.usage.filter(|raw| raw.get() != "null").map_or(UsageReport::Absent, |raw| report::read(Form::Responses, raw.get()))
    }

    /// Why it ended, given what it has.
    pub(super) fn stop(&self, calls: bool, refusal: bool) -> Stop {
        let reason = self.incomplete_details.as_ref().and_then(|details| details.reason.as_deref());
        match (self.status.as_deref(), reason) {
            (_, Some("content_filter")) => Stop::Filter,
            (Some("incomplete"), _) | (_, Some(_)) => Stop::Length,
            _ if calls => Stop::ToolUse,
            _ if refusal => Stop::Refusal,
            _ => Stop::End,
        }
    }
}

/// Reads an answer.
///
/// # Errors
/// When it is none, or says that the upstream failed.
pub fn parse_answer(body: &[u8]) -> Result<Answer, Broken> {
    let response: Response<'_> = serde_json::from_slice(body).map_err(|error| Broken::Garbage(format!("not a response: {error}")))?;
    if let Some(failure) = response.failure() {
        return Err(failure);
    }
    let Some(output) = &response.output else { return Err(Broken::Garbage("a response without output".to_owned())) };
    let (mut parts, mut aside) = (Vec::new(), None);
    for (at, raw) in output.iter().enumerate() {
        let item: Item = serde_json::from_str(raw.get()).map_err(|error| Broken::Garbage(format!("output[{at}]: {error}")))?;
        parts.extend(item.parts(at, &mut aside));
    }
    let calls = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    let refusal = parts.iter().any(|part| matches!(part, Part::Refusal(_)));
    Ok(Answer { stop: response.stop(calls, refusal), usage: response.usage(), id: response.id, parts })
}

/// The id that an answer carries.
pub(super) fn answer_id(given: Option<&str>, echo: &Echo) -> String {
    given.filter(|id| !id.is_empty()).map_or_else(|| format!("resp_{}", echo.id), str::to_owned)
}

/// Writes an answer.
pub fn render_answer(answer: &Answer, echo: &Echo, closing: &Closing<'_>) -> Vec<u8> {
    let mut output: Vec<Value> = Vec::with_capacity(answer.parts.len());
    let mut content = Vec::new();
    // Each id that the upstream gave may stand once.
    let mut ids = HashSet::new();
    let cut = matches!(answer.stop, Stop::Length | Stop::Filter);
    let item_id = |prefix: &str, output: &Vec<Value>| format!("{prefix}_{}_{}", echo.id, output.len());
    for (at, part) in answer.parts.iter().enumerate() {
        let status = if cut && at + 1 == answer.parts.len() { "incomplete" } else { "completed" };
        match part {
            Part::Text(text) => content.push(written::text(&text.text)),
            Part::Refusal(text) => content.push(written::refusal(text)),
            _ if !content.is_empty() => {
                output.push(written::message(&item_id("msg", &output), "completed", std::mem::take(&mut content)));
            }
            _ => {}
        }
        match part {
            Part::Thought(thought) => {
                let id = thought.id.clone().filter(|id| ids.insert(id.clone())).unwrap_or_else(|| item_id("rs", &output));
                output.push(written::reasoning(&id, &thought.text, written::seal(thought).as_ref()));
            }
            Part::ToolCall(call) => {
                if let Some(signature) = &call.signature {
                    output.push(written::reasoning(&item_id("rs", &output), "", Some(&Seal::Call(signature.clone()))));
                }
                let name = echo.request.own_name(&call.name).to_owned();
                let seen = Seen::of(&echo.request, &name, call.custom);
                let (call_id, arguments) = (call.id.clone(), call.arguments.clone());
                output.push(Called { seen, id: item_id(seen.prefix(), &output), call_id, name, arguments }.item(&echo.request, status));
            }
            Part::Image(Image { source: Source::Base64 { data, .. }, .. }) => output.push(written::image(&item_id("ig", &output), data)),
            // An answer has no other parts.
            _ => {}
        }
    }
    if !content.is_empty() {
        output.push(written::message(&item_id("msg", &output), if cut { "incomplete" } else { "completed" }, content));
    }
    let id = answer_id(answer.id.as_deref(), echo);
    echo::response(echo, &id, Status::Ended(&answer.stop), output, Some(closing))
}
