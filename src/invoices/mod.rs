//! Invoices, receipts and credit notes: documents of what was paid and of what went back.
//!
//! Invariants, which the tests race:
//! - each order that a provider was paid for has one document, each refund that was done and each lost dispute has one credit note, each refund that failed
//!   after it was done one that undoes its note;
//! - the numbers of a prefix follow each other without a gap and without one twice: a number is taken in the transaction of what it is about, under a lock
//!   that is held until the commit, and comes back when there is none;
//! - what was issued never changes: everything that is printed is kept with it;
//! - what an order's notes give back is never more than its document says was paid, and together they have exactly its tax.
//!
//! The lock of the numbers is the last one that a transaction takes.
//!
//! Callers: `payments` (issues), `web` (shows).

mod billing;
mod document;
mod issue;
mod letter;
mod lists;
mod pdf;
mod sheet;
pub mod store;
mod tax;
mod terms;
mod text;

pub use billing::Billing;
#[cfg(test)]
pub use document::tests::sample;
pub use document::{Document, Kind, Reason};
pub use issue::{Back, Office, Paid, cancel_credit, credit, issue};
pub use lists::{Filter, Listed, list, of_order, of_user};
pub use sheet::Sheet;
pub use tax::rate_text;
pub use terms::{Called, First, Mailing, Party, Terms, TermsDraft};

use crate::admin_log;
use crate::db::{Conn, Tx};
use crate::kernel::{Id, Kit};

/// A document, and whose it is.
///
/// # Errors
/// The database's.
pub async fn find(conn: &mut Conn, id: Id) -> Result<Option<(Id, Document)>, sqlx::Error> {
    store::one(conn, id).await
}

/// A document as a PDF.
pub fn pdf(document: &Document) -> Vec<u8> {
    pdf::render(&document.sheet())
}

/// The name of its file: its number, with signs that a name of a file can have.
pub fn file_name(document: &Document) -> String {
    format!("{}.pdf", document.number.replace('/', "-"))
}

/// What is in force, with the numbers that come next.
///
/// # Errors
/// The database's.
pub async fn terms(conn: &mut Conn) -> Result<TermsDraft, sqlx::Error> {
    let terms = store::terms(conn).await?;
    let one = First { number: 1, digits: 6 };
    let first = store::series(conn, &terms.prefix).await?.unwrap_or(one);
    let credit_first = store::series(conn, &terms.credit_prefix).await?.unwrap_or(one);
    Ok(TermsDraft { terms, first, credit_first })
}

/// Puts other terms in force, for documents from now on. A prefix that is new begins its own row of numbers; one that was used goes on where it is.
///
/// # Errors
/// The database's.
pub async fn set_terms(tx: &mut Tx, kit: &Kit, actor: Id, draft: &TermsDraft) -> Result<(), sqlx::Error> {
    store::begin_series(tx, &draft.terms.prefix, draft.first).await?;
    if draft.terms.credit_prefix != draft.terms.prefix {
        store::begin_series(tx, &draft.terms.credit_prefix, draft.credit_first).await?;
    }
    if store::terms(tx).await? == draft.terms {
        return Ok(());
    }
    store::insert_terms(tx, kit.ids.next(), &draft.terms, actor, kit.clock.now_ms()).await?;
    admin_log::record(tx, kit, Some(actor), "invoice-terms-set", "", &draft.terms.write()).await
}

/// Whether every number was given to one document, and no order has more given back than was paid: a line for each that is not so.
///
/// # Errors
/// The database's.
pub async fn audit(conn: &mut Conn) -> Result<Vec<String>, sqlx::Error> {
    store::audit(conn).await
}

/// What a customer wants to read on their documents.
///
/// # Errors
/// The database's.
pub async fn billing(conn: &mut Conn, user: Id) -> Result<Billing, sqlx::Error> {
    store::billing(conn, user).await
}

/// Changes it, for documents from now on.
///
/// # Errors
/// The database's.
pub async fn set_billing(tx: &mut Tx, kit: &Kit, user: Id, billing: &Billing) -> Result<(), sqlx::Error> {
    store::put_billing(tx, user, billing, kit.clock.now_ms()).await
}
