//! The ledger's SQL.

use super::accounts::Transfer;
use super::batch::Meter;
use super::budget::{Count, Period, Spending};
use super::spend::{Bucket, CreditKind, Leg, read_legs, write_legs};
use crate::db::{Answer, Bulk, Conn, Part, Record, Tx, Values, flag};
use crate::kernel::{Id, NEVER, Usd, clock::DAY_MS};
use crate::statements;
use sqlx::{Any, Row, any::AnyRow};

statements! {
    OPEN_WALLET = "INSERT INTO wallet (user_id, version, owed, overdraft_limit, created_at) VALUES ($1, 0, 0, 0, $2) ON CONFLICT (user_id) DO NOTHING";
    LOCK_WALLET = "UPDATE wallet SET version = version + 1 WHERE user_id = $1 RETURNING owed, overdraft_limit, spent, day, day_start, week, week_start, month, month_start, counted_from";
    READ_OWED = "SELECT owed FROM wallet WHERE user_id = $1";
    READ_SPENDING = "SELECT spent, day, day_start, week, week_start, month, month_start FROM wallet WHERE user_id = $1";
    READ_METER = "SELECT held, spent, day, day_start, week, week_start, month, month_start FROM key_meter WHERE key_id = $1";
    SET_OWED = "UPDATE wallet SET owed = $2 WHERE user_id = $1";
    SET_OVERDRAFT_LIMIT = "UPDATE wallet SET overdraft_limit = $2 WHERE user_id = $1";
    CREDITS_OF = "SELECT id, kind, posted, held, priority, effective_at, expires_at, scope, granted, reference, created_at, frozen_from, frozen_at FROM credit WHERE user_id = $1 AND live = 1";
    CREDIT_BY_ID = "SELECT id, kind, posted, held, priority, effective_at, expires_at, scope, granted, reference, created_at, frozen_from, frozen_at FROM credit WHERE id = $1";
    CREDIT_OF = "SELECT id, kind, posted, held, priority, effective_at, expires_at, scope, granted, reference, created_at, frozen_from, frozen_at FROM credit WHERE id = $1 AND user_id = $2";
    INSERT_CREDIT = "INSERT INTO credit (id, user_id, kind, granted, posted, held, priority, effective_at, expires_at, reference, created_at, live, scope) VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $8, $9, $10, $11, $12)";
    FREEZE = "UPDATE credit SET frozen_from = effective_at, frozen_at = $2, effective_at = $3 WHERE id = $1 AND frozen_at IS NULL";
    THAW = "UPDATE credit SET effective_at = frozen_from, expires_at = $2, frozen_from = NULL, frozen_at = NULL WHERE id = $1 AND frozen_at IS NOT NULL";
    SET_EXPIRY = "UPDATE credit SET expires_at = $2 WHERE id = $1";
    EXPIRED_OWNERS = "SELECT DISTINCT user_id FROM credit WHERE expires_at <= $1 AND live = 1 AND held < posted AND frozen_at IS NULL ORDER BY user_id LIMIT $2";
    TRANSFER_BY_KEY = "SELECT debit, credit, amount, payload_hash FROM transfer WHERE idempotency_key = $1";
    STATEMENT = "SELECT id, debit, credit, amount, kind, reference, at FROM transfer WHERE user_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
    HOLD_BY_ID = "SELECT id, user_id, key_id, amount, checkpoint, legs, memo, created_at FROM hold WHERE id = $1";
    PAID_FOR = "SELECT kind, debit, amount, at FROM transfer WHERE user_id = $1 AND id > $2 AND reference = $3 AND kind IN ('capture', 'overage', 'overdraft', 'absorbed', 'correction', 'recouped') ORDER BY id";
    CORRECT_HOLD = "UPDATE hold SET state = 'corrected' WHERE id = $1 AND state = 'recovered'";
    OPEN_HOLDS_OF_NODE = "SELECT id, user_id, key_id, amount, checkpoint, legs, memo, created_at FROM hold WHERE node = $1 AND incarnation = $2 AND state = 'open' AND id > $3 ORDER BY id LIMIT $4";
    NODES_WITH_OPEN_HOLDS = "SELECT DISTINCT node, incarnation FROM hold WHERE state = 'open'";
    AUDIT_TRANSFERS = "SELECT id, debit, credit, amount, kind, user_id, reference, payload_hash, at FROM transfer WHERE id > $1 ORDER BY id LIMIT $2";
    AUDIT_CREDITS = "SELECT id, user_id, granted, posted, held, live FROM credit WHERE id > $1 ORDER BY id LIMIT $2";
    AUDIT_WALLETS = "SELECT user_id, owed, overdraft_limit, spent, day, day_start, week, week_start, month, month_start, counted_from FROM wallet WHERE user_id > $1 ORDER BY user_id LIMIT $2";
    AUDIT_OPEN_HOLDS = "SELECT id, key_id, amount, legs FROM hold WHERE state = 'open' AND id > $1 ORDER BY id LIMIT $2";
    AUDIT_ENDED_HOLDS = "SELECT id, user_id, key_id, amount, captured, released FROM hold WHERE state <> 'open' AND id > $1 ORDER BY id LIMIT $2";
    AUDIT_METERS = "SELECT key_id, held, requests, counted_from, spent, day, day_start, week, week_start, month, month_start FROM key_meter WHERE key_id > $1 ORDER BY key_id LIMIT $2";
}

