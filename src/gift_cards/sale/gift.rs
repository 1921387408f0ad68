//! What a buyer wishes for a card: to whom, from whom, with which words, on which day.

use crate::accounts::Email;
use crate::i18n::Lang;
use crate::kernel::fields::Mistakes;
use crate::kernel::{FieldError, clock::DAY_MS};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// The longest message, in characters.
pub const MAX_MESSAGE: usize = 300;
const MAX_GIVER: usize = 60;
/// How long before its day a card can be bought.
const MAX_AHEAD_MS: i64 = 366 * DAY_MS;
/// The hour at which letters go out, where the buyer lives.
const HOUR: i8 = 9;

/// A gift, checked. An order keeps it as JSON until it is paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gift {
    /// The address that the card is mailed to.
    pub to: String,
    /// The name of who gives it.
    pub giver: String,
    /// Their words; may be empty.
    pub message: String,
    /// The code of the letter's language.
    pub lang: String,
    /// When it is mailed, in unix milliseconds.
    pub deliver_at: i64,
}

/// The form, as it was typed.
#[derive(Clone, Copy, Debug, Default)]
pub struct GiftFields<'a> {
    /// The friend's address.
    pub to: &'a str,
    /// Who gives it.
    pub giver: &'a str,
    /// A few words.
    pub message: &'a str,
    /// The language of the letter.
    pub lang: &'a str,
    /// A day as `2026-12-24`; empty for at once.
    pub deliver_on: &'a str,
    /// The buyer's time zone, by its IANA name. UTC when it is none that is known here.
    pub time_zone: &'a str,
}

impl Gift {
    /// From a form.
    ///
    /// # Errors
    /// Every mistake, by field: `to`, `giver`, `message`, `letter_lang`, `deliver_on`.
    pub fn parse(typed: &GiftFields<'_>, now_ms: i64) -> Result<Self, Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let to = mistakes.take("to", Email::parse(typed.to).map_err(|_| "field.email"));
        let giver = typed.giver.trim();
        if giver.is_empty() {
            mistakes.add("giver", "field.required");
        } else if giver.chars().count() > MAX_GIVER || giver.chars().any(char::is_control) || has_link(giver) {
            mistakes.add("giver", "gift_card.error_giver");
        }
        let message = typed.message.trim().replace("\r\n", "\n");
        let strange = |c: char| c.is_control() && c != '\n';
        if message.chars().count() > MAX_MESSAGE || message.chars().any(strange) || has_link(&message) {
            mistakes.add("message", "gift_card.error_message");
        }
        let lang = mistakes.take("letter_lang", Lang::parse(typed.lang).ok_or("gift_card.error_lang"));
        let deliver_at = mistakes.take("deliver_on", moment(typed.deliver_on, typed.time_zone, now_ms));
        mistakes.check()?;
        Ok(Self {
            to: to.map(|to| to.as_str().to_owned()).unwrap_or_default(),
            giver: giver.to_owned(),
            message,
            lang: lang.unwrap_or_default().code().to_owned(),
            deliver_at: deliver_at.unwrap_or(now_ms),
        })
    }

