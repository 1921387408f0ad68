//! When terms and periods begin and end, as a calendar counts in a time zone. Pure.
//!
//! Everything is counted from an anchor and never from what came before: who begins on January 31 pays again on February 28 and then on March 31. A boundary that the
//! zone's clocks skip in spring is the moment that they jump to; one that they show twice in autumn is the first of the two.

use crate::kernel::NEVER;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// What time is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Calendar days.
    Day,
    /// Seven of them.
    Week,
    /// Calendar months.
    Month,
}

impl Unit {
    /// All of them.
    pub const ALL: [Unit; 3] = [Unit::Day, Unit::Week, Unit::Month];

    /// The word in forms and in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Unit::Day => "day",
            Unit::Week => "week",
            Unit::Month => "month",
        }
    }

    /// From that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.word() == word)
    }

    /// The most of them that a term may have: ten years.
    pub const fn most(self) -> i64 {
        match self {
            Unit::Day => 3_650,
            Unit::Week => 520,
            Unit::Month => 120,
        }
    }

    /// The most of them that a term may have which a payment provider renews: three years.
    pub const fn most_renewed(self) -> i64 {
        match self {
            Unit::Day => 1_095,
            Unit::Week => 156,
            Unit::Month => 36,
        }
    }

    /// `n` of them after `from`; none where no calendar goes as far.
    fn after(self, from: DateTime, n: i64) -> Option<DateTime> {
        let span = match self {
            Unit::Day => Span::new().try_days(n),
            Unit::Week => Span::new().try_weeks(n),
            Unit::Month => Span::new().try_months(n),
        };
        from.checked_add(span.ok()?).ok()
    }
}

/// How long a term is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Length {
    /// How many, from 1 to [`Unit::most`].
    pub count: i64,
    /// Of what.
    pub unit: Unit,
}

/// A stretch of time: from its first millisecond to the first that is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The first unix millisecond.
    pub from: i64,
    /// The first that is not in it.
    pub until: i64,
}

impl Stretch {
    /// Whether a moment lies in it.
    pub fn contains(&self, at_ms: i64) -> bool {
        self.from <= at_ms && at_ms < self.until
    }
}

/// Terms of one length that follow each other from an anchor.
#[derive(Clone, Debug)]
pub struct Course {
    /// The first term's first unix millisecond.
    pub anchor_ms: i64,
    /// Whose calendar counts.
    pub zone: TimeZone,
    /// How long each term is.
    pub length: Length,
}

fn civil(at_ms: i64, zone: &TimeZone) -> DateTime {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or(if at_ms < 0 { Timestamp::MIN } else { Timestamp::MAX });
    zone.to_datetime(at)
}

/// The moment at which the zone's clocks show it, or [`NEVER`].
fn moment(shown: Option<DateTime>, zone: &TimeZone) -> i64 {
    shown.and_then(|shown| shown.to_zoned(zone.clone()).ok()).map_or(NEVER, |zoned| zoned.timestamp().as_millisecond())
}

impl Course {
    /// The first moment of the term with this number, from 0.
    pub fn starts_at(&self, term: i64) -> i64 {
        if term == 0 { self.anchor_ms } else { moment(self.shown_at(term), &self.zone) }
    }

    /// A term.
    pub fn term(&self, term: i64) -> Stretch {
        Stretch { from: self.starts_at(term), until: self.starts_at(term.saturating_add(1)) }
    }

    fn shown_at(&self, term: i64) -> Option<DateTime> {
        self.length.unit.after(civil(self.anchor_ms, &self.zone), term.checked_mul(self.length.count)?)
    }

