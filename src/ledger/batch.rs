//! One group commit: many holds and settlements, applied in memory to locked wallets, written with few statements.

use super::accounts::{Account, House, Transfer, TransferKind};
use super::budget::{Numbers, Period, Shortage, Whose};
use super::memory::{Known, Memory};
use super::request::{Charge, End, Hold, HoldRequest, Journal, Op, Outcome, Settled};
use super::spend::{self, Bucket, EVERYTHING, Leg, Pays};
use super::store::{self, HoldEnd, HoldRow, MeterRow, NewHold, WalletRow};
use super::{LedgerError, NodeRun};
use crate::db::{self, Answer, Db, Part, Tx};
use crate::kernel::{Id, Kit, Usd};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

pub(super) struct Wallet {
    pub(super) row: WalletRow,
    before: WalletRow,
    /// The time of its postings: in the running day of its meter, also when that was begun by a node whose clock is ahead.
    pub(super) at: i64,
    /// In spend order.
    pub(super) buckets: Vec<Bucket>,
    touched: BTreeSet<Id>,
    /// Credits that were empty before.
    pub(super) refilled: BTreeSet<Id>,
}

impl Wallet {
    /// `buckets` in spend order.
    fn new(row: WalletRow, buckets: Vec<Bucket>, now: i64) -> Self {
        let mut wallet = Self { row, before: row, at: now, buckets, touched: BTreeSet::new(), refilled: BTreeSet::new() };
        wallet.row.spending.roll(Numbers::at(now));
        wallet.at = now.max(Period::Day.begins_at_ms(wallet.row.spending.day.number));
        wallet
    }

    /// What is in the database when the batch is.
    pub(super) fn written(self) -> Known {
        let Self { row, mut buckets, touched, .. } = self;
        buckets.retain(|bucket| !(touched.contains(&bucket.id) && is_empty(bucket)));
        Known { row, credits: buckets }
    }

    pub(super) fn bucket(&mut self, id: Id) -> Result<&mut Bucket, LedgerError> {
        self.touched.insert(id);
        self.buckets.iter_mut().find(|b| b.id == id).ok_or_else(|| LedgerError::Corrupt(format!("credit {id} of an open hold is not in its wallet")))
    }

    fn available(&self, now: i64, pays: &Pays) -> Usd {
        self.buckets.iter().filter(|b| pays.admits(b)).map(|b| b.available(now)).sum()
    }

    /// What may pay for more of what these legs paid for.
    fn pays_as(&self, legs: &[Leg]) -> Pays {
        let scopes = self.buckets.iter().filter(|b| b.scope != EVERYTHING && legs.iter().any(|leg| leg.credit == b.id)).map(|b| b.scope).collect();
        Pays { scopes, wallet: true }
    }

    fn held(&self) -> Usd {
        self.buckets.iter().map(|b| b.held).sum()
    }

    /// What a [`Watch`](super::Watch) compares.
    pub(super) fn balance(&self) -> Usd {
        spend::balance(&self.buckets, self.row.owed, self.at)
    }
}

/// Whether a credit that was touched has nothing left now.
fn is_empty(bucket: &Bucket) -> bool {
    bucket.posted == Usd::ZERO
}

/// What a key has spent and has in flight.
pub(super) struct Meter {
    pub(super) row: MeterRow,
    /// What the database has; `None` for a key that was never used.
    before: Option<MeterRow>,
}

impl Meter {
    fn is_changed(&self) -> bool {
        self.before.is_none_or(|before| before.has_moved(&self.row))
    }

    /// What is in the database when the batch is.
    pub(super) fn written(self) -> Option<MeterRow> {
        if self.is_changed() { Some(self.row) } else { self.before }
    }
}

/// Why a batch was not applied.
pub(super) enum Refused {
    /// A hold to be settled has ended before, or never was: each has to be looked at.
    NotOpen,
    /// Nothing may be committed.
    Failed(LedgerError),
}

