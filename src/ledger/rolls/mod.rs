//! Days that are over, added up: what moved from account to account, and what each customer's statement has of it.
//!
//! Rolls say nothing that the transfers do not say; they only spare reading them. Invariants, which [`audit`] proves:
//! - the days of a zone that are rolled follow each other without a gap; what lies before the first and after the last is read from the transfers;
//! - a roll has every transfer whose id was made in its day, once.
//!
//! A day is rolled an hour after its end, and is rolled anew when there are more transfers than it has: one that another node's clock dated back, or whose
//! transaction took long. The last days are counted again at every run and the others in turn. When the shop changes its zone, its days are rolled
//! anew from the first; until that is done, they are read from the transfers.

mod audit;
pub mod store;

pub use audit::audit;

use super::statement::DaySum;
use crate::db::{Conn, Db};
use crate::kernel::{Day, Days, Id, Kit, Usd};
use std::collections::BTreeMap;

/// So long after its end a day is rolled.
const SETTLE_MS: i64 = 3_600_000;
/// How many days one run rolls.
const PORTION: usize = 60;
/// How many of the last days are counted again at every run, and how many of the others.
const RECENT: i64 = 3;
const OTHERS: i64 = 2;
/// How many rolls that do not count any more one run deletes.
const DROPPED: i64 = 60;
/// How many parts are written at a time, so that nobody waits for long.
const PARTS_AT_ONCE: usize = 512;

/// All credits of customers, as one account.
pub const CREDITS: i64 = 100;
/// What customers owe, as one account.
pub const RECEIVABLES: i64 = 101;

/// From which account to which, and why. Accounts are those of the house, [`CREDITS`] and [`RECEIVABLES`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The account that was debited.
    pub debit: i64,
    /// The account that was credited.
    pub credit: i64,
    /// The kind of transfer, in the database's word.
    pub kind: String,
}

/// What moved in some time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moves(BTreeMap<Key, (Usd, i64)>);

impl Moves {
    fn add(&mut self, (key, amount, transfers): store::Moved) {
        let sum = self.0.entry(key).or_default();
        sum.0 += amount;
        sum.1 += transfers;
    }

    fn of(moved: Vec<store::Moved>) -> Self {
        let mut moves = Self::default();
        moved.into_iter().for_each(|row| moves.add(row));
        moves
    }

    /// Both together.
    pub fn and(mut self, other: &Self) -> Self {
        other.0.iter().for_each(|(key, (amount, transfers))| self.add((key.clone(), *amount, *transfers)));
        self
    }

    /// How much moved between accounts that are so.
    pub fn sum(&self, mut is: impl FnMut(&Key) -> bool) -> Usd {
        self.0.iter().filter(|(key, _)| is(key)).map(|(_, (amount, _))| *amount).sum()
    }

    /// Debits less credits of one account.
    pub fn net(&self, account: i64) -> Usd {
        self.sum(|key| key.debit == account) - self.sum(|key| key.credit == account)
    }

    /// How many transfers that were.
    pub fn transfers(&self) -> i64 {
        self.0.values().map(|(_, transfers)| transfers).sum()
    }
}

/// A day that is added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Roll {
    id: Id,
    day: Day,
    transfers: i64,
}

/// Movements of one customer that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    user: Id,
    first: Id,
    last: Id,
    sum: DaySum,
}

/// What moved on each day from `from` to before `until`; days on which nothing did are left out. To be read in one snapshot with [`before`].
///
/// # Errors
/// The database's.
pub async fn daily(conn: &mut Conn, days: &Days, from: Day, until: Day) -> Result<BTreeMap<Day, Moves>, sqlx::Error> {
    let mut all: BTreeMap<Day, Moves> = BTreeMap::new();
    for (day, moved) in store::rolled(conn, days.zone(), from, until).await? {
        all.entry(day).or_default().add(moved);
    }
    let bounds = store::bounds(conn, days.zone()).await?;
    let mut day = from;
    while day < until {
        if bounds.is_none_or(|(first, last)| day < first || last < day) {
            all.insert(day, Moves::of(store::live(conn, days.ids(day)).await?));
        }
        if day.next() <= day {
            break;
        }
        day = day.next();
    }
    all.retain(|_, moves| moves.transfers() > 0);
    Ok(all)
}

/// What moved on all days before one.
///
/// # Errors
/// The database's.
pub async fn before(conn: &mut Conn, days: &Days, until: Day) -> Result<Moves, sqlx::Error> {
    let end = days.ids(until).0;
    let Some((first, last)) = store::bounds(conn, days.zone()).await? else {
        return Ok(Moves::of(store::live(conn, (Id(0), end)).await?));
    };
    let (begins, over) = (days.ids(first).0, days.ids(last).1);
    let mut moves = Moves::of(store::before(conn, days.zone(), until).await?);
    for (from, until) in [(Id(0), begins.min(end)), (over, end)] {
        if from < until {
            store::live(conn, (from, until)).await?.into_iter().for_each(|row| moves.add(row));
        }
    }
    Ok(moves)
}

/// The days that are rolled, from the first to the last.
///
/// # Errors
/// The database's.
pub async fn rolled(conn: &mut Conn, days: &Days) -> Result<Option<(Day, Day)>, sqlx::Error> {
    store::bounds(conn, days.zone()).await
}

