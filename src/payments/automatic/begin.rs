//! When an order is made by itself.

use super::super::order::NewRow;
use super::super::{Method, Payments, What};
use super::{AUTOMATIC, Automatic, PaymentError, Reason, store};
use crate::accounts;
use crate::db::Tx;
use crate::kernel::clock::DAY_MS;
use crate::kernel::{Id, Usd};
use crate::ledger::watch::{self, Purpose, Wire};
use crate::payments::provider::SavedCard;
use crate::plans::Stretch;
use crate::settings::TopUpTerms;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// As long as this the same charge is asked for under the same key: Stripe remembers keys for a day.
pub(super) const ASKABLE_MS: i64 = 20 * 3_600_000;
/// When the provider is asked what became of a charge of which nothing was heard.
const FIRST_LOOK_MS: i64 = 60_000;
/// How many customers one turn of the job looks at.
const PORTION: i64 = 100;

/// The calendar month of a zone in which a moment lies.
pub(super) fn month(now_ms: i64, zone: &TimeZone) -> Stretch {
    let day = |at: Timestamp| at.to_zoned(zone.clone());
    let first = Timestamp::from_millisecond(now_ms).ok().and_then(|now| day(now).first_of_month().ok()?.start_of_day().ok());
    let next = first.as_ref().and_then(|first| first.checked_add(1.month()).ok()?.start_of_day().ok());
    let ms = |zoned: Option<jiff::Zoned>, or: i64| zoned.map_or(or, |zoned| zoned.timestamp().as_millisecond());
    Stretch { from: ms(first, 0), until: ms(next, now_ms + 31 * DAY_MS) }
}

impl Payments {
    /// Buys credit for a customer whose balance is below what they have said, unless that is under way, paused, or more than they allow. Returns the order when
    /// one was made; it was then charged, or will be.
    ///
    /// # Errors
    /// The database's and the provider's; the next turn tries again.
    pub async fn top_up_if_low(&self, user: Id) -> Result<Option<Id>, PaymentError> {
        if self.provider.is_none() {
            return Ok(None);
        }
        let mut conn = self.db.read().await?;
        let Some(known) = store::find(&mut conn, user).await?.filter(|row| row.is_on && row.paused_until <= self.now()) else { return Ok(None) };
        let is_low = self.books.remaining(&mut conn, user).await? < known.terms.below;
        if store::open(&mut conn, user).await?.is_some() || (!is_low && known.paused_until == 0) {
            return Ok(None);
        }
        drop(conn);
        // Asked before anything is locked. What is decided by the answer is decided again under the lock.
        let card = if is_low { self.saved_card(user).await? } else { None };
        let mut tx = self.db.write().await?;
        let made = self.begin(&mut tx, user, is_low.then_some(card)).await?;
        tx.commit().await?;
        if let Some(order) = made {
            crate::failpoint::reach("automatic_order_made");
            self.attend(order).await?;
        }
        Ok(made)
    }

    /// Looks at those whose pause is over.
    ///
    /// # Errors
    /// The database's. What the provider could not do is tried again.
    pub async fn automatic_due(&self) -> Result<usize, PaymentError> {
        if self.provider.is_none() {
            return Ok(0);
        }
        let due = store::due(&mut *self.db.read().await?, self.now(), PORTION).await?;
        for user in &due {
            match self.top_up_if_low(*user).await {
                Ok(_) => {}
                Err(PaymentError::Provider(error)) => tracing::warn!(%error, %user, "an automatic top-up waits for the payment provider"),
                Err(error) => return Err(error),
            }
        }
        Ok(due.len())
    }

