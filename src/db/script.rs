//! Several statements over many rows, sent together.
//!
//! SQLite runs in a thread of its own, and going there and back costs more than most statements: one text with all of them, and with
//! the transaction's begin or end, goes there once. The text is the same for every number of rows up to the next of a few sizes, so that it
//! is prepared once: what is left over is filled with nulls, which no statement may act on. And each result that comes back wakes whoever waits for
//! it, so what is read comes as one row, and what is written last is one statement ([`super::procedure`]). PostgreSQL takes one statement at a time
//! and gets them one after the other, each with exactly its rows.

use super::bulk::{Bulk, SCRIPT_MOST, script_size};
use super::procedure::{AT_ONCE, Key, Procedures, key};
use super::{Conn, Engine};
use futures_util::TryStreamExt;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{Any, Arguments, AssertSqlSafe, Either, Encode, Executor, Row, SqlSafeStr, Type};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// The values of a statement, in the order of its placeholders.
#[derive(Default)]
pub struct Values {
    arguments: AnyArguments,
    failed: Option<sqlx::error::BoxDynError>,
}

impl Values {
    /// Adds the next value.
    pub fn bind<'t, T: Encode<'t, Any> + Type<Any>>(&mut self, value: T) -> &mut Self {
        if let Err(error) = self.arguments.add(value) {
            self.failed = Some(error);
        }
        self
    }

    fn done(self) -> Result<AnyArguments, sqlx::Error> {
        self.failed.map_or(Ok(self.arguments), |error| Err(sqlx::Error::Encode(error)))
    }
}

type Bind<'a> = Box<dyn Fn(usize, &mut Values) + Send + Sync + 'a>;

/// A statement and its rows.
pub struct Part<'a> {
    bulk: &'static Bulk,
    rows: usize,
    bind: Bind<'a>,
}

impl<'a> Part<'a> {
    /// One row for each item; `bind` gives the values of its columns.
    pub fn new<T: Sync>(bulk: &'static Bulk, items: &'a [T], bind: impl Fn(&T, &mut Values) + Send + Sync + 'a) -> Self {
        Self { bulk, rows: items.len(), bind: Box::new(move |row, values| bind(&items[row], values)) }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Binds the rows of one chunk, and nulls up to `size` rows.
    fn bind(&self, from: usize, size: usize, values: &mut Values) {
        let to = self.rows.min(from + size);
        for row in from..to {
            (self.bind)(row, values);
        }
        let rows = to.saturating_sub(from);
        for _ in 0..(size - rows) * self.bulk.columns() {
            values.bind(None::<i64>);
        }
    }
}

/// What a statement came to.
#[derive(Default)]
pub struct Answer {
    rows: Vec<AnyRow>,
    /// Records of SQLite: semicolons between them, commas between their columns.
    lines: String,
    /// How many rows it changed.
    pub affected: u64,
}

impl Answer {
    /// The records or rows that the statement returned.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let lines = self.lines.split_terminator(';').map(|line| Record(Source::Line(line.split(','))));
        self.rows.iter().map(Record::of).chain(lines)
    }

    fn add(&mut self, lines: &str) {
        self.lines.push_str(lines);
        self.lines.push(';');
    }
}

/// A row, read column by column.
pub struct Record<'a>(Source<'a>);

enum Source<'a> {
    /// And which column is next.
    Row(&'a AnyRow, usize),
    Line(std::str::Split<'a, char>),
}

impl<'a> Record<'a> {
    /// Of a row.
    pub fn of(row: &'a AnyRow) -> Self {
        Self(Source::Row(row, 0))
    }

    /// The next column, a number.
    ///
    /// # Errors
    /// When it is none.
    pub fn number(&mut self) -> Result<i64, sqlx::Error> {
        match &mut self.0 {
            Source::Row(row, next) => {
                *next += 1;
                row.try_get(*next - 1)
            }
            Source::Line(line) => line.next().and_then(|column| column.parse().ok()).ok_or_else(|| sqlx::Error::Decode("not a number".into())),
        }
    }

    /// The next column, a word.
    ///
    /// # Errors
    /// When it is none.
    pub fn word(&mut self) -> Result<&'a str, sqlx::Error> {
        match &mut self.0 {
            Source::Row(row, next) => {
                *next += 1;
                row.try_get(*next - 1)
            }
            Source::Line(line) => line.next().ok_or_else(|| sqlx::Error::Decode("no column".into())),
        }
    }
}

/// What stands around the statements of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Around {
    Begin,
    Nothing,
    Commit,
}

