//! What a dead node left, and what it says when it was not dead after all.

use super::{Notes, Shop, kit};
use farebox::db::Db;
use farebox::kernel::{Clock, Id, Usd};
use farebox::ledger::{CreditKind, Grant, Hold, HoldRequest, LedgerError, NodeRun, recover_dead, recover_node};
use futures_util::future::join_all;

/// A customer with 300 + 300 in two credits, and a hold of 400 whose request had cost 250 for sure.
async fn lost(shop: &Shop) -> (Id, Hold) {
    let user = shop.customer(Usd(300)).await;
    shop.grant(Grant { kind: CreditKind::Paid, ..shop.gift(user, Usd(300)) }).await.unwrap();
    let request = HoldRequest { checkpoint: Usd(100), ..shop.ask(user, Usd(400)) };
    let hold = shop.meter.hold(request).await.unwrap();
    shop.meter.checkpoint(hold.id, Usd(250));
    shop.meter.checkpoint(hold.id, Usd(180));
    shop.settled().await;
    (user, hold)
}

async fn recover(shop: &Shop) -> (u64, Usd) {
    let recovery = recover_node(shop.db(), &shop.kit, shop.notes.clone(), shop.run).await.unwrap();
    (recovery.holds, recovery.charged)
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_charges_the_last_checkpoint_once() {
    let shop = Shop::open().await;
    let (user, hold) = lost(&shop).await;
    assert_eq!(recover(&shop).await, (1, Usd(250)));
    assert_eq!(recover(&shop).await, (0, Usd::ZERO), "a second one changes nothing");
    let balance = shop.balance(user).await;
    assert_eq!((balance.available, balance.held), (Usd(350), Usd::ZERO));
    assert_eq!(shop.count("SELECT COUNT(*) FROM hold WHERE state = 'recovered'").await, 1);
    assert!(matches!(shop.notes_of(hold.id).await[..], [(ref note, charge)] if note.recovered && charge.charged == Usd(250)));
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recoveries_that_run_at_once_end_each_hold_once() {
    let shop = Shop::open().await;
    let mut sum = Usd::ZERO;
    for n in 0..300 {
        let user = if n % 10 == 0 { Some(shop.customer(Usd(100_000)).await) } else { None };
        let user = user.unwrap_or(Id(shop.count("SELECT MAX(user_id) FROM wallet").await));
        shop.meter.hold(HoldRequest { checkpoint: Usd(n), ..shop.ask(user, Usd(400)) }).await.unwrap();
        sum += Usd(n);
    }
    let other = Db::connect(&shop.test.url).await.unwrap();
    let all = join_all((0..4).map(|n| {
        let (db, kit, notes, run) =
            (if n % 2 == 0 { shop.db().clone() } else { other.clone() }, kit(&Clock::manual(super::START), 10 + n), Notes::default(), shop.run);
        tokio::spawn(async move { recover_node(&db, &kit, notes, run).await.unwrap() })
    }));
    let all: Vec<_> = all.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(all.iter().map(|recovery| recovery.holds).sum::<u64>(), 300);
    assert_eq!(all.iter().map(|recovery| recovery.charged).sum::<Usd>(), sum);
    assert_eq!(shop.count("SELECT CAST(SUM(amount) AS BIGINT) FROM transfer WHERE kind = 'capture'").await, sum.0);
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_dead_runs_are_recovered() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(1000)).await;
    let mut meters = Vec::new();
    for (slot, incarnation) in [(4, 1), (4, 2), (5, 1)] {
        let (meter, _) = farebox::ledger::Meter::start(shop.db().clone(), shop.kit.clone(), NodeRun { slot, incarnation }, Notes::default());
        meter.hold(HoldRequest { checkpoint: Usd(10), ..shop.ask(user, Usd(100)) }).await.unwrap();
        meters.push(meter);
    }
    let alive = |run: NodeRun| run == NodeRun { slot: 4, incarnation: 2 };
    let recovery = recover_dead(shop.db(), &shop.kit, Notes::default(), alive).await.unwrap();
    assert_eq!((recovery.holds, recovery.charged), (2, Usd(20)));
    assert_eq!(shop.balance(user).await.held, Usd(100));
    shop.must_be_clean().await;
}

/// A recovery, then the late word of the node: (cost, charged, balance).
async fn late(shop: &Shop, cost: i64, charged: i64, available: i64) {
    let (user, hold) = lost(shop).await;
    recover(shop).await;
    let again = (0..5).map(|_| shop.meter.settle(hold.clone(), Usd(cost), shop.note(hold.id)));
    for charge in join_all(again).await {
        assert_eq!(charge.unwrap().charged, Usd(charged), "at {cost}");
    }
    let replay = shop.meter.settle(hold.clone(), Usd(1), None).await.unwrap();
    assert_eq!(replay.charged, Usd(charged), "the first late word is the last");
    assert_eq!(shop.balance(user).await.available, Usd(available), "at {cost}");
    assert_eq!(shop.key(hold.key).await, (charged, 0, 1));
    assert_eq!(shop.notes_of(hold.id).await.len(), 2, "the recovery's entry and the right one");
    assert_eq!(recover(shop).await, (0, Usd::ZERO));
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_settlement_posts_only_the_difference() {
    let shop = Shop::open().await;
    for (cost, charged, available) in [(0, 0, 600), (100, 100, 500), (250, 250, 350), (251, 251, 349), (400, 400, 200), (550, 550, 50), (700, 600, 0)] {
        late(&shop, cost, charged, available).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_recovery_charged_too_much_goes_back_to_the_credits_that_paid() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(100)).await;
    shop.grant(Grant { kind: CreditKind::Paid, ..shop.gift(user, Usd(500)) }).await.unwrap();
    shop.allow_debt(user, Usd(50)).await;
    let hold = shop.meter.hold(HoldRequest { checkpoint: Usd(680), ..shop.ask(user, Usd(600)) }).await.unwrap();
    assert_eq!(recover(&shop).await, (1, Usd(650)), "two credits, the debt that is allowed; 30 are absorbed");
    assert_eq!(shop.balance(user).await.owed, Usd(50));
    let charge = shop.meter.settle(hold, Usd(80), None).await.unwrap();
    assert_eq!((charge.charged, charge.absorbed), (Usd(80), Usd::ZERO));
    let balance = shop.balance(user).await;
    let left: Vec<Usd> = balance.credits.iter().map(|credit| credit.bucket.posted).collect();
    assert_eq!((balance.owed, left), (Usd::ZERO, vec![Usd(20), Usd(500)]), "the gift paid, the bought credit is whole again");
    let absorbed = "SELECT CAST(COALESCE(SUM(CASE WHEN debit = 5 THEN amount ELSE -amount END), 0) AS BIGINT) FROM transfer WHERE debit = 5 OR credit = 5";
    assert_eq!(shop.count(absorbed).await, 0, "nothing was lost after all");
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_by_a_node_whose_clock_is_behind_is_seen_by_the_late_settlement() {
    let shop = Shop::open().await;
    let (user, hold) = lost(&shop).await;
    let behind = kit(&Clock::manual(super::START - 60_000), 9);
    recover_node(shop.db(), &behind, Notes::default(), shop.run).await.unwrap();
    assert_eq!(shop.meter.settle(hold, Usd(250), None).await.unwrap().charged, Usd(250));
    assert_eq!(shop.balance(user).await.available, Usd(350), "charged once");
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_that_names_a_request_is_not_taken_for_its_charge() {
    let shop = Shop::open().await;
    let (user, hold) = lost(&shop).await;
    recover(&shop).await;
    let mut tx = shop.db().write().await.unwrap();
    shop.books.adjust(&mut tx, user, Usd(-40), hold.id.to_string(), "a".into()).await.unwrap();
    shop.books.adjust(&mut tx, user, Usd(30), hold.id.to_string(), "b".into()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(shop.meter.settle(hold, Usd(300), None).await.unwrap().charged, Usd(300));
    assert_eq!(shop.balance(user).await.available, Usd(600 - 300 - 10));
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_cannot_be_recovered_does_not_keep_the_others() {
    let shop = Shop::open().await;
    let (_, bad) = lost(&shop).await;
    let (user, _) = lost(&shop).await;
    let mut tx = shop.db().write().await.unwrap();
    sqlx::query("UPDATE hold SET legs = $2 WHERE id = $1").bind(bad.id.0).bind("77:400").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(recover(&shop).await, (1, Usd(250)));
    assert_eq!(shop.balance(user).await.available, Usd(350));
    assert!(!farebox::ledger::audit(shop.db()).await.unwrap().is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expired_in_flight_is_spent_or_swept_when_the_request_ends() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd::ZERO).await;
    let expires_at = shop.kit.clock.now_ms() + 1000;
    shop.grant(Grant { expires_at, ..shop.gift(user, Usd(500)) }).await.unwrap();
    let hold = shop.meter.hold(shop.ask(user, Usd(300))).await.unwrap();
    shop.kit.clock.advance(1000);
    assert_eq!(shop.balance(user).await.available, Usd::ZERO);
    assert!(matches!(shop.meter.hold(shop.ask(user, Usd(10))).await, Err(LedgerError::InsufficientBalance { .. })));
    assert_eq!(shop.books.expire(shop.db()).await.unwrap(), 1, "200 that no request holds");
    assert_eq!(shop.books.expire(shop.db()).await.unwrap(), 0);
    assert_eq!(shop.meter.settle(hold, Usd(120), None).await.unwrap().charged, Usd(120));
    assert_eq!(shop.books.expire(shop.db()).await.unwrap(), 1, "180 that came back");
    assert_eq!(shop.count("SELECT CAST(SUM(amount) AS BIGINT) FROM transfer WHERE kind = 'expiry'").await, 380);
    assert!(shop.balance(user).await.credits.is_empty());

    shop.must_be_clean().await;
}
