//! What is charged to a card: whole minor units of a currency, and the rate at which a dollar of credit is sold in it. No floats.
//!
//! The codes are ISO 4217's. The minor unit is the one that payment providers count in, which is ISO's but for two currencies: the Icelandic króna and the
//! Ugandan shilling have no cents any more and are still counted in hundredths, of which only whole hundreds can be charged. Of the currencies with three
//! decimals only whole tens can (Stripe, "Supported currencies").

use super::money::{NANOS_PER_DOLLAR, Usd};
use std::fmt;
use std::str::FromStr;

/// A currency that a card can be charged in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// A text that is no code of a currency that cards can be charged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the three letters of a currency that cards are charged in")]
pub struct UnknownCurrency;

/// Two decimals, every minor unit chargeable.
const PLAIN: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY COP CRC CVE CZK DKK DOP DZD EGP ETB \
    EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR JMD KES KGS KHR KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR \
    MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD STD SZL THB TJS TOP TRY TTD TWD TZS UAH USD UYU \
    UZS WST XCD XCG YER ZAR ZMW";
/// None.
const WHOLE: &str = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF";
/// Three, of which the last is always zero.
const THREE: &str = "BHD JOD KWD OMR TND";
/// Two, of which both are always zero.
const HUNDREDS: &str = "ISK UGX";

/// The lists above with their decimals and the smallest step that can be charged, in minor units.
const KINDS: [(&str, u32, i64); 4] = [(PLAIN, 2, 1), (WHOLE, 0, 1), (THREE, 3, 10), (HUNDREDS, 2, 100)];

impl Currency {
    /// The dollar of the United States, in which credit is kept.
    pub const USD: Currency = Currency(*b"USD");

    /// The code in capitals, as people write it.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The code in small letters, as Stripe writes it.
    pub fn lower(self) -> String {
        self.code().to_ascii_lowercase()
    }

    /// Digits after the point of an amount.
    pub fn decimals(self) -> u32 {
        self.kind().0
    }

    /// What can be charged is a multiple of so many minor units.
    pub fn step(self) -> i64 {
        self.kind().1
    }

    /// Minor units in one unit.
    pub fn units(self) -> i64 {
        10_i64.pow(self.decimals())
    }

    /// Every currency, in the order of its code.
    pub fn all() -> Vec<Currency> {
        let mut all: Vec<Currency> = KINDS.iter().flat_map(|(codes, ..)| codes.split_ascii_whitespace()).filter_map(|code| code.parse().ok()).collect();
        all.sort_unstable();
        all
    }

    fn kind(self) -> (u32, i64) {
        KINDS.iter().find(|(codes, ..)| lists(codes, self.code())).map_or((2, 1), |&(_, decimals, step)| (decimals, step))
    }
}

fn lists(codes: &str, code: &str) -> bool {
    codes.split_ascii_whitespace().any(|listed| listed == code)
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    /// In small letters or capitals.
    fn from_str(text: &str) -> Result<Self, UnknownCurrency> {
        let code: [u8; 3] = text.as_bytes().try_into().map_err(|_| UnknownCurrency)?;
        let currency = Currency(code.map(|letter| letter.to_ascii_uppercase()));
        if KINDS.iter().any(|(codes, ..)| lists(codes, currency.code())) { Ok(currency) } else { Err(UnknownCurrency) }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl serde::Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The largest number of minor units that is ever charged at once: eight digits, as Stripe has it for nearly all currencies; twelve for those whose
/// unit is small.
const MOST_MINOR: i64 = 999_999_999_999;

/// An amount of one currency in its minor units, possibly negative.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    /// Cents of a dollar, yen of a yen, fils of a dinar.
    pub minor: i64,
    /// Of what.
    pub currency: Currency,
}

/// Why a text is not an amount of a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAmount {
    /// Not a decimal number.
    #[error("not a decimal number")]
    NotANumber,
    /// More digits after the point than can be charged in this currency.
    #[error("more digits after the decimal point than the currency has")]
    TooPrecise,
    /// More than a card is ever charged.
    #[error("too large")]
    TooLarge,
}

