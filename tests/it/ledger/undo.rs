//! What is bought with credit, what goes back to its payer, what is frozen, and what only some credits pay for.

use super::Shop;
use farebox::kernel::{Id, NEVER, Usd};
use farebox::ledger::store::CreditRow;
use farebox::ledger::{CreditKind, Grant, HoldRequest, House, LedgerError, Pays, Posting, Spent, Take, TakeBack, TakenBack, TransferKind};
use std::sync::Arc;

impl Shop {
    async fn take(&self, user: Id, amount: i64, kinds: &'static [CreditKind], key: &str) -> Result<(), LedgerError> {
        let take =
            Take { user, amount: Usd(amount), to: House::Plans, kind: TransferKind::Purchase, kinds, reference: "order".into(), idempotency_key: key.into() };
        let mut tx = self.db().write().await?;
        self.books.take(&mut tx, &take).await?;
        Ok(tx.commit().await?)
    }

    async fn take_back(&self, user: Id, credit: Id, amount: i64, spent: Spent, key: &str) -> Result<TakenBack, LedgerError> {
        let (to, kind, reference) = (House::Cash, TransferKind::Refund, "order".to_owned());
        let back = TakeBack { user, credit, amount: Usd(amount), to, spent, kind, reference, idempotency_key: key.to_owned() };
        let mut tx = self.db().write().await?;
        let taken = self.books.take_back(&mut tx, &back).await?;
        tx.commit().await?;
        Ok(taken)
    }

    async fn freeze(&self, user: Id, credit: Id) -> Usd {
        let mut tx = self.db().write().await.unwrap();
        let left = self.books.freeze(&mut tx, user, credit).await.unwrap();
        tx.commit().await.unwrap();
        left
    }

    async fn thaw(&self, user: Id, credit: Id) {
        let mut tx = self.db().write().await.unwrap();
        self.books.thaw(&mut tx, user, credit).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn bought(&self, user: Id, amount: i64) -> Id {
        let grant = Grant { kind: CreditKind::Paid, from: House::Cash, ..self.gift(user, Usd(amount)) };
        self.grant(grant).await.unwrap().credit_id
    }

    async fn use_up(&self, user: Id, amount: i64) {
        let hold = self.meter.hold(self.ask(user, Usd(amount))).await.unwrap();
        let note = self.note(hold.id);
        self.meter.settle(hold, Usd(amount), note).await.unwrap();
    }

    async fn credit(&self, user: Id, id: Id) -> Option<CreditRow> {
        self.balance(user).await.credits.into_iter().find(|credit| credit.bucket.id == id)
    }

    async fn available(&self, user: Id) -> i64 {
        self.balance(user).await.available.0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_purchases_at_once_take_what_is_there_and_no_more() {
    let shop = Arc::new(Shop::open().await);
    let user = shop.customer(Usd(70)).await;
    shop.bought(user, 30).await;
    let buyers = (0..50).map(|n| {
        let shop = Arc::clone(&shop);
        tokio::spawn(async move { shop.take(user, 20, Take::ANY, &format!("order:{n}")).await })
    });
    let mut bought = 0;
    for buyer in buyers.collect::<Vec<_>>() {
        match buyer.await.unwrap() {
            Ok(()) => bought += 1,
            Err(error) => assert!(matches!(error, LedgerError::InsufficientBalance { available: Usd(0) }), "{error}"),
        }
    }
    assert_eq!((bought, shop.available(user).await), (5, 0));
    shop.must_be_clean().await;
}

#[tokio::test]
async fn the_same_purchase_is_paid_once_and_only_by_credit_of_its_kinds() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(50)).await;
    shop.bought(user, 30).await;
    for _ in 0..3 {
        shop.take(user, 20, &[CreditKind::Paid], "order:1").await.unwrap();
    }
    assert_eq!(shop.available(user).await, 60);
    let error = shop.take(user, 11, &[CreditKind::Paid], "order:2").await.unwrap_err();
    assert!(matches!(error, LedgerError::InsufficientBalance { available: Usd(10) }), "{error}");
    let error = shop.take(user, 19, &[CreditKind::Paid], "order:1").await.unwrap_err();
    assert!(matches!(error, LedgerError::IdempotencyConflict(_)), "{error}");
    assert!(matches!(shop.take(user, 0, Take::ANY, "order:3").await, Err(LedgerError::BadAmount(_))));
    shop.must_be_clean().await;
}

#[tokio::test]
async fn between_the_shops_own_accounts_a_key_posts_once() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(1)).await;
    let sale = Posting {
        user,
        debit: House::Cash,
        credit: House::Plans,
        amount: Usd(10),
        kind: TransferKind::Sale,
        reference: "order".into(),
        idempotency_key: "sale:1".into(),
    };
    let post = async |posting: &Posting| {
        let mut tx = shop.db().write().await?;
        let fresh = shop.books.post(&mut tx, posting).await?;
        tx.commit().await?;
        Ok::<bool, LedgerError>(fresh)
    };
    assert_eq!([post(&sale).await.unwrap(), post(&sale).await.unwrap()], [true, false]);
    let other = Posting { amount: Usd(11), ..sale.clone() };
    assert!(matches!(post(&other).await, Err(LedgerError::IdempotencyConflict(_))));
    assert!(matches!(post(&Posting { amount: Usd(0), ..sale }).await, Err(LedgerError::BadAmount(_))));
    shop.must_be_clean().await;
}