static LOCK_WALLETS: Bulk = Bulk::locking(
    "LOCK_WALLETS",
    "user_id, owed, overdraft_limit, spent, day, day_start, week, week_start, month, month_start, counted_from",
    "FROM wallet WHERE user_id IN (VALUES ",
);

static READ_CREDITS: Bulk = Bulk::reading(
    "READ_CREDITS",
    "user_id, id, kind, posted, held, priority, effective_at, expires_at, scope",
    "FROM credit WHERE live = 1 AND user_id IN (VALUES ",
);

static READ_METERS: Bulk = Bulk::reading(
    "READ_METERS",
    "key_id, held, requests, counted_from, spent, day, day_start, week, week_start, month, month_start",
    "FROM key_meter WHERE key_id IN (VALUES ",
);

static INSERT_TRANSFERS: Bulk = Bulk::new(
    "INSERT_TRANSFERS",
    "INSERT INTO transfer (id, debit, credit, amount, kind, user_id, reference, idempotency_key, payload_hash, at) SELECT * FROM (VALUES ",
    &["BIGINT", "BIGINT", "BIGINT", "BIGINT", "TEXT", "BIGINT", "TEXT", "TEXT", "BIGINT", "BIGINT"],
    ") AS v WHERE column1 IS NOT NULL",
);

