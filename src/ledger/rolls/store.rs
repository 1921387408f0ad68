//! The SQL of rolls.

use super::{Key, Part, Roll};
use crate::db::{self, Bulk, Conn};
use crate::kernel::{Day, Id, Usd};
use crate::ledger::statement::DaySum;
use sqlx::any::AnyRow;
use sqlx::{Any, Row};

macro_rules! class {
    ($account:literal) => {
        concat!("CASE WHEN ", $account, " < 1000 THEN ", $account, " WHEN ", $account, " = user_id THEN 101 ELSE 100 END")
    };
}

macro_rules! effect {
    () => {
        "amount * (CASE WHEN credit >= 1000 THEN 1 ELSE 0 END - CASE WHEN debit >= 1000 THEN 1 ELSE 0 END)"
    };
}

macro_rules! is_charge {
    () => {
        "kind IN ('capture', 'overage', 'overdraft', 'correction')"
    };
}

/// The parts of a customer that lie wholly after one id and up to another, and are of rolls that count.
macro_rules! parts_between {
    () => {
        "FROM ledger_roll_part p JOIN ledger_roll r ON r.id = p.roll_id WHERE p.user_id = $1 AND p.first_id > $2 AND p.last_id <= $3 AND r.zone = $4 AND r.state = 'made'"
    };
}

crate::statements! {
    BOUNDS = "SELECT MIN(day), MAX(day) FROM ledger_roll WHERE zone = $1 AND state = 'made'";
    FIRST = "SELECT MIN(id) FROM transfer";
    COUNT = "SELECT COUNT(*) FROM transfer WHERE id >= $1 AND id < $2";
    LIVE = concat!("SELECT ", class!("debit"), ", ", class!("credit"), ", kind, CAST(SUM(amount) AS BIGINT), COUNT(*) FROM transfer WHERE id >= $1 AND id < $2 \
        GROUP BY ", class!("debit"), ", ", class!("credit"), ", kind");
    ROLLED = "SELECT r.day, s.debit, s.credit, s.kind, s.amount, s.transfers FROM ledger_roll r JOIN ledger_roll_sum s ON s.roll_id = r.id \
        WHERE r.zone = $1 AND r.state = 'made' AND r.day >= $2 AND r.day < $3 ORDER BY r.day";
    BEFORE = "SELECT s.debit, s.credit, s.kind, CAST(SUM(s.amount) AS BIGINT), CAST(SUM(s.transfers) AS BIGINT) FROM ledger_roll r \
        JOIN ledger_roll_sum s ON s.roll_id = r.id WHERE r.zone = $1 AND r.state = 'made' AND r.day < $2 GROUP BY s.debit, s.credit, s.kind";
    PARTS = concat!("SELECT user_id, MIN(id), MAX(id), CAST(SUM(", effect!(), ") AS BIGINT), CAST(SUM(CASE WHEN ", is_charge!(), " THEN ", effect!(), " ELSE 0 END) AS BIGINT), \
        CAST(SUM(CASE WHEN ", is_charge!(), " OR debit >= 1000 THEN 0 ELSE amount END) AS BIGINT), CAST(SUM(CASE WHEN ", is_charge!(), " THEN 1 ELSE 0 END) AS BIGINT), COUNT(*) \
        FROM (SELECT id, user_id, debit, credit, amount, kind, (ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY id) - 1) / 1000 AS part FROM transfer \
        WHERE id >= $1 AND id < $2 AND (debit >= 1000 OR credit >= 1000)) AS t GROUP BY user_id, part");
    BEGIN = "INSERT INTO ledger_roll (id, zone, day, state, transfers, checked_at) VALUES ($1, $2, $3, 'making', $4, $5)";
    RETIRE = "UPDATE ledger_roll SET state = 'old' WHERE zone = $1 AND day = $2 AND state = 'made'";
    FINISH = "UPDATE ledger_roll SET state = 'made' WHERE id = $1 AND state = 'making'";
    MADE = "SELECT id, day, transfers FROM ledger_roll WHERE zone = $1 AND state = 'made' AND day > $2 ORDER BY day LIMIT $3";
    MADE_LAST = "SELECT id, day, transfers FROM ledger_roll WHERE zone = $1 AND state = 'made' ORDER BY day DESC LIMIT $2";
    LONGEST_UNSEEN = "SELECT id, day, transfers FROM ledger_roll WHERE zone = $1 AND state = 'made' ORDER BY checked_at, day LIMIT $2";
    CHECKED = "UPDATE ledger_roll SET checked_at = $2 WHERE id = $1";
    IDLE = "SELECT id FROM ledger_roll WHERE state <> 'made' AND id < $1 ORDER BY id LIMIT $2";
    RETIRE_OTHERS = "UPDATE ledger_roll SET state = 'old' WHERE id IN (SELECT id FROM ledger_roll WHERE state = 'made' AND zone <> $1 ORDER BY id LIMIT $2)";
    DROP_SUMS = "DELETE FROM ledger_roll_sum WHERE roll_id = $1";
    DROP_PARTS = "DELETE FROM ledger_roll_part WHERE roll_id = $1";
    DROP_ROLL = "DELETE FROM ledger_roll WHERE id = $1";
    ZONES = "SELECT DISTINCT zone FROM ledger_roll WHERE state = 'made' ORDER BY zone";
    PARTS_OF_ROLL = "SELECT user_id, first_id, last_id, change, charged, added, charges, movements FROM ledger_roll_part WHERE roll_id = $1";
    COVERED = concat!("SELECT MIN(p.first_id), MAX(p.last_id), CAST(COALESCE(SUM(p.change), 0) AS BIGINT) ", parts_between!());
    PART_DAYS = concat!("SELECT r.day, CAST(SUM(p.change) AS BIGINT), CAST(SUM(p.charged) AS BIGINT), CAST(SUM(p.added) AS BIGINT), CAST(SUM(p.charges) AS BIGINT), \
        CAST(SUM(p.movements) AS BIGINT) ", parts_between!(), " GROUP BY r.day ORDER BY r.day DESC LIMIT $5");
}

