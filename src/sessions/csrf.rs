//! The token that every form carries, so that another site cannot send it in a visitor's name.
//!
//! The session has one token. Each page shows it under a fresh mask, so that the length of compressed pages tells nothing about it.

use super::{Session, SessionError};
use crate::kernel::Random;
use data_encoding::BASE64URL_NOPAD;
use subtle::ConstantTimeEq;

/// The name of the form's hidden field.
pub const FIELD: &str = "csrf";
/// The header in which a script sends the token.
pub const HEADER: &str = "x-csrf-token";

const KEY: &str = "csrf";
const BYTES: usize = 32;

/// The token for a form in this session, which begins with the first form.
///
/// # Errors
/// The store's.
pub async fn token(session: &Session, random: &Random) -> Result<String, SessionError> {
    let secret = match kept(session).await? {
        Some(secret) => secret,
        None => {
            let secret: [u8; BYTES] = random.bytes();
            session.insert(KEY, BASE64URL_NOPAD.encode(&secret)).await?;
            secret
        }
    };
    let mask: [u8; BYTES] = random.bytes();
    Ok(BASE64URL_NOPAD.encode(&[mask, xor(secret, mask)].concat()))
}

/// Whether `sent` is a token of this session.
///
/// # Errors
/// The store's.
pub async fn check(session: &Session, sent: &str) -> Result<bool, SessionError> {
    let Some(secret) = kept(session).await? else { return Ok(false) };
    Ok(unmask(sent).is_some_and(|sent| sent.ct_eq(&secret).into()))
}

async fn kept(session: &Session) -> Result<Option<[u8; BYTES]>, SessionError> {
    let text: Option<String> = session.get(KEY).await?;
    Ok(text.and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok()).and_then(|bytes| bytes.try_into().ok()))
}

fn unmask(sent: &str) -> Option<[u8; BYTES]> {
    let bytes: [u8; 2 * BYTES] = BASE64URL_NOPAD.decode(sent.as_bytes()).ok()?.try_into().ok()?;
    let (mask, masked) = bytes.split_at(BYTES);
    Some(xor(mask.try_into().ok()?, masked.try_into().ok()?))
}

fn xor(a: [u8; BYTES], b: [u8; BYTES]) -> [u8; BYTES] {
    std::array::from_fn(|i| a[i] ^ b[i])
}
