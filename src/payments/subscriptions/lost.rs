//! Renewals of which nothing was heard: the shop asks.

use super::store;
use crate::payments::inbox::Handled;
use crate::payments::{PaymentError, Payments};
use crate::plans;

/// How many subscriptions one run looks at.
const PORTION: i64 = 50;
/// A provider writes a renewal's bill when the period ends, and collects it about an hour later.
const LATE_MS: i64 = 2 * 3_600_000;
/// One of which nothing new was heard is looked at again after so long.
const LOOK_AGAIN_MS: i64 = 6 * 3_600_000;

impl Payments {
    /// Asks the provider about subscriptions whose renewal should have been heard of. One that cannot be looked at keeps none of the others back.
    ///
    /// # Errors
    /// The database's.
    pub async fn look_at_renewals(&self) -> Result<usize, PaymentError> {
        if self.provider.is_none() {
            return Ok(0);
        }
        let due = plans::overdue(&mut *self.db.read().await?, self.now() - LATE_MS, self.now(), PORTION).await?;
        for external in &due {
            let mut tx = self.db.write().await?;
            plans::look_later(&mut tx, external, self.now() + LOOK_AGAIN_MS).await?;
            tx.commit().await?;
            if let Err(error) = self.look_at_renewal(external).await {
                tracing::warn!(%error, subscription = external, "the provider could not say what became of a renewal");
            }
        }
        Ok(due.len())
    }

    /// Asks about everything of one of the provider's customers that renews or is about to: one of its bills was paid, and nobody knows which.
    pub(in crate::payments) async fn hear_of_bills(&self, customer: &str) -> Result<(), PaymentError> {
        let provider = self.provider()?.name();
        let Some(user) = store::user_of_customer(&mut *self.db.read().await?, provider, customer).await? else { return Ok(()) };
        for order in store::pending_subscriptions(&mut *self.db.read().await?, user).await? {
            self.look(order).await?;
        }
        for external in plans::externals(&mut *self.db.read().await?, user).await? {
            if let Some(standing) = plans::standing(&mut *self.db.read().await?, &external).await? {
                self.catch_up(&external, standing.since, None).await?;
            }
        }
        Ok(())
    }

    async fn look_at_renewal(&self, external: &str) -> Result<(), PaymentError> {
        let Some(standing) = plans::standing(&mut *self.db.read().await?, external).await? else { return Ok(()) };
        self.catch_up(external, standing.since, None).await?;
        let told = self.provider()?.subscription(external).await?;
        let Some(seen) = self.look_at_subscription(&told).await? else { return Ok(()) };
        let mut tx = self.db.write().await?;
        match self.on_subscription(&mut tx, &told, Some(&seen)).await? {
            // It has changed meanwhile, and is looked at another time.
            Handled::Again => tx.rollback().await,
            _ => tx.commit().await?,
        }
        Ok(())
    }
}
