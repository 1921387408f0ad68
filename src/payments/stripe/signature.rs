//! Whether a webhook is Stripe's: `Stripe-Signature: t=<unix seconds>,v1=<hex>,...`, where each `v1` may be the HMAC-SHA256 of `<t>.<raw body>` under the
//! endpoint's secret. There are several while the secret is being changed. Schemes other than `v1` do not count: `v0` is for Stripe's own tests.

use crate::payments::provider::Rejected;
use data_encoding::HEXLOWER_PERMISSIVE;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How old or early a message may be, either way.
pub(super) const TOLERANCE_MS: i64 = 5 * 60 * 1000;
/// Longer headers are nobody's.
const LONGEST_HEADER: usize = 4096;
/// So many signatures are tried.
const MOST_SIGNATURES: usize = 16;

/// Checks the header against the body.
pub(super) fn check(secret: &str, header: &[u8], body: &[u8], now_ms: i64) -> Result<(), Rejected> {
    if secret.trim().is_empty() {
        return Err(Rejected::NoSecret);
    }
    let Parts { signed_at, at_ms, signatures } = parse(header)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| Rejected::NoSecret)?;
    mac.update(signed_at.as_bytes());
    mac.update(b".");
    mac.update(body);
    // In constant time, and always all of them.
    let matches = signatures.iter().filter(|signature| mac.clone().verify_slice(*signature).is_ok()).count();
    match () {
        () if matches == 0 => Err(Rejected::WrongSignature),
        () if now_ms.saturating_sub(at_ms) > TOLERANCE_MS => Err(Rejected::TooOld),
        () if at_ms.saturating_sub(now_ms) > TOLERANCE_MS => Err(Rejected::TooNew),
        () => Ok(()),
    }
}

/// What stands in the header.
struct Parts<'a> {
    /// The time as it was signed, digit by digit.
    signed_at: &'a str,
    at_ms: i64,
    signatures: Vec<[u8; 32]>,
}

fn parse(header: &[u8]) -> Result<Parts<'_>, Rejected> {
    let header = std::str::from_utf8(header).ok().filter(|header| header.len() <= LONGEST_HEADER).ok_or(Rejected::Malformed)?;
    let (mut signed_at, mut signatures) = (None, Vec::new());
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", at)) if signed_at.is_none() => signed_at = Some(at),
            Some(("t", _)) | None => return Err(Rejected::Malformed),
            Some(("v1", signature)) if signatures.len() < MOST_SIGNATURES => signatures.extend(decode(signature)),
            Some(_) => {}
        }
    }
    let signed_at = signed_at.filter(|at| !at.is_empty() && at.bytes().all(|byte| byte.is_ascii_digit())).ok_or(Rejected::Malformed)?;
    let at_ms = signed_at.parse::<i64>().ok().and_then(|at| at.checked_mul(1000)).ok_or(Rejected::Malformed)?;
    if signatures.is_empty() {
        return Err(Rejected::Malformed);
    }
    Ok(Parts { signed_at, at_ms, signatures })
}

fn decode(hex: &str) -> Option<[u8; 32]> {
    HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &str = "whsec_test";
    const NOW: i64 = 1_800_000_000_000;
    const BODY: &str = "{\n  \"id\": \"evt_1\"\n}";

    fn signature(secret: &str, at: i64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{at}.{body}").as_bytes());
        format!("t={at},v1={}", data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes()))
    }

    fn signed(at_ms: i64) -> String {
        signature(SECRET, at_ms / 1000, BODY)
    }

    #[test]
    fn a_message_counts_only_with_the_right_secret_body_and_time() {
        let at = |header: &str, body: &str| check(SECRET, header.as_bytes(), body.as_bytes(), NOW);
        assert_eq!(at(&signed(NOW), BODY), Ok(()));
        assert_eq!(at(&signed(NOW), "{\"id\":\"evt_1\"}"), Err(Rejected::WrongSignature));
        assert_eq!(at(&signature("whsec_other", NOW / 1000, BODY), BODY), Err(Rejected::WrongSignature));
        assert_eq!((at(&signed(NOW - TOLERANCE_MS), BODY), at(&signed(NOW + TOLERANCE_MS), BODY)), (Ok(()), Ok(())));
        assert_eq!(at(&signed(NOW - TOLERANCE_MS - 1000), BODY), Err(Rejected::TooOld));
        assert_eq!(at(&signed(NOW + TOLERANCE_MS + 1000), BODY), Err(Rejected::TooNew));
        let moved = signed(NOW).replace(&format!("t={}", NOW / 1000), &format!("t={}", NOW / 1000 + 1));
        assert_eq!(at(&moved, BODY), Err(Rejected::WrongSignature), "the time is signed, too");
    }

    #[test]
    fn an_empty_secret_refuses_everything() {
        for secret in ["", " ", "\n"] {
            let header = signature(secret, NOW / 1000, BODY);
            assert_eq!(check(secret, header.as_bytes(), BODY.as_bytes(), NOW), Err(Rejected::NoSecret));
        }
    }

    #[test]
    fn one_right_signature_among_several_is_enough() {
        let (_, right) = signed(NOW).split_once("v1=").map(|(t, v)| (t.to_owned(), v.to_owned())).unwrap();
        let at = |rest: &str| check(SECRET, format!("t={},{rest}", NOW / 1000).as_bytes(), BODY.as_bytes(), NOW);
        assert_eq!(at(&format!("v1={},v1={right},v0=abc", "0".repeat(64))), Ok(()));
        assert_eq!(at(&format!(" v1={} , v1={right}", "zz")), Ok(()));
        assert_eq!(at(&format!("v0={right}")), Err(Rejected::Malformed), "another scheme");
        assert_eq!(at(&format!("v1={}", &right[..62])), Err(Rejected::Malformed));
        assert_eq!(at(&format!("t=1,v1={right}")), Err(Rejected::Malformed), "two times");
        let many = format!("v1={},", "0".repeat(64)).repeat(16);
        assert_eq!(at(&format!("{many}v1={right}")), Err(Rejected::WrongSignature), "more than anybody sends");
    }

    proptest! {
        #[test]
        fn hostile_headers_are_refused_without_a_panic(header in proptest::collection::vec(any::<u8>(), 0..200), now in any::<i64>()) {
            prop_assert!(check(SECRET, &header, BODY.as_bytes(), now).is_err());
        }

        #[test]
        fn nearly_right_headers_are_refused_without_a_panic(t in "[0-9]{0,25}|-?[0-9]{1,5}|x", v in "([0-9a-fA-F]{64}|[0-9a-z]{0,70})", more in "[,=tv01 ]{0,20}", now in any::<i64>()) {
            let header = format!("t={t},v1={v},{more}");
            prop_assert!(check(SECRET, header.as_bytes(), BODY.as_bytes(), now).is_err());
        }

        #[test]
        fn a_flipped_bit_anywhere_is_noticed(at in 0..BODY.len(), bit in 0..8) {
            let mut body = BODY.as_bytes().to_vec();
            body[at] ^= 1_u8 << bit;
            prop_assert_eq!(check(SECRET, signed(NOW).as_bytes(), &body, NOW), Err(Rejected::WrongSignature));
        }
    }
}
