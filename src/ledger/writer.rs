//! The one writer of a node: takes holds and settlements from a bounded queue and commits them in groups.
//!
//! While one group commits, the next gathers in the queue: under load a commit serves many requests, on an idle shop one.

use super::LedgerError;
use super::batch::{Batch, Charge, End, Hold, HoldRequest, Journal, Op, Outcome, Settlement};
use super::recovery::{Recovery, lost_request};
use super::store::HoldRow;
use crate::db::Db;
use crate::failpoint;
use crate::kernel::{Id, Kit, Usd};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How many requests may wait for the writer; more wait for a place in the queue.
const QUEUE: usize = 1024;
/// The most requests in one commit: bounds what a failing commit has to repeat.
const GROUP: usize = 256;
/// How long the writer waits between tries when the database is away.
const RETRY: Duration = Duration::from_millis(250);

/// One run of one node: whose holds these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeRun {
    /// The node's slot.
    pub slot: i64,
    /// Which run of the slot.
    pub incarnation: i64,
}

#[derive(Debug)]
struct Job<E> {
    op: Op<E>,
    reply: Option<oneshot::Sender<Outcome>>,
}

/// The relay's way into the ledger: reserve before the upstream is called, charge before the last byte leaves.
pub struct Meter<J: Journal> {
    queue: mpsc::Sender<Job<J::Entry>>,
    closing: CancellationToken,
}

impl<J: Journal> Clone for Meter<J> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), closing: self.closing.clone() }
    }
}

impl<J: Journal> Meter<J> {
    /// Starts the writer. It ends, with everything that was queued committed, after [`Meter::close`].
    pub fn start(db: Db, kit: Kit, node: NodeRun, journal: J) -> (Self, JoinHandle<()>) {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let writer = Writer { db, kit, node, journal: Arc::new(journal), known_meters: HashSet::new(), voids: Vec::new() };
        let closing = CancellationToken::new();
        (Self { queue, closing: closing.clone() }, tokio::spawn(writer.run(jobs, closing)))
    }

    /// Takes nothing more; what is queued is still committed, then the writer ends.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Reserves; when this returns a hold, the reservation is durable.
    ///
    /// # Errors
    /// [`LedgerError::InsufficientBalance`] and [`LedgerError::KeyBudgetExhausted`] when less than the floor is left;
    /// [`LedgerError::Database`] when nothing could be written.
    pub async fn hold(&self, request: HoldRequest) -> Result<Hold, LedgerError> {
        match self.ask(Op::Hold(request)).await? {
            Outcome::Hold(result) => result,
            _ => Err(LedgerError::Stopped),
        }
    }

    /// Ends a hold at `cost` and writes the entry; when this returns, both are durable. While the database is away it waits.
    /// A repeated call changes nothing.
    ///
    /// # Errors
    /// [`LedgerError::UnknownHold`], or [`LedgerError::Stopped`] when the node goes down first (recovery then settles).
    pub async fn settle(&self, hold: Hold, cost: Usd, entry: Option<J::Entry>) -> Result<Charge, LedgerError> {
        match self.ask(Op::Settle(Settlement { hold, cost, end: End::Finished, entry })).await? {
            Outcome::Settled(result) => result,
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
        let _ = self.queue.try_send(Job { op: Op::Checkpoint(hold, cost), reply: None });
    }

    async fn ask(&self, op: Op<J::Entry>) -> Result<Outcome, LedgerError> {
        let (reply, outcome) = oneshot::channel();
        self.queue.send(Job { op, reply: Some(reply) }).await.map_err(|_| LedgerError::Stopped)?;
        failpoint::reach("queued");
        outcome.await.map_err(|_| LedgerError::Stopped)
    }
}

/// Applies batches; also how recovery settles what a dead node left.
pub(super) struct Writer<J: Journal> {
    pub(super) db: Db,
    pub(super) kit: Kit,
    pub(super) node: NodeRun,
    pub(super) journal: Arc<J>,
    pub(super) known_meters: HashSet<Id>,
    /// Holds that may or may not have been written, and that nobody waits for.
    pub(super) voids: Vec<Id>,
}

impl<J: Journal> Writer<J> {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job<J::Entry>>, closing: CancellationToken) {
        let mut group = Vec::with_capacity(GROUP);
        loop {
            let received = tokio::select! {
                biased;
                received = jobs.recv_many(&mut group, GROUP) => received,
                () = closing.cancelled(), if !jobs.is_closed() => {
                    jobs.close();
                    continue;
                }
            };
            if received == 0 {
                return;
            }
            let (ops, replies): (Vec<_>, Vec<_>) = group.drain(..).map(|job| (job.op, job.reply)).unzip();
            self.commit_group(ops, replies).await;
        }
    }

