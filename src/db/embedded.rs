//! SQLite's one writing connection: whose turn it is, and the transactions that scripts begin and end.
//!
//! It is no pool of one: a pool would go to SQLite's thread after every turn, to ask whether the connection still works.

use super::connect::{ACQUIRE_TIMEOUT, Durability, WRITER_PRAGMAS, prepare};
use super::procedure::{nobody_else_wrote, version};
use super::script::{Around, Scripts};
use super::{Answer, Conn, Part};
use futures_util::FutureExt;
use sqlx::any::AnyConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Somebody's turn at SQLite's one writing connection. What was known of the database then is true as long as [`Db::is_last`](super::Db::is_last) says that nobody
/// had one since, and [`Db::write_since`](super::Db::write_since) that no other process has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    number: u64,
    /// What the connection counts when others write.
    version: i64,
}

impl Turn {
    /// Whether nobody wrote between that turn and this one.
    pub fn follows(&self, before: &Turn) -> bool {
        (self.number, self.version) == (before.number + 1, before.version)
    }
}

/// The connection, and what is known of it.
pub(super) struct Embedded {
    options: AnyConnectOptions,
    durability: Durability,
    /// Empty before the first turn, and after one that could not be ended.
    slot: Arc<Mutex<Option<Conn>>>,
    closed: AtomicBool,
    scripts: Scripts,
    /// How many turns there were.
    turns: AtomicU64,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("turns", &self.turns).finish_non_exhaustive()
    }
}

/// The connection in somebody's hands.
pub(super) struct Held {
    slot: OwnedMutexGuard<Option<Conn>>,
    turn: u64,
}

impl Held {
    /// The connection goes, and with it what it was in the middle of.
    fn give_up(&mut self) {
        *self.slot = None;
    }
}

impl Deref for Held {
    type Target = Conn;
    fn deref(&self) -> &Conn {
        self.slot.as_ref().expect("whoever holds the connection gives it up last")
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut Conn {
        self.slot.as_mut().expect("whoever holds the connection gives it up last")
    }
}

impl Embedded {
    /// Connects.
    pub(super) async fn connect(options: AnyConnectOptions, durability: Durability) -> Result<Self, sqlx::Error> {
        let embedded =
            Self { options, durability, slot: Arc::default(), closed: AtomicBool::new(false), scripts: Scripts::default(), turns: AtomicU64::new(0) };
        embedded.take().await?;
        Ok(embedded)
    }

    /// Waits for the connection.
    pub(super) async fn take(&self) -> Result<Held, sqlx::Error> {
        let slot = tokio::time::timeout(ACQUIRE_TIMEOUT, Arc::clone(&self.slot).lock_owned()).await;
        let mut slot = slot.map_err(|_| sqlx::Error::PoolTimedOut)?;
        if self.closed.load(Ordering::SeqCst) {
            return Err(sqlx::Error::PoolClosed);
        }
        if slot.is_none() {
            let mut conn = self.options.connect().await?;
            prepare(&mut conn, self.durability, WRITER_PRAGMAS).await?;
            self.scripts.forget_made();
            // What is remembered counts what others write as another connection does.
            self.turns.fetch_add(1, Ordering::SeqCst);
            *slot = Some(conn);
        }
        let turn = self.turns.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(Held { slot, turn })
    }

    /// Begins a transaction to write in.
    pub(super) async fn begin(self: &Arc<Self>) -> Result<ScriptTx, sqlx::Error> {
        let mut tx = ScriptTx::of(self).await?;
        match tx.begin(&[]).await {
            Ok(_) => Ok(tx),
            Err(error) => Err(tx.fail(error)),
        }
    }