static INSERT_SUMS: Bulk = Bulk::new(
    "INSERT_SUMS",
    "INSERT INTO ledger_roll_sum (roll_id, debit, credit, kind, amount, transfers) SELECT * FROM (VALUES ",
    &["BIGINT", "BIGINT", "BIGINT", "TEXT", "BIGINT", "BIGINT"],
    ") AS v WHERE column1 IS NOT NULL",
);

static INSERT_PARTS: Bulk = Bulk::new(
    "INSERT_PARTS",
    "INSERT INTO ledger_roll_part (roll_id, user_id, first_id, last_id, change, charged, added, charges, movements) SELECT * FROM (VALUES ",
    &["BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT"],
    ") AS v WHERE column1 IS NOT NULL",
);

/// Every multi-row statement of this store.
pub const BULK: &[&Bulk] = &[&INSERT_SUMS, &INSERT_PARTS];

/// What moved of one [`Key`]: how much, by how many transfers.
pub(super) type Moved = (Key, Usd, i64);

fn moved(row: &AnyRow, at: usize) -> Result<Moved, sqlx::Error> {
    let key = Key { debit: row.try_get(at)?, credit: row.try_get(at + 1)?, kind: row.try_get(at + 2)? };
    Ok((key, Usd(row.try_get(at + 3)?), row.try_get(at + 4)?))
}

fn day(number: i64) -> Result<Day, sqlx::Error> {
    Day::from_number(number).ok_or_else(|| sqlx::Error::Decode(format!("{number} is no day").into()))
}

/// The first and the last day that are added up.
pub(super) async fn bounds(conn: &mut Conn, zone: &str) -> Result<Option<(Day, Day)>, sqlx::Error> {
    let (first, last): (Option<i64>, Option<i64>) = sqlx::query_as::<Any, _>(BOUNDS).bind(zone.to_owned()).fetch_one(conn).await?;
    first.zip(last).map(|(first, last)| Ok((day(first)?, day(last)?))).transpose()
}

