//! Messages about what was just done, kept in the session over the redirect and shown once.

use super::page::{Flash, Tone};
use crate::sessions::SessionError;
use tower_sessions::Session;

const KEY: &str = "flashes";

/// Good news for the next page.
///
/// # Errors
/// The store's.
pub async fn good(session: &Session, text: impl Into<String>) -> Result<(), SessionError> {
    put(session, Flash { tone: Tone::Good, text: text.into() }).await
}

/// Bad news for the next page.
///
/// # Errors
/// The store's.
pub async fn bad(session: &Session, text: impl Into<String>) -> Result<(), SessionError> {
    put(session, Flash { tone: Tone::Bad, text: text.into() }).await
}

async fn put(session: &Session, flash: Flash) -> Result<(), SessionError> {
    let mut all: Vec<Flash> = session.get(KEY).await?.unwrap_or_default();
    all.push(flash);
    session.insert(KEY, all).await
}

/// Takes the messages out. Reads first, so that a page without messages writes nothing.
///
/// # Errors
/// The store's.
pub async fn take(session: &Session) -> Result<Vec<Flash>, SessionError> {
    match session.get::<Vec<Flash>>(KEY).await? {
        None => Ok(Vec::new()),
        Some(all) => {
            session.remove_value(KEY).await?;
            Ok(all)
        }
    }
}
