//! What customers are told without having asked at that moment: a balance that has fallen, credit that expires, a plan that ends.
//!
//! Invariants: each is told once (a balance once for each fall: it is told again only after it was back), in the transaction that notes that it was; what
//! somebody has switched off is not told. Who falls is seen by [`Watch`](crate::ledger::Watch).
//!
//! Locks are taken in the order notice_choice, revision.
//!
//! Callers: `web` (what a customer wants to be told), `app` (whoever is woken, and the job).

mod letters;
pub mod store;

use crate::accounts;
use crate::db::{Conn, Db, Tx};
use crate::kernel::clock::DAY_MS;
use crate::kernel::fields::{self, Mistakes};
use crate::kernel::{FieldError, Id, Kit, Usd};
use crate::ledger::watch::{self, Purpose, Wire};
use crate::ledger::{Books, LedgerError};
use crate::plans;
use jiff::tz::TimeZone;
use letters::Letters;

/// So many days ahead somebody can be told.
pub const DAYS: [i64; 6] = [0, 1, 3, 7, 14, 30];
/// The most of them.
const MOST_DAYS: i64 = 30;
/// What the shop tells those who have chosen nothing.
const DEFAULT: Choice = Choice { low_below: None, expiry_days: 7, plan_days: 3 };
/// The highest balance that somebody can be told of.
const MOST_LOW: Usd = Usd::dollars(100_000);
/// How many things one round tells.
const PORTION: i64 = 200;
/// How long is kept what was told: longer than anybody is told ahead.
const KEEP_MS: i64 = 100 * DAY_MS;

/// What a customer wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// When the balance falls below so much.
    pub low_below: Option<Usd>,
    /// So many days before credit expires; 0 for never.
    pub expiry_days: i64,
    /// So many days before a plan ends that nobody renews; 0 for never.
    pub plan_days: i64,
}

impl Choice {
    /// From a form: `low_below` in dollars or empty, `expiry_days`, `plan_days`.
    ///
    /// # Errors
    /// Every mistake, by field.
    pub fn parse<'a>(field: impl Fn(&str) -> &'a str) -> Result<Self, Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let low_below = mistakes.take("low_below", level(field("low_below")));
        let expiry_days = mistakes.take("expiry_days", days(field("expiry_days")));
        let plan_days = mistakes.take("plan_days", days(field("plan_days")));
        let (low_below, expiry_days, plan_days) = (low_below.flatten(), expiry_days.unwrap_or_default(), plan_days.unwrap_or_default());
        mistakes.check().map(|()| Self { low_below, expiry_days, plan_days })
    }
}

fn level(text: &str) -> Result<Option<Usd>, &'static str> {
    let text = text.trim().trim_start_matches('$');
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<Usd>().map_err(fields::money_key)? {
        level if level <= Usd::ZERO => Err("top_up.error.not_positive"),
        level if level > MOST_LOW => Err("field.amount_too_large"),
        level => Ok(Some(level)),
    }
}

fn days(text: &str) -> Result<i64, &'static str> {
    text.trim().parse().ok().filter(|days| DAYS.contains(days)).ok_or("notices.error.days")
}

/// What letters say of the shop.
#[derive(Clone, Debug)]
pub struct Sender {
    /// What the shop is called.
    pub site: String,
    /// Where it stands, without a slash at the end.
    pub url: String,
    /// Whose calendar counts for whoever has not said otherwise.
    pub zone: TimeZone,
}

/// What a customer wants to be told.
///
/// # Errors
/// The database's.
pub async fn choice(conn: &mut Conn, user: Id) -> Result<Choice, sqlx::Error> {
    Ok(store::find(conn, user).await?.unwrap_or(DEFAULT))
}

/// Keeps what a customer wants to be told. A level that is new counts from the balance as it is: whoever is below it already is told at the next fall.
///
/// # Errors
/// The database's.
pub async fn choose(db: &Db, books: &Books, user: Id, choice: &Choice) -> Result<(), LedgerError> {
    let mut tx = db.write().await?;
    let before = store::lock(&mut tx, user).await?;
    store::put(&mut tx, user, choice).await?;
    if before.and_then(|before| before.low_below) != choice.low_below {
        let wire = match choice.low_below {
            Some(level) if books.remaining(&mut tx, user).await? < level => Some(Wire::Above(level)),
            level => level.map(Wire::Below),
        };
        watch::set_wire(&mut tx, user, Purpose::Notice, wire).await?;
    }
    Ok(tx.commit().await?)
}

/// Tells a customer whose balance has fallen below the level that they have chosen, once, and waits until it is back. Whether it was told now.
///
/// # Errors
/// The database's.
pub async fn look_at(db: &Db, kit: &Kit, books: &Books, sender: &Sender, user: Id) -> Result<bool, LedgerError> {
    if watch::wire(&mut *db.read().await?, user, Purpose::Notice).await?.is_none() {
        return Ok(false);
    }
    let mut tx = db.write().await?;
    let Some(level) = store::lock(&mut tx, user).await?.and_then(|choice| choice.low_below) else { return Ok(false) };
    let balance = books.remaining(&mut tx, user).await?;
    let told = match watch::wire(&mut tx, user, Purpose::Notice).await? {
        Some(Wire::Below(_)) if balance < level => {
            tell_low(&mut tx, kit, sender, user, level, balance).await?;
            watch::set_wire(&mut tx, user, Purpose::Notice, Some(Wire::Above(level))).await?;
            true
        }
        Some(Wire::Above(_)) if balance >= level => {
            watch::set_wire(&mut tx, user, Purpose::Notice, Some(Wire::Below(level))).await?;
            false
        }
        _ => return Ok(false),
    };
    tx.commit().await?;
    Ok(told)
}

