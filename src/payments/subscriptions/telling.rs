//! What was wished here is told to the provider, and what it says of a subscription is heard.

use super::begin::renewing_plan;
use crate::db::Tx;
use crate::payments::inbox::Handled;
use crate::payments::provider::{Change, ProviderError, Subscription, SubscriptionState, When};
use crate::payments::{Order, PaymentError, Payments, store};
use crate::plans::{self, Heard, Standing, State, Untold, Word};

/// How many wishes one run of the job tells.
const PORTION: i64 = 50;
/// A provider that is away, or will not hear, is told again after so long; each time twice as long, up to an hour.
const RETRY_MS: i64 = 5_000;
const MAX_RETRY_MS: i64 = 3_600_000;
/// A period that begins so near to the end of what is paid is the next one.
const NEAR_MS: i64 = 26 * 60 * 60 * 1_000;

impl Payments {
    /// Tells the provider what was wished here of subscriptions. One that cannot be told keeps none of the others back.
    ///
    /// # Errors
    /// The database's.
    pub async fn tell_due(&self) -> Result<usize, PaymentError> {
        if self.provider.is_none() {
            return Ok(0);
        }
        let wishes = plans::untold(&mut *self.db.read().await?, self.now(), PORTION).await?;
        for wish in &wishes {
            let told = self.tell(wish).await;
            let mut tx = self.db.write().await?;
            match told {
                // What the provider does not know it will not renew.
                Ok(()) | Err(PaymentError::Provider(ProviderError::Unknown(_))) => plans::told(&mut tx, wish.subscription, wish.revision).await?,
                Err(error) => {
                    let pause = crate::payments::growing_pause(RETRY_MS, wish.tries, MAX_RETRY_MS);
                    plans::tell_later(&mut tx, wish.subscription, self.now() + pause).await?;
                    tracing::warn!(%error, subscription = %wish.subscription, "the payment provider could not be told of a wish; it is tried again");
                }
            }
            tx.commit().await?;
        }
        Ok(wishes.len())
    }

    async fn tell(&self, wish: &Untold) -> Result<(), PaymentError> {
        let (provider, external) = (self.provider()?, &wish.external_id);
        if wish.ended {
            return Ok(provider.cancel_subscription(external, When::Now).await.map(drop)?);
        }
        if wish.cancelled {
            return Ok(provider.cancel_subscription(external, When::PeriodEnd).await.map(drop)?);
        }
        let now = provider.subscription(external).await?;
        if now.status == SubscriptionState::Ended {
            return Ok(());
        }
        if now.version != Some(wish.next.version) {
            let change = Change {
                subscription: external.clone(),
                title: wish.next.terms.name.clone(),
                price: wish.next.terms.price(),
                plan: renewing_plan(&wish.next, 0),
                when: When::PeriodEnd,
                credit_unused: false,
                key: format!("{}:{}", wish.subscription, wish.revision),
            };
            provider.change_subscription(&change).await?;
        } else if now.ends_with_period {
            provider.resume_subscription(external).await?;
        }
        Ok(())
    }

    /// Asks how the subscription stands that a message is about, and makes up first for a bill that was not heard of. `None` when it has not begun here, or is over.
    pub(super) async fn look_at_subscription(&self, told: &Subscription) -> Result<Option<(Subscription, Standing)>, PaymentError> {
        let Some(standing) = plans::standing(&mut *self.db.read().await?, &told.id).await? else { return Ok(None) };
        if standing.state == State::Ended {
            return Ok(None);
        }
        let now = self.provider()?.subscription(&told.id).await?;
        if now.period_start < standing.paid_until - NEAR_MS {
            return Ok(Some((now, standing)));
        }
        self.catch_up(&told.id, standing.since, None).await?;
        let Some(standing) = plans::standing(&mut *self.db.read().await?, &told.id).await? else { return Ok(None) };
        // Asked again: what is compared must have been asked after what it is compared with was read.
        Ok(Some((self.provider()?.subscription(&told.id).await?, standing)))
    }

    /// Acts on how the provider says that a subscription stands.
    pub(in crate::payments) async fn on_subscription(
        &self,
        tx: &mut Tx,
        told: &Subscription,
        seen: Option<&(Subscription, Standing)>,
    ) -> Result<Handled, PaymentError> {
        let Some(first) = self.locked(tx, told.order).await?.filter(Order::begins_subscription) else { return Ok(Handled::Ignored) };
        let Some((now, standing)) = seen else { return Ok(Handled::Done(Some(first.id))) };
        let customer = store::customer(tx, first.user, first.method.word()).await?;
        if standing.user != first.user || customer.as_ref() != Some(&now.customer) {
            return self.refuse(tx, &first, &format!("subscription {} is another customer's", now.id)).await;
        }
        let word = match now.status {
            SubscriptionState::Ended => Word::Ended(now.ended_at.unwrap_or_else(|| self.now())),
            SubscriptionState::PastDue | SubscriptionState::Unpaid | SubscriptionState::Paused => Word::Unpaid,
            SubscriptionState::Active | SubscriptionState::Trial if now.ends_with_period => Word::EndsWithPeriod,
            SubscriptionState::Active | SubscriptionState::Trial => Word::Runs,
            SubscriptionState::Incomplete => return Ok(Handled::Done(Some(first.id))),
        };
        let heard = Heard { subscription: standing.subscription, word, revision: standing.revision };
        if !plans::heard(tx, &self.kit, &self.books, &heard).await? {
            return Ok(Handled::Again);
        }
        if matches!(word, Word::Ended(_)) {
            super::store::close_all(tx, standing.subscription, self.now()).await?;
        }
        Ok(Handled::Done(Some(first.id)))
    }
}