    /// The periods of a term in which the allowance is given anew each `reset`, or once for none. `bounds` are the term's, which its seller may have set a little
    /// otherwise: the first period begins and the last ends with them. Months are counted from the anchor, shorter periods from the term's beginning.
    pub fn periods(&self, term: i64, bounds: Stretch, reset: Option<Unit>) -> Vec<Stretch> {
        let Some(reset) = reset else { return vec![bounds] };
        let begin = self.shown_at(term);
        let boundary = |n: i64| match (reset, self.length.unit) {
            (Unit::Month, Unit::Month) => {
                let before = term.checked_mul(self.length.count).and_then(|months| months.checked_add(n));
                moment(before.and_then(|months| Unit::Month.after(civil(self.anchor_ms, &self.zone), months)), &self.zone)
            }
            _ => moment(begin.and_then(|begin| reset.after(begin, n)), &self.zone),
        };
        let mut periods = Vec::new();
        let (mut from, mut n) = (bounds.from, 1);
        while from < bounds.until && n < MOST_PERIODS {
            let next = boundary(n);
            n += 1;
            // A seller that counts in another zone, or began a little later, must not make a period of what lies between.
            if next.saturating_sub(from) <= SLACK_MS {
                continue;
            }
            let until = if bounds.until.saturating_sub(next) <= SLACK_MS { bounds.until } else { next };
            periods.push(Stretch { from, until });
            from = until;
        }
        periods
    }
}