static INSERT_HOLDS: Bulk = Bulk::new(
    "INSERT_HOLDS",
    "INSERT INTO hold (id, user_id, key_id, node, incarnation, amount, checkpoint, legs, memo, created_at, state, captured, released) \
     SELECT column1, column2, column3, column4, column5, column6, column7, column8, column9, column10, 'open', 0, 0 FROM (VALUES ",
    &["BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "TEXT", "TEXT", "BIGINT"],
    ") AS v WHERE column1 IS NOT NULL",
);

static END_OPEN_HOLDS: Bulk = Bulk::new(
    "END_OPEN_HOLDS",
    "UPDATE hold SET state = v.column2, captured = v.column3, released = v.column4, ended_at = v.column5 FROM (VALUES ",
    &["BIGINT", "TEXT", "BIGINT", "BIGINT", "BIGINT"],
    ") AS v WHERE hold.id = v.column1 AND hold.state = 'open'",
);

static END_HOLDS: Bulk = Bulk::new(
    "END_HOLDS",
    "UPDATE hold SET state = v.column2, captured = v.column3, released = v.column4, ended_at = v.column5 FROM (VALUES ",
    &["BIGINT", "TEXT", "BIGINT", "BIGINT", "BIGINT"],
    ") AS v WHERE hold.id = v.column1 AND hold.state = 'open' RETURNING hold.id",
);

static CHECKPOINT_HOLDS: Bulk = Bulk::new(
    "CHECKPOINT_HOLDS",
    "UPDATE hold SET checkpoint = v.column2 FROM (VALUES ",
    &["BIGINT", "BIGINT"],
    ") AS v WHERE hold.id = v.column1 AND hold.state = 'open' AND hold.checkpoint < v.column2",
);

static SET_CREDITS: Bulk = Bulk::new(
    "SET_CREDITS",
    "UPDATE credit SET posted = v.column2, held = v.column3 FROM (VALUES ",
    &["BIGINT", "BIGINT", "BIGINT"],
    ") AS v WHERE credit.id = v.column1",
);

static SET_LIVE: Bulk = Bulk::new("SET_LIVE", "UPDATE credit SET live = v.column2 FROM (VALUES ", &["BIGINT", "BIGINT"], ") AS v WHERE credit.id = v.column1");

static SET_METERS: Bulk = Bulk::new(
    "SET_METERS",
    "UPDATE key_meter SET spent = v.column2, held = v.column3, requests = v.column4, last_used_at = v.column5 FROM (VALUES ",
    &["BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT"],
    ") AS v WHERE key_meter.key_id = v.column1",
);

static OPEN_METERS: Bulk = Bulk::new(
    "OPEN_METERS",
    "INSERT INTO key_meter (key_id, spent, held, requests, last_used_at, day, day_start, week, week_start, month, month_start) SELECT * FROM (VALUES ",
    &["BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT"],
    ") AS v WHERE column1 IS NOT NULL ON CONFLICT (key_id) DO UPDATE SET spent = excluded.spent, held = excluded.held, requests = excluded.requests, \
     last_used_at = excluded.last_used_at, day = excluded.day, day_start = excluded.day_start, week = excluded.week, week_start = excluded.week_start, \
     month = excluded.month, month_start = excluded.month_start",
);

static SET_WALLETS: Bulk = Bulk::new(
    "SET_WALLETS",
    "UPDATE wallet SET owed = v.column2, spent = v.column3 FROM (VALUES ",
    &["BIGINT", "BIGINT", "BIGINT"],
    ") AS v WHERE wallet.user_id = v.column1",
);

static SET_PERIODS: Bulk = Bulk::new(
    "SET_PERIODS",
    "UPDATE wallet SET day = v.column2, day_start = v.column3, week = v.column4, week_start = v.column5, month = v.column6, \
     month_start = v.column7 FROM (VALUES ",
    &["BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT"],
    ") AS v WHERE wallet.user_id = v.column1",
);

/// Every multi-row statement of this store.
pub const BULK: &[&Bulk] = &[
    &LOCK_WALLETS,
    &READ_CREDITS,
    &READ_METERS,
    &INSERT_TRANSFERS,
    &INSERT_HOLDS,
    &END_OPEN_HOLDS,
    &END_HOLDS,
    &CHECKPOINT_HOLDS,
    &SET_CREDITS,
    &SET_LIVE,
    &SET_METERS,
    &OPEN_METERS,
    &SET_WALLETS,
    &SET_PERIODS,
];

/// A wallet's own row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalletRow {
    /// What the customer owes.
    pub owed: Usd,
    /// How much the customer may owe.
    pub overdraft_limit: Usd,
    /// What all keys have spent.
    pub(super) spending: Spending,
    /// The unix millisecond from which charges count in the periods.
    pub(super) counted_from: i64,
}

/// A key's meter.
#[derive(Clone, Copy, Debug)]
pub(super) struct MeterRow {
    pub(super) key: Id,
    pub(super) held: Usd,
    /// How many requests have ended.
    pub(super) requests: i64,
    /// The unix millisecond from which charges count in the periods.
    pub(super) counted_from: i64,
    pub(super) spending: Spending,
}

impl MeterRow {
    /// Of a key that was never used.
    pub(super) fn new(key: Id) -> Self {
        Self { key, held: Usd::ZERO, requests: 0, counted_from: 0, spending: Spending::default() }
    }

