//! The answer to a prompt, in no dialect: thoughts, words or calls of tools, cut where the prompt says so, with its usage.

use super::job::Job;
use super::prompt::{Prompt, Tool};
use super::switches::{Ending, Report, Switches};
use super::tokens::{self, Piece};
use super::usage::Usage;
use super::{tool, words};

/// How long a model thinks that was asked to and not told how long.
const THOUGHT_TOKENS: u64 = 24;
/// How many tokens get through before a filter steps in.
const BEFORE_FILTER: u64 = 5;
/// What a model says that will not do it.
const REFUSAL: &str = "I'm sorry, but I can't help with that request.";

/// Everything that a dialect has to render.
#[derive(Debug)]
pub(super) struct Answer {
    /// The number behind its names; of the request in the log.
    pub number: u64,
    pub choices: Vec<Choice>,
    /// What was really used.
    pub truth: Usage,
    /// What the usage report says, if there is one.
    pub usage: Option<Usage>,
    /// Where a stream reports usage.
    pub report: Report,
}

/// One of the `n` choices.
#[derive(Debug)]
pub(super) struct Choice {
    /// What was thought before, whether it is shown or not.
    pub thoughts: Vec<Piece>,
    /// The words; empty when only tools are called.
    pub text: Vec<Piece>,
    /// The words say that the model will not do it.
    pub refused: bool,
    pub calls: Vec<Call>,
    pub finish: Finish,
}

/// A call of a tool.
#[derive(Debug)]
pub(super) struct Call {
    pub name: String,
    /// Tokens that naming the tool took.
    pub tokens: u64,
    /// The arguments as JSON text, or free text.
    pub arguments: Vec<Piece>,
    /// The arguments are free text.
    pub custom: bool,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    End,
    Length,
    Stop(String),
    Tool,
    /// The provider decided.
    Other(Ending),
}

/// The text of some pieces.
pub(super) fn joined(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| piece.text.as_str()).collect()
}

/// Answers a prompt.
pub(super) fn compose(job: &Job<'_>) -> Answer {
    let (prompt, switches) = (job.prompt, job.switches);
    let choices: Vec<Choice> = (0..prompt.choices).map(|variant| choice(prompt, job.question, switches, variant)).collect();
    let cached = (switches.cached + job.hit.cached).min(prompt.tokens);
    let write_1h = (switches.cache_write_1h + job.hit.write_1h).min(prompt.tokens - cached);
    let write_5m = (switches.cache_write + job.hit.write_5m).min(prompt.tokens - cached - write_1h);
    let thought: u64 = choices.iter().map(|choice| tokens::total(&choice.thoughts)).sum();
    let truth = Usage {
        prompt: prompt.tokens as i64,
        cached: cached as i64,
        cache_write: (write_5m + write_1h) as i64,
        cache_write_1h: write_1h as i64,
        image_in: prompt.image_tokens() as i64,
        audio_in: prompt.audio_tokens() as i64,
        completion: (choices.iter().map(Choice::tokens).sum::<u64>() + thought + switches.audio_out) as i64,
        reasoning: thought as i64,
        audio_out: switches.audio_out as i64,
        ..Usage::default()
    };
    Answer { number: job.number, choices, truth, usage: job.told(truth), report: switches.report }
}

/// The words of the first choice.
pub(super) fn said(prompt: &Prompt, question: &str, switches: &Switches) -> String {
    choice(prompt, question, switches, 0).said()
}

fn choice(prompt: &Prompt, question: &str, switches: &Switches, variant: u64) -> Choice {
    let budget = prompt.max_tokens.unwrap_or(u64::MAX);
    let thinks = if switches.reasoning == 0 && prompt.think { THOUGHT_TOKENS } else { switches.reasoning };
    let thoughts = words::thoughts(question, variant, thinks.min(budget));
    let budget = budget - tokens::total(&thoughts);
    let tools = if switches.refuse { Vec::new() } else { tool::wanted(prompt, switches) };
    let (text, calls, finish) = if tools.is_empty() {
        let (text, finish) = speech(prompt, question, switches, variant, budget);
        (text, Vec::new(), finish)
    } else {
        calling(&tools, question, switches, budget)
    };
    let refused = switches.refuse;
    Choice { thoughts, text, refused, calls, finish: switches.ending.map_or(finish, Finish::Other) }
}

/// Words, cut where the prompt or a filter says so.
fn speech(prompt: &Prompt, question: &str, switches: &Switches, variant: u64, budget: u64) -> (Vec<Piece>, Finish) {
    let mut text = match &prompt.schema {
        _ if switches.refuse => tokens::pieces(REFUSAL),
        _ if switches.echo => tokens::pieces(question),
        Some(schema) => tokens::pieces(&tool::sample(schema, question, variant)),
        None => words::speech(question, variant, switches.tokens),
    };
    let stopped = stop(&mut text, &prompt.stop);
    if switches.ending == Some(Ending::Filtered) {
        tokens::cut(&mut text, BEFORE_FILTER);
    }
    let cut = tokens::cut(&mut text, budget);
    (text, if cut { Finish::Length } else { stopped.map_or(Finish::End, Finish::Stop) })
}

/// Calls of tools, behind some words when those are wanted.
fn calling(tools: &[&Tool], question: &str, switches: &Switches, mut budget: u64) -> (Vec<Piece>, Vec<Call>, Finish) {
    let mut text = if switches.preamble { tokens::pieces("Let me look that up.") } else { Vec::new() };
    let mut cut = tokens::cut(&mut text, budget);
    budget -= tokens::total(&text);
    let mut calls = Vec::new();
    for (nth, tool) in tools.iter().enumerate() {
        if cut || (budget == 0 && nth > 0) {
            cut = true;
            break;
        }
        let named = tokens::count(&tool.name).min(budget);
        let mut arguments = tokens::pieces(&tool::arguments(tool, question, nth as u64));
        cut = tokens::cut(&mut arguments, budget - named);
        budget -= named + tokens::total(&arguments);
        calls.push(Call { name: tool.name.clone(), tokens: named, arguments, custom: tool.custom });
    }
    (text, calls, if cut { Finish::Length } else { Finish::Tool })
}

/// Ends the text before the first of the stop sequences; says which.
fn stop(text: &mut Vec<Piece>, stops: &[String]) -> Option<String> {
    let whole = joined(text);
    let (at, found) = stops.iter().filter_map(|stop| Some((whole.find(stop.as_str())?, stop))).min()?;
    *text = tokens::pieces(&whole[..at]);
    Some(found.clone())
}

impl Choice {
    /// Tokens of words and calls.
    pub fn tokens(&self) -> u64 {
        tokens::total(&self.text) + self.calls.iter().map(Call::size).sum::<u64>()
    }

    /// Words and arguments, as the log keeps them.
    pub fn said(&self) -> String {
        joined(&self.text) + &self.calls.iter().map(|call| joined(&call.arguments)).collect::<String>()
    }
}

impl Call {
    /// Tokens of name and arguments.
    pub fn size(&self) -> u64 {
        self.tokens + tokens::total(&self.arguments)
    }
}

impl Answer {
    /// What all choices said.
    pub fn said(&self) -> String {
        self.choices.iter().map(Choice::said).collect()
    }

    /// Tokens that all choices show, without thoughts.
    pub fn shown(&self) -> u64 {
        self.choices.iter().map(Choice::tokens).sum()
    }

    /// Usage where a stream has a chunk of its own for it.
    pub fn usage_at_end(&self) -> Option<Usage> {
        self.usage.filter(|_| self.report != Report::Inline)
    }
}
