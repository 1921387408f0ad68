//! Subscriptions by card: begun by an order, renewed by the provider's bills, and changed or ended here and on the provider's pages.
//!
//! - Each bill that was collected makes one term and one order of its own, already paid, in one transaction; whatever comes first of the provider's message, the answer to
//!   a request of ours and the look for what was lost makes them, the others find them made.
//! - A message says that something has happened, not how it stands now: before a transaction begins, the provider is asked. So messages may come in any order.
//! - What was wished here is told to the provider by a job, until it knows. A bill that was collected for a subscription that has ended here is paid back.
//!
//! No provider is asked while a transaction is open. Locks: message, first order, plan, subscription, wallet.

mod begin;
mod bills;
mod changing;
mod dunning;
mod lost;
pub mod store;
mod telling;

pub use changing::{ChangeNow, ChangeOffer, Changed};
pub use dunning::PaidAgain;
pub use store::UnpaidBill;

use super::provider::{Event, Invoice, Subscription};
use super::{PaymentError, Payments};
use crate::plans::Standing;

/// What was asked of the provider before a message is acted on.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The bill that the message is about, or the first one of the subscription that a checkout has begun.
    pub bill: Option<Invoice>,
    /// The subscription that the message is about, and how it stood here before the provider was asked.
    pub subscription: Option<(Subscription, Standing)>,
}

impl Payments {
    /// Asks what has to be known to act on a message about a subscription.
    pub(super) async fn look_before(&self, event: &Event) -> Result<Seen, PaymentError> {
        Ok(match event {
            Event::CheckoutCompleted(checkout) | Event::CheckoutPaid(checkout) => Seen { bill: self.first_bill(checkout).await?, ..Seen::default() },
            Event::InvoicePaid(bill) | Event::InvoiceFailed(bill) => Seen { bill: self.look_at_bill(bill).await?, ..Seen::default() },
            Event::Subscription(told) => Seen { subscription: self.look_at_subscription(told).await?, ..Seen::default() },
            _ => {
                self.hear_of_payment(event).await?;
                Seen::default()
            }
        })
    }
}