    /// Whether money moved, or a request ended, to come from this to `now`.
    pub(super) fn has_moved(&self, now: &Self) -> bool {
        (self.held, self.requests, self.spending.spent) != (now.held, now.requests, now.spending.spent)
    }

    /// Whether the same periods run, and began with the same.
    pub(super) fn same_periods(&self, now: &Self) -> bool {
        Period::ALL.into_iter().all(|period| self.spending.count(period) == now.spending.count(period))
    }
}

/// A hold's row.
#[derive(Clone, Debug)]
pub struct HoldRow {
    /// The hold's and the request's id.
    pub id: Id,
    /// The customer.
    pub user: Id,
    /// The key that the request came with.
    pub key: Id,
    /// What is held.
    pub amount: Usd,
    /// What the request had certainly cost when that was last written.
    pub checkpoint: Usd,
    /// Where the money is held, in spend order.
    pub legs: Vec<Leg>,
    /// What the journal needs to describe the request.
    pub memo: String,
    /// Unix milliseconds.
    pub created_at: i64,
}

/// A credit's row, with what only people read.
#[derive(Clone, Debug)]
pub struct CreditRow {
    /// What the spender sees.
    pub bucket: Bucket,
    /// What it was worth at first.
    pub granted: Usd,
    /// What it is for.
    pub reference: String,
    /// Unix milliseconds.
    pub created_at: i64,
    /// It pays for nothing until it is thawed.
    pub frozen: Option<Frozen>,
}

/// Since when a credit is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// The unix millisecond from which it was effective.
    pub from: i64,
    /// When it was frozen, in unix milliseconds.
    pub at: i64,
}

/// A transfer's row as a statement shows it.
#[derive(Clone, Debug)]
pub struct TransferRow {
    /// The row's id.
    pub id: Id,
    /// The number of the debited account.
    pub debit: i64,
    /// The number of the credited account.
    pub credit: i64,
    /// What moved.
    pub amount: Usd,
    /// Why, in the database's word.
    pub kind: String,
    /// What for.
    pub reference: String,
    /// Unix milliseconds.
    pub at: i64,
}

pub(super) async fn open_wallet(conn: &mut Conn, user: Id, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query(OPEN_WALLET).bind(user.0).bind(now).execute(conn).await.map(drop)
}

/// What was spent, from the next seven columns.
fn spending(record: &mut Record<'_>) -> Result<Spending, sqlx::Error> {
    let spent = Usd(record.number()?);
    let mut count = || Ok::<Count, sqlx::Error>(Count { number: record.number()?, start: Usd(record.number()?) });
    Ok(Spending { spent, day: count()?, week: count()?, month: count()? })
}

/// A wallet, from the next ten columns.
fn wallet_row(record: &mut Record<'_>) -> Result<WalletRow, sqlx::Error> {
    let (owed, overdraft_limit) = (Usd(record.number()?), Usd(record.number()?));
    Ok(WalletRow { owed, overdraft_limit, spending: spending(record)?, counted_from: record.number()? })
}

/// Takes the wallet's lock for the rest of the transaction.
pub(super) async fn lock_wallet(conn: &mut Conn, user: Id) -> Result<Option<WalletRow>, sqlx::Error> {
    sqlx::query(LOCK_WALLET).bind(user.0).fetch_optional(conn).await?.as_ref().map(|row| wallet_row(&mut Record::of(row))).transpose()
}

/// What the customer owes; none without a wallet.
pub(super) async fn read_owed(conn: &mut Conn, user: Id) -> Result<Option<Usd>, sqlx::Error> {
    Ok(sqlx::query_scalar::<Any, i64>(READ_OWED).bind(user.0).fetch_optional(conn).await?.map(Usd))
}

/// What all keys of a customer have spent; nothing without a wallet.
pub(super) async fn read_spending(conn: &mut Conn, user: Id) -> Result<Spending, sqlx::Error> {
    let row = sqlx::query(READ_SPENDING).bind(user.0).fetch_optional(conn).await?;
    row.map_or(Ok(Spending::default()), |row| spending(&mut Record::of(&row)))
}

