//! Statements over many rows: a text for each of a few sizes, so that a batch of any size needs few statements and the
//! connection's cache of prepared ones (100 on SQLite) does not overflow.

use std::fmt::Write;
use std::sync::OnceLock;

/// How many rows a statement may carry. Every small number, because a batch of an idle shop is one; then steps of a half.
const SIZES: [usize; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64];

/// `head` + `($1, $2), ($3, $4), ...` + `tail`.
pub struct Bulk {
    /// The statement's name in test reports.
    pub name: &'static str,
    head: &'static str,
    columns: &'static [&'static str],
    tail: &'static str,
    texts: [OnceLock<String>; SIZES.len()],
}

impl Bulk {
    /// A statement whose rows have `columns`: an empty string where the engine knows the type from an INSERT's target, a
    /// type name where the value must be cast because it stands in a bare VALUES.
    pub const fn new(name: &'static str, head: &'static str, columns: &'static [&'static str], tail: &'static str) -> Self {
        Self { name, head, columns, tail, texts: [const { OnceLock::new() }; SIZES.len()] }
    }

    /// The text for the size at `index` of [`SIZES`].
    fn text(&self, index: usize) -> &str {
        let rows = SIZES[index];
        self.texts[index].get_or_init(|| {
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

    /// Splits `items` into chunks of those sizes, largest first, each with the text that takes it.
    pub fn chunks<'a, T>(&'static self, mut items: &'a [T]) -> impl Iterator<Item = (&'static str, &'a [T])> {
        std::iter::from_fn(move || {
            if items.is_empty() {
                return None;
            }
            let index = SIZES.partition_point(|&size| size <= items.len()) - 1;
            let (chunk, rest) = items.split_at(SIZES[index]);
            items = rest;
            Some((self.text(index), chunk))
        })
    }

    /// Every text that can be sent, for the test that prepares them.
    pub fn all_texts(&'static self) -> impl Iterator<Item = &'static str> {
        (0..SIZES.len()).map(|index| self.text(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_have_known_sizes_and_lose_nothing() {
        static INSERT: Bulk = Bulk::new("INSERT", "INSERT INTO t (a, b) VALUES ", &["", "BIGINT"], "");
        let items: Vec<u32> = (0..87).collect();
        let sizes: Vec<usize> = INSERT.chunks(&items).map(|(_, chunk)| chunk.len()).collect();
        assert_eq!(sizes, [64, 16, 7]);
        let back: Vec<u32> = INSERT.chunks(&items).flat_map(|(_, chunk)| chunk.to_vec()).collect();
        assert_eq!(back, items);
        assert_eq!(INSERT.text(1), "INSERT INTO t (a, b) VALUES ($1, CAST($2 AS BIGINT)), ($3, CAST($4 AS BIGINT))");
        assert_eq!(INSERT.chunks::<u32>(&[]).count(), 0);
    }
}
