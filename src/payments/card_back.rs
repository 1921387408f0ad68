//! A bought gift card whose money goes back: nobody can redeem it any more, or somebody has, and it is the shop's loss.

use super::{Order, PaymentError, Payments};
use crate::db::Tx;
use crate::gift_cards::sale::{self, Recall};
use crate::kernel::Usd;
use crate::ledger::{House, Posting, TakenBack, TransferKind};

impl Payments {
    /// Takes a card back for so much of what was paid for it, once per key. A card is void from the first part on. To be called before the wallet is locked.
    pub(super) async fn take_card(&self, tx: &mut Tx, order: &Order, paid: Usd, kind: TransferKind, key: &str) -> Result<TakenBack, PaymentError> {
        let recalled = sale::recall(tx, &self.kit, order.id).await? == Some(Recall::Recalled);
        let from = if recalled { House::Cards } else { House::Loss };
        let reference = order.reference();
        let posting = |debit, credit, amount, idempotency_key| {
            let reference = reference.clone();
            Posting { user: order.user, debit, credit, amount, kind, reference, idempotency_key }
        };
        if paid > Usd::ZERO {
            self.books.post(tx, &posting(from, House::Cash, paid, format!("{key}:card"))).await?;
        }
        // What a coupon had added to its worth was never money.
        let added = order.worth - order.credit;
        if recalled && added > Usd::ZERO {
            self.books.post(tx, &posting(House::Cards, House::Promotion, added, format!("{reference}:off:undone"))).await?;
        }
        Ok(if recalled { TakenBack { unspent: paid, ..TakenBack::default() } } else { TakenBack { lost: paid, ..TakenBack::default() } })
    }
}
