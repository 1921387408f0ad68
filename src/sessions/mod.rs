//! Sessions: a cookie that carries nothing but a random id, and a row for it.
//!
//! What holds here:
//! - The database has only the id's hash; the id is new after every log-in.
//! - A session ends a fortnight after its last use, a month after log-in, when its person's `session_epoch` grows, and when the account is shut.
//! - Nobody makes the database write by looking at pages: a visitor who is shown a form gets a cookie and no row, and a row's last use is
//!   noted every few minutes only.
//!
//! Callers: `web` (who is it, is the form theirs), `app` (the layer, the sweep).

pub mod csrf;
pub mod store;

pub use store::Store;
pub use tower_sessions::Session;
pub use tower_sessions::session::Error as SessionError;

use crate::accounts::User;
use crate::kernel::{Id, clock};
use tower_sessions::cookie::SameSite;
use tower_sessions::{Expiry, SessionManagerLayer};

/// The cookie's name.
pub const COOKIE: &str = "farebox_session";
/// How long a session of somebody who is logged in lasts without use.
pub const IDLE_MS: i64 = 14 * clock::DAY_MS;
/// How long a session lasts at most.
pub const ABSOLUTE_MS: i64 = 30 * clock::DAY_MS;
/// How long what a visitor's session holds (a message for the next page) is kept.
pub const VISITOR_IDLE_MS: i64 = clock::DAY_MS;

const USER: &str = "user";
const EPOCH: &str = "epoch";
/// Holds the place of data in the session of a visitor who has nothing but the cookie.
const VISITOR: &str = "visitor";

/// The layer that gives every request its session. The cookie lasts as long as a session may at most; the row says when it ends.
pub fn layer(store: Store, secure: bool) -> SessionManagerLayer<Store> {
    SessionManagerLayer::new(store)
        .with_name(COOKIE)
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_secure(secure)
        .with_expiry(Expiry::OnInactivity(time::Duration::milliseconds(ABSOLUTE_MS)))
}

/// Begins the session of somebody whose password was right: under a new id, with nothing of the visitor's in it.
///
/// # Errors
/// The store's.
pub async fn log_in(session: &Session, user: &User) -> Result<(), SessionError> {
    session.clear().await;
    session.cycle_id().await?;
    session.insert(USER, user.id.0).await?;
    session.insert(EPOCH, user.session_epoch).await
}

/// Ends a session.
///
/// # Errors
/// The store's.
pub async fn log_out(session: &Session) -> Result<(), SessionError> {
    session.flush().await
}

/// Whose session it is: nobody's when it has ended in any way.
///
/// # Errors
/// The store's.
pub async fn user(session: &Session) -> Result<Option<Id>, SessionError> {
    Ok(session.get::<i64>(USER).await?.map(Id))
}