/// What a key holds and has spent; nothing when it was never used.
pub(super) async fn read_meter(conn: &mut Conn, key: Id) -> Result<(Usd, Spending), sqlx::Error> {
    let Some(row) = sqlx::query(READ_METER).bind(key.0).fetch_optional(conn).await? else { return Ok(Default::default()) };
    let mut record = Record::of(&row);
    Ok((Usd(record.number()?), spending(&mut record)?))
}

pub(super) async fn set_owed(conn: &mut Conn, user: Id, owed: Usd) -> Result<(), sqlx::Error> {
    sqlx::query(SET_OWED).bind(user.0).bind(owed.0).execute(conn).await.map(drop)
}

/// Locks the wallets for the rest of the transaction; [`wallet_of`] reads the records.
pub(super) fn lock_wallets(users: &[Id]) -> Part<'_> {
    LOCK_WALLETS.part(users, bind_id)
}

pub(super) fn wallet_of(mut record: Record<'_>) -> Result<(Id, WalletRow), sqlx::Error> {
    Ok((Id(record.number()?), wallet_row(&mut record)?))
}

/// The credits that have something left, in no order; [`bucket_of`] reads the records.
pub(super) fn read_credits(users: &[Id]) -> Part<'_> {
    READ_CREDITS.part(users, bind_id)
}

pub(super) fn bucket_of(mut record: Record<'_>) -> Result<(Id, Bucket), sqlx::Error> {
    Ok((Id(record.number()?), bucket(&mut record)?))
}

/// The meters of keys that were used before; [`meter_of`] reads the records.
pub(super) fn read_meters(keys: &[Id]) -> Part<'_> {
    READ_METERS.part(keys, bind_id)
}

fn bind_id(id: &Id, values: &mut Values) {
    values.bind(id.0);
}

/// Writes what is owed and what was spent in all.
pub(super) fn set_wallets(wallets: &[(Id, WalletRow)]) -> Part<'_> {
    SET_WALLETS.part(wallets, |(user, row), values| {
        values.bind(user.0).bind(row.owed.0).bind(row.spending.spent.0);
    })
}

/// Writes the periods of wallets in which a new one has begun.
pub(super) fn set_periods(wallets: &[(Id, WalletRow)]) -> Part<'_> {
    SET_PERIODS.part(wallets, |(user, row), values| {
        values.bind(user.0);
        bind_periods(&row.spending, values);
    })
}

fn bind_periods(spending: &Spending, values: &mut Values) {
    for period in Period::ALL {
        let count = spending.count(period);
        values.bind(count.number).bind(count.start.0);
    }
}

pub(super) async fn set_overdraft_limit(conn: &mut Conn, user: Id, limit: Usd) -> Result<(), sqlx::Error> {
    sqlx::query(SET_OVERDRAFT_LIMIT).bind(user.0).bind(limit.0).execute(conn).await.map(drop)
}

/// A credit as the spender sees it, from the next eight columns.
fn bucket(record: &mut Record<'_>) -> Result<Bucket, sqlx::Error> {
    Ok(Bucket {
        id: Id(record.number()?),
        kind: CreditKind::from_word(record.word()?),
        posted: Usd(record.number()?),
        held: Usd(record.number()?),
        priority: record.number()?,
        effective_at: record.number()?,
        expires_at: record.number()?,
        scope: Id(record.number()?),
    })
}

fn credit_row(row: &AnyRow) -> Result<CreditRow, sqlx::Error> {
    let frozen = row.try_get::<Option<i64>, _>(11)?.zip(row.try_get(12)?).map(|(from, at)| Frozen { from, at });
    Ok(CreditRow { bucket: bucket(&mut Record::of(row))?, granted: Usd(row.try_get(8)?), reference: row.try_get(9)?, created_at: row.try_get(10)?, frozen })
}

