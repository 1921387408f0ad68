//! Connecting, reading, writing.

use super::embedded::{Embedded, Held, ScriptTx, Turn};
use super::script::run_each;
use super::{Answer, Conn, MigrateError, Part};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, ConnectOptions, Connection, Executor, Transaction};
use std::fs::DirBuilder;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Which database this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The embedded file.
    Sqlite,
    /// A PostgreSQL server, 15 or newer.
    Postgres,
}

/// What a commit survives on SQLite. A PostgreSQL server has its own setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, however it ends (`synchronous = NORMAL`).
    #[default]
    Crash,
    /// The loss of power, too, at the price of a disk flush for each commit (`synchronous = FULL`).
    PowerLoss,
}

impl Engine {
    /// The engine behind a connection.
    pub fn of(conn: &Conn) -> Self {
        if conn.backend_name() == "SQLite" { Engine::Sqlite } else { Engine::Postgres }
    }
}

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is neither `sqlite://` nor `postgres://`.
    #[error("DATABASE_URL must begin with sqlite:// or postgres://")]
    UnknownEngine,
    /// The folder of the SQLite file cannot be made.
    #[error("cannot make the folder {0} for the database: {1}")]
    Folder(PathBuf, std::io::Error),
    /// There should be a database already, and there is none.
    #[error("there is no database at {0} (DATABASE_URL chooses another)")]
    Missing(PathBuf),
    /// Nobody answers, or the login is refused. The text never has the password.
    #[error("cannot reach the database at {0}: {1}")]
    Unreachable(String, sqlx::Error),
    /// The schema could not be brought up to date.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
}

/// The database. Clones share the pools.
#[derive(Clone, Debug)]
pub struct Db {
    engine: Engine,
    read: AnyPool,
    write: Write,
}

/// Who writes.
#[derive(Clone, Debug)]
enum Write {
    Embedded(Arc<Embedded>),
    Server(AnyPool),
}

/// A write transaction: dropped without [`Tx::commit`], it never was.
pub struct Tx(Open);

enum Open {
    /// Of a server, or of a reader.
    Pool(Transaction<'static, Any>),
    /// Of SQLite's writer.
    Script(ScriptTx),
}

impl Tx {
    /// Runs these statements.
    ///
    /// # Errors
    /// The database's.
    pub async fn run(&mut self, parts: &[Part<'_>]) -> Result<Vec<Answer>, sqlx::Error> {
        match &mut self.0 {
            Open::Pool(tx) => run_each(tx, parts).await,
            Open::Script(tx) => tx.run(parts).await,
        }
    }

    /// Makes everything that was written durable.
    ///
    /// # Errors
    /// The database's; then nothing was written.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.commit_with(&[]).await.map(drop)
    }

    /// As [`Tx::commit`], after these statements. Of a transaction that [`Db::write_with`] began on SQLite it says whose turn that was.
    ///
    /// # Errors
    /// As [`Tx::commit`].
    pub async fn commit_with(self, parts: &[Part<'_>]) -> Result<Option<Turn>, sqlx::Error> {
        match self.0 {
            Open::Pool(mut tx) => {
                run_each(&mut tx, parts).await?;
                tx.commit().await.map(|()| None)
            }
            Open::Script(tx) => tx.commit(parts).await.map(Some),
        }
    }

    /// Takes back everything that was written, as dropping does; a server is waited for.
    pub async fn rollback(self) {
        match self.0 {
            Open::Pool(tx) => drop(tx.rollback().await),
            Open::Script(tx) => drop(tx),
        }
    }
}

impl Deref for Tx {
    type Target = Conn;
    fn deref(&self) -> &Conn {
        match &self.0 {
            Open::Pool(tx) => tx,
            Open::Script(tx) => &tx.held,
        }
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Conn {
        match &mut self.0 {
            Open::Pool(tx) => tx,
            Open::Script(tx) => &mut tx.held,
        }
    }
}

/// A writer's connection outside a transaction.
pub(super) enum Exclusive {
    Embedded(Held),
    Server(PoolConnection<Any>),
}

impl Deref for Exclusive {
    type Target = Conn;
    fn deref(&self) -> &Conn {
        match self {
            Exclusive::Embedded(held) => held,
            Exclusive::Server(conn) => conn,
        }
    }
}

impl DerefMut for Exclusive {
    fn deref_mut(&mut self) -> &mut Conn {
        match self {
            Exclusive::Embedded(held) => held,
            Exclusive::Server(conn) => conn,
        }
    }
}

/// How many connections serve readers.
const READERS: u32 = 4;
/// How many connections serve writers on PostgreSQL. SQLite has one writer by nature.
const POSTGRES_WRITERS: u32 = 8;
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// SQLite's writer keeps the pages of its indexes, 4 MB of them. It copies the log into the file, and waits for the disk, when that has grown to
/// 64 MB; [`Db::checkpoint`] has done most of it by then.
pub(super) const WRITER_PRAGMAS: &str = "PRAGMA cache_size = -4000; PRAGMA wal_autocheckpoint = 16384; PRAGMA journal_size_limit = 67108864;";
/// Readers find what they need in the operating system's cache.
const READER_PRAGMAS: &str = "PRAGMA cache_size = -1000;";
/// How long a server may take to answer the first time.
const KNOCK_TIMEOUT: Duration = Duration::from_secs(5);

impl Db {
    /// Connects. The file of a SQLite database is made when it does not exist.
    ///
    /// # Errors
    /// As [`ConnectError`] says, within ten seconds.
    pub async fn connect(database_url: &str) -> Result<Self, ConnectError> {
        Self::connect_with(database_url, Durability::default()).await
    }