impl<E: Into<LedgerError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Refused::Failed(error.into())
    }
}

/// What the ops of a batch are about.
#[derive(Default)]
struct Scope {
    users: Vec<Id>,
    /// Each with whose it is.
    keys: BTreeMap<Id, Id>,
    ends: Vec<HoldEnd>,
}

/// The outcomes of the ops, and what the journal is to write.
type Applied<'o, E> = (Vec<Outcome>, Vec<(&'o E, Charge)>);

/// The state of a batch while it is applied.
pub(super) struct Batch<'a, J: Journal> {
    pub(super) kit: &'a Kit,
    node: NodeRun,
    journal: &'a J,
    pub(super) now: i64,
    pub(super) wallets: BTreeMap<Id, Wallet>,
    pub(super) meters: BTreeMap<Id, Meter>,
    pub(super) transfers: Vec<Transfer>,
    holds: Vec<NewHold>,
    /// The holds that nobody waits for.
    voids: HashMap<Id, HoldRow>,
}

impl<'a, J: Journal> Batch<'a, J> {
    pub(super) fn new(kit: &'a Kit, node: NodeRun, journal: &'a J) -> Self {
        let now = kit.clock.now_ms();
        let (wallets, meters, voids) = (BTreeMap::new(), BTreeMap::new(), HashMap::new());
        Self { kit, node, journal, now, wallets, meters, transfers: Vec::new(), holds: Vec::new(), voids }
    }

    /// Applies every op in one transaction. Settlements come before holds, so that what they release can be held at once.
    ///
    /// Nearly always every hold that is to be settled is open, and is ended by the statements that lock the wallets. With `one_by_one` each
    /// is looked at, at the price of more statements.
    pub(super) async fn commit(mut self, db: &Db, ops: &[Op<J::Entry>], one_by_one: bool, memory: &mut Memory) -> Result<Vec<Outcome>, Refused> {
        let scope = self.scope(db, ops).await?;
        let one_by_one = one_by_one || !self.voids.is_empty();
        let keys: Vec<Id> = scope.keys.keys().copied().collect();
        let mut opening = vec![store::lock_wallets(&scope.users), store::read_credits(&scope.users), store::read_meters(&keys)];
        if !one_by_one {
            opening.push(store::end_open_holds(&scope.ends, self.now));
        }
        let (mut tx, answers) = db.write_with(&opening).await?;
        match self.apply_locked(&mut tx, ops, &scope, &answers).await {
            Ok((outcomes, entries)) => {
                let turn = tx.commit_with(&self.changes(ops).parts(&self, &entries)).await?;
                memory.keep(turn, self.wallets, self.meters);
                Ok(outcomes)
            }
            Err(refused) => {
                tx.rollback().await;
                Err(refused)
            }
        }
    }

    /// As [`Batch::commit`], without reading what is remembered: everything is written in one visit to the database, unless somebody else has written, or has
    /// ended one of the holds. `None` when something is not remembered, or that has happened, or there is more than goes at once.
    pub(super) async fn commit_remembered(mut self, db: &Db, ops: &[Op<J::Entry>], memory: &mut Memory) -> Result<Option<Vec<Outcome>>, Refused> {
        let Some(turn) = memory.turn().filter(|turn| db.is_last(turn)) else { return Ok(None) };
        if ops.len() > db::AT_ONCE || ops.iter().any(|op| matches!(op, Op::Void(_))) {
            return Ok(None);
        }
        let scope = self.scope(db, ops).await?;
        if !self.recall(&scope, memory) {
            return Ok(None);
        }
        let ended = scope.ends.iter().map(|end| end.id).collect();
        let (outcomes, entries) = self.apply(None, ops, ended).await?;
        let (changes, ends) = (self.changes(ops), scope.ends.len() as i64);
        let mut parts = vec![store::end_open_holds(&scope.ends, self.now)];
        parts.extend((ends > 0).then(|| db::changed(&ends)));
        parts.extend(changes.parts(&self, &entries));
        let Some(turn) = db.write_since(&turn, &parts).await? else { return Ok(None) };
        drop(parts);
        memory.keep(Some(turn), self.wallets, self.meters);
        Ok(Some(outcomes))
    }

