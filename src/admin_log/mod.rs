//! What was done by whom in the back office: rows that are only ever added.
//!
//! What moves money or opens doors (adjustments, gift cards, owners, people switched off, the site's name) is written in the transaction of the
//! deed itself, so that there is no such deed without its row. Channels and models are noted right after they were saved.

pub mod store;

use crate::db::{Conn, Tx};
use crate::kernel::{Id, Kit};

/// One deed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The row.
    pub id: Id,
    /// Who; nobody when it was the command line.
    pub actor: Option<Id>,
    /// What, in one hyphenated word such as `user-disabled`.
    pub action: String,
    /// To what: usually an id.
    pub target: String,
    /// The particulars, and the reason when one was given.
    pub detail: String,
    /// When.
    pub at: i64,
}

/// Records a deed.
///
/// # Errors
/// The database's.
pub async fn record(tx: &mut Tx, kit: &Kit, actor: Option<Id>, action: &str, target: &str, detail: &str) -> Result<(), sqlx::Error> {
    let event = Event { id: kit.ids.next(), actor, action: action.to_owned(), target: target.to_owned(), detail: detail.to_owned(), at: kit.clock.now_ms() };
    store::insert(tx, &event).await
}

/// The latest deeds, newest first, before the row `before`.
///
/// # Errors
/// The database's.
pub async fn recent(conn: &mut Conn, before: Option<Id>, limit: i64) -> Result<Vec<Event>, sqlx::Error> {
    store::recent(conn, before.map_or(i64::MAX, |id| id.0), limit).await
}
