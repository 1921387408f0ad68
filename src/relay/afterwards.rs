//! What goes on when a client has gone. An upstream that was asked charges the shop for all that it makes, and says how much that was in the end: a whole answer is waited
//! for, and a stream is read on for a while (`stream/left.rs`). What is not told by then is counted. See `docs/decisions/0004-who-leaves-early.md`.

use super::Relay;
use super::charge::Call;
use super::count;
use crate::limits::Permit;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How many upstreams are waited for at once on behalf of nobody: beyond it they are hung up on, and what they made is counted.
const MOST: usize = 1_024;

/// The upstreams that are waited for.
pub(super) struct Afterwards {
    room: Arc<Semaphore>,
    closing: CancellationToken,
}

impl Default for Afterwards {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(MOST)), closing: CancellationToken::new() }
    }
}

impl Afterwards {
    /// Room to wait for one more; none when there is none, or the node goes down.
    pub(super) fn begin(&self) -> Option<Afterward> {
        let room = Arc::clone(&self.room).try_acquire_owned().ok().filter(|_| !self.closing.is_cancelled())?;
        Some(Afterward { _room: room, closing: self.closing.clone() })
    }

    /// Nobody is waited for any longer.
    pub(super) fn close(&self) {
        self.closing.cancel();
    }
}

/// Room to wait for an upstream.
pub(super) struct Afterward {
    _room: OwnedSemaphorePermit,
    closing: CancellationToken,
}

impl Afterward {
    /// Waits for it, so long at most.
    pub(super) async fn wait(&self, patience: Duration, work: impl Future<Output = ()>) {
        tokio::select! {
            () = self.closing.cancelled() => {}
            _ = timeout(patience, work) => {}
        }
    }
}

/// Work that goes on when whoever waits for it leaves, until the request's own time is up.
pub(super) struct Lasting<T: Send + 'static> {
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    relay: Relay,
    call: Arc<Call>,
    permit: Permit,
}

impl<T: Send + 'static> Lasting<T> {
    /// Of a request with this leave to run, whose place is free again when its client has gone.
    pub(super) fn new(relay: &Relay, call: &Arc<Call>, permit: Permit, work: impl Future<Output = T> + Send + 'static) -> Self {
        Self { work: Some(Box::pin(work)), relay: relay.clone(), call: Arc::clone(call), permit }
    }
}

impl<T: Send + 'static> Future for Lasting<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let done = ready!(work.as_mut().poll(cx));
        self.work = None;
        Poll::Ready(done)
    }
}

impl<T: Send + 'static> Drop for Lasting<T> {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        self.call.has_left.store(true, Ordering::Relaxed);
        self.permit.finish(count::estimate(self.call.size.bytes));
        // Otherwise it is dropped here, and charged as it stands.
        if let Some(afterward) = self.relay.afterwards.begin() {
            let patience = self.relay.config.total_timeout;
            self.relay.tasks.spawn(async move { afterward.wait(patience, async { drop(work.await) }).await });
        }
    }
}
