//! Decimal numbers of JSON, read exactly.

use super::Absurd;
use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A duration in seconds, written as a number or as a text of one, in whole milliseconds, rounded up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seconds {
    pub(super) ms: u64,
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let text = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw);
        scaled(text, 3).map(|ms| Self { ms }).map_err(|Absurd| serde::de::Error::custom("not a duration"))
    }
}

/// A duration, or an empty object where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SecondsOrNone(pub(super) Seconds);

impl<'de> Deserialize<'de> for SecondsOrNone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        if raw.starts_with('{') { Ok(Self::default()) } else { serde_json::from_str(raw).map(Self).map_err(serde::de::Error::custom) }
    }
}

/// A whole number of pieces, which may be written with a fraction of zeros ("1.0").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pieces(pub(super) u64);

impl<'de> Deserialize<'de> for Pieces {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let is_whole = raw.split_once('.').is_none_or(|(_, fraction)| fraction.bytes().all(|digit| digit == b'0'));
        let read = if is_whole { scaled(raw, 0) } else { Err(Absurd) };
        read.map(Self).map_err(|Absurd| serde::de::Error::custom("not a whole number"))
    }
}

/// A decimal number times ten to the `places`, rounded up. No sign, no exponent.
fn scaled(text: &str, places: usize) -> Result<u64, Absurd> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let are_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(fraction) || whole.len() > 15 {
        return Err(Absurd);
    }
    let (kept, rest) = fraction.split_at(places.min(fraction.len()));
    let number: u64 = format!("{whole}{kept:0<places$}").parse().map_err(|_| Absurd)?;
    Ok(number + u64::from(rest.bytes().any(|digit| digit != b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_exactly_and_rounded_up() {
        let ms = |text: &str| serde_json::from_str::<Seconds>(text).map(|seconds| seconds.ms).ok();
        for (text, expected) in
            [("9", 9000), ("8.47", 8470), ("\"8.470000267028809\"", 8471), ("0.0001", 1), ("0", 0), ("12.000", 12_000), ("3600.999999", 3_601_000)]
        {
            assert_eq!(ms(text), Some(expected), "{text}");
        }
        for bad in ["-1", "1e3", "\"\"", "\".5\"", "\"NaN\"", "true", "[]", "99999999999999999999"] {
            assert_eq!(ms(bad), None, "{bad}");
        }
        let pieces = |text: &str| serde_json::from_str::<Pieces>(text).map(|pieces| pieces.0).ok();
        assert_eq!(["1", "1.0", "1.5", "-1", "\"1\""].map(pieces), [Some(1), Some(1), None, None, None]);
    }
}
