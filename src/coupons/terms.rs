//! What a coupon gives, for what: pure arithmetic in whole minor units.

use crate::kernel::{Currency, Id, Money, Usd};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Hundredths of a percent in the whole.
pub const WHOLE: i64 = 10_000;

/// Amounts of several currencies, in minor units.
pub type Amounts = BTreeMap<Currency, i64>;

/// What a coupon gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Off {
    /// A share of the price, in hundredths of a percent, from 1 to [`WHOLE`].
    Percent(i64),
    /// A fixed amount, for each currency that has one.
    Amount(Amounts),
    /// Credit on top of what is bought.
    Bonus(Usd),
}

/// What is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bought {
    /// Credit.
    TopUp,
    /// A plan.
    Plan(Id),
    /// A gift card.
    GiftCard,
}

/// What a coupon is good for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applies {
    /// Top-ups.
    #[serde(default)]
    pub top_up: bool,
    /// Every plan.
    #[serde(default)]
    pub plans: bool,
    /// Gift cards.
    #[serde(default)]
    pub gift_cards: bool,
    /// These plans, by their ids.
    #[serde(default)]
    pub only: Vec<i64>,
}

impl Applies {
    /// Whether a purchase is among it.
    pub fn covers(&self, bought: Bought) -> bool {
        match bought {
            Bought::TopUp => self.top_up,
            Bought::Plan(id) => self.plans || self.only.contains(&id.0),
            Bought::GiftCard => self.gift_cards,
        }
    }

    /// Whether it is good for anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a coupon gives, and for which purchases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What it gives.
    pub off: Off,
    /// For what.
    pub applies: Applies,
    /// What a purchase must come to at least, for each currency that has a minimum.
    pub minimums: Amounts,
}

/// Why a coupon gives nothing for a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// It is for something else.
    OtherThing,
    /// It has no amount in the purchase's currency.
    OtherCurrency,
    /// The purchase is smaller than it must be.
    TooSmall,
}

impl Terms {
    /// What is taken off a purchase, and what is given on top.
    ///
    /// # Errors
    /// [`Nothing`] of both.
    pub fn discount(&self, bought: Bought, price: Money) -> Result<(Money, Usd), Nothing> {
        if !self.applies.covers(bought) {
            return Err(Nothing::OtherThing);
        }
        if self.minimums.get(&price.currency).is_some_and(|minimum| price.minor < *minimum) {
            return Err(Nothing::TooSmall);
        }
        let (off, bonus) = match &self.off {
            Off::Percent(share) => (percent_of(price, *share), Usd::ZERO),
            Off::Amount(amounts) => (Money::new(*amounts.get(&price.currency).ok_or(Nothing::OtherCurrency)?, price.currency), Usd::ZERO),
            Off::Bonus(bonus) => (Money::zero(price.currency), *bonus),
        };
        let makes_free = self.off == Off::Percent(WHOLE);
        let too_much = off.minor > price.minor || (off.minor == price.minor && !makes_free);
        let is_nothing = off.minor <= 0 && bonus <= Usd::ZERO;
        if too_much || is_nothing { Err(Nothing::TooSmall) } else { Ok((off, bonus)) }
    }
}

/// Rounded down to what can be charged; the whole is the whole.
fn percent_of(price: Money, share: i64) -> Money {
    if share == WHOLE {
        return price;
    }
    let step = i128::from(price.currency.step());
    let off = i128::from(price.minor) * i128::from(share) / i128::from(WHOLE) / step * step;
    Money::new(i64::try_from(off).unwrap_or(0), price.currency)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn terms(off: Off) -> Terms {
        Terms { off, applies: Applies { top_up: true, plans: true, gift_cards: true, only: vec![] }, minimums: Amounts::new() }
    }

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, code.parse().unwrap())
    }

    fn off(terms: &Terms, minor: i64, code: &str) -> Result<i64, Nothing> {
        terms.discount(Bought::TopUp, money(minor, code)).map(|(off, _)| off.minor)
    }

    #[test]
    fn a_share_is_rounded_down_to_what_can_be_charged() {
        let tenth = terms(Off::Percent(1_000));
        for (minor, code, expected) in [(1_000, "USD", 100), (1_999, "USD", 199), (19, "JPY", 1), (1_990, "KWD", 190), (1_900, "ISK", 100)] {
            assert_eq!(off(&tenth, minor, code), Ok(expected), "{minor} {code}");
        }
        assert_eq!(off(&tenth, 9, "USD"), Err(Nothing::TooSmall), "less than a cent off is nothing");
        assert_eq!(off(&terms(Off::Percent(9_999)), 10_000, "USD"), Ok(9_999), "not free");
        assert_eq!(off(&terms(Off::Percent(WHOLE)), 1_999, "USD"), Ok(1_999), "free");
        assert_eq!(off(&terms(Off::Percent(3_333)), i64::MAX, "USD").unwrap(), (i128::from(i64::MAX) * 3_333 / 10_000) as i64);
    }

    #[test]
    fn an_amount_is_one_of_the_purchase_s_currency_and_never_makes_it_free() {
        let five = terms(Off::Amount(Amounts::from([(Currency::USD, 500), ("JPY".parse().unwrap(), 700)])));
        assert_eq!((off(&five, 501, "USD"), off(&five, 1_000, "JPY")), (Ok(500), Ok(700)));
        for minor in [1, 499, 500] {
            assert_eq!(off(&five, minor, "USD"), Err(Nothing::TooSmall), "{minor}");
        }
        assert_eq!(off(&five, 1_000, "EUR"), Err(Nothing::OtherCurrency));
    }

    #[test]
    fn a_bonus_takes_nothing_off_and_conditions_hold_for_every_kind() {
        let bonus = terms(Off::Bonus(Usd::dollars(3)));
        assert_eq!(bonus.discount(Bought::GiftCard, money(100, "EUR")), Ok((money(0, "EUR"), Usd::dollars(3))));
        let applies = Applies { top_up: true, only: vec![7], ..Applies::default() };
        let narrow = Terms { applies, minimums: Amounts::from([(Currency::USD, 2_000)]), ..bonus };
        assert!(narrow.discount(Bought::TopUp, money(2_000, "USD")).is_ok());
        assert_eq!(narrow.discount(Bought::TopUp, money(1_999, "USD")), Err(Nothing::TooSmall));
        assert!(narrow.discount(Bought::Plan(Id(7)), money(1, "EUR")).is_ok(), "no minimum in this currency");
        for other in [Bought::Plan(Id(8)), Bought::GiftCard] {
            assert_eq!(narrow.discount(other, money(9_999, "USD")), Err(Nothing::OtherThing));
        }
        assert!(Applies::default().is_empty() && !narrow.applies.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_left_to_pay_is_never_less_than_nothing_and_can_be_charged(minor in 0..=i64::MAX / 10, share in 1..=WHOLE, code in 0..4_usize) {
            let price = money(minor, ["USD", "JPY", "KWD", "ISK"][code]);
            let price = Money::new(price.minor / price.currency.step() * price.currency.step(), price.currency);
            if let Ok((off, bonus)) = terms(Off::Percent(share)).discount(Bought::TopUp, price) {
                let left = price.checked_sub(off).unwrap();
                prop_assert!(left.minor >= 0 && left.is_chargeable() && bonus == Usd::ZERO);
                prop_assert!(left.minor > 0 || share == WHOLE);
                prop_assert!(i128::from(off.minor) * i128::from(WHOLE) <= i128::from(price.minor) * i128::from(share));
            }
        }
    }
}
