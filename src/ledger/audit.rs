//! The proof of the books: reads every row of the ledger in one snapshot and lists what does not agree.

use super::accounts::{House, payload_hash};
use super::budget::{Numbers, Period, Spending};
use super::spend::read_legs;
use super::store::{self, pages};
use crate::db::{Conn, Db, Record};
use crate::kernel::{Id, Usd};
use sqlx::Row;
use sqlx::any::AnyRow;
use std::collections::HashMap;
use std::fmt;

/// How many rows are read at a time.
const PAGE: i64 = 2000;

/// Something that does not agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding(String);

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an audit saw.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many transfers were read.
    pub transfers: u64,
    /// How many credits.
    pub credits: u64,
    /// How many holds, open and ended.
    pub holds: u64,
    /// What the shop owes its customers: the sum of all credits.
    pub deferred: Usd,
    /// What customers owe the shop.
    pub receivable: Usd,
    /// The balance of each house account, debits less credits.
    pub house: Vec<(House, Usd)>,
    /// What does not agree; empty when the books are clean.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether everything agrees.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    fn find(&mut self, text: String) {
        self.findings.push(Finding(text));
    }
}

/// What the transfers say of one account.
#[derive(Default)]
struct Sums {
    debits: i128,
    credits: i128,
    granted: i128,
    /// Whom the grant was for.
    owner: Option<i64>,
}

/// What the transfers say of one request.
#[derive(Default)]
struct Request {
    captured: i128,
    /// When it was charged, and with what: twice when its node said after a recovery that it had cost more.
    charges: [(i64, i128); 2],
    /// What was given back, of the only charge, because a recovery had charged too much.
    given_back: i128,
}

impl Request {
    fn charge(&mut self, at: i64, amount: i128) {
        let first = self.charges[0];
        let part = &mut self.charges[usize::from(first.1 != 0 && first.0 != at)];
        *part = (at, part.1 + amount);
    }

    fn total(&self) -> i128 {
        self.charges[0].1 + self.charges[1].1 - self.given_back
    }
}

/// A meter, of a customer or of a key, and what it should say.
struct Meter {
    says: Spending,
    counted_from: i64,
    total: i128,
    /// In the periods that the meter says run: day, week, month.
    periods: [i128; 3],
}

impl Meter {
    fn new(says: Spending, counted_from: i64) -> Self {
        Self { says, counted_from, total: 0, periods: [0; 3] }
    }

    fn add(&mut self, request: &Request) {
        let [first, late] = request.charges;
        for (at, amount) in [(first.0, first.1 - request.given_back), late] {
            self.total += amount;
            if amount == 0 || at < self.counted_from {
                continue;
            }
            let numbers = Numbers::at(at);
            for (sum, period) in self.periods.iter_mut().zip(Period::ALL) {
                if numbers.of(period) == self.says.count(period).number {
                    *sum += amount;
                }
            }
        }
    }

    fn check(&self, whose: &str, report: &mut Report) {
        let spent = i128::from(self.says.spent.0);
        if spent != self.total {
            report.find(format!("{whose}: its meter has {spent} spent, its requests were charged {}", self.total));
        }
        for (charged, period) in self.periods.iter().zip(Period::ALL) {
            let count = self.says.count(period);
            let counted = spent - i128::from(count.start.0);
            if counted != *charged {
                report.find(format!("{whose}: its meter has {counted} spent in {period:?} {}, its requests were charged {charged} then", count.number));
            }
        }
    }
}

/// The meters of customers and of keys, by their ids.
struct Meters {
    users: HashMap<i64, Meter>,
    keys: HashMap<i64, Meter>,
}

type Requests = HashMap<Id, Request>;

/// Proves the books of a database, in one snapshot of it, so that it can run beside a serving shop.
///
/// # Errors
/// The database's. What does not agree is no error but a [`Finding`].
pub async fn audit(db: &Db) -> Result<Report, sqlx::Error> {
    audit_in(&mut *db.snapshot().await?).await
}

/// As [`audit`], inside a transaction that the caller has begun.
///
/// # Errors
/// As [`audit`].
pub async fn audit_in(tx: &mut Conn) -> Result<Report, sqlx::Error> {
    let mut report = Report::default();
    let mut requests = Requests::new();
    let mut accounts = read_transfers(tx, &mut report, &mut requests).await?;
    let (held_by_credit, held_by_key) = read_open_holds(tx, &mut report).await?;
    let mut meters = check_wallets(tx, &mut report, &mut accounts).await?;
    check_held_by_key(tx, &mut report, &mut meters, held_by_key).await?;
    check_ended_holds(tx, &mut report, &mut meters, requests).await?;
    check_credits(tx, &mut report, &mut accounts, held_by_credit).await?;
    check_meters(&mut report, &meters);
    check_house(&mut report, &mut accounts);
    for (number, sums) in accounts {
        report.find(format!("account {number} has transfers (debits {}, credits {}) but is nobody's", sums.debits, sums.credits));
    }
    Ok(report)
}

