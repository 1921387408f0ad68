//! Mail: an outbox in the database, and what carries it away.
//!
//! A mail is a row written in the transaction of its cause, so that there is never the one without the other. A job sends what is due: it
//! claims a row before it sends it, so that no mail goes twice in normal operation. Should the process die between sending and saying so,
//! the mail goes again under the same Message-ID. Texts are gone from the database once a mail has left, since they carry links
//! that open accounts, and so are the files that went with it.
//!
//! Called by `accounts`, `gift_cards` and `invoices` (letters) and `app` (the job).

mod letter;
mod outbox;
pub mod store;
mod transport;

pub use letter::Letter;
pub use outbox::{GIVE_UP_AFTER, Outbox, Sent};
pub use transport::{SendError, Transport, TransportError};

use crate::db::Tx;
use crate::kernel::{Id, Kit};

/// A mail to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// To whom.
    pub to: Recipient,
    /// The subject, one line.
    pub subject: String,
    /// The body as plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
    /// What goes with it.
    pub attachment: Option<Attachment>,
}

/// A PDF that goes with a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The name of its file.
    pub name: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// To whom a mail goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// An address.
    Address(String),
    /// Nobody: the row is written as one that was sent already. It makes the answer about an unknown address cost what the answer
    /// about a known one costs.
    Nobody,
}

/// Puts a mail into the outbox, in the transaction of its cause.
///
/// # Errors
/// The database's.
pub async fn enqueue(tx: &mut Tx, kit: &Kit, message: &Message) -> Result<Id, sqlx::Error> {
    let id = kit.ids.next();
    store::insert(tx, id, message, kit.clock.now_ms()).await?;
    Ok(id)
}
