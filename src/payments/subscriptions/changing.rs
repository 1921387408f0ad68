//! Another plan for a subscription: at once, paid by its card, or from its next renewal on.

use super::begin::renewing_plan;
use crate::kernel::{Id, Money};
use crate::payments::provider::{Change, Decline, ProviderError, When};
use crate::payments::{PaymentError, Payments};
use crate::plans::{self, Edition, Plan, Standing, State, Visibility};

/// How a subscription can become one to another plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeOffer {
    /// What it is of now.
    pub from: Edition,
    /// What it would be of.
    pub to: Edition,
    /// At once, for so much; none when that is not offered.
    pub now: Option<ChangeNow>,
    /// When it is renewed; none when that is not offered.
    pub at_renewal: Option<i64>,
}

/// What a change costs that counts at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeNow {
    /// What is left of the term that is paid, which is taken off: about, since it becomes less by the second. None when more of its allowance was spent than has passed of
    /// its time; what is left of the allowance then stays until its period ends.
    pub unused: Option<Money>,
    /// What is to be paid today, about.
    pub due: Money,
}

/// What came of a change at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is made.
    Done,
    /// The provider knows of it; a message will tell.
    Underway,
    /// The card was declined: nothing has changed.
    Declined(Decline),
}

/// An offer, and how the subscription stood when it was made.
struct Offered {
    offer: ChangeOffer,
    standing: Standing,
    external: String,
}

impl Payments {
    /// How a customer's subscription can become one to another plan; none when it cannot.
    ///
    /// # Errors
    /// The database's.
    pub async fn change_offer(&self, user: Id, subscription: Id, plan: Id) -> Result<Option<ChangeOffer>, PaymentError> {
        Ok(self.offered(user, subscription, plan).await?.map(|offered| offered.offer))
    }

    async fn offered(&self, user: Id, subscription: Id, plan: Id) -> Result<Option<Offered>, PaymentError> {
        let mut conn = self.db.read().await?;
        let (Some(external), Some(plan)) = (plans::external(&mut conn, subscription).await?, plans::find(&mut conn, plan).await?) else { return Ok(None) };
        let Some(standing) = plans::standing(&mut conn, &external).await?.filter(|standing| standing.user == user && standing.state == State::Active) else {
            return Ok(None);
        };
        let is_offered = plan.offer.visibility != Visibility::Off && plan.terms.sold.by_subscription() && plan.id != standing.plan;
        if !is_offered || !plans::has_room(&mut conn, user, &plan).await? {
            return Ok(None);
        }
        let from = match standing.version {
            Some(version) => plans::edition(&mut conn, version).await?,
            None => None,
        };
        let Some(from) = from.filter(|from| from.terms.currency == plan.terms.currency) else { return Ok(None) };
        let is_credited = plans::is_unspent(&mut conn, &self.books, &standing, self.now()).await?;
        Ok(Some(Offered { offer: self.offer_of(&standing, from, &plan, is_credited), standing, external }))
    }

    fn offer_of(&self, standing: &Standing, from: Edition, plan: &Plan, is_credited: bool) -> ChangeOffer {
        let (now, price) = (self.now(), plan.terms.price());
        // A trial is not paid, and the provider counts its first term from its end.
        let is_dearer = price.minor > from.terms.price && !standing.trial && now < standing.paid_until;
        let left = i128::from(from.terms.price) * i128::from(standing.paid_until - now) / i128::from((standing.paid_until - standing.since).max(1));
        let unused = is_credited.then(|| Money::new(i64::try_from(left).unwrap_or(0).clamp(0, from.terms.price), price.currency));
        let due = Money::new(price.minor - unused.map_or(0, |unused| unused.minor), price.currency);
        // With another length the provider would begin, and collect, a new period at once.
        let is_alike = plan.terms.length == from.terms.length;
        ChangeOffer {
            to: Edition { plan: plan.id, version: plan.version, terms: plan.terms.clone() },
            now: is_dearer.then_some(ChangeNow { unused, due }),
            at_renewal: is_alike.then_some(standing.paid_until),
            from,
        }
    }

    /// Makes a customer's subscription one to another plan at once, and collects what that costs.
    ///
    /// # Errors
    /// [`PaymentError::CannotChange`]; the provider's: then nobody knows yet whether it has changed, a message will tell, and asking again changes it once.
    pub async fn change_now(&self, user: Id, subscription: Id, plan: Id) -> Result<Changed, PaymentError> {
        let Offered { offer, standing, external } = self.offered(user, subscription, plan).await?.ok_or(PaymentError::CannotChange)?;
        let cost = offer.now.ok_or(PaymentError::CannotChange)?;
        let provider = self.provider()?;
        // The answer to an earlier attempt may have been lost.
        let before = provider.subscription(&external).await?;
        let is_made = before.version == Some(offer.to.version) && before.period_start > standing.since;
        if !is_made {
            let credit_unused = cost.unused.is_some();
            let change = Change {
                subscription: external.clone(),
                title: offer.to.terms.name.clone(),
                price: offer.to.terms.price(),
                plan: renewing_plan(&offer.to, 0),
                when: When::Now,
                credit_unused,
                key: format!("{subscription}:{}:{}:{}", standing.revision, offer.to.version, if credit_unused { "less" } else { "whole" }),
            };
            match provider.change_subscription(&change).await {
                Ok(_) => {}
                Err(ProviderError::Declined(why)) => {
                    // The provider repeats this answer to the same key: the next attempt, by another card, has another one.
                    let mut tx = self.db.write().await?;
                    plans::stir(&mut tx, subscription).await?;
                    tx.commit().await?;
                    return Ok(Changed::Declined(why));
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.catch_up(&external, standing.since, None).await?;
        let now = plans::standing(&mut *self.db.read().await?, &external).await?;
        Ok(if now.and_then(|now| now.version) == Some(offer.to.version) { Changed::Done } else { Changed::Underway })
    }

    /// Makes a customer's subscription one to another plan from its next renewal on. The provider is told by a job.
    ///
    /// # Errors
    /// [`PaymentError::CannotChange`].
    pub async fn change_at_renewal(&self, user: Id, subscription: Id, plan: Id) -> Result<(), PaymentError> {
        let offer = self.change_offer(user, subscription, plan).await?.ok_or(PaymentError::CannotChange)?;
        offer.at_renewal.ok_or(PaymentError::CannotChange)?;
        let mut tx = self.db.write().await?;
        plans::change_to(&mut tx, &self.kit, &self.books, subscription, plan, &plans::When::PeriodEnd).await?;
        Ok(tx.commit().await?)
    }
}
