//! Thinking, as Messages writes it: `thinking` with a budget or without, and `output_config.effort`. Which of them a model takes is in [`models::thinking`].

use super::tools;
use crate::relay::dialect::canonical::{Effort, Reasoning, Request, Unfit};
use crate::relay::dialect::fields::Fields;
use crate::relay::dialect::models::{self, Thinking};
use serde_json::{Map, Value, json};

/// The least budget that Anthropic takes.
const LEAST_BUDGET: u64 = 1_024;

/// Reads `thinking`, beside an effort that was read already.
pub(super) fn parse(body: &mut Fields, effort: Option<Effort>) -> Result<Option<Reasoning>, Unfit> {
    let Some(mut thinking) = body.object("thinking")? else { return Ok(effort.map(|effort| Reasoning { effort: Some(effort), ..Reasoning::default() })) };
    let kind = thinking.string("type")?;
    let kind = thinking.must("type", kind)?;
    let summary = match thinking.string("display")?.as_deref() {
        None | Some("summarized") => Some("auto".to_owned()),
        Some("omitted") => None,
        Some(_) => return Err(thinking.wrong("display", "'summarized' or 'omitted'")),
    };
    let budget = thinking.whole("budget_tokens")?;
    let read = match kind.as_str() {
        "enabled" => Reasoning { effort, budget: Some(thinking.must("budget_tokens", budget)?), summary, sealed: true, ..Reasoning::default() },
        "adaptive" | "between_tools" => Reasoning { effort, dynamic: true, summary, sealed: true, ..Reasoning::default() },
        "disabled" => Reasoning { budget: Some(0), ..Reasoning::default() },
        _ => return Err(thinking.wrong("type", "'enabled', 'adaptive' or 'disabled'")),
    };
    thinking.finish()?;
    Ok(Some(read))
}

/// Reads Anthropic's word for an effort.
pub(super) fn parse_effort(config: &mut Fields) -> Result<Option<Effort>, Unfit> {
    let Some(word) = config.string("effort")? else { return Ok(None) };
    let effort = Effort::from_word(&word).filter(|effort| *effort >= Effort::Low);
    effort.map(Some).ok_or_else(|| config.wrong("effort", "one of 'low', 'medium', 'high', 'xhigh', 'max'"))
}

/// What a request comes to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rendered {
    /// The field `thinking`.
    pub(super) thinking: Option<Value>,
    /// The word in `output_config`.
    pub(super) effort: Option<&'static str>,
}

impl Rendered {
    /// Whether the model will think: then it refuses hints on sampling.
    pub(super) fn thinks(&self) -> bool {
        self.thinking.as_ref().is_some_and(|thinking| thinking["type"] != "disabled")
    }
}

/// How to tell `model` to think. `cap` is the output cap, which the budget must stay under; `goes_on` says that the model is in the middle of a turn whose thoughts
/// are not there, which refuses to think by a budget.
pub(super) fn render(request: &Request, model: &str, cap: u64, goes_on: bool) -> Rendered {
    let Some(reasoning) = &request.reasoning else { return Rendered::default() };
    let known = models::thinking(model);
    let is_off = reasoning.budget == Some(0) || (reasoning.effort == Some(Effort::None) && reasoning.budget.is_none());
    if is_off {
        // The newest models do not think unless told to, and some of them refuse to be told not to.
        let thinking = (known != Thinking::Adaptive).then(|| json!({"type": "disabled"}));
        return Rendered { thinking, effort: None };
    }
    let by_budget = known == Thinking::Budget || (known == Thinking::Either && reasoning.budget.is_some() && reasoning.effort.is_none());
    if by_budget {
        let wanted = reasoning.budget.or(reasoning.effort.map(Effort::budget)).unwrap_or(Effort::Medium.budget());
        let budget = if wanted >= cap { cap - cap / 4 } else { wanted };
        let thinks = budget >= LEAST_BUDGET && budget < cap && !goes_on && !tools::is_forced(request);
        return Rendered { thinking: thinks.then(|| json!({"type": "enabled", "budget_tokens": budget})), effort: None };
    }
    let display = if reasoning.summary.is_some() { "summarized" } else { "omitted" };
    let thinking = (!tools::is_forced(request)).then(|| json!({"type": "adaptive", "display": display}));
    let effort = reasoning.effort.or(reasoning.budget.map(Effort::of_budget));
    Rendered { thinking, effort: effort.map(|effort| word(effort, known, model)) }
}

/// Claude 4.6 does not know `xhigh`, and of it only Opus `max`.
fn word(effort: Effort, known: Thinking, model: &str) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal => "low",
        Effort::XHigh if known == Thinking::Either => "high",
        Effort::Max if known == Thinking::Either && !model.contains("opus") => "high",
        effort => effort.word(),
    }
}

/// Puts hints on sampling into a body, as far as the model takes them.
pub(super) fn sampling(body: &mut Map<String, Value>, request: &Request, model: &str, thinks: bool) {
    let sampling = &request.sampling;
    if thinks || models::thinking(model) == Thinking::Adaptive {
        return;
    }
    if let Some(temperature) = &sampling.temperature {
        let is_high = temperature.as_f64().is_some_and(|value| value > 1.0);
        body.insert("temperature".to_owned(), if is_high { 1.into() } else { Value::Number(temperature.clone()) });
    }
    // Newer models refuse both at once.
    if let Some(top_p) = sampling.top_p.as_ref().filter(|_| sampling.temperature.is_none()) {
        body.insert("top_p".to_owned(), Value::Number(top_p.clone()));
    }
    if let Some(top_k) = &sampling.top_k {
        body.insert("top_k".to_owned(), Value::Number(top_k.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(reasoning: Reasoning, model: &str, cap: u64) -> (Value, Option<&'static str>) {
        let request = Request { reasoning: Some(reasoning), ..Request::default() };
        let rendered = render(&request, model, cap, false);
        (rendered.thinking.unwrap_or_default(), rendered.effort)
    }

    #[test]
    fn each_model_is_told_to_think_in_its_own_way() {
        let effort = |effort| Reasoning { effort: Some(effort), ..Reasoning::default() };
        let budget = |tokens| Reasoning { budget: Some(tokens), summary: Some("auto".to_owned()), ..Reasoning::default() };
        let enabled = |tokens: u64| json!({"type": "enabled", "budget_tokens": tokens});
        let adaptive = |display: &str| json!({"type": "adaptive", "display": display});
        for (reasoning, model, cap, expected) in [
            (effort(Effort::High), "claude-sonnet-4-5", 64_000, (enabled(24_576), None)),
            (effort(Effort::High), "claude-sonnet-4-5", 8_000, (enabled(6_000), None)),
            (effort(Effort::High), "claude-sonnet-4-5", 1_000, (Value::Null, None)),
            (budget(5_000), "claude-sonnet-4-6", 8_000, (enabled(5_000), None)),
            (effort(Effort::XHigh), "claude-sonnet-4-6", 8_000, (adaptive("omitted"), Some("high"))),
            (budget(5_000), "claude-opus-4-8", 8_000, (adaptive("summarized"), Some("medium"))),
            (effort(Effort::Minimal), "claude-opus-4-8", 8_000, (adaptive("omitted"), Some("low"))),
            (effort(Effort::None), "claude-opus-4-8", 8_000, (Value::Null, None)),
            (budget(0), "claude-sonnet-4-5", 8_000, (json!({"type": "disabled"}), None)),
        ] {
            assert_eq!(rendered(reasoning.clone(), model, cap), expected, "{reasoning:?} {model} {cap}");
        }
    }
}
