//! A simulated AI provider: real HTTP on a loopback port, in the wire formats of OpenAI, Azure OpenAI, Anthropic and Gemini.
//!
//! It answers deterministically from the prompt, streams at a realistic [`Pace`], counts tokens with a real tokenizer and misbehaves on request.
//! It keeps a [`Log`] of what it was asked and of what it handed over, so that a test can compare the books of the shop with what was
//! really delivered, and it can hold an answer at a gate until the test lets it go on.
//!
//! It uses nothing of the shop but the clock, and the shop knows nothing of it.
//!
//! # Paths
//!
//! | dialect | paths | the key stands in |
//! |---|---|---|
//! | OpenAI | `/v1/chat/completions`, `/v1/completions`, `/v1/responses`, `/v1/embeddings`, `/v1/moderations`, `/v1/images/{generations,edits}`, `/v1/audio/{speech,transcriptions,translations}`, `/v1/rerank` (Jina), `/v2/rerank` (Cohere), `/v1/models` | `Authorization: Bearer` |
//! | Azure | the same behind `/openai/deployments/{name}/...?api-version=` (404 without a version) and behind `/openai/v1/...` | `api-key`, or `Bearer` |
//! | Anthropic | `/v1/messages`, `/v1/messages/count_tokens`, `/v1/models` with `anthropic-version` | `x-api-key`, or `Bearer` |
//! | Gemini | `/v1beta/models/{model}:{generateContent,streamGenerateContent,countTokens,embedContent,batchEmbedContents}`, `/v1beta/models`, and the same behind `/v1` | `x-goog-api-key`, `?key=`, or `Bearer` |
//!
//! # What it says
//!
//! The last user message without its directives decides the words ([`answer_to`]), never the number of the request or the time. A request
//! that asks for JSON gets JSON that fits its schema; one that offers a tool and speaks of it (`get_weather`: "weather") gets a call of
//! it, of each tool that it speaks of unless calls in parallel are forbidden, and words once the result is there. One that asks for
//! thoughts gets 24 tokens of them.
//!
//! Input counts the words ([`count_tokens`]), 4 more for each message, 3 for the whole, [`PICTURE_TOKENS`], [`SOUND_TOKENS`] and
//! [`DOCUMENT_TOKENS`] for what is no text, and tool definitions, calls and results as the JSON that they are. Paths without messages
//! (embeddings, completions, pictures) count the words alone. [`Served::report`] has what was reported.
//!
//! # Switches
//!
//! They can stand in three places. A relay need not forward headers, so everything can be said in all three; the message wins over headers,
//! headers over the model, and all of them over [`Upstream::behave`], which holds for every request:
//!
//! - in the model name, between hyphens: `demo-429`, `demo-cut-5`, `demo-tokens-40-no-usage`
//! - in headers: `x-demo-fail: cut=5` or `x-demo-tokens: 40`
//! - in the last user message: `[[tokens=40, no-usage]]`; in the `input` of embeddings and speech, in the `prompt` of pictures and transcriptions
//!
//! | the answer | |
//! |---|---|
//! | `tokens=N` | words of N tokens |
//! | `echo` | answers with the last user message |
//! | `tool` | calls a tool even when the prompt does not ask for one |
//! | `parallel=N` | N calls at once (2), the tools in turn |
//! | `preamble` | some words before the call of a tool |
//! | `call-ids` | calls have an id in Gemini as well |
//! | `reasoning=N` | N tokens of thoughts (32) before the answer, shown where the request asks to see them |
//! | `reasoning-content` | OpenAI chat shows thoughts in `reasoning_content`, as DeepSeek does |
//! | `redacted` | Anthropic's thoughts come as `redacted_thinking` |
//! | `refuse` | the model says that it will not: `refusal` in OpenAI's dialects, `stop_reason: refusal` in Anthropic's, plain words in Gemini's |
//! | `filtered` | a filter stops the answer after 5 tokens: `content_filter`, `incomplete`, `refusal`, `SAFETY` |
//! | `blocked` | a filter stops the prompt: a 400 in OpenAI's and Azure's forms, an empty refusal in Anthropic's, `promptFeedback` in Gemini's |
//! | `recitation`, `malformed-call` | Gemini's `RECITATION` and `MALFORMED_FUNCTION_CALL` |
//! | `pause-turn`, `context-full` | Anthropic's `pause_turn` and `model_context_window_exceeded` |
//! | `flagged` | moderation finds violence |
//!
//! | usage | |
//! |---|---|
//! | `cached=N`, `cache-write=N`, `cache-write-1h=N` | so many tokens of the prompt (64) were read from the cache, or written to it for 5 minutes or an hour |
//! | `caching` | what was sent before, message by message from the first on, is reported as cached; in Anthropic's dialect what `cache_control` marks |
//! | `audio-out=N` | N tokens of sound (32) beside the words |
//! | `no-usage`, `negative-usage`, `large-usage`, `absurd-usage` | left out, below zero, a million times the truth, near the end of 64 bits |
//! | `inline-usage`, `every-usage` | OpenAI chat streams: in the last chunk with choices; so far in every chunk |
//! | `lean-usage` | Anthropic's `message_delta` reports output alone |
//! | `duration-usage` | transcriptions report seconds (models with `whisper` in their name always do) |
//!
//! | failures | |
//! |---|---|
//! | `400` to `599` | an error answer with that status, in the dialect, with `Retry-After: 1` for 429, 503 and 529 (Google: in the body) |
//! | `retry-after=N`, `no-retry-after` | another pause, also on other errors; none |
//! | `absent`, `no-responses` | 404 in the words of a server that knows no dialect; only for `/responses` |
//! | `hang-up` | the connection closes without any answer |
//! | `reset`, `reset=N` | the connection is reset without any answer, or after N chunks |
//! | `stall`, `stall=N` | accepts and never answers; with N, goes silent after N chunks |
//! | `cut=N` | the connection breaks after N chunks (3 when not said, here and below) |
//! | `short=N` | ends cleanly after N chunks, without the closing events |
//! | `torn=N` | ends cleanly after N chunks, in the middle of an event |
//! | `error-event=N`, `overload=N` | an error event after N chunks, then the end; one that says overloaded (`response.failed` for Responses) |
//! | `bad-sse=N` | after N chunks only garbage, then the end |
//! | `noise=N` | garbage after N chunks, then the answer goes on |
//! | `bad-json`, `empty`, `html`, `redirect` | a 200 whose body is not JSON; without a body; with a web page; a 302 to elsewhere |
//! | `wrong-type` | the right body as `text/plain` |
//! | `no-done` | OpenAI streams end without `[DONE]` |
//! | `endless` | a body that never ends |
//! | `flaky=P` | P of 100 requests (50) meet a failure before the first byte that passes: 408, 409, 429, 5xx, `hang-up`, `reset` |
//! | `chaos=P` | the same, and 401, 402, 403, bodies that are no answers, and streams that break |
//! | `seed=N` | what `flaky` and `chaos` begin with; the number of the request decides the rest, and [`Served::fault`] tells what struck |
//! | `strict` | refuses what the real providers refuse: unknown fields, calls and results that do not match, thoughts without a valid signature |
//!
//! | time and bytes | |
//! |---|---|
//! | `gate=N` | holds the answer after N chunks until the gate is released; 0 holds it before its first byte |
//! | `wait=N` | N ms to the first byte (1000) |
//! | `slow`, `slow=N` | half a second to the first byte and N ms (50) between chunks |
//! | `split`, `crlf`, `comments` | the stream leaves in pieces of 7 bytes; has CRLF line ends; has comment lines between events |
//! | `azure-chunks` | content filter results and Azure's first chunk on OpenAI's paths as well |

