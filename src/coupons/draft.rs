//! A coupon as an admin types it, checked.

use super::terms::{Amounts, Applies, Off, Terms, WHOLE};
use crate::kernel::fields::{self, Mistakes};
use crate::kernel::{Currency, FieldError, Id, Money, NEVER, Usd};
use jiff::civil::Date;
use jiff::tz::TimeZone;

const MAX_CODE: usize = 32;
const MAX_NOTE: usize = 200;
const MAX_LIMIT: i64 = 1_000_000_000;
/// How many currencies or plans a coupon can name.
const MAX_LINES: usize = 200;

/// What an admin sets for a coupon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// What customers type.
    pub code: String,
    /// What it is for; only admins see it.
    pub note: String,
    /// What it gives, and for what.
    pub terms: Terms,
    /// Only for a customer's first purchase.
    pub first_only: bool,
    /// Good from this unix millisecond.
    pub starts_at: i64,
    /// Good until before this unix millisecond, or [`NEVER`].
    pub ends_at: i64,
    /// How often it may be used in all.
    pub total_limit: Option<i64>,
    /// How often by one customer.
    pub per_customer: Option<i64>,
    /// Switched on.
    pub enabled: bool,
}

/// The form, as it was typed; each field by its name.
#[derive(Clone, Copy, Debug, Default)]
pub struct CouponFields<'a> {
    /// The code.
    pub code: &'a str,
    /// The note.
    pub note: &'a str,
    /// `percent`, `amount` or `bonus`.
    pub kind: &'a str,
    /// A percentage such as `12.5`.
    pub percent: &'a str,
    /// Amounts such as `5 USD`, one per line.
    pub amounts: &'a str,
    /// Dollars of credit.
    pub bonus: &'a str,
    /// What a purchase must come to, one amount per line.
    pub minimums: &'a str,
    /// Good for top-ups.
    pub top_up: &'a str,
    /// Good for every plan.
    pub plans: &'a str,
    /// Good for gift cards.
    pub gift_cards: &'a str,
    /// Good for these plans, one id per line.
    pub only: &'a str,
    /// Only for first purchases.
    pub first_only: &'a str,
    /// A day, in UTC, or nothing.
    pub starts_on: &'a str,
    /// The last day, in UTC, or nothing.
    pub ends_on: &'a str,
    /// How often in all, or nothing.
    pub total_limit: &'a str,
    /// How often by one customer, or nothing.
    pub per_customer: &'a str,
    /// Switched on.
    pub enabled: &'a str,
}

impl<'a> CouponFields<'a> {
    /// From whatever knows the value of a field by its name.
    pub fn read(value: impl Fn(&'static str) -> &'a str) -> Self {
        Self {
            code: value("code"),
            note: value("note"),
            kind: value("kind"),
            percent: value("percent"),
            amounts: value("amounts"),
            bonus: value("bonus"),
            minimums: value("minimums"),
            top_up: value("top_up"),
            plans: value("plans"),
            gift_cards: value("gift_cards"),
            only: value("only"),
            first_only: value("first_only"),
            starts_on: value("starts_on"),
            ends_on: value("ends_on"),
            total_limit: value("total_limit"),
            per_customer: value("per_customer"),
            enabled: value("enabled"),
        }
    }
}

/// A code as it is compared: in capitals, without space and hyphens.
pub(super) fn key_of(typed: &str) -> Option<String> {
    if typed.len() > 200 {
        return None;
    }
    let key: String = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').flat_map(char::to_uppercase).collect();
    (!key.is_empty() && key.chars().count() <= MAX_CODE).then_some(key)
}

impl Draft {
    /// From a form.
    ///
    /// # Errors
    /// Every mistake, by the names of [`CouponFields`].
    pub fn parse(typed: &CouponFields<'_>) -> Result<Self, Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let code = typed.code.trim().to_uppercase();
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        if !(3..=MAX_CODE).contains(&code.chars().count()) || !code.chars().all(plain) || key_of(&code).is_none() {
            mistakes.add("code", "coupons.error.code");
        }
        let note = typed.note.trim().to_owned();
        if note.chars().count() > MAX_NOTE || note.chars().any(char::is_control) {
            mistakes.add("note", "gift_cards.error.note");
        }
        let off = read_off(typed, &mut mistakes);
        let minimums = mistakes.take("minimums", amounts(typed.minimums)).unwrap_or_default();
        let applies = read_applies(typed, &mut mistakes);
        let starts_at = mistakes.take("starts_on", day(typed.starts_on, 0)).flatten().unwrap_or(0);
        let ends_at = mistakes.take("ends_on", day(typed.ends_on, 1)).flatten().unwrap_or(NEVER);
        if ends_at <= starts_at {
            mistakes.add("ends_on", "coupons.error.window");
        }
        let total_limit = mistakes.take("total_limit", limit(typed.total_limit)).flatten();
        let per_customer = mistakes.take("per_customer", limit(typed.per_customer)).flatten();
        mistakes.check()?;
        let terms = Terms { off: off.unwrap_or(Off::Percent(1)), applies, minimums };
        let (first_only, enabled) = (fields::ticked(typed.first_only), fields::ticked(typed.enabled));
        Ok(Self { code, note, terms, first_only, starts_at, ends_at, total_limit, per_customer, enabled })
    }

