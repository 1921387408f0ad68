//! How numbers and times read in a page.

use crate::kernel::clock::DAY_MS;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `1234567` as `1,234,567`.
pub fn count(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut out = String::from(if n < 0 { "-" } else { "" });
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Milliseconds as a person reads them: `312 ms`, `1.24 s`, `2 min 05 s`.
pub fn duration(ms: i64) -> String {
    match ms {
        ..1_000 => format!("{} ms", ms.max(0)),
        1_000..60_000 => format!("{}.{:02} s", ms / 1_000, ms % 1_000 / 10),
        _ => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

/// A moment for `<time datetime>`.
pub fn iso(ms: i64) -> String {
    stamp(ms).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A moment in UTC for those whose browser runs no scripts.
pub fn utc(ms: i64) -> String {
    stamp(ms).strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// The midnight before a moment, UTC.
pub fn day_start(ms: i64) -> i64 {
    ms - ms.rem_euclid(DAY_MS)
}

/// The first midnight of a moment's month, UTC.
pub fn month_start(ms: i64) -> i64 {
    let day = stamp(ms).to_zoned(TimeZone::UTC).day();
    day_start(ms) - i64::from(day - 1) * DAY_MS
}

/// Moments that no calendar has print as the last one that it has.
fn stamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_well() {
        assert_eq!((count(0), count(999), count(-1_234_567)), ("0".into(), "999".into(), "-1,234,567".into()));
        assert_eq!(count(i64::MIN), "-9,223,372,036,854,775,808");
        assert_eq!((duration(-5), duration(312), duration(1_249), duration(125_000)), ("0 ms".into(), "312 ms".into(), "1.24 s".into(), "2 min 05 s".into()));
        assert_eq!(iso(1_767_225_600_000), "2026-01-01T00:00:00Z");
        assert_eq!(utc(1_767_225_600_000), "2026-01-01 00:00 UTC");
        assert_eq!((day_start(1_767_225_600_001), iso(month_start(1_772_282_096_000))), (1_767_225_600_000, "2026-02-01T00:00:00Z".into()));
        assert_eq!(utc(i64::MAX).len(), utc(0).len());
    }
}
