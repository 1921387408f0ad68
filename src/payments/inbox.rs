//! Messages of the provider: believed by their signature, stored, and then handled, each once, by whoever comes first.

use super::provider::{Incoming, ProviderError, Rejected};
use super::subscriptions::Seen;
use super::{PaymentError, Payments, store};
use crate::kernel::Id;
use axum::http::HeaderMap;

/// How many messages one run of the job takes.
const PORTION: i64 = 200;
/// How often a message is taken up anew because what it is about has changed while the provider was asked.
const TURNS: usize = 5;
/// A message that could not be handled because something was away is tried again after so long; each time twice as long, up to an hour.
const RETRY_MS: i64 = 2_000;
const MAX_RETRY_MS: i64 = 3_600_000;

/// A message that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its row.
    pub id: Id,
    /// It had come before.
    pub again: bool,
}

/// What became of a message.
pub(super) enum Handled {
    /// It was acted on, or told nothing new, about this order.
    Done(Option<Id>),
    /// It is about nothing of ours.
    Ignored,
    /// It cannot be right: somebody must look.
    Refused(String, Option<Id>),
    /// What was asked before has changed since.
    Again,
}

impl Payments {
    /// Takes a message in: when this returns it is stored, and what follows from it will happen.
    ///
    /// # Errors
    /// Why it is not believed; or the database's, so that the provider sends it again.
    pub async fn receive(&self, headers: &HeaderMap, body: &[u8]) -> Result<Received, ReceiveError> {
        let provider = self.provider.as_ref().ok_or(ReceiveError::Rejected(Rejected::NoSecret))?;
        let message = provider.verify(headers, body, self.now()).map_err(ReceiveError::Rejected)?;
        self.keep(&message, "message").await.map_err(ReceiveError::Database)
    }

    /// Stores a message unless it was stored before.
    pub(super) async fn keep(&self, message: &Incoming, source: &str) -> Result<Received, sqlx::Error> {
        let name = self.provider.as_ref().map_or("", |provider| provider.name());
        if let Some(id) = store::event_by_name(&mut *self.db.read().await?, name, &message.id).await? {
            return Ok(Received { id, again: true });
        }
        let mut tx = self.db.write().await?;
        let id = self.kit.ids.next();
        let is_new = store::insert_event(&mut tx, id, name, message, source, self.now()).await?;
        let id = if is_new { id } else { store::event_by_name(&mut tx, name, &message.id).await?.unwrap_or(id) };
        tx.commit().await?;
        crate::failpoint::reach("message_stored");
        Ok(Received { id, again: !is_new })
    }

    /// Handles a stored message, if nobody has yet. What cannot be handled now is tried again later by [`Payments::handle_due`].
    ///
    /// # Errors
    /// The database's, or that of something that was away.
    pub async fn handle(&self, id: Id) -> Result<(), PaymentError> {
        let done = self.try_handle(id).await;
        if let Err(error) = &done {
            self.put_off(id, &error.to_string()).await?;
        }
        done
    }

    async fn try_handle(&self, id: Id) -> Result<(), PaymentError> {
        for _ in 0..TURNS {
            if self.handle_once(id).await? {
                return Ok(());
            }
        }
        Err(ProviderError::Busy("what it is about changes all the time".to_owned()).into())
    }

    /// Whether it is done with.
    async fn handle_once(&self, id: Id) -> Result<bool, PaymentError> {
        let provider = self.provider()?;
        let Some(raw) = store::new_event(&mut *self.db.read().await?, id).await? else { return Ok(true) };
        let event = provider.read(raw.as_bytes());
        let seen = match &event {
            Ok(event) => self.look_before(event).await?,
            Err(_) => Seen::default(),
        };
        let mut tx = self.db.write().await?;
        if store::take_event(&mut tx, id).await?.is_none() {
            return Ok(true);
        }
        let handled = match event {
            Ok(event) => self.act_on(&mut tx, event, &seen).await?,
            Err(error) => Handled::Refused(error.to_string(), None),
        };
        let (state, error, order) = match &handled {
            Handled::Again => {
                tx.rollback().await;
                return Ok(false);
            }
            Handled::Done(order) => ("done", None, *order),
            Handled::Ignored => ("ignored", None, None),
            Handled::Refused(why, order) => ("refused", Some(why.as_str()), *order),
        };
        if let Some(why) = error {
            tracing::error!(message = %id, order = ?order, why, "a message of the payment provider cannot be acted on: somebody must look");
        }
        store::end_event(&mut tx, id, state, error, order, self.now()).await?;
        crate::failpoint::reach("message_handled");
        tx.commit().await?;
        Ok(true)
    }

    async fn put_off(&self, id: Id, why: &str) -> Result<(), PaymentError> {
        let mut tx = self.db.write().await?;
        let Some((_, attempts)) = store::take_event(&mut tx, id).await? else { return Ok(()) };
        let pause = super::growing_pause(RETRY_MS, attempts, MAX_RETRY_MS);
        store::event_later(&mut tx, id, self.now() + pause, why).await?;
        tx.commit().await?;
        tracing::warn!(message = %id, why, "a message of the payment provider is tried again later");
        Ok(())
    }

    /// Handles the messages that wait. One that fails keeps none of the others back.
    ///
    /// # Errors
    /// The database's.
    pub async fn handle_due(&self) -> Result<usize, PaymentError> {
        if self.provider.is_none() {
            return Ok(0);
        }
        let due = store::due_events(&mut *self.db.read().await?, self.now(), PORTION).await?;
        for id in &due {
            if let Err(error) = self.handle(*id).await {
                tracing::debug!(%error, message = %id, "not handled");
            }
        }
        Ok(due.len())
    }
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// It is not believed.
    #[error(transparent)]
    Rejected(Rejected),
    /// It could not be stored.
    #[error(transparent)]
    Database(sqlx::Error),
}
