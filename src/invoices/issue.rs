//! How documents are issued. Each call is made in the transaction of what it is about, after everything else that this locks.

use super::document::{About, Brings, Document, Kind, Line, Reason, VERSION};
use super::store::{self, NewRow};
use super::tax;
use super::terms::{Party, Terms};
use super::text::clean;
use super::{letter, terms::Mailing};
use crate::db::Tx;
use crate::i18n::Lang;
use crate::kernel::{Id, Kit, Money, Rate, Usd};
use crate::mail;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The longest text of a line, in characters: what an order is called is bounded where it is made.
const MAX_TEXT: usize = 300;

/// The shop that issues.
#[derive(Clone, Debug)]
pub struct Office {
    /// What it is called.
    pub site: String,
    /// Where customers reach it, without a slash at its end.
    pub url: String,
    /// Whose calendar says which day it is.
    pub zone: TimeZone,
}

/// An order that was paid.
#[derive(Clone, Debug)]
pub struct Paid<'a> {
    /// The order.
    pub order: Id,
    /// Who has bought.
    pub user: Id,
    /// What stands on the bill.
    pub title: &'a str,
    /// The tag of the buyer's language.
    pub language: &'a str,
    /// The price before any coupon.
    pub list_price: Money,
    /// What was paid.
    pub price: Money,
    /// Units of the currency for one dollar of credit.
    pub rate: Rate,
    /// The credit that it brings; nothing for what is no credit.
    pub credit: Usd,
    /// Credit on top.
    pub bonus: Usd,
}

/// Why money goes back: the row of what makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// A refund of ours, or one on the provider's pages.
    Refund(Id),
    /// A dispute that is lost.
    Dispute(Id),
}

/// Issues the document of a paid order, once. Returns its id.
///
/// # Errors
/// The database's; then nothing of the transaction may be committed.
pub async fn issue(tx: &mut Tx, kit: &Kit, office: &Office, paid: &Paid<'_>) -> Result<Id, sqlx::Error> {
    let cause = format!("order:{}", paid.order);
    if let Some((known, _)) = store::by_cause(tx, &cause).await? {
        return Ok(known);
    }
    let terms = store::terms(tx).await?;
    let billing = store::billing(tx, paid.user).await?;
    let email = store::email(tx, paid.user).await?;
    let shown = |amount: Usd| if amount > Usd::ZERO { amount.display() } else { String::new() };
    let is_foreign = paid.price.currency != crate::kernel::Currency::USD;
    let document = Document {
        version: VERSION,
        kind: Kind::Invoice,
        called: terms.called,
        number: String::new(),
        lang: Lang::parse(paid.language).unwrap_or_default().code().to_owned(),
        date: String::new(),
        seller: seller(&terms, office),
        footer: terms.footer.clone(),
        buyer: Party { name: billing.name, address: billing.address, tax_id: billing.tax_id, email },
        order: paid.order,
        line: Line { text: clean(paid.title, MAX_TEXT), amount: paid.list_price.minor },
        off: paid.list_price.minor - paid.price.minor,
        brings: Brings { credit: shown(paid.credit), bonus: shown(paid.bonus), rate: if is_foreign { paid.rate.to_string() } else { String::new() } },
        currency: paid.price.currency,
        gross: paid.price.minor,
        tax: tax::included(paid.price.minor, terms.tax_rate),
        tax_rate: terms.tax_rate,
        tax_name: terms.tax_name.clone(),
        about: None,
        reason: None,
    };
    number(tx, kit, office, &terms, New { user: paid.user, cause: &cause, about: None, document }).await
}

