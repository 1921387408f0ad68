//! Everything that a script writes, as one statement.
//!
//! Each result of a statement wakes whoever waits for it, and where server and SQLite share a processor that is two switches of threads, more than most
//! statements cost. So on SQLite what a script writes is the body of a trigger, on a view that belongs to the connection and has no rows: whoever inserts
//! one there gives all values at once, and one result comes back. Without BEGIN it is a transaction of its own.

use super::bulk::Bulk;
use super::{Conn, Part, Values};
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// How many rows of a statement go into a procedure. Under load many requests share a script's wake-ups; and every new view has SQLite prepare all
/// statements of the connection once more, so there must be few.
pub const AT_ONCE: usize = 4;
/// How many procedures a connection has at most, as many as it keeps prepared statements. The most frequent ones come first.
const MOST_MADE: usize = 100;

/// Nothing is written when somebody else has written since this version of the database, which the writing connection counts.
static NOBODY_ELSE_WROTE: Bulk = Bulk::new(
    "NOBODY_ELSE_WROTE",
    "SELECT RAISE(ABORT, 'somebody else has written') FROM (VALUES ",
    &["BIGINT"],
    ") AS v WHERE v.column1 <> (SELECT data_version FROM pragma_data_version)",
);

/// Nothing is written when the statement before has not changed exactly so many rows.
static CHANGED: Bulk = Bulk::new("CHANGED", "SELECT RAISE(ABORT, 'a row is not as it was') FROM (VALUES ", &["BIGINT"], ") AS v WHERE v.column1 <> changes()");

/// The version of the database: it changes when another connection writes. There is one row to ask for it, and the id is any.
static VERSION: Bulk = Bulk::reading("VERSION", "data_version", "FROM pragma_data_version WHERE 0 IN (VALUES ");

pub(super) fn version() -> Part<'static> {
    VERSION.part(&[0], bind)
}

/// A statement of [`Db::write_since`](super::Db::write_since) that writes nothing itself: when the one before has not changed exactly `rows` rows,
/// nothing of the others is written.
pub fn changed(rows: &i64) -> Part<'_> {
    CHANGED.part(std::slice::from_ref(rows), bind)
}

pub(super) fn nobody_else_wrote(version: &i64) -> Part<'_> {
    NOBODY_ELSE_WROTE.part(std::slice::from_ref(version), bind)
}

fn bind(value: &i64, values: &mut Values) {
    values.bind(*value);
}

/// The parts of a script, each with the number of rows that its text has.
pub(super) type Sized = [(&'static Bulk, usize)];
/// The same, to find it by.
pub(super) type Key = Vec<(usize, usize)>;

pub(super) fn key(parts: &Sized) -> Key {
    parts.iter().map(|(bulk, size)| (std::ptr::from_ref(*bulk).addr(), *size)).collect()
}

/// The procedures that SQLite's writing connection has.
#[derive(Debug, Default)]
pub(super) struct Procedures(Mutex<Made>);

#[derive(Debug, Default)]
struct Made {
    /// What inserts the row.
    inserts: HashMap<Key, Arc<str>>,
    /// Names are never used again.
    named: u64,
}

impl Procedures {
    /// What runs these parts, when the connection has it.
    pub(super) fn of(&self, parts: &Sized) -> Option<Arc<str>> {
        self.made().inserts.get(&key(parts)).cloned()
    }

    /// Makes what runs these parts; [`Procedures::keep`] it when the transaction in which it was made has ended well. `None` when they are too many.
    pub(super) async fn make(&self, conn: &mut Conn, parts: &Sized) -> Result<Option<Arc<str>>, sqlx::Error> {
        let values = parts.iter().map(|(bulk, size)| bulk.columns() * size).sum();
        if values == 0 || parts.iter().any(|(_, size)| *size > AT_ONCE) {
            return Ok(None);
        }
        let name = {
            let mut made = self.made();
            if made.inserts.len() >= MOST_MADE {
                return Ok(None);
            }
            made.named += 1;
            format!("script_{}", made.named)
        };
        conn.execute(AssertSqlSafe(definition(&name, parts)).into_sql_str()).await?;
        Ok(Some(format!("INSERT INTO temp.{name} VALUES ({})", vec!["?"; values].join(", ")).into()))
    }

    /// The connection has this for these parts.
    pub(super) fn keep(&self, parts: &Sized, insert: Arc<str>) {
        self.made().inserts.insert(key(parts), insert);
    }

    /// There is a new connection, which has none.
    pub(super) fn forget_all(&self) {
        self.made().inserts.clear();
    }

    fn made(&self) -> std::sync::MutexGuard<'_, Made> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A view with a column for each value, and the trigger that gives each placeholder of the parts its column. The sign keeps a column's name from
/// becoming the name of what is read from it.
fn definition(name: &str, parts: &Sized) -> String {
    let (mut columns, mut body, mut n) = (String::new(), String::new(), 0);
    for (bulk, size) in parts {
        for piece in bulk.script_text(*size).split_inclusive('?') {
            match piece.strip_suffix('?') {
                Some(text) => {
                    n += 1;
                    let comma = if n == 1 { "" } else { ", " };
                    let _ = write!(columns, "{comma}NULL AS c{n}");
                    let _ = write!(body, "{text}+NEW.c{n}");
                }
                None => body.push_str(piece),
            }
        }
        body.push_str(";\n");
    }
    format!("CREATE TEMP VIEW {name} AS SELECT {columns};\nCREATE TEMP TRIGGER run_{name} INSTEAD OF INSERT ON {name} BEGIN\n{body}END")
}
