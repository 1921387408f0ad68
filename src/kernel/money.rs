//! Money: whole nano-dollars in an `i64`. No float ever touches it; decimals are parsed and printed at the edges.
//!
//! One dollar is 1,000,000,000 nano-dollars, so an `i64` holds nine billion dollars either way.

use rust_decimal::Decimal;
use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

/// Nano-dollars in one dollar.
pub const NANOS_PER_DOLLAR: i64 = 1_000_000_000;
/// Nano-dollars in one cent.
pub const NANOS_PER_CENT: i64 = 10_000_000;
/// The largest amount that a form accepts: one hundred million dollars.
pub const MAX_TYPED: Usd = Usd(100_000_000 * NANOS_PER_DOLLAR);

/// An amount in nano-dollars (1e-9 USD), possibly negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Usd(pub i64);

/// Why a text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a decimal number.
    #[error("not a decimal number")]
    NotANumber,
    /// More digits after the point than a nano-dollar has.
    #[error("more than nine digits after the decimal point")]
    TooPrecise,
    /// Larger than anything this shop handles.
    #[error("too large")]
    TooLarge,
}

impl Usd {
    /// Nothing.
    pub const ZERO: Usd = Usd(0);

    /// Whole dollars.
    pub const fn dollars(n: i64) -> Self {
        Self(n * NANOS_PER_DOLLAR)
    }

    /// The sum, or `None` when it does not fit.
    pub fn checked_add(self, other: Usd) -> Option<Usd> {
        self.0.checked_add(other.0).map(Usd)
    }

    /// The difference, or `None` when it does not fit.
    pub fn checked_sub(self, other: Usd) -> Option<Usd> {
        self.0.checked_sub(other.0).map(Usd)
    }

    /// The exact decimal number of dollars.
    pub fn to_decimal(self) -> Decimal {
        Decimal::new(self.0, 9).normalize()
    }

    /// From a decimal number of dollars.
    ///
    /// # Errors
    /// [`MoneyError::TooPrecise`] rather than a silent rounding; [`MoneyError::TooLarge`] past [`MAX_TYPED`].
    pub fn from_decimal(dollars: Decimal) -> Result<Self, MoneyError> {
        if dollars.abs() > MAX_TYPED.to_decimal() {
            return Err(MoneyError::TooLarge);
        }
        let nanos = dollars.checked_mul(Decimal::from(NANOS_PER_DOLLAR)).ok_or(MoneyError::TooLarge)?;
        if !nanos.fract().is_zero() {
            return Err(MoneyError::TooPrecise);
        }
        i64::try_from(nanos).map(Self).map_err(|_| MoneyError::TooLarge)
    }

    /// For people: at least two digits after the point, and as many more as the amount needs to be exact
    /// ("$12.50", "$0.000312", "-$3.00").
    pub fn display(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let (whole, fraction) = (nanos / NANOS_PER_DOLLAR as u64, nanos % NANOS_PER_DOLLAR as u64);
        let digits = format!("{fraction:09}");
        let kept = digits.trim_end_matches('0').len().max(2);
        format!("{sign}${}.{}", grouped(whole), &digits[..kept])
    }

    /// For balances: rounded down to the cent, so that nobody sees more than there is; amounts under ten cents print exactly.
    pub fn display_short(self) -> String {
        if self.0.abs() < 10 * NANOS_PER_CENT {
            return self.display();
        }
        Usd(self.0.div_euclid(NANOS_PER_CENT) * NANOS_PER_CENT).display()
    }
}

pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

impl fmt::Display for Usd {
    /// The plain decimal number of dollars, as forms and CSV files carry it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_decimal().fmt(f)
    }
}

impl fmt::Debug for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Usd({self})")
    }
}

impl FromStr for Usd {
    type Err = MoneyError;

    /// A decimal number of dollars, with an optional `$` and commas between thousands.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let text = text.trim();
        let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
        let rest = rest.strip_prefix('$').unwrap_or(rest).trim();
        let plain = without_thousands(rest).ok_or(MoneyError::NotANumber)?;
        let (whole, fraction) = plain.split_once('.').ok_or(MoneyError::NotANumber)?;
        if fraction.trim_end_matches('0').len() > 9 {
            return Err(MoneyError::TooPrecise);
        }
        if whole.trim_start_matches('0').len() > 12 {
            return Err(MoneyError::TooLarge);
        }
        let number = Decimal::from_str_exact(&format!("{sign}{whole}.{}", fraction.trim_end_matches('0'))).map_err(|_| MoneyError::NotANumber)?;
        Self::from_decimal(number)
    }
}

