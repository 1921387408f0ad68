//! Links that work once: issued into a mail, kept as a hash.

use super::store;
use crate::db::{Conn, Tx};
use crate::kernel::{Id, Kit, clock, secrets};
use crate::referrals::Invitation;

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// To prove that an address is theirs.
    Verify,
    /// To choose another password.
    Reset,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Verify => "verify",
            Kind::Reset => "reset",
        }
    }

    fn lifetime_ms(self) -> i64 {
        match self {
            Kind::Verify => 2 * clock::DAY_MS,
            Kind::Reset => clock::DAY_MS / 24,
        }
    }
}

/// Why a link does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It was never issued, or so long ago that nothing is known of it.
    #[error("the link is unknown")]
    Unknown,
    /// It was used.
    #[error("the link was used already")]
    Used,
    /// It was not used in time, or a later one took its place.
    #[error("the link has expired")]
    Expired,
}

/// Makes a link's token. One for nobody is written all the same.
pub(super) async fn issue(tx: &mut Tx, kit: &Kit, user: Option<Id>, kind: Kind) -> Result<String, sqlx::Error> {
    issue_inviting(tx, kit, user, kind, None).await
}

/// As [`issue`], for somebody who was invited: with them, what they came by.
pub(super) async fn issue_inviting(tx: &mut Tx, kit: &Kit, user: Option<Id>, kind: Kind, invitation: Option<&Invitation>) -> Result<String, sqlx::Error> {
    let (token, now) = (secrets::token(&kit.random), kit.clock.now_ms());
    let invitation = invitation.map(Invitation::write);
    store::insert_link(tx, &secrets::hash(&token), user, kind.name(), now, now + kind.lifetime_ms(), invitation).await?;
    Ok(token)
}

/// Uses a link up in the transaction of what it is for.
pub(super) async fn consume(tx: &mut Tx, now: i64, token: &str, kind: Kind) -> Result<Result<Id, LinkError>, sqlx::Error> {
    let hash = secrets::hash(token);
    if let Some(user) = store::use_link(tx, &hash, kind.name(), now).await? {
        return Ok(Ok(user));
    }
    Ok(Err(fault(store::link(tx, &hash, kind.name()).await?)))
}

/// Whether a link would work now.
pub(super) async fn check(conn: &mut Conn, now: i64, token: &str, kind: Kind) -> Result<Result<(), LinkError>, sqlx::Error> {
    let row = store::link(conn, &secrets::hash(token), kind.name()).await?;
    let good = row.is_some_and(|(used_at, expires_at)| used_at.is_none() && expires_at > now);
    Ok(if good { Ok(()) } else { Err(fault(row)) })
}

/// Ends the links of a kind that a person has not used.
pub(super) async fn void(tx: &mut Tx, now: i64, user: Id, kind: Kind) -> Result<(), sqlx::Error> {
    store::void_links(tx, user, kind.name(), now).await
}

fn fault(row: Option<store::LinkRow>) -> LinkError {
    match row {
        None => LinkError::Unknown,
        Some((Some(_), _)) => LinkError::Used,
        Some((None, _)) => LinkError::Expired,
    }
}
