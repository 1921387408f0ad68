//! Statements over many rows: a text for each of a few sizes, so that a batch of any size needs few statements and the
//! connection's cache of prepared ones (100 on SQLite) does not overflow.

use super::{Conn, Engine};
use std::fmt::Write;
use std::sync::OnceLock;

/// How many rows a statement may carry. Every small number, because a batch of an idle shop is one; then steps of a half.
const SIZES: [usize; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64];

type Texts = [OnceLock<String>; SIZES.len()];

/// `head` + `($1, $2), ($3, $4), ...` + `tail`.
pub struct Bulk {
    /// The statement's name in test reports.
    pub name: &'static str,
    head: &'static str,
    columns: &'static [&'static str],
    tail: &'static str,
    sqlite: Texts,
    postgres: Texts,
}

impl Bulk {
    /// A statement whose rows have `columns`: an empty string where the engine knows the type from an INSERT's target, a
    /// type name where the value must be cast because it stands in a bare VALUES.
    pub const fn new(name: &'static str, head: &'static str, columns: &'static [&'static str], tail: &'static str) -> Self {
        Self { name, head, columns, tail, sqlite: [const { OnceLock::new() }; SIZES.len()], postgres: [const { OnceLock::new() }; SIZES.len()] }
    }

    /// The text for the size at `index` of [`SIZES`]. On SQLite the placeholders have no numbers: it keeps numbered ones in a list that
    /// is searched from its head for each value, a square of the number of values.
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
                    let _ = if cast.is_empty() { write!(sql, "{comma}{value}") } else { write!(sql, "{comma}CAST({value} AS {cast})") };
                }
                sql.push(')');
            }
            sql.push_str(self.tail);
            sql
        })
    }

    /// Splits `items` into chunks of those sizes, largest first, each with the text that takes it.
    pub fn chunks<'a, T>(&'static self, conn: &Conn, items: &'a [T]) -> impl Iterator<Item = (&'static str, &'a [T])> + use<'a, T> {
        self.chunks_on(Engine::of(conn), items)
    }

    fn chunks_on<'a, T>(&'static self, engine: Engine, mut items: &'a [T]) -> impl Iterator<Item = (&'static str, &'a [T])> + use<'a, T> {
        std::iter::from_fn(move || {
            if items.is_empty() {
                return None;
            }
            let index = SIZES.partition_point(|&size| size <= items.len()) - 1;
            let (chunk, rest) = items.split_at(SIZES[index]);
            items = rest;
            Some((self.text(engine, index), chunk))
        })
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
        assert_eq!(INSERT.text(Engine::Sqlite, 0), "INSERT INTO t (a, b) VALUES (?, CAST(? AS BIGINT))");
        assert_eq!(INSERT.text(Engine::Postgres, 1), "INSERT INTO t (a, b) VALUES ($1, CAST($2 AS BIGINT)), ($3, CAST($4 AS BIGINT))");
        assert_eq!(INSERT.chunks_on::<u32>(Engine::Sqlite, &[]).count(), 0);
    }
}