#[tokio::test]
async fn what_was_spent_of_a_refund_is_owed_or_lost() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(1)).await;
    shop.use_up(user, 1).await;
    let credit = shop.bought(user, 100).await;
    shop.use_up(user, 40).await;
    let first = shop.take_back(user, credit, 50, Spent::Owed, "refund:1").await.unwrap();
    assert_eq!(first, TakenBack { unspent: Usd(50), ..TakenBack::default() });
    let second = shop.take_back(user, credit, 30, Spent::Owed, "refund:2").await.unwrap();
    assert_eq!(second, TakenBack { unspent: Usd(10), owed: Usd(20), lost: Usd(0) });
    let third = shop.take_back(user, credit, 20, Spent::Lost, "refund:3").await.unwrap();
    assert_eq!(third, TakenBack { lost: Usd(20), ..TakenBack::default() });
    assert_eq!(shop.take_back(user, credit, 30, Spent::Owed, "refund:2").await.unwrap(), second, "a replay tells what was done");
    for (amount, spent) in [(31, Spent::Owed), (30, Spent::Lost)] {
        let error = shop.take_back(user, credit, amount, spent, "refund:2").await.unwrap_err();
        assert!(matches!(error, LedgerError::IdempotencyConflict(_)), "{error}");
    }
    assert_eq!(shop.take_back(user, credit, 20, Spent::Kept, "bonus:1").await.unwrap(), TakenBack::default(), "nothing is left, and nobody owes it");
    let balance = shop.balance(user).await;
    assert_eq!((balance.available, balance.owed), (Usd(0), Usd(20)));
    let next = shop.bought(user, 25).await;
    assert_eq!(shop.credit(user, next).await.unwrap().bucket.posted, Usd(5), "the debt is paid first");
    assert!(matches!(shop.take_back(user, Id(7), 1, Spent::Lost, "refund:4").await, Err(LedgerError::UnknownCredit(Id(7)))));
    let other = shop.customer(Usd(1)).await;
    assert!(matches!(shop.take_back(other, next, 1, Spent::Lost, "refund:5").await, Err(LedgerError::UnknownCredit(_))));
    shop.must_be_clean().await;
}

#[tokio::test]
async fn a_refund_waits_for_what_is_in_flight_and_a_frozen_credit_pays_for_nothing_new() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(1)).await;
    shop.use_up(user, 1).await;
    let credit = shop.bought(user, 100).await;
    let hold = shop.meter.hold(shop.ask(user, Usd(60))).await.unwrap();
    assert_eq!(shop.freeze(user, credit).await, Usd(40));
    assert_eq!(shop.freeze(user, credit).await, Usd(40), "a second time changes nothing");
    assert_eq!(shop.available(user).await, 0);
    let error = shop.meter.hold(shop.ask(user, Usd(1))).await.unwrap_err();
    assert!(matches!(error, LedgerError::InsufficientBalance { available: Usd(0) }), "{error}");
    let error = shop.take_back(user, credit, 100, Spent::Owed, "refund:1").await.unwrap_err();
    assert!(matches!(error, LedgerError::InFlight { held: Usd(60) }), "{error}");
    let note = shop.note(hold.id);
    shop.meter.settle(hold, Usd(25), note).await.unwrap();
    let taken = shop.take_back(user, credit, 100, Spent::Owed, "refund:1").await.unwrap();
    assert_eq!(taken, TakenBack { unspent: Usd(75), owed: Usd(25), lost: Usd(0) });
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refunds_that_race_with_spending_never_give_money_twice() {
    let shop = Arc::new(Shop::open().await);
    let user = shop.customer(Usd(1)).await;
    shop.use_up(user, 1).await;
    let credit = shop.bought(user, 1_000).await;
    let spenders = (0..25).map(|_| {
        let shop = Arc::clone(&shop);
        tokio::spawn(async move {
            let Ok(hold) = shop.meter.hold(shop.ask(user, Usd(60))).await else { return 0 };
            let note = shop.note(hold.id);
            let amount = hold.amount.min(Usd(40));
            shop.meter.settle(hold, amount, note).await.unwrap();
            amount.0
        })
    });
    let spenders: Vec<_> = spenders.collect();
    let refunds = (0..25).map(|_| {
        let shop = Arc::clone(&shop);
        tokio::spawn(async move {
            shop.freeze(user, credit).await;
            loop {
                match shop.take_back(user, credit, 1_000, Spent::Owed, "refund:all").await {
                    Err(LedgerError::InFlight { .. }) => tokio::task::yield_now().await,
                    taken => return taken.unwrap(),
                }
            }
        })
    });
    let refunds: Vec<_> = refunds.collect();
    let (mut spent, mut taken) = (0, Vec::new());
    for refund in refunds {
        taken.push(refund.await.unwrap());
    }
    for spender in spenders {
        spent += spender.await.unwrap();
    }
    assert!(taken.iter().all(|one| *one == taken[0]), "{taken:?}");
    assert_eq!(taken[0], TakenBack { unspent: Usd(1_000 - spent), owed: Usd(spent), lost: Usd(0) });
    assert_eq!(shop.balance(user).await.owed, Usd(spent));
    shop.must_be_clean().await;
}

