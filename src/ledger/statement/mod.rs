//! What a customer's statement says: each movement of what they have and owe, with the balance after it.
//!
//! The balance of a statement is everything that a customer's credits have left, held, frozen and not yet effective included, allowances of plans
//! too, less what is owed. It changes with nothing but the transfers that touch the customer's own accounts, in the order of their ids; so the last
//! line is what the wallet has. It is counted back from there: whoever asks must read in one snapshot.

pub mod store;

use super::rolls;
use super::store::TransferRow;
use crate::db::Conn;
use crate::kernel::{Day, Days, Id, Usd};

/// What kind of movement somebody looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Credit that came.
    Grant,
    /// What requests were charged, and what was given back of it.
    Charge,
    /// What was bought out of the balance.
    Purchase,
    /// What went back to a payer, or was taken back for one.
    Refund,
    /// Debt that was paid out of a new credit.
    Debt,
    /// What expired or ended before its time.
    Expiry,
    /// What was taken away by hand.
    Adjustment,
}

impl Sort {
    /// Every sort.
    pub const ALL: [Sort; 7] = [Sort::Grant, Sort::Charge, Sort::Purchase, Sort::Refund, Sort::Debt, Sort::Expiry, Sort::Adjustment];

    /// The word in URLs.
    pub const fn word(self) -> &'static str {
        match self {
            Sort::Grant => "grant",
            Sort::Charge => "charge",
            Sort::Purchase => "purchase",
            Sort::Refund => "refund",
            Sort::Debt => "debt",
            Sort::Expiry => "expiry",
            Sort::Adjustment => "adjustment",
        }
    }

    /// From the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.word() == word)
    }

    /// Of a kind of transfer, in the database's word.
    pub fn of_kind(kind: &str) -> Option<Self> {
        match kind {
            "capture" | "overage" | "overdraft" | "correction" => Some(Sort::Charge),
            "chargeback" => Some(Sort::Refund),
            "ended" => Some(Sort::Expiry),
            word => Self::from_word(word),
        }
    }
}

/// A stretch of a statement: which movements, from the first id to before the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The first id that belongs to it.
    pub from: Id,
    /// The first that does not any more.
    pub until: Id,
    /// Only these.
    pub sort: Option<Sort>,
}

/// A movement and what there was after it.
#[derive(Clone, Debug)]
pub struct Line {
    /// The transfer.
    pub row: TransferRow,
    /// What it changed.
    pub effect: Usd,
    /// The balance after it.
    pub balance: Usd,
}

impl TransferRow {
    /// What the transfer adds to what its customer has less what they owe. Paying debt out of credit adds nothing.
    pub fn effect(&self) -> Usd {
        let is_theirs = |account: i64| i64::from(account >= 1000);
        Usd(self.amount.0 * (is_theirs(self.credit) - is_theirs(self.debit)))
    }
}

/// What the movements of some time come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DaySum {
    /// All of them together.
    pub change: Usd,
    /// What requests were charged, as a change.
    pub charged: Usd,
    /// What came in.
    pub added: Usd,
    /// How many charges there were.
    pub charges: i64,
    /// How many movements in all.
    pub movements: i64,
}

impl DaySum {
    /// Everything that went out but for the charges of requests, as a change.
    pub fn taken(&self) -> Usd {
        self.change - self.charged - self.added
    }
}

/// A day of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayLine {
    /// Which.
    pub day: Day,
    /// What its movements come to.
    pub sum: DaySum,
    /// The balance when it was over.
    pub balance: Usd,
}

/// What a customer has, held or not, less what they owe: the balance of the last line.
///
/// # Errors
/// The database's.
pub async fn total(conn: &mut Conn, user: Id) -> Result<Usd, sqlx::Error> {
    store::total(conn, user).await
}

/// The balance after everything before an id.
///
/// # Errors
/// The database's.
pub async fn balance_before(conn: &mut Conn, days: &Days, user: Id, id: Id) -> Result<Usd, sqlx::Error> {
    let total = store::total(conn, user).await?;
    Ok(total - rolls::change(conn, days.zone(), user, Id(id.0 - 1), Id(i64::MAX)).await?)
}