    /// The code as it is compared.
    pub fn key(&self) -> String {
        key_of(&self.code).unwrap_or_default()
    }

    /// The percentage that is taken off, as people write it; 0 when it is an amount or a bonus.
    pub fn percent(&self) -> String {
        percent_text(if let Off::Percent(share) = self.terms.off { share } else { 0 })
    }

    /// The values of the form's fields, to change it.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let flag = |on: bool| if on { "on".to_owned() } else { String::new() };
        let number = |limit: Option<i64>| limit.map(|n| n.to_string()).unwrap_or_default();
        let (kind, percent, amounts, bonus) = match &self.terms.off {
            Off::Percent(share) => ("percent", percent_text(*share), String::new(), String::new()),
            Off::Amount(amounts) => ("amount", String::new(), lines(amounts), String::new()),
            Off::Bonus(bonus) => ("bonus", String::new(), String::new(), bonus.to_string()),
        };
        let applies = &self.terms.applies;
        let only: Vec<String> = applies.only.iter().map(|id| Id(*id).to_string()).collect();
        vec![
            ("code", self.code.clone()),
            ("note", self.note.clone()),
            ("kind", kind.to_owned()),
            ("percent", percent),
            ("amounts", amounts),
            ("bonus", bonus),
            ("minimums", lines(&self.terms.minimums)),
            ("top_up", flag(applies.top_up)),
            ("plans", flag(applies.plans)),
            ("gift_cards", flag(applies.gift_cards)),
            ("only", only.join("\n")),
            ("first_only", flag(self.first_only)),
            ("starts_on", if self.starts_at == 0 { String::new() } else { date(self.starts_at) }),
            ("ends_on", if self.ends_at == NEVER { String::new() } else { date(self.ends_at - 1) }),
            ("total_limit", number(self.total_limit)),
            ("per_customer", number(self.per_customer)),
            ("enabled", flag(self.enabled)),
        ]
    }
}

fn read_off(typed: &CouponFields<'_>, mistakes: &mut Mistakes) -> Option<Off> {
    match typed.kind {
        "percent" => mistakes.take("percent", percent(typed.percent)).map(Off::Percent),
        "amount" => {
            let amounts = amounts(typed.amounts).and_then(|amounts| if amounts.is_empty() { Err("coupons.error.amounts") } else { Ok(amounts) });
            mistakes.take("amounts", amounts).map(Off::Amount)
        }
        "bonus" => {
            let bonus = typed.bonus.parse::<Usd>().map_err(fields::money_key);
            mistakes.take("bonus", bonus.and_then(|bonus| if bonus > Usd::ZERO { Ok(bonus) } else { Err("coupons.error.bonus") })).map(Off::Bonus)
        }
        _ => {
            mistakes.add("kind", "coupons.error.kind");
            None
        }
    }
}

fn read_applies(typed: &CouponFields<'_>, mistakes: &mut Mistakes) -> Applies {
    let ids: Result<Vec<i64>, _> = typed.only.split_whitespace().take(MAX_LINES + 1).map(|id| id.parse::<Id>().map(|id| id.0)).collect();
    let ids = ids.ok().filter(|ids| ids.len() <= MAX_LINES).ok_or("coupons.error.only");
    let only = mistakes.take("only", ids).unwrap_or_default();
    let [top_up, plans, gift_cards] = [typed.top_up, typed.plans, typed.gift_cards].map(fields::ticked);
    let applies = Applies { top_up, plans, gift_cards, only };
    if applies.is_empty() && !mistakes.has("only") {
        mistakes.add("top_up", "coupons.error.applies");
    }
    applies
}

/// Hundredths of a percent.
fn percent(text: &str) -> Result<i64, &'static str> {
    let text = text.trim().trim_end_matches('%').trim_end();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let readable = whole.len() <= 3 && fraction.len() <= 2 && digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let share = readable.then(|| format!("0{whole}{fraction:0<2}").parse::<i64>().ok()).flatten();
    share.filter(|share| (1..=WHOLE).contains(share)).ok_or("coupons.error.percent")
}

/// As [`percent`] reads it.
fn percent_text(share: i64) -> String {
    let fraction = format!("{:02}", share % 100);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { (share / 100).to_string() } else { format!("{}.{fraction}", share / 100) }
}

/// One amount per line, such as `5 USD`, each currency once.
fn amounts(text: &str) -> Result<Amounts, &'static str> {
    let mut amounts = Amounts::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()).take(MAX_LINES) {
        let (number, code) = line.rsplit_once(char::is_whitespace).ok_or("coupons.error.amounts")?;
        let currency: Currency = code.parse().map_err(|_| "coupons.error.amounts")?;
        let money = Money::parse(number, currency).map_err(|_| "coupons.error.amounts")?;
        if money.minor <= 0 || amounts.insert(currency, money.minor).is_some() {
            return Err("coupons.error.amounts");
        }
    }
    Ok(amounts)
}

