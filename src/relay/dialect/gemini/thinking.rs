//! How much to think: Gemini 2.5 counts tokens, Gemini 3 and later know words.

use super::super::canonical::{Effort, Reasoning, Unfit};
use super::super::fields::Fields;
use serde_json::{Map, Value};

/// The generation of a model by its name, times ten: 25 for Gemini 2.5. None for a name of another kind.
pub(super) fn generation(model: &str) -> Option<u32> {
    let (_, rest) = model.split_once("gemini-")?;
    let number = rest.split('-').next()?;
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    Some(major.parse::<u32>().ok().filter(|major| *major < 1_000)? * 10 + minor.chars().next()?.to_digit(10)?)
}

/// Reads `thinkingConfig`.
///
/// # Errors
/// When it is malformed.
pub(super) fn parse(mut fields: Fields) -> Result<Reasoning, Unfit> {
    let mut reasoning = Reasoning::default();
    if fields.flag("includeThoughts")?.unwrap_or(false) {
        reasoning.summary = Some("auto".to_owned());
    }
    match fields.number("thinkingBudget")?.map(|budget| budget.as_i64()) {
        None => {}
        Some(Some(-1)) => reasoning.dynamic = true,
        Some(budget) => {
            let budget = budget.and_then(|budget| u64::try_from(budget).ok());
            reasoning.budget = Some(budget.ok_or_else(|| fields.wrong("thinkingBudget", "a whole number, or -1"))?);
        }
    }
    reasoning.effort = match fields.string("thinkingLevel")? {
        Some(level) if level == "THINKING_LEVEL_UNSPECIFIED" => None,
        Some(level) => {
            let effort = Effort::from_word(&level.to_ascii_lowercase());
            Some(effort.ok_or_else(|| fields.wrong("thinkingLevel", "'MINIMAL', 'LOW', 'MEDIUM', 'HIGH' or 'XHIGH'"))?)
        }
        None => None,
    };
    fields.finish()?;
    Ok(reasoning)
}

/// Writes `thinkingConfig` for a model; none when there is nothing to say, or the model does not think.
pub(super) fn render(reasoning: &Reasoning, model: &str) -> Option<Value> {
    let generation = generation(model);
    if generation.is_some_and(|generation| generation < 25) {
        return None;
    }
    let mut out = Map::new();
    if reasoning.summary.is_some() {
        out.insert("includeThoughts".to_owned(), true.into());
    }
    let knows_words = generation.is_some_and(|generation| generation >= 30);
    match (reasoning.effort, reasoning.budget) {
        (Some(effort), _) if knows_words => drop(out.insert("thinkingLevel".to_owned(), level(effort, model).into())),
        (Some(effort), budget) => drop(out.insert("thinkingBudget".to_owned(), within(budget.unwrap_or(effort.budget()), model).into())),
        (None, Some(0)) if knows_words => drop(out.insert("thinkingLevel".to_owned(), level(Effort::None, model).into())),
        (None, Some(budget)) => drop(out.insert("thinkingBudget".to_owned(), within(budget, model).into())),
        (None, None) if reasoning.dynamic => drop(out.insert("thinkingBudget".to_owned(), (-1).into())),
        (None, None) => {}
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

/// The word for an effort. These models always think; the larger ones at least a little.
fn level(effort: Effort, model: &str) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal if model.contains("flash") => "MINIMAL",
        Effort::None | Effort::Minimal | Effort::Low => "LOW",
        Effort::Medium => "MEDIUM",
        Effort::High | Effort::XHigh | Effort::Max => "HIGH",
    }
}

/// The budget that the model takes: a Pro always thinks, and the small ones think less.
fn within(budget: u64, model: &str) -> u64 {
    let is_pro = model.contains("pro");
    match budget {
        0 if is_pro => 128,
        0 => 0,
        budget if is_pro => budget.clamp(128, 32_768),
        budget if model.contains("lite") => budget.clamp(512, 24_576),
        budget => budget.min(24_576),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn generations_are_read_from_names() {
        for (model, found) in [
            ("gemini-2.5-pro", Some(25)),
            ("models/gemini-3-pro-preview", Some(30)),
            ("gemini-3.1-flash", Some(31)),
            ("gemini-flash-latest", None),
            ("gemma-3", None),
            ("gemini-", None),
            ("gemini-99999999999-x", None),
        ] {
            assert_eq!(generation(model), found, "{model}");
        }
    }

    #[test]
    fn each_generation_is_told_in_its_way() {
        let effort = |effort| Reasoning { effort: Some(effort), ..Reasoning::default() };
        let budget = |budget| Reasoning { budget: Some(budget), ..Reasoning::default() };
        for (reasoning, model, written) in [
            (effort(Effort::High), "gemini-3-pro-preview", json!({"thinkingLevel": "HIGH"})),
            (effort(Effort::None), "gemini-3-flash", json!({"thinkingLevel": "MINIMAL"})),
            (effort(Effort::None), "gemini-3-pro", json!({"thinkingLevel": "LOW"})),
            (effort(Effort::Medium), "gemini-2.5-flash", json!({"thinkingBudget": 8192})),
            (effort(Effort::None), "gemini-2.5-flash", json!({"thinkingBudget": 0})),
            (effort(Effort::None), "gemini-2.5-pro", json!({"thinkingBudget": 128})),
            (budget(100), "gemini-2.5-flash-lite", json!({"thinkingBudget": 512})),
            (budget(60_000), "gemini-2.5-pro", json!({"thinkingBudget": 32_768})),
            (budget(0), "gemini-3-flash", json!({"thinkingLevel": "MINIMAL"})),
            (budget(5_000), "gemini-3-flash", json!({"thinkingBudget": 5_000})),
            (
                Reasoning { dynamic: true, summary: Some("auto".to_owned()), ..Reasoning::default() },
                "x",
                json!({"includeThoughts": true, "thinkingBudget": -1}),
            ),
        ] {
            assert_eq!(render(&reasoning, model), Some(written), "{reasoning:?} {model}");
        }
        assert_eq!(render(&effort(Effort::High), "gemini-2.0-flash"), None);
        assert_eq!(render(&Reasoning::default(), "gemini-3-pro"), None);
    }
}