    /// Connects, with a choice of what a commit survives.
    ///
    /// # Errors
    /// As [`Db::connect`].
    pub async fn connect_with(database_url: &str, durability: Durability) -> Result<Self, ConnectError> {
        sqlx::any::install_default_drivers();
        let engine = match database_url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => Engine::Sqlite,
            Some("postgres" | "postgresql") => Engine::Postgres,
            _ => return Err(ConnectError::UnknownEngine),
        };
        let mut url = database_url.to_owned();
        if engine == Engine::Sqlite {
            make_parent(database_url)?;
            if !url.contains("mode=") {
                url.push_str(if url.contains('?') { "&mode=rwc" } else { "?mode=rwc" });
            }
        }
        let unreachable = |error| ConnectError::Unreachable(without_password(database_url), error);
        let options = AnyConnectOptions::from_str(&url).map_err(unreachable)?.disable_statement_logging();
        if engine == Engine::Postgres {
            knock(&options).await.map_err(unreachable)?;
        }
        let write = match engine {
            Engine::Sqlite => Embedded::connect(options.clone(), durability).await.map(Arc::new).map(Write::Embedded),
            Engine::Postgres => pool(engine, POSTGRES_WRITERS, durability).connect_with(options.clone()).await.map(Write::Server),
        };
        let read = pool(engine, READERS, durability).connect_lazy_with(options);
        Ok(Self { engine, read, write: write.map_err(unreachable)? })
    }

    /// Connects to a database that is there already: who only wants to look must not leave an empty one behind.
    ///
    /// # Errors
    /// As [`Db::connect`], and [`ConnectError::Missing`].
    pub async fn connect_existing(database_url: &str, durability: Durability) -> Result<Self, ConnectError> {
        match sqlite_path(database_url) {
            Some(path) if !path.exists() => Err(ConnectError::Missing(path)),
            _ => Self::connect_with(database_url, durability).await,
        }
    }

    /// Which engine this is.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// A connection to read with. It sees what was committed.
    ///
    /// # Errors
    /// The pool's: nobody answers, or every connection is busy for ten seconds.
    pub async fn read(&self) -> Result<PoolConnection<Any>, sqlx::Error> {
        self.read.acquire().await
    }

    /// A transaction to write in.
    ///
    /// # Errors
    /// As [`Db::read`].
    pub async fn write(&self) -> Result<Tx, sqlx::Error> {
        match &self.write {
            Write::Embedded(embedded) => embedded.begin().await.map(Open::Script).map(Tx),
            Write::Server(pool) => pool.begin_with("BEGIN").await.map(Open::Pool).map(Tx),
        }
    }