    /// As [`Embedded::begin`], with these statements.
    pub(super) async fn begin_with(self: &Arc<Self>, parts: &[Part<'_>]) -> Result<(ScriptTx, Vec<Answer>), sqlx::Error> {
        let mut tx = ScriptTx::of(self).await?;
        let version = version();
        let all: Vec<&Part<'_>> = std::iter::once(&version).chain(parts).collect();
        let begun = tx.begin(&all).await.and_then(|mut answers| {
            tx.turn.version = answers.remove(0).records().next().ok_or(sqlx::Error::RowNotFound)?.number()?;
            Ok(answers)
        });
        match begun {
            Ok(answers) => Ok((tx, answers)),
            Err(error) => Err(tx.fail(error)),
        }
    }

    pub(super) fn is_last(&self, turn: &Turn) -> bool {
        self.turns.load(Ordering::SeqCst) == turn.number
    }

    pub(super) async fn write_since(&self, before: &Turn, parts: &[Part<'_>]) -> Result<Option<Turn>, sqlx::Error> {
        if !self.is_last(before) {
            return Ok(None);
        }
        let mut held = self.take().await?;
        // Only now, with the connection, is there nobody who could take a turn in between.
        let turn = Turn { number: held.turn, version: before.version };
        if !turn.follows(before) {
            return Ok(None);
        }
        let guard = nobody_else_wrote(&turn.version);
        let all: Vec<&Part<'_>> = std::iter::once(&guard).chain(parts).collect();
        let done = self.scripts.run_whole(&mut held, &all).await;
        if matches!(&done, Err(error) if error.as_database_error().is_none()) {
            held.give_up();
        }
        Ok(done?.then_some(turn))
    }

    /// Closes the connection, when whoever has it is done.
    pub(super) async fn close(&self) {
        let mut slot = self.slot.lock().await;
        self.closed.store(true, Ordering::SeqCst);
        if let Some(conn) = slot.take() {
            let _ = conn.close().await;
        }
    }
}

/// A transaction of which the driver knows nothing: scripts begin and end it.
pub(super) struct ScriptTx {
    pub(super) held: Held,
    of: Arc<Embedded>,
    turn: Turn,
    open: bool,
}

impl ScriptTx {
    async fn of(embedded: &Arc<Embedded>) -> Result<Self, sqlx::Error> {
        let held = embedded.take().await?;
        let turn = Turn { number: held.turn, version: 0 };
        Ok(Self { held, of: Arc::clone(embedded), turn, open: true })
    }

    async fn begin(&mut self, parts: &[&Part<'_>]) -> Result<Vec<Answer>, sqlx::Error> {
        self.of.scripts.run(&mut self.held, Around::Begin, parts).await
    }

    /// It could not begin. Nobody knows what is wrong with the connection.
    fn fail(mut self, error: sqlx::Error) -> sqlx::Error {
        self.open = false;
        self.held.give_up();
        error
    }

    pub(super) async fn run(&mut self, parts: &[Part<'_>]) -> Result<Vec<Answer>, sqlx::Error> {
        self.of.scripts.run(&mut self.held, Around::Nothing, &parts.iter().collect::<Vec<_>>()).await
    }

    pub(super) async fn commit(mut self, parts: &[Part<'_>]) -> Result<Turn, sqlx::Error> {
        self.of.scripts.run(&mut self.held, Around::Commit, &parts.iter().collect::<Vec<_>>()).await?;
        self.open = false;
        Ok(self.turn)
    }
}

impl Drop for ScriptTx {
    /// Takes everything back: SQLite's thread hears of it now, after what it is doing, and before whatever the next one says. Should it not,
    /// the next one cannot begin and gives up the connection, and what was written with it.
    fn drop(&mut self) {
        if self.open {
            let _ = (*self.held).execute("ROLLBACK").now_or_never();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Bulk, changed};
    use super::*;
    use std::str::FromStr;

    static INSERT: Bulk = Bulk::new("INSERT", "INSERT INTO t (n) SELECT * FROM (VALUES ", &["BIGINT"], ") AS v WHERE column1 IS NOT NULL");

    fn insert(n: &i64) -> [Part<'_>; 1] {
        [INSERT.part(std::slice::from_ref(n), |n, values| {
            values.bind(*n);
        })]
    }

    async fn commit(embedded: &Arc<Embedded>, n: i64) -> Turn {
        embedded.begin_with(&[]).await.unwrap().0.commit(&insert(&n)).await.unwrap()
    }

    #[tokio::test]
    async fn a_turn_is_the_last_until_another_is_taken_or_the_connection_is_a_new_one() {
        sqlx::any::install_default_drivers();
        let folder = tempfile::tempdir().unwrap();
        let options = AnyConnectOptions::from_str(&format!("sqlite://{}/x.db?mode=rwc", folder.path().display())).unwrap();
        let embedded = Arc::new(Embedded::connect(options, Durability::Crash).await.unwrap());
        embedded.take().await.unwrap().execute("CREATE TABLE t (n INTEGER)").await.unwrap();
        let first = commit(&embedded, 1).await;
        let second = embedded.write_since(&first, &insert(&2)).await.unwrap().unwrap();
        assert_eq!(embedded.write_since(&first, &insert(&-1)).await.unwrap(), None, "there was a turn since");
        let [wrong] = insert(&-1);
        assert!(embedded.write_since(&second, &[wrong, changed(&2)]).await.is_err(), "one row was inserted, not two");
        let third = commit(&embedded, 3).await;
        embedded.take().await.unwrap().give_up();
        assert_eq!(embedded.write_since(&third, &insert(&-1)).await.unwrap(), None, "that was another connection");
        let fourth = commit(&embedded, 4).await;
        let fifth = embedded.write_since(&fourth, &insert(&5)).await.unwrap().unwrap();
        let mut dropped = embedded.begin().await.unwrap();
        dropped.run(&insert(&-1)).await.unwrap();
        drop(dropped);
        assert_eq!(embedded.write_since(&fifth, &insert(&-1)).await.unwrap(), None);
        commit(&embedded, 6).await;
        let rows: Vec<i64> = sqlx::query_scalar("SELECT n FROM t ORDER BY n").fetch_all(&mut *embedded.take().await.unwrap()).await.unwrap();
        assert_eq!(rows, [1, 2, 3, 4, 5, 6]);
        embedded.close().await;
        assert!(embedded.begin().await.is_err());
    }
}
