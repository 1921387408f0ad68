//! The job that sends what is due.

use super::store::{self, Claimed};
use super::transport::Transport;
use crate::db::Db;
use crate::kernel::{Clock, Id, clock};
use futures_util::StreamExt;

/// After how many attempts a mail is given up: about seven hours after it was written.
pub const GIVE_UP_AFTER: i64 = 10;
/// How long a claimed mail is nobody else's: longer than sending one may take.
const CLAIM_MS: i64 = 120_000;
/// How many mails are sent at the same time.
const AT_ONCE: usize = 4;
/// How many mails one round takes. Few, so that a stop need not wait long.
const ROUND: i64 = 20;
/// How long rows of mails that have left are kept.
const KEEP_MS: i64 = 30 * clock::DAY_MS;

/// The outbox and what empties it.
#[derive(Clone, Debug)]
pub struct Outbox {
    db: Db,
    clock: Clock,
    transport: Transport,
}

/// What a round has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Mails that have left.
    pub sent: u32,
    /// Mails that will be tried again.
    pub retried: u32,
    /// Mails that were given up.
    pub failed: u32,
}

impl Outbox {
    /// An outbox of `db`, emptied through `transport`.
    pub fn new(db: Db, clock: Clock, transport: Transport) -> Self {
        Self { db, clock, transport }
    }

    /// Sends what is due.
    ///
    /// # Errors
    /// The database's. What was claimed and not sent is tried again when its claim ends.
    pub async fn send_due(&self) -> Result<Sent, sqlx::Error> {
        let due = store::due(&mut *self.db.read().await?, self.clock.now_ms(), ROUND).await?;
        let mut all = futures_util::stream::iter(due.into_iter().map(|id| self.send_one(id))).buffer_unordered(AT_ONCE);
        let mut total = Sent::default();
        while let Some(one) = all.next().await {
            let one = one?;
            total = Sent { sent: total.sent + one.sent, retried: total.retried + one.retried, failed: total.failed + one.failed };
        }
        Ok(total)
    }

    /// How many mails wait.
    ///
    /// # Errors
    /// The database's.
    pub async fn waiting(&self) -> Result<i64, sqlx::Error> {
        store::waiting(&mut *self.db.read().await?).await
    }

    /// Removes the rows of mails that left, or were given up, a month ago.
    ///
    /// # Errors
    /// The database's.
    pub async fn sweep(&self) -> Result<u64, sqlx::Error> {
        let mut tx = self.db.write().await?;
        let swept = store::sweep(&mut tx, self.clock.now_ms() - KEEP_MS).await?;
        tx.commit().await?;
        Ok(swept)
    }

    async fn send_one(&self, id: Id) -> Result<Sent, sqlx::Error> {
        let now = self.clock.now_ms();
        let mut tx = self.db.write().await?;
        let claimed = store::claim(&mut tx, id, now, now + CLAIM_MS).await?;
        tx.commit().await?;
        let Some(mail) = claimed else { return Ok(Sent::default()) };
        match self.transport.send(&mail).await {
            Ok(()) => {
                let mut tx = self.db.write().await?;
                store::sent(&mut tx, id, self.clock.now_ms()).await?;
                tx.commit().await?;
                Ok(Sent { sent: 1, ..Sent::default() })
            }
            Err(error) => self.note_failure(&mail, &error.to_string()).await,
        }
    }

    async fn note_failure(&self, mail: &Claimed, error: &str) -> Result<Sent, sqlx::Error> {
        let now = self.clock.now_ms();
        let mut tx = self.db.write().await?;
        let gives_up = mail.attempts >= GIVE_UP_AFTER;
        if gives_up {
            store::failed(&mut tx, mail.id, now, error).await?;
        } else {
            store::retry(&mut tx, mail.id, now + pause_after(mail.attempts), error).await?;
        }
        tx.commit().await?;
        if gives_up {
            tracing::error!(mail = %mail.id, attempts = mail.attempts, error, "a mail was given up");
            return Ok(Sent { failed: 1, ..Sent::default() });
        }
        tracing::warn!(mail = %mail.id, attempts = mail.attempts, error, "a mail could not be sent and will be tried again");
        Ok(Sent { retried: 1, ..Sent::default() })
    }
}

/// 10 seconds, then three times as long each time, at most two hours.
fn pause_after(attempts: i64) -> i64 {
    let exponent = u32::try_from(attempts - 1).unwrap_or(0).min(10);
    (10_000 * 3_i64.pow(exponent)).min(2 * 3_600_000)
}
