//! The answer to a prompt, in no dialect: deterministic words or a tool call, cut where the prompt says so, with its usage.

use super::prompt::Prompt;
use super::switches::{Report, Switches};
use super::tokens::{self, Piece};
use super::{tool, words};

/// Everything that a dialect has to render.
#[derive(Debug)]
pub(super) struct Answer {
    /// The number behind its names; of the request in the log.
    pub number: u64,
    /// Unix time in seconds.
    pub created: i64,
    pub choices: Vec<Choice>,
    /// What the usage report says, if there is one.
    pub usage: Option<Usage>,
    /// Whether a stream reports usage in the last chunk with choices.
    pub inline_usage: bool,
}

/// One of the `n` choices.
#[derive(Debug)]
pub(super) struct Choice {
    /// The words; empty when a tool is called.
    pub text: Vec<Piece>,
    pub call: Option<Call>,
    pub finish: Finish,
}

/// A call of a tool.
#[derive(Debug)]
pub(super) struct Call {
    pub name: String,
    /// Tokens that naming the tool took.
    pub tokens: u64,
    /// The arguments as JSON text.
    pub arguments: Vec<Piece>,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    End,
    Length,
    Stop(String),
    Tool,
}

/// A usage report in signed numbers, since a fault may make them negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// All prompt tokens, cached ones included.
    pub prompt: i64,
    pub cached: i64,
    pub cache_write: i64,
    /// All tokens produced, thoughts included.
    pub completion: i64,
    pub reasoning: i64,
}

/// The text of some pieces.
pub(super) fn joined(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| piece.text.as_str()).collect()
}

/// Answers a prompt.
pub(super) fn compose(prompt: &Prompt, question: &str, switches: &Switches, number: u64, created: i64) -> Answer {
    let budget = prompt.max_tokens.unwrap_or(u64::MAX);
    let thought = switches.reasoning.min(budget);
    let choices: Vec<Choice> = (0..prompt.choices).map(|variant| choice(prompt, question, switches, variant, budget - thought)).collect();
    let produced = choices.iter().map(Choice::tokens).sum::<u64>() + thought * prompt.choices;
    let cached = switches.cached.min(prompt.tokens);
    let truth = Usage {
        prompt: prompt.tokens as i64,
        cached: cached as i64,
        cache_write: switches.cache_write.min(prompt.tokens - cached) as i64,
        completion: produced as i64,
        reasoning: (thought * prompt.choices) as i64,
    };
    Answer { number, created, choices, usage: told(truth, switches.report), inline_usage: switches.report == Report::Inline }
}

fn told(truth: Usage, report: Report) -> Option<Usage> {
    match report {
        Report::True | Report::Inline => Some(truth),
        Report::Missing => None,
        Report::Negative => Some(Usage { prompt: -truth.prompt, completion: -truth.completion, ..Usage::default() }),
        Report::Absurd => Some(Usage { prompt: i64::MAX / 2, completion: i64::MAX / 2, ..Usage::default() }),
    }
}

fn choice(prompt: &Prompt, question: &str, switches: &Switches, variant: u64, budget: u64) -> Choice {
    if let Some(tool) = tool::wanted(prompt, switches.tool) {
        let named = tokens::count(&tool.name);
        let mut arguments = tokens::pieces(&tool::arguments(tool, question));
        let cut = tokens::cut(&mut arguments, budget.saturating_sub(named));
        let call = Call { name: tool.name.clone(), tokens: named.min(budget), arguments };
        return Choice { text: Vec::new(), call: Some(call), finish: if cut { Finish::Length } else { Finish::Tool } };
    }
    let mut text = if switches.echo { tokens::pieces(question) } else { words::speech(question, variant, switches.tokens) };
    let stopped = stop(&mut text, &prompt.stop);
    let cut = tokens::cut(&mut text, budget);
    let finish = if cut { Finish::Length } else { stopped.map_or(Finish::End, Finish::Stop) };
    Choice { text, call: None, finish }
}

/// Ends the text before the first of the stop sequences; says which.
fn stop(text: &mut Vec<Piece>, stops: &[String]) -> Option<String> {
    let whole = joined(text);
    let (at, found) = stops.iter().filter_map(|stop| Some((whole.find(stop.as_str())?, stop))).min()?;
    *text = tokens::pieces(&whole[..at]);
    Some(found.clone())
}

impl Choice {
    /// Tokens that the choice shows.
    pub fn tokens(&self) -> u64 {
        tokens::total(&self.text) + self.call.as_ref().map_or(0, |call| call.tokens + tokens::total(&call.arguments))
    }
}
