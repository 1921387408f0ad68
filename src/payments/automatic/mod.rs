//! Credit that is bought by itself: a saved card is charged when the balance falls below what its owner has said.
//!
//! Invariants, which the tests race:
//! - nothing is charged without an order, which is committed first and is the provider's key; an order whose answer was lost is asked for again under the same
//!   key as long as the provider remembers it, and looked for in its list after that;
//! - one customer has at most one such order under way (a unique index says so too), and in one calendar month of the shop never more than they have agreed to,
//!   with what is under way;
//! - an order ends unpaid only when the provider has given its payment up, or never had one;
//! - what is charged is what was agreed to: when the price has gone up, or is in another currency, it is switched off until its owner agrees again;
//! - money that goes back, or that a bank wants back, switches it off: it must not be charged again for what it has just returned.
//!
//! Who falls below the level is told by [`Watch`](crate::ledger::Watch). Locks are taken in the order order, automatic_top_up, revision.

mod begin;
mod charge;
mod letters;
pub mod store;

use super::provider::{DeclineReason, ProviderError, SavedCard};
use super::{PaymentError, Payments};
use crate::db::Tx;
use crate::kernel::fields::{self, Mistakes};
use crate::kernel::{FieldError, Id, Money, Usd};
use crate::ledger::watch::{self, Purpose};
use crate::settings::TopUpTerms;
use serde_json::json;

/// What an order's details say when nobody was there to make it.
pub(super) const AUTOMATIC: &str = "automatic";
/// And when its buyer wants the card to be kept.
pub(super) const KEEP_CARD: &str = "keep_card";
/// The most that somebody may let be charged in a month.
const MOST_MONTHLY: Usd = Usd::dollars(100_000);

/// When to buy, how much, and how much at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// When less than this is left.
    pub below: Usd,
    /// So much credit.
    pub amount: Usd,
    /// But never more than this in a calendar month.
    pub monthly: Usd,
}

impl Terms {
    /// From a form: its fields `below`, `amount`, `monthly`, in dollars, and `agree`, a box.
    ///
    /// # Errors
    /// Every mistake, by field.
    pub fn parse<'a>(field: impl Fn(&str) -> &'a str, sold: &TopUpTerms) -> Result<Self, Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let below = mistakes.take("below", dollars(field("below")));
        let amount = mistakes.take("amount", sold.amount(field("amount")));
        let monthly = mistakes.take("monthly", dollars(field("monthly")));
        if let (Some(below), Some(amount)) = (below, amount)
            && amount < below
        {
            mistakes.add("amount", "autopay.error.amount_under_below");
        }
        if let (Some(amount), Some(monthly)) = (amount, monthly)
            && monthly < amount
        {
            mistakes.add("monthly", "autopay.error.monthly_under_amount");
        }
        if field("agree").is_empty() {
            mistakes.add("agree", "autopay.error.agree");
        }
        let terms = Self { below: below.unwrap_or_default(), amount: amount.unwrap_or_default(), monthly: monthly.unwrap_or_default() };
        mistakes.check().map(|()| terms)
    }
}

fn dollars(text: &str) -> Result<Usd, &'static str> {
    let amount: Usd = text.trim().trim_start_matches('$').parse().map_err(fields::money_key)?;
    match amount {
        _ if amount <= Usd::ZERO => Err("top_up.error.not_positive"),
        _ if amount > MOST_MONTHLY => Err("field.amount_too_large"),
        _ if amount.0 % 10_000_000 != 0 => Err("top_up.error.cents"),
        _ => Ok(amount),
    }
}

/// Why a charge failed, or why it is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There was not enough money.
    Funds,
    /// The card has expired, or is wrong.
    Card,
    /// The bank wanted a confirmation that nobody gave.
    Confirmation,
    /// The bank said no.
    Bank,
    /// Something went wrong on the way.
    Passing,
    /// No card is saved any more.
    NoCard,
    /// The price is not what was agreed to.
    Price,
    /// A payment went back, or a bank wants it back.
    MoneyBack,
}

impl Reason {
    /// Every one.
    pub const ALL: [Reason; 8] =
        [Reason::Funds, Reason::Card, Reason::Confirmation, Reason::Bank, Reason::Passing, Reason::NoCard, Reason::Price, Reason::MoneyBack];

