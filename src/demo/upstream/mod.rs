//! A simulated AI provider: real HTTP on a loopback port, in the OpenAI and the Anthropic dialect.
//!
//! It answers deterministically from the prompt, streams at a realistic [`Pace`], counts tokens with a real tokenizer and misbehaves on request
//! (see [`switches`]). It keeps a [`Log`] of what it was asked and of what it handed over, so that a test can compare the books
//! of the shop with what was really delivered, and it can hold an answer at a gate until the test lets it go on.
//!
//! It uses nothing of the shop but the clock, and the shop knows nothing of it.

mod answer;
mod anthropic;
mod dialect;
mod log;
mod openai;
mod player;
mod prompt;
mod script;
mod server;
mod stage;
pub mod switches;
mod tokens;
mod tool;
mod words;

#[cfg(test)]
mod tests;

pub use log::{Log, Outcome, Served, WaitedInVain};
pub use switches::{Switches, UnknownSwitch};
pub use tokens::count as count_tokens;

use crate::kernel::Clock;
use stage::Stage;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Model names that a demo shop can put on sale and that behave. Any other name is answered as well, and a name with a
/// switch in it (`demo-429`, `demo-cut-5`) does what the switch says.
pub const MODELS: &[&str] = &["demo-chat", "demo-mini", "demo-thinker-reasoning-24", "claude-demo"];

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
        tokio::task::spawn_blocking(tokens::warm_up); // not awaited: the first request waits for it if it must
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