/// The credits that have something left, in no order.
pub(super) async fn credits_of(conn: &mut Conn, user: Id) -> Result<Vec<CreditRow>, sqlx::Error> {
    sqlx::query(CREDITS_OF).bind(user.0).fetch_all(conn).await?.iter().map(credit_row).collect()
}

pub(super) async fn credit_by_id(conn: &mut Conn, id: Id) -> Result<Option<CreditRow>, sqlx::Error> {
    sqlx::query(CREDIT_BY_ID).bind(id.0).fetch_optional(conn).await?.as_ref().map(credit_row).transpose()
}

pub(super) async fn credit_of(conn: &mut Conn, user: Id, id: Id) -> Result<Option<CreditRow>, sqlx::Error> {
    sqlx::query(CREDIT_OF).bind(id.0).bind(user.0).fetch_optional(conn).await?.as_ref().map(credit_row).transpose()
}

pub(super) async fn insert_credit(conn: &mut Conn, user: Id, bucket: &Bucket, granted: Usd, reference: &str, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT_CREDIT)
        .bind(bucket.id.0)
        .bind(user.0)
        .bind(bucket.kind.word())
        .bind(granted.0)
        .bind(bucket.posted.0)
        .bind(bucket.priority)
        .bind(bucket.effective_at)
        .bind(bucket.expires_at)
        .bind(reference.to_owned())
        .bind(now)
        .bind(flag(bucket.posted > Usd::ZERO))
        .bind(bucket.scope.0)
        .execute(conn)
        .await
        .map(drop)
}

/// Makes a credit not effective until it is thawed. Whether it was.
pub(super) async fn freeze(conn: &mut Conn, credit: Id, now: i64) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(FREEZE).bind(credit.0).bind(now).bind(NEVER).execute(conn).await?.rows_affected() == 1)
}

/// Makes a frozen credit effective again, until `expires_at`.
pub(super) async fn thaw(conn: &mut Conn, credit: Id, expires_at: i64) -> Result<(), sqlx::Error> {
    sqlx::query(THAW).bind(credit.0).bind(expires_at).execute(conn).await.map(drop)
}

pub(super) async fn set_expiry(conn: &mut Conn, credit: Id, expires_at: i64) -> Result<(), sqlx::Error> {
    sqlx::query(SET_EXPIRY).bind(credit.0).bind(expires_at).execute(conn).await.map(drop)
}

pub(super) async fn expired_owners(conn: &mut Conn, now: i64, limit: i64) -> Result<Vec<Id>, sqlx::Error> {
    let rows: Vec<(i64,)> = sqlx::query_as::<Any, _>(EXPIRED_OWNERS).bind(now).bind(limit).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(user,)| Id(user)).collect())
}

/// What a transfer with a known key posted.
pub(super) struct Posted {
    pub(super) debit: i64,
    pub(super) credit: i64,
    pub(super) amount: Usd,
    pub(super) payload_hash: i64,
}

/// The transfer that used this key, if any did.
pub(super) async fn transfer_by_key(conn: &mut Conn, key: &str) -> Result<Option<Posted>, sqlx::Error> {
    let row: Option<(i64, i64, i64, i64)> = sqlx::query_as::<Any, _>(TRANSFER_BY_KEY).bind(key.to_owned()).fetch_optional(conn).await?;
    Ok(row.map(|(debit, credit, amount, payload_hash)| Posted { debit, credit, amount: Usd(amount), payload_hash }))
}

pub(super) fn insert_transfers(transfers: &[Transfer]) -> Part<'_> {
    INSERT_TRANSFERS.part(transfers, |t, values| {
        values.bind(t.id.0).bind(t.debit.number()).bind(t.credit.number()).bind(t.amount.0).bind(t.kind.word()).bind(t.user.0);
        values.bind(t.reference.as_str()).bind(t.idempotency_key.as_str()).bind(t.payload_hash()).bind(t.at);
    })
}