    /// Commits a group; when that fails, each op alone, so that one that cannot succeed does not take the others with it.
    async fn commit_group(&mut self, ops: Vec<Op<J::Entry>>, replies: Vec<Option<oneshot::Sender<Outcome>>>) {
        self.void_leftovers().await;
        match self.apply(&ops).await {
            Ok(outcomes) => self.answer(replies, outcomes),
            Err(error) => {
                tracing::warn!(%error, ops = ops.len(), "a group commit failed; each request is tried alone");
                for (op, reply) in ops.into_iter().zip(replies) {
                    let outcome = self.commit_alone(op).await;
                    self.answer(vec![reply], vec![outcome]);
                }
            }
        }
    }

    async fn commit_alone(&mut self, op: Op<J::Entry>) -> Outcome {
        let ops = [op];
        loop {
            let error = match self.apply(&ops).await {
                Ok(mut outcomes) => return outcomes.pop().unwrap_or(Outcome::Done),
                Err(error) => error,
            };
            match &ops[0] {
                Op::Hold(request) => {
                    self.voids.push(request.id);
                    return Outcome::Hold(Err(error));
                }
                Op::Settle(settlement) if is_passing(&error) => {
                    tracing::error!(%error, request = %settlement.hold.id, "a charge waits for the database");
                    tokio::time::sleep(RETRY).await;
                }
                Op::Settle(_) => return Outcome::Settled(Err(error)),
                Op::Void(_) | Op::Note(_) | Op::Checkpoint(..) => {
                    tracing::error!(%error, "a ledger record could not be written");
                    return Outcome::Done;
                }
            }
        }
    }

    async fn void_leftovers(&mut self) {
        if self.voids.is_empty() {
            return;
        }
        let ops: Vec<Op<J::Entry>> = self.voids.iter().map(|id| Op::Void(*id)).collect();
        match self.apply(&ops).await {
            Ok(_) => self.voids.clear(),
            Err(error) => tracing::warn!(%error, holds = self.voids.len(), "holds that nobody waits for could not be released yet"),
        }
    }

    pub(super) async fn apply(&mut self, ops: &[Op<J::Entry>]) -> Result<Vec<Outcome>, LedgerError> {
        let mut tx = self.db.write().await?;
        let batch = Batch::new(&self.kit, self.node, &*self.journal, &self.known_meters);
        let outcomes = batch.apply(&mut tx, ops).await?;
        tx.commit().await?;
        for (op, outcome) in ops.iter().zip(&outcomes) {
            match (op, outcome) {
                (Op::Hold(_), Outcome::Hold(Ok(hold))) => drop(self.known_meters.insert(hold.key)),
                (Op::Settle(settlement), Outcome::Settled(Ok(charge))) if charge.absorbed > Usd::ZERO => {
                    tracing::error!(request = %settlement.hold.id, user = %settlement.hold.user, absorbed = %charge.absorbed, "a request cost more than its customer could be charged");
                }
                _ => {}
            }
        }
        Ok(outcomes)
    }

    /// Answers those who wait. A hold whose caller has gone is released again.
    fn answer(&mut self, replies: Vec<Option<oneshot::Sender<Outcome>>>, outcomes: Vec<Outcome>) {
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            let unheard = match reply {
                Some(reply) => reply.send(outcome).err(),
                None => None,
            };
            if let Some(Outcome::Hold(Ok(hold))) = unheard {
                self.voids.push(hold.id);
            }
        }
    }

    /// Settles holds that a dead node left open, each at what it had certainly cost.
    pub(super) async fn recover(&mut self, rows: Vec<HoldRow>) -> Result<Recovery, LedgerError> {
        let now = self.kit.clock.now_ms();
        let settle = |row: HoldRow| {
            let entry = self.journal.recovered(&lost_request(&row, now));
            let hold = Hold { id: row.id, user: row.user, key: row.key, amount: row.amount, legs: row.legs, short_of_budget: false };
            Op::Settle(Settlement { hold, cost: row.checkpoint, end: End::Recovered, entry: Some(entry) })
        };
        let ops: Vec<Op<J::Entry>> = rows.into_iter().map(settle).collect();
        let mut recovery = Recovery::default();
        for outcome in self.apply(&ops).await? {
            if let Outcome::Settled(Ok(charge)) = outcome {
                recovery.holds += 1;
                recovery.charged += charge.charged;
            }
        }
        Ok(recovery)
    }
}

/// Whether trying again can help: the database was away, busy, or broke off a deadlock.
fn is_passing(error: &LedgerError) -> bool {
    match error {
        LedgerError::Database(sqlx::Error::Database(error)) => {
            error.code().is_none_or(|code| !code.starts_with("23") && code != "1555" && code != "2067" && code != "275")
        }
        LedgerError::Database(_) => true,
        _ => false,
    }
}
