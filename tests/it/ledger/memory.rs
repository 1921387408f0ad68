//! What the writer remembers instead of reading it again, and who may have written in between.

use super::{Notes, START, Shop, kit};
use farebox::db::{Db, Engine};
use farebox::kernel::{Clock, Id, Random, Usd};
use farebox::ledger::{Budgets, Hold, HoldRequest, LedgerError, Meter, NodeRun, recover_node};
use futures_util::future::join_all;
use std::sync::Arc;

/// A shop whose writer knows a customer's wallet, in which 990 are left, and has an open hold of 100 of them.
async fn known() -> (Shop, Id, Hold) {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(1000)).await;
    let first = shop.meter.hold(shop.ask(user, Usd(100))).await.unwrap();
    let hold = shop.meter.hold(shop.ask(user, Usd(100))).await.unwrap();
    assert_eq!(shop.meter.settle(first, Usd(10), None).await.unwrap().charged, Usd(10));
    must_be_remembered(&shop, &shop.meter, 2);
    (shop, user, hold)
}

/// So many groups were written without reading; on PostgreSQL none is.
fn must_be_remembered(shop: &Shop, meter: &Meter<Notes>, groups: u64) {
    assert_eq!(meter.remembered(), if shop.db().engine() == Engine::Sqlite { groups } else { 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_else_has_changed_is_not_read_again() {
    let (shop, user, hold) = known().await;
    shop.meter.checkpoint(hold.id, Usd(5));
    shop.settled().await;
    let before = shop.meter.remembered();
    for n in 1..=20 {
        shop.kit.clock.advance(if n == 10 { 40 * 24 * 3_600_000 } else { 1 });
        let hold = shop.meter.hold(shop.ask(user, Usd(1000))).await.unwrap();
        assert_eq!(hold.amount, Usd(1000 - 100 - 10 - (n - 1) * 5));
        assert_eq!(shop.meter.settle(hold, Usd(5), None).await.unwrap().charged, Usd(5));
    }
    must_be_remembered(&shop, &shop.meter, before + 40);
    assert_eq!(shop.key(hold.key).await, (110, 100, 21));
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credit_that_is_used_up_is_forgotten_and_one_that_is_filled_again_is_not() {
    let (shop, user, hold) = known().await;
    let all = shop.meter.hold(shop.ask(user, Usd(5000))).await.unwrap();
    assert_eq!(shop.meter.settle(all, Usd(890), None).await.unwrap().charged, Usd(890));
    assert_eq!(shop.meter.settle(hold, Usd(100), None).await.unwrap().charged, Usd(100));
    for _ in 0..2 {
        let refused = shop.meter.hold(shop.ask(user, Usd(1))).await;
        assert!(matches!(refused, Err(LedgerError::InsufficientBalance { available: Usd(0) })), "{refused:?}");
    }
    must_be_remembered(&shop, &shop.meter, 7);
    // A recovery charges everything once more; the late word gives it back, into a credit that was empty.
    shop.grant(shop.gift(user, Usd(300))).await.unwrap();
    let lost = shop.meter.hold(HoldRequest { checkpoint: Usd(300), ..shop.ask(user, Usd(300)) }).await.unwrap();
    recover_node(shop.db(), &shop.kit, shop.notes.clone(), shop.run).await.unwrap();
    assert_eq!(shop.meter.settle(lost, Usd(100), None).await.unwrap().charged, Usd(100));
    let before = shop.meter.remembered();
    assert_eq!(shop.meter.hold(shop.ask(user, Usd(5000))).await.unwrap().amount, Usd(200));
    must_be_remembered(&shop, &shop.meter, before + 1);
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_transaction_of_the_process_has_written_is_seen() {
    let (shop, user, _hold) = known().await;
    shop.adjust(user, Usd(-700), "less").await.unwrap();
    let hold = shop.meter.hold(shop.ask(user, Usd(10))).await.unwrap();
    shop.must_be_clean().await;
    shop.grant(shop.gift(user, Usd(400))).await.unwrap();
    assert_eq!(shop.meter.hold(shop.ask(user, Usd(5000))).await.unwrap().amount, Usd(580));
    shop.allow_debt(user, Usd(50)).await;
    let charge = shop.meter.settle(hold, Usd(100), None).await.unwrap();
    assert_eq!((charge.charged, charge.absorbed), (Usd(60), Usd(40)), "ten were held and fifty may be owed");
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_has_written_is_seen() {
    let (shop, user, _hold) = known().await;
    let other = Db::connect(&shop.test.url).await.unwrap();
    let mut tx = other.write().await.unwrap();
    shop.books.adjust(&mut tx, user, Usd(-700), "by hand".into(), "less".into()).await.unwrap();
    tx.commit().await.unwrap();
    let hold = shop.meter.hold(shop.ask(user, Usd(10))).await.unwrap();
    shop.must_be_clean().await;
    let mut tx = other.write().await.unwrap();
    shop.books.grant(&mut tx, shop.gift(user, Usd(400))).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(shop.meter.hold(shop.ask(user, Usd(5000))).await.unwrap().amount, Usd(580));
    // Another writer's holds and charges, one after the other with this one's.
    let (meter, _) = Meter::start(other, kit(&Clock::manual(START), 2), NodeRun { slot: 2, incarnation: 1 }, Notes::default());
    shop.meter.settle(hold, Usd::ZERO, None).await.unwrap();
    for n in 0..10 {
        let turn = if n % 2 == 0 { &meter } else { &shop.meter };
        let hold = turn.hold(shop.ask(user, Usd(5000))).await.unwrap();
        assert_eq!(hold.amount, Usd(10 - n));
        assert_eq!(turn.settle(hold, Usd(1), None).await.unwrap().charged, Usd(1));
    }
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_has_ended_before_is_looked_at() {
    let (shop, user, hold) = known().await;
    assert_eq!(shop.meter.settle(hold.clone(), Usd(60), None).await.unwrap().charged, Usd(60));
    let before = shop.meter.remembered();
    let (replay, fresh) = tokio::join!(shop.meter.settle(hold.clone(), Usd(90), None), shop.meter.hold(shop.ask(user, Usd(5000))));
    assert_eq!((replay.unwrap().charged, fresh.unwrap().amount), (Usd(60), Usd(930)));
    assert_eq!(shop.key(hold.key).await, (70, 930, 2));
    assert!(shop.meter.remembered() <= before + 1, "the replay was read");
    // Ended by another process, and then told of late.
    let lost = shop.meter.hold(shop.ask(user, Usd(5))).await;
    assert!(matches!(lost, Err(LedgerError::InsufficientBalance { .. })), "everything is held");
    shop.grant(shop.gift(user, Usd(100))).await.unwrap();
    let lost = shop.meter.hold(HoldRequest { checkpoint: Usd(20), ..shop.ask(user, Usd(50)) }).await.unwrap();
    let other = Db::connect(&shop.test.url).await.unwrap();
    recover_node(&other, &shop.kit, Notes::default(), shop.run).await.unwrap();
    assert_eq!(shop.meter.settle(lost, Usd(30), None).await.unwrap().charged, Usd(30));
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_cannot_be_written_from_memory_leaves_no_trace() {
    let (shop, user, hold) = known().await;
    let before = shop.meter.remembered();
    let duplicate = shop.meter.hold(HoldRequest { id: hold.id, ..shop.ask(user, Usd(50)) }).await;
    assert!(matches!(duplicate, Err(LedgerError::Database(_))), "{duplicate:?}");
    assert_eq!(shop.meter.remembered(), before, "nothing of it was written");
    assert_eq!((shop.balance(user).await.held, shop.key(hold.key).await), (Usd(100), (10, 100, 1)));
    assert_eq!(shop.meter.hold(shop.ask(user, Usd(5000))).await.unwrap().amount, Usd(890), "nor remembered");
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_dropped_leaves_nothing_behind() {
    let (shop, user, _hold) = known().await;
    for _ in 0..3 {
        let mut tx = shop.db().write().await.unwrap();
        shop.books.grant(&mut tx, shop.gift(user, Usd(1000))).await.unwrap();
        drop(tx);
        drop(shop.db().write_with(&[]).await.unwrap());
        let before = shop.meter.remembered();
        let hold = shop.meter.hold(shop.ask(user, Usd(5000))).await.unwrap();
        assert_eq!(hold.amount, Usd(890));
        shop.meter.settle(hold, Usd::ZERO, None).await.unwrap();
        must_be_remembered(&shop, &shop.meter, before + 1);
    }
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_every_size_are_written() {
    let shop = Shop::open().await;
    let mut users = Vec::new();
    for _ in 0..7 {
        users.push(shop.customer(Usd(1_000_000)).await);
    }
    let mut spent = 0;
    for size in [1, 2, 3, 7, 20, 70, 300, 300, 7, 1] {
        let ask = |n: usize| HoldRequest { key: Id(users[n % 7].0 + 1 + (n / 7 % 3) as i64), ..shop.ask(users[n % 7], Usd(100)) };
        let holds: Vec<Hold> = join_all((0..size).map(|n| shop.meter.hold(ask(n)))).await.into_iter().map(Result::unwrap).collect();
        let settles = holds.into_iter().enumerate().map(|(n, hold)| {
            spent += n as i64 % 120;
            let note = shop.note(hold.id);
            shop.meter.settle(hold, Usd(n as i64 % 120), note)
        });
        assert!(join_all(settles).await.iter().all(Result::is_ok));
    }
    assert_eq!(shop.count("SELECT CAST(SUM(spent) AS BIGINT) FROM wallet").await, spent);
    assert_eq!(shop.count("SELECT COUNT(*) FROM setting WHERE name LIKE 'note:%'").await, 711);
    shop.must_be_clean().await;
}

/// Holds and settles, and now and then something that only the other connection or the other writers know of.
async fn race(shop: Arc<Shop>, meter: Meter<Notes>, db: Db, user: Id, seed: u64) {
    let random = Random::seeded(seed);
    for n in 0..60 {
        let request = HoldRequest { key_budget: Budgets::total(Some(Usd(1_000_000))), ..shop.ask(user, Usd(1 + random.below(500) as i64)) };
        if let Ok(hold) = meter.hold(request).await {
            let cost = Usd(random.below(600) as i64);
            let (a, b) = tokio::join!(meter.settle(hold.clone(), cost, None), meter.settle(hold, cost, None));
            assert_eq!(a.unwrap(), b.unwrap());
        }
        if n % 7 == 0 {
            let mut tx = db.write().await.unwrap();
            let key = format!("{seed}:{n}");
            let _ = shop.books.adjust(&mut tx, user, Usd(random.below(800) as i64 - 300), "race".into(), key).await;
            tx.commit().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_that_remember_race_with_each_other_and_with_the_back_office() {
    let shop = Arc::new(Shop::open().await);
    let user = shop.customer(Usd(20_000)).await;
    let other = Db::connect(&shop.test.url).await.unwrap();
    let start = |db: &Db, slot| Meter::start(db.clone(), kit(&Clock::manual(START), slot), NodeRun { slot, incarnation: 1 }, Notes::default()).0;
    let (second, third) = (start(shop.db(), 2), start(&other, 3));
    let racers = [(shop.meter.clone(), shop.db()), (shop.meter.clone(), &other), (second, shop.db()), (third.clone(), &other), (third, shop.db())];
    let racers = racers.into_iter().enumerate().map(|(n, (meter, db))| tokio::spawn(race(shop.clone(), meter, db.clone(), user, n as u64)));
    for racer in join_all(racers).await {
        racer.unwrap();
    }
    shop.settled().await;
    assert_eq!(shop.balance(user).await.held, Usd::ZERO);
    shop.must_be_clean().await;
}
