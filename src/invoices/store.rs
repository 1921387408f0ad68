//! The rows of documents, of their numbers, and of what both sides want to read on them.

use super::billing::Billing;
use super::document::{Document, Kind};
use super::lists::{Filter, Listed};
use super::terms::{First, Terms};
use crate::db::{self, Conn};
use crate::kernel::{Currency, Id, Money};
use sqlx::any::AnyRow;
use sqlx::{Any, Row};

crate::statements! {
    TERMS = "SELECT terms FROM invoice_terms ORDER BY id DESC LIMIT 1";
    INSERT_TERMS = "INSERT INTO invoice_terms (id, terms, actor_id, created_at) VALUES ($1, $2, $3, $4)";

    SERIES = "SELECT digits, next_number FROM invoice_series WHERE prefix = $1";
    INSERT_SERIES = "INSERT INTO invoice_series (prefix, digits, first_number, next_number) VALUES ($1, $2, $3, $3) ON CONFLICT (prefix) DO NOTHING";
    /// Only a row of which no number was taken begins elsewhere.
    MOVE_SERIES = "UPDATE invoice_series SET digits = $2, first_number = $3, next_number = $3 WHERE prefix = $1 AND next_number = first_number";
    /// Takes the row's lock until the number is committed or given back.
    TAKE_NUMBER = "UPDATE invoice_series SET next_number = next_number + 1 WHERE prefix = $1 RETURNING next_number - 1, digits";

    BILLING = "SELECT name, address, tax_id FROM billing WHERE user_id = $1";
    PUT_BILLING = "INSERT INTO billing (user_id, name, address, tax_id, updated_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (user_id) DO UPDATE SET name = excluded.name, address = excluded.address, tax_id = excluded.tax_id, updated_at = excluded.updated_at";
    EMAIL = "SELECT email FROM users WHERE id = $1";

    INSERT = "INSERT INTO invoice (id, kind, prefix, n, number, user_id, order_id, cause, about, currency, gross, tax, document, search, issued_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    BY_CAUSE = "SELECT id, document FROM invoice WHERE cause = $1";
    /// What of an order was not given back.
    LEFT = "SELECT CAST(COALESCE(SUM(gross), 0) AS BIGINT), CAST(COALESCE(SUM(tax), 0) AS BIGINT) FROM invoice WHERE order_id = $1";
    /// Rows of numbers of which one is missing, was taken twice or by nobody.
    GAPS = "SELECT s.prefix, s.first_number, s.next_number, COUNT(i.n) FROM invoice_series s LEFT JOIN invoice i ON i.prefix = s.prefix
        GROUP BY s.prefix, s.first_number, s.next_number
        HAVING COUNT(i.n) <> s.next_number - s.first_number OR COALESCE(MIN(i.n), s.first_number) <> s.first_number
        OR COALESCE(MAX(i.n), s.next_number - 1) <> s.next_number - 1 ORDER BY s.prefix";
    /// Orders of which more was given back than was paid.
    OVERDRAWN = "SELECT order_id FROM invoice GROUP BY order_id HAVING SUM(gross) < 0 OR SUM(tax) < 0 ORDER BY order_id LIMIT 100";
    ONE = "SELECT user_id, document FROM invoice WHERE id = $1";
    OF_ORDER = "SELECT i.id, i.kind, i.number, i.user_id, u.email, i.order_id, i.currency, i.gross, i.tax, i.document, i.issued_at
        FROM invoice i JOIN users u ON u.id = i.user_id WHERE i.order_id = $1 ORDER BY i.id";
    OF_USER = "SELECT i.id, i.kind, i.number, i.user_id, u.email, i.order_id, i.currency, i.gross, i.tax, i.document, i.issued_at
        FROM invoice i JOIN users u ON u.id = i.user_id WHERE i.user_id = $1 AND i.id < $2 ORDER BY i.id DESC LIMIT $3";
    LIST = "SELECT i.id, i.kind, i.number, i.user_id, u.email, i.order_id, i.currency, i.gross, i.tax, i.document, i.issued_at
        FROM invoice i JOIN users u ON u.id = i.user_id
        WHERE i.id < $1 AND (i.kind = $2 OR $2 = '') AND i.search LIKE $3 ESCAPE '\\' AND i.issued_at >= $4 AND i.issued_at < $5 ORDER BY i.id DESC LIMIT $6";
}

