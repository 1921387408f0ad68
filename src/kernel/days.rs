//! The days and months of a calendar, as a time zone has them. Pure.
//!
//! A day is a stretch from its first millisecond to the next day's first; a moment lies in exactly one, also where a zone's clocks jump at midnight.

use super::{Id, NEVER};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::fmt;
use std::str::FromStr;

/// A day of the calendar. Prints and parses as `2026-03-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(Date);

/// A text is not a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a day, such as 2026-03-01")]
pub struct NotADay;

impl Day {
    /// As the database keeps it: 20260301. Grows with the day.
    pub fn number(self) -> i64 {
        i64::from(self.0.year()) * 10_000 + i64::from(self.0.month()) * 100 + i64::from(self.0.day())
    }

    /// From that number.
    pub fn from_number(number: i64) -> Option<Self> {
        let part = |n: i64| i8::try_from(n % 100).ok();
        Date::new(i16::try_from(number / 10_000).ok()?, part(number / 100)?, part(number)?).ok().map(Self)
    }

    /// The day after; the last that a calendar has stays itself.
    pub fn next(self) -> Self {
        Self(self.0.tomorrow().unwrap_or(self.0))
    }

    /// The day before.
    pub fn previous(self) -> Self {
        Self(self.0.yesterday().unwrap_or(self.0))
    }

    /// So many days before.
    pub fn less(self, days: i64) -> Self {
        Self(self.0.checked_sub(days.clamp(0, 100_000).days()).unwrap_or(self.0))
    }

    /// The first of its month.
    pub fn month(self) -> Self {
        Self(self.0.first_of_month())
    }

    /// The first of the month after.
    pub fn next_month(self) -> Self {
        Self(self.0.last_of_month()).next()
    }

    /// `2026-03`.
    pub fn month_name(self) -> String {
        format!("{:04}-{:02}", self.0.year(), self.0.month())
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.0.year(), self.0.month(), self.0.day())
    }
}

impl FromStr for Day {
    type Err = NotADay;

    /// Four digits, two, and two; years that money was counted in.
    fn from_str(text: &str) -> Result<Self, NotADay> {
        let is_shape = text.len() == 10 && text.bytes().enumerate().all(|(at, byte)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() });
        let number = |range| text.get(range).and_then(|digits: &str| digits.parse::<i64>().ok()).ok_or(NotADay);
        if !is_shape {
            return Err(NotADay);
        }
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        Day::from_number(year * 10_000 + month * 100 + day).filter(|_| (2000..=9000).contains(&year)).ok_or(NotADay)
    }
}

/// The days of a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Days {
    zone: TimeZone,
}

impl Days {
    /// Of this zone.
    pub fn of(zone: &TimeZone) -> Self {
        Self { zone: zone.clone() }
    }

    /// The zone's name, such as `Europe/Berlin`.
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The day's first unix millisecond.
    pub fn begin(&self, day: Day) -> i64 {
        day.0.to_zoned(self.zone.clone()).map_or(NEVER, |zoned| zoned.timestamp().as_millisecond())
    }

    /// The first id that can be made in a day, and the first of the next.
    pub fn ids(&self, day: Day) -> (Id, Id) {
        (Id::first_at(self.begin(day)), Id::first_at(self.begin(day.next())))
    }

    /// The day in which a unix millisecond lies.
    pub fn day(&self, at_ms: i64) -> Day {
        let at = Timestamp::from_millisecond(at_ms).unwrap_or(if at_ms < 0 { Timestamp::MIN } else { Timestamp::MAX });
        let shown = Day(self.zone.to_datetime(at).date());
        // Clocks that are put back over midnight show a day twice: it has begun when it was shown first.
        if shown.next() > shown && self.begin(shown.next()) <= at_ms { shown.next() } else { shown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ZONES: [&str; 7] = ["UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/St_Johns", "Asia/Shanghai", "Australia/Lord_Howe"];

    #[test]
    fn days_print_parse_and_follow_each_other() {
        let day: Day = "2028-02-28".parse().unwrap();
        assert_eq!((day.next().to_string(), day.next().next().to_string(), day.number()), ("2028-02-29".into(), "2028-03-01".into(), 20_280_228));
        assert_eq!(Day::from_number(day.number()), Some(day));
        assert_eq!((day.month().to_string(), day.next_month().to_string(), day.month_name()), ("2028-02-01".into(), "2028-03-01".into(), "2028-02".into()));
        assert_eq!((day.previous().next(), day.less(28).to_string()), (day, "2028-01-31".into()));
        for bad in ["", "2028-2-28", "2027-02-29", "2028-13-01", "1999-01-01", "2028-02-28 ", "20280228", "２０28-02-28", "-028-02-28", "9999-01-01"] {
            assert_eq!(bad.parse::<Day>(), Err(NotADay), "{bad}");
        }
    }

    #[test]
    fn a_day_is_as_long_as_its_zone_makes_it() {
        let berlin = Days::of(&TimeZone::get("Europe/Berlin").unwrap());
        let hours = |text: &str| {
            let day: Day = text.parse().unwrap();
            (berlin.begin(day.next()) - berlin.begin(day)) / 3_600_000
        };
        assert_eq!((hours("2026-03-28"), hours("2026-03-29"), hours("2026-10-25")), (24, 23, 25));
        assert_eq!(berlin.zone(), "Europe/Berlin");
    }

    proptest! {
        #[test]
        fn every_moment_lies_in_its_day(at in 1_000_000_000_000_i64..2_500_000_000_000, zone in proptest::sample::select(&ZONES[..])) {
            let days = Days::of(&TimeZone::get(zone).unwrap());
            let day = days.day(at);
            prop_assert!(days.begin(day) <= at && at < days.begin(day.next()), "{day}");
            prop_assert_eq!(days.day(days.begin(day)), day);
            prop_assert!(days.day(days.begin(day) - 1) == day.previous());
        }
    }
}
