//! Renewals that could not be collected: the customer is told of each try, and pays again.

use crate::db::{Conn, Tx};
use crate::i18n::Lang;
use crate::kernel::Id;
use crate::mail::{self, Letter, Recipient};
use crate::payments::inbox::Handled;
use crate::payments::provider::{Charged, Decline, Invoice, InvoiceReason};
use crate::payments::{Order, PaymentError, Payments, store};
use crate::plans::{self, Standing, State};
use jiff::Timestamp;

/// What came of paying a bill again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaidAgain {
    /// It is paid.
    Paid,
    /// There is nothing to pay.
    Nothing,
    /// The money is under way.
    Processing,
    /// The bank wants the customer to confirm, on the page of the bill.
    NeedsAction,
    /// No; another card can be given on the page of the bill.
    Declined(Decline),
}

impl Payments {
    /// A bill waits for its money.
    pub(super) async fn on_uncollected(&self, tx: &mut Tx, first: &Order, standing: &Standing, bill: &Invoice) -> Result<Handled, PaymentError> {
        let is_tried = bill.reason == InvoiceReason::Renewal && bill.attempts > 0;
        if !is_tried || standing.state == State::Ended {
            return Ok(Handled::Done(Some(first.id)));
        }
        plans::past_due(tx, &self.kit, &self.books, standing.subscription).await?;
        if super::store::note(tx, first.method.word(), standing.subscription, bill).await? {
            self.tell_unpaid(tx, first, standing, bill).await?;
        }
        Ok(Handled::Done(Some(first.id)))
    }

    async fn tell_unpaid(&self, tx: &mut Tx, first: &Order, standing: &Standing, bill: &Invoice) -> Result<(), PaymentError> {
        let Some(email) = store::email(tx, first.user).await? else { return Ok(()) };
        let plan = match standing.version {
            Some(version) => plans::edition(tx, version).await?.map(|edition| edition.terms.name),
            None => None,
        };
        let (settings, lang) = (self.settings.now(), Lang::parse(&first.language).unwrap_or_default());
        let day = |at: i64| Timestamp::from_millisecond(at).map(|at| at.to_zoned(settings.time_zone.clone()).strftime("%Y-%m-%d").to_string());
        let next = bill.next_attempt_at.and_then(|at| day(at).ok()).unwrap_or_default();
        let (plan, amount) = (plan.unwrap_or_else(|| first.title.clone()), bill.total.display());
        let words = [("plan", plan.as_str()), ("amount", &amount), ("site", &settings.site_name), ("date", &next)];
        let (subject, text, then) = match (bill.attempts, bill.next_attempt_at) {
            (_, None) => ("letters.unpaid.last_subject", "letters.unpaid.last_text", "letters.unpaid.last_then"),
            (0 | 1, _) => ("letters.unpaid.first_subject", "letters.unpaid.first_text", "letters.unpaid.then"),
            _ => ("letters.unpaid.again_subject", "letters.unpaid.again_text", "letters.unpaid.then"),
        };
        let letter = Letter {
            lang,
            site_name: settings.site_name.clone(),
            subject: lang.with(subject, &words),
            paragraphs: vec![lang.with(text, &words), lang.with(then, &words), lang.t("letters.unpaid.rests").into_owned()],
            action: lang.t("letters.unpaid.action").into_owned(),
            link: format!("{}/account/plan/{}/pay", self.base_url, standing.subscription),
            note: lang.t("letters.unpaid.note").into_owned(),
        };
        mail::enqueue(tx, &self.kit, &letter.to(Recipient::Address(email))).await?;
        Ok(())
    }

    /// The bill of a subscription that waits to be paid.
    ///
    /// # Errors
    /// The database's.
    pub async fn unpaid_bill(&self, conn: &mut Conn, subscription: Id) -> Result<Option<super::UnpaidBill>, sqlx::Error> {
        super::store::open(conn, subscription).await
    }

    /// Tries again to collect the bill of a subscription, by the card that its customer has given last.
    ///
    /// # Errors
    /// The provider's.
    pub async fn pay_again(&self, subscription: Id) -> Result<PaidAgain, PaymentError> {
        let mut conn = self.db.read().await?;
        let Some(unpaid) = super::store::open(&mut conn, subscription).await? else { return Ok(PaidAgain::Nothing) };
        let standing = match plans::external(&mut conn, subscription).await? {
            Some(external) => plans::standing(&mut conn, &external).await?,
            None => None,
        };
        drop(conn);
        if standing.is_none_or(|standing| standing.state == State::Ended) {
            return Ok(PaidAgain::Nothing);
        }
        let provider = self.provider()?;
        let charged = provider.pay_invoice(&unpaid.bill, &self.kit.ids.next().to_string()).await?;
        // Whatever was answered, the bill says how it stands.
        let bill = provider.look_at_invoice(&unpaid.bill).await?;
        let mut tx = self.db.write().await?;
        self.on_bill(&mut tx, &bill).await?;
        tx.commit().await?;
        Ok(match charged {
            Charged::Paid(_) => PaidAgain::Paid,
            Charged::Processing(_) => PaidAgain::Processing,
            Charged::NeedsAction(_) => PaidAgain::NeedsAction,
            Charged::Declined(_, why) => PaidAgain::Declined(why),
        })
    }
}
