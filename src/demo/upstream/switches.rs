//! The switches that make the upstream do something else than answer well, and the three places they can stand. The table of all of
//! them is in the documentation of the [`upstream`](super).

use super::Pace;
use super::fault::{self, Fault};
use axum::http::HeaderMap;

/// After how many chunks a fault or a gate is due that does not say.
pub(super) const SOME_CHUNKS: u64 = 3;
/// No answer is longer, whatever is asked for.
const MOST_TOKENS: u64 = 1_000_000;
/// No request calls more tools, whatever is asked for.
const MOST_CALLS: u64 = 128;

/// What the usage report says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Report {
    /// The truth.
    #[default]
    True,
    /// Nothing.
    Missing,
    /// Numbers below zero.
    Negative,
    /// A million times the truth.
    Large,
    /// Numbers that no model could reach.
    Absurd,
    /// The truth, but in the last chunk that has choices instead of in one of its own (OpenAI chat streams).
    Inline,
    /// The truth so far in every chunk (OpenAI chat streams).
    Every,
}

/// How a stream is cut into bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// One write for each event.
    #[default]
    Whole,
    /// Pieces of seven bytes.
    Split,
    /// Lines end with CRLF.
    Crlf,
    /// Comment lines between the events.
    Comments,
}

/// An end of the answer that the provider decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A filter steps in after five tokens.
    Filtered,
    /// The model says what stands elsewhere (Gemini).
    Recitation,
    /// The model calls a tool in a way that nobody can read (Gemini).
    MalformedCall,
    /// A long turn is interrupted and can go on (Anthropic).
    PauseTurn,
    /// The context window is full (Anthropic).
    ContextFull,
}

/// A fault that strikes some requests and spares others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Luck {
    /// Of a hundred requests, how many are struck.
    pub percent: u64,
    /// Faults in the middle of an answer and refusals of the key as well, not only those before the first byte that pass.
    pub everything: bool,
}

/// Everything that was asked of one answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// What goes wrong, if anything.
    pub fault: Option<Fault>,
    /// What the usage report says.
    pub report: Report,
    /// The length of the answer in tokens.
    pub tokens: Option<u64>,
    /// Prompt tokens that came from the cache.
    pub cached: u64,
    /// Prompt tokens that were written to the cache.
    pub cache_write: u64,
    /// Tokens thought before the answer.
    pub reasoning: u64,
    /// Chunks before the gate.
    pub gate: Option<u64>,
    /// Another pace than that of the upstream.
    pub pace: Option<Pace>,
    /// Calls a tool whether the prompt asks for one or not.
    pub tool: bool,
    /// Answers with the last user message.
    pub echo: bool,
    /// Several calls of tools at once; 0 leaves it to the question.
    pub parallel: u64,
    /// Words before the call of a tool.
    pub preamble: bool,
    /// The model says that it will not do it.
    pub refuse: bool,
    /// The prompt is refused by a filter.
    pub blocked: bool,
    /// How the answer ends when the provider decides.
    pub ending: Option<Ending>,
    /// Prompt tokens that were written to the cache for an hour.
    pub cache_write_1h: u64,
    /// Tokens of the answer that were sound, beside its words.
    pub audio_out: u64,
    /// What was sent before counts as cached.
    pub caching: bool,
    /// Refuses histories that the real providers refuse.
    pub strict: bool,
    /// Shows thoughts in `reasoning_content` (OpenAI chat).
    pub reasoning_content: bool,
    /// Thoughts are encrypted (Anthropic).
    pub redacted: bool,
    /// Calls of tools have an id (Gemini).
    pub call_ids: bool,
    /// The oddities of Azure on other paths as well.
    pub azure_chunks: bool,
    /// The last event of a stream reports output alone (Anthropic).
    pub lean_usage: bool,
    /// Transcriptions report seconds, whatever the model is called.
    pub duration_usage: bool,
    /// Moderation finds something.
    pub flagged: bool,
    /// A server that has never heard of Responses.
    pub no_responses: bool,
    /// No `[DONE]` at the end of a stream.
    pub no_done: bool,
    /// The right body with the wrong content type.
    pub wrong_type: bool,
    /// Seconds in the `Retry-After` of an error; none for what the dialect does by itself.
    pub retry_after: Option<u64>,
    /// No `Retry-After` on any error.
    pub no_retry_after: bool,
    /// Milliseconds to the first byte.
    pub wait_ms: Option<u64>,
    /// A fault that strikes at random.
    pub luck: Option<Luck>,
    /// What the luck begins with.
    pub seed: u64,
    /// How the stream is cut into bytes.
    pub framing: Framing,
}

/// A directive that names no switch.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the simulated upstream has no switch {0:?}")]
pub struct UnknownSwitch(String);

