//! Jobs: one runner at a time, another when it stops or dies, and no end by failing.

use crate::harness::{TestDb, kit};
use farebox::jobs::{Jobs, LEASE_MS};
use farebox::kernel::Kit;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a job has run, and who waits for that.
#[derive(Clone)]
struct Runs(watch::Sender<usize>);

impl Runs {
    fn none() -> Self {
        Self(watch::Sender::new(0))
    }

    /// Counts one more and returns how many there were.
    fn add(&self) -> usize {
        let mut before = 0;
        self.0.send_modify(|n| {
            before = *n;
            *n += 1;
        });
        before
    }

    fn count(&self) -> usize {
        *self.0.borrow()
    }

    async fn more_than(&self, n: usize) {
        let mut runs = self.0.subscribe();
        tokio::time::timeout(PATIENCE, runs.wait_for(|runs| *runs > n)).await.expect("the job runs").expect("the count lives");
    }
}

struct Node {
    jobs: Jobs,
    stop: CancellationToken,
    runs: Runs,
}

impl Node {
    fn start(test: &TestDb, kit: &Kit) -> Self {
        let (stop, runs) = (CancellationToken::new(), Runs::none());
        let jobs = Jobs::new(test.db.clone(), kit.clone(), stop.clone());
        let counted = runs.clone();
        jobs.every("count", SOON, move || {
            counted.add();
            async { Ok(()) }
        });
        Self { jobs, stop, runs }
    }

    async fn stop(&self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.jobs.ended()).await.expect("the jobs end");
    }
}

#[tokio::test]
async fn one_node_runs_a_job_and_another_takes_over_when_it_stops() {
    let (test, kit) = (TestDb::new().await, kit());
    let first = Node::start(&test, &kit);
    first.runs.more_than(3).await;
    let second = Node::start(&test, &kit);
    first.runs.more_than(first.runs.count() + 10).await;
    assert_eq!(second.runs.count(), 0);
    first.stop().await;
    let ran = first.runs.count();
    second.runs.more_than(3).await;
    assert_eq!(first.runs.count(), ran);
    second.stop().await;
}

#[tokio::test]
async fn the_job_of_a_dead_node_runs_elsewhere_when_its_lease_ends() {
    let (test, kit) = (TestDb::new().await, kit());
    let mut tx = test.db.write().await.unwrap();
    let dead = sqlx::query("INSERT INTO job_lease (name, holder, expires_at) VALUES ('count', 1, $1)").bind(kit.clock.now_ms() + LEASE_MS);
    dead.execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let node = Node::start(&test, &kit);
    let other = Runs::none();
    let counted = other.clone();
    node.jobs.every("other", SOON, move || {
        counted.add();
        async { Ok(()) }
    });
    other.more_than(10).await;
    assert_eq!(node.runs.count(), 0, "the lease has not ended");
    kit.clock.advance(LEASE_MS);
    node.runs.more_than(0).await;
    node.stop().await;
}

#[tokio::test]
async fn a_job_that_fails_or_panics_runs_again() {
    let (test, kit) = (TestDb::new().await, kit());
    let node = Node::start(&test, &kit);
    let runs = Runs::none();
    let counted = runs.clone();
    node.jobs.every("bad", SOON, move || {
        let n = counted.add();
        async move {
            assert!(n.is_multiple_of(2), "on purpose");
            anyhow::bail!("on purpose")
        }
    });
    runs.more_than(5).await;
    node.runs.more_than(5).await;
    node.stop().await;
}

#[tokio::test]
async fn a_stop_lets_a_running_job_come_to_its_end() {
    let (test, kit) = (TestDb::new().await, kit());
    let node = Node::start(&test, &kit);
    let (begun, done) = (Runs::none(), Runs::none());
    let gate = CancellationToken::new();
    let (b, d, g) = (begun.clone(), done.clone(), gate.clone());
    node.jobs.every("slow", SOON, move || {
        let (b, d, g) = (b.clone(), d.clone(), g.clone());
        async move {
            b.add();
            g.cancelled().await;
            d.add();
            Ok(())
        }
    });
    begun.more_than(0).await;
    node.stop.cancel();
    let mut ended = std::pin::pin!(node.jobs.ended());
    assert!(futures_util::poll!(&mut ended).is_pending());
    gate.cancel();
    tokio::time::timeout(PATIENCE, ended).await.expect("the jobs end");
    assert_eq!((begun.count(), done.count()), (1, 1));
}

#[tokio::test]
async fn two_nodes_never_run_a_job_at_the_same_time() {
    let (test, kit) = (TestDb::new().await, kit());
    let (inside, runs) = (Arc::new(AtomicUsize::new(0)), Runs::none());
    let start = || {
        let node = Node::start(&test, &kit);
        let (runs, inside) = (runs.clone(), inside.clone());
        node.jobs.every("alone", Duration::from_millis(1), move || {
            let (runs, inside) = (runs.clone(), inside.clone());
            async move {
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "somebody else is inside");
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
                runs.add();
                Ok(())
            }
        });
        node
    };
    for node in [start(), start(), start(), start()] {
        runs.more_than(runs.count() + 20).await;
        node.stop().await;
    }
    assert_eq!(inside.load(Ordering::SeqCst), 0, "a panic would have left it at one");
}