/// Reads the columns of [`STATEMENT`], in its order.
pub(super) fn transfer_row(row: &AnyRow) -> Result<TransferRow, sqlx::Error> {
    Ok(TransferRow {
        id: Id(row.try_get(0)?),
        debit: row.try_get(1)?,
        credit: row.try_get(2)?,
        amount: Usd(row.try_get(3)?),
        kind: row.try_get(4)?,
        reference: row.try_get(5)?,
        at: row.try_get(6)?,
    })
}

pub(super) async fn statement(conn: &mut Conn, user: Id, before: Id, limit: i64) -> Result<Vec<TransferRow>, sqlx::Error> {
    let rows = sqlx::query(STATEMENT).bind(user.0).bind(before.0).bind(limit).fetch_all(conn).await?;
    rows.iter().map(transfer_row).collect()
}

/// A hold to be inserted.
pub(super) struct NewHold {
    pub(super) id: Id,
    pub(super) user: Id,
    pub(super) key: Id,
    pub(super) node: i64,
    pub(super) incarnation: i64,
    pub(super) amount: Usd,
    pub(super) checkpoint: Usd,
    pub(super) legs: Vec<Leg>,
    pub(super) memo: String,
    pub(super) created_at: i64,
}

pub(super) fn insert_holds(holds: &[NewHold]) -> Part<'_> {
    INSERT_HOLDS.part(holds, |h, values| {
        values.bind(h.id.0).bind(h.user.0).bind(h.key.0).bind(h.node).bind(h.incarnation).bind(h.amount.0).bind(h.checkpoint.0);
        values.bind(write_legs(&h.legs)).bind(h.memo.as_str()).bind(h.created_at);
    })
}

/// How a hold ends.
pub(super) struct HoldEnd {
    pub(super) id: Id,
    pub(super) state: &'static str,
    pub(super) captured: Usd,
    pub(super) released: Usd,
}

/// Ends the holds that are still open: the compare-and-set that makes a hold end once. How many it changed says whether all were.
pub(super) fn end_open_holds(ends: &[HoldEnd], now: i64) -> Part<'_> {
    END_OPEN_HOLDS.part(ends, move |end, values| bind_end(end, now, values))
}

/// As [`end_open_holds`], and returns which they were.
pub(super) async fn end_holds(conn: &mut Tx, ends: &[HoldEnd], now: i64) -> Result<Vec<Id>, sqlx::Error> {
    let ended = conn.run(&[END_HOLDS.part(ends, move |end, values| bind_end(end, now, values))]).await?;
    ended.iter().flat_map(Answer::records).map(|mut record| Ok(Id(record.number()?))).collect()
}

fn bind_end(end: &HoldEnd, now: i64, values: &mut Values) {
    values.bind(end.id.0).bind(end.state).bind(end.captured.0).bind(end.released.0).bind(now);
}

pub(super) fn checkpoint_holds(checkpoints: &[(Id, Usd)]) -> Part<'_> {
    CHECKPOINT_HOLDS.part(checkpoints, |(id, amount), values| {
        values.bind(id.0).bind(amount.0);
    })
}