impl Switches {
    /// The switches in a directive such as `cut=2, no-usage`.
    pub fn from_directive(text: &str) -> Result<Self, UnknownSwitch> {
        let mut switches = Self::default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            if !switches.apply_item(item) {
                return Err(UnknownSwitch(item.to_owned()));
            }
        }
        Ok(switches)
    }

    /// Adds what the model name says. Parts that are no switch are just part of the name.
    pub fn read_model(&mut self, model: &str) {
        let parts: Vec<&str> = model.split(['-', '/', ':']).collect();
        let mut at = 0;
        while at < parts.len() {
            let taken = [3, 2, 1].into_iter().find_map(|width| {
                let name = parts.get(at..at + width)?.join("-");
                let argument = parts.get(at + width).and_then(|part| part.parse().ok());
                self.apply(&name, argument).then_some(width + usize::from(argument.is_some() && takes_argument(&name)))
            });
            at += taken.unwrap_or(1);
        }
    }

    /// Adds what `x-demo-*` headers say.
    pub fn read_headers(&mut self, headers: &HeaderMap) {
        for (name, value) in headers {
            let (Some(switch), Ok(value)) = (name.as_str().strip_prefix("x-demo-"), value.to_str()) else { continue };
            if switch == "fail" {
                value.split(',').for_each(|item| _ = self.apply_item(item.trim()));
            } else {
                self.apply(switch, value.trim().parse().ok());
            }
        }
    }

    /// Adds what `[[...]]` in a message says and returns the message without it.
    pub fn read_message(&mut self, message: &str) -> String {
        let mut rest = message;
        let mut kept = String::new();
        while let Some((before, after)) = rest.split_once("[[") {
            let Some((directive, behind)) = after.split_once("]]") else { break };
            directive.split(',').for_each(|item| _ = self.apply_item(item.trim()));
            kept.push_str(before);
            rest = behind;
        }
        kept.push_str(rest);
        kept.trim().to_owned()
    }

    fn apply_item(&mut self, item: &str) -> bool {
        match item.split_once('=') {
            Some((name, argument)) => argument.trim().parse().is_ok_and(|n| self.apply(name.trim(), Some(n))),
            None => self.apply(item, None),
        }
    }

    fn apply(&mut self, name: &str, argument: Option<u64>) -> bool {
        if let Some(fault) = fault::named(name, argument) {
            self.fault = Some(fault);
            return true;
        }
        self.apply_number(name, argument) || self.apply_report(name) || self.apply_flag(name)
    }

    fn apply_number(&mut self, name: &str, argument: Option<u64>) -> bool {
        let count = argument.map(|n| n.min(MOST_TOKENS));
        match name {
            "tokens" => self.tokens = count.or(self.tokens),
            "cached" => self.cached = count.unwrap_or(64),
            "cache-write" => self.cache_write = count.unwrap_or(64),
            "cache-write-1h" => self.cache_write_1h = count.unwrap_or(64),
            "reasoning" => self.reasoning = count.unwrap_or(32),
            "audio-out" => self.audio_out = count.unwrap_or(32),
            "parallel" => self.parallel = argument.unwrap_or(2).min(MOST_CALLS),
            "gate" => self.gate = Some(argument.unwrap_or(SOME_CHUNKS)),
            "slow" => self.pace = Some(Pace { first_byte_ms: 500, chunk_ms: argument.unwrap_or(50) }),
            "wait" => self.wait_ms = Some(argument.unwrap_or(1_000)),
            "retry-after" => self.retry_after = Some(argument.unwrap_or(1)),
            "flaky" => self.luck = Some(Luck { percent: argument.unwrap_or(50), everything: false }),
            "chaos" => self.luck = Some(Luck { percent: argument.unwrap_or(50), everything: true }),
            "seed" => self.seed = argument.unwrap_or_default(),
            _ => return false,
        }
        true
    }

    fn apply_report(&mut self, name: &str) -> bool {
        self.report = match name {
            "no-usage" => Report::Missing,
            "negative-usage" => Report::Negative,
            "large-usage" => Report::Large,
            "absurd-usage" => Report::Absurd,
            "inline-usage" => Report::Inline,
            "every-usage" => Report::Every,
            _ => return false,
        };
        true
    }

    fn apply_flag(&mut self, name: &str) -> bool {
        match name {
            "tool" => self.tool = true,
            "echo" => self.echo = true,
            "preamble" => self.preamble = true,
            "refuse" => self.refuse = true,
            "blocked" => self.blocked = true,
            "filtered" => self.ending = Some(Ending::Filtered),
            "recitation" => self.ending = Some(Ending::Recitation),
            "malformed-call" => self.ending = Some(Ending::MalformedCall),
            "pause-turn" => self.ending = Some(Ending::PauseTurn),
            "context-full" => self.ending = Some(Ending::ContextFull),
            "caching" => self.caching = true,
            "strict" => self.strict = true,
            "reasoning-content" => self.reasoning_content = true,
            "redacted" => self.redacted = true,
            "call-ids" => self.call_ids = true,
            "azure-chunks" => self.azure_chunks = true,
            "lean-usage" => self.lean_usage = true,
            "duration-usage" => self.duration_usage = true,
            "flagged" => self.flagged = true,
            "no-responses" => self.no_responses = true,
            "no-done" => self.no_done = true,
            "wrong-type" => self.wrong_type = true,
            "no-retry-after" => self.no_retry_after = true,
            "split" => self.framing = Framing::Split,
            "crlf" => self.framing = Framing::Crlf,
            "comments" => self.framing = Framing::Comments,
            _ => return false,
        }
        true
    }
}

/// In a model name a number may follow a switch without belonging to it: `demo-tool-429`.
fn takes_argument(name: &str) -> bool {
    let numbers = ["tokens", "cached", "cache-write", "cache-write-1h", "reasoning", "audio-out", "parallel", "gate", "slow", "wait", "retry-after"];
    fault::takes_argument(name) || numbers.contains(&name) || matches!(name, "flaky" | "chaos" | "seed")
}
