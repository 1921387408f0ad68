//! Periodic work: each job runs on one node of the cluster at a time.
//!
//! Who runs a job holds its lease, a row that must be renewed; when its node dies, another takes over as soon as the lease ends. A job that
//! fails or panics is logged and runs again at its next turn. When the process stops, a job that is running comes to its end and the lease
//! is given back. Jobs decide what is due by the injected clock, and do their work in portions, so that a stop need not wait long.
//!
//! Called by `app`, which says which jobs there are.

mod lease;
pub mod store;

use crate::db::Db;
use crate::kernel::Kit;
use lease::Lease;
use std::future::Future;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use lease::LEASE_MS;

/// How often a lease is renewed while its job runs.
const RENEW_EVERY: Duration = Duration::from_millis(LEASE_MS as u64 / 3);

/// The jobs of this process.
#[derive(Clone, Debug)]
pub struct Jobs {
    db: Db,
    kit: Kit,
    /// This run of this process.
    holder: i64,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Jobs {
    /// No jobs yet; those that are added run until `stop` is cancelled.
    pub fn new(db: Db, kit: Kit, stop: CancellationToken) -> Self {
        let holder = kit.ids.next().0;
        Self { db, kit, holder, stop, tasks: TaskTracker::new() }
    }

    /// Runs `job` every `period`, the first time at once, as long as this process holds the lease of `name`.
    pub fn every<F, Work>(&self, name: &'static str, period: Duration, job: F)
    where
        F: Fn() -> Work + Send + 'static,
        Work: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let lease = Lease::new(self.db.clone(), self.kit.clock.clone(), name, self.holder);
        self.tasks.spawn(run(lease, period, self.stop.clone(), job));
    }

    /// Waits until every job has come to its end. That is soon after `stop` was cancelled.
    pub async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn run<F, Work>(mut lease: Lease, period: Duration, stop: CancellationToken, job: F)
where
    F: Fn() -> Work + Send + 'static,
    Work: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut turns = tokio::time::interval(period);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = turns.tick() => {}
        }
        if lease.hold().await {
            // In a task of its own: a panic ends that task and not the job.
            attend(&mut lease, tokio::spawn(job())).await;
        }
    }
    lease.give_back().await;
}

/// Waits for a running job and keeps its lease. Should the lease be lost, the job is ended: another node runs it.
async fn attend(lease: &mut Lease, mut work: JoinHandle<anyhow::Result<()>>) {
    let mut renewals = tokio::time::interval_at(tokio::time::Instant::now() + RENEW_EVERY, RENEW_EVERY);
    loop {
        tokio::select! {
            done = &mut work => return report(lease.name(), done),
            _ = renewals.tick() => {}
        }
        if !lease.renew().await {
            tracing::warn!(job = lease.name(), "the lease was lost; the job is ended here");
            work.abort();
            return;
        }
    }
}

fn report(job: &str, done: Result<anyhow::Result<()>, tokio::task::JoinError>) {
    match done {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(job, error = format!("{error:#}"), "a job failed and will run again"),
        Err(error) => tracing::error!(job, %error, "a job panicked and will run again"),
    }
}