    async fn scope(&mut self, db: &Db, ops: &[Op<J::Entry>]) -> Result<Scope, LedgerError> {
        let mut scope = Scope::default();
        let (mut users, mut settled) = (BTreeSet::new(), HashSet::new());
        for op in ops {
            let (user, key) = match op {
                Op::Hold(request) => (request.user, request.key),
                Op::Settle(settlement) => {
                    if settled.insert(settlement.hold.id) {
                        scope.ends.push(hold_end(&settlement.hold, settlement.cost, settlement.end));
                    }
                    (settlement.hold.user, settlement.hold.key)
                }
                Op::Void(id) => {
                    let Some(row) = store::hold_by_id(&mut *db.read().await?, *id).await? else { continue };
                    let whose = (row.user, row.key);
                    self.voids.insert(*id, row);
                    whose
                }
                Op::Note(_) | Op::Checkpoint(..) => continue,
            };
            users.insert(user);
            scope.keys.insert(key, user);
        }
        scope.users = users.into_iter().collect();
        Ok(scope)
    }

    /// Applies the ops to what the opening statements returned.
    async fn apply_locked<'o>(&mut self, tx: &mut Tx, ops: &'o [Op<J::Entry>], scope: &Scope, answers: &[Answer]) -> Result<Applied<'o, J::Entry>, Refused> {
        self.open(scope, answers)?;
        let ended = match answers.get(3) {
            Some(ended) if ended.affected == scope.ends.len() as u64 => scope.ends.iter().map(|end| end.id).collect(),
            Some(_) => return Err(Refused::NotOpen),
            None => store::end_holds(tx, &scope.ends, self.now).await?.into_iter().collect(),
        };
        self.apply(Some(tx), ops, ended).await
    }

    /// Applies the ops, whose holds have ended but for those that had before.
    async fn apply<'o>(&mut self, mut tx: Option<&mut Tx>, ops: &'o [Op<J::Entry>], ended: HashSet<Id>) -> Result<Applied<'o, J::Entry>, Refused> {
        let mut outcomes: Vec<Option<Outcome>> = ops.iter().map(|_| None).collect();
        let mut entries: Vec<(&J::Entry, Charge)> = Vec::with_capacity(ops.len());
        self.settle_all(tx.as_deref_mut(), ops, ended, &mut outcomes, &mut entries).await?;
        for (op, outcome) in ops.iter().zip(&mut outcomes) {
            match op {
                Op::Hold(request) => *outcome = Some(Outcome::Hold(self.hold(request))),
                Op::Void(id) => self.void(tx.as_deref_mut().ok_or(Refused::NotOpen)?, *id).await?,
                Op::Note(entry) => entries.push((entry, Charge::default())),
                Op::Settle(_) | Op::Checkpoint(..) => {}
            }
        }
        Ok((outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::Done)).collect(), entries))
    }

    /// Reads what the opening statements returned: the wallets, now locked, their credits, and the meters of the keys.
    fn open(&mut self, scope: &Scope, answers: &[Answer]) -> Result<(), LedgerError> {
        let [wallets, credits, meters, ..] = answers else { return Err(LedgerError::Corrupt("statements without answers".to_owned())) };
        let mut buckets: HashMap<Id, Vec<Bucket>> = HashMap::new();
        for record in credits.records() {
            let (user, bucket) = store::bucket_of(record)?;
            buckets.entry(user).or_default().push(bucket);
        }
        for record in wallets.records() {
            let (user, row) = store::wallet_of(record)?;
            let mut buckets = buckets.remove(&user).unwrap_or_default();
            spend::order(&mut buckets);
            self.wallets.insert(user, Wallet::new(row, buckets, self.now));
        }
        for record in meters.records() {
            let row = store::meter_of(record)?;
            self.meters.insert(row.key, Meter { row, before: Some(row) });
        }
        self.begin_meters(scope);
        Ok(())
    }

    /// As [`Batch::open`], of what is remembered; says whether that is everything.
    fn recall(&mut self, scope: &Scope, memory: &Memory) -> bool {
        for user in &scope.users {
            let Some(known) = memory.wallet(*user) else { return false };
            self.wallets.insert(*user, Wallet::new(known.row, known.credits.clone(), self.now));
        }
        for key in scope.keys.keys() {
            let Some(row) = memory.meter(*key) else { return false };
            self.meters.insert(*key, Meter { row: *row, before: Some(*row) });
        }
        self.begin_meters(scope);
        true
    }

    /// Begins the meters of keys that were never used, and the periods of the others in step with their wallets.
    fn begin_meters(&mut self, scope: &Scope) {
        for (key, user) in &scope.keys {
            let Some(wallet) = self.wallets.get(user) else { continue };
            let meter = self.meters.entry(*key).or_insert_with(|| Meter { row: MeterRow::new(*key), before: None });
            meter.row.spending.roll(wallet.row.spending.numbers());
        }
    }

    async fn settle_all<'o>(
        &mut self,
        mut tx: Option<&mut Tx>,
        ops: &'o [Op<J::Entry>],
        mut ended: HashSet<Id>,
        outcomes: &mut [Option<Outcome>],
        entries: &mut Vec<(&'o J::Entry, Charge)>,
    ) -> Result<(), Refused> {
        // What this batch posts is written at its end, so a second settlement of a hold in the same batch must be told here.
        let mut settled: HashMap<Id, Charge> = HashMap::new();
        for (op, outcome) in ops.iter().zip(outcomes) {
            let Op::Settle(settlement) = op else { continue };
            let hold = &settlement.hold;
            let result = if let Some(charge) = settled.get(&hold.id) {
                Ok(Settled { charge: *charge, fresh: false })
            } else if ended.remove(&hold.id) {
                let charge = self.capture(hold, settlement.cost)?;
                self.meter(hold.key)?.requests += 1;
                Ok(Settled { charge, fresh: true })
            } else {
                self.settle_late(tx.as_deref_mut().ok_or(Refused::NotOpen)?, settlement).await?
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
        let meter = self.meter(hold.key)?;
        meter.spending.spent += captured;
        meter.held -= hold.amount;
        Ok(Charge { charged: cost - absorbed, absorbed })
    }

    /// Posts what a request cost beyond its hold, and meters it: from what is available, then as debt up to the overdraft limit; the rest
    /// is returned, and is the shop's loss. Budgets bound what may be begun: an upstream has made this already, and it is bounded by what can be true of the request.
    pub(super) fn charge_beyond(&mut self, hold: &Hold, amount: Usd, tag: &str) -> Result<Usd, LedgerError> {
        if amount <= Usd::ZERO {
            return Ok(Usd::ZERO);
        }
        let revenue = Account::House(House::Revenue);
        let wallet = self.wallets.get_mut(&hold.user).ok_or(LedgerError::NoWallet(hold.user))?;
        let mut left = amount;
        let mut parts = Vec::new();
        for leg in spend::split(&wallet.buckets, amount, self.now, &wallet.pays_as(&hold.legs)) {
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
        for (n, (debit, amount, kind)) in parts.into_iter().enumerate() {
            self.transfers.push(transfer(self.kit, wallet.at, hold, debit, revenue, amount, kind, format!("{tag}:{}:{n}", hold.id)));
        }
        self.meter(hold.key)?.spending.spent += amount - left;
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
        let available = wallet.available(now, &request.pays);
        if available < least {
            return Err(LedgerError::InsufficientBalance { available });
        }
        let legs = spend::split(&wallet.buckets, want, now, &request.pays);
        let mut scope = None;
        for leg in &legs {
            let bucket = wallet.bucket(leg.credit)?;
            bucket.held += leg.amount;
            scope = scope.or(Some(bucket.scope).filter(|scope| *scope != EVERYTHING));
        }
        let amount = spend::total(&legs);
        self.meter(request.key)?.held += amount;
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
        Ok(Hold { id: request.id, user: request.user, key: request.key, amount, legs, scope, short_of_budget })
    }

    /// The wallet's lock orders this too: a key belongs to one customer.
    fn left_of_key(&self, request: &HoldRequest) -> Option<(Usd, Shortage)> {
        let meter = self.meters.get(&request.key)?;
        meter.row.spending.left(&request.key_budget, meter.row.held, Whose::Key)
    }

    pub(super) fn meter(&mut self, key: Id) -> Result<&mut MeterRow, LedgerError> {
        self.meters.get_mut(&key).map(|meter| &mut meter.row).ok_or_else(|| LedgerError::Corrupt(format!("the key {key} has no wallet")))
    }

    async fn void(&mut self, tx: &mut Tx, id: Id) -> Result<(), LedgerError> {
        let Some(row) = self.voids.remove(&id) else { return Ok(()) };
        let hold = Hold { id, user: row.user, key: row.key, amount: row.amount, legs: row.legs, scope: None, short_of_budget: None };
        if store::end_holds(tx, &[hold_end(&hold, Usd::ZERO, End::Finished)], self.now).await?.is_empty() {
            return Ok(());
        }
        self.capture(&hold, Usd::ZERO).map(drop)
    }

    fn changes(&self, ops: &[Op<J::Entry>]) -> Changes<'_> {
        let mut changes = Changes { checkpoints: last_checkpoints(ops), ..Changes::default() };
        for (user, wallet) in &self.wallets {
            let (before, row) = (&wallet.before, &wallet.row);
            if (before.owed, before.spending.spent) != (row.owed, row.spending.spent) {
                changes.wallets.push((*user, *row));
            }
            if Period::ALL.into_iter().any(|period| before.spending.count(period) != row.spending.count(period)) {
                changes.rolled.push((*user, *row));
            }
            let touched = wallet.buckets.iter().filter(|b| wallet.touched.contains(&b.id));
            changes.credits.extend(touched.clone());
            changes.turned.extend(touched.filter(|b| is_empty(b) || wallet.refilled.contains(&b.id)));
        }
        let changed = self.meters.values().filter(|meter| meter.is_changed());
        // What stays is the periods: they change with the day.
        (changes.meters, changes.new_meters) = changed.partition(|meter| meter.before.is_some_and(|before| before.same_periods(&meter.row)));
        changes
    }
}

/// What a batch changes.
#[derive(Default)]
struct Changes<'b> {
    wallets: Vec<(Id, WalletRow)>,
    rolled: Vec<(Id, WalletRow)>,
    credits: Vec<&'b Bucket>,
    /// Credits that are empty now, or were.
    turned: Vec<&'b Bucket>,
    meters: Vec<&'b Meter>,
    new_meters: Vec<&'b Meter>,
    checkpoints: Vec<(Id, Usd)>,
}

impl Changes<'_> {
    /// The statements that write them, and what else the batch has come to.
    fn parts<'p, J: Journal>(&'p self, batch: &'p Batch<'_, J>, entries: &'p [(&'p J::Entry, Charge)]) -> Vec<Part<'p>> {
        let mut parts = vec![
            store::set_wallets(&self.wallets),
            store::set_periods(&self.rolled),
            store::set_credits(&self.credits),
            store::set_live(&self.turned),
            store::insert_holds(&batch.holds),
            store::insert_transfers(&batch.transfers),
            store::open_meters(&self.new_meters, batch.now),
            store::set_meters(&self.meters, batch.now),
            store::checkpoint_holds(&self.checkpoints),
        ];
        parts.extend(batch.journal.write(entries));
        parts
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
