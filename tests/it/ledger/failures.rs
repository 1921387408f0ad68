//! Callers that go, groups of which one cannot succeed, numbers that cannot be.

use super::{Note, Notes, Shop, kit};
use farebox::db::{Bulk, Part};
use farebox::kernel::{Clock, Id, Usd};
use farebox::ledger::{Budgets, Charge, HoldRequest, Journal, LedgerError, LostRequest, Meter, NodeRun, Pays};
use futures_util::future::{join_all, join3};
use std::future::Future;
use std::task::{Context, Poll, Waker};

/// Polls once, which queues the request, and says whether it is still waiting. On a runtime of one thread the writer cannot
/// have answered yet.
fn queue(future: std::pin::Pin<&mut impl Future>) -> bool {
    matches!(future.poll(&mut Context::from_waker(Waker::noop())), Poll::Pending)
}

#[tokio::test]
async fn a_hold_whose_caller_goes_while_it_queues_is_not_kept() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(1000)).await;
    for _ in 0..50 {
        let mut hold = Box::pin(shop.meter.hold(shop.ask(user, Usd(900))));
        assert!(queue(hold.as_mut()));
    }
    shop.settled().await;
    assert_eq!(shop.balance(user).await.available, Usd(1000));
    assert_eq!(shop.count("SELECT COUNT(*) FROM hold WHERE state = 'open'").await, 0);
    shop.must_be_clean().await;
}

#[tokio::test]
async fn a_hold_whose_caller_goes_after_it_was_made_is_released() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(1000)).await;
    let mut hold = Box::pin(shop.meter.hold(shop.ask(user, Usd(900))));
    assert!(queue(hold.as_mut()));
    shop.settled().await;
    assert_eq!(shop.balance(user).await.held, Usd(900), "made, and its caller has not looked yet");
    drop(hold);
    shop.settled().await;
    assert_eq!((shop.balance(user).await.available, shop.balance(user).await.held), (Usd(1000), Usd::ZERO));
    assert_eq!(shop.key(Id(user.0 + 1)).await, (0, 0, 0), "no request was made");
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_are_aborted_at_any_moment_leave_nothing_held() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(1_000_000)).await;
    for n in 0..60 {
        let (meter, request) = (shop.meter.clone(), shop.ask(user, Usd(1000)));
        let task = tokio::spawn(async move { meter.hold(request).await.map(drop) });
        for _ in 0..n {
            tokio::task::yield_now().await;
        }
        task.abort();
        // A caller that heard of its hold before it was aborted has it; the test then releases it as the relay would.
        if let Ok(Ok(())) = task.await {
            let id = shop.count("SELECT COALESCE(MAX(id), 0) FROM hold WHERE state = 'open'").await;
            let row = sqlx::query_as::<sqlx::Any, (i64, String)>("SELECT amount, legs FROM hold WHERE id = $1").bind(id);
            let (amount, legs) = row.fetch_one(&mut *shop.db().read().await.unwrap()).await.unwrap();
            let (credit, part) = legs.split_once(':').unwrap();
            let legs = vec![farebox::ledger::Leg { credit: Id(credit.parse().unwrap()), amount: Usd(part.parse().unwrap()) }];
            let hold = farebox::ledger::Hold { id: Id(id), user, key: Id(user.0 + 1), amount: Usd(amount), legs, scope: None, short_of_budget: None };
            shop.meter.settle(hold, Usd::ZERO, None).await.unwrap();
        }
        shop.settled().await;
        assert_eq!(shop.balance(user).await.held, Usd::ZERO, "round {n}");
    }
    shop.must_be_clean().await;
}

