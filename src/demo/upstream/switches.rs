//! The switches that make the upstream do something else than answer well, and the three places they can stand.
//!
//! - in the model name, between hyphens: `demo-429`, `demo-cut-5`, `demo-tokens-40-no-usage`
//! - in headers: `x-demo-fail: cut=5` or `x-demo-tokens: 40`
//! - in the last user message: `[[tokens=40, no-usage]]`
//!
//! A relay need not forward headers, so everything can be said in all three; the message wins over headers, headers over the model.
//!
//! | switch | what happens |
//! |---|---|
//! | `400` to `599` | an error answer with that status, in the dialect |
//! | `hang-up` | the connection closes without any answer |
//! | `stall`, `stall=N` | accepts and never answers; with N, goes silent after N chunks |
//! | `cut=N` | the connection breaks after N chunks (3 when not said) |
//! | `short=N` | ends cleanly after N chunks, without the closing events |
//! | `torn=N` | ends cleanly after N chunks, in the middle of an event |
//! | `error-event=N` | an error event after N chunks, then the end |
//! | `bad-sse=N` | after N chunks only garbage, then the end |
//! | `noise=N` | garbage after N chunks, then the answer goes on |
//! | `bad-json` | a 200 whose body is not JSON |
//! | `html`, `redirect` | a 200 with a web page; a 302 to elsewhere |
//! | `endless` | a body that never ends |
//! | `no-usage`, `negative-usage`, `absurd-usage`, `inline-usage` | usage left out, below zero, beyond belief, in the last chunk that has choices |
//! | `tokens=N` | an answer of N tokens |
//! | `cached=N`, `cache-write=N`, `reasoning=N` | so many tokens of the prompt came from the cache, went into it (Anthropic), or were thought first |
//! | `gate=N` | holds the answer after N chunks until the gate is released; 0 holds it before its first byte |
//! | `slow`, `slow=N` | half a second to the first byte and N ms (50) between chunks |
//! | `tool` | calls a tool even when the prompt does not ask for one |
//! | `echo` | answers with the last user message |
//! | `split`, `crlf`, `comments` | the stream leaves in pieces of 7 bytes; has CRLF line ends; has comment lines between events |

use super::Pace;
use axum::http::HeaderMap;

/// After how many chunks a fault happens that does not say.
const SOME_CHUNKS: u64 = 3;
/// No answer is longer, whatever is asked for.
const MOST_TOKENS: u64 = 1_000_000;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error answer with this status.
    Status(u16),
    /// The connection closes without an answer.
    HangUp,
    /// Silence: from the start, or after so many chunks.
    Stall(Option<u64>),
    /// The connection breaks after so many chunks.
    Cut(u64),
    /// A clean end after so many chunks, without the closing events.
    Short(u64),
    /// A clean end after so many chunks, in the middle of an event.
    Torn(u64),
    /// An error event after so many chunks.
    ErrorEvent(u64),
    /// Garbage after so many chunks, then the end.
    BadSse(u64),
    /// Garbage after so many chunks, then the rest of the answer.
    Noise(u64),
    /// A body that is not JSON.
    BadJson,
    /// A web page.
    Html,
    /// A redirect.
    Redirect,
    /// A body without end.
    Endless,
}

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
    /// Numbers that no model could reach.
    Absurd,
    /// The truth, but in the last chunk that has choices instead of in one of its own (OpenAI streams).
    Inline,
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
            let taken = [2, 1].into_iter().find_map(|width| {
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
        if let Some(fault) = fault(name, argument) {
            self.fault = Some(fault);
            return true;
        }
        let count = argument.map(|n| n.min(MOST_TOKENS));
        match name {
            "no-usage" => self.report = Report::Missing,
            "negative-usage" => self.report = Report::Negative,
            "absurd-usage" => self.report = Report::Absurd,
            "inline-usage" => self.report = Report::Inline,
            "tokens" => self.tokens = count.or(self.tokens),
            "cached" => self.cached = count.unwrap_or(64),
            "cache-write" => self.cache_write = count.unwrap_or(64),
            "reasoning" => self.reasoning = count.unwrap_or(32),
            "gate" => self.gate = Some(argument.unwrap_or(SOME_CHUNKS)),
            "slow" => self.pace = Some(Pace { first_byte_ms: 500, chunk_ms: argument.unwrap_or(50) }),
            "tool" => self.tool = true,
            "echo" => self.echo = true,
            "split" => self.framing = Framing::Split,
            "crlf" => self.framing = Framing::Crlf,
            "comments" => self.framing = Framing::Comments,
            _ => return false,
        }
        true
    }
}

fn fault(name: &str, argument: Option<u64>) -> Option<Fault> {
    let chunks = argument.unwrap_or(SOME_CHUNKS);
    Some(match name {
        "hang-up" => Fault::HangUp,
        "stall" => Fault::Stall(argument.filter(|n| *n > 0)),
        "cut" => Fault::Cut(chunks),
        "short" => Fault::Short(chunks),
        "torn" => Fault::Torn(chunks),
        "error-event" => Fault::ErrorEvent(chunks),
        "bad-sse" => Fault::BadSse(chunks),
        "noise" => Fault::Noise(chunks),
        "bad-json" => Fault::BadJson,
        "html" => Fault::Html,
        "redirect" => Fault::Redirect,
        "endless" => Fault::Endless,
        status => Fault::Status(status.parse().ok().filter(|code| (400..600).contains(code) && status.len() == 3)?),
    })
}

/// In a model name a number may follow a switch without belonging to it: `demo-tool-429`.
fn takes_argument(name: &str) -> bool {
    matches!(
        name,
        "stall" | "cut" | "short" | "torn" | "error-event" | "bad-sse" | "noise" | "tokens" | "cached" | "cache-write" | "reasoning" | "gate" | "slow"
    )
}