impl Money {
    /// So many minor units.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing.
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// From what a person typed: digits, perhaps with a point.
    ///
    /// # Errors
    /// [`BadAmount`], rather than a silent rounding.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, BadAmount> {
        let text = text.trim();
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
            return Err(BadAmount::NotANumber);
        }
        let fraction = fraction.trim_end_matches('0');
        let decimals = currency.decimals() as usize;
        if fraction.len() > decimals {
            return Err(BadAmount::TooPrecise);
        }
        let whole = whole.trim_start_matches('0');
        if whole.len() > 12 {
            return Err(BadAmount::TooLarge);
        }
        let minor: i64 = format!("0{whole}{fraction:0<decimals$}").parse().map_err(|_| BadAmount::TooLarge)?;
        let money = Self::new(minor, currency);
        match minor {
            _ if minor > MOST_MINOR => Err(BadAmount::TooLarge),
            _ if !money.is_chargeable() => Err(BadAmount::TooPrecise),
            _ => Ok(money),
        }
    }

    /// Whether a provider can charge exactly this much: [`Currency::step`].
    pub fn is_chargeable(self) -> bool {
        self.minor % self.currency.step() == 0
    }

    /// The sum, or `None` when the currencies differ or it does not fit.
    pub fn checked_add(self, other: Money) -> Option<Money> {
        if self.currency != other.currency {
            return None;
        }
        self.minor.checked_add(other.minor).map(|minor| Self::new(minor, self.currency))
    }

    /// The difference, or `None` when the currencies differ or it does not fit.
    pub fn checked_sub(self, other: Money) -> Option<Money> {
        self.checked_add(Self::new(other.minor.checked_neg()?, other.currency))
    }

    /// For people: "$12.50" for dollars, "JPY 1,250" and "KWD 1.250" for everything else.
    pub fn display(self) -> String {
        let sign = if self.minor < 0 { "-" } else { "" };
        let (whole, fraction) = self.parts();
        let whole = super::money::grouped(whole);
        if self.currency == Currency::USD { format!("{sign}${whole}{fraction}") } else { format!("{} {sign}{whole}{fraction}", self.currency) }
    }

    /// The whole units, and the point with what follows it.
    fn parts(self) -> (u64, String) {
        let decimals = self.currency.decimals() as usize;
        let units = self.currency.units() as u64;
        let minor = self.minor.unsigned_abs();
        let fraction = if decimals == 0 { String::new() } else { format!(".{:0decimals$}", minor % units) };
        (minor / units, fraction)
    }
}

impl fmt::Display for Money {
    /// The plain decimal number without its currency, as forms and CSV files carry it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minor < 0 { "-" } else { "" };
        let (whole, fraction) = self.parts();
        write!(f, "{sign}{whole}{fraction}")
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Money({self} {})", self.currency)
    }
}

/// How many units of a currency one dollar of credit costs, in billionths of a unit; never zero or less.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(i64);

impl Rate {
    /// One for one: dollars.
    pub const ONE: Rate = Rate(NANOS_PER_DOLLAR);

    /// From billionths of a unit for one dollar, as a row of the database keeps it. `None` for zero and less.
    pub fn from_nanos(nanos: i64) -> Option<Self> {
        (nanos > 0).then_some(Self(nanos))
    }

    /// Billionths of a unit for one dollar.
    pub fn nanos(self) -> i64 {
        self.0
    }

    /// What so much credit costs, rounded up to what can be charged. `None` when it is more than a card is ever charged, or less than nothing.
    pub fn price(self, credit: Usd, currency: Currency) -> Option<Money> {
        if credit < Usd::ZERO {
            return None;
        }
        let nano_nanos = i128::from(credit.0) * i128::from(self.0);
        let one_step = i128::from(NANOS_PER_DOLLAR) * i128::from(NANOS_PER_DOLLAR) / i128::from(currency.units()) * i128::from(currency.step());
        let minor = nano_nanos.checked_add(one_step - 1)? / one_step * i128::from(currency.step());
        i64::try_from(minor).ok().filter(|minor| *minor <= MOST_MINOR).map(|minor| Money::new(minor, currency))
    }

    /// How much credit so much money is, rounded down. `None` when it does not fit or is less than nothing.
    pub fn credit(self, money: Money) -> Option<Usd> {
        let minor = u64::try_from(money.minor).ok()?;
        let nanos = i128::from(minor) * (i128::from(NANOS_PER_DOLLAR) * i128::from(NANOS_PER_DOLLAR) / i128::from(money.currency.units())) / i128::from(self.0);
        i64::try_from(nanos).ok().map(Usd)
    }
}

impl FromStr for Rate {
    type Err = BadAmount;

