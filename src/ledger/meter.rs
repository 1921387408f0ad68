//! The relay's way into the ledger, and how a caller waits for the writer.

use super::request::{Charge, End, Hold, HoldRequest, Journal, Op, Outcome, Settlement};
use super::writer::{NodeRun, Writer};
use super::{LedgerError, Watch};
use crate::db::Db;
use crate::failpoint;
use crate::kernel::{Id, Kit, Usd, money};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How many requests may wait for the writer; more wait for a place in the queue.
const QUEUE: usize = 1024;

/// An op on its way to the writer.
#[derive(Debug)]
pub(super) struct Job<E> {
    pub(super) op: Op<E>,
    pub(super) reply: Option<oneshot::Sender<Outcome>>,
}

impl<E> Job<E> {
    /// A hold whose caller went while it queued.
    pub(super) fn is_moot(&self) -> bool {
        matches!(self.op, Op::Hold(_)) && self.reply.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}

/// A caller that waits for the writer. One that goes after its hold was made, and before it heard of it, releases the hold.
struct Waiting<'a, E: Send + 'static> {
    outcome: oneshot::Receiver<Outcome>,
    queue: &'a mpsc::Sender<Job<E>>,
}

impl<E: Send + 'static> Drop for Waiting<'_, E> {
    fn drop(&mut self) {
        self.outcome.close();
        let Ok(Outcome::Hold(Ok(hold))) = self.outcome.try_recv() else { return };
        let void = Job { op: Op::Void(hold.id), reply: None };
        if let Err(TrySendError::Full(void)) = self.queue.try_send(void)
            && let Ok(runtime) = Handle::try_current()
        {
            let queue = self.queue.clone();
            runtime.spawn(async move { queue.send(void).await });
        }
    }
}

/// The relay's way into the ledger: reserve before the upstream is called, charge before the last byte leaves.
pub struct Meter<J: Journal> {
    queue: mpsc::Sender<Job<J::Entry>>,
    closing: CancellationToken,
    remembered: Arc<AtomicU64>,
    watch: Watch,
}

impl<J: Journal> Clone for Meter<J> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), closing: self.closing.clone(), remembered: Arc::clone(&self.remembered), watch: self.watch.clone() }
    }
}

impl<J: Journal> Meter<J> {
    /// Starts the writer. It ends, with everything that was queued committed, after [`Meter::close`].
    pub fn start(db: Db, kit: Kit, node: NodeRun, journal: J) -> (Self, JoinHandle<()>) {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let closing = CancellationToken::new();
        let watch = Watch::default();
        let writer = Writer::new(db, kit, node, journal, watch.clone());
        let remembered = writer.remembered();
        let writer = tokio::spawn(writer.run(jobs, closing.clone()));
        (Self { queue, closing, remembered, watch }, writer)
    }

    /// Sees every balance that the writer changes.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// How many groups were committed without reading anything, because the writer remembered it: most, on SQLite.
    pub fn remembered(&self) -> u64 {
        self.remembered.load(Ordering::Relaxed)
    }

    /// Takes nothing more; what is queued is still committed, then the writer ends.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Reserves; when this returns a hold, the reservation is durable.
    ///
    /// # Errors
    /// [`LedgerError::InsufficientBalance`], or that of the tightest budget, when less than the floor is left;
    /// [`LedgerError::Database`] when nothing could be written.
    pub async fn hold(&self, mut request: HoldRequest) -> Result<Hold, LedgerError> {
        request.checkpoint = possible(request.checkpoint, request.id);
        match self.ask(Op::Hold(request)).await? {
            Outcome::Hold(result) => result,
            _ => Err(LedgerError::Stopped),
        }
    }

    /// Ends a hold at `cost` and writes the entry; when this returns, both are durable. While the database is away it waits.
    /// A repeated call changes nothing. A cost that cannot be is charged as the nearest that can, with an alarm.
    ///
    /// # Errors
    /// [`LedgerError::UnknownHold`], or [`LedgerError::Stopped`] when the node goes down first (recovery then settles).
    pub async fn settle(&self, hold: Hold, cost: Usd, entry: Option<J::Entry>) -> Result<Charge, LedgerError> {
        let cost = possible(cost, hold.id);
        match self.ask(Op::Settle(Settlement { hold, cost, end: End::Finished, entry })).await? {
            Outcome::Settled(result) => result.map(|settled| settled.charge),
            _ => Err(LedgerError::Stopped),
        }
    }

    /// Writes down a request that held nothing.
    ///
    /// # Errors
    /// [`LedgerError::Stopped`].
    pub async fn note(&self, entry: J::Entry) -> Result<(), LedgerError> {
        self.ask(Op::Note(entry)).await.map(drop)
    }

    /// Remembers what a running request has cost so far, for the case that the node dies. Skipped when the queue is full: the
    /// next one says more.
    pub fn checkpoint(&self, hold: Id, cost: Usd) {
        let _ = self.queue.try_send(Job { op: Op::Checkpoint(hold, possible(cost, hold)), reply: None });
    }

    async fn ask(&self, op: Op<J::Entry>) -> Result<Outcome, LedgerError> {
        let (reply, outcome) = oneshot::channel();
        self.queue.send(Job { op, reply: Some(reply) }).await.map_err(|_| LedgerError::Stopped)?;
        failpoint::reach("queued");
        let mut waiting = Waiting { outcome, queue: &self.queue };
        (&mut waiting.outcome).await.map_err(|_| LedgerError::Stopped)
    }
}

/// The cost of one request as the books take it: not negative, and not more than any amount that a person may type.
fn possible(cost: Usd, request: Id) -> Usd {
    let possible = cost.clamp(Usd::ZERO, money::MAX_TYPED);
    if possible != cost {
        tracing::error!(%request, nanos = cost.0, "a request cannot have cost this");
    }
    possible
}
