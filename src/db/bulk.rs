//! Statements over many rows: one text per power of two, so that a batch of any size needs few statements and the
//! connection's cache of prepared ones stays small.

use std::fmt::Write;
use std::sync::OnceLock;

/// The most rows that one statement carries.
const MAX_ROWS: usize = 64;
const SIZES: usize = 7;

/// `head` + `($1, $2), ($3, $4), ...` + `tail`.
pub struct Bulk {
    /// The statement's name in test reports.
    pub name: &'static str,
    head: &'static str,
    columns: &'static [&'static str],
    tail: &'static str,
    texts: [OnceLock<String>; SIZES],
}

impl Bulk {
    /// A statement whose rows have `columns`: an empty string where the engine knows the type from an INSERT's target, a
    /// type name where the value must be cast because it stands in a bare VALUES.
    pub const fn new(name: &'static str, head: &'static str, columns: &'static [&'static str], tail: &'static str) -> Self {
        Self { name, head, columns, tail, texts: [const { OnceLock::new() }; SIZES] }
    }

    /// The text for exactly `rows` rows, a power of two of at most 64.
    fn text(&self, rows: usize) -> &str {
        self.texts[rows.trailing_zeros() as usize].get_or_init(|| {
            let mut sql = String::from(self.head);
            let mut n = 0;
            for row in 0..rows {
                sql.push_str(if row == 0 { "(" } else { ", (" });
                for (i, cast) in self.columns.iter().enumerate() {
                    n += 1;
                    let comma = if i == 0 { "" } else { ", " };
                    let _ = if cast.is_empty() { write!(sql, "{comma}${n}") } else { write!(sql, "{comma}CAST(${n} AS {cast})") };
                }
                sql.push(')');
            }
            sql.push_str(self.tail);
            sql
        })
    }

    /// Splits `items` into chunks whose sizes are powers of two, largest first, each with the text that takes it.
    pub fn chunks<'a, T>(&'static self, mut items: &'a [T]) -> impl Iterator<Item = (&'static str, &'a [T])> {
        std::iter::from_fn(move || {
            if items.is_empty() {
                return None;
            }
            let size = 1 << items.len().min(MAX_ROWS).ilog2();
            let (chunk, rest) = items.split_at(size);
            items = rest;
            Some((self.text(size), chunk))
        })
    }

    /// Every text that can be sent, for the test that prepares them.
    pub fn all_texts(&'static self) -> impl Iterator<Item = &'static str> {
        (0..SIZES).map(|power| self.text(1 << power))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_powers_of_two_and_lose_nothing() {
        static INSERT: Bulk = Bulk::new("INSERT", "INSERT INTO t (a, b) VALUES ", &["", "BIGINT"], "");
        let items: Vec<u32> = (0..87).collect();
        let sizes: Vec<usize> = INSERT.chunks(&items).map(|(_, chunk)| chunk.len()).collect();
        assert_eq!(sizes, [64, 16, 4, 2, 1]);
        let back: Vec<u32> = INSERT.chunks(&items).flat_map(|(_, chunk)| chunk.to_vec()).collect();
        assert_eq!(back, items);
        assert_eq!(INSERT.text(2), "INSERT INTO t (a, b) VALUES ($1, CAST($2 AS BIGINT)), ($3, CAST($4 AS BIGINT))");
        assert_eq!(INSERT.chunks::<u32>(&[]).count(), 0);
    }
}