    const fn word(self) -> &'static str {
        match self {
            Reason::Funds => "funds",
            Reason::Card => "card",
            Reason::Confirmation => "confirmation",
            Reason::Bank => "bank",
            Reason::Passing => "passing",
            Reason::NoCard => "no_card",
            Reason::Price => "price",
            Reason::MoneyBack => "money_back",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.word() == word)
    }

    /// The sentence that says so.
    pub fn key(self) -> &'static str {
        match self {
            Reason::Funds => "autopay.reason.funds",
            Reason::Card => "autopay.reason.card",
            Reason::Confirmation => "autopay.reason.confirmation",
            Reason::Bank => "autopay.reason.bank",
            Reason::Passing => "autopay.reason.passing",
            Reason::NoCard => "autopay.reason.no_card",
            Reason::Price => "autopay.reason.price",
            Reason::MoneyBack => "autopay.reason.money_back",
        }
    }

    /// Whether trying again cannot help.
    fn is_final(self) -> bool {
        matches!(self, Reason::Card | Reason::NoCard | Reason::Price | Reason::MoneyBack)
    }
}

impl From<DeclineReason> for Reason {
    fn from(reason: DeclineReason) -> Self {
        match reason {
            DeclineReason::Funds => Reason::Funds,
            DeclineReason::Card => Reason::Card,
            DeclineReason::Confirmation => Reason::Confirmation,
            DeclineReason::Bank => Reason::Bank,
            DeclineReason::Passing => Reason::Passing,
        }
    }
}

/// What a customer has agreed to, and how it goes.
#[derive(Clone, Debug)]
pub struct Automatic {
    /// Whose card it is.
    pub user: Id,
    /// It may be charged.
    pub is_on: bool,
    /// When, how much, and how much at most.
    pub terms: Terms,
    /// What one costs, as it was agreed to.
    pub price: Money,
    /// When that was.
    pub agreed_at: i64,
    /// How many charges in a row have failed.
    pub failures: i64,
    /// Why the last one has, or why it is off.
    pub reason: Option<Reason>,
    /// Nothing is charged before this moment.
    pub paused_until: i64,
}

impl Payments {
    /// What a customer has agreed to.
    ///
    /// # Errors
    /// The database's.
    pub async fn automatic(&self, user: Id) -> Result<Option<Automatic>, sqlx::Error> {
        store::find(&mut *self.db.read().await?, user).await
    }

    /// How much was bought by itself in the calendar month that runs, with what is under way.
    ///
    /// # Errors
    /// The database's.
    pub async fn bought_this_month(&self, user: Id) -> Result<Usd, sqlx::Error> {
        let month = begin::month(self.now(), &self.settings.now().time_zone);
        store::bought_since(&mut *self.db.read().await?, user, month.from).await
    }

    /// The order that is under way by itself.
    ///
    /// # Errors
    /// The database's.
    pub async fn automatic_order(&self, user: Id) -> Result<Option<Id>, sqlx::Error> {
        store::open(&mut *self.db.read().await?, user).await
    }

    /// The card that a customer has saved with the provider, if any.
    ///
    /// # Errors
    /// The provider's, and [`PaymentError::NoProvider`].
    pub async fn saved_card(&self, user: Id) -> Result<Option<SavedCard>, PaymentError> {
        let provider = self.provider()?;
        let known = super::store::customer(&mut *self.db.read().await?, user, provider.name()).await?;
        match known {
            Some(customer) => match provider.saved_card(&customer).await {
                // The provider has forgotten the whole customer, cards and all.
                Err(ProviderError::Unknown(_)) => Ok(None),
                card => Ok(card?),
            },
            None => Ok(None),
        }
    }

    /// Lets a saved card be charged under these terms from now on. Keeps what was agreed to, and when.
    ///
    /// # Errors
    /// [`PaymentError::NoRate`] when the shop cannot charge it.
    pub async fn agree(&self, user: Id, terms: &Terms, card: &SavedCard, language: &str) -> Result<(), PaymentError> {
        let sold = &self.settings.now().top_up;
        let price = sold.price(terms.amount).filter(|price| price.is_chargeable() && price.minor > 0).ok_or(PaymentError::NoRate(sold.currency))?;
        let agreed = json!({
            "below": terms.below.to_string(), "amount": terms.amount.to_string(), "monthly": terms.monthly.to_string(), "price": price.display(),
            "card": {"id": card.id, "brand": card.brand, "last4": card.last4}, "language": language,
        });
        let (mut tx, now) = (self.db.write().await?, self.now());
        store::agree(&mut tx, user, terms, price, now).await?;
        store::insert_consent(&mut tx, self.kit.ids.next(), user, &agreed.to_string(), now).await?;
        // It is due at once, and whoever looks at what is due sets the wire.
        Ok(tx.commit().await?)
    }

