//! Postings outside a request: wallets, grants, expiry, and what a wallet consists of; what is taken out of a wallet (`take`), what goes back to a payer or
//! is frozen (`undo`), and what moves between the shop's own accounts (`house`). Each runs in the
//! caller's transaction, so that a gift card is marked and credited together or not at all.

mod house;
mod take;
mod undo;

use super::LedgerError;
use super::accounts::{Account, House, Transfer, TransferKind};
use super::budget::{Budgets, Numbers, Spending, Whose};
use super::spend::{self, Bucket, CreditKind, EVERYTHING};
use super::store::{self, CreditRow, TransferRow, WalletRow};
use crate::db::{Conn, Db, Tx};
use crate::kernel::{Id, Kit, Usd};

pub use house::{NOBODY, Posting};
pub use take::Take;
pub use undo::{Spent, TakeBack, TakenBack};

/// A credit to be given.
#[derive(Clone, Debug)]
pub struct Grant {
    /// To whom.
    pub user: Id,
    /// Where it comes from, for the spend order.
    pub kind: CreditKind,
    /// The house account that is debited.
    pub from: House,
    /// More than zero.
    pub amount: Usd,
    /// Lower is spent first; 100 is usual.
    pub priority: i64,
    /// Not spendable before this unix millisecond.
    pub effective_at: i64,
    /// Expires at this unix millisecond, or [`NEVER`](crate::kernel::NEVER).
    pub expires_at: i64,
    /// What it pays for: [`EVERYTHING`], or what one subscription to a plan covers.
    pub scope: Id,
    /// What a statement says of it.
    pub reference: String,
    /// What the credit is for, never the message that told of it: a payment's id, a card's id.
    pub idempotency_key: String,
}

/// A credit that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The credit's id.
    pub credit_id: Id,
    /// The same grant had been made before; nothing changed.
    pub replayed: bool,
}

/// What a wallet consists of.
#[derive(Clone, Debug)]
pub struct Balance {
    /// What a new request can take, whatever its model.
    pub available: Usd,
    /// What requests that a plan covers can take besides.
    pub in_plans: Usd,
    /// What in-flight requests hold.
    pub held: Usd,
    /// What the customer owes.
    pub owed: Usd,
    /// The credits that have something left, in spend order.
    pub credits: Vec<CreditRow>,
}

/// The most that one wallet can have: no sum of its credits overflows.
const MAX_WALLET: Usd = Usd(i64::MAX / 2);

/// How many wallets one sweep of [`Books::expire`] visits at a time.
const SWEEP: i64 = 200;

/// The books, for those who post in their own transaction.
#[derive(Clone, Debug)]
pub struct Books {
    kit: Kit,
}

impl Books {
    /// Books that take time and ids from `kit`.
    pub fn new(kit: Kit) -> Self {
        Self { kit }
    }

    /// Gives the customer an empty wallet. Idempotent.
    ///
    /// # Errors
    /// The database's.
    pub async fn open_wallet(&self, tx: &mut Tx, user: Id) -> Result<(), LedgerError> {
        Ok(store::open_wallet(tx, user, self.kit.clock.now_ms()).await?)
    }

    /// Gives a credit, once per idempotency key. Debt is paid out of it first.
    ///
    /// # Errors
    /// [`LedgerError::IdempotencyConflict`] when the key was used for another amount, customer or source.
    pub async fn grant(&self, tx: &mut Tx, grant: Grant) -> Result<Granted, LedgerError> {
        if grant.amount <= Usd::ZERO {
            return Err(LedgerError::BadAmount(grant.amount));
        }
        let wallet = self.lock(tx, grant.user).await?;
        if let Some(credit_id) = self.replayed_grant(tx, &grant).await? {
            return Ok(Granted { credit_id, replayed: true });
        }
        let had: Usd = store::credits_of(tx, grant.user).await?.iter().map(|credit| credit.bucket.posted).sum();
        if had.checked_add(grant.amount).is_none_or(|sum| sum > MAX_WALLET) {
            return Err(LedgerError::BadAmount(grant.amount));
        }
        let (id, now) = (self.kit.ids.next(), self.kit.clock.now_ms());
        let debt = wallet.owed.min(grant.amount);
        let bucket = Bucket {
            id,
            kind: grant.kind,
            posted: grant.amount - debt,
            held: Usd::ZERO,
            priority: grant.priority,
            effective_at: grant.effective_at,
            expires_at: grant.expires_at,
            scope: grant.scope,
        };
        store::insert_credit(tx, grant.user, &bucket, grant.amount, &grant.reference, now).await?;
        let mut transfers =
            vec![self.row(&grant, Account::House(grant.from), Account::Credit(id), grant.amount, TransferKind::Grant, grant.idempotency_key.clone())];
        if debt > Usd::ZERO {
            store::set_owed(tx, grant.user, wallet.owed - debt).await?;
            transfers.push(self.row(&grant, Account::Credit(id), Account::Receivable(grant.user), debt, TransferKind::Debt, format!("debt:{id}")));
        }
        self.insert(tx, &transfers, &grant.idempotency_key).await?;
        Ok(Granted { credit_id: id, replayed: false })
    }

