//! Statements over many rows: a text for each of a few sizes, so that a batch of any size needs few statements and the
//! connection's cache of prepared ones (100 on SQLite) does not overflow.

use super::{Conn, Engine, Part, Values};
use std::borrow::Cow;
use std::fmt::Write;
use std::sync::OnceLock;

/// How many rows a statement may carry. Every small number, because a batch of an idle shop is one; then steps of a half.
const SIZES: [usize; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64];

/// The sizes that a script has: fewer, since each goes with the sizes of the script's other statements.
const SCRIPT_SIZES: [usize; 10] = [1, 2, 4, 8, 12, 16, 24, 32, 48, SCRIPT_MOST];
/// How many rows each statement of a script may carry.
pub(super) const SCRIPT_MOST: usize = 64;

/// The size of a script's statement for so many rows.
pub(super) fn script_size(rows: usize) -> usize {
    SCRIPT_SIZES.into_iter().find(|size| rows <= *size).unwrap_or(SCRIPT_MOST)
}

type Texts = [OnceLock<String>; SIZES.len()];

/// What a SELECT returns.
#[derive(Clone, Copy)]
struct Reading {
    /// The columns, with commas between them.
    columns: &'static str,
    /// Whether the rows stay locked until the transaction ends, taken in the order of the first column.
    locks: bool,
}

/// `head` + `($1, $2), ($3, $4), ...` + `tail`.
pub struct Bulk {
    /// The statement's name in test reports.
    pub name: &'static str,
    head: &'static str,
    columns: &'static [&'static str],
    tail: &'static str,
    /// What a SELECT begins with, when it returns records.
    reading: Option<Reading>,
    sqlite: Texts,
    postgres: Texts,
}