fn lines(amounts: &Amounts) -> String {
    amounts.iter().map(|(currency, minor)| format!("{} {currency}", Money::new(*minor, *currency))).collect::<Vec<_>>().join("\n")
}

/// The first moment of a day, in UTC, so many days later. None when no day was typed.
fn day(text: &str, later: i64) -> Result<Option<i64>, &'static str> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let day: Date = text.parse().map_err(|_| "coupons.error.day")?;
    let start = day.to_zoned(TimeZone::UTC).map_err(|_| "coupons.error.day")?.timestamp().as_millisecond();
    // What is kept as "always" and "never" is no day.
    let moment = start.saturating_add(later * crate::kernel::clock::DAY_MS);
    if start > 0 { Ok(Some(moment)) } else { Err("coupons.error.day") }
}

fn date(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map(|at| at.to_zoned(TimeZone::UTC).date().to_string()).unwrap_or_default()
}

fn limit(text: &str) -> Result<Option<i64>, &'static str> {
    if text.trim().is_empty() { Ok(None) } else { fields::whole_number(text, 1..=MAX_LIMIT, "coupons.error.limit").map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> CouponFields<'static> {
        CouponFields { code: "spring-26", kind: "percent", percent: "12.5", top_up: "on", enabled: "on", ..CouponFields::default() }
    }

    #[test]
    fn every_kind_is_read_and_printed_back_as_it_was_typed() {
        let percent = Draft::parse(&fields()).unwrap();
        assert_eq!((percent.code.as_str(), percent.key().as_str(), &percent.terms.off), ("SPRING-26", "SPRING26", &Off::Percent(1_250)));
        let typed = CouponFields {
            kind: "amount",
            amounts: "5 USD\n700 JPY",
            minimums: "20.5 usd",
            only: "0000000000007 0000000000008",
            first_only: "on",
            starts_on: "2026-02-28",
            ends_on: "2026-02-28",
            total_limit: "100",
            per_customer: "1",
            note: " Fair ",
            ..fields()
        };
        let amount = Draft::parse(&typed).unwrap();
        assert_eq!(amount.terms.off, Off::Amount(Amounts::from([(Currency::USD, 500), ("JPY".parse().unwrap(), 700)])));
        assert_eq!(amount.ends_at - amount.starts_at, crate::kernel::clock::DAY_MS, "the last day is included");
        let bonus = Draft::parse(&CouponFields { kind: "bonus", bonus: "2.50", ..fields() }).unwrap();
        assert_eq!(bonus.terms.off, Off::Bonus(Usd(2_500_000_000)));
        for draft in [percent, amount, bonus] {
            let again = draft.fields();
            let value = |name: &str| again.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value.as_str());
            assert_eq!(Draft::parse(&CouponFields::read(value)).unwrap(), draft);
        }
    }

    #[test]
    fn mistakes_are_named_by_field() {
        let wrong = CouponFields {
            code: "a b",
            kind: "amount",
            amounts: "5",
            minimums: "x USD",
            only: "seven",
            starts_on: "soon",
            total_limit: "0",
            per_customer: "-1",
            note: "two\nlines",
            ..CouponFields::default()
        };
        let found: Vec<&str> = Draft::parse(&wrong).unwrap_err().into_iter().map(|mistake| mistake.field).collect();
        assert_eq!(found, ["code", "note", "amounts", "minimums", "only", "starts_on", "total_limit", "per_customer"]);
        for bad in ["", "0", "100.01", "101", "1.234", "-5", "1e1", ".", "%"] {
            assert!(Draft::parse(&CouponFields { percent: bad, ..fields() }).is_err(), "{bad:?}");
        }
        for (text, share) in [("100", 10_000), ("0.01", 1), (".5 %", 50), ("33.3%", 3_330)] {
            assert_eq!((percent(text), percent(&percent_text(share))), (Ok(share), Ok(share)));
        }
        for bad in ["5 USD\n6 USD", "0 USD", "-1 USD", "5 XXX", "5.001 USD", "USD"] {
            assert!(Draft::parse(&CouponFields { kind: "amount", amounts: bad, ..fields() }).is_err(), "{bad:?}");
        }
        assert!(Draft::parse(&CouponFields { top_up: "", ..fields() }).is_err(), "good for nothing");
        assert!(Draft::parse(&CouponFields { starts_on: "2026-03-01", ends_on: "2026-02-28", ..fields() }).is_err());
        assert!(Draft::parse(&CouponFields { kind: "bonus", bonus: "0", ..fields() }).is_err());
        assert_eq!((key_of(" spring 26 "), key_of("--"), key_of(&"x".repeat(300))), (Some("SPRING26".into()), None, None));
    }
}
