//! The connection to Redis, which may vanish at any moment: then the node counts for itself, and one line of the log says so.

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, RedisResult};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

/// What may wait, such as a log-in, waits no longer than this; so does whoever needs the connection first.
pub(super) const PATIENCE: Duration = Duration::from_millis(300);
/// After a failure Redis is left alone for so long: a server that swallows packets must not slow everyone down.
const PAUSE_MS: i64 = 2_000;

pub(super) struct Link {
    client: Client,
    connection: OnceLock<ConnectionManager>,
    /// It has answered once: from now on an answer takes no connection.
    met: AtomicBool,
    failing: AtomicBool,
    ask_again_at: AtomicI64,
}

impl Link {
    pub(super) fn new(url: &str) -> RedisResult<Self> {
        let client = Client::open(url)?;
        Ok(Self { client, connection: OnceLock::new(), met: AtomicBool::new(false), failing: AtomicBool::new(false), ask_again_at: AtomicI64::new(0) })
    }

    /// Whether Redis is left alone for a moment.
    pub(super) fn rests(&self, now: i64) -> bool {
        now < self.ask_again_at.load(Ordering::Relaxed)
    }

    /// Asks; nothing when Redis cannot be asked, or does not answer while whoever asks has patience.
    pub(super) async fn ask<T>(&self, now: i64, patience: Duration, question: impl AsyncFnOnce(&mut ConnectionManager) -> RedisResult<T>) -> Option<T> {
        if self.rests(now) {
            return None;
        }
        let patience = if self.met.load(Ordering::Relaxed) { patience } else { PATIENCE };
        let answer = match self.connection() {
            Ok(mut connection) => tokio::time::timeout(patience, question(&mut connection)).await,
            Err(error) => Ok(Err(error)),
        };
        match answer {
            Ok(Ok(value)) => {
                self.has_answered();
                Some(value)
            }
            Ok(Err(error)) => {
                self.has_failed(&error, now);
                None
            }
            Err(late) => {
                self.has_failed(&late, now);
                None
            }
        }
    }

    /// As [`Link::ask`], with the patience of a log-in.
    pub(super) async fn run<T: redis::FromRedisValue>(&self, commands: &redis::Pipeline, now: i64) -> Option<T> {
        self.ask(now, PATIENCE, async |connection| commands.query_async(connection).await).await
    }

    /// Whether Redis answers now. While it is left alone, whether it did.
    pub(super) async fn is_well(&self, now: i64) -> bool {
        self.run::<(String,)>(redis::pipe().cmd("PING"), now).await.is_some()
    }

    fn connection(&self) -> Result<ConnectionManager, RedisError> {
        if let Some(connection) = self.connection.get() {
            return Ok(connection.clone());
        }
        let config = ConnectionManagerConfig::new().set_number_of_retries(1).set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
        let made = ConnectionManager::new_lazy_with_config(self.client.clone(), config)?;
        Ok(self.connection.get_or_init(|| made).clone())
    }

    fn has_answered(&self) {
        self.met.store(true, Ordering::Relaxed);
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("Redis answers again; limits are counted for all nodes together");
        }
    }

    fn has_failed(&self, error: &dyn std::fmt::Display, now: i64) {
        self.ask_again_at.store(now + PAUSE_MS, Ordering::Relaxed);
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "Redis does not answer; this node counts limits for itself until it does");
        }
    }
}
