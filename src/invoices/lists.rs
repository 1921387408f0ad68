//! Documents in lists: which, and what a row shows.

use super::document::{Document, Kind};
use super::store;
use crate::db::Conn;
use crate::kernel::{Id, Money};

/// Which documents.
#[derive(Clone, Debug)]
pub struct Filter {
    /// A part of the number, of the buyer's name or address, or of the order's number.
    pub q: String,
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Issued then or later.
    pub from: i64,
    /// Issued before.
    pub until: i64,
}

impl Default for Filter {
    /// All of them.
    fn default() -> Self {
        Self { q: String::new(), kind: None, from: 0, until: i64::MAX }
    }
}

/// A document in a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its row.
    pub id: Id,
    /// What it is.
    pub kind: Kind,
    /// Its number.
    pub number: String,
    /// Whose it is.
    pub user: Id,
    /// Where mail reaches them now.
    pub email: String,
    /// The order.
    pub order: Id,
    /// What was paid; negative when it went back.
    pub gross: Money,
    /// The tax in it.
    pub tax: Money,
    /// All of it.
    pub document: Document,
    /// When it was issued.
    pub issued_at: i64,
}

impl Listed {
    /// What is left without the tax.
    pub fn net(&self) -> Money {
        Money::new(self.gross.minor - self.tax.minor, self.gross.currency)
    }
}

/// Documents, newest first, older than `before`.
///
/// # Errors
/// The database's.
pub async fn list(conn: &mut Conn, filter: &Filter, before: Option<Id>, limit: i64) -> Result<Vec<Listed>, sqlx::Error> {
    store::list(conn, filter, before.unwrap_or(Id(i64::MAX)), limit).await
}

/// A customer's documents, newest first, older than `before`.
///
/// # Errors
/// The database's.
pub async fn of_user(conn: &mut Conn, user: Id, before: Option<Id>, limit: i64) -> Result<Vec<Listed>, sqlx::Error> {
    store::of_user(conn, user, before.unwrap_or(Id(i64::MAX)), limit).await
}

/// The documents of an order, in the order of their numbers.
///
/// # Errors
/// The database's.
pub async fn of_order(conn: &mut Conn, order: Id) -> Result<Vec<Listed>, sqlx::Error> {
    store::of_order(conn, order).await
}