/// Accepts `1,234.50` and refuses `1,23` and `0,15`: a comma is never read as a decimal point.
fn without_thousands(text: &str) -> Option<String> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(w, f)| (w, Some(f)));
    let groups: Vec<&str> = whole.split(',').collect();
    let grouped_right = groups.len() == 1 || (groups[0].len() <= 3 && !groups[0].is_empty() && groups[1..].iter().all(|g| g.len() == 3));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !grouped_right || !groups.iter().all(|g| digits(g)) || !fraction.is_none_or(digits) {
        return None;
    }
    let whole = groups.concat();
    Some(format!("{}.{}", if whole.is_empty() { "0" } else { &whole }, fraction.filter(|f| !f.is_empty()).unwrap_or("0")))
}

impl std::ops::Add for Usd {
    type Output = Usd;
    /// Panics when the sum does not fit: an amount of nine billion dollars is a bug, never a balance.
    fn add(self, other: Usd) -> Usd {
        self.checked_add(other).expect("money overflow")
    }
}

impl std::ops::Sub for Usd {
    type Output = Usd;
    /// Panics when the difference does not fit.
    fn sub(self, other: Usd) -> Usd {
        self.checked_sub(other).expect("money overflow")
    }
}

impl std::ops::AddAssign for Usd {
    fn add_assign(&mut self, other: Usd) {
        *self = *self + other;
    }
}

impl std::ops::SubAssign for Usd {
    fn sub_assign(&mut self, other: Usd) {
        *self = *self - other;
    }
}

impl std::ops::Neg for Usd {
    type Output = Usd;
    fn neg(self) -> Usd {
        Usd(-self.0)
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Usd>>(iter: I) -> Usd {
        iter.fold(Usd::ZERO, |a, b| a + b)
    }
}

/// A price in nano-dollars per million tokens, or for one of what is sold by the piece; never negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Price(pub i64);

impl Price {
    /// From a typed number of dollars per million tokens.
    ///
    /// # Errors
    /// As [`Usd::from_str`]; a negative price is [`MoneyError::NotANumber`].
    pub fn per_million(text: &str) -> Result<Self, MoneyError> {
        let amount: Usd = text.parse()?;
        if amount < Usd::ZERO { Err(MoneyError::NotANumber) } else { Ok(Self(amount.0)) }
    }

    /// Dollars per million tokens, for people.
    pub fn display(self) -> String {
        Usd(self.0).display()
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Usd(self.0).fmt(f)
    }
}

/// As a decimal text: no reader of JSON can make a float of it.
impl serde::Serialize for Price {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Price {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        Self::per_million(&text).map_err(serde::de::Error::custom)
    }
}

/// The cost of a request whose parts are (tokens, price): multiplied in `i128`, rounded up once, to the nano-dollar.
/// Saturates at the largest amount that can be stored.
pub fn cost(parts: &[(u64, Price)]) -> Usd {
    let sum: i128 = parts.iter().map(|&(tokens, price)| i128::from(tokens) * i128::from(price.0)).sum();
    Usd(i64::try_from((sum + 999_999) / 1_000_000).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_a_person_expects() {
        for (nanos, text) in [
            (12_500_000_000, "$12.50"),
            (312_000, "$0.000312"),
            (0, "$0.00"),
            (-3_000_000_000, "-$3.00"),
            (1_234_567_000_000_000, "$1,234,567.00"),
            (1, "$0.000000001"),
        ] {
            assert_eq!(Usd(nanos).display(), text);
        }
        assert_eq!(Usd(4_999_999_999).display_short(), "$4.99");
        assert_eq!(Usd(99_999).display_short(), "$0.000099999");
    }

    #[test]
    fn parses_decimals_and_refuses_what_it_would_have_to_guess() {
        for (text, nanos) in [
            ("12.50", 12_500_000_000),
            ("$1,234.5", 1_234_500_000_000),
            ("-3", -3_000_000_000),
            ("0.000000001", 1),
            (" .5 ", 500_000_000),
            ("7.", 7_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Usd(nanos)), "{text}");
        }
        for bad in ["", "0,15", "1,23", "1e3", "NaN", "--1", "12.5.1", "$", "١", "1 000", ","] {
            assert_eq!(bad.parse::<Usd>(), Err(MoneyError::NotANumber), "{bad}");
        }
        assert_eq!("0.0000000001".parse::<Usd>(), Err(MoneyError::TooPrecise));
        assert_eq!("100000001".parse::<Usd>(), Err(MoneyError::TooLarge));
        assert_eq!("99999999999999999999999999999999".parse::<Usd>(), Err(MoneyError::TooLarge));
        assert!(Price::per_million("-1").is_err());
    }

    #[test]
    fn cost_rounds_up_once_per_request() {
        let price = Price::per_million("0.15").unwrap();
        assert_eq!(cost(&[(1, price)]), Usd(150));
        assert_eq!(cost(&[(1, Price(1)), (1, Price(1))]), Usd(1));
        assert_eq!(cost(&[(0, price)]), Usd(0));
        assert_eq!(cost(&[(u64::MAX, Price(i64::MAX))]), Usd(i64::MAX));
    }
}
