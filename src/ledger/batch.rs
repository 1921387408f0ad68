//! One group commit: many holds and settlements, applied in memory to locked wallets, written with few statements.

use super::accounts::{Account, House, Transfer, TransferKind};
use super::budget::{Budgets, Numbers, Period, Shortage, Whose};
use super::spend::{self, Bucket, Leg};
use super::store::{self, HoldEnd, MeterDelta, MeterRow, NewHold, WalletRow};
use super::{LedgerError, NodeRun};
use crate::db::{Conn, Tx};
use crate::kernel::{Id, Kit, Usd};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::future::Future;

/// A request for a reservation.
#[derive(Clone, Debug)]
pub struct HoldRequest {
    /// The request's id, which becomes the hold's.
    pub id: Id,
    /// Who pays.
    pub user: Id,
    /// The key that the request came with.
    pub key: Id,
    /// What the key may spend.
    pub key_budget: Budgets,
    /// What the customer may spend with all keys.
    pub user_budget: Budgets,
    /// The worst case: what is held when the balance allows.
    pub full: Usd,
    /// The least that is worth holding: less is [`LedgerError::InsufficientBalance`].
    pub floor: Usd,
    /// What the request costs as soon as it is sent: what recovery charges when the node dies.
    pub checkpoint: Usd,
    /// What the journal needs to describe the request when the node dies.
    pub memo: String,
}

/// A reservation that was made.
#[derive(Clone, Debug)]
pub struct Hold {
    /// The request's id.
    pub id: Id,
    /// Who pays.
    pub user: Id,
    /// The key that the request came with.
    pub key: Id,
    /// What is held: at most what was asked for.
    pub amount: Usd,
    /// From which credits.
    pub legs: Vec<Leg>,
    /// The budget that ends first, when less was held than asked for because of it and not of the balance.
    pub short_of_budget: Option<Shortage>,
}

/// What a request was charged in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Charge {
    /// What the customer pays.
    pub charged: Usd,
    /// What nobody could be charged for.
    pub absorbed: Usd,
}

/// A request whose node died.
#[derive(Clone, Debug)]
pub struct LostRequest {
    /// The request's id.
    pub id: Id,
    /// Who pays.
    pub user: Id,
    /// The key that the request came with.
    pub key: Id,
    /// What the relay said of it when it was held.
    pub memo: String,
    /// When it was held, in unix milliseconds.
    pub held_at: i64,
    /// When it was recovered.
    pub recovered_at: i64,
}

/// Where requests are written down, in the same transaction as their charge.
pub trait Journal: Send + Sync + 'static {
    /// What a request was.
    type Entry: Send + Sync + 'static;

    /// Writes entries; one that exists already is overwritten, because what is known later is better.
    fn write(&self, conn: &mut Conn, entries: &[(&Self::Entry, Charge)]) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Describes a request whose node died.
    fn recovered(&self, lost: &LostRequest) -> Self::Entry;
}

/// How a hold ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By the relay that made it.
    Finished,
    /// By recovery.
    Recovered,
}

/// A hold to end.
#[derive(Debug)]
pub(super) struct Settlement<E> {
    pub(super) hold: Hold,
    pub(super) cost: Usd,
    pub(super) end: End,
    pub(super) entry: Option<E>,
}

/// One thing to do in a batch.
#[derive(Debug)]
pub(super) enum Op<E> {
    /// Reserve.
    Hold(HoldRequest),
    /// Charge and release.
    Settle(Settlement<E>),
    /// Release a hold that nobody waits for, if it exists.
    Void(Id),
    /// Write down a request that held nothing.
    Note(E),
    /// Remember what a running request has cost so far.
    Checkpoint(Id, Usd),
}

impl<E> Op<E> {
    /// The hold that it is about.
    pub(super) fn hold_id(&self) -> Option<Id> {
        match self {
            Op::Hold(request) => Some(request.id),
            Op::Settle(settlement) => Some(settlement.hold.id),
            Op::Void(id) | Op::Checkpoint(id, _) => Some(*id),
            Op::Note(_) => None,
        }
    }
}