    /// A decimal number of units for one dollar, with at most nine digits after the point.
    fn from_str(text: &str) -> Result<Self, BadAmount> {
        let units: Usd = text.parse().map_err(|error| match error {
            super::money::MoneyError::NotANumber => BadAmount::NotANumber,
            super::money::MoneyError::TooPrecise => BadAmount::TooPrecise,
            super::money::MoneyError::TooLarge => BadAmount::TooLarge,
        })?;
        Self::from_nanos(units.0).ok_or(BadAmount::NotANumber)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Usd(self.0).fmt(f)
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rate({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    #[test]
    fn every_currency_is_listed_once_and_read_in_both_cases() {
        let all = Currency::all();
        assert!(all.len() > 130 && all.windows(2).all(|pair| pair[0] < pair[1]), "twice, or missing");
        assert!(all.iter().all(|one| one.lower().parse() == Ok(*one) && one.code().parse() == Ok(*one)));
        for bad in ["", "US", "USDX", "XXX", "usd ", "éa", "$"] {
            assert_eq!(bad.parse::<Currency>(), Err(UnknownCurrency), "{bad}");
        }
    }

    #[test]
    fn amounts_are_read_and_printed_with_the_decimals_of_their_currency() {
        for (code, text, minor, plain, shown) in [
            ("USD", "1234.5", 123_450, "1234.50", "$1,234.50"),
            ("JPY", "1250", 1250, "1250", "JPY 1,250"),
            ("JPY", "1250.0", 1250, "1250", "JPY 1,250"),
            ("KWD", "1.25", 1250, "1.250", "KWD 1.250"),
            ("ISK", "12", 1200, "12.00", "ISK 12.00"),
            ("EUR", " .5 ", 50, "0.50", "EUR 0.50"),
            ("EUR", "007.", 700, "7.00", "EUR 7.00"),
        ] {
            let money = Money::parse(text, currency(code)).unwrap();
            assert_eq!((money.minor, money.to_string().as_str(), money.display().as_str()), (minor, plain, shown));
        }
        assert_eq!(Money::new(-5, Currency::USD).display(), "-$0.05");
        assert_eq!(Money::new(-5, currency("EUR")).display(), "EUR -0.05");
    }

    #[test]
    fn what_cannot_be_charged_exactly_is_refused() {
        for (code, text, error) in [
            ("USD", "1.005", BadAmount::TooPrecise),
            ("JPY", "0.5", BadAmount::TooPrecise),
            ("KWD", "1.255", BadAmount::TooPrecise),
            ("ISK", "0.50", BadAmount::TooPrecise),
            ("USD", "10000000000", BadAmount::TooLarge),
            ("USD", "99999999999999999999999999", BadAmount::TooLarge),
            ("USD", "", BadAmount::NotANumber),
            ("USD", ".", BadAmount::NotANumber),
            ("USD", "-1", BadAmount::NotANumber),
            ("USD", "1,50", BadAmount::NotANumber),
            ("USD", "1e3", BadAmount::NotANumber),
            ("USD", "١", BadAmount::NotANumber),
        ] {
            assert_eq!(Money::parse(text, currency(code)), Err(error), "{code} {text}");
        }
    }

    #[test]
    fn money_of_two_currencies_does_not_mix() {
        let (dollar, euro) = (Money::new(1, Currency::USD), Money::new(1, currency("EUR")));
        assert_eq!((dollar.checked_add(euro), dollar.checked_sub(euro)), (None, None));
        assert_eq!(dollar.checked_sub(dollar), Some(Money::zero(Currency::USD)));
        assert_eq!(Money::new(i64::MAX, Currency::USD).checked_add(dollar), None);
    }

    #[test]
    fn a_rate_rounds_against_nobody_by_more_than_one_step() {
        let rate: Rate = "7.2".parse().unwrap();
        assert_eq!(rate.price(Usd::dollars(10), currency("CNY")), Some(Money::new(7200, currency("CNY"))));
        assert_eq!("149.503".parse::<Rate>().unwrap().price(Usd::dollars(5), currency("JPY")), Some(Money::new(748, currency("JPY"))));
        assert_eq!("0.3075".parse::<Rate>().unwrap().price(Usd::dollars(5), currency("KWD")), Some(Money::new(1540, currency("KWD"))));
        assert_eq!(Rate::ONE.price(Usd(1), Currency::USD), Some(Money::new(1, Currency::USD)));
        assert_eq!(Rate::ONE.price(Usd(-1), Currency::USD), None);
        assert_eq!(Rate::from_nanos(i64::MAX).unwrap().price(Usd(i64::MAX), Currency::USD), None);
        assert_eq!(Rate::from_nanos(0), None);
        for bad in ["0", "-1", "x", ""] {
            assert_eq!(bad.parse::<Rate>(), Err(BadAmount::NotANumber), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(minor in 0..MOST_MINOR, pick in 0_usize..130) {
            let currency = Currency::all()[pick];
            let money = Money::new(minor / currency.step() * currency.step(), currency);
            prop_assert_eq!(Money::parse(&money.to_string(), currency), Ok(money));
        }

        #[test]
        fn a_price_buys_at_least_the_credit_that_it_is_for(nanos in 0..1_000_000_000_000_i64, rate in 1_i64..10_000_000_000_000, pick in 0_usize..130) {
            let (rate, currency) = (Rate(rate), Currency::all()[pick]);
            if let Some(money) = rate.price(Usd(nanos), currency) {
                prop_assert!(money.is_chargeable());
                if let Some(credit) = rate.credit(money) {
                    prop_assert!(credit >= Usd(nanos));
                }
                let less = Money::new(money.minor - currency.step(), currency);
                prop_assert!(less.minor < 0 || rate.credit(less).is_none_or(|credit| credit < Usd(nanos)) || nanos == 0);
            }
        }
    }
}