#[tokio::test]
async fn the_writer_ends_with_everything_released() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(1000)).await;
    let Shop { test, meter, writer, books, kit, .. } = shop;
    let request = HoldRequest {
        id: kit.ids.next(),
        user,
        key: Id(5),
        key_budget: Budgets::default(),
        user_budget: Budgets::default(),
        full: Usd(9),
        floor: Usd(1),
        pays: Pays::default(),
        checkpoint: Usd(9),
        memo: String::new(),
    };
    let mut hold = Box::pin(meter.hold(request));
    assert!(queue(hold.as_mut()));
    drop(hold);
    drop(meter);
    writer.await.unwrap();
    let balance = books.balance(&mut test.db.read().await.unwrap(), user).await.unwrap();
    assert_eq!((balance.available, balance.held), (Usd(1000), Usd::ZERO));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_that_cannot_succeed_does_not_take_its_group_with_it() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(1000)).await;
    let live = shop.meter.hold(shop.ask(user, Usd(100))).await.unwrap();
    let ending = shop.meter.hold(shop.ask(user, Usd(100))).await.unwrap();
    let duplicate = HoldRequest { id: live.id, ..shop.ask(user, Usd(50)) };
    let nobody = shop.ask(Id(4242), Usd(50));
    let never_made = farebox::ledger::Hold { id: shop.kit.ids.next(), ..live.clone() };
    let holds = join_all([duplicate, nobody, shop.ask(user, Usd(10)), shop.ask(user, Usd(20))].map(|request| shop.meter.hold(request)));
    let settles = join_all([(never_made, 5), (ending.clone(), 60)].map(|(hold, cost)| shop.meter.settle(hold, Usd(cost), None)));
    let note = shop.meter.note(Note { id: Id(9), recovered: false });
    let (holds, settles, note) = join3(holds, settles, note).await;

    assert!(matches!(holds[0], Err(LedgerError::Database(_))), "{:?}", holds[0]);
    assert!(matches!(holds[1], Err(LedgerError::NoWallet(Id(4242)))), "{:?}", holds[1]);
    assert_eq!((holds[2].as_ref().unwrap().amount, holds[3].as_ref().unwrap().amount), (Usd(10), Usd(20)));
    assert!(matches!(settles[0], Err(LedgerError::UnknownHold(_))), "{:?}", settles[0]);
    assert_eq!(settles[1].as_ref().unwrap().charged, Usd(60));
    note.unwrap();
    shop.settled().await;
    assert_eq!(shop.balance(user).await.held, Usd(130), "the hold whose id was claimed twice is still there");
    assert_eq!(shop.meter.settle(live, Usd(100), None).await.unwrap().charged, Usd(100));
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn costs_that_cannot_be_never_move_money_the_wrong_way() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(1000)).await;
    for (cost, charged) in [(-5, 0), (i64::MIN, 0), (0, 0)] {
        let hold = shop.meter.hold(shop.ask(user, Usd(100))).await.unwrap();
        shop.meter.checkpoint(hold.id, Usd(cost));
        assert_eq!(shop.meter.settle(hold, Usd(cost), None).await.unwrap().charged, Usd(charged), "{cost}");
    }
    for _ in 0..2 {
        let request = HoldRequest { checkpoint: Usd(i64::MAX), ..shop.ask(user, Usd(100)) };
        let hold = shop.meter.hold(request).await.unwrap();
        let charge = shop.meter.settle(hold, Usd(i64::MAX), None).await.unwrap();
        assert_eq!(charge.charged, Usd(1000), "everything there was");
        assert!(charge.absorbed > Usd::ZERO);
        shop.grant(shop.gift(user, Usd(1000))).await.unwrap();
    }
    for bad in [HoldRequest { full: Usd(0), ..shop.ask(user, Usd(1)) }, HoldRequest { floor: Usd(9), ..shop.ask(user, Usd(1)) }] {
        assert!(matches!(shop.meter.hold(bad).await, Err(LedgerError::BadAmount(_))));
    }
    assert_eq!(shop.balance(user).await.available, Usd(1000));
    shop.must_be_clean().await;
}

/// A setting without a value.
static BROKEN: Bulk =
    Bulk::new("BROKEN", "INSERT INTO setting (name, value, updated_at) SELECT column1, NULL, 0 FROM (VALUES ", &["TEXT"], ") AS v WHERE column1 IS NOT NULL");

/// A journal that the database refuses.
struct Broken;

impl Journal for Broken {
    type Entry = Id;

    fn write<'a>(&self, entries: &'a [(&'a Id, Charge)]) -> Option<Part<'a>> {
        Some(BROKEN.part(entries, |(id, _), values| {
            values.bind(id.to_string());
        }))
    }

    fn recovered(&self, lost: &LostRequest) -> Id {
        lost.id
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_is_posted_even_when_its_entry_cannot_be_written() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(1000)).await;
    let (meter, _) = Meter::start(shop.db().clone(), kit(&Clock::manual(super::START), 3), NodeRun { slot: 3, incarnation: 1 }, Broken);
    let hold = meter.hold(shop.ask(user, Usd(100))).await.unwrap();
    let id = hold.id;
    assert_eq!(meter.settle(hold, Usd(40), Some(id)).await.unwrap().charged, Usd(40));
    assert_eq!(shop.balance(user).await.available, Usd(960));
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_holds_are_refused_and_charges_wait() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(1000)).await;
    let db = farebox::db::Db::connect(&shop.test.url).await.unwrap();
    let (meter, _) = Meter::start(db.clone(), shop.kit.clone(), shop.run, Notes::default());
    let hold = meter.hold(shop.ask(user, Usd(100))).await.unwrap();
    db.close().await;
    let refused = join_all((0..20).map(|_| meter.hold(shop.ask(user, Usd(10))))).await;
    assert!(refused.iter().all(|result| matches!(result, Err(LedgerError::Database(_)))), "{refused:?}");
    let mut settle = Box::pin(meter.settle(hold, Usd(70), None));
    assert!(queue(settle.as_mut()));
    assert_eq!(shop.balance(user).await.held, Usd(100), "the charge waits");
}
