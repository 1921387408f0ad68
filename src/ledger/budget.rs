//! Budgets: what a key, or a customer, may spend in a day, a week, a month and in all.
//!
//! Periods are UTC: calendar days, weeks that begin on Monday, calendar months. A request counts in the period in which it is charged, and what
//! is in flight counts in the one that runs, so that no period can end with more spent than its budget. Each row keeps what was spent in
//! all and, for each period, its number and what had been spent when it began: only a new period writes more than the total.

use super::LedgerError;
use crate::kernel::{NEVER, Usd, clock::DAY_MS};
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// Bounds on what may be spent. None by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    /// Ever.
    pub total: Option<Usd>,
    /// In a UTC calendar day.
    pub day: Option<Usd>,
    /// From Monday to Sunday, UTC.
    pub week: Option<Usd>,
    /// In a UTC calendar month.
    pub month: Option<Usd>,
}

impl Budgets {
    /// A total budget, or none.
    pub fn total(total: Option<Usd>) -> Self {
        Self { total, ..Self::default() }
    }

    /// Whether nothing is bounded.
    pub fn is_unbounded(&self) -> bool {
        *self == Self::default()
    }

    fn of(&self, period: Period) -> Option<Usd> {
        match period {
            Period::Day => self.day,
            Period::Week => self.week,
            Period::Month => self.month,
        }
    }
}

/// Whose budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The key's.
    Key,
    /// The customer's, over all keys.
    User,
}

/// A stretch of time with a budget of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// A UTC calendar day.
    Day,
    /// From Monday to Sunday, UTC.
    Week,
    /// A UTC calendar month.
    Month,
}

impl Period {
    pub(super) const ALL: [Period; 3] = [Period::Day, Period::Week, Period::Month];

    /// The number of the period in which a unix millisecond lies: days, weeks and months since those of 1970-01-01.
    pub fn number(self, at_ms: i64) -> i64 {
        Numbers::at(at_ms).of(self)
    }

    /// The first unix millisecond of the period with this number.
    pub(super) fn begins_at_ms(self, number: i64) -> i64 {
        self.ends_at_ms(number.saturating_sub(1))
    }

    /// The first unix millisecond after the period with this number; [`NEVER`] when no calendar goes as far.
    pub fn ends_at_ms(self, number: i64) -> i64 {
        match self {
            Period::Day => number.saturating_add(1).saturating_mul(DAY_MS),
            // 1970-01-01 was a Thursday: the fourth day of its week.
            Period::Week => number.saturating_add(1).saturating_mul(7).saturating_sub(3).saturating_mul(DAY_MS),
            Period::Month => first_of_month(number.saturating_add(1)).unwrap_or(NEVER),
        }
    }
}

fn first_of_month(number: i64) -> Option<i64> {
    let first: Date = date(1970, 1, 1).checked_add(Span::new().try_months(number).ok()?).ok()?;
    Some(first.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// The numbers of the periods at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) day: i64,
    pub(super) week: i64,
    pub(super) month: i64,
}

impl Numbers {
    pub(super) fn at(at_ms: i64) -> Self {
        let day = at_ms.div_euclid(DAY_MS);
        let date = Timestamp::from_millisecond(at_ms).map_or(Date::MAX, |at| TimeZone::UTC.to_datetime(at).date());
        let month = (i64::from(date.year()) - 1970) * 12 + i64::from(date.month()) - 1;
        Self { day, week: (day + 3).div_euclid(7), month }
    }

    pub(super) fn of(self, period: Period) -> i64 {
        match period {
            Period::Day => self.day,
            Period::Week => self.week,
            Period::Month => self.month,
        }
    }
}

/// A period of a meter: which one runs, and what had been spent in all when it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) number: i64,
    pub(super) start: Usd,
}

/// What a key or a customer has spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spending {
    /// Ever: what requests were charged, less what was given back of it.
    pub(super) spent: Usd,
    pub(super) day: Count,
    pub(super) week: Count,
    pub(super) month: Count,
}

impl Spending {
    pub(super) fn count(&self, period: Period) -> Count {
        match period {
            Period::Day => self.day,
            Period::Week => self.week,
            Period::Month => self.month,
        }
    }

    fn count_mut(&mut self, period: Period) -> &mut Count {
        match period {
            Period::Day => &mut self.day,
            Period::Week => &mut self.week,
            Period::Month => &mut self.month,
        }
    }

    pub(super) fn numbers(&self) -> Numbers {
        Numbers { day: self.day.number, week: self.week.number, month: self.month.number }
    }

    /// Begins the periods of `now` that have not begun; says whether one did. A period that has begun does not end again because another
    /// node's clock is behind.
    pub(super) fn roll(&mut self, now: Numbers) -> bool {
        let before = self.numbers();
        for period in Period::ALL {
            let (spent, number) = (self.spent, now.of(period));
            let count = self.count_mut(period);
            if count.number < number {
                *count = Count { number, start: spent };
            }
        }
        self.numbers() != before
    }

