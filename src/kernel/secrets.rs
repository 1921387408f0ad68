//! Secrets: the application secret and what is derived from it, values that never print, tokens, hashes, sealing at rest.

use super::Random;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A value that must not reach a log: prints as `[secret]`.
#[derive(Clone, PartialEq, Eq, Default, serde::Deserialize)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the one call that needs it.
    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The application secret: 32 bytes that every node of a shop shares. Everything derived from it has a purpose of its own,
/// so that one use can never be mistaken for another.
#[derive(Clone)]
pub struct AppSecret(Zeroizing<[u8; 32]>);

/// Why a text is not an application secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadAppSecret {
    /// Not 64 hexadecimal digits.
    #[error("must be 64 hexadecimal digits (make one with: openssl rand -hex 32)")]
    NotHex,
    /// Copied from an example, or made of one repeated pattern.
    #[error("is an example or has a repeated pattern; make your own with: openssl rand -hex 32")]
    Example,
}

/// Why sealed text cannot be opened.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the sealed value cannot be opened: APP_SECRET has changed, or the value was altered")]
pub struct CannotOpen;

impl AppSecret {
    /// A new one.
    pub fn generate(random: &Random) -> Self {
        Self(Zeroizing::new(random.bytes()))
    }

    /// The 64 hexadecimal digits that are kept in the secret's file.
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(HEXLOWER.encode(&*self.0))
    }

    /// A key of 32 bytes for one purpose (HKDF-SHA256, RFC 5869).
    ///
    /// # Panics
    /// Never: 32 bytes are within what HKDF gives.
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0u8; 32]);
        hkdf::Hkdf::<Sha256>::new(Some(b"farebox"), &*self.0).expand(purpose.as_bytes(), &mut *key).expect("32 bytes are within reach");
        key
    }

    /// Encrypts and authenticates `plain` (XChaCha20-Poly1305). `context` names the row it belongs to: sealed text moved to
    /// another row does not open.
    ///
    /// # Panics
    /// Never for values that fit in memory.
    pub fn seal(&self, random: &Random, purpose: &str, context: &str, plain: &str) -> String {
        let cipher = XChaCha20Poly1305::new(&(*self.derive(purpose)).into());
        let nonce: [u8; 24] = random.bytes();
        let sealed = cipher.encrypt(&XNonce::from(nonce), Payload { msg: plain.as_bytes(), aad: context.as_bytes() }).expect("sealing fits in memory");
        format!("v1.{}", BASE64URL_NOPAD.encode(&[nonce.as_slice(), &sealed].concat()))
    }

    /// Opens what [`AppSecret::seal`] made with the same purpose and context.
    ///
    /// # Errors
    /// [`CannotOpen`] when anything differs.
    pub fn open(&self, purpose: &str, context: &str, sealed: &str) -> Result<Secret<String>, CannotOpen> {
        let bytes = sealed.strip_prefix("v1.").and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok()).ok_or(CannotOpen)?;
        let (nonce, body) = bytes.split_first_chunk::<24>().ok_or(CannotOpen)?;
        let cipher = XChaCha20Poly1305::new(&(*self.derive(purpose)).into());
        let plain = cipher.decrypt(&XNonce::from(*nonce), Payload { msg: body, aad: context.as_bytes() }).map_err(|_| CannotOpen)?;
        String::from_utf8(plain).map(Secret::new).map_err(|_| CannotOpen)
    }
}

impl FromStr for AppSecret {
    type Err = BadAppSecret;

    fn from_str(text: &str) -> Result<Self, BadAppSecret> {
        let bytes = HEXLOWER.decode(text.trim().to_ascii_lowercase().as_bytes()).map_err(|_| BadAppSecret::NotHex)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| BadAppSecret::NotHex)?;
        let distinct = bytes.iter().collect::<std::collections::HashSet<_>>().len();
        if distinct < 16 { Err(BadAppSecret::Example) } else { Ok(Self(Zeroizing::new(bytes))) }
    }
}

impl fmt::Debug for AppSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A token for a link or a session: 256 random bits, safe in a URL.
pub fn token(random: &Random) -> String {
    BASE64URL_NOPAD.encode(&random.bytes::<32>())
}

/// SHA-256 in hexadecimal: how tokens, keys and codes of 128 bits or more are stored. Not for passwords.
pub fn hash(text: &str) -> String {
    HEXLOWER.encode(&digest(text))
}

/// SHA-256.
pub fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Equality whose time does not tell where two texts differ.
pub fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_values_open_only_where_they_belong() {
        let random = Random::seeded(1);
        let (secret, other) = (AppSecret::generate(&random), AppSecret::generate(&random));
        let sealed = secret.seal(&random, "channel", "7", "upstream-key");
        assert!(!sealed.contains("upstream-key"));
        assert_eq!(secret.open("channel", "7", &sealed).unwrap().reveal(), "upstream-key");
        assert_eq!(secret.open("channel", "8", &sealed).unwrap_err(), CannotOpen);
        assert_eq!(secret.open("mail", "7", &sealed).unwrap_err(), CannotOpen);
        assert_eq!(other.open("channel", "7", &sealed).unwrap_err(), CannotOpen);
        assert_eq!(secret.open("channel", "7", "v1.AAAA").unwrap_err(), CannotOpen);
        assert_ne!(sealed, secret.seal(&random, "channel", "7", "upstream-key"));
    }

    #[test]
    fn example_secrets_are_refused_and_nothing_prints() {
        assert_eq!("change-me".parse::<AppSecret>().unwrap_err(), BadAppSecret::NotHex);
        assert_eq!("0".repeat(64).parse::<AppSecret>().unwrap_err(), BadAppSecret::Example);
        assert_eq!("0123456789abcdef".repeat(4).parse::<AppSecret>().unwrap_err(), BadAppSecret::Example);
        let secret = AppSecret::generate(&Random::seeded(2));
        assert_eq!(format!("{secret:?} {:?}", Secret::new("x")), "[secret] [secret]");
        assert!(secret.to_hex().parse::<AppSecret>().is_ok());
    }
}