    /// Decides under the lock. `card`: what the provider has said, when it was asked.
    async fn begin(&self, tx: &mut Tx, user: Id, card: Option<Option<SavedCard>>) -> Result<Option<Id>, PaymentError> {
        let now = self.now();
        let Some(row) = store::lock(tx, user).await?.filter(|row| row.is_on && row.paused_until <= now) else { return Ok(None) };
        if store::open(tx, user).await?.is_some() {
            return Ok(None);
        }
        if self.books.remaining(tx, user).await? >= row.terms.below {
            self.wait(tx, &row).await?;
            return Ok(None);
        }
        // It fell below only now: whoever saw that comes in a moment.
        let Some(card) = card else { return Ok(None) };
        let Some(card) = card else { return self.stop(tx, user, Some(Reason::NoCard)).await.map(|_| None) };
        let sold = self.settings.now().top_up.clone();
        if !is_as_agreed(&row, &sold) {
            return self.stop(tx, user, Some(Reason::Price)).await.map(|_| None);
        }
        let month = month(now, &self.settings.now().time_zone);
        let may_spend = accounts::find(tx, user).await?.is_some_and(|user| user.may_spend());
        let bought = store::bought_since(tx, user, month.from).await?;
        let until = match () {
            () if !may_spend => Some(now + DAY_MS),
            () if bought.checked_add(row.terms.amount).is_none_or(|sum| sum > row.terms.monthly) => Some(month.until),
            () => None,
        };
        if let Some(until) = until {
            store::pause(tx, user, until, row.failures, row.reason).await?;
            watch::set_wire(tx, user, Purpose::TopUp, None).await?;
            return Ok(None);
        }
        self.make(tx, &row, &sold, &card).await.map(Some)
    }

    async fn make(&self, tx: &mut Tx, row: &Automatic, sold: &TopUpTerms, card: &SavedCard) -> Result<Id, PaymentError> {
        let (id, now, worth) = (self.kit.ids.next(), self.now(), row.terms.amount);
        let price = sold.price(worth).ok_or(PaymentError::NoRate(sold.currency))?;
        let lang = accounts::find(tx, row.user).await?.map(|user| user.lang()).unwrap_or_default();
        let site = self.settings.now().site_name.clone();
        let new = NewRow {
            user: row.user,
            what: What::TopUp,
            details: AUTOMATIC.to_owned(),
            title: lang.with("top_up.order_title", &[("amount", &worth.display()), ("site", &site)]),
            language: lang.tag().to_owned(),
            method: Method::Provider(self.provider()?.name().to_owned()),
            list_price: price,
            price,
            rate: sold.rate,
            worth,
            credit: worth,
            bonus: sold.bonus(worth),
        };
        super::super::store::insert_order(tx, id, &new, now, now + ASKABLE_MS, now + FIRST_LOOK_MS).await?;
        store::insert_charge(tx, id, row.user, &card.id).await?;
        store::pause(tx, row.user, 0, row.failures, row.reason).await?;
        watch::set_wire(tx, row.user, Purpose::TopUp, None).await?;
        tracing::info!(order = %id, user = %row.user, price = %price.display(), "credit is bought by itself");
        Ok(id)
    }

    /// Ends a pause and waits for the balance to fall.
    pub(super) async fn wait(&self, tx: &mut Tx, row: &Automatic) -> Result<(), PaymentError> {
        store::pause(tx, row.user, 0, row.failures, row.reason).await?;
        Ok(watch::set_wire(tx, row.user, Purpose::TopUp, Some(Wire::Below(row.terms.below))).await?)
    }
}

/// Whether what would be charged is what was agreed to, or less.
fn is_as_agreed(row: &Automatic, sold: &TopUpTerms) -> bool {
    let is_sold = (sold.least..=sold.most).contains(&row.terms.amount) && row.terms.amount > Usd::ZERO;
    is_sold && sold.price(row.terms.amount).is_some_and(|price| price.currency == row.price.currency && price.minor <= row.price.minor && price.minor > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_the_shop_s() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let shanghai = TimeZone::get("Asia/Shanghai").unwrap();
        let seen = month(at("2026-02-28T15:59:59Z"), &shanghai);
        assert_eq!((seen.from, seen.until), (at("2026-01-31T16:00:00Z"), at("2026-02-28T16:00:00Z")));
        assert_eq!(month(at("2026-02-28T16:00:00Z"), &shanghai).from, at("2026-02-28T16:00:00Z"));
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let march = month(at("2026-03-29T12:00:00Z"), &berlin);
        assert_eq!((march.from, march.until), (at("2026-02-28T23:00:00Z"), at("2026-03-31T22:00:00Z")), "summer time begins in it");
        let february = month(at("2028-02-29T23:59:59Z"), &TimeZone::UTC);
        assert_eq!((february.from, february.until), (at("2028-02-01T00:00:00Z"), at("2028-03-01T00:00:00Z")));
    }
}
