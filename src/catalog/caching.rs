//! What is kept of a model's answers for identical requests.

use crate::kernel::Usd;

/// Millionths in a whole.
const WHOLE: i64 = 1_000_000;

/// How answers are kept, and what a kept one costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caching {
    /// For how many milliseconds.
    pub ttl_ms: i64,
    /// Every answer, not only those to requests at temperature 0.
    pub always: bool,
    /// What a kept answer costs.
    pub factor: Factor,
    /// Whether one customer may get what another has paid for.
    pub shared: bool,
}

/// A share between nothing and all, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Factor(i64);

impl Factor {
    /// Nothing.
    pub const NOTHING: Self = Self(0);

    /// From millionths; what is outside of nothing and all is brought inside.
    pub fn from_millionths(millionths: i64) -> Self {
        Self(millionths.clamp(0, WHOLE))
    }

    /// As the database keeps it.
    pub const fn millionths(self) -> i64 {
        self.0
    }

    /// From a typed decimal number between 0 and 1 with at most six digits after the point.
    ///
    /// # Errors
    /// The translation key of what is wrong.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let are_digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        let fraction = fraction.trim_end_matches('0');
        if (whole.is_empty() && fraction.is_empty()) || !are_digits(whole) || !are_digits(fraction) || fraction.len() > 6 {
            return Err("catalog.error.factor");
        }
        match (whole.trim_start_matches('0'), format!("{fraction:0<6}").parse()) {
            ("", Ok(millionths)) => Ok(Self(millionths)),
            ("1", Ok(0)) => Ok(Self(WHOLE)),
            _ => Err("catalog.error.factor"),
        }
    }

    /// Its share of an amount, rounded up.
    pub fn of(self, full: Usd) -> Usd {
        let parts = i128::from(full.0) * i128::from(self.0);
        let whole = parts / i128::from(WHOLE) + i128::from(parts % i128::from(WHOLE) > 0);
        Usd(i64::try_from(whole).unwrap_or(i64::MAX))
    }
}

impl std::fmt::Display for Factor {
    /// As it is typed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
    fn a_factor_is_exact_and_its_share_rounds_up() {
        for (text, millionths, printed) in
            [("0", 0, "0"), ("1", WHOLE, "1"), ("1.000", WHOLE, "1"), (" 0.1 ", 100_000, "0.1"), (".000001", 1, "0.000001"), ("00.25", 250_000, "0.25")]
        {
            let factor = Factor::parse(text).unwrap();
            assert_eq!((factor.millionths(), factor.to_string().as_str()), (millionths, printed), "{text}");
        }
        for bad in ["", ".", "-0.1", "1.1", "2", "0.0000001", "10%", "0,5", "1e-3", "١"] {
            assert_eq!(Factor::parse(bad), Err("catalog.error.factor"), "{bad}");
        }
        let tenth = Factor::parse("0.1").unwrap();
        assert_eq!([0, 1, 10, 11, 101].map(|nanos| tenth.of(Usd(nanos)).0), [0, 1, 1, 2, 11]);
        assert_eq!((Factor::default().of(Usd(i64::MAX)), Factor::from_millionths(WHOLE).of(Usd(i64::MAX))), (Usd::ZERO, Usd(i64::MAX)));
    }
}