    /// The credit that this grant made before. The payload's hash covers the credit's id, so it is computed with the one found.
    async fn replayed_grant(&self, tx: &mut Tx, grant: &Grant) -> Result<Option<Id>, LedgerError> {
        let Some(posted) = store::transfer_by_key(tx, &grant.idempotency_key).await? else { return Ok(None) };
        let credit = Account::Credit(Id(posted.credit));
        let again = self.row(grant, Account::House(grant.from), credit, grant.amount, TransferKind::Grant, String::new());
        let same = again.payload_hash() == posted.payload_hash;
        if same { Ok(Some(Id(credit.number()))) } else { Err(LedgerError::IdempotencyConflict(grant.idempotency_key.clone())) }
    }

    /// Sets how much a customer may owe.
    ///
    /// # Errors
    /// [`LedgerError::BadAmount`] for a negative limit.
    pub async fn set_overdraft_limit(&self, tx: &mut Tx, user: Id, limit: Usd) -> Result<(), LedgerError> {
        if limit < Usd::ZERO {
            return Err(LedgerError::BadAmount(limit));
        }
        self.lock(tx, user).await?;
        Ok(store::set_overdraft_limit(tx, user, limit).await?)
    }

    /// Turns what has expired, and no request holds, into breakage. Returns how many credits that were. What is still held
    /// expires in a later sweep, when its request has ended.
    ///
    /// # Errors
    /// The database's; what was swept before stays swept.
    pub async fn expire(&self, db: &Db) -> Result<u64, LedgerError> {
        let now = self.kit.clock.now_ms();
        let mut swept = 0;
        loop {
            let owners = store::expired_owners(&mut *db.read().await?, now, SWEEP).await?;
            if owners.is_empty() {
                return Ok(swept);
            }
            let before = swept;
            for user in owners {
                let mut tx = db.write().await?;
                swept += self.expire_wallet(&mut tx, user, now).await?;
                tx.commit().await?;
            }
            if swept == before {
                return Ok(swept);
            }
        }
    }

    async fn expire_wallet(&self, tx: &mut Tx, user: Id, now: i64) -> Result<u64, LedgerError> {
        self.lock(tx, user).await?;
        let mut swept = 0;
        for credit in store::credits_of(tx, user).await? {
            let mut bucket = credit.bucket;
            let left = bucket.posted - bucket.held;
            if bucket.expires_at > now || left <= Usd::ZERO || credit.frozen.is_some() {
                continue;
            }
            bucket.posted = bucket.held;
            self.set_credits(tx, &[&bucket]).await?;
            let key = format!("expiry:{}:{}", bucket.id, self.kit.ids.next());
            let (debit, credit_account) = (Account::Credit(bucket.id), Account::House(House::Breakage));
            let row = self.transfer(user, &credit.reference, debit, credit_account, left, TransferKind::Expiry, key.clone());
            self.insert(tx, &[row], &key).await?;
            swept += 1;
        }
        Ok(swept)
    }

    /// What the wallet consists of. A customer without a wallet has an empty one.
    ///
    /// # Errors
    /// The database's.
    pub async fn balance(&self, conn: &mut Conn, user: Id) -> Result<Balance, LedgerError> {
        let now = self.kit.clock.now_ms();
        let owed = store::read_owed(conn, user).await?.unwrap_or_default();
        let mut credits = store::credits_of(conn, user).await?;
        credits.sort_by_key(|c| (c.bucket.priority, c.bucket.expires_at, c.bucket.kind, c.bucket.id));
        let sum = |plans: bool| credits.iter().filter(|c| (c.bucket.scope != EVERYTHING) == plans).map(|c| c.bucket.available(now)).sum();
        let (available, in_plans) = (sum(false), sum(true));
        let held = credits.iter().map(|c| c.bucket.held).sum();
        Ok(Balance { available, in_plans, held, owed, credits })
    }