/// What became of an [`Op`].
#[derive(Debug)]
pub(super) enum Outcome {
    Hold(Result<Hold, LedgerError>),
    Settled(Result<Settled, LedgerError>),
    Done,
}

/// What a settlement came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled {
    pub(super) charge: Charge,
    /// This settlement moved the money; a replay only tells of it.
    pub(super) fresh: bool,
}

pub(super) struct Wallet {
    pub(super) row: WalletRow,
    before: WalletRow,
    /// The time of its postings: in the running day of its meter, also when that was begun by a node whose clock is ahead.
    pub(super) at: i64,
    /// In spend order.
    pub(super) buckets: Vec<Bucket>,
    touched: BTreeSet<Id>,
}

impl Wallet {
    pub(super) fn bucket(&mut self, id: Id) -> Result<&mut Bucket, LedgerError> {
        self.touched.insert(id);
        self.buckets.iter_mut().find(|b| b.id == id).ok_or_else(|| LedgerError::Corrupt(format!("credit {id} of an open hold is not in its wallet")))
    }

    fn available(&self, now: i64) -> Usd {
        self.buckets.iter().map(|b| b.available(now)).sum()
    }

    fn held(&self) -> Usd {
        self.buckets.iter().map(|b| b.held).sum()
    }
}

/// Keys whose meters exist, and the latest day in which they are known to stand.
pub(super) type KnownMeters = HashMap<Id, i64>;

/// What a batch came to.
pub(super) struct Applied {
    pub(super) outcomes: Vec<Outcome>,
    /// What is known of meters once the batch is committed.
    pub(super) meters: KnownMeters,
}

/// The state of a batch while it is applied.
pub(super) struct Batch<'a, J: Journal> {
    pub(super) kit: &'a Kit,
    node: NodeRun,
    journal: &'a J,
    /// Keys whose meters exist and stand in this day or a later one.
    known_meters: &'a KnownMeters,
    pub(super) now: i64,
    pub(super) wallets: BTreeMap<Id, Wallet>,
    pub(super) meters: BTreeMap<Id, MeterDelta>,
    /// The meters of keys with a budget, before this batch.
    budgets: HashMap<Id, MeterRow>,
    pub(super) transfers: Vec<Transfer>,
    holds: Vec<NewHold>,
}

impl<'a, J: Journal> Batch<'a, J> {
    pub(super) fn new(kit: &'a Kit, node: NodeRun, journal: &'a J, known_meters: &'a KnownMeters) -> Self {
        Self {
            kit,
            node,
            journal,
            known_meters,
            now: kit.clock.now_ms(),
            wallets: BTreeMap::new(),
            meters: BTreeMap::new(),
            budgets: HashMap::new(),
            transfers: Vec::new(),
            holds: Vec::new(),
        }
    }