pub(super) fn set_credits<'a>(buckets: &'a [&'a Bucket]) -> Part<'a> {
    SET_CREDITS.part(buckets, |bucket, values| {
        values.bind(bucket.id.0).bind(bucket.posted.0).bind(bucket.held.0);
    })
}

/// Says of credits whether something is left of them: of each that is empty now, or was.
pub(super) fn set_live<'a>(buckets: &'a [&'a Bucket]) -> Part<'a> {
    SET_LIVE.part(buckets, |bucket, values| {
        values.bind(bucket.id.0).bind(flag(bucket.posted > Usd::ZERO));
    })
}

/// Writes meters whose periods are as they were.
pub(super) fn set_meters<'a>(meters: &'a [&'a Meter], now: i64) -> Part<'a> {
    SET_METERS.part(meters, move |meter, values| bind_meter(&meter.row, now, values))
}

/// Writes meters of keys that were never used, or in which a new period has begun.
pub(super) fn open_meters<'a>(meters: &'a [&'a Meter], now: i64) -> Part<'a> {
    OPEN_METERS.part(meters, move |meter, values| {
        bind_meter(&meter.row, now, values);
        bind_periods(&meter.row.spending, values);
    })
}

fn bind_meter(row: &MeterRow, now: i64, values: &mut Values) {
    values.bind(row.key.0).bind(row.spending.spent.0).bind(row.held.0).bind(row.requests).bind(now);
}

pub(super) fn meter_of(mut record: Record<'_>) -> Result<MeterRow, sqlx::Error> {
    let (key, held) = (Id(record.number()?), Usd(record.number()?));
    Ok(MeterRow { key, held, requests: record.number()?, counted_from: record.number()?, spending: spending(&mut record)? })
}

fn hold_row(row: &AnyRow) -> Result<HoldRow, sqlx::Error> {
    let legs: String = row.try_get(5)?;
    let legs = read_legs(&legs).ok_or_else(|| sqlx::Error::Decode(format!("the legs of a hold are malformed: {legs}").into()))?;
    Ok(HoldRow {
        id: Id(row.try_get(0)?),
        user: Id(row.try_get(1)?),
        key: Id(row.try_get(2)?),
        amount: Usd(row.try_get(3)?),
        checkpoint: Usd(row.try_get(4)?),
        legs,
        memo: row.try_get(6)?,
        created_at: row.try_get(7)?,
    })
}

pub(super) async fn hold_by_id(conn: &mut Conn, id: Id) -> Result<Option<HoldRow>, sqlx::Error> {
    sqlx::query(HOLD_BY_ID).bind(id.0).fetch_optional(conn).await?.as_ref().map(hold_row).transpose()
}

/// The postings of a request in their order: kind, debited account, amount, time. The bound by id spares the customer's older rows; the
/// day before the hold is for a node whose clock is behind.
pub(super) async fn paid_for(conn: &mut Conn, user: Id, hold: Id) -> Result<Vec<(String, i64, Usd, i64)>, sqlx::Error> {
    let first = Id::first_at(hold.made_at_ms() - DAY_MS);
    let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as::<Any, _>(PAID_FOR).bind(user.0).bind(first.0).bind(hold.to_string()).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(kind, debit, amount, at)| (kind, debit, Usd(amount), at)).collect())
}

/// Marks a recovered hold as settled by its own node after all. Says whether it was this call that did.
pub(super) async fn correct_hold(conn: &mut Conn, id: Id) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(CORRECT_HOLD).bind(id.0).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn open_holds_of_node(conn: &mut Conn, node: i64, incarnation: i64, after: Id, limit: i64) -> Result<Vec<HoldRow>, sqlx::Error> {
    let query = sqlx::query(OPEN_HOLDS_OF_NODE).bind(node).bind(incarnation).bind(after.0).bind(limit);
    query.fetch_all(conn).await?.iter().map(hold_row).collect()
}

/// (slot, incarnation) of every node run that has open holds.
pub(super) async fn nodes_with_open_holds(conn: &mut Conn) -> Result<Vec<(i64, i64)>, sqlx::Error> {
    sqlx::query_as::<Any, _>(NODES_WITH_OPEN_HOLDS).fetch_all(conn).await
}

/// One page of rows of an audit statement.
pub(super) async fn audit_page(conn: &mut Conn, statement: &'static str, after: i64, limit: i64) -> Result<Vec<AnyRow>, sqlx::Error> {
    sqlx::query(statement).bind(after).bind(limit).fetch_all(conn).await
}

/// The statements that the audit pages through.
pub(super) mod pages {
    pub(in crate::ledger) const TRANSFERS: &str = super::AUDIT_TRANSFERS;
    pub(in crate::ledger) const CREDITS: &str = super::AUDIT_CREDITS;
    pub(in crate::ledger) const WALLETS: &str = super::AUDIT_WALLETS;
    pub(in crate::ledger) const OPEN_HOLDS: &str = super::AUDIT_OPEN_HOLDS;
    pub(in crate::ledger) const ENDED_HOLDS: &str = super::AUDIT_ENDED_HOLDS;
    pub(in crate::ledger) const METERS: &str = super::AUDIT_METERS;
}
