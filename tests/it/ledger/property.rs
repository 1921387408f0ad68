//! Random sequences of everything the ledger does, step by step against the model, on the engine under test.

use super::model::{Bounds, Credit, Model, Refusal, State, Wallet};
use super::steps::{BUDGET, Cost, KEY_BUDGETS, KEYS, Step, USER_BUDGETS, USERS, steps};
use super::{Note, Notes, Shop};
use farebox::kernel::{Id, NEVER, Usd};
use farebox::ledger::{Budgets, CreditKind, Grant, Hold, HoldRequest, House, LedgerError, Meter, NodeRun, recover_node};
use proptest::test_runner::{Config, TestRunner};
use std::cell::Cell;

/// One case: the shop, the model, and what both have done so far.
struct Case<'a> {
    shop: &'a Shop,
    meter: Meter<Notes>,
    run: NodeRun,
    users: Vec<Id>,
    model: Model,
    grants: Vec<(Grant, Id)>,
    /// (user, delta, key) of the corrections that were made.
    adjusted: Vec<(usize, Usd, String)>,
    /// The shop's holds, in the order of the model's.
    holds: Vec<Hold>,
}

#[test]
fn the_ledger_does_what_the_model_says() {
    // One thread, so that the writer runs only while a step waits for it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shop = runtime.block_on(Shop::open());
    let cases = Cell::new(0);
    let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    let result = runner.run(&steps(), |steps| {
        cases.set(cases.get() + 1);
        runtime.block_on(async {
            let mut case = Case::open(&shop, cases.get()).await;
            for step in steps {
                case.step(step).await;
                case.compare(&step).await;
            }
            shop.must_be_clean().await;
        });
        Ok(())
    });
    result.unwrap();
}

impl<'a> Case<'a> {
    async fn open(shop: &'a Shop, n: i64) -> Self {
        let mut users = Vec::new();
        for _ in 0..USERS {
            users.push(shop.customer(Usd::ZERO).await);
        }
        let run = NodeRun { slot: 1, incarnation: 1000 + n };
        let (meter, _) = Meter::start(shop.db().clone(), shop.kit.clone(), run, shop.notes.clone());
        let model = Model { now: shop.kit.clock.now_ms(), wallets: vec![Wallet::default(); USERS], ..Model::default() };
        Self { shop, meter, run, users, model, grants: Vec::new(), adjusted: Vec::new(), holds: Vec::new() }
    }

    fn key(&self, user: usize, key: usize) -> (usize, Id) {
        (user * KEYS + key, Id(self.users[user].0 + 1 + key as i64))
    }

    /// The budgets of a key and of its customer.
    fn budgets(user: usize, key: usize) -> (Budgets, Budgets) {
        let of = |[day, week, month]: [i64; 3]| Budgets { total: None, day: Some(Usd(day)), week: Some(Usd(week)), month: Some(Usd(month)) };
        let key = match key {
            0 => Budgets::default(),
            1 => Budgets::total(Some(Usd(BUDGET))),
            _ => of(KEY_BUDGETS),
        };
        (key, if user == 1 { of(USER_BUDGETS) } else { Budgets::default() })
    }