    /// Applies every op inside `tx`, which the caller commits. An error means that nothing may be committed. Settlements come
    /// before holds, so that what they release can be held at once.
    pub(super) async fn apply(mut self, tx: &mut Tx, ops: &[Op<J::Entry>]) -> Result<Applied, LedgerError> {
        let meters = self.open(tx, ops).await?;
        let mut outcomes: Vec<Option<Outcome>> = ops.iter().map(|_| None).collect();
        let mut entries: Vec<(&J::Entry, Charge)> = Vec::with_capacity(ops.len());
        self.settle_all(tx, ops, &mut outcomes, &mut entries).await?;
        for (op, outcome) in ops.iter().zip(&mut outcomes) {
            match op {
                Op::Hold(request) => *outcome = Some(Outcome::Hold(self.hold(request))),
                Op::Void(id) => self.void(tx, *id).await?,
                Op::Note(entry) => entries.push((entry, Charge::default())),
                Op::Settle(_) | Op::Checkpoint(..) => {}
            }
        }
        store::checkpoint_holds(tx, &last_checkpoints(ops)).await?;
        self.write(tx, &entries).await?;
        let outcomes = outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::Done)).collect();
        Ok(Applied { outcomes, meters })
    }

    /// Locks the wallets, opens the meters of their keys for this day, and reads those that have a budget. Returns the days of the meters.
    async fn open(&mut self, tx: &mut Tx, ops: &[Op<J::Entry>]) -> Result<KnownMeters, LedgerError> {
        let mut users = BTreeSet::new();
        let mut keys = BTreeMap::new();
        let mut bounded = BTreeSet::new();
        for op in ops {
            let (user, key) = match op {
                Op::Hold(request) => {
                    if !request.key_budget.is_unbounded() {
                        bounded.insert(request.key);
                    }
                    (request.user, request.key)
                }
                Op::Settle(settlement) => (settlement.hold.user, settlement.hold.key),
                Op::Void(id) => match store::hold_by_id(tx, *id).await? {
                    Some(row) => (row.user, row.key),
                    None => continue,
                },
                Op::Note(_) | Op::Checkpoint(..) => continue,
            };
            users.insert(user);
            keys.insert(key, user);
        }
        self.lock_wallets(tx, users).await?;
        let today = |user: &Id| self.wallets.get(user).map(|wallet| wallet.row.spending.numbers());
        let keys: Vec<(Id, Numbers)> = keys.iter().filter_map(|(key, user)| Some((*key, today(user)?))).collect();
        let stale: Vec<(Id, Numbers)> = keys.iter().filter(|(key, today)| self.known_meters.get(key).is_none_or(|day| *day < today.day)).copied().collect();
        store::open_meters(tx, &stale).await?;
        bounded.retain(|key| keys.iter().any(|(known, _)| known == key));
        let bounded: Vec<Id> = bounded.into_iter().collect();
        self.budgets = store::read_meters(tx, &bounded).await?.into_iter().map(|row| (row.key, row)).collect();
        Ok(stale.into_iter().map(|(key, today)| (key, today.day)).collect())
    }

    async fn lock_wallets(&mut self, tx: &mut Tx, users: BTreeSet<Id>) -> Result<(), LedgerError> {
        let today = Numbers::at(self.now);
        for user in users {
            let Some(row) = store::lock_wallet(tx, user).await? else { continue };
            let mut buckets: Vec<Bucket> = store::credits_of(tx, user).await?.into_iter().map(|credit| credit.bucket).collect();
            spend::order(&mut buckets);
            let mut wallet = Wallet { row, before: row, at: self.now, buckets, touched: BTreeSet::new() };
            wallet.row.spending.roll(today);
            wallet.at = self.now.max(Period::Day.begins_at_ms(wallet.row.spending.day.number));
            self.wallets.insert(user, wallet);
        }
        Ok(())
    }

    async fn settle_all<'o>(
        &mut self,
        tx: &mut Tx,
        ops: &'o [Op<J::Entry>],
        outcomes: &mut [Option<Outcome>],
        entries: &mut Vec<(&'o J::Entry, Charge)>,
    ) -> Result<(), LedgerError> {
        let mut firsts = HashSet::new();
        let mut ends = Vec::new();
        for op in ops {
            if let Op::Settle(settlement) = op
                && firsts.insert(settlement.hold.id)
            {
                ends.push(hold_end(&settlement.hold, settlement.cost, settlement.end));
            }
        }
        let mut ended: HashSet<Id> = store::end_holds(tx, &ends, self.now).await?.into_iter().collect();
        // What this batch posts is written at its end, so a second settlement of a hold in the same batch must be told here.
        let mut settled: HashMap<Id, Charge> = HashMap::new();
        for (op, outcome) in ops.iter().zip(outcomes) {
            let Op::Settle(settlement) = op else { continue };
            let hold = &settlement.hold;
            let result = if let Some(charge) = settled.get(&hold.id) {
                Ok(Settled { charge: *charge, fresh: false })
            } else if ended.remove(&hold.id) {
                let charge = self.capture(hold, settlement.cost)?;
                self.meters.entry(hold.key).or_default().requests += 1;
                Ok(Settled { charge, fresh: true })
            } else {
                self.settle_late(tx, settlement).await?
            };
            if let Ok(Settled { charge, fresh }) = &result {
                settled.insert(hold.id, *charge);
                if let (true, Some(entry)) = (*fresh, &settlement.entry) {
                    entries.push((entry, *charge));
                }
            }
            *outcome = Some(Outcome::Settled(result));
        }
        Ok(())
    }

    /// Charges a hold that has just been ended by this batch.
    fn capture(&mut self, hold: &Hold, cost: Usd) -> Result<Charge, LedgerError> {
        let captured = cost.min(hold.amount);
        let wallet = self.wallets.get_mut(&hold.user).ok_or(LedgerError::NoWallet(hold.user))?;
        for leg in &hold.legs {
            wallet.bucket(leg.credit)?.held -= leg.amount;
        }
        for (n, part) in spend::front(&hold.legs, captured).into_iter().enumerate() {
            wallet.bucket(part.credit)?.posted -= part.amount;
            let (debit, credit) = (Account::Credit(part.credit), Account::House(House::Revenue));
            self.transfers.push(transfer(self.kit, wallet.at, hold, debit, credit, part.amount, TransferKind::Capture, format!("capture:{}:{n}", hold.id)));
        }
        wallet.row.spending.spent += captured;
        let absorbed = self.charge_beyond(hold, cost - captured, "overage")?;
        let meter = self.meters.entry(hold.key).or_default();
        meter.spent += captured;
        meter.held -= hold.amount;
        Ok(Charge { charged: cost - absorbed, absorbed })
    }

    /// Posts what a request cost beyond its hold, and meters it: from what is available, then as debt up to the overdraft limit; the rest
    /// is returned, and is the shop's loss.
    pub(super) fn charge_beyond(&mut self, hold: &Hold, amount: Usd, tag: &str) -> Result<Usd, LedgerError> {
        if amount <= Usd::ZERO {
            return Ok(Usd::ZERO);
        }
        let revenue = Account::House(House::Revenue);
        let wallet = self.wallets.get_mut(&hold.user).ok_or(LedgerError::NoWallet(hold.user))?;
        let mut left = amount;
        let mut parts = Vec::new();
        for leg in spend::split(&wallet.buckets, amount, self.now) {
            wallet.bucket(leg.credit)?.posted -= leg.amount;
            left -= leg.amount;
            parts.push((Account::Credit(leg.credit), leg.amount, TransferKind::Overage));
        }
        let debt = left.min(wallet.row.overdraft_limit - wallet.row.owed).max(Usd::ZERO);
        if debt > Usd::ZERO {
            wallet.row.owed += debt;
            left -= debt;
            parts.push((Account::Receivable(hold.user), debt, TransferKind::Overdraft));
        }
        if left > Usd::ZERO {
            parts.push((Account::House(House::Absorbed), left, TransferKind::Absorbed));
        }
        wallet.row.spending.spent += amount - left;
        self.meters.entry(hold.key).or_default().spent += amount - left;
        for (n, (debit, amount, kind)) in parts.into_iter().enumerate() {
            self.transfers.push(transfer(self.kit, wallet.at, hold, debit, revenue, amount, kind, format!("{tag}:{}:{n}", hold.id)));
        }
        Ok(left)
    }

    fn hold(&mut self, request: &HoldRequest) -> Result<Hold, LedgerError> {
        let now = self.now;
        let by_key = self.left_of_key(request);
        let wallet = self.wallets.get_mut(&request.user).ok_or(LedgerError::NoWallet(request.user))?;
        if request.full <= Usd::ZERO || request.floor > request.full || request.checkpoint < Usd::ZERO {
            return Err(LedgerError::BadAmount(request.full));
        }
        let least = request.floor.max(Usd(1));
        let by_user = wallet.row.spending.left(&request.user_budget, wallet.held(), Whose::User);
        let tightest = by_key.into_iter().chain(by_user).min_by_key(|(left, _)| *left);
        if let Some((left, shortage)) = tightest
            && left < least
        {
            return Err(shortage.refusal(left));
        }
        let want = tightest.map_or(request.full, |(left, _)| left.min(request.full));
        let available = wallet.available(now);
        if available < least {
            return Err(LedgerError::InsufficientBalance { available });
        }
        let legs = spend::split(&wallet.buckets, want, now);
        for leg in &legs {
            wallet.bucket(leg.credit)?.held += leg.amount;
        }
        let amount = spend::total(&legs);
        self.meters.entry(request.key).or_default().held += amount;
        self.holds.push(NewHold {
            id: request.id,
            user: request.user,
            key: request.key,
            node: self.node.slot,
            incarnation: self.node.incarnation,
            amount,
            checkpoint: request.checkpoint,
            legs: legs.clone(),
            memo: request.memo.clone(),
            created_at: now,
        });
        let short_of_budget = tightest.filter(|_| amount == want && want < request.full).map(|(_, shortage)| shortage);
        Ok(Hold { id: request.id, user: request.user, key: request.key, amount, legs, short_of_budget })
    }

    /// The wallet's lock orders this too: a key belongs to one customer.
    fn left_of_key(&self, request: &HoldRequest) -> Option<(Usd, Shortage)> {
        let mut meter = *self.budgets.get(&request.key)?;
        let delta = self.meters.get(&request.key).copied().unwrap_or_default();
        meter.spending.spent += delta.spent;
        meter.spending.left(&request.key_budget, meter.held + delta.held, Whose::Key)
    }

    async fn void(&mut self, tx: &mut Tx, id: Id) -> Result<(), LedgerError> {
        let Some(row) = store::hold_by_id(tx, id).await? else { return Ok(()) };
        let hold = Hold { id, user: row.user, key: row.key, amount: row.amount, legs: row.legs, short_of_budget: None };
        if store::end_holds(tx, &[hold_end(&hold, Usd::ZERO, End::Finished)], self.now).await?.is_empty() {
            return Ok(());
        }
        self.capture(&hold, Usd::ZERO).map(drop)
    }

    async fn write(&mut self, tx: &mut Tx, entries: &[(&J::Entry, Charge)]) -> Result<(), LedgerError> {
        let mut changed = Vec::new();
        let (mut wallets, mut rolled) = (Vec::new(), Vec::new());
        for (user, wallet) in &self.wallets {
            let (before, row) = (&wallet.before, &wallet.row);
            if (before.owed, before.spending.spent) != (row.owed, row.spending.spent) {
                wallets.push((*user, *row));
            }
            if Period::ALL.into_iter().any(|period| before.spending.count(period) != row.spending.count(period)) {
                rolled.push((*user, *row));
            }
            changed.extend(wallet.buckets.iter().filter(|b| wallet.touched.contains(&b.id)));
        }
        store::set_wallets(tx, &wallets).await?;
        store::set_periods(tx, &rolled).await?;
        store::set_credits(tx, &changed).await?;
        store::insert_holds(tx, &self.holds).await?;
        store::insert_transfers(tx, &self.transfers).await?;
        let meters: Vec<(Id, MeterDelta)> = self.meters.iter().map(|(key, delta)| (*key, *delta)).collect();
        store::add_to_meters(tx, &meters, self.now).await?;
        if !entries.is_empty() {
            self.journal.write(tx, entries).await?;
        }
        Ok(())
    }
}

/// The highest checkpoint of each hold: an UPDATE must not meet a row twice.
fn last_checkpoints<E>(ops: &[Op<E>]) -> Vec<(Id, Usd)> {
    let mut highest: BTreeMap<Id, Usd> = BTreeMap::new();
    for op in ops {
        if let Op::Checkpoint(id, amount) = op {
            let known = highest.entry(*id).or_insert(*amount);
            *known = (*known).max(*amount);
        }
    }
    highest.into_iter().collect()
}

fn hold_end(hold: &Hold, cost: Usd, end: End) -> HoldEnd {
    let captured = cost.min(hold.amount);
    let state = match end {
        End::Recovered => "recovered",
        End::Finished if captured > Usd::ZERO => "captured",
        End::Finished => "released",
    };
    HoldEnd { id: hold.id, state, captured, released: hold.amount - captured }
}

#[allow(clippy::too_many_arguments)] // a row has that many columns
pub(super) fn transfer(kit: &Kit, at: i64, hold: &Hold, debit: Account, credit: Account, amount: Usd, kind: TransferKind, idempotency_key: String) -> Transfer {
    Transfer { id: kit.ids.next(), debit, credit, amount, kind, user: hold.user, reference: hold.id.to_string(), idempotency_key, at }
}