    /// Its owner wants nothing to be charged any more. What waits for a confirmation is given up.
    ///
    /// # Errors
    /// The database's. Whether the provider could be told is not told here: it is told again later.
    pub async fn switch_off(&self, user: Id) -> Result<(), PaymentError> {
        let mut tx = self.db.write().await?;
        let under_way = store::open(&mut tx, user).await?;
        self.stop(&mut tx, user, None).await?;
        tx.commit().await?;
        if let Some(order) = under_way
            && let Err(error) = self.give_up(order).await
        {
            tracing::warn!(%error, %order, "an automatic order could not be given up yet");
        }
        Ok(())
    }

    /// Forgets a customer's saved cards. Nothing is charged by itself from then on, whether or not the provider answers.
    ///
    /// # Errors
    /// The provider's: a card may still be saved there.
    pub async fn forget_cards(&self, user: Id) -> Result<(), PaymentError> {
        self.switch_off(user).await?;
        // A customer may have saved one at each of several purchases.
        for _ in 0..20 {
            let Some(card) = self.saved_card(user).await? else { break };
            self.provider()?.forget_card(&card.id).await?;
        }
        Ok(())
    }

    /// The pages of the provider on which a customer looks after cards, bills and subscriptions; none for whoever has never paid there.
    ///
    /// # Errors
    /// The provider's, and [`PaymentError::NoProvider`].
    pub async fn portal(&self, user: Id) -> Result<Option<String>, PaymentError> {
        let provider = self.provider()?;
        let known = super::store::customer(&mut *self.db.read().await?, user, provider.name()).await?;
        match known {
            Some(customer) => Ok(Some(provider.portal(&customer, &format!("{}/account/payment", self.base_url)).await?)),
            None => Ok(None),
        }
    }

    /// Switches it off, if it is on; with a mail when the customer did not want that. Whether it was on.
    pub(super) async fn stop(&self, tx: &mut Tx, user: Id, reason: Option<Reason>) -> Result<bool, PaymentError> {
        let Some(row) = store::lock(tx, user).await?.filter(|row| row.is_on) else { return Ok(false) };
        store::set_off(tx, user, reason).await?;
        if let Some(reason) = reason {
            tracing::info!(%user, reason = reason.word(), "automatic top-up was switched off");
            self.mail_off(tx, &row, reason).await?;
        }
        watch::set_wire(tx, user, Purpose::TopUp, None).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(below: &str, amount: &str, monthly: &str, agree: &str) -> Result<Terms, Vec<FieldError>> {
        let fields = [("below", below), ("amount", amount), ("monthly", monthly), ("agree", agree)];
        Terms::parse(|name| fields.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| *value), &TopUpTerms::default())
    }

    #[test]
    fn a_form_is_read_with_every_mistake_at_its_field() {
        let terms = Terms { below: Usd::dollars(5), amount: Usd::dollars(20), monthly: Usd::dollars(100) };
        assert_eq!(parse(" $5", "20", "100", "on"), Ok(terms));
        for (typed, field, key) in [
            (["0", "20", "100", "on"], "below", "top_up.error.not_positive"),
            (["x", "20", "100", "on"], "below", "field.amount"),
            (["0.001", "20", "100", "on"], "below", "top_up.error.cents"),
            (["5", "1", "100", "on"], "amount", "top_up.error.too_little"),
            (["50", "20", "100", "on"], "amount", "autopay.error.amount_under_below"),
            (["5", "20", "19.99", "on"], "monthly", "autopay.error.monthly_under_amount"),
            (["5", "20", "100001", "on"], "monthly", "field.amount_too_large"),
            (["5", "20", "100", ""], "agree", "autopay.error.agree"),
        ] {
            let [below, amount, monthly, agree] = typed;
            assert_eq!(parse(below, amount, monthly, agree), Err(vec![FieldError::new(field, key)]), "{typed:?}");
        }
    }

    #[test]
    fn every_reason_has_its_word() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_word(reason.word()), Some(reason));
        }
    }
}