/// Issues the credit note of money that has gone back, once. None when the order has no document, or all of it was given back before.
///
/// # Errors
/// The database's; then nothing of the transaction may be committed.
pub async fn credit(tx: &mut Tx, kit: &Kit, office: &Office, order: Id, back: Back, amount: Money) -> Result<Option<Id>, sqlx::Error> {
    let (cause, reason) = match back {
        Back::Refund(id) => (format!("refund:{id}"), Reason::Refund),
        Back::Dispute(id) => (format!("dispute:{id}"), Reason::Dispute),
    };
    if let Some((known, _)) = store::by_cause(tx, &cause).await? {
        return Ok(Some(known));
    }
    let Some((about, invoice)) = store::by_cause(tx, &format!("order:{order}")).await? else { return Ok(None) };
    let (left, tax_left) = store::left(tx, order).await?;
    let amount = amount.minor.min(left);
    if amount <= 0 {
        return Ok(None);
    }
    let terms = store::terms(tx).await?;
    let tax = tax::given_back(amount, left, tax_left, invoice.tax_rate);
    let document = Document {
        kind: Kind::Credit,
        seller: seller(&terms, office),
        footer: terms.footer.clone(),
        gross: -amount,
        tax: -tax,
        about: Some(About { number: invoice.number.clone(), date: invoice.date.clone() }),
        reason: Some(reason),
        ..invoice
    };
    let Some((user, _)) = store::one(tx, about).await? else { return Ok(None) };
    number(tx, kit, office, &terms, New { user, cause: &cause, about: Some(about), document }).await.map(Some)
}

/// Undoes the credit note of a refund that did not reach the buyer, once. None when there is none.
///
/// # Errors
/// The database's; then nothing of the transaction may be committed.
pub async fn cancel_credit(tx: &mut Tx, kit: &Kit, office: &Office, refund: Id) -> Result<Option<Id>, sqlx::Error> {
    let cause = format!("failed-refund:{refund}");
    if let Some((known, _)) = store::by_cause(tx, &cause).await? {
        return Ok(Some(known));
    }
    let Some((about, note)) = store::by_cause(tx, &format!("refund:{refund}")).await? else { return Ok(None) };
    let terms = store::terms(tx).await?;
    let document = Document {
        kind: Kind::Cancellation,
        seller: seller(&terms, office),
        footer: terms.footer.clone(),
        gross: -note.gross,
        tax: -note.tax,
        about: Some(About { number: note.number.clone(), date: note.date.clone() }),
        ..note
    };
    let Some((user, _)) = store::one(tx, about).await? else { return Ok(None) };
    number(tx, kit, office, &terms, New { user, cause: &cause, about: Some(about), document }).await.map(Some)
}

/// A document without its number and its day.
struct New<'a> {
    user: Id,
    cause: &'a str,
    about: Option<Id>,
    document: Document,
}

/// Gives a document its number and its day, keeps it, and writes to its buyer.
async fn number(tx: &mut Tx, kit: &Kit, office: &Office, terms: &Terms, new: New<'_>) -> Result<Id, sqlx::Error> {
    let prefix = if new.document.kind == Kind::Invoice { &terms.prefix } else { &terms.credit_prefix };
    let taken = store::take_number(tx, prefix).await?;
    crate::failpoint::reach("invoice_numbered");
    // Under the lock of the numbers, so that later ones have later moments.
    let (id, now) = (kit.ids.next(), kit.clock.now_ms());
    let document = Document {
        number: format!("{prefix}{:0width$}", taken.number, width = usize::try_from(taken.digits).unwrap_or(1)),
        date: day(now, &office.zone),
        ..new.document
    };
    store::insert(tx, &NewRow { id, prefix, n: taken.number, user: new.user, cause: new.cause, about: new.about, document: &document, issued_at: now }).await?;
    if terms.mailing != Mailing::Off && !document.buyer.email.is_empty() {
        // Where mail reaches them now.
        let to = store::email(tx, new.user).await?;
        mail::enqueue(tx, kit, &letter::message(office, id, &document, to, terms.mailing == Mailing::Pdf)).await?;
    }
    tracing::info!(number = document.number, order = %document.order, "a document was issued");
    Ok(id)
}

fn seller(terms: &Terms, office: &Office) -> Party {
    if terms.seller.name.is_empty() { Party { name: clean(&office.site, MAX_TEXT), ..terms.seller.clone() } } else { terms.seller.clone() }
}

/// The day of a moment.
fn day(at: i64, zone: &TimeZone) -> String {
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone.clone()).strftime("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_is_that_of_the_shops_calendar() {
        let zone = |name| TimeZone::get(name).unwrap();
        let evening = 1_772_409_600_000; // 2026-03-02T00:00:00Z
        assert_eq!(day(evening, &TimeZone::UTC), "2026-03-02");
        assert_eq!(day(evening - 1, &zone("Asia/Shanghai")), "2026-03-02");
        assert_eq!(day(evening, &zone("America/New_York")), "2026-03-01");
    }
}
