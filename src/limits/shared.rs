//! Counters in Redis, which may vanish at any moment: then the caller counts for itself, and one line of the log says so.

use super::Counter;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, RedisResult};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

/// A log-in waits no longer than this for Redis.
const PATIENCE: Duration = Duration::from_millis(300);
/// After a failure Redis is left alone for so long: a server that swallows packets must not slow every log-in down.
const PAUSE_MS: i64 = 2_000;

pub(super) struct Shared {
    client: Client,
    connection: OnceLock<ConnectionManager>,
    failing: AtomicBool,
    ask_again_at: AtomicI64,
}

impl Shared {
    pub(super) fn new(url: &str) -> RedisResult<Self> {
        let client = Client::open(url)?;
        Ok(Self { client, connection: OnceLock::new(), failing: AtomicBool::new(false), ask_again_at: AtomicI64::new(0) })
    }

    /// Counts one more and returns how many there are; nothing when Redis cannot be asked.
    pub(super) async fn count(&self, counter: &Counter, now: i64) -> Option<i64> {
        let lifetime_ms = counter.ends_at - now + 1_000;
        let mut both = redis::pipe();
        both.atomic().incr(&counter.key, 1).pexpire(&counter.key, lifetime_ms).ignore();
        let (count,): (i64,) = self.ask(&both, now).await?;
        Some(count)
    }

    pub(super) async fn forget(&self, counter: &Counter, now: i64) {
        let _: Option<()> = self.ask(redis::pipe().del(&counter.key).ignore(), now).await;
    }

    async fn ask<T: redis::FromRedisValue>(&self, commands: &redis::Pipeline, now: i64) -> Option<T> {
        if now < self.ask_again_at.load(Ordering::Relaxed) {
            return None;
        }
        let answer = match self.connection() {
            Ok(mut connection) => commands.query_async(&mut connection).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(value) => {
                self.has_answered();
                Some(value)
            }
            Err(error) => {
                self.has_failed(&error, now);
                None
            }
        }
    }

    fn connection(&self) -> RedisResult<ConnectionManager> {
        if let Some(connection) = self.connection.get() {
            return Ok(connection.clone());
        }
        let config = ConnectionManagerConfig::new().set_number_of_retries(1).set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
        let made = ConnectionManager::new_lazy_with_config(self.client.clone(), config)?;
        Ok(self.connection.get_or_init(|| made).clone())
    }

    fn has_answered(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("Redis answers again; attempts are counted for all nodes together");
        }
    }

    fn has_failed(&self, error: &RedisError, now: i64) {
        self.ask_again_at.store(now + PAUSE_MS, Ordering::Relaxed);
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "Redis does not answer; this node counts attempts for itself until it does");
        }
    }
}