    /// Gives back what was charged in the periods of `charged`: it does not count in them any more, and changes nothing in later ones.
    pub(super) fn give_back(&mut self, amount: Usd, charged: Numbers) {
        self.spent -= amount;
        for period in Period::ALL {
            let count = self.count_mut(period);
            if count.number > charged.of(period) {
                count.start -= amount;
            }
        }
    }

    /// What the tightest of the budgets leaves to a new request, when `held` is in flight; `None` when there is no bound.
    pub(super) fn left(&self, budgets: &Budgets, held: Usd, whose: Whose) -> Option<(Usd, Shortage)> {
        let total = budgets.total.map(|budget| (budget - self.spent - held, Shortage { whose, period: None, resets_at_ms: NEVER }));
        let periods = Period::ALL.into_iter().rev().filter_map(|period| {
            let budget = budgets.of(period)?;
            let count = self.count(period);
            let shortage = Shortage { whose, period: Some(period), resets_at_ms: period.ends_at_ms(count.number) };
            Some((budget - (self.spent - count.start) - held, shortage))
        });
        total.into_iter().chain(periods).min_by_key(|(left, _)| *left)
    }
}

/// The budget that ends first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Whose it is.
    pub whose: Whose,
    /// Of which period; none for the total budget.
    pub period: Option<Period>,
    /// The unix millisecond in which there is a new one; [`NEVER`] for the total budget.
    pub resets_at_ms: i64,
}

impl Shortage {
    /// The refusal of a request for which `left` is too little.
    pub fn refusal(self, left: Usd) -> LedgerError {
        match (self.period, self.whose) {
            (Some(period), whose) => LedgerError::PeriodBudgetExhausted { whose, period, left, resets_at_ms: self.resets_at_ms },
            (None, Whose::Key) => LedgerError::KeyBudgetExhausted { left },
            (None, Whose::User) => LedgerError::UserBudgetExhausted { left },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn periods_are_utc_days_iso_weeks_and_calendar_months() {
        // 2026-03-01 was a Sunday.
        for (moment, day_ends, week_ends, month_ends) in [
            ("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", "2026-03-02T00:00:00Z", "2026-04-01T00:00:00Z"),
            ("2026-02-28T23:59:59.999Z", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z"),
            ("2026-03-02T12:00:00Z", "2026-03-03T00:00:00Z", "2026-03-09T00:00:00Z", "2026-04-01T00:00:00Z"),
            ("2027-12-31T12:00:00Z", "2028-01-01T00:00:00Z", "2028-01-03T00:00:00Z", "2028-01-01T00:00:00Z"),
            ("2028-02-29T12:00:00Z", "2028-03-01T00:00:00Z", "2028-03-06T00:00:00Z", "2028-03-01T00:00:00Z"),
            ("1970-01-01T00:00:00Z", "1970-01-02T00:00:00Z", "1970-01-05T00:00:00Z", "1970-02-01T00:00:00Z"),
        ] {
            for (period, ends) in [(Period::Day, day_ends), (Period::Week, week_ends), (Period::Month, month_ends)] {
                let number = period.number(at(moment));
                assert_eq!(period.ends_at_ms(number), at(ends), "{period:?} of {moment}");
                assert_eq!((period.number(at(ends) - 1), period.number(at(ends))), (number, number + 1), "{period:?} of {moment}");
            }
        }
        assert_eq!(Period::Month.ends_at_ms(i64::MAX), NEVER);
        assert!(Numbers::at(i64::MAX).day > 0 && Numbers::at(i64::MIN).day < 0, "no clock makes it panic");
    }

    #[test]
    fn the_tightest_budget_decides_and_a_new_period_starts_anew() {
        let mut spending = Spending { spent: Usd(100), ..Spending::default() };
        let monday = Numbers::at(at("2026-03-02T12:00:00Z"));
        assert!(spending.roll(monday) && !spending.roll(monday));
        spending.spent += Usd(30);
        let budgets = Budgets { total: Some(Usd(1000)), day: Some(Usd(50)), week: Some(Usd(90)), month: None };
        let (left, shortage) = spending.left(&budgets, Usd(5), Whose::Key).unwrap();
        assert_eq!((left, shortage.period, shortage.resets_at_ms), (Usd(15), Some(Period::Day), at("2026-03-03T00:00:00Z")));
        assert!(spending.roll(Numbers::at(at("2026-03-03T00:00:00Z"))));
        assert!(!spending.roll(monday), "a clock that is behind ends no period");
        assert_eq!(spending.left(&budgets, Usd(5), Whose::Key).unwrap().0, Usd(45));
        spending.spent += Usd(40);
        let (left, shortage) = spending.left(&budgets, Usd::ZERO, Whose::User).unwrap();
        assert_eq!((left, shortage.period), (Usd(10), Some(Period::Day)));
        spending.give_back(Usd(25), monday);
        assert_eq!(spending.left(&Budgets { day: budgets.day, ..Budgets::default() }, Usd::ZERO, Whose::Key).unwrap().0, Usd(10), "yesterday's");
        assert_eq!(spending.left(&Budgets { week: budgets.week, ..Budgets::default() }, Usd::ZERO, Whose::Key).unwrap().0, Usd(45));
        assert_eq!(spending.left(&Budgets::default(), Usd::ZERO, Whose::Key), None);
    }
}