async fn tell_low(tx: &mut Tx, kit: &Kit, sender: &Sender, user: Id, level: Usd, balance: Usd) -> Result<(), LedgerError> {
    let Some(user) = accounts::find(tx, user).await?.filter(|user| user.may_spend()) else { return Ok(()) };
    Ok(Letters { kit, sender, user: &user }.low(tx, level, balance).await?)
}

/// Tells whose credit expires soon, and whose plan ends. Returns how many letters that were.
///
/// # Errors
/// The database's; what was told stays told.
pub async fn tell_due(db: &Db, kit: &Kit, sender: &Sender) -> Result<usize, sqlx::Error> {
    Ok(tell_expiring(db, kit, sender).await? + tell_ending(db, kit, sender).await?)
}

async fn tell_expiring(db: &Db, kit: &Kit, sender: &Sender) -> Result<usize, sqlx::Error> {
    let mut letters = 0;
    loop {
        let (before, now) = (letters, kit.clock.now_ms());
        let due = store::expiring(&mut *db.read().await?, now, now + MOST_DAYS * DAY_MS, DEFAULT.expiry_days, PORTION).await?;
        for group in due.chunk_by(|one, next| one.user == next.user) {
            let mut tx = db.write().await?;
            let mut fresh = Vec::with_capacity(group.len());
            for one in group {
                if store::sent(&mut tx, &format!("credit:{}:{}", one.credit.0, one.at), one.user, now).await? {
                    fresh.push(one);
                }
            }
            // They stand in the order in which they expire.
            let Some(first) = fresh.first() else { continue };
            let Some(user) = accounts::find(&mut tx, first.user).await? else { continue };
            let left: Usd = fresh.iter().map(|one| one.left).sum();
            Letters { kit, sender, user: &user }.expiry(&mut tx, left, first.at).await?;
            tx.commit().await?;
            letters += 1;
        }
        if (due.len() as i64) < PORTION || letters == before {
            return Ok(letters);
        }
    }
}

async fn tell_ending(db: &Db, kit: &Kit, sender: &Sender) -> Result<usize, sqlx::Error> {
    let mut letters = 0;
    loop {
        let (before, now) = (letters, kit.clock.now_ms());
        let due = store::ending(&mut *db.read().await?, now, now + MOST_DAYS * DAY_MS, DEFAULT.plan_days, PORTION).await?;
        for one in &due {
            let mut tx = db.write().await?;
            if !store::sent(&mut tx, &format!("plan:{}:{}", one.subscription.0, one.at), one.user, now).await? {
                continue;
            }
            let next = Some(Id(one.subscription.0.saturating_add(1)));
            let view = plans::of_user(&mut tx, one.user, next, 1).await?.into_iter().find(|view| view.id == one.subscription);
            let name = view.and_then(|view| view.terms.last().map(|term| term.terms.name.clone()));
            let (Some(name), Some(user)) = (name, accounts::find(&mut tx, one.user).await?) else { continue };
            Letters { kit, sender, user: &user }.plan_ends(&mut tx, &name, one.at).await?;
            tx.commit().await?;
            letters += 1;
        }
        if (due.len() as i64) < PORTION || letters == before {
            return Ok(letters);
        }
    }
}

/// Forgets what was told long ago.
///
/// # Errors
/// The database's.
pub async fn sweep(db: &Db, kit: &Kit) -> Result<u64, sqlx::Error> {
    let mut tx = db.write().await?;
    let swept = store::sweep(&mut tx, kit.clock.now_ms() - KEEP_MS).await?;
    tx.commit().await?;
    Ok(swept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(low: &str, expiry: &str, plan: &str) -> Result<Choice, Vec<FieldError>> {
        let fields = [("low_below", low), ("expiry_days", expiry), ("plan_days", plan)];
        Choice::parse(|name| fields.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| *value))
    }

    #[test]
    fn a_form_is_read_with_every_mistake_at_its_field() {
        assert_eq!(parse("", "0", "0"), Ok(Choice { low_below: None, expiry_days: 0, plan_days: 0 }));
        assert_eq!(parse(" $2.50", "7", "30"), Ok(Choice { low_below: Some(Usd(2_500_000_000)), expiry_days: 7, plan_days: 30 }));
        for (low, expiry, plan, field, key) in [
            ("0", "0", "0", "low_below", "top_up.error.not_positive"),
            ("x", "0", "0", "low_below", "field.amount"),
            ("100001", "0", "0", "low_below", "field.amount_too_large"),
            ("", "2", "0", "expiry_days", "notices.error.days"),
            ("", "0", "many", "plan_days", "notices.error.days"),
        ] {
            assert_eq!(parse(low, expiry, plan), Err(vec![FieldError::new(field, key)]), "{low} {expiry} {plan}");
        }
        assert_eq!(DAYS.into_iter().max(), Some(MOST_DAYS));
    }
}
