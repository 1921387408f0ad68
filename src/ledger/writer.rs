//! The one writer of a node: takes holds and settlements from a bounded queue and commits them in groups.
//!
//! While one group commits, the next gathers in the queue: under load a commit serves many requests, on an idle shop one.

use super::batch::{Batch, Refused};
use super::memory::Memory;
use super::meter::Job;
use super::recovery::{Recovery, lost_request};
use super::request::{End, Hold, Journal, Op, Outcome, Settled, Settlement};
use super::store::HoldRow;
use super::{LedgerError, Watch};
use crate::db::Db;
use crate::kernel::{Id, Kit, Usd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// The most requests in one commit: bounds what a failing commit has to repeat.
const GROUP: usize = 256;
/// How many turns the writer gives to everything else before it commits, at most, and how many when nothing comes of them.
const TURNS: usize = 32;
const IDLE_TURNS: usize = 2;
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

/// Applies batches; also how recovery settles what a dead node left.
pub(super) struct Writer<J: Journal> {
    db: Db,
    kit: Kit,
    node: NodeRun,
    journal: J,
    /// Holds that may or may not have been written, and that nobody waits for.
    voids: Vec<Id>,
    memory: Memory,
    /// How many groups were written without reading anything.
    remembered: Arc<AtomicU64>,
}

impl<J: Journal> Writer<J> {
    pub(super) fn new(db: Db, kit: Kit, node: NodeRun, journal: J, watch: Watch) -> Self {
        Self { db, kit, node, journal, voids: Vec::new(), memory: Memory::new(watch), remembered: Arc::default() }
    }

    /// Counts the groups that are written without reading anything.
    pub(super) fn remembered(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.remembered)
    }

    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job<J::Entry>>, closing: CancellationToken) {
        let mut group = Vec::with_capacity(GROUP);
        while self.next_group(&mut jobs, &mut group, &closing).await {
            group.retain(|job| !job.is_moot());
            if !group.is_empty() {
                let (ops, replies) = group.drain(..).map(|job| (job.op, job.reply)).unzip();
                self.commit_group(ops, replies).await;
            }
            self.void_leftovers().await;
        }
    }

    /// Waits for jobs; says no when there will be no more. While holds are to be released it wakes without jobs, to try again.
    async fn next_group(&self, jobs: &mut mpsc::Receiver<Job<J::Entry>>, group: &mut Vec<Job<J::Entry>>, closing: &CancellationToken) -> bool {
        loop {
            let retry = tokio::time::sleep(RETRY);
            tokio::select! {
                biased;
                received = jobs.recv_many(group, GROUP) => {
                    gather(jobs, group).await;
                    return received > 0;
                }
                () = closing.cancelled(), if !jobs.is_closed() => jobs.close(),
                () = retry, if !self.voids.is_empty() => return true,
            }
        }
    }

    /// Commits a group; when that fails, each op alone, so that one that cannot succeed does not take the others with it.
    async fn commit_group(&mut self, ops: Vec<Op<J::Entry>>, replies: Vec<Option<oneshot::Sender<Outcome>>>) {
        let error = match self.apply(&ops).await {
            Ok(outcomes) => return self.answer(replies, outcomes),
            Err(error) => error,
        };
        tracing::warn!(%error, ops = ops.len(), "a group commit failed; each request is tried alone");
        // When the answer to the commit was lost, the group may stand in the database all the same.
        let in_doubt = is_passing(&error);
        let mut jobs: Vec<_> = ops.into_iter().zip(replies).collect();
        // What settlements release is there for the holds; but nobody who asks for a hold waits for a database that is away.
        jobs.sort_by_key(|(op, _)| matches!(op, Op::Hold(_)) != in_doubt);
        let mut away = false;
        for (op, reply) in jobs {
            let outcome = self.commit_alone(op, in_doubt, &mut away).await;
            self.answer(vec![reply], vec![outcome]);
        }
    }

    /// Commits one op of a group that failed. `away` is what the ops before it have seen of the database.
    async fn commit_alone(&mut self, op: Op<J::Entry>, in_doubt: bool, away: &mut bool) -> Outcome {
        let mut ops = [op];
        loop {
            if *away && let Op::Hold(request) = &ops[0] {
                self.voids.push(request.id);
                return Outcome::Hold(Err(LedgerError::Database(sqlx::Error::PoolTimedOut)));
            }
            let error = match self.apply(&ops).await {
                Ok(mut outcomes) => {
                    *away = false;
                    return outcomes.pop().unwrap_or(Outcome::Done);
                }
                Err(error) => error,
            };
            *away = is_passing(&error);
            match &mut ops[0] {
                Op::Hold(request) => {
                    // It may have been written all the same. A duplicate of somebody's hold was not, and must not release that.
                    if in_doubt || *away {
                        self.voids.push(request.id);
                    }
                    return Outcome::Hold(Err(error));
                }
                Op::Settle(settlement) if *away => {
                    tracing::error!(%error, request = %settlement.hold.id, "a charge waits for the database");
                    tokio::time::sleep(RETRY).await;
                }
                // The charge matters more than what is written about it.
                Op::Settle(settlement) if settlement.entry.is_some() => {
                    settlement.entry = None;
                    tracing::error!(%error, request = %settlement.hold.id, "a charge is tried again without its entry");
                }
                Op::Settle(_) => return Outcome::Settled(Err(error)),
                Op::Void(id) if *away => {
                    self.voids.push(*id);
                    return Outcome::Done;
                }
                Op::Void(_) | Op::Note(_) | Op::Checkpoint(..) => {
                    tracing::error!(%error, "a ledger record could not be written");
                    return Outcome::Done;
                }
            }
        }
    }

    /// Releases holds that nobody waits for. What fails because the database is away is tried again.
    async fn void_leftovers(&mut self) {
        let ops: Vec<Op<J::Entry>> = self.voids.drain(..).map(Op::Void).collect();
        if ops.is_empty() || self.apply(&ops).await.is_ok() {
            return;
        }
        for op in &ops {
            let Op::Void(id) = op else { continue };
            match self.apply(std::slice::from_ref(op)).await {
                Ok(_) => {}
                Err(error) if is_passing(&error) => {
                    tracing::warn!(%error, holds = ops.len(), "holds that nobody waits for could not be released yet");
                    self.voids.extend(ops.iter().filter_map(|op| if let Op::Void(id) = op { Some(*id) } else { None }));
                    return;
                }
                Err(error) => tracing::error!(%error, hold = %id, "a hold that nobody waits for cannot be released"),
            }
        }
    }

    pub(super) async fn apply(&mut self, ops: &[Op<J::Entry>]) -> Result<Vec<Outcome>, LedgerError> {
        let outcomes = match self.apply_remembered(ops).await? {
            Some(outcomes) => outcomes,
            None => self.apply_reading(ops).await?,
        };
        for (op, outcome) in ops.iter().zip(&outcomes) {
            if let (Op::Settle(settlement), Outcome::Settled(Ok(Settled { charge, fresh: true }))) = (op, outcome)
                && charge.absorbed > Usd::ZERO
            {
                tracing::error!(request = %settlement.hold.id, user = %settlement.hold.user, absorbed = %charge.absorbed, "a request cost more than its customer could be charged");
            }
        }
        Ok(outcomes)
    }

    /// Applies the ops to what is remembered. `None` when that does not do, for whatever reason: then it is forgotten, and the database decides.
    async fn apply_remembered(&mut self, ops: &[Op<J::Entry>]) -> Result<Option<Vec<Outcome>>, LedgerError> {
        let result = Batch::new(&self.kit, self.node, &self.journal).commit_remembered(&self.db, ops, &mut self.memory).await;
        match result {
            Ok(Some(outcomes)) => {
                self.remembered.fetch_add(1, Ordering::Relaxed);
                return Ok(Some(outcomes));
            }
            Ok(None) => {}
            Err(refused) => {
                self.memory.forget();
                // It may stand in the database: whoever called tries each op alone, as after any commit whose answer was lost.
                if let Refused::Failed(error) = refused
                    && is_passing(&error)
                {
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    async fn apply_reading(&mut self, ops: &[Op<J::Entry>]) -> Result<Vec<Outcome>, LedgerError> {
        let mut result = Batch::new(&self.kit, self.node, &self.journal).commit(&self.db, ops, false, &mut self.memory).await;
        if let Err(Refused::NotOpen) = result {
            result = Batch::new(&self.kit, self.node, &self.journal).commit(&self.db, ops, true, &mut self.memory).await;
        }
        result.map_err(|refused| {
            self.memory.forget();
            match refused {
                Refused::Failed(error) => error,
                Refused::NotOpen => LedgerError::Corrupt("a hold is neither open nor ended".to_owned()),
            }
        })
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
            let hold = Hold { id: row.id, user: row.user, key: row.key, amount: row.amount, legs: row.legs, scope: None, short_of_budget: None };
            Op::Settle(Settlement { hold, cost: row.checkpoint, end: End::Recovered, entry: Some(entry) })
        };
        let ops: Vec<Op<J::Entry>> = rows.into_iter().map(settle).collect();
        let mut recovery = Recovery::default();
        for outcome in self.apply_each(&ops).await? {
            if let Outcome::Settled(Ok(Settled { charge, fresh: true })) = outcome {
                recovery.holds += 1;
                recovery.charged += charge.charged;
            }
        }
        Ok(recovery)
    }

    /// Applies all at once or, when one of them cannot be applied, all others.
    async fn apply_each(&mut self, ops: &[Op<J::Entry>]) -> Result<Vec<Outcome>, LedgerError> {
        match self.apply(ops).await {
            Err(error) if !is_passing(&error) => {}
            done_or_away => return done_or_away,
        }
        let mut outcomes = Vec::with_capacity(ops.len());
        for op in ops {
            match self.apply(std::slice::from_ref(op)).await {
                Ok(outcome) => outcomes.extend(outcome),
                Err(error) if is_passing(&error) => return Err(error),
                Err(error) => tracing::error!(%error, hold = ?op.hold_id(), "a hold cannot be recovered: somebody must look"),
            }
        }
        Ok(outcomes)
    }
}

/// Lets everything else run that can, as long as more jobs come of it: those whom the last commit has woken, and those whose bytes have just
/// come, join this group. A processor that has nothing else to do goes on at once.
async fn gather<E>(jobs: &mut mpsc::Receiver<Job<E>>, group: &mut Vec<Job<E>>) {
    let mut idle = 0;
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
        let before = group.len();
        while group.len() < GROUP
            && let Ok(job) = jobs.try_recv()
        {
            group.push(job);
        }
        idle = if group.len() == before { idle + 1 } else { 0 };
        if idle == IDLE_TURNS || group.len() == GROUP {
            return;
        }
    }
}

/// Whether trying again can help: the database was away, busy or full, or broke off a deadlock.
fn is_passing(error: &LedgerError) -> bool {
    use sqlx::Error::{Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
    match error {
        LedgerError::Database(sqlx::Error::Database(error)) => error.code().is_none_or(|code| is_passing_code(&code)),
        LedgerError::Database(error) => matches!(error, Io(_) | PoolClosed | PoolTimedOut | Protocol(_) | Tls(_) | WorkerCrashed),
        _ => false,
    }
}

/// PostgreSQL's codes have five letters, of which two name the class; SQLite's are numbers, whose low byte does.
fn is_passing_code(code: &str) -> bool {
    const BUSY_LOCKED_NOMEM_READONLY_INTERRUPT_IOERR_FULL_CANTOPEN_PROTOCOL: [u32; 9] = [5, 6, 7, 8, 9, 10, 13, 14, 15];
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => BUSY_LOCKED_NOMEM_READONLY_INTERRUPT_IOERR_FULL_CANTOPEN_PROTOCOL.contains(&(number & 0xff)),
        _ => ["08", "25", "40", "53", "55", "57", "58"].iter().any(|class| code.starts_with(class)),
    }
}
