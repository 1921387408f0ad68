//! What a key looks like: `sk-`, 43 random base62 characters (256 bits), and 6 more that prove the first 43.
//!
//! The checksum lets us refuse a typo without a lookup, and lets a scanner tell a leaked key from any other text. There is no
//! hyphen after `sk-`: some clients cut there.

use crate::kernel::Random;
use crate::kernel::secrets::{self, Secret};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX: &str = "sk-";
const RANDOM_LEN: usize = 43;
const CHECK_LEN: usize = 6;
const LEN: usize = PREFIX.len() + RANDOM_LEN + CHECK_LEN;
/// How many characters are kept in the clear, to recognise a key by: `sk-` and five more leave 226 secret bits.
const SHOWN: usize = 8;

/// A well-formed key, reduced to what it is looked up by. That it exists is for the snapshot to say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ApiKey {
    digest: [u8; 32],
}

/// The text is not one of our keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an API key of this shop")]
pub struct NotAKey;

impl ApiKey {
    /// Checks form and checksum.
    ///
    /// # Errors
    /// [`NotAKey`] for everything that [`generate`] cannot have made.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        let body = text.strip_prefix(PREFIX).filter(|body| text.len() == LEN && body.bytes().all(|b| b.is_ascii_alphanumeric())).ok_or(NotAKey)?;
        let (random, check) = body.split_at(RANDOM_LEN);
        if checksum(random) != check.as_bytes() {
            return Err(NotAKey);
        }
        Ok(Self { digest: secrets::digest(text) })
    }

    /// The SHA-256 of the key's text.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey([secret])")
    }
}

/// A new key.
pub(super) fn generate(random: &Random) -> Secret<String> {
    let mut text = String::with_capacity(LEN);
    text.push_str(PREFIX);
    while text.len() < PREFIX.len() + RANDOM_LEN {
        // Bytes from 248 on are thrown away: they would make the first characters of the alphabet likelier.
        let fair = random.bytes::<64>().into_iter().filter(|&byte| byte < 248);
        let missing = PREFIX.len() + RANDOM_LEN - text.len();
        text.extend(fair.take(missing).map(|byte| BASE62[usize::from(byte % 62)] as char));
    }
    let check = checksum(&text[PREFIX.len()..]);
    text.extend(check.map(|byte| byte as char));
    Secret::new(text)
}

/// The first characters of a key, by which its owner recognises it.
pub(super) fn shown(key: &Secret<String>) -> &str {
    &key.reveal()[..SHOWN]
}

/// Six base62 digits of SHA-256 over the random part.
fn checksum(random: &str) -> [u8; CHECK_LEN] {
    let digest = secrets::digest(random);
    let mut n = digest[..8].iter().fold(0u64, |n, &byte| n << 8 | u64::from(byte));
    std::array::from_fn(|_| {
        let digit = BASE62[(n % 62) as usize];
        n /= 62;
        digit
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_keys_are_well_formed_and_differ() {
        let random = Random::seeded(1);
        let mut seen = std::collections::HashSet::new();
        let mut letters = std::collections::HashSet::new();
        for _ in 0..500 {
            let key = generate(&random);
            let text = key.reveal();
            assert_eq!(text.len(), 52);
            assert_eq!(text.matches('-').count(), 1);
            assert_eq!(ApiKey::parse(text).unwrap().digest(), &secrets::digest(text));
            assert_eq!(shown(&key), &text[..8]);
            letters.extend(text[3..46].bytes());
            assert!(seen.insert(text.clone()));
        }
        assert_eq!(letters.len(), 62, "the whole alphabet is used");
    }

    #[test]
    fn any_changed_character_is_noticed() {
        let key = generate(&Random::seeded(2));
        let text = key.reveal();
        for at in 0..text.len() {
            let mut typo = text.clone().into_bytes();
            typo[at] = if typo[at] == b'a' { b'b' } else { b'a' };
            assert_eq!(ApiKey::parse(std::str::from_utf8(&typo).unwrap()), Err(NotAKey), "position {at}");
        }
        let swapped = format!("{}{}{}{}", &text[..10], &text[11..12], &text[10..11], &text[12..]);
        assert!(swapped == *text || ApiKey::parse(&swapped).is_err());
    }

    #[test]
    fn foreign_texts_are_refused_without_a_panic() {
        let own = generate(&Random::seeded(3));
        let own = own.reveal();
        let longer = format!("{own}a");
        let spaced = format!(" {own}");
        let wide = format!("sk-{}", "é".repeat(24) + "a");
        for bad in ["", "sk-", "sk-proj-abc", &own[..51], &own[3..], &longer, &spaced, &wide, &"k".repeat(52)] {
            assert_eq!(ApiKey::parse(bad), Err(NotAKey), "{bad}");
        }
    }

    #[test]
    fn a_key_does_not_print() {
        let key = ApiKey::parse(generate(&Random::seeded(4)).reveal()).unwrap();
        assert_eq!(format!("{key:?}"), "ApiKey([secret])");
    }
}
