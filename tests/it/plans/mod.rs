//! Plans: what is sold once is sold once, what was paid for is granted once, and everything ends when it should. The books are proved after each.

mod changes;
mod limits;
mod races;
mod terms;

use crate::harness::{TestDb, kit, verified_user};
use farebox::kernel::{Id, Kit, Usd};
use farebox::ledger::{Books, CreditKind, Grant, HoldRequest, House, Meter, NodeRun, Pays, Posting, Take, TransferKind, audit};
use farebox::plans::{self, Activated, Activation, BuyWay, PlanDraft, Refused, Renewal, Renewed, RenewedTerm, Reserve, Reserved, Stretch};
use farebox::usage::Journal;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::HashMap;

/// A shop that sells plans, with a clock that stands still.
pub struct Shop {
    pub test: TestDb,
    pub kit: Kit,
    pub books: Books,
    pub zone: TimeZone,
}

/// A month for 10 dollars that grants 12, and stops.
fn form() -> HashMap<&'static str, &'static str> {
    HashMap::from([
        ("name", "Starter"),
        ("price", "10"),
        ("sold", "both"),
        ("length", "1"),
        ("length_unit", "month"),
        ("allowance", "12"),
        ("reset", "none"),
        ("used_up", "stop"),
        ("stacking", "extend"),
        ("visibility", "public"),
    ])
}

pub fn draft(fields: &[(&'static str, &'static str)]) -> PlanDraft {
    let mut form = form();
    form.extend(fields.iter().copied());
    PlanDraft::parse(|name| form.get(name).copied().unwrap_or_default()).expect("a valid plan")
}

pub fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

impl Shop {
    pub async fn open() -> Self {
        let kit = kit();
        Self { test: TestDb::new().await, books: Books::new(kit.clone()), kit, zone: TimeZone::UTC }
    }

    /// Moves the hands to a moment and runs what is due.
    pub async fn go_to(&self, moment: &str) {
        self.kit.clock.advance(at(moment) - self.kit.clock.now_ms());
        self.run().await;
    }

    pub async fn run(&self) {
        plans::run_due(&self.test.db, &self.kit, &self.books).await.unwrap();
        self.books.expire(&self.test.db).await.unwrap();
    }

    pub async fn plan(&self, fields: &[(&'static str, &'static str)]) -> Id {
        plans::save(&self.test.db, &self.kit, Id(1), None, &draft(fields)).await.unwrap()
    }

    pub async fn customer(&self) -> Id {
        let user = verified_user(&self.test.db, &self.kit).await;
        let mut tx = self.test.db.write().await.unwrap();
        self.books.open_wallet(&mut tx, user).await.unwrap();
        tx.commit().await.unwrap();
        user
    }

