//! The sessions' rows.

use super::{ABSOLUTE_MS, EPOCH, IDLE_MS, USER, VISITOR, VISITOR_IDLE_MS};
use crate::db::Db;
use crate::kernel::{Clock, Random, secrets};
use crate::statements;
use async_trait::async_trait;
use serde_json::Value;
use sqlx::Any;
use sqlx::any::AnyArguments;
use time::OffsetDateTime;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};

statements! {
    INSERT = "INSERT INTO session (hash, user_id, epoch, data, created_at, seen_at, expires_at) VALUES ($1, $2, $3, $4, $5, $5, $6)";
    LOAD = "SELECT s.data, s.seen_at, s.expires_at, s.user_id, s.epoch, u.session_epoch, u.disabled_at
        FROM session s LEFT JOIN users u ON u.id = s.user_id WHERE s.hash = $1";
    SAVE = "UPDATE session SET data = $2, seen_at = $3, expires_at = CASE WHEN $4 < created_at + $5 THEN $4 ELSE created_at + $5 END WHERE hash = $1";
    KEEP = "INSERT INTO session (hash, data, created_at, seen_at, expires_at) VALUES ($1, $2, $3, $3, $4)
        ON CONFLICT (hash) DO UPDATE SET data = excluded.data, seen_at = excluded.seen_at, expires_at = excluded.expires_at WHERE session.user_id IS NULL";
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

    async fn find(&self, hash: &str) -> std::result::Result<Option<Row>, sqlx::Error> {
        sqlx::query_as(LOAD).bind(hash).fetch_optional(&mut *self.db.read().await?).await
    }

    async fn write(&self, query: Query<'_>) -> std::result::Result<(), sqlx::Error> {
        let mut tx = self.db.write().await?;
        query.execute(&mut *tx).await?;
        tx.commit().await
    }

    async fn touch(&self, hash: &str, now: i64, logged_in: bool) -> std::result::Result<(), sqlx::Error> {
        self.write(sqlx::query(TOUCH).bind(hash).bind(now).bind(now + idle_ms(logged_in)).bind(ABSOLUTE_MS)).await
    }
}

type Query<'a> = sqlx::query::Query<'a, Any, AnyArguments>;

/// Data, last use, end; user and epoch of the session; epoch and end of the user.
type Row = (String, i64, i64, Option<i64>, Option<i64>, Option<i64>, Option<i64>);

/// Whether a row's session goes on at `now`.
fn goes_on(row: &Row, now: i64) -> bool {
    let (_, _, expires_at, user, epoch, users_epoch, disabled_at) = row;
    let person_agrees = user.is_none() || (users_epoch.is_some() && users_epoch == epoch && disabled_at.is_none());
    *expires_at > now && person_agrees
}

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

/// Nothing that would have to be kept: the cookie's id is all there is.
fn is_bare(record: &Record) -> bool {
    record.data.keys().all(|key| key == VISITOR)
}

#[async_trait]
impl SessionStore for Store {
    async fn create(&self, record: &mut Record) -> Result<()> {
        record.id = Id(i128::from_le_bytes(self.random.bytes()));
        if is_bare(record) {
            return Ok(());
        }
        let (now, person) = (self.clock.now_ms(), Person::of(record));
        let query = sqlx::query(INSERT).bind(hash(&record.id)).bind(person.user).bind(person.epoch).bind(encode(record)?);
        self.write(query.bind(now).bind(now + idle_ms(person.user.is_some()))).await.map_err(failed)
    }

    /// Of somebody who is logged in it only changes a row that there is: a request that was under way while the session ended does not
    /// bring it back. Whose it is never changes: a log-in begins another one.
    async fn save(&self, record: &Record) -> Result<()> {
        let (hash, now) = (hash(&record.id), self.clock.now_ms());
        if Person::of(record).user.is_some() {
            let query = sqlx::query(SAVE).bind(hash).bind(encode(record)?).bind(now).bind(now + IDLE_MS).bind(ABSOLUTE_MS);
            return self.write(query).await.map_err(failed);
        }
        if !is_bare(record) {
            return self.write(sqlx::query(KEEP).bind(hash).bind(encode(record)?).bind(now).bind(now + VISITOR_IDLE_MS)).await.map_err(failed);
        }
        match self.find(&hash).await.map_err(failed)? {
            Some((_, _, _, None, ..)) => self.delete(&record.id).await,
            _ => Ok(()),
        }
    }

    /// An id without a row is a visitor's. One whose row has ended is nobody's, and the next form gives the browser another.
    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let (hash, now) = (hash(id), self.clock.now_ms());
        let Some(row) = self.find(&hash).await.map_err(failed)? else { return visitor(*id, now).map(Some) };
        if !goes_on(&row, now) {
            return Ok(None);
        }
        let (data, seen_at, expires_at, user, ..) = row;
        if now - seen_at >= TOUCH_EVERY_MS {
            self.touch(&hash, now, user.is_some()).await.map_err(failed)?;
        }
        let data = serde_json::from_str(&data).map_err(|error| Error::Decode(error.to_string()))?;
        Ok(Some(Record { id: *id, data, expiry_date: moment(expires_at)? }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.write(sqlx::query(DELETE).bind(hash(id))).await.map_err(failed)
    }
}

fn visitor(id: Id, now: i64) -> Result<Record> {
    Ok(Record { id, data: [(VISITOR.to_owned(), Value::Bool(true))].into(), expiry_date: moment(now + VISITOR_IDLE_MS)? })
}

fn moment(ms: i64) -> Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(ms / 1000).map_err(|error| Error::Decode(error.to_string()))
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
