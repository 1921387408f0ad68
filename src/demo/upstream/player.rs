//! Plays a script: as a future before the status line, as a body behind it.

use super::log::{Outcome, Ticket};
use super::script::Act;
use super::server::Line;
use axum::body::{Body, Bytes};
use futures_util::stream::unfold;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::watch;

/// Between two rounds of an endless answer, so that it cannot occupy a core.
const ENDLESS_PAUSE: Duration = Duration::from_millis(1);

/// The upstream breaks the connection.
#[derive(Debug, thiserror::Error)]
#[error("broken off on purpose")]
pub(super) struct Broken;

/// One answer under way. When the server drops it, the caller has gone away, and its ticket notes that.
pub(super) struct Player {
    pub acts: VecDeque<Act>,
    pub ticket: Ticket,
    pub gate: watch::Sender<u64>,
    pub line: Line,
}

impl Player {
    /// Waits through steps that send nothing.
    pub async fn wait(&self, acts: &[Act]) {
        for act in acts {
            match act {
                Act::Pause(duration) => pause(*duration).await,
                Act::Hold => self.hold().await,
                Act::Stall => self.stall().await,
                Act::Send(_) | Act::Break | Act::Reset | Act::Repeat(_) => {}
            }
        }
    }

    /// The rest of the script as the body of a response.
    pub fn into_body(self) -> Body {
        Body::from_stream(unfold(self, |mut player| async move { player.next().await.map(|item| (item, player)) }))
    }

    async fn next(&mut self) -> Option<Result<Bytes, Broken>> {
        loop {
            let Some(act) = self.acts.pop_front() else {
                self.ticket.end(Outcome::Completed);
                return None;
            };
            match act {
                Act::Send(frame) => {
                    self.ticket.sent(&frame);
                    if self.acts.is_empty() {
                        self.ticket.end(Outcome::Completed); // a server that knows the length does not ask again
                    }
                    return Some(Ok(frame.bytes));
                }
                Act::Repeat(frame) => {
                    pause(ENDLESS_PAUSE).await;
                    self.ticket.sent(&frame);
                    self.acts.push_front(Act::Repeat(frame.clone()));
                    return Some(Ok(frame.bytes));
                }
                Act::Break | Act::Reset => {
                    pause(Duration::ZERO).await; // what was sent before leaves first
                    if matches!(act, Act::Reset) {
                        self.line.reset();
                    }
                    self.ticket.end(Outcome::Cut);
                    self.acts.clear();
                    return Some(Err(Broken));
                }
                wait => self.wait(&[wait]).await,
            }
        }
    }

    async fn hold(&self) {
        let mut gate = self.gate.subscribe(); // before the log says so: a release that follows must not be missed
        self.ticket.stands(Outcome::Held);
        let _ = gate.changed().await; // cannot fail: `self` owns a sender
        self.ticket.stands(Outcome::Answering);
    }

    async fn stall(&self) {
        self.ticket.stands(Outcome::Silent);
        std::future::pending::<()>().await;
    }
}

/// Also with no time to wait the server gets its turn, so that every chunk leaves by itself.
async fn pause(duration: Duration) {
    if duration.is_zero() { tokio::task::yield_now().await } else { tokio::time::sleep(duration).await }
}