    /// Paid credit.
    pub async fn pay_in(&self, user: Id, amount: Usd) {
        let mut tx = self.test.db.write().await.unwrap();
        let grant = Grant {
            user,
            kind: CreditKind::Paid,
            from: House::Cash,
            amount,
            priority: 100,
            effective_at: 0,
            expires_at: i64::MAX,
            scope: farebox::ledger::EVERYTHING,
            reference: "top-up".into(),
            idempotency_key: format!("top-up:{}", self.kit.ids.next()),
        };
        self.books.grant(&mut tx, grant).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub async fn reserve(&self, user: Id, plan: Id, order: Id, way: BuyWay) -> Result<Reserved, Refused> {
        let mut tx = self.test.db.write().await.unwrap();
        let reserved = plans::reserve(&mut tx, &self.kit, &Reserve { user, plan, order, way }).await?;
        tx.commit().await.unwrap();
        Ok(reserved)
    }

    pub async fn release(&self, order: Id) {
        let mut tx = self.test.db.write().await.unwrap();
        plans::release(&mut tx, &self.kit, order).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Pays an order of 10 dollars out of the wallet's credit, as orders do.
    pub async fn pay(&self, user: Id, plan: Id, order: Id) -> Activated {
        self.try_pay(user, plan, order).await.unwrap()
    }

    pub async fn try_pay(&self, user: Id, plan: Id, order: Id) -> Result<Activated, plans::SubscriptionError> {
        let mut tx = self.test.db.write().await.unwrap();
        let amount = Usd::dollars(10);
        let take = Take {
            user,
            amount,
            to: House::Plans,
            kind: TransferKind::Purchase,
            kinds: Take::ANY,
            reference: "plan".into(),
            idempotency_key: format!("order:{order}"),
        };
        self.books.take(&mut tx, &take).await?;
        let activation = Activation { user, plan, order, paid: amount, funding: House::Plans, renewal: Renewal::Once, zone: &self.zone };
        let activated = plans::activate(&mut tx, &self.kit, &self.books, &activation).await?;
        tx.commit().await.unwrap();
        Ok(activated)
    }

    /// Reserves and pays, with credit for it.
    pub async fn buy(&self, user: Id, plan: Id) -> Activated {
        self.pay_in(user, Usd::dollars(10)).await;
        let order = self.kit.ids.next();
        self.reserve(user, plan, order, BuyWay::Once).await.unwrap();
        self.pay(user, plan, order).await
    }

    /// A subscription by card, whose first term has been paid.
    pub async fn subscribe(&self, user: Id, plan: Id, paid: Usd) -> Id {
        let order = self.kit.ids.next();
        let reserved = self.reserve(user, plan, order, BuyWay::Subscription).await.unwrap();
        let mut tx = self.test.db.write().await.unwrap();
        let renewal = Renewal::Provider { id: format!("sub_{order}"), bounds: None };
        let activation = Activation { user, plan, order, paid, funding: House::Cash, renewal, zone: &self.zone };
        let activated = plans::activate(&mut tx, &self.kit, &self.books, &activation).await.unwrap();
        tx.commit().await.unwrap();
        assert!(reserved.trial_days == 0 || paid == Usd::ZERO);
        activated.subscription
    }

    /// Collects an invoice and posts what was paid, as webhooks do.
    pub async fn renew(&self, user: Id, subscription: Id, invoice: &str, bounds: Option<Stretch>, paid: Usd) -> Renewed {
        let mut tx = self.test.db.write().await.unwrap();
        let renewed =
            plans::renewed(&mut tx, &self.kit, &self.books, &RenewedTerm { subscription, invoice, bounds, version: None, paid, order: None }).await.unwrap();
        if renewed == Renewed::Fresh && paid > Usd::ZERO {
            let posting = Posting {
                user,
                debit: House::Cash,
                credit: House::Plans,
                amount: paid,
                kind: TransferKind::Sale,
                reference: invoice.into(),
                idempotency_key: format!("invoice:{invoice}"),
            };
            self.books.post(&mut tx, &posting).await.unwrap();
        }
        tx.commit().await.unwrap();
        renewed
    }

    pub async fn cancel(&self, subscription: Id, ending: plans::Ending) -> Result<Usd, plans::SubscriptionError> {
        let mut tx = self.test.db.write().await.unwrap();
        let moved = plans::cancel(&mut tx, &self.kit, &self.books, subscription, ending).await?;
        tx.commit().await.unwrap();
        Ok(moved)
    }

    /// What the plans' allowances have left.
    pub async fn in_plans(&self, user: Id) -> Usd {
        self.books.balance(&mut self.test.db.read().await.unwrap(), user).await.unwrap().in_plans
    }

    pub async fn views(&self, user: Id) -> Vec<plans::SubscriptionView> {
        plans::of_user(&mut self.test.db.read().await.unwrap(), user, None, 100).await.unwrap()
    }

    /// Spends of a subscription's allowance.
    pub async fn spend(&self, user: Id, scope: Id, cost: Usd) {
        let (meter, writer) = Meter::start(self.test.db.clone(), self.kit.clone(), NodeRun { slot: 1, incarnation: 1 }, Journal);
        let request = HoldRequest {
            id: self.kit.ids.next(),
            user,
            key: Id(77),
            key_budget: farebox::ledger::Budgets::default(),
            user_budget: farebox::ledger::Budgets::default(),
            full: cost,
            floor: cost,
            pays: Pays { scopes: vec![scope], wallet: false },
            checkpoint: Usd::ZERO,
            memo: String::new(),
        };
        let hold = meter.hold(request).await.unwrap();
        meter.settle(hold, cost, None).await.unwrap();
        meter.close();
        writer.await.unwrap();
    }

    /// The balances of house accounts: debits less credits.
    pub async fn house(&self) -> HashMap<&'static str, Usd> {
        let report = audit(&self.test.db).await.unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
        assert_eq!(plans::audit(&mut self.test.db.snapshot().await.unwrap()).await.unwrap(), None);
        let name = |house: House| match house {
            House::Plans => "plans",
            House::Revenue => "revenue",
            House::Promotion => "promotion",
            House::Breakage => "breakage",
            House::Cash => "cash",
            _ => "other",
        };
        report.house.iter().map(|(house, usd)| (name(*house), *usd)).collect()
    }

    /// Proves the books, and that nothing of what was paid for plans is left over.
    pub async fn close(self) {
        assert_eq!(self.house().await.get("plans").copied().unwrap_or_default(), Usd::ZERO, "what was paid has all been granted or earned");
    }
}