/// The zones of which days are rolled.
///
/// # Errors
/// The database's.
pub async fn zones(conn: &mut Conn) -> Result<Vec<String>, sqlx::Error> {
    store::zones(conn).await
}

/// The day of the oldest transfer.
///
/// # Errors
/// The database's.
pub async fn first_day(conn: &mut Conn, days: &Days) -> Result<Option<Day>, sqlx::Error> {
    Ok(store::first(conn).await?.map(|id| days.day(id.made_at_ms())))
}

/// Rolls days that are over and were not rolled, or not whole, and deletes what does not count any more. Returns how many were rolled; there may be more to do
/// when it is a whole portion.
///
/// # Errors
/// The database's; what was done stays.
pub async fn run(db: &Db, kit: &Kit, days: &Days) -> Result<usize, sqlx::Error> {
    let mut rolled = 0;
    while rolled < PORTION {
        let Some(day) = next_day(&mut *db.read().await?, kit, days).await? else { break };
        roll(db, kit, days, day).await?;
        rolled += 1;
    }
    rolled += recount(db, kit, days).await?;
    drop_old(db, kit, days).await?;
    Ok(rolled)
}

/// The next day that has to be rolled.
async fn next_day(conn: &mut Conn, kit: &Kit, days: &Days) -> Result<Option<Day>, sqlx::Error> {
    let Some(oldest) = first_day(conn, days).await? else { return Ok(None) };
    let next = match store::bounds(conn, days.zone()).await? {
        None => oldest,
        Some((first, _)) if oldest < first => first.previous(),
        Some((_, last)) => last.next(),
    };
    Ok(Some(next).filter(|day| days.begin(day.next()).saturating_add(SETTLE_MS) <= kit.clock.now_ms()))
}

/// Rolls one day, in place of what was rolled of it before.
async fn roll(db: &Db, kit: &Kit, days: &Days, day: Day) -> Result<(), sqlx::Error> {
    let mut snapshot = db.snapshot().await?;
    let moved = store::live(&mut snapshot, days.ids(day)).await?;
    let parts = store::parts(&mut snapshot, days.ids(day)).await?;
    drop(snapshot);
    let roll = Roll { id: kit.ids.next(), day, transfers: moved.iter().map(|(_, _, transfers)| transfers).sum() };
    let mut tx = db.write().await?;
    store::begin(&mut tx, &roll, days.zone(), kit.clock.now_ms()).await?;
    tx.commit().await?;
    for some in parts.chunks(PARTS_AT_ONCE) {
        let mut tx = db.write().await?;
        tx.run(&[store::insert_parts(roll.id, some)]).await?;
        tx.commit().await?;
    }
    let mut tx = db.write().await?;
    tx.run(&[store::insert_sums(roll.id, &moved)]).await?;
    store::finish(&mut tx, &roll, days.zone()).await?;
    tx.commit().await
}

/// Rolls anew the days that have got more transfers since.
async fn recount(db: &Db, kit: &Kit, days: &Days) -> Result<usize, sqlx::Error> {
    let mut conn = db.read().await?;
    let mut look: Vec<Roll> = store::made_last(&mut conn, days.zone(), RECENT).await?;
    for roll in store::longest_unseen(&mut conn, days.zone(), OTHERS).await? {
        if !look.contains(&roll) {
            look.push(roll);
        }
    }
    drop(conn);
    let mut rolled = 0;
    for known in look {
        let transfers = store::count(&mut *db.read().await?, days.ids(known.day)).await?;
        if transfers == known.transfers {
            let mut tx = db.write().await?;
            store::checked(&mut tx, known.id, kit.clock.now_ms()).await?;
            tx.commit().await?;
        } else {
            tracing::info!(day = %known.day, late = transfers - known.transfers, "transfers came after their day was added up");
            roll(db, kit, days, known.day).await?;
            rolled += 1;
        }
    }
    Ok(rolled)
}

/// Deletes rolls that others have replaced, those of other zones, and what a process that died has left half made.
async fn drop_old(db: &Db, kit: &Kit, days: &Days) -> Result<(), sqlx::Error> {
    let zones = store::zones(&mut *db.read().await?).await?;
    if zones.iter().any(|zone| zone != days.zone()) {
        let mut tx = db.write().await?;
        store::retire_others(&mut tx, days.zone(), DROPPED).await?;
        tx.commit().await?;
    }
    let begun = Id::first_at(kit.clock.now_ms() - SETTLE_MS);
    for roll in store::idle(&mut *db.read().await?, begun, DROPPED).await? {
        let mut tx = db.write().await?;
        store::drop_roll(&mut tx, roll).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// What a customer's transfers after one and up to another have changed: rolled days are not read again.
pub(super) async fn change(conn: &mut Conn, zone: &str, user: Id, after: Id, upto: Id) -> Result<Usd, sqlx::Error> {
    use super::statement::store::change as read;
    let Some((first, last, rolled)) = store::covered(conn, user, after, upto, zone).await? else {
        return read(conn, user, after, upto).await;
    };
    Ok(rolled + read(conn, user, after, Id(first.0 - 1)).await? + read(conn, user, last, upto).await?)
}
