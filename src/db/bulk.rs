//! Statements over many rows: a text for each of a few sizes, so that a batch of any size needs few statements and the
//! connection's cache of prepared ones (100 on SQLite) does not overflow.

use super::{Conn, Engine, Part, Values};
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

/// `head` + `($1, $2), ($3, $4), ...` + `tail`.
pub struct Bulk {
    /// The statement's name in test reports.
    pub name: &'static str,
    head: &'static str,
    columns: &'static [&'static str],
    tail: &'static str,
    locks: bool,
    sqlite: Texts,
    postgres: Texts,
}

impl Bulk {
    /// A statement whose rows have `columns`: an empty string where the engine knows the type from an INSERT's target, a
    /// type name where the value must be cast because it stands in a bare VALUES.
    pub const fn new(name: &'static str, head: &'static str, columns: &'static [&'static str], tail: &'static str) -> Self {
        Self::make(name, head, columns, tail, false)
    }

    /// A SELECT whose rows stay locked until the transaction ends. On SQLite the whole database is: its transactions begin as writers.
    pub const fn locking(name: &'static str, head: &'static str, columns: &'static [&'static str], tail: &'static str) -> Self {
        Self::make(name, head, columns, tail, true)
    }

    const fn make(name: &'static str, head: &'static str, columns: &'static [&'static str], tail: &'static str, locks: bool) -> Self {
        Self { name, head, columns, tail, locks, sqlite: [const { OnceLock::new() }; SIZES.len()], postgres: [const { OnceLock::new() }; SIZES.len()] }
    }

    /// How many values a row has.
    pub(super) fn columns(&self) -> usize {
        self.columns.len()
    }

    /// The text for SQLite with this many rows, one of the sizes that a script has.
    pub(super) fn script_text(&'static self, size: usize) -> &'static str {
        self.text(Engine::Sqlite, SIZES.partition_point(|&known| known < size))
    }

    /// The text for the size at `index` of [`SIZES`]. On SQLite the placeholders have no numbers: it keeps numbered ones in a list that
    /// is searched from its head for each value, a square of the number of values. And it needs no types: a value has its own.
    fn text(&self, engine: Engine, index: usize) -> &str {
        let texts = if engine == Engine::Sqlite { &self.sqlite } else { &self.postgres };
        texts[index].get_or_init(|| {
            let mut sql = String::from(self.head);
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
            if self.locks && engine == Engine::Postgres {
                sql.push_str(" FOR UPDATE");
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
    pub fn all_texts(&'static self, engine: Engine) -> impl Iterator<Item = &'static str> {
        (0..SIZES.len()).map(move |index| self.text(engine, index))
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
    }
}