type ByNumber = HashMap<i64, i128>;

/// Calls `each` with every row of a paged statement, whose first column is the key.
async fn for_each(conn: &mut Conn, statement: &'static str, mut each: impl FnMut(&AnyRow) -> Result<(), sqlx::Error>) -> Result<(), sqlx::Error> {
    let mut after = i64::MIN;
    loop {
        let rows = store::audit_page(conn, statement, after, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.try_get(0)?;
        rows.iter().try_for_each(&mut each)?;
    }
}

async fn read_transfers(conn: &mut Conn, report: &mut Report, requests: &mut Requests) -> Result<HashMap<i64, Sums>, sqlx::Error> {
    let mut accounts: HashMap<i64, Sums> = HashMap::new();
    for_each(conn, pages::TRANSFERS, |row| {
        let (id, debit, credit, amount): (i64, i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        let (kind, user, reference, hash): (String, i64, String, i64) = (row.try_get(4)?, row.try_get(5)?, row.try_get(6)?, row.try_get(7)?);
        report.transfers += 1;
        if payload_hash(debit, credit, Usd(amount), &kind, Id(user), &reference) != hash {
            report.find(format!("transfer {}: its content does not match its hash", Id(id)));
        }
        accounts.entry(debit).or_default().debits += i128::from(amount);
        let to = accounts.entry(credit).or_default();
        to.credits += i128::from(amount);
        if kind == "grant" {
            to.granted += i128::from(amount);
            to.owner = Some(user);
        }
        if !matches!(kind.as_str(), "capture" | "overage" | "overdraft" | "correction") {
            return Ok(());
        }
        let Ok(hold) = reference.parse::<Id>() else {
            report.find(format!("transfer {}: a {kind} for {reference:?}, which is no request", Id(id)));
            return Ok(());
        };
        let (request, amount) = (requests.entry(hold).or_default(), i128::from(amount));
        match kind.as_str() {
            "correction" => request.given_back += amount,
            _ => request.charge(row.try_get(8)?, amount),
        }
        if kind == "capture" {
            request.captured += amount;
        }
        Ok(())
    })
    .await?;
    Ok(accounts)
}

async fn read_open_holds(conn: &mut Conn, report: &mut Report) -> Result<(ByNumber, ByNumber), sqlx::Error> {
    let (mut by_credit, mut by_key) = (ByNumber::new(), ByNumber::new());
    for_each(conn, pages::OPEN_HOLDS, |row| {
        let (id, key, amount, legs): (i64, i64, i64, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        report.holds += 1;
        *by_key.entry(key).or_default() += i128::from(amount);
        let legs = read_legs(&legs).unwrap_or_default();
        if legs.iter().map(|leg| i128::from(leg.amount.0)).sum::<i128>() != i128::from(amount) {
            report.find(format!("open hold {}: its legs do not sum to its amount {}", Id(id), Usd(amount)));
        }
        for leg in legs {
            *by_credit.entry(leg.credit.0).or_default() += i128::from(leg.amount.0);
        }
        Ok(())
    })
    .await?;
    Ok((by_credit, by_key))
}

/// Adds what requests were charged to the meters of their customers and keys.
async fn check_ended_holds(conn: &mut Conn, report: &mut Report, meters: &mut Meters, mut requests: Requests) -> Result<(), sqlx::Error> {
    for_each(conn, pages::ENDED_HOLDS, |row| {
        let (id, user, key, amount): (i64, i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        let (captured, released): (i64, i64) = (row.try_get(4)?, row.try_get(5)?);
        report.holds += 1;
        if i128::from(captured) + i128::from(released) != i128::from(amount) {
            report.find(format!("hold {}: captured {} + released {} is not {}", Id(id), Usd(captured), Usd(released), Usd(amount)));
        }
        let request = requests.remove(&Id(id)).unwrap_or_default();
        for (what, number, all) in [("customer", user, &mut meters.users), ("key", key, &mut meters.keys)] {
            match all.get_mut(&number) {
                Some(meter) => meter.add(&request),
                None if request.total() == 0 => {}
                None => report.find(format!("{what} {} was charged {}, but has no meter", Id(number), request.total())),
            }
        }
        if request.captured != i128::from(captured) {
            report.find(format!("hold {}: captured {captured} nano-dollars, its transfers say {}", Id(id), request.captured));
        }
        Ok(())
    })
    .await?;
    for (hold, request) in requests {
        report.find(format!("{} nano-dollars were charged for {hold}, which is no ended hold", request.total()));
    }
    Ok(())
}

async fn check_credits(conn: &mut Conn, report: &mut Report, accounts: &mut HashMap<i64, Sums>, mut held: ByNumber) -> Result<(), sqlx::Error> {
    let mut deferred = 0;
    for_each(conn, pages::CREDITS, |row| {
        let (id, user): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let (granted, posted, in_hold): (i64, i64, i64) = (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
        let sums = accounts.remove(&id).unwrap_or_default();
        report.credits += 1;
        deferred += i128::from(posted);
        if sums.credits - sums.debits != i128::from(posted) {
            report.find(format!("credit {}: posted {posted}, its transfers sum to {}", Id(id), sums.credits - sums.debits));
        }
        if sums.granted != i128::from(granted) {
            report.find(format!("credit {}: granted {granted}, its grants sum to {}", Id(id), sums.granted));
        }
        if sums.owner.is_some_and(|owner| owner != user) {
            report.find(format!("credit {}: is {}'s, but was granted to another", Id(id), Id(user)));
        }
        let legs = held.remove(&id).unwrap_or_default();
        if legs != i128::from(in_hold) {
            report.find(format!("credit {}: held {in_hold}, open holds have {legs}", Id(id)));
        }
        if (row.try_get::<i64, _>(5)? == 1) != (posted > 0) {
            report.find(format!("credit {}: has {posted} posted, but is not marked so", Id(id)));
        }
        if in_hold < 0 || posted < in_hold {
            report.find(format!("credit {}: held {in_hold} of {posted}", Id(id)));
        }
        Ok(())
    })
    .await?;
    for (credit, amount) in held {
        report.find(format!("open holds have {amount} of credit {}, which does not exist", Id(credit)));
    }
    report.deferred = in_range(report, "deferred", deferred);
    Ok(())
}

fn in_range(report: &mut Report, what: &str, sum: i128) -> Usd {
    i64::try_from(sum).map_or_else(
        |_| {
            report.find(format!("{what}: a sum of {sum} is out of range"));
            Usd::ZERO
        },
        Usd,
    )
}

/// Returns the meters of the customers.
async fn check_wallets(conn: &mut Conn, report: &mut Report, accounts: &mut HashMap<i64, Sums>) -> Result<Meters, sqlx::Error> {
    let mut receivable = 0;
    let mut meters = Meters { users: HashMap::new(), keys: HashMap::new() };
    for_each(conn, pages::WALLETS, |row| {
        let (Id(user), wallet) = store::wallet_of(Record::of(row))?;
        let (owed, limit) = (wallet.owed.0, wallet.overdraft_limit.0);
        let sums = accounts.remove(&user).unwrap_or_default();
        receivable += i128::from(owed);
        if sums.debits - sums.credits != i128::from(owed) {
            report.find(format!("wallet {}: owes {owed}, its transfers say {}", Id(user), sums.debits - sums.credits));
        }
        if owed < 0 || limit < 0 {
            report.find(format!("wallet {}: owes {owed} of at most {limit}", Id(user)));
        }
        meters.users.insert(user, Meter::new(wallet.spending, wallet.counted_from));
        Ok(())
    })
    .await?;
    report.receivable = in_range(report, "receivable", receivable);
    Ok(meters)
}

/// Adds the meters of the keys.
async fn check_held_by_key(conn: &mut Conn, report: &mut Report, meters: &mut Meters, mut held: ByNumber) -> Result<(), sqlx::Error> {
    for_each(conn, pages::METERS, |row| {
        let meter = store::meter_of(Record::of(row))?;
        let legs = held.remove(&meter.key.0).unwrap_or_default();
        if legs != i128::from(meter.held.0) {
            report.find(format!("key {}: its meter holds {}, open holds have {legs}", meter.key, meter.held.0));
        }
        meters.keys.insert(meter.key.0, Meter::new(meter.spending, meter.counted_from));
        Ok(())
    })
    .await?;
    for (key, amount) in held {
        report.find(format!("open holds have {amount} for key {}, which has no meter", Id(key)));
    }
    Ok(())
}

fn check_meters(report: &mut Report, meters: &Meters) {
    for (what, all) in [("wallet", &meters.users), ("key", &meters.keys)] {
        for (number, meter) in all {
            meter.check(&format!("{what} {}", Id(*number)), report);
        }
    }
}

fn check_house(report: &mut Report, accounts: &mut HashMap<i64, Sums>) {
    let mut sum = i128::from(report.receivable.0) - i128::from(report.deferred.0);
    for house in House::ALL {
        let sums = accounts.remove(&house.number()).unwrap_or_default();
        let balance = sums.debits - sums.credits;
        sum += balance;
        let balance = in_range(report, &format!("{house:?}"), balance);
        report.house.push((house, balance));
    }
    if sum != 0 {
        report.find(format!("debits and credits differ by {sum} nano-dollars"));
    }
}