/// The texts that were made so far, by what stands around the statements, which they are, and for how many rows each.
type Texts = HashMap<(Around, Key), Arc<str>>;

/// The parts of each statement: those that read records, one after the other, are one.
fn statements<'a>(parts: &'a [(&'static Bulk, usize)]) -> impl Iterator<Item = &'a [(&'static Bulk, usize)]> {
    parts.chunk_by(|(a, _), (b, _)| a.reads() && b.reads())
}

/// The texts for SQLite, and what its writing connection has of them.
#[derive(Debug, Default)]
pub(super) struct Scripts {
    texts: Mutex<Texts>,
    procedures: Procedures,
}

impl Scripts {
    /// There is a new connection, which has nothing of what was made in the one before.
    pub(super) fn forget_made(&self) {
        self.procedures.forget_all();
    }

    fn text(&self, around: Around, parts: &[(&'static Bulk, usize)]) -> Arc<str> {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let text = texts.entry((around, key(parts))).or_insert_with(|| {
            let mut all: Vec<String> = Vec::with_capacity(parts.len() + 1);
            for statement in statements(parts) {
                let texts: Vec<_> = statement.iter().map(|(bulk, size)| bulk.script_text(*size)).collect();
                all.push(if statement[0].0.reads() { format!("SELECT {}", texts.join(", ")) } else { texts.join(";\n") });
            }
            match around {
                Around::Begin => all.insert(0, "BEGIN IMMEDIATE".to_owned()),
                Around::Nothing => {}
                Around::Commit => all.push("COMMIT".to_owned()),
            }
            all.join(";\n").into()
        });
        Arc::clone(text)
    }

    /// Sends the parts, which are not empty, to SQLite: in one text, unless there are more rows than the largest has.
    pub(super) async fn run(&self, conn: &mut Conn, around: Around, parts: &[&Part<'_>]) -> Result<Vec<Answer>, sqlx::Error> {
        let mut answers: Vec<Answer> = parts.iter().map(|_| Answer::default()).collect();
        let most = parts.iter().map(|part| part.rows).max().unwrap_or(0);
        let chunks = most.div_ceil(SCRIPT_MOST).max(1);
        for chunk in 0..chunks {
            let sized = Chunk::of(parts, chunk * SCRIPT_MOST);
            match around {
                Around::Commit if chunk + 1 == chunks => self.commit(conn, parts, &sized).await?,
                Around::Begin if chunk == 0 => self.run_chunk(conn, around, parts, &sized, &mut answers).await?,
                _ => self.run_chunk(conn, Around::Nothing, parts, &sized, &mut answers).await?,
            }
        }
        Ok(answers)
    }

    /// Runs the parts as one statement, which is a transaction of its own outside another. Says whether it could: nothing is written when they are too many.
    pub(super) async fn run_whole(&self, conn: &mut Conn, parts: &[&Part<'_>]) -> Result<bool, sqlx::Error> {
        let sized = Chunk::of(parts, 0);
        if parts.iter().any(|part| part.rows > AT_ONCE) {
            return Ok(false);
        }
        let insert = match self.procedures.of(&sized.texts) {
            Some(insert) => insert,
            None => {
                let Some(insert) = self.procedures.make(conn, &sized.texts).await? else { return Ok(false) };
                self.procedures.keep(&sized.texts, Arc::clone(&insert));
                insert
            }
        };
        finish(conn, insert, sized.values(parts)?, 1).await?;
        Ok(true)
    }

    /// Runs what is written last, and commits.
    async fn commit(&self, conn: &mut Conn, parts: &[&Part<'_>], sized: &Chunk) -> Result<(), sqlx::Error> {
        let known = self.procedures.of(&sized.texts);
        let made = if known.is_none() { self.procedures.make(conn, &sized.texts).await? } else { None };
        let Some(insert) = known.as_ref().or(made.as_ref()) else {
            let mut answers: Vec<Answer> = parts.iter().map(|_| Answer::default()).collect();
            return self.run_chunk(conn, Around::Commit, parts, sized, &mut answers).await;
        };
        finish(conn, format!("{insert};\nCOMMIT").into(), sized.values(parts)?, 2).await?;
        if let Some(made) = made {
            self.procedures.keep(&sized.texts, made);
        }
        Ok(())
    }

    async fn run_chunk(&self, conn: &mut Conn, around: Around, parts: &[&Part<'_>], sized: &Chunk, answers: &mut [Answer]) -> Result<(), sqlx::Error> {
        let texts = &sized.texts;
        if texts.is_empty() && around == Around::Nothing {
            return Ok(());
        }
        let mut results = conn.fetch_many(query(self.text(around, texts), sized.values(parts)?));
        // To which of the parts each statement's results belong: none to BEGIN and COMMIT.
        let mut parts_of: Vec<Range<usize>> = Vec::with_capacity(texts.len() + 1);
        let mut next = 0;
        parts_of.extend((around == Around::Begin).then_some(0..0));
        for statement in statements(texts) {
            parts_of.push(next..next + statement.len());
            next += statement.len();
        }
        parts_of.extend((around == Around::Commit).then_some(0..0));
        let mut statement = 0;
        // After the last statement only the end of the answers would come, for one more wake-up.
        while statement < parts_of.len()
            && let Some(result) = results.try_next().await?
        {
            let mine = &sized.parts[parts_of[statement].clone()];
            match result {
                Either::Left(done) => {
                    statement += 1;
                    if let [n] = mine {
                        answers[*n].affected += done.rows_affected();
                    }
                }
                Either::Right(row) if mine.iter().any(|n| parts[*n].bulk.reads()) => {
                    for (column, n) in mine.iter().enumerate() {
                        if let Some(lines) = row.try_get::<Option<String>, _>(column)? {
                            answers[*n].add(&lines);
                        }
                    }
                }
                Either::Right(row) => {
                    if let [n] = mine {
                        answers[*n].rows.push(row);
                    }
                }
            }
        }
        Ok(())
    }
}

/// As many rows of each part as one text has, from a row on.
struct Chunk {
    from: usize,
    /// Which of the parts have any.
    parts: Vec<usize>,
    /// The text of each of these, by its size.
    texts: Vec<(&'static Bulk, usize)>,
}

impl Chunk {
    fn of(parts: &[&Part<'_>], from: usize) -> Self {
        let left = |part: &Part<'_>| part.rows.saturating_sub(from).min(SCRIPT_MOST);
        let most = parts.iter().map(|part| left(part)).max().unwrap_or(0);
        // Three sizes at most for one number of requests, so that there are few texts.
        let sizes = [1, script_size(most.div_ceil(4)), script_size(most)];
        let size = |part: &Part<'_>| sizes.into_iter().find(|size| left(part) <= *size).unwrap_or(SCRIPT_MOST);
        let here: Vec<usize> = (0..parts.len()).filter(|n| left(parts[*n]) > 0).collect();
        let texts = here.iter().map(|n| (parts[*n].bulk, size(parts[*n]))).collect();
        Self { from, parts: here, texts }
    }

    fn values(&self, parts: &[&Part<'_>]) -> Result<AnyArguments, sqlx::Error> {
        let mut values = Values::default();
        values.arguments.reserve(self.texts.iter().map(|(bulk, size)| bulk.columns() * size).sum(), 0);
        for (n, (_, size)) in self.parts.iter().zip(&self.texts) {
            parts[*n].bind(self.from, *size, &mut values);
        }
        values.done()
    }
}

fn query<'q>(text: Arc<str>, values: AnyArguments) -> sqlx::query::Query<'q, Any, AnyArguments> {
    sqlx::query_with(AssertSqlSafe(text).into_sql_str(), values)
}

/// Runs so many statements, none of which returns rows.
async fn finish(conn: &mut Conn, text: Arc<str>, values: AnyArguments, statements: usize) -> Result<(), sqlx::Error> {
    let mut results = conn.fetch_many(query(text, values));
    for _ in 0..statements {
        results.try_next().await?;
    }
    Ok(())
}

/// Sends the parts one after the other, each in as few statements as its number of rows takes.
pub(super) async fn run_each(conn: &mut Conn, parts: &[Part<'_>]) -> Result<Vec<Answer>, sqlx::Error> {
    let engine = Engine::of(conn);
    let mut answers = Vec::with_capacity(parts.len());
    for part in parts {
        let mut answer = Answer::default();
        let mut from = 0;
        for (sql, size) in part.bulk.chunk_sizes(engine, part.rows) {
            let mut values = Values::default();
            part.bind(from, size, &mut values);
            from += size;
            let mut results = conn.fetch_many(sqlx::query_with(sql, values.done()?));
            while let Some(result) = results.try_next().await? {
                match result {
                    Either::Left(done) => answer.affected += done.rows_affected(),
                    Either::Right(row) => answer.rows.push(row),
                }
            }
        }
        answers.push(answer);
    }
    Ok(answers)
}