/// The oldest transfer.
pub(super) async fn first(conn: &mut Conn) -> Result<Option<Id>, sqlx::Error> {
    Ok(sqlx::query_scalar::<Any, Option<i64>>(FIRST).fetch_one(conn).await?.map(Id))
}

pub(super) async fn count(conn: &mut Conn, (from, until): (Id, Id)) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(COUNT).bind(from.0).bind(until.0).fetch_one(conn).await
}

/// What the transfers themselves say.
pub(super) async fn live(conn: &mut Conn, (from, until): (Id, Id)) -> Result<Vec<Moved>, sqlx::Error> {
    sqlx::query(LIVE).bind(from.0).bind(until.0).fetch_all(conn).await?.iter().map(|row| moved(row, 0)).collect()
}

/// What is added up, day by day, from `from` to before `until`.
pub(super) async fn rolled(conn: &mut Conn, zone: &str, from: Day, until: Day) -> Result<Vec<(Day, Moved)>, sqlx::Error> {
    let rows = sqlx::query(ROLLED).bind(zone.to_owned()).bind(from.number()).bind(until.number()).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((day(row.try_get(0)?)?, moved(row, 1)?))).collect()
}

/// What is added up of all days before one.
pub(super) async fn before(conn: &mut Conn, zone: &str, until: Day) -> Result<Vec<Moved>, sqlx::Error> {
    sqlx::query(BEFORE).bind(zone.to_owned()).bind(until.number()).fetch_all(conn).await?.iter().map(|row| moved(row, 0)).collect()
}

fn part(row: &AnyRow) -> Result<Part, sqlx::Error> {
    let sum = DaySum {
        change: Usd(row.try_get(3)?),
        charged: Usd(row.try_get(4)?),
        added: Usd(row.try_get(5)?),
        charges: row.try_get(6)?,
        movements: row.try_get(7)?,
    };
    Ok(Part { user: Id(row.try_get(0)?), first: Id(row.try_get(1)?), last: Id(row.try_get(2)?), sum })
}

/// What the transfers say of each customer.
pub(super) async fn parts(conn: &mut Conn, (from, until): (Id, Id)) -> Result<Vec<Part>, sqlx::Error> {
    sqlx::query(PARTS).bind(from.0).bind(until.0).fetch_all(conn).await?.iter().map(part).collect()
}

pub(super) async fn parts_of(conn: &mut Conn, roll: Id) -> Result<Vec<Part>, sqlx::Error> {
    sqlx::query(PARTS_OF_ROLL).bind(roll.0).fetch_all(conn).await?.iter().map(part).collect()
}

pub(super) async fn begin(conn: &mut Conn, roll: &Roll, zone: &str, now: i64) -> Result<(), sqlx::Error> {
    let query = sqlx::query(BEGIN).bind(roll.id.0).bind(zone.to_owned()).bind(roll.day.number()).bind(roll.transfers).bind(now);
    query.execute(conn).await.map(drop)
}

pub(super) fn insert_sums(roll: Id, sums: &[Moved]) -> db::Part<'_> {
    INSERT_SUMS.part(sums, move |(key, amount, transfers), values| {
        values.bind(roll.0).bind(key.debit).bind(key.credit).bind(key.kind.as_str()).bind(amount.0).bind(*transfers);
    })
}

pub(super) fn insert_parts(roll: Id, parts: &[Part]) -> db::Part<'_> {
    INSERT_PARTS.part(parts, move |part, values| {
        let sum = &part.sum;
        values.bind(roll.0).bind(part.user.0).bind(part.first.0).bind(part.last.0);
        values.bind(sum.change.0).bind(sum.charged.0).bind(sum.added.0).bind(sum.charges).bind(sum.movements);
    })
}

/// From now on this roll counts, and no other of its day.
pub(super) async fn finish(conn: &mut Conn, roll: &Roll, zone: &str) -> Result<(), sqlx::Error> {
    sqlx::query(RETIRE).bind(zone.to_owned()).bind(roll.day.number()).execute(&mut *conn).await?;
    sqlx::query(FINISH).bind(roll.id.0).execute(conn).await.map(drop)
}