    /// A transaction to write in that begins with these statements, and what they came to.
    ///
    /// # Errors
    /// As [`Db::read`], and the statements'.
    pub async fn write_with(&self, parts: &[Part<'_>]) -> Result<(Tx, Vec<Answer>), sqlx::Error> {
        if let Write::Embedded(embedded) = &self.write {
            return embedded.begin_with(parts).await.map(|(tx, answers)| (Tx(Open::Script(tx)), answers));
        }
        let mut tx = self.write().await?;
        let answers = run_each(&mut tx, parts).await?;
        Ok((tx, answers))
    }

    /// Whether nobody in this process had a turn at writing since that one.
    pub fn is_last(&self, turn: &Turn) -> bool {
        matches!(&self.write, Write::Embedded(embedded) if embedded.is_last(turn))
    }

    /// Writes all of these statements, in a transaction of their own, in one visit to SQLite, or nothing: as long as nobody has written since that turn.
    /// Says whose turn this was; `None` when somebody in this process had one in between, or when there is more to write than goes at once.
    ///
    /// # Errors
    /// As [`Db::write_with`]; and when another process has written since, or [`changed`](super::changed) was not as said.
    pub async fn write_since(&self, turn: &Turn, parts: &[Part<'_>]) -> Result<Option<Turn>, sqlx::Error> {
        match &self.write {
            Write::Embedded(embedded) => embedded.write_since(turn, parts).await,
            Write::Server(_) => Ok(None),
        }
    }

    /// A transaction that reads one snapshot of everything, for the audit. Dropped when done.
    ///
    /// # Errors
    /// As [`Db::read`].
    pub async fn snapshot(&self) -> Result<Tx, sqlx::Error> {
        let begin = if self.engine == Engine::Sqlite { "BEGIN" } else { "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" };
        self.read.begin_with(begin).await.map(Open::Pool).map(Tx)
    }

    /// A writer's connection outside a transaction, for migrations.
    pub(super) async fn exclusive(&self) -> Result<Exclusive, sqlx::Error> {
        match &self.write {
            Write::Embedded(embedded) => embedded.take().await.map(Exclusive::Embedded),
            Write::Server(pool) => pool.acquire().await.map(Exclusive::Server),
        }
    }

    /// Copies what is committed from SQLite's log into its file, beside the writer, which has then little left to copy itself when the log is
    /// full and it would have to wait for the disk. On PostgreSQL there is nothing to do.
    ///
    /// # Errors
    /// The database's.
    pub async fn checkpoint(&self) -> Result<(), sqlx::Error> {
        if self.engine == Engine::Sqlite {
            self.read.acquire().await?.execute("PRAGMA wal_checkpoint(PASSIVE)").await?;
        }
        Ok(())
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// As [`Db::read`].
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        self.read.acquire().await?.ping().await
    }

    /// Closes every connection, waiting for those in use.
    pub async fn close(&self) {
        self.read.close().await;
        match &self.write {
            Write::Embedded(embedded) => embedded.close().await,
            Write::Server(pool) => pool.close().await,
        }
    }
}

/// Connects once. A pool tries again until its time is up, and then says only that it waited, not for what.
async fn knock(options: &AnyConnectOptions) -> Result<(), sqlx::Error> {
    let late = || sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no answer within {} seconds", KNOCK_TIMEOUT.as_secs())));
    tokio::time::timeout(KNOCK_TIMEOUT, AnyConnection::connect_with(options)).await.map_err(|_| late())??.close().await
}

fn pool(engine: Engine, size: u32, durability: Durability) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(engine == Engine::Postgres)
        .after_connect(move |conn, _| Box::pin(async move { if engine == Engine::Sqlite { prepare(conn, durability, READER_PRAGMAS).await } else { Ok(()) } }))
}

/// Sets how a new connection to SQLite works.
pub(super) async fn prepare(conn: &mut Conn, durability: Durability, cache: &'static str) -> Result<(), sqlx::Error> {
    conn.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;")
        .await?;
    conn.execute(cache).await?;
    if durability == Durability::PowerLoss {
        conn.execute("PRAGMA synchronous = FULL;").await?;
    }
    Ok(())
}

fn make_parent(database_url: &str) -> Result<(), ConnectError> {
    let Some(folder) = sqlite_path(database_url).and_then(|path| path.parent().map(PathBuf::from)) else { return Ok(()) };
    make_private_folder(&folder).map_err(|error| ConnectError::Folder(folder, error))
}

/// Makes a folder that only its owner may look into: what is kept there has password hashes and the links of mails that wait. One that
/// exists keeps its permissions.
///
/// # Errors
/// The operating system's.
pub fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// The file of a `sqlite:` URL; none for a database in memory.
pub fn sqlite_path(database_url: &str) -> Option<PathBuf> {
    let rest = database_url.strip_prefix("sqlite:")?;
    let path = rest.strip_prefix("//").unwrap_or(rest).split('?').next()?;
    (!path.is_empty() && path != ":memory:").then(|| PathBuf::from(path))
}

fn without_password(database_url: &str) -> String {
    let Ok(mut url) = url::Url::parse(database_url) else { return database_url.split('@').next_back().unwrap_or_default().to_owned() };
    if url.password().is_some() {
        let _ = url.set_password(Some("..."));
    }
    url.to_string()
}
