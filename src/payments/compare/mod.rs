//! Reconciliation: what the provider says of a period beside what our books say, and each difference with its reason.
//!
//! Nothing is changed by looking. The provider's lists are read in a bounded number of parts; a period that has more is compared as far as that goes, and says so.

mod sides;
pub mod store;

pub use sides::{Difference, Reason, Side, Stand, Subject, Totals};

use super::provider::{Dispute, List, Movement, Payment, PaymentState, Provider, ProviderError, Refund};
use super::{PaymentError, Payments};
use crate::kernel::clock::DAY_MS;
use sides::Sheet;
use std::collections::HashMap;
use store::{Bill, Kept, OurDispute, OurRefund};

/// How many parts of a list are read, of up to a hundred each.
const PARTS: usize = 20;
/// How many rows of ours are read.
const ROWS: i64 = 2_000;
/// How many payments that the list does not have are asked for by their ids.
const ASKED: usize = 25;
/// The clocks differ, and a page is paid up to a day after it was opened: what lies so near to the period is looked at, too.
const MARGIN_MS: i64 = 2 * DAY_MS;

/// A period, compared.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Sums and counts by what and currency: theirs and ours.
    pub totals: Vec<Totals>,
    /// What differs, the newest first.
    pub differences: Vec<Difference>,
    /// There was more than is read.
    pub is_cut: bool,
}

/// What the provider has of a time.
#[derive(Default)]
struct Theirs {
    payments: Vec<Payment>,
    refunds: Vec<Refund>,
    disputes: Vec<Dispute>,
    movements: Vec<Movement>,
    is_cut: bool,
}

/// What our books have of it.
struct Ours {
    bills: Vec<Bill>,
    refunds: Vec<OurRefund>,
    disputes: Vec<OurDispute>,
    fees: Vec<Kept>,
    /// The order of each payment of the provider's.
    by_payment: HashMap<String, Bill>,
}

impl Payments {
    /// Compares what lies from one moment to before another.
    ///
    /// # Errors
    /// [`PaymentError::NoProvider`], the provider's, the database's.
    pub async fn compare(&self, from: i64, until: i64) -> Result<Comparison, PaymentError> {
        let provider = self.provider()?;
        let wide = (from.saturating_sub(MARGIN_MS), until.saturating_add(MARGIN_MS));
        let mut theirs = fetch(&**provider, wide).await?;
        let ours = self.ours(provider.name(), wide, &theirs.payments).await?;
        self.ask_for_the_rest(&mut theirs, &ours, (from, until)).await?;
        let mut sheet = Sheet::new((from, until), theirs.is_cut || ours.is_cut());
        sheet.payments(&theirs.payments, &ours.bills, &ours.by_payment);
        sheet.refunds(&theirs.refunds, &ours.refunds, &ours.by_payment);
        sheet.disputes(&theirs.disputes, &ours.disputes, &ours.by_payment);
        sheet.fees(&theirs.movements, &ours.fees, &ours.by_payment);
        Ok(sheet.done())
    }

    async fn ours(&self, name: &str, wide: (i64, i64), payments: &[Payment]) -> Result<Ours, PaymentError> {
        let mut snapshot = self.db.snapshot().await?;
        let bills = store::bills(&mut snapshot, name, wide, ROWS + 1).await?;
        let refunds = store::refunds(&mut snapshot, name, wide, ROWS + 1).await?;
        let disputes = store::disputes(&mut snapshot, name, wide, ROWS + 1).await?;
        let fees = store::kept(&mut snapshot, name, wide, ROWS + 1).await?;
        let mut by_payment: HashMap<String, Bill> = bills.iter().filter_map(|bill| Some((bill.payment.clone()?, bill.clone()))).collect();
        for payment in payments {
            if !by_payment.contains_key(&payment.id)
                && let Some(bill) = store::bill_of(&mut snapshot, name, &payment.id, payment.order).await?
            {
                by_payment.insert(payment.id.clone(), bill);
            }
        }
        Ok(Ours { bills, refunds, disputes, fees, by_payment })
    }

    /// A payment may have been begun long before it was paid: those of our orders that the list does not have are asked for by their ids.
    async fn ask_for_the_rest(&self, theirs: &mut Theirs, ours: &Ours, (from, until): (i64, i64)) -> Result<(), PaymentError> {
        let provider = self.provider()?;
        let missing = ours.bills.iter().filter(|bill| (from..until).contains(&bill.at)).filter_map(|bill| bill.payment.clone());
        let missing: Vec<String> = missing.filter(|id| theirs.payments.iter().all(|payment| payment.id != *id)).collect();
        theirs.is_cut |= missing.len() > ASKED;
        for id in missing.into_iter().take(ASKED) {
            match provider.look_at_payment(&id).await {
                Ok(payment) => theirs.payments.push(payment),
                Err(ProviderError::Unknown(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl Ours {
    fn is_cut(&self) -> bool {
        [self.bills.len(), self.refunds.len(), self.disputes.len(), self.fees.len()].into_iter().any(|rows| rows as i64 > ROWS)
    }
}

/// A list of the provider's, as far as it is read, and whether there is more.
macro_rules! read {
    ($provider:ident.$list:ident, $from:expr, $until:expr) => {{
        let (mut items, mut list) = (Vec::new(), List { from: Some($from), until: Some($until), after: None });
        for _ in 0..PARTS {
            let page = $provider.$list(&list).await?;
            items.extend(page.items);
            list.after = page.next;
            if list.after.is_none() {
                break;
            }
        }
        (items, list.after.is_some())
    }};
}

async fn fetch(provider: &dyn Provider, (from, until): (i64, i64)) -> Result<Theirs, ProviderError> {
    let (payments, a) = read!(provider.payments, from, until);
    let (refunds, b) = read!(provider.refunds, from, until);
    let (disputes, c) = read!(provider.disputes, from, until);
    let (movements, d) = read!(provider.movements, from, until);
    let payments: Vec<Payment> = payments;
    let payments = payments.into_iter().filter(|payment| payment.status == PaymentState::Paid || payment.order.is_some()).collect();
    Ok(Theirs { payments, refunds, disputes, movements, is_cut: a || b || c || d })
}
