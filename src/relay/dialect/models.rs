//! What certain models refuse although their dialect has words for it, told from their names. A name that is not known here counts as the newest of its family.

use super::canonical::Effort;

/// How a model of Anthropic's is told to think. Sources: <https://platform.claude.com/docs/en/build-with-claude/extended-thinking> and `adaptive-thinking`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinking {
    /// By a budget alone: Claude up to 4.5, and other providers' models that speak the dialect.
    Budget,
    /// By its own judgement and an effort, or, still, by a budget: Claude 4.6.
    Either,
    /// By its own judgement and an effort alone; it refuses budgets, and hints on sampling as well: Claude 4.7 and later.
    Adaptive,
}

/// How the model is told to think.
pub fn thinking(model: &str) -> Thinking {
    let Some((_, name)) = model.rsplit_once("claude") else { return Thinking::Budget };
    // The version is the first one or two short numbers of `-opus-4-6-20260101`, `-3-7-sonnet` or `-sonnet-4.5`; longer ones are dates.
    let numbers = name.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    let mut version = numbers.take_while(|part| part.len() <= 2).filter_map(|part| part.parse::<u32>().ok());
    match (version.next(), version.next().unwrap_or(0)) {
        (Some(0..=3), _) | (Some(4), 0..=5) => Thinking::Budget,
        (Some(4), 6) => Thinking::Either,
        (Some(_), _) => Thinking::Adaptive,
        // `claude-instant` is the only old name without a version.
        (None, _) => {
            if name.contains("instant") {
                Thinking::Budget
            } else {
                Thinking::Adaptive
            }
        }
    }
}

/// Whether a model of OpenAI's own reasons. Those that do refuse hints on sampling; those that do not refuse an effort.
pub fn openai_reasons(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    !["gpt-3", "gpt-4", "chatgpt-4", "gpt-5-chat", "davinci", "babbage"].iter().any(|prefix| name.strip_prefix("ft:").unwrap_or(name).starts_with(prefix))
}

/// The least effort that a model of OpenAI's own takes, for a caller who wants no thoughts: `none` is known from gpt-5.1 on.
pub fn openai_least_effort(model: &str) -> Effort {
    let name = model.rsplit('/').next().unwrap_or(model);
    match name {
        _ if ["o1", "o3", "o4", "gpt-5-codex", "gpt-5-pro"].iter().any(|prefix| name.starts_with(prefix)) => Effort::Low,
        _ if name == "gpt-5" || name.starts_with("gpt-5-") => Effort::Minimal,
        _ => Effort::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claude_thinks_by_its_version() {
        for (model, expected) in [
            ("claude-3-7-sonnet-20250219", Thinking::Budget),
            ("claude-3-5-haiku-latest", Thinking::Budget),
            ("claude-sonnet-4-20250514", Thinking::Budget),
            ("claude-opus-4-1-20250805", Thinking::Budget),
            ("claude-haiku-4-5", Thinking::Budget),
            ("anthropic/claude-sonnet-4.5", Thinking::Budget),
            ("us.anthropic.claude-opus-4-5-20251101-v1:0", Thinking::Budget),
            ("claude-2.1", Thinking::Budget),
            ("claude-instant-1.2", Thinking::Budget),
            ("MiniMax-M2", Thinking::Budget),
            ("claude-opus-4-6", Thinking::Either),
            ("claude-sonnet-4-6@20260201", Thinking::Either),
            ("claude-opus-4-7", Thinking::Adaptive),
            ("claude-opus-4-10", Thinking::Adaptive),
            ("claude-sonnet-5", Thinking::Adaptive),
            ("claude-mythos-preview", Thinking::Adaptive),
        ] {
            assert_eq!(thinking(model), expected, "{model}");
        }
    }

    #[test]
    fn openai_models_reason_by_their_family() {
        for (model, reasons, least) in [
            ("gpt-4o-mini", false, Effort::None),
            ("gpt-5-chat-latest", false, Effort::Minimal),
            ("ft:gpt-4o-mini:org::id", false, Effort::None),
            ("gpt-5", true, Effort::Minimal),
            ("gpt-5-mini", true, Effort::Minimal),
            ("gpt-5-codex", true, Effort::Low),
            ("gpt-5.1", true, Effort::None),
            ("gpt-5.2-codex", true, Effort::None),
            ("o4-mini", true, Effort::Low),
        ] {
            assert_eq!((openai_reasons(model), openai_least_effort(model)), (reasons, least), "{model}");
        }
    }
}
