//! The token that every form carries, so that another site cannot send it in a visitor's name.
//!
//! The token is a hash of the session's id, which only the browser and the server know: nothing needs to be kept for it, and it changes when
//! the id does. Each page shows it under a fresh mask, so that the length of compressed pages tells nothing about it.

use super::{Session, SessionError, VISITOR};
use crate::kernel::{Random, secrets};
use data_encoding::BASE64URL_NOPAD;
use subtle::ConstantTimeEq;

/// The name of the form's hidden field.
pub const FIELD: &str = "csrf";
/// The header in which a script sends the token.
pub const HEADER: &str = "x-csrf-token";

const BYTES: usize = 32;

/// The token for a form in this session. A visitor's session begins with their first form.
///
/// # Errors
/// The store's.
pub async fn token(session: &Session, random: &Random) -> Result<String, SessionError> {
    if secret(session).await?.is_none() {
        session.insert(VISITOR, true).await?;
        session.save().await?;
    }
    let mask: [u8; BYTES] = random.bytes();
    let secret = secret(session).await?.unwrap_or_else(|| random.bytes());
    Ok(BASE64URL_NOPAD.encode(&[mask, xor(secret, mask)].concat()))
}

/// Whether `sent` is a token of this session.
///
/// # Errors
/// The store's.
pub async fn check(session: &Session, sent: &str) -> Result<bool, SessionError> {
    let (Some(secret), Some(sent)) = (secret(session).await?, unmask(sent)) else { return Ok(false) };
    Ok(sent.ct_eq(&secret).into())
}

async fn secret(session: &Session) -> Result<Option<[u8; BYTES]>, SessionError> {
    // Reading it is what finds out that a session has ended: then it has no id any more.
    session.get_value(VISITOR).await?;
    Ok(session.id().map(|id| secrets::digest(&format!("farebox csrf {id}"))))
}

fn unmask(sent: &str) -> Option<[u8; BYTES]> {
    let bytes: [u8; 2 * BYTES] = BASE64URL_NOPAD.decode(sent.as_bytes()).ok()?.try_into().ok()?;
    let (mask, masked) = bytes.split_at(BYTES);
    Some(xor(mask.try_into().ok()?, masked.try_into().ok()?))
}

fn xor(a: [u8; BYTES], b: [u8; BYTES]) -> [u8; BYTES] {
    std::array::from_fn(|i| a[i] ^ b[i])
}