/// Ten years of days.
const MOST_PERIODS: i64 = 3_700;
/// What lies so near to a term's end belongs to the period before it.
const SLACK_MS: i64 = 2 * 60 * 60 * 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn course(anchor: &str, zone: &str, count: i64, unit: Unit) -> Course {
        Course { anchor_ms: at(anchor), zone: TimeZone::get(zone).unwrap(), length: Length { count, unit } }
    }

    fn shown(course: &Course, terms: std::ops::Range<i64>) -> Vec<String> {
        terms.map(|n| Timestamp::from_millisecond(course.starts_at(n)).unwrap().to_string()).collect()
    }

    #[test]
    fn the_end_of_a_month_is_counted_from_the_anchor() {
        let monthly = course("2026-01-31T10:00:00Z", "UTC", 1, Unit::Month);
        let expected = ["2026-01-31T10:00:00Z", "2026-02-28T10:00:00Z", "2026-03-31T10:00:00Z", "2026-04-30T10:00:00Z", "2026-05-31T10:00:00Z"];
        assert_eq!(shown(&monthly, 0..5), expected);
        let leap = course("2027-08-31T00:00:00Z", "UTC", 6, Unit::Month);
        assert_eq!(shown(&leap, 0..3), ["2027-08-31T00:00:00Z", "2028-02-29T00:00:00Z", "2028-08-31T00:00:00Z"]);
        let yearly = course("2028-02-29T00:00:00Z", "UTC", 12, Unit::Month);
        assert_eq!(shown(&yearly, 1..5), ["2029-02-28T00:00:00Z", "2030-02-28T00:00:00Z", "2031-02-28T00:00:00Z", "2032-02-29T00:00:00Z"]);
    }

    #[test]
    fn days_are_as_long_as_the_zone_makes_them() {
        // Berlin: summer time from 2026-03-29 02:00 to 2026-10-25 03:00.
        let daily = course("2026-03-28T08:00:00Z", "Europe/Berlin", 1, Unit::Day);
        assert_eq!(shown(&daily, 0..3), ["2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z", "2026-03-30T07:00:00Z"]);
        let skipped = course("2026-03-28T01:30:00Z", "Europe/Berlin", 1, Unit::Day);
        assert_eq!(shown(&skipped, 0..3), ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"], "02:30 is 03:30 on the day that has none");
        let twice = course("2026-10-24T00:30:00Z", "Europe/Berlin", 1, Unit::Day);
        assert_eq!(shown(&twice, 0..3), ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
        let second = course("2026-10-25T01:30:00Z", "Europe/Berlin", 1, Unit::Week);
        assert_eq!(second.starts_at(0), at("2026-10-25T01:30:00Z"), "an anchor is where it is");
    }

    #[test]
    fn periods_fill_their_term() {
        let quarter = course("2025-11-30T00:00:00Z", "UTC", 3, Unit::Month);
        let months: Vec<i64> = quarter.periods(1, quarter.term(1), Some(Unit::Month)).iter().map(|period| period.from).collect();
        assert_eq!(months, [at("2026-02-28T00:00:00Z"), at("2026-03-30T00:00:00Z"), at("2026-04-30T00:00:00Z")]);
        assert_eq!(quarter.periods(1, quarter.term(1), None), [quarter.term(1)]);
        let month = course("2026-01-31T10:00:00Z", "UTC", 1, Unit::Month);
        assert_eq!(month.periods(0, month.term(0), Some(Unit::Day)).len(), 28);
        let weeks = month.periods(0, month.term(0), Some(Unit::Week));
        assert_eq!((weeks.len(), weeks[3].until), (4, at("2026-02-28T10:00:00Z")));
        let weeks = month.periods(1, month.term(1), Some(Unit::Week));
        assert_eq!((weeks.len(), weeks[4]), (5, Stretch { from: at("2026-03-28T10:00:00Z"), until: at("2026-03-31T10:00:00Z") }));
        let days = course("2026-01-01T00:00:00Z", "UTC", 30, Unit::Day);
        assert_eq!(days.periods(0, days.term(0), Some(Unit::Month)), [days.term(0)]);
    }

    #[test]
    fn a_seller_s_bounds_hold_and_leave_no_scraps() {
        let month = course("2026-01-15T10:00:00Z", "UTC", 1, Unit::Month);
        for (from, until) in [
            ("2026-02-15T10:00:05Z", "2026-03-15T10:00:05Z"),
            ("2026-02-15T09:00:00Z", "2026-03-15T11:00:00Z"),
            ("2026-02-15T10:00:00Z", "2026-03-15T10:00:00Z"),
        ] {
            let told = Stretch { from: at(from), until: at(until) };
            assert_eq!(month.periods(1, told, Some(Unit::Month)), [told]);
            assert_eq!(month.periods(1, told, Some(Unit::Day)).len(), 28, "{from}");
        }
    }

    #[test]
    fn no_number_makes_it_panic() {
        let far = Course { anchor_ms: i64::MAX, zone: TimeZone::UTC, length: Length { count: i64::MAX, unit: Unit::Month } };
        assert_eq!((far.starts_at(2), far.starts_at(i64::MAX)), (NEVER, NEVER));
        assert!(far.periods(i64::MAX, Stretch { from: 5, until: 4 }, Some(Unit::Day)).is_empty());
        assert_eq!(far.periods(i64::MAX, Stretch { from: 5, until: NEVER }, Some(Unit::Day)), [Stretch { from: 5, until: NEVER }]);
    }

    const ZONES: [&str; 6] = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe", "America/Sao_Paulo"];

    proptest! {
        #[test]
        fn terms_follow_each_other_and_periods_fill_them(
            anchor in 1_700_000_000_000_i64..2_000_000_000_000,
            zone in proptest::sample::select(&ZONES[..]),
            unit in proptest::sample::select(&Unit::ALL[..]),
            reset in proptest::option::of(proptest::sample::select(&Unit::ALL[..])),
            count in 1_i64..15,
            term in 0_i64..40,
        ) {
            let course = Course { anchor_ms: anchor, zone: TimeZone::get(zone).unwrap(), length: Length { count, unit } };
            let bounds = course.term(term);
            prop_assert!(bounds.from < bounds.until);
            prop_assert_eq!(course.term(term + 1).from, bounds.until);
            let (first, shown) = (civil(anchor, &course.zone), civil(bounds.from, &course.zone));
            if unit == Unit::Month {
                // The same day, or the last one of a month that has no such day; a skipped hour may move the clock.
                prop_assert_eq!(shown.day(), first.day().min(shown.date().last_of_month().day()));
            }
            let periods = course.periods(term, bounds, reset);
            prop_assert_eq!((periods[0].from, periods[periods.len() - 1].until), (bounds.from, bounds.until));
            prop_assert!(periods.windows(2).all(|two| two[0].until == two[1].from));
            prop_assert!(periods.iter().all(|period| period.until - period.from > SLACK_MS));
        }
    }
}