#[tokio::test]
async fn a_thawed_credit_has_as_much_time_as_it_had() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(1)).await;
    let now = shop.kit.clock.now_ms();
    let lasting = shop.bought(user, 10).await;
    let grant = Grant { expires_at: now + 1_000, ..shop.gift(user, Usd(5)) };
    let short = shop.grant(grant).await.unwrap().credit_id;
    shop.kit.clock.advance(400);
    for credit in [lasting, short] {
        shop.freeze(user, credit).await;
    }
    shop.kit.clock.advance(10_000);
    assert_eq!(shop.books.expire(shop.db()).await.unwrap(), 0, "what is frozen does not expire");
    for credit in [lasting, short, short] {
        shop.thaw(user, credit).await;
    }
    assert_eq!(shop.credit(user, lasting).await.unwrap().bucket.expires_at, NEVER);
    assert_eq!(shop.available(user).await, 16);
    shop.kit.clock.advance(599);
    assert_eq!(shop.available(user).await, 16);
    shop.kit.clock.advance(1);
    assert_eq!(shop.available(user).await, 11);
    shop.must_be_clean().await;
}

#[tokio::test]
async fn a_credit_with_a_scope_pays_only_for_that_and_leaves_the_rest_to_the_wallet() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(100)).await;
    let plan = Id(4711);
    let grant = Grant { kind: CreditKind::Plan, from: House::Plans, scope: plan, priority: 50, ..shop.gift(user, Usd(30)) };
    let allowance = shop.grant(grant).await.unwrap().credit_id;
    let balance = shop.balance(user).await;
    assert_eq!((balance.available, balance.in_plans), (Usd(100), Usd(30)));
    let hold = async |full: i64, pays: Pays| shop.meter.hold(HoldRequest { pays, ..shop.ask(user, Usd(full)) }).await;
    let of_plan = |wallet| Pays { scopes: vec![plan], wallet };
    let legs = |hold: &farebox::ledger::Hold| hold.legs.iter().map(|leg| (leg.credit == allowance, leg.amount.0)).collect::<Vec<_>>();

    let uncovered = hold(120, Pays::default()).await.unwrap();
    assert_eq!(legs(&uncovered), [(false, 100)]);
    shop.meter.settle(uncovered, Usd(0), None).await.unwrap();
    let covered = hold(50, of_plan(true)).await.unwrap();
    assert_eq!(legs(&covered), [(true, 30), (false, 20)]);
    shop.meter.settle(covered, Usd(0), None).await.unwrap();
    let alone = hold(50, of_plan(false)).await.unwrap();
    assert_eq!(legs(&alone), [(true, 30)]);
    let error = hold(1, of_plan(false)).await.unwrap_err();
    assert!(matches!(error, LedgerError::InsufficientBalance { available: Usd(0) }), "{error}");
    let error = shop.take(user, 101, Take::ANY, "order:1").await.unwrap_err();
    assert!(matches!(error, LedgerError::InsufficientBalance { available: Usd(100) }), "an allowance buys nothing: {error}");
    // What it cost beyond its hold is taken from the wallet, since the plan has nothing left.
    let note = shop.note(alone.id);
    shop.meter.settle(alone, Usd(33), note).await.unwrap();
    let balance = shop.balance(user).await;
    assert_eq!((balance.available, balance.in_plans), (Usd(97), Usd(0)));
    shop.must_be_clean().await;
}

#[tokio::test]
async fn a_credit_that_ends_early_goes_where_it_is_told_and_what_is_held_expires() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(1)).await;
    shop.use_up(user, 1).await;
    let credit = shop.bought(user, 100).await;
    let hold = shop.meter.hold(shop.ask(user, Usd(60))).await.unwrap();
    for expected in [40, 0] {
        let mut tx = shop.db().write().await.unwrap();
        let left = shop.books.end_credit(&mut tx, user, credit, House::Revenue, "plan").await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(left, Usd(expected));
    }
    let note = shop.note(hold.id);
    shop.meter.settle(hold, Usd(10), note).await.unwrap();
    assert_eq!(shop.available(user).await, 0);
    shop.kit.clock.advance(1);
    assert_eq!(shop.books.expire(shop.db()).await.unwrap(), 1);
    shop.must_be_clean().await;
}