    /// As an order keeps it.
    pub fn write(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// From what an order has kept.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// Letters of the shop must not lead anybody to another site.
fn has_link(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("://") || text.contains("www.")
}

/// Nine in the morning of a day where the buyer lives, or now when that is over.
fn moment(day: &str, time_zone: &str, now_ms: i64) -> Result<i64, &'static str> {
    let day = day.trim();
    if day.is_empty() {
        return Ok(now_ms);
    }
    let day: Date = day.parse().map_err(|_| "gift_card.error_day")?;
    let zone = TimeZone::get(time_zone.trim()).unwrap_or(TimeZone::UTC);
    let at = |hour: i8| day.at(hour, 0, 0, 0).to_zoned(zone.clone()).map(|zoned| zoned.timestamp().as_millisecond()).map_err(|_| "gift_card.error_day");
    let ends = at(0)?.saturating_add(DAY_MS);
    match at(HOUR)? {
        _ if ends <= now_ms => Err("field.in_the_past"),
        late if late > now_ms + MAX_AHEAD_MS => Err("gift_card.error_day"),
        morning => Ok(morning.max(now_ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-01T12:00:00Z
    const NOW: i64 = 1_772_366_400_000;

    fn fields() -> GiftFields<'static> {
        GiftFields { to: " Bob@Example.com ", giver: " Ann ", message: "Enjoy!\r\nAnn", lang: "zh", deliver_on: "", time_zone: "" }
    }

    #[test]
    fn a_gift_is_read_and_kept_or_refused_with_every_mistake() {
        let gift = Gift::parse(&fields(), NOW).unwrap();
        let expected = Gift { to: "Bob@example.com".into(), giver: "Ann".into(), message: "Enjoy!\nAnn".into(), lang: "zh".into(), deliver_at: NOW };
        assert_eq!(gift, expected);
        assert_eq!(Gift::read(&gift.write()), Some(gift));
        assert_eq!(Gift::read("{}"), None);
        let wrong = GiftFields { to: "bob", giver: "", message: "see http://evil.example", lang: "xx", deliver_on: "soon", time_zone: "" };
        let keys = Gift::parse(&wrong, NOW).unwrap_err().into_iter().map(|mistake| (mistake.field, mistake.key)).collect::<Vec<_>>();
        let expected = [
            ("to", "field.email"),
            ("giver", "field.required"),
            ("message", "gift_card.error_message"),
            ("letter_lang", "gift_card.error_lang"),
            ("deliver_on", "gift_card.error_day"),
        ];
        assert_eq!(keys, expected);
        let (long, long_name) = ("字".repeat(MAX_MESSAGE + 1), "a".repeat(61));
        for message in [long.as_str(), "bell\u{7}", "WWW.evil.example"] {
            assert!(Gift::parse(&GiftFields { message, ..fields() }, NOW).is_err(), "{message}");
        }
        for giver in ["two\nlines", &long_name, "Ann https://evil.example"] {
            assert!(Gift::parse(&GiftFields { giver, ..fields() }, NOW).is_err(), "{giver}");
        }
        assert!(Gift::parse(&GiftFields { message: &"字".repeat(MAX_MESSAGE), ..fields() }, NOW).is_ok());
    }

    #[test]
    fn the_letter_goes_out_in_the_morning_of_the_day_where_the_buyer_lives() {
        let at = |day: &str, zone: &str| moment(day, zone, NOW);
        let utc = |text: &str| Ok(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        assert_eq!(at("2026-03-02", "UTC"), utc("2026-03-02T09:00:00Z"));
        assert_eq!(at("2026-03-02", "Asia/Shanghai"), utc("2026-03-02T01:00:00Z"));
        // Summer time begins there on 8 March and ends on 1 November.
        assert_eq!(at("2026-03-07", "America/New_York"), utc("2026-03-07T14:00:00Z"));
        assert_eq!(at("2026-03-08", "America/New_York"), utc("2026-03-08T13:00:00Z"));
        assert_eq!(at("2026-11-01", "America/New_York"), utc("2026-11-01T14:00:00Z"));
        assert_eq!(at("2026-03-02", "Nowhere/Atlantis"), utc("2026-03-02T09:00:00Z"), "a zone that nobody knows is UTC");
        assert_eq!(at("2026-03-01", "UTC"), Ok(NOW), "today, after nine");
        assert_eq!(at("2026-03-01", "Pacific/Auckland"), Err("field.in_the_past"), "there it is tomorrow already");
        assert_eq!(at("2026-02-28", "Pacific/Honolulu"), Err("field.in_the_past"));
        for bad in ["2026-02-29", "2027-06-01", "9999-12-31", "tomorrow", "2026-3-1x", "-9999-01-01"] {
            assert!(at(bad, "UTC").is_err(), "{bad}");
        }
    }
}