    /// The same for the model, which has its own calendar.
    fn bounds(&self, budgets: Budgets) -> Bounds {
        let now = jiff::Timestamp::from_millisecond(self.model.now).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
        let today = now.start_of_day().unwrap();
        let monday = &today - jiff::Span::new().days(i64::from(today.weekday().to_monday_zero_offset()));
        let first = today.first_of_month().unwrap();
        let period = |from: &jiff::Zoned, length: jiff::Span, budget: Option<Usd>| {
            let range = from.timestamp().as_millisecond()..(from + length).timestamp().as_millisecond();
            budget.map(|budget| (range, budget.0))
        };
        let periods = [
            period(&today, jiff::Span::new().days(1), budgets.day),
            period(&monday, jiff::Span::new().days(7), budgets.week),
            period(&first, jiff::Span::new().months(1), budgets.month),
        ];
        Bounds { total: budgets.total.map(|budget| budget.0), periods: periods.into_iter().flatten().collect() }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Grant { user, kind, priority, effective_in, expires_in, amount } => {
                self.grant(user, kind, priority, effective_in, expires_in, amount).await;
            }
            Step::ReplayGrant(_) | Step::ConflictingGrant(_) if self.grants.is_empty() => {}
            Step::ReplayGrant(pick) => {
                let (grant, id) = self.grants[pick % self.grants.len()].clone();
                let again = self.shop.grant(grant).await.unwrap();
                assert!(again.replayed && again.credit_id == id);
            }
            Step::ConflictingGrant(pick) => {
                let (mut grant, _) = self.grants[pick % self.grants.len()].clone();
                grant.amount += Usd(1);
                assert!(matches!(self.shop.grant(grant).await, Err(LedgerError::IdempotencyConflict(_))));
            }
            Step::Hold { user, key, full, floor, checkpoint } => self.hold(user, key, full, floor, checkpoint).await,
            Step::DroppedHold { user, full } => self.dropped_hold(user, full).await,
            Step::DuplicateHold { .. } | Step::Settle { .. } | Step::SettleTwice { .. } | Step::Checkpoint { .. } if self.holds.is_empty() => {}
            Step::DuplicateHold { pick, full } => self.duplicate_hold(pick, full).await,
            Step::Settle { pick, cost } => self.settle(pick, cost, 1).await,
            Step::SettleTwice { pick, cost } => self.settle(pick, cost, 3).await,
            Step::Checkpoint { pick, amount } => self.checkpoint(pick, amount).await,
            Step::Wait(ms) => {
                self.shop.kit.clock.advance(ms);
                self.model.now += ms;
            }
            Step::Expire => {
                self.shop.books.expire(self.shop.db()).await.unwrap();
                self.model.expire();
            }
            Step::Adjust { user, delta } => self.adjust(user, delta).await,
            Step::ReplayAdjust(_) | Step::ConflictingAdjust(_) if self.adjusted.is_empty() => {}
            Step::ReplayAdjust(pick) => {
                let (user, delta, key) = &self.adjusted[pick % self.adjusted.len()];
                self.shop.adjust(self.users[*user], *delta, key).await.unwrap();
            }
            Step::ConflictingAdjust(pick) => {
                let (user, delta, key) = &self.adjusted[pick % self.adjusted.len()];
                for other in [*delta + Usd(1), *delta - Usd(1), -*delta].into_iter().filter(|other| *other != Usd::ZERO) {
                    let result = self.shop.adjust(self.users[*user], other, key).await;
                    assert!(matches!(result, Err(LedgerError::IdempotencyConflict(_))), "{delta:?} then {other:?}: {result:?}");
                }
            }
            Step::Limit { user, limit } => {
                self.shop.allow_debt(self.users[user], Usd(limit)).await;
                self.model.wallets[user].limit = limit;
            }
            Step::Recover => self.recover().await,
        }
    }

    async fn grant(&mut self, user: usize, kind: u8, priority: i64, effective_in: i64, expires_in: Option<i64>, amount: i64) {
        let now = self.model.now;
        let (effective, expires) = (now + effective_in, expires_in.map_or(NEVER, |ms| now + ms));
        let grant = Grant {
            kind: [CreditKind::Gift, CreditKind::Plan, CreditKind::Paid][usize::from(kind)],
            from: [House::Promotion, House::Promotion, House::Cash][usize::from(kind)],
            priority,
            effective_at: effective,
            expires_at: expires,
            ..self.shop.gift(self.users[user], Usd(amount))
        };
        let granted = self.shop.grant(grant.clone()).await.unwrap();
        assert!(!granted.replayed);
        self.grants.push((grant, granted.credit_id));
        self.model.grant(user, Credit { id: granted.credit_id.0, kind, posted: amount, held: 0, priority, effective, expires });
    }

    fn request(&self, user: usize, key: usize, full: i64, floor: i64, checkpoint: i64) -> HoldRequest {
        let (key_budget, user_budget) = Self::budgets(user, key);
        let (_, key) = self.key(user, key);
        HoldRequest { key, key_budget, user_budget, floor: Usd(floor), checkpoint: Usd(checkpoint), ..self.shop.ask(self.users[user], Usd(full)) }
    }

    async fn hold(&mut self, user: usize, key: usize, full: i64, floor: i64, checkpoint: i64) {
        let result = self.meter.hold(self.request(user, key, full, floor, checkpoint)).await;
        let (number, _) = self.key(user, key);
        let (by_key, by_user) = Self::budgets(user, key);
        let (by_key, by_user) = (self.bounds(by_key), self.bounds(by_user));
        match (result, self.model.hold(user, number, (&by_key, &by_user), full, floor, checkpoint)) {
            (Ok(hold), Ok(amount)) => {
                assert_eq!(hold.amount, Usd(amount));
                let legs: Vec<(i64, i64)> = hold.legs.iter().map(|leg| (leg.credit.0, leg.amount.0)).collect();
                assert_eq!(legs, self.model.holds.last().unwrap().legs);
                self.holds.push(hold);
            }
            (Err(LedgerError::InsufficientBalance { available }), Err(Refusal::Balance(said))) => assert_eq!(available, Usd(said)),
            (Err(LedgerError::KeyBudgetExhausted { left } | LedgerError::PeriodBudgetExhausted { left, .. }), Err(Refusal::Budget(said))) => {
                assert_eq!(left, Usd(said))
            }
            (shop, model) => panic!("the shop says {shop:?}, the model {model:?}"),
        }
    }

    /// The caller goes after its request was queued: nothing may stay held.
    async fn dropped_hold(&mut self, user: usize, full: i64) {
        tokio::select! {
            biased;
            _ = self.meter.hold(self.request(user, 0, full, 1, 50)) => panic!("the writer cannot have answered yet"),
            () = std::future::ready(()) => {}
        }
        self.settled().await;
    }

    /// An id that was used before: refused, and the hold that has it stays.
    async fn duplicate_hold(&mut self, pick: usize, full: i64) {
        let hold = &self.holds[pick % self.holds.len()];
        let request = HoldRequest { id: hold.id, ..self.shop.ask(hold.user, Usd(full)) };
        let refused = self.meter.hold(request).await;
        assert!(matches!(refused, Err(LedgerError::Database(_) | LedgerError::InsufficientBalance { .. })), "{refused:?}");
        self.settled().await;
    }

    async fn settle(&mut self, pick: usize, cost: Cost, times: usize) {
        let n = pick % self.holds.len();
        let hold = self.holds[n].clone();
        let cost = match cost {
            Cost::Nothing => 0,
            Cost::Part(percent) => hold.amount.0 * percent / 100,
            Cost::Over(more) => hold.amount.0 + more,
        };
        let (charged, absorbed) = self.model.settle(n, cost, false);
        let again = (0..times).map(|_| self.meter.settle(hold.clone(), Usd(cost), self.shop.note(hold.id)));
        for charge in futures_util::future::join_all(again).await {
            let charge = charge.unwrap();
            assert_eq!((charge.charged, charge.absorbed), (Usd(charged), Usd(absorbed)), "hold {n} at {cost}");
        }
        let finished = self.shop.notes_of(hold.id).await.into_iter().filter(|(note, _)| !note.recovered).count();
        assert_eq!(finished, 1, "the journal hears of the end once");
    }

    async fn checkpoint(&mut self, pick: usize, amount: i64) {
        let n = pick % self.holds.len();
        for part in [amount / 2, amount, amount / 3] {
            self.meter.checkpoint(self.holds[n].id, Usd(part));
        }
        self.settled().await;
        self.model.holds[n].checkpoint = self.model.holds[n].checkpoint.max(amount);
    }

    async fn adjust(&mut self, user: usize, delta: i64) {
        let key = format!("by-hand:{}", self.shop.kit.ids.next());
        let result = self.shop.adjust(self.users[user], Usd(delta), &key).await;
        if delta == 0 {
            assert!(matches!(result, Err(LedgerError::BadAmount(_))));
            return;
        }
        let now = self.model.now;
        let said = if delta > 0 {
            let id = self.newest_credit(user).await;
            self.model.grant(user, Credit { id, kind: 2, posted: delta, held: 0, priority: 100, effective: now, expires: NEVER });
            Ok(())
        } else {
            self.model.take(user, -delta)
        };
        match (result, said) {
            (Ok(()), Ok(())) => self.adjusted.push((user, Usd(delta), key)),
            (Err(LedgerError::InsufficientBalance { available }), Err(said)) => assert_eq!(available, Usd(said)),
            (shop, model) => panic!("the shop says {shop:?}, the model {model:?}"),
        }
    }

    async fn newest_credit(&self, user: usize) -> i64 {
        let query = sqlx::query_scalar::<sqlx::Any, i64>("SELECT MAX(id) FROM credit WHERE user_id = $1").bind(self.users[user].0);
        query.fetch_one(&mut *self.shop.db().read().await.unwrap()).await.unwrap()
    }

    async fn recover(&mut self) {
        let recovery = recover_node(self.shop.db(), &self.shop.kit, self.shop.notes.clone(), self.run).await.unwrap();
        let open: Vec<usize> = (0..self.holds.len()).filter(|&n| self.model.holds[n].state == State::Open).collect();
        let charged: i64 = open.iter().map(|&n| self.model.settle(n, self.model.holds[n].checkpoint, true).0).sum();
        assert_eq!((recovery.holds, recovery.charged), (open.len() as u64, Usd(charged)));
    }

    async fn settled(&self) {
        for _ in 0..2 {
            self.meter.note(Note { id: Id(0), recovered: false }).await.unwrap();
        }
    }

    async fn compare(&self, step: &Step) {
        for (wallet, user) in self.model.wallets.iter().zip(&self.users) {
            let balance = self.shop.balance(*user).await;
            let held: i64 = wallet.credits.iter().map(|c| c.held).sum();
            assert_eq!((balance.available, balance.held, balance.owed), (Usd(wallet.available(self.model.now)), Usd(held), Usd(wallet.owed)), "{step:?}");
            let mut here: Vec<(i64, i64, i64)> = balance.credits.iter().map(|c| (c.bucket.id.0, c.bucket.posted.0, c.bucket.held.0)).collect();
            let mut there: Vec<(i64, i64, i64)> = wallet.credits.iter().filter(|c| c.posted > 0).map(|c| (c.id, c.posted, c.held)).collect();
            here.sort_unstable();
            there.sort_unstable();
            assert_eq!(here, there, "{step:?}");
        }
        for user in 0..USERS {
            for key in 0..KEYS {
                let (number, id) = self.key(user, key);
                let (spent, held, _) = self.shop.key(id).await;
                let said = self.model.keys.get(&number).map_or((0, 0), |(log, held)| (log.total(), *held));
                assert_eq!((spent, held), said, "{step:?}");
            }
        }
    }
}