mod answer;
mod anthropic;
mod cache;
mod call;
mod fault;
mod gemini;
mod job;
mod log;
mod media;
mod multipart;
mod openai;
mod player;
mod prompt;
mod script;
pub(super) mod server;
mod stage;
pub mod switches;
mod tokens;
mod tool;
mod usage;
mod words;

#[cfg(test)]
mod tests;

pub use call::{Auth, Dialect, Task};
pub use fault::Fault;
pub use log::{Log, Outcome, Served, WaitedInVain};
pub use prompt::{DOCUMENT_TOKENS, PICTURE_TOKENS, SOUND_TOKENS};
pub use switches::{Switches, UnknownSwitch};
pub use tokens::count as count_tokens;
pub use usage::Usage;

use crate::kernel::Clock;
use stage::Stage;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Model names that it lists. Any other name is answered as well, and a name with a switch in it (`demo-429`, `demo-cut-5`) does what the
/// switch says.
pub const MODELS: &[&str] = &["demo-chat", "demo-mini", "demo-thinker-reasoning-24", "claude-demo", "gemini-demo", "azure-demo", "responses-demo"];

/// How fast answers come, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// From the request to the first byte.
    pub first_byte_ms: u64,
    /// Between two chunks; an answer that is not streamed takes this long for each of its tokens.
    pub chunk_ms: u64,
}

