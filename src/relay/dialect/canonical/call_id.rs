//! Ids of tool calls that a stricter dialect accepts. A call and its result are rendered apart, so the same id must always come to the same.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// The id itself when it has 1 to `longest` letters, digits, `_` and `-`; otherwise one made from its hash.
///
/// `longest` is at least 37.
pub fn fit(id: &str, longest: usize) -> Cow<'_, str> {
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if is_plain && !id.is_empty() && id.len() <= longest {
        return Cow::Borrowed(id);
    }
    Cow::Owned(format!("call_{}", HEXLOWER.encode(&Sha256::digest(id.as_bytes())[..16])))
}

/// A name that only has to be the same again each time: itself, or its hash when it is longer than `longest`, which is at least 64.
pub fn shorten(name: &str, longest: usize) -> Cow<'_, str> {
    if name.len() <= longest { Cow::Borrowed(name) } else { Cow::Owned(HEXLOWER.encode(&Sha256::digest(name.as_bytes()))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_callers_apart() {
        let [one, other] = ["a", "b"].map(|end| shorten(&format!("{}{end}", "x".repeat(64)), 64).into_owned());
        assert!(one != other && one.len() == 64);
        assert_eq!(shorten("user-1", 64), "user-1");
    }

    #[test]
    fn only_what_does_not_fit_is_replaced_and_always_by_the_same() {
        assert_eq!(fit("toolu_01-A", 64), "toolu_01-A");
        for bad in ["", "functions.get:0", "ä", &"x".repeat(65)] {
            let fitted = fit(bad, 64).into_owned();
            assert!(fitted.starts_with("call_") && fitted.len() == 37 && fitted == fit(bad, 64) && fit(&fitted, 40) == fitted, "{bad}");
        }
        assert_ne!(fit("a.b", 64), fit("a:b", 64));
    }
}
