//! A day, a month or a year of the shop's calendar, as an address names it.

use crate::kernel::Day;
use std::fmt;
use std::str::FromStr;

/// What figures are asked for. Prints and parses as `2026`, `2026-03` or `2026-03-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// The year that begins with this day.
    Year(Day),
    /// The month that begins with it.
    Month(Day),
    /// The day.
    Day(Day),
}

/// A text is not a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a year, a month or a day, such as 2026, 2026-03 or 2026-03-01")]
pub struct NotAPeriod;

impl Period {
    /// The first day, and the first that does not belong to it.
    pub fn bounds(self) -> (Day, Day) {
        match self {
            Period::Year(first) => (first, (0..12).fold(first, |day, _| day.next_month())),
            Period::Month(first) => (first, first.next_month()),
            Period::Day(day) => (day, day.next()),
        }
    }

    /// The one of the same length before it.
    pub fn previous(self) -> Self {
        match self {
            Period::Year(first) => Period::Year((0..12).fold(first, |day, _| day.previous().month())),
            Period::Month(first) => Period::Month(first.previous().month()),
            Period::Day(day) => Period::Day(day.previous()),
        }
    }

    /// The one of the same length after it.
    pub fn next(self) -> Self {
        let (_, after) = self.bounds();
        match self {
            Period::Year(_) => Period::Year(after),
            Period::Month(_) => Period::Month(after),
            Period::Day(_) => Period::Day(after),
        }
    }

    /// The one that it is a part of.
    pub fn whole(self) -> Option<Self> {
        match self {
            Period::Year(_) => None,
            Period::Month(first) => year(first.number() / 10_000).map(Period::Year),
            Period::Day(day) => Some(Period::Month(day.month())),
        }
    }

    /// The part of it in which a day lies: a month of a year, a day of a month.
    pub fn part(self, day: Day) -> Self {
        match self {
            Period::Year(_) => Period::Month(day.month()),
            Period::Month(_) | Period::Day(_) => Period::Day(day),
        }
    }
}

fn year(number: i64) -> Option<Day> {
    Day::from_number(number * 10_000 + 101)
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Period::Year(first) => write!(f, "{:04}", first.number() / 10_000),
            Period::Month(first) => f.write_str(&first.month_name()),
            Period::Day(day) => day.fmt(f),
        }
    }
}

impl FromStr for Period {
    type Err = NotAPeriod;

    fn from_str(text: &str) -> Result<Self, NotAPeriod> {
        let day = |text: String| text.parse::<Day>().map_err(|_| NotAPeriod);
        match text.len() {
            4 => day(format!("{text}-01-01")).map(Period::Year),
            7 => day(format!("{text}-01")).map(Period::Month),
            _ => day(text.to_owned()).map(Period::Day),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_print_parse_and_lie_in_each_other() {
        for text in ["2026", "2026-12", "2028-02-29"] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
        for bad in ["", "20", "2026-13", "2027-02-29", "2026-1-01", "abcd"] {
            assert_eq!(bad.parse::<Period>(), Err(NotAPeriod), "{bad}");
        }
        let period = |text: &str| text.parse::<Period>().unwrap();
        let shown = |(from, until): (Day, Day)| format!("{from} {until}");
        assert_eq!(shown(period("2028").bounds()), "2028-01-01 2029-01-01");
        assert_eq!(shown(period("2028-02").bounds()), "2028-02-01 2028-03-01");
        assert_eq!((period("2028").previous(), period("2028").next()), (period("2027"), period("2029")));
        assert_eq!((period("2028-01").previous(), period("2028-12").next()), (period("2027-12"), period("2029-01")));
        assert_eq!((period("2028-03-01").previous(), period("2028-02-29").next()), (period("2028-02-29"), period("2028-03-01")));
        assert_eq!((period("2028-03-01").whole(), period("2028-03").whole(), period("2028").whole()), (Some(period("2028-03")), Some(period("2028")), None));
        let day: Day = "2028-02-05".parse().unwrap();
        assert_eq!((period("2028").part(day), period("2028-02").part(day)), (period("2028-02"), period("2028-02-05")));
    }
}
