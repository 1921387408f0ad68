//! What was lost on the way: orders of which nothing was heard, and messages that never came.

use super::provider::List;
use super::{PaymentError, Payments, State, store};
use crate::kernel::Id;
use crate::settings::{self, Name};

/// How many orders one run looks at.
const PORTION: i64 = 50;
/// An order that is still open is looked at again after an eighth of its age, but not more often than this and not more seldom.
const LOOK_AGAIN_MS: std::ops::RangeInclusive<i64> = 60_000..=6 * 3_600_000;
/// So far behind the time up to which messages were fetched the next fetch begins: they may appear late in the provider's list.
const OVERLAP_MS: i64 = 3_600_000;
/// How far back the first fetch goes: providers keep messages for about a month.
const FIRST_FETCH_MS: i64 = 24 * 3_600_000;

impl Payments {
    /// Asks the provider about orders that should have been heard of.
    ///
    /// # Errors
    /// The database's. A provider that is away is asked again at the next turn.
    pub async fn look_at_due(&self) -> Result<usize, PaymentError> {
        if self.provider.is_none() {
            return Ok(0);
        }
        let due = store::due_looks(&mut *self.db.read().await?, self.now(), PORTION).await?;
        for id in &due {
            match self.look(*id).await {
                Ok(State::Pending) | Err(PaymentError::Provider(_)) => self.look_again(*id).await?,
                Ok(_) => {}
                Err(PaymentError::Mismatch(why)) => {
                    let mut tx = self.db.write().await?;
                    store::note(&mut tx, *id, &why.to_string()).await?;
                    tx.commit().await?;
                    self.look_again(*id).await?;
                    tracing::error!(order = %id, %why, "what was paid is not what was ordered: somebody must look");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(due.len())
    }

    async fn look_again(&self, id: Id) -> Result<(), PaymentError> {
        let order = self.find(id).await?;
        let pause = ((self.now() - order.created_at) / 8).clamp(*LOOK_AGAIN_MS.start(), *LOOK_AGAIN_MS.end());
        let mut tx = self.db.write().await?;
        let ends = Some(order.expires_at).filter(|ends| *ends > self.now()).unwrap_or(i64::MAX);
        store::look_later(&mut tx, id, (self.now() + pause).min(ends)).await?;
        Ok(tx.commit().await?)
    }

    /// Fetches the messages since the last time and handles those that never came. Returns how many that were.
    ///
    /// # Errors
    /// The provider's and the database's; what was fetched stays.
    pub async fn fetch_messages(&self) -> Result<usize, PaymentError> {
        let Some(provider) = &self.provider else { return Ok(0) };
        let now = self.now();
        let fetched = settings::get(&mut *self.db.read().await?, Name::EventsFetched).await?;
        let from = fetched.and_then(|text| text.parse::<i64>().ok()).map_or(now - FIRST_FETCH_MS, |until| until - OVERLAP_MS);
        let mut list = List { from: Some(from), until: None, after: None };
        let mut missed = 0;
        loop {
            let page = provider.events(&list).await?;
            for message in &page.items {
                let received = self.keep(message, "fetched").await?;
                missed += usize::from(!received.again);
            }
            list.after = page.next;
            if list.after.is_none() {
                break;
            }
        }
        let mut tx = self.db.write().await?;
        settings::put(&mut tx, now, Name::EventsFetched, &now.to_string()).await?;
        tx.commit().await?;
        self.handle_due().await?;
        Ok(missed)
    }
}