fn unreadable(error: impl std::fmt::Display) -> sqlx::Error {
    sqlx::Error::Decode(error.to_string().into())
}

fn read(text: &str) -> Result<Document, sqlx::Error> {
    Document::read(text).map_err(unreadable)
}

/// What is in force; as in a new shop when nothing was set.
pub(super) async fn terms(conn: &mut Conn) -> Result<Terms, sqlx::Error> {
    let text: Option<String> = sqlx::query_scalar(TERMS).fetch_optional(conn).await?;
    text.map_or_else(|| Ok(Terms::default()), |text| Terms::read(&text).ok_or_else(|| unreadable("the terms of invoices")))
}

pub(super) async fn insert_terms(conn: &mut Conn, id: Id, terms: &Terms, actor: Id, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT_TERMS).bind(id.0).bind(terms.write()).bind(actor.0).bind(now).execute(conn).await.map(drop)
}

/// The next number of a row of numbers.
pub(super) async fn series(conn: &mut Conn, prefix: &str) -> Result<Option<First>, sqlx::Error> {
    let row: Option<(i64, i64)> = sqlx::query_as(SERIES).bind(prefix.to_owned()).fetch_optional(conn).await?;
    Ok(row.map(|(digits, number)| First { number, digits }))
}

/// Begins a row of numbers, or moves the beginning of one that has none yet; one that has is left as it is.
pub(super) async fn begin_series(conn: &mut Conn, prefix: &str, first: First) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT_SERIES).bind(prefix.to_owned()).bind(first.digits).bind(first.number).execute(&mut *conn).await?;
    sqlx::query(MOVE_SERIES).bind(prefix.to_owned()).bind(first.digits).bind(first.number).execute(conn).await.map(drop)
}

/// Takes the next number.
pub(super) async fn take_number(conn: &mut Conn, prefix: &str) -> Result<First, sqlx::Error> {
    let (number, digits): (i64, i64) = sqlx::query_as(TAKE_NUMBER).bind(prefix.to_owned()).fetch_one(conn).await?;
    Ok(First { number, digits })
}

pub(super) async fn billing(conn: &mut Conn, user: Id) -> Result<Billing, sqlx::Error> {
    let row: Option<(String, String, String)> = sqlx::query_as(BILLING).bind(user.0).fetch_optional(conn).await?;
    Ok(row.map(|(name, address, tax_id)| Billing { name, address, tax_id }).unwrap_or_default())
}

pub(super) async fn put_billing(conn: &mut Conn, user: Id, billing: &Billing, now: i64) -> Result<(), sqlx::Error> {
    let Billing { name, address, tax_id } = billing.clone();
    sqlx::query(PUT_BILLING).bind(user.0).bind(name).bind(address).bind(tax_id).bind(now).execute(conn).await.map(drop)
}

pub(super) async fn email(conn: &mut Conn, user: Id) -> Result<String, sqlx::Error> {
    Ok(sqlx::query_scalar::<Any, String>(EMAIL).bind(user.0).fetch_optional(conn).await?.unwrap_or_default())
}

/// A document's row to be.
pub(super) struct NewRow<'a> {
    pub id: Id,
    pub prefix: &'a str,
    pub n: i64,
    pub user: Id,
    pub cause: &'a str,
    pub about: Option<Id>,
    pub document: &'a Document,
    pub issued_at: i64,
}

