//! The proof of the figures: what is added up agrees with the rows, and what the pages say with the books.

use super::{Figures, Standing, store};
use crate::db::Conn;
use crate::kernel::{Day, Days, Usd};
use crate::ledger::{self, House, rolls};
use jiff::tz::TimeZone;

/// Days of which no calendar of ours has more: everything that was posted lies before.
const LAST: i64 = 90_000_101;

/// What the figures say otherwise than the books, whose proof was made in the same snapshot. Returns a line for each.
///
/// # Errors
/// The database's.
pub async fn audit(conn: &mut Conn, books: &ledger::Report) -> Result<Vec<String>, sqlx::Error> {
    let mut lines = rolls::audit(conn).await?;
    let mut zones = rolls::zones(conn).await?;
    if zones.is_empty() {
        zones.push("UTC".to_owned());
    }
    for zone in zones {
        let Some((days, last)) = TimeZone::get(&zone).ok().map(|zone| Days::of(&zone)).zip(Day::from_number(LAST)) else { continue };
        let moves = rolls::before(conn, &days, last).await?;
        let standing = Standing::of(&moves);
        let mut says = |what: &str, figure: Usd, book: Usd| {
            if figure != book {
                lines.push(format!("accounting in {zone}: {what} is {}, the books say {}", figure.0, book.0));
            }
        };
        says("credit", standing.credit, books.deferred);
        says("receivable", standing.receivable, books.receivable);
        for (house, balance) in &books.house {
            says(&format!("{house:?}"), moves.net(house.number()), *balance);
        }
        let of = |house: House| books.house.iter().find(|(known, _)| *known == house).map_or(Usd::ZERO, |(_, balance)| *balance);
        says("the deferred balance", standing.deferred(), books.deferred - of(House::Plans) - of(House::Cards));
        says("the difference of the figures", Figures::of(&moves, store::Cost::default()).difference(), Usd::ZERO);
    }
    lines.extend(costs(conn).await?);
    Ok(lines)
}

/// Days whose costs are not those of their requests.
async fn costs(conn: &mut Conn) -> Result<Vec<String>, sqlx::Error> {
    let mut lines = Vec::new();
    for zone in store::zones(conn).await? {
        let Ok(days) = TimeZone::get(&zone).map(|zone| Days::of(&zone)) else { continue };
        let Some((first, last)) = store::bounds(conn, &zone).await? else { continue };
        for (day, known) in store::days(conn, &zone, first, last.next()).await? {
            let rows = store::live(conn, days.ids(day)).await?;
            if rows != known {
                lines.push(format!(
                    "{day} in {zone}: {} requests for {} are added up, there are {} for {}",
                    known.requests, known.cost.0, rows.requests, rows.cost.0
                ));
            }
        }
    }
    Ok(lines)
}
