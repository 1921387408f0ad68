//! By what a price is multiplied: an exact decimal number, so that nothing is rounded before the end.

use std::fmt;

/// Millionths in a whole.
pub const WHOLE: i64 = 1_000_000;
/// More than a thousand times the price is a typing mistake.
const MOST: i64 = 1_000 * WHOLE;

/// What prices are multiplied by, in millionths: from nothing to a thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PriceFactor(i64);

impl Default for PriceFactor {
    /// The price as it is.
    fn default() -> Self {
        Self::ONE
    }
}

impl PriceFactor {
    /// The price as it is.
    pub const ONE: Self = Self(WHOLE);

    /// From millionths; what is outside of the bounds is brought inside.
    pub const fn from_millionths(millionths: i64) -> Self {
        Self(if millionths < 0 {
            0
        } else if millionths > MOST {
            MOST
        } else {
            millionths
        })
    }

    /// As the database keeps it.
    pub const fn millionths(self) -> i64 {
        self.0
    }

    /// From a typed decimal number from 0 to 1,000 with at most six digits after the point.
    ///
    /// # Errors
    /// The translation key of what is wrong.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "field.factor";
        let text = text.trim();
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let fraction = fraction.trim_end_matches('0');
        let are_digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && !text.contains(|c: char| c.is_ascii_digit()))
            || !are_digits(whole)
            || !are_digits(fraction)
            || fraction.len() > 6
            || whole.len() > 9
        {
            return Err(WRONG);
        }
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| WRONG)? };
        let fraction: i64 = format!("{fraction:0<6}").parse().map_err(|_| WRONG)?;
        let millionths = whole * WHOLE + fraction;
        if millionths > MOST { Err(WRONG) } else { Ok(Self(millionths)) }
    }
}

impl fmt::Display for PriceFactor {
    /// As it is typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format!("{:06}", self.0 % WHOLE).trim_end_matches('0') {
            "" => write!(f, "{}", self.0 / WHOLE),
            fraction => write!(f, "{}.{fraction}", self.0 / WHOLE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_is_an_exact_decimal_number() {
        for (text, millionths, printed) in [
            ("1", WHOLE, "1"),
            ("0.5", 500_000, "0.5"),
            (" 1.250000 ", 1_250_000, "1.25"),
            ("1000", MOST, "1000"),
            (".000001", 1, "0.000001"),
            ("0", 0, "0"),
            ("2.0000000", 2 * WHOLE, "2"),
        ] {
            let factor = PriceFactor::parse(text).unwrap();
            assert_eq!((factor.millionths(), factor.to_string().as_str()), (millionths, printed), "{text}");
        }
        for bad in ["", ".", "-1", "1000.000001", "1001", "0.0000001", "1,5", "1e3", "٢", "99999999999999999999", "1.2.3"] {
            assert_eq!(PriceFactor::parse(bad), Err("field.factor"), "{bad}");
        }
        assert_eq!((PriceFactor::from_millionths(-1).millionths(), PriceFactor::from_millionths(i64::MAX).millionths()), (0, MOST));
        assert_eq!(PriceFactor::default(), PriceFactor::ONE);
    }
}