pub(super) async fn insert(conn: &mut Conn, new: &NewRow<'_>) -> Result<(), sqlx::Error> {
    let document = new.document;
    let search = [&document.number, &document.buyer.name, &document.buyer.email, &document.buyer.tax_id, &document.order.to_string()];
    sqlx::query(INSERT)
        .bind(new.id.0)
        .bind(document.kind.word())
        .bind(new.prefix.to_owned())
        .bind(new.n)
        .bind(document.number.clone())
        .bind(new.user.0)
        .bind(document.order.0)
        .bind(new.cause.to_owned())
        .bind(new.about.map(|id| id.0))
        .bind(document.currency.code().to_owned())
        .bind(document.gross)
        .bind(document.tax)
        .bind(document.write())
        .bind(search.map(|part| part.to_lowercase()).join("\n"))
        .bind(new.issued_at)
        .execute(conn)
        .await
        .map(drop)
}

pub(super) async fn by_cause(conn: &mut Conn, cause: &str) -> Result<Option<(Id, Document)>, sqlx::Error> {
    let row: Option<(i64, String)> = sqlx::query_as(BY_CAUSE).bind(cause.to_owned()).fetch_optional(conn).await?;
    row.map(|(id, text)| Ok((Id(id), read(&text)?))).transpose()
}

/// What of an order was not given back, and the tax in it.
pub(super) async fn left(conn: &mut Conn, order: Id) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as(LEFT).bind(order.0).fetch_one(conn).await
}

/// What is wrong with the numbers, or with what was given back; a line for each.
pub(super) async fn audit(conn: &mut Conn) -> Result<Vec<String>, sqlx::Error> {
    let gaps: Vec<(String, i64, i64, i64)> = sqlx::query_as(GAPS).fetch_all(&mut *conn).await?;
    let overdrawn: Vec<i64> = sqlx::query_scalar(OVERDRAWN).fetch_all(conn).await?;
    let gap = |(prefix, first, next, count)| format!("invoices: {count} documents have numbers of {prefix:?}, which go from {first} to before {next}");
    let over = |order| format!("invoices: more was given back of order {} than was paid", Id(order));
    Ok(gaps.into_iter().map(gap).chain(overdrawn.into_iter().map(over)).collect())
}

/// A document, and whose it is.
pub(super) async fn one(conn: &mut Conn, id: Id) -> Result<Option<(Id, Document)>, sqlx::Error> {
    let row: Option<(i64, String)> = sqlx::query_as(ONE).bind(id.0).fetch_optional(conn).await?;
    row.map(|(user, text)| Ok((Id(user), read(&text)?))).transpose()
}

fn listed(row: &AnyRow) -> Result<Listed, sqlx::Error> {
    let (kind, currency, document): (String, String, String) = (row.try_get(1)?, row.try_get(6)?, row.try_get(9)?);
    let currency: Currency = currency.parse().map_err(unreadable)?;
    let money = |column| row.try_get(column).map(|minor| Money::new(minor, currency));
    Ok(Listed {
        id: Id(row.try_get(0)?),
        kind: Kind::from_word(&kind).ok_or_else(|| unreadable(format!("invoice {kind:?}")))?,
        number: row.try_get(2)?,
        user: Id(row.try_get(3)?),
        email: row.try_get(4)?,
        order: Id(row.try_get(5)?),
        gross: money(7)?,
        tax: money(8)?,
        document: read(&document)?,
        issued_at: row.try_get(10)?,
    })
}

pub(super) async fn of_order(conn: &mut Conn, order: Id) -> Result<Vec<Listed>, sqlx::Error> {
    sqlx::query(OF_ORDER).bind(order.0).fetch_all(conn).await?.iter().map(listed).collect()
}

pub(super) async fn of_user(conn: &mut Conn, user: Id, before: Id, limit: i64) -> Result<Vec<Listed>, sqlx::Error> {
    sqlx::query(OF_USER).bind(user.0).bind(before.0).bind(limit).fetch_all(conn).await?.iter().map(listed).collect()
}

pub(super) async fn list(conn: &mut Conn, filter: &Filter, before: Id, limit: i64) -> Result<Vec<Listed>, sqlx::Error> {
    let query = sqlx::query(LIST).bind(before.0).bind(filter.kind.map_or("", Kind::word)).bind(db::contains(filter.q.trim()));
    query.bind(filter.from).bind(filter.until).bind(limit).fetch_all(conn).await?.iter().map(listed).collect()
}
