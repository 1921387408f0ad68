//! The sessions' rows.

use super::{ABSOLUTE_MS, EPOCH, IDLE_MS, USER, VISITOR_IDLE_MS};
use crate::db::{Conn, Db};
use crate::kernel::{Clock, Random, secrets};
use crate::statements;
use async_trait::async_trait;
use serde_json::Value;
use time::OffsetDateTime;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};

statements! {
    INSERT = "INSERT INTO session (hash, user_id, epoch, data, created_at, seen_at, expires_at) VALUES ($1, $2, $3, $4, $5, $5, $6)";
    LOAD = "SELECT s.data, s.seen_at, s.expires_at, s.user_id FROM session s LEFT JOIN users u ON u.id = s.user_id
        WHERE s.hash = $1 AND s.expires_at > $2 AND (s.user_id IS NULL OR (u.session_epoch = s.epoch AND u.disabled_at IS NULL))";
    SAVE = "UPDATE session SET data = $2, seen_at = $3, expires_at = CASE WHEN $4 < created_at + $5 THEN $4 ELSE created_at + $5 END WHERE hash = $1";
    TOUCH = "UPDATE session SET seen_at = $2, expires_at = CASE WHEN $3 < created_at + $4 THEN $3 ELSE created_at + $4 END WHERE hash = $1";
    DELETE = "DELETE FROM session WHERE hash = $1";
    SWEEP = "DELETE FROM session WHERE expires_at <= $1";
}

/// How often a session's last use is noted.
const TOUCH_EVERY_MS: i64 = 5 * 60_000;

/// Sessions in the database.
#[derive(Clone, Debug)]
pub struct Store {
    db: Db,
    clock: Clock,
    random: Random,
}

impl Store {
    /// The sessions of `db`.
    pub fn new(db: Db, clock: Clock, random: Random) -> Self {
        Self { db, clock, random }
    }

    /// Removes sessions that have ended by time.
    ///
    /// # Errors
    /// The database's.
    pub async fn sweep(&self) -> std::result::Result<u64, sqlx::Error> {
        let mut tx = self.db.write().await?;
        let swept = sqlx::query(SWEEP).bind(self.clock.now_ms()).execute(&mut *tx).await?.rows_affected();
        tx.commit().await?;
        Ok(swept)
    }

    async fn insert(&self, record: &Record) -> std::result::Result<(), Error> {
        let (now, person) = (self.clock.now_ms(), Person::of(record));
        let expires_at = now + idle_ms(person.user.is_some());
        let query = sqlx::query(INSERT).bind(hash(&record.id)).bind(person.user).bind(person.epoch).bind(encode(record)?);
        let mut tx = self.db.write().await.map_err(failed)?;
        query.bind(now).bind(expires_at).execute(&mut *tx).await.map_err(failed)?;
        tx.commit().await.map_err(failed)
    }

    async fn find(&self, conn: &mut Conn, hash: &str, now: i64) -> std::result::Result<Option<Row>, sqlx::Error> {
        sqlx::query_as(LOAD).bind(hash).bind(now).fetch_optional(conn).await
    }

    async fn touch(&self, hash: &str, now: i64, expires_at: i64) -> std::result::Result<(), sqlx::Error> {
        let mut tx = self.db.write().await?;
        sqlx::query(TOUCH).bind(hash).bind(now).bind(expires_at).bind(ABSOLUTE_MS).execute(&mut *tx).await?;
        tx.commit().await
    }
}

type Row = (String, i64, i64, Option<i64>);

/// Who is logged in, beside the data so that the database can tell when the session has ended.
struct Person {
    user: Option<i64>,
    epoch: Option<i64>,
}

impl Person {
    fn of(record: &Record) -> Self {
        let number = |key: &str| record.data.get(key).and_then(Value::as_i64);
        Self { user: number(USER), epoch: number(EPOCH) }
    }
}

#[async_trait]
impl SessionStore for Store {
    async fn create(&self, record: &mut Record) -> Result<()> {
        record.id = Id(i128::from_le_bytes(self.random.bytes()));
        self.insert(record).await
    }

    /// Changes a row that there is: a request that was under way while the session ended does not bring it back. Who it belongs to never
    /// changes: a log-in begins another one.
    async fn save(&self, record: &Record) -> Result<()> {
        let now = self.clock.now_ms();
        let expires_at = now + idle_ms(Person::of(record).user.is_some());
        let mut tx = self.db.write().await.map_err(failed)?;
        let query = sqlx::query(SAVE).bind(hash(&record.id)).bind(encode(record)?).bind(now).bind(expires_at).bind(ABSOLUTE_MS);
        query.execute(&mut *tx).await.map_err(failed)?;
        tx.commit().await.map_err(failed)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let (hash, now) = (hash(id), self.clock.now_ms());
        let mut conn = self.db.read().await.map_err(failed)?;
        let Some((data, seen_at, expires_at, user)) = self.find(&mut conn, &hash, now).await.map_err(failed)? else { return Ok(None) };
        drop(conn);
        if now - seen_at >= TOUCH_EVERY_MS {
            self.touch(&hash, now, now + idle_ms(user.is_some())).await.map_err(failed)?;
        }
        let data = serde_json::from_str(&data).map_err(|error| Error::Decode(error.to_string()))?;
        let expiry_date = OffsetDateTime::from_unix_timestamp(expires_at / 1000).map_err(|error| Error::Decode(error.to_string()))?;
        Ok(Some(Record { id: *id, data, expiry_date }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        let mut tx = self.db.write().await.map_err(failed)?;
        sqlx::query(DELETE).bind(hash(id)).execute(&mut *tx).await.map_err(failed)?;
        tx.commit().await.map_err(failed)
    }
}

fn idle_ms(logged_in: bool) -> i64 {
    if logged_in { IDLE_MS } else { VISITOR_IDLE_MS }
}

fn hash(id: &Id) -> String {
    secrets::hash(&id.to_string())
}

fn encode(record: &Record) -> Result<String> {
    serde_json::to_string(&record.data).map_err(|error| Error::Encode(error.to_string()))
}

fn failed(error: sqlx::Error) -> Error {
    Error::Backend(error.to_string())
}