impl Pace {
    /// As fast as the machine can: for tests.
    pub const NONE: Self = Self { first_byte_ms: 0, chunk_ms: 0 };
    /// What a hosted model of middling size feels like: for the demo.
    pub const REAL: Self = Self { first_byte_ms: 280, chunk_ms: 18 };
}

/// How to start an [`Upstream`]. The default suits tests: a free port, no pauses, a long memory.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; loopback only.
    pub listen: SocketAddr,
    /// The key that callers must send, or none to accept anybody.
    pub key: Option<String>,
    /// How fast answers come.
    pub pace: Pace,
    /// How many requests the log remembers before it forgets the oldest.
    pub remember: usize,
    /// The clock behind the `created` of answers.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), key: None, pace: Pace::NONE, remember: 10_000, clock: Clock::system() }
    }
}

/// What the upstream says to a message, whatever the dialect, when the request asks for nothing but words. Directives in the message count.
pub fn answer_to(message: &str) -> String {
    let mut switches = Switches::default();
    let question = switches.read_message(message);
    let prompt = prompt::Prompt { choices: 1, ..prompt::Prompt::default() };
    answer::said(&prompt, &question, &switches)
}

/// Why an upstream did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It would be reachable from elsewhere, and it serves anybody.
    #[error("the simulated upstream listens on loopback only, not on {0}")]
    NotLoopback(SocketAddr),
    /// The port could not be opened.
    #[error("the simulated upstream cannot listen: {0}")]
    Listen(#[from] std::io::Error),
}

/// A running simulated provider. Dropping it closes the port and breaks off the answers that are under way.
pub struct Upstream {
    address: SocketAddr,
    stage: Arc<Stage>,
    closing: CancellationToken,
    server: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Opens the port and begins to serve.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        if !options.listen.ip().is_loopback() {
            return Err(StartError::NotLoopback(options.listen));
        }
        let listener = tokio::net::TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let closing = CancellationToken::new();
        let stage = Arc::new(Stage::new(options, closing.clone()));
        let server = tokio::spawn(server::run(listener, stage::router(stage.clone()), closing.clone()));
        Ok(Self { address, stage, closing, server: Some(server) })
    }

    /// `http://127.0.0.1:port`, without a path: `/v1/...` follows.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked and what was handed over.
    pub fn log(&self) -> &Log {
        &self.stage.log
    }

    /// Lets every answer that is held at a gate now go on. One that comes to a gate later is held again.
    pub fn release_gate(&self) {
        self.stage.gate.send_modify(|generation| *generation += 1);
    }

    /// Switches that apply to every request from now on, in the grammar of a directive (`"500"`, `"cut=2, no-usage"`); those that a request
    /// brings itself come on top. An empty text restores good behaviour.
    pub fn behave(&self, directive: &str) -> Result<(), UnknownSwitch> {
        let switches = Switches::from_directive(directive)?;
        *self.stage.always.lock().unwrap_or_else(|e| e.into_inner()) = switches;
        Ok(())
    }

    /// Closes the port, breaks off what is under way and waits until no connection is left.
    pub async fn stop(mut self) {
        self.closing.cancel();
        if let Some(server) = self.server.take() {
            let _ = server.await; // it can only fail by a panic that was already printed
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upstream({})", self.address)
    }
}
