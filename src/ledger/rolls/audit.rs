//! The proof of the rolls: each is held against the transfers of its day.

use super::{Moves, Roll, store};
use crate::db::Conn;
use crate::kernel::{Day, Days};
use jiff::tz::TimeZone;

/// How many rolls are read at a time.
const PAGE: i64 = 100;

/// Rolls that do not say what the transfers say, and days that are missing between others. Returns a line for each.
///
/// # Errors
/// The database's.
pub async fn audit(conn: &mut Conn) -> Result<Vec<String>, sqlx::Error> {
    let mut lines = Vec::new();
    for zone in store::zones(conn).await? {
        let Ok(known) = TimeZone::get(&zone) else {
            lines.push(format!("days of {zone}: there is no such time zone"));
            continue;
        };
        let days = Days::of(&known);
        let mut before: Option<Day> = None;
        loop {
            let rolls = store::made(conn, &zone, before.map_or(0, Day::number), PAGE).await?;
            for roll in &rolls {
                if before.is_some_and(|before| before.next() != roll.day) {
                    lines.push(format!("days of {zone}: there is none added up before {}", roll.day));
                }
                before = Some(roll.day);
                lines.extend(differences(conn, &days, roll).await?.into_iter().map(|line| format!("{} in {zone}: {line}", roll.day)));
            }
            if (rolls.len() as i64) < PAGE {
                break;
            }
        }
    }
    Ok(lines)
}

async fn differences(conn: &mut Conn, days: &Days, roll: &Roll) -> Result<Vec<String>, sqlx::Error> {
    let mut lines = Vec::new();
    let by_rows = Moves::of(store::live(conn, days.ids(roll.day)).await?);
    if by_rows.transfers() != roll.transfers {
        lines.push(format!("{} transfers are added up, there are {}", roll.transfers, by_rows.transfers()));
    }
    let rolled = store::rolled(conn, days.zone(), roll.day, roll.day.next()).await?;
    let rolled = Moves::of(rolled.into_iter().map(|(_, moved)| moved).collect());
    for key in by_rows.0.keys().chain(rolled.0.keys().filter(|key| !by_rows.0.contains_key(*key))) {
        let (rows, sums) = (by_rows.0.get(key).copied().unwrap_or_default(), rolled.0.get(key).copied().unwrap_or_default());
        if rows != sums {
            let (debit, credit, kind) = (key.debit, key.credit, &key.kind);
            lines.push(format!("{kind} from {debit} to {credit}: {} by {} are added up, the transfers say {} by {}", sums.0.0, sums.1, rows.0.0, rows.1));
        }
    }
    let (mut by_rows, mut rolled) = (store::parts(conn, days.ids(roll.day)).await?, store::parts_of(conn, roll.id).await?);
    by_rows.sort_unstable();
    rolled.sort_unstable();
    if let Some((rows, sums)) = by_rows.iter().zip(&rolled).find(|(rows, sums)| rows != sums) {
        lines.push(format!("customer {}: their statement has {:?}, the transfers say {:?}", rows.user, sums.sum, rows.sum));
    } else if by_rows.len() != rolled.len() {
        lines.push(format!("statements have {} parts, the transfers make {}", rolled.len(), by_rows.len()));
    }
    Ok(lines)
}