/// A customer's movements, newest first. `days` are those of the shop.
///
/// # Errors
/// The database's.
pub async fn lines(conn: &mut Conn, days: &Days, user: Id, wanted: Wanted, limit: i64) -> Result<Vec<Line>, sqlx::Error> {
    let rows = store::rows(conn, user, (wanted.from, wanted.until), wanted.sort, limit).await?;
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let mut balance = balance_before(conn, days, user, Id(first.id.0 + 1)).await?;
    let mut lines: Vec<Line> = Vec::with_capacity(rows.len());
    for row in rows {
        if let Some(newer) = lines.last() {
            // What lies between them and is not asked for counts, too.
            balance -= if wanted.sort.is_some() { rolls::change(conn, days.zone(), user, row.id, newer.row.id).await? } else { newer.effect };
        }
        lines.push(Line { effect: row.effect(), row, balance });
    }
    Ok(lines)
}

/// A customer's movements, oldest first, after an id: `balance` is what there was then. Those that are not asked for are counted and left out. Returns what is
/// known then: the last id and the balance after it; none when there is nothing more.
///
/// # Errors
/// The database's.
pub async fn onward(conn: &mut Conn, user: Id, wanted: Wanted, (after, balance): (Id, Usd), limit: i64) -> Result<Option<(Vec<Line>, (Id, Usd))>, sqlx::Error> {
    let rows = store::onward(conn, user, after, wanted.until, limit).await?;
    let Some(last) = rows.last().map(|row| row.id) else { return Ok(None) };
    let mut balance = balance;
    let all = rows.into_iter().map(|row| {
        balance += row.effect();
        Line { effect: row.effect(), row, balance }
    });
    let mut lines: Vec<Line> = all.collect();
    lines.retain(|line| wanted.sort.is_none_or(|sort| Sort::of_kind(&line.row.kind) == Some(sort)));
    Ok(Some((lines, (last, balance))))
}

/// The days on which something moved, newest first, as long as they lie in what is wanted: whole days.
///
/// # Errors
/// The database's.
pub async fn days(conn: &mut Conn, days: &Days, user: Id, wanted: Wanted, limit: usize) -> Result<Vec<DayLine>, sqlx::Error> {
    let rolled = rolls::rolled(conn, days).await?.map(|(first, last)| (days.ids(first).0, days.ids(last).1));
    let (begins, over) = rolled.unwrap_or((Id(0), Id(0)));
    let mut found = Vec::new();
    day_by_day(conn, days, user, (wanted.from.max(over), wanted.until), limit, &mut found).await?;
    let (from, until) = (wanted.from.max(begins), wanted.until.min(over));
    if from < until && found.len() < limit {
        let left = i64::try_from(limit - found.len()).unwrap_or(i64::MAX);
        found.extend(rolls::store::part_days(conn, user, (from, until), days.zone(), left).await?);
    }
    day_by_day(conn, days, user, (wanted.from, wanted.until.min(begins)), limit, &mut found).await?;
    let Some((newest, _)) = found.first() else { return Ok(Vec::new()) };
    let mut balance = balance_before(conn, days, user, days.ids(*newest).1.min(wanted.until)).await?;
    let line = |(day, sum): (Day, DaySum)| {
        let line = DayLine { day, sum, balance };
        balance -= sum.change;
        line
    };
    Ok(found.into_iter().map(line).collect())
}

/// Adds up the transfers of each day, the newest first, until there are enough.
async fn day_by_day(
    conn: &mut Conn,
    days: &Days,
    user: Id,
    (from, mut until): (Id, Id),
    limit: usize,
    found: &mut Vec<(Day, DaySum)>,
) -> Result<(), sqlx::Error> {
    while found.len() < limit && from < until {
        let Some(newest) = store::newest(conn, user, from, until).await? else { break };
        let day = days.day(newest.made_at_ms());
        let first = days.ids(day).0.max(from);
        found.push((day, store::sums(conn, user, first, until).await?));
        until = first;
    }
    Ok(())
}

/// The oldest requests that run and hold credit of a customer, each with how much.
///
/// # Errors
/// The database's.
pub async fn holds(conn: &mut Conn, user: Id, limit: i64) -> Result<Vec<(Id, Usd)>, sqlx::Error> {
    store::holds(conn, user, limit).await
}
