//! A tax that a price includes, in whole minor units.

/// All of it, in basis points: the highest rate that can be set.
pub const MOST_RATE: i64 = 10_000;

/// The tax in `gross` minor units at a rate of so many basis points of the net price, rounded half up.
pub fn included(gross: i64, rate: i64) -> i64 {
    let (gross, rate) = (i128::from(gross), i128::from(rate.clamp(0, MOST_RATE)));
    let whole = i128::from(MOST_RATE) + rate;
    // Floor of x + 1/2.
    i64::try_from((2 * gross * rate + whole).div_euclid(2 * whole)).unwrap_or(0)
}

/// The tax of so much that is given back of `left` with `tax_left` in it: what is left afterwards has the tax that its own amount includes, so that parts
/// that are given back one after the other come to exactly the tax of the whole.
pub fn given_back(amount: i64, left: i64, tax_left: i64, rate: i64) -> i64 {
    (tax_left - included(left - amount, rate)).clamp(0, amount)
}

/// A rate from a form: a percentage with at most two decimals; nothing is none.
///
/// # Errors
/// The translation key of what is wrong.
pub fn parse_rate(text: &str) -> Result<i64, &'static str> {
    let text = text.trim().trim_end_matches('%').trim_end();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    if text.is_empty() {
        return Ok(0);
    }
    if !digits(whole) || !digits(fraction) || fraction.len() > 2 || (whole.is_empty() && fraction.is_empty()) {
        return Err("bill.error.rate");
    }
    let rate: i64 = format!("0{whole}{fraction:0<2}").parse().map_err(|_| "bill.error.rate")?;
    if rate <= MOST_RATE { Ok(rate) } else { Err("bill.error.rate") }
}

/// As people write it: `19`, `8.25`.
pub fn rate_text(rate: i64) -> String {
    let text = format!("{}.{:02}", rate / 100, rate % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_tax_is_part_of_the_price_and_rounded_half_up() {
        for (gross, rate, tax) in [(11_900, 1900, 1900), (10_000, 1900, 1597), (1, 10_000, 1), (3, 10_000, 2), (100, 0, 0), (0, 1900, 0), (1_000, 825, 76)] {
            assert_eq!(included(gross, rate), tax, "{gross} at {rate}");
        }
        assert_eq!(included(i64::MAX, 10_000), i64::MAX / 2 + 1);
    }

    #[test]
    fn rates_are_read_and_written() {
        for (typed, rate, shown) in
            [("19", 1900, "19"), (" 8.25 % ", 825, "8.25"), ("", 0, "0"), ("0", 0, "0"), ("100", 10_000, "100"), (".5", 50, "0.5"), ("7.50", 750, "7.5")]
        {
            assert_eq!(parse_rate(typed), Ok(rate), "{typed}");
            assert_eq!(rate_text(rate), shown);
        }
        for bad in ["-1", "100.01", "1.234", "x", ".", "1e1", "1,5"] {
            assert_eq!(parse_rate(bad), Err("bill.error.rate"), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parts_that_are_given_back_come_to_the_tax_of_the_whole(gross in 1_i64..100_000_000, rate in 0_i64..=MOST_RATE, cuts in proptest::collection::vec(1_i64..100, 0..6)) {
            let whole = included(gross, rate);
            prop_assert!(0 <= whole && whole <= gross);
            let (mut left, mut tax_left) = (gross, whole);
            for cut in cuts {
                let amount = (gross * cut / 400).clamp(0, left);
                let tax = given_back(amount, left, tax_left, rate);
                prop_assert!((tax - included(amount, rate)).abs() <= 1, "the tax of a part is that of its amount, but for the rounding");
                (left, tax_left) = (left - amount, tax_left - tax);
                prop_assert!(0 <= tax_left && tax_left <= left);
            }
            prop_assert_eq!(given_back(left, left, tax_left, rate), tax_left);
        }
    }
}
