//! The figures that an accountant asks for, per day and month of the shop's calendar: what came, what was earned, what is still to be delivered, what it has cost.
//!
//! Every figure is a sum over transfers between accounts, or over what upstreams asked ([`figures`](Figures)); nothing is kept here that cannot be made again. Days
//! that are over are added up by a job ([`run`]), the rest is read from the rows, and [`audit`] proves that both agree with the books to the nano-dollar.
//!
//! Callers: `web` shows, `app` runs the job, `cli` audits.

mod audit;
mod figures;
mod period;
pub mod store;

pub use audit::audit;
pub use figures::{Figures, Standing};
pub use period::{NotAPeriod, Period};
pub use store::Cost;

use crate::db::{Conn, Db};
use crate::kernel::{Day, Days, Kit};
use crate::ledger::rolls::{self, Moves};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// So long after its end what a day has cost is added up: requests that began in it have ended.
const SETTLE_MS: i64 = 3 * 3_600_000;
/// How many days one run adds up.
const PORTION: usize = 60;
/// How many of the last days are added up again at every run: a request that was settled late.
const RECENT: i64 = 7;

/// A row of the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is of.
    pub period: Period,
    /// What happened.
    pub figures: Figures,
    /// How things stood at its end.
    pub closing: Standing,
}

/// The figures of a period and of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How things stood before it.
    pub opening: Standing,
    /// Its days or months in which something happened, the oldest first.
    pub lines: Vec<Line>,
    /// All of it.
    pub total: Line,
}

/// The figures of a period. To be read in one snapshot.
///
/// # Errors
/// The database's.
pub async fn report(conn: &mut Conn, days: &Days, period: Period, today: Day) -> Result<Report, sqlx::Error> {
    let (from, until) = period.bounds();
    let opening = Standing::of(&rolls::before(conn, days, from).await?);
    let known = first_day(conn, days).await?;
    let (from, until) = (known.map_or(until, |first| from.max(first)), until.min(today.next().next()));
    let (moves, costs) =
        if from < until { (rolls::daily(conn, days, from, until).await?, costs(conn, days, from, until).await?) } else { (BTreeMap::new(), BTreeMap::new()) };
    let mut lines: Vec<Line> = Vec::new();
    let mut total = Line { period, figures: Figures::default(), closing: opening };
    let nothing = Moves::default();
    for day in moves.keys().chain(costs.keys()).copied().collect::<BTreeSet<Day>>() {
        let moves = moves.get(&day).unwrap_or(&nothing);
        let figures = Figures::of(moves, costs.get(&day).copied().unwrap_or_default());
        total = Line { figures: total.figures.and(&figures), closing: total.closing.and(&Standing::of(moves)), ..total };
        let part = period.part(day);
        match lines.last_mut().filter(|line| line.period == part) {
            Some(line) => *line = Line { figures: line.figures.and(&figures), closing: total.closing, ..*line },
            None => lines.push(Line { period: part, figures, closing: total.closing }),
        }
    }
    Ok(Report { opening, lines, total })
}

/// The first day of which there is anything.
async fn first_day(conn: &mut Conn, days: &Days) -> Result<Option<Day>, sqlx::Error> {
    let by_request = store::first(conn).await?.map(|id| days.day(id.made_at_ms()));
    Ok(rolls::first_day(conn, days).await?.into_iter().chain(by_request).min())
}

/// What upstreams have asked on each day from `from` to before `until`.
async fn costs(conn: &mut Conn, days: &Days, from: Day, until: Day) -> Result<BTreeMap<Day, Cost>, sqlx::Error> {
    let mut all: BTreeMap<Day, Cost> = store::days(conn, days.zone(), from, until).await?.into_iter().collect();
    let mut day = from;
    while day < until {
        if let Entry::Vacant(open) = all.entry(day) {
            open.insert(store::live(conn, days.ids(day)).await?);
        }
        if day.next() <= day {
            break;
        }
        day = day.next();
    }
    all.retain(|_, cost| cost.requests > 0);
    Ok(all)
}

/// Adds up days that are over. Returns how many; there may be more to do when it is a whole portion.
///
/// # Errors
/// The database's; what was done stays.
pub async fn run(db: &Db, kit: &Kit, days: &Days) -> Result<usize, sqlx::Error> {
    let rolled = rolls::run(db, kit, days).await?;
    Ok(rolled.max(run_costs(db, kit, days).await?))
}

async fn run_costs(db: &Db, kit: &Kit, days: &Days) -> Result<usize, sqlx::Error> {
    let mut tx = db.write().await?;
    store::drop_others(&mut tx, days.zone()).await?;
    tx.commit().await?;
    let mut conn = db.read().await?;
    let Some(oldest) = store::first(&mut conn).await?.map(|id| days.day(id.made_at_ms())) else { return Ok(0) };
    let next = store::bounds(&mut conn, days.zone()).await?.map_or(oldest, |(_, last)| last.next().less(RECENT).max(oldest));
    drop(conn);
    let (mut day, mut done) = (next, 0);
    while done < PORTION + RECENT as usize && days.begin(day.next()).saturating_add(SETTLE_MS) <= kit.clock.now_ms() {
        let mut conn = db.read().await?;
        let cost = store::live(&mut conn, days.ids(day)).await?;
        let known = store::days(&mut conn, days.zone(), day, day.next()).await?;
        drop(conn);
        if known.first().is_none_or(|(_, known)| *known != cost) {
            let mut tx = db.write().await?;
            store::put(&mut tx, days.zone(), day, &cost).await?;
            tx.commit().await?;
        }
        (day, done) = (day.next(), done + 1);
    }
    Ok(done.saturating_sub(RECENT as usize))
}
