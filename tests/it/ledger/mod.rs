//! The ledger, held to its promises on the engine under test.

mod budgets;
mod corruption;
mod failures;
mod idempotency;
mod memory;
mod model;
mod outage;
mod property;
mod races;
mod recovery;
mod rolls;
mod steps;
mod undo;

use crate::harness::TestDb;
use farebox::db::{Bulk, Db, Part};
use farebox::kernel::{Clock, Id, IdGen, Kit, NEVER, Random, Usd};
use farebox::ledger::{
    Balance, Books, Budgets, Charge, CreditKind, EVERYTHING, Grant, HoldRequest, House, Journal, LedgerError, LostRequest, Meter, NodeRun, Pays, audit,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::task::JoinHandle;

/// 2026-01-01, where the hands of every test's clock stand at first.
pub const START: i64 = 1_767_225_600_000;

/// An entry of the test's journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub id: Id,
    pub recovered: bool,
}

/// How many entries any journal of these tests was told to write: each is a setting of its own.
static TOLD: AtomicUsize = AtomicUsize::new(0);

static WRITE_NOTES: Bulk = Bulk::new(
    "WRITE_NOTES",
    "INSERT INTO setting (name, value, updated_at) SELECT * FROM (VALUES ",
    &["TEXT", "TEXT", "BIGINT"],
    ") AS v WHERE column1 IS NOT NULL",
);

/// A journal among the settings.
#[derive(Clone, Default)]
pub struct Notes(Arc<AtomicUsize>);

impl Notes {
    /// How many entries it was told to write, those included that a broken commit took back.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Journal for Notes {
    type Entry = Note;

    fn write<'a>(&self, entries: &'a [(&'a Note, Charge)]) -> Option<Part<'a>> {
        self.0.fetch_add(entries.len(), Ordering::SeqCst);
        Some(WRITE_NOTES.part(entries, |(note, charge), values| {
            values.bind(format!("note:{}", TOLD.fetch_add(1, Ordering::SeqCst)));
            values.bind(format!("{} {} {} {}", note.id.0, note.recovered, charge.charged.0, charge.absorbed.0)).bind(START);
        }))
    }

    fn recovered(&self, lost: &LostRequest) -> Note {
        Note { id: lost.id, recovered: true }
    }
}

/// A database with a node's writer on it.
pub struct Shop {
    pub test: TestDb,
    pub kit: Kit,
    pub books: Books,
    pub meter: Meter<Notes>,
    pub writer: JoinHandle<()>,
    pub notes: Notes,
    pub run: NodeRun,
}

/// A node's sources on a shared clock.
pub fn kit(clock: &Clock, slot: i64) -> Kit {
    Kit { clock: clock.clone(), ids: IdGen::new(clock.clone(), slot, 0), random: Random::seeded(slot as u64) }
}

impl Shop {
    /// A fresh one, whose clock stands still.
    pub async fn open() -> Self {
        let test = TestDb::new().await;
        let kit = kit(&Clock::manual(START), 1);
        let (notes, run) = (Notes::default(), NodeRun { slot: 1, incarnation: 1 });
        let (meter, writer) = Meter::start(test.db.clone(), kit.clone(), run, notes.clone());
        Self { books: Books::new(kit.clone()), test, kit, meter, writer, notes, run }
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.test.db
    }

    /// A new customer's wallet, with one gift in it unless that is nothing.
    pub async fn customer(&self, gift: Usd) -> Id {
        let user = self.kit.ids.next();
        let mut tx = self.db().write().await.unwrap();
        self.books.open_wallet(&mut tx, user).await.unwrap();
        if gift > Usd::ZERO {
            self.books.grant(&mut tx, self.gift(user, gift)).await.unwrap();
        }
        tx.commit().await.unwrap();
        user
    }

    /// A plain gift under a key of its own.
    pub fn gift(&self, user: Id, amount: Usd) -> Grant {
        Grant {
            user,
            kind: CreditKind::Gift,
            from: House::Promotion,
            amount,
            priority: 100,
            effective_at: 0,
            expires_at: NEVER,
            scope: EVERYTHING,
            reference: "gift".into(),
            idempotency_key: format!("gift:{}", self.kit.ids.next()),
        }
    }

    /// Grants in a transaction of its own.
    pub async fn grant(&self, grant: Grant) -> Result<farebox::ledger::Granted, LedgerError> {
        let mut tx = self.db().write().await?;
        let granted = self.books.grant(&mut tx, grant).await?;
        tx.commit().await?;
        Ok(granted)
    }

    /// Corrects by hand in a transaction of its own.
    pub async fn adjust(&self, user: Id, delta: Usd, key: &str) -> Result<(), LedgerError> {
        let mut tx = self.db().write().await?;
        self.books.adjust(&mut tx, user, delta, "by hand".into(), key.into()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Sets the overdraft limit in a transaction of its own.
    pub async fn allow_debt(&self, user: Id, limit: Usd) {
        let mut tx = self.db().write().await.unwrap();
        self.books.set_overdraft_limit(&mut tx, user, limit).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// What the customer has.
    pub async fn balance(&self, user: Id) -> Balance {
        self.books.balance(&mut self.db().read().await.unwrap(), user).await.unwrap()
    }

    /// A request for a hold with a key that has no budget.
    pub fn ask(&self, user: Id, full: Usd) -> HoldRequest {
        let id = self.kit.ids.next();
        HoldRequest {
            id,
            user,
            key: Id(user.0 + 1),
            key_budget: Budgets::default(),
            user_budget: Budgets::default(),
            full,
            floor: Usd(1),
            pays: Pays::default(),
            checkpoint: Usd::ZERO,
            memo: String::new(),
        }
    }

    /// An entry about a request.
    pub fn note(&self, id: Id) -> Option<Note> {
        Some(Note { id, recovered: false })
    }

    /// The entries that were written about one request.
    pub async fn notes_of(&self, id: Id) -> Vec<(Note, Charge)> {
        let query = sqlx::query_scalar::<sqlx::Any, String>("SELECT value FROM setting WHERE name LIKE 'note:%' AND value LIKE $1").bind(format!("{} %", id.0));
        let rows = query.fetch_all(&mut *self.db().read().await.unwrap()).await.unwrap();
        let read = |row: &String| {
            let [_, recovered, charged, absorbed] = row.split(' ').collect::<Vec<_>>().try_into().unwrap();
            let usd = |text: &str| Usd(text.parse().unwrap());
            (Note { id, recovered: recovered == "true" }, Charge { charged: usd(charged), absorbed: usd(absorbed) })
        };
        rows.iter().map(read).collect()
    }

    /// Waits until the writer has done everything that was queued before, and what that left to release.
    pub async fn settled(&self) {
        for _ in 0..2 {
            self.meter.note(Note { id: Id(0), recovered: false }).await.unwrap();
        }
    }

    /// (spent, held, requests) of a key.
    pub async fn key(&self, key: Id) -> (i64, i64, i64) {
        let mut conn = self.db().read().await.unwrap();
        let query = sqlx::query_as::<sqlx::Any, (i64, i64, i64)>("SELECT spent, held, requests FROM key_meter WHERE key_id = $1").bind(key.0);
        query.fetch_optional(&mut *conn).await.unwrap().unwrap_or_default()
    }

    /// One number that a query finds.
    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar::<sqlx::Any, i64>(sql).fetch_one(&mut *self.db().read().await.unwrap()).await.unwrap()
    }

    /// Proves the books.
    pub async fn must_be_clean(&self) {
        let report = audit(self.db()).await.unwrap();
        assert!(report.is_clean(), "{:#?}", report.findings);
    }
}