fn rolls(rows: Vec<(i64, i64, i64)>) -> Result<Vec<Roll>, sqlx::Error> {
    rows.into_iter().map(|(id, number, transfers)| Ok(Roll { id: Id(id), day: day(number)?, transfers })).collect()
}

/// The rolls that count, of the days after one.
pub(super) async fn made(conn: &mut Conn, zone: &str, after: i64, limit: i64) -> Result<Vec<Roll>, sqlx::Error> {
    rolls(sqlx::query_as::<Any, _>(MADE).bind(zone.to_owned()).bind(after).bind(limit).fetch_all(conn).await?)
}

/// The rolls of the last days.
pub(super) async fn made_last(conn: &mut Conn, zone: &str, limit: i64) -> Result<Vec<Roll>, sqlx::Error> {
    rolls(sqlx::query_as::<Any, _>(MADE_LAST).bind(zone.to_owned()).bind(limit).fetch_all(conn).await?)
}

/// The rolls that nobody has looked at for longest.
pub(super) async fn longest_unseen(conn: &mut Conn, zone: &str, limit: i64) -> Result<Vec<Roll>, sqlx::Error> {
    rolls(sqlx::query_as::<Any, _>(LONGEST_UNSEEN).bind(zone.to_owned()).bind(limit).fetch_all(conn).await?)
}

pub(super) async fn checked(conn: &mut Conn, roll: Id, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query(CHECKED).bind(roll.0).bind(now).execute(conn).await.map(drop)
}

/// Rolls that do not count and were begun before an id.
pub(super) async fn idle(conn: &mut Conn, before: Id, limit: i64) -> Result<Vec<Id>, sqlx::Error> {
    let rows: Vec<(i64,)> = sqlx::query_as::<Any, _>(IDLE).bind(before.0).bind(limit).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(id,)| Id(id)).collect())
}

/// Rolls of other zones do not count any more.
pub(super) async fn retire_others(conn: &mut Conn, zone: &str, limit: i64) -> Result<(), sqlx::Error> {
    sqlx::query(RETIRE_OTHERS).bind(zone.to_owned()).bind(limit).execute(conn).await.map(drop)
}

pub(super) async fn drop_roll(conn: &mut Conn, roll: Id) -> Result<(), sqlx::Error> {
    for statement in [DROP_SUMS, DROP_PARTS, DROP_ROLL] {
        sqlx::query(statement).bind(roll.0).execute(&mut *conn).await?;
    }
    Ok(())
}

/// The zones of which days are added up.
pub(super) async fn zones(conn: &mut Conn) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(ZONES).fetch_all(conn).await
}

/// What is added up of a customer wholly after one id and up to another: from which id to which, and what that changed.
pub(super) async fn covered(conn: &mut Conn, user: Id, after: Id, upto: Id, zone: &str) -> Result<Option<(Id, Id, Usd)>, sqlx::Error> {
    let query = sqlx::query_as::<Any, (Option<i64>, Option<i64>, i64)>(COVERED).bind(user.0).bind(after.0).bind(upto.0).bind(zone.to_owned());
    let (first, last, change) = query.fetch_one(conn).await?;
    Ok(first.zip(last).map(|(first, last)| (Id(first), Id(last), Usd(change))))
}

/// A customer's days that are added up, newest first, wholly from an id to before another.
pub(in crate::ledger) async fn part_days(
    conn: &mut Conn,
    user: Id,
    (from, until): (Id, Id),
    zone: &str,
    limit: i64,
) -> Result<Vec<(Day, DaySum)>, sqlx::Error> {
    let query = sqlx::query(PART_DAYS).bind(user.0).bind(from.0 - 1).bind(until.0 - 1).bind(zone.to_owned()).bind(limit);
    let read = |row: &AnyRow| {
        let sum = DaySum {
            change: Usd(row.try_get(1)?),
            charged: Usd(row.try_get(2)?),
            added: Usd(row.try_get(3)?),
            charges: row.try_get(4)?,
            movements: row.try_get(5)?,
        };
        Ok((day(row.try_get(0)?)?, sum))
    };
    query.fetch_all(conn).await?.iter().map(read).collect()
}