impl Bulk {
    /// A statement whose rows have `columns`: an empty string where the engine knows the type from an INSERT's target, a
    /// type name where the value must be cast because it stands in a bare VALUES.
    pub const fn new(name: &'static str, head: &'static str, columns: &'static [&'static str], tail: &'static str) -> Self {
        Self::make(name, head, columns, tail, None)
    }

    /// A SELECT of records by their ids: `read` are the columns, `from` what follows them, up to the ids. The columns are numbers, and words without a
    /// comma or a semicolon, and never null: a script gets all records of SQLite in one row.
    pub const fn reading(name: &'static str, read: &'static str, from: &'static str) -> Self {
        Self::make(name, from, &["BIGINT"], ")", Some(Reading { columns: read, locks: false }))
    }

    /// As [`Bulk::reading`], of records that stay locked until the transaction ends, each taken in the order of the first column. On SQLite
    /// the whole database is locked: a transaction that writes begins as a writer.
    pub const fn locking(name: &'static str, read: &'static str, from: &'static str) -> Self {
        Self::make(name, from, &["BIGINT"], ")", Some(Reading { columns: read, locks: true }))
    }

    const fn make(name: &'static str, head: &'static str, columns: &'static [&'static str], tail: &'static str, reading: Option<Reading>) -> Self {
        Self { name, head, columns, tail, reading, sqlite: [const { OnceLock::new() }; SIZES.len()], postgres: [const { OnceLock::new() }; SIZES.len()] }
    }

    /// How many values a row has.
    pub(super) fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Whether it returns records.
    pub(super) fn reads(&self) -> bool {
        self.reading.is_some()
    }

    /// The text for SQLite with this many rows, one of the sizes that a script has. Of a SELECT of records it is an expression: a text with all of them,
    /// semicolons between them and commas between their columns.
    pub(super) fn script_text(&self, size: usize) -> Cow<'_, str> {
        let text = self.text(Engine::Sqlite, SIZES.partition_point(|&known| known < size));
        match self.reading {
            None => Cow::Borrowed(text),
            Some(Reading { columns, .. }) => {
                let rest = text.split_at("SELECT ".len() + columns.len()).1;
                Cow::Owned(format!("(SELECT group_concat({}, ';'){rest})", columns.replace(", ", " || ',' || ")))
            }
        }
    }

    /// The text for the size at `index` of [`SIZES`]. On SQLite the placeholders have no numbers: it keeps numbered ones in a list that
    /// is searched from its head for each value, a square of the number of values. And it needs no types: a value has its own.
    fn text(&self, engine: Engine, index: usize) -> &str {
        let texts = if engine == Engine::Sqlite { &self.sqlite } else { &self.postgres };
        texts[index].get_or_init(|| {
            let mut sql = self.reading.map_or_else(String::new, |reading| format!("SELECT {} ", reading.columns));
            sql.push_str(self.head);
            let mut n = 0;
            for row in 0..SIZES[index] {
                sql.push_str(if row == 0 { "(" } else { ", (" });
                for (i, cast) in self.columns.iter().enumerate() {
                    n += 1;
                    let comma = if i == 0 { "" } else { ", " };
                    let value = if engine == Engine::Sqlite { "?".to_owned() } else { format!("${n}") };
                    let _ =
                        if cast.is_empty() || engine == Engine::Sqlite { write!(sql, "{comma}{value}") } else { write!(sql, "{comma}CAST({value} AS {cast})") };
                }
                sql.push(')');
            }
            sql.push_str(self.tail);
            if let Some(Reading { columns, locks: true }) = self.reading
                && engine == Engine::Postgres
            {
                let first = columns.split(',').next().unwrap_or_default();
                let _ = write!(sql, " ORDER BY {first} FOR UPDATE");
            }
            sql
        })
    }

    /// Splits `items` into chunks of those sizes, largest first, each with the text that takes it.
    pub fn chunks<'a, T>(&'static self, conn: &Conn, items: &'a [T]) -> impl Iterator<Item = (&'static str, &'a [T])> + use<'a, T> {
        self.chunks_on(Engine::of(conn), items)
    }

    fn chunks_on<'a, T>(&'static self, engine: Engine, mut items: &'a [T]) -> impl Iterator<Item = (&'static str, &'a [T])> + use<'a, T> {
        self.chunk_sizes(engine, items.len()).map(move |(sql, size)| {
            let (chunk, rest) = items.split_at(size);
            items = rest;
            (sql, chunk)
        })
    }

    /// The texts for so many rows, with how many each takes.
    pub(super) fn chunk_sizes(&'static self, engine: Engine, mut rows: usize) -> impl Iterator<Item = (&'static str, usize)> {
        std::iter::from_fn(move || {
            let index = SIZES.partition_point(|&size| size <= rows).checked_sub(1)?;
            rows -= SIZES[index];
            Some((self.text(engine, index), SIZES[index]))
        })
    }

    /// This statement with one row for each item.
    pub fn part<'a, T: Sync>(&'static self, items: &'a [T], bind: impl Fn(&T, &mut Values) + Send + Sync + 'a) -> Part<'a> {
        Part::new(self, items, bind)
    }

    /// Every text that can be sent, for the test that prepares them.
    pub fn all_texts(&'static self, engine: Engine) -> impl Iterator<Item = String> {
        let scripts: &[usize] = if engine == Engine::Sqlite && self.reads() { &SCRIPT_SIZES } else { &[] };
        let scripts = scripts.iter().map(|size| format!("SELECT {}", self.script_text(*size)));
        (0..SIZES.len()).map(move |index| self.text(engine, index).to_owned()).chain(scripts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_have_known_sizes_and_lose_nothing() {
        static INSERT: Bulk = Bulk::new("INSERT", "INSERT INTO t (a, b) VALUES ", &["", "BIGINT"], "");
        let items: Vec<u32> = (0..87).collect();
        let sizes: Vec<usize> = INSERT.chunks_on(Engine::Sqlite, &items).map(|(_, chunk)| chunk.len()).collect();
        assert_eq!(sizes, [64, 16, 7]);
        let back: Vec<u32> = INSERT.chunks_on(Engine::Sqlite, &items).flat_map(|(_, chunk)| chunk.to_vec()).collect();
        assert_eq!(back, items);
        assert_eq!(INSERT.text(Engine::Sqlite, 0), "INSERT INTO t (a, b) VALUES (?, ?)");
        assert_eq!(INSERT.text(Engine::Postgres, 1), "INSERT INTO t (a, b) VALUES ($1, CAST($2 AS BIGINT)), ($3, CAST($4 AS BIGINT))");
        assert_eq!(INSERT.chunks_on::<u32>(Engine::Sqlite, &[]).count(), 0);
        assert!(SCRIPT_SIZES.iter().all(|size| SIZES.contains(size)));
        assert_eq!((script_size(0), script_size(9), script_size(64)), (1, 12, SCRIPT_MOST));
        assert_eq!(INSERT.script_text(2), INSERT.text(Engine::Sqlite, 1));
        static READ: Bulk = Bulk::locking("READ", "a, b", "FROM t WHERE a IN (VALUES ");
        assert_eq!(READ.text(Engine::Sqlite, 0), "SELECT a, b FROM t WHERE a IN (VALUES (?))");
        assert_eq!(READ.text(Engine::Postgres, 0), "SELECT a, b FROM t WHERE a IN (VALUES (CAST($1 AS BIGINT))) ORDER BY a FOR UPDATE");
        assert_eq!(READ.script_text(2), "(SELECT group_concat(a || ',' || b, ';') FROM t WHERE a IN (VALUES (?), (?)))");
    }
}