    /// What is left of what pays for everything, with what requests hold of it, less what is owed: what a [`Watch`](crate::ledger::Watch) compares.
    ///
    /// # Errors
    /// The database's.
    pub async fn remaining(&self, conn: &mut Conn, user: Id) -> Result<Usd, LedgerError> {
        let owed = store::read_owed(conn, user).await?.unwrap_or_default();
        let credits = store::credits_of(conn, user).await?;
        Ok(spend::balance(credits.iter().map(|credit| &credit.bucket), owed, self.kit.clock.now_ms()))
    }

    /// What a new request with this key, for which no plan pays, could take now: as far as the balance and all these budgets go, those of the periods that run among them.
    ///
    /// # Errors
    /// The database's.
    pub async fn room(&self, conn: &mut Conn, user: (Id, &Budgets), key: (Id, &Budgets)) -> Result<Usd, LedgerError> {
        let balance = self.balance(conn, user.0).await?;
        let now = Numbers::at(self.kit.clock.now_ms());
        let mut room = balance.available;
        let mut bound = |mut spending: Spending, budgets: &Budgets, held: Usd, whose: Whose| {
            spending.roll(now);
            room = spending.left(budgets, held, whose).map_or(room, |(left, _)| left.min(room));
        };
        if !user.1.is_unbounded() {
            bound(store::read_spending(conn, user.0).await?, user.1, balance.held, Whose::User);
        }
        if !key.1.is_unbounded() {
            let (held, spending) = store::read_meter(conn, key.0).await?;
            bound(spending, key.1, held, Whose::Key);
        }
        Ok(room.max(Usd::ZERO))
    }

    /// A customer's transfers, newest first, older than `before`.
    ///
    /// # Errors
    /// The database's.
    pub async fn statement(&self, conn: &mut Conn, user: Id, before: Option<Id>, limit: i64) -> Result<Vec<TransferRow>, LedgerError> {
        Ok(store::statement(conn, user, before.unwrap_or(Id(i64::MAX)), limit).await?)
    }

    async fn lock(&self, tx: &mut Tx, user: Id) -> Result<WalletRow, LedgerError> {
        store::lock_wallet(tx, user).await?.ok_or(LedgerError::NoWallet(user))
    }

    fn row(&self, grant: &Grant, debit: Account, credit: Account, amount: Usd, kind: TransferKind, idempotency_key: String) -> Transfer {
        self.transfer(grant.user, &grant.reference, debit, credit, amount, kind, idempotency_key)
    }

    #[allow(clippy::too_many_arguments)] // a row has that many columns
    fn transfer(&self, user: Id, reference: &str, debit: Account, credit: Account, amount: Usd, kind: TransferKind, idempotency_key: String) -> Transfer {
        let (id, at) = (self.kit.ids.next(), self.kit.clock.now_ms());
        Transfer { id, debit, credit, amount, kind, user, reference: reference.to_owned(), idempotency_key, at }
    }

    /// Writes transfers of which no idempotency key was used for this customer before.
    async fn insert(&self, tx: &mut Tx, transfers: &[Transfer], idempotency_key: &str) -> Result<(), LedgerError> {
        tx.run(&[store::insert_transfers(transfers)]).await.map(drop).map_err(|error| conflict(error, idempotency_key))
    }

    /// Writes what is left of credits.
    async fn set_credits(&self, tx: &mut Tx, changed: &[&Bucket]) -> Result<(), LedgerError> {
        let emptied: Vec<&Bucket> = changed.iter().copied().filter(|b| b.posted == Usd::ZERO).collect();
        tx.run(&[store::set_credits(changed), store::set_live(&emptied)]).await?;
        Ok(())
    }
}

/// Whoever used the same key for the same wallet was seen under the wallet's lock, so a key that is taken now was used for
/// another customer.
fn conflict(error: sqlx::Error, idempotency_key: &str) -> LedgerError {
    match error {
        sqlx::Error::Database(error) if error.is_unique_violation() => LedgerError::IdempotencyConflict(idempotency_key.to_owned()),
        error => error.into(),
    }
}
