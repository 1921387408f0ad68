//! The database breaks connections off in the middle of commits: what was acknowledged stands, what was not is undone or repeated,
//! and nothing is charged twice.

use super::Shop;
use crate::harness::db::postgres_url;
use farebox::kernel::{Id, Random, Usd};
use farebox::ledger::{HoldRequest, LedgerError};
use futures_util::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends every connection to this test's database but the one that asks; says how many.
const BREAK_OFF: &str =
    "SELECT CAST(COUNT(pg_terminate_backend(pid)) AS BIGINT) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// Holds and settles in turn; what it was charged, as it was told.
async fn spend(shop: Arc<Shop>, user: Id, random: Random, broken: Arc<AtomicBool>) -> (Usd, u64) {
    let (mut charged, mut refused) = (Usd::ZERO, 0);
    while !broken.load(Ordering::SeqCst) {
        let full = Usd(1 + random.below(2_000) as i64);
        let request = HoldRequest { checkpoint: Usd(1), ..shop.ask(user, full) };
        match shop.meter.hold(request).await {
            Ok(hold) => {
                let cost = Usd(random.below(hold.amount.0 as u64 + 1) as i64);
                let note = shop.note(hold.id);
                let charge = shop.meter.settle(hold, cost, note).await.unwrap();
                assert_eq!((charge.charged, charge.absorbed), (cost, Usd::ZERO));
                charged += cost;
            }
            Err(LedgerError::Database(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    (charged, refused)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_off_in_the_middle_of_commits_lose_and_repeat_nothing() {
    if postgres_url().is_none() {
        return; // an embedded database has no connection to break off
    }
    let shop = Arc::new(Shop::open().await);
    let mut users = Vec::new();
    for _ in 0..3 {
        users.push(shop.customer(Usd::dollars(1)).await);
    }
    let (random, broken) = (Random::seeded(11), Arc::new(AtomicBool::new(false)));
    let racers: Vec<_> = (0..24).map(|n| (users[n % 3], tokio::spawn(spend(shop.clone(), users[n % 3], random.clone(), broken.clone())))).collect();
    let breaker = farebox::db::Db::connect(&shop.test.url).await.unwrap();
    let mut breaks = 0;
    while breaks < 60 {
        let before = shop.notes.count();
        // At any moment of a commit: not before something happened since the last time.
        while shop.notes.count() < before + 3 {
            tokio::task::yield_now().await;
        }
        let mut conn = breaker.read().await.unwrap();
        breaks += sqlx::query_scalar::<sqlx::Any, i64>(BREAK_OFF).fetch_one(&mut *conn).await.unwrap();
    }
    broken.store(true, Ordering::SeqCst);
    let mut told = vec![Usd::ZERO; 3];
    let (who, tasks): (Vec<Id>, Vec<_>) = racers.into_iter().unzip();
    for (user, racer) in who.into_iter().zip(join_all(tasks).await) {
        told[users.iter().position(|u| *u == user).unwrap()] += racer.unwrap().0;
    }
    shop.settled().await;
    for (user, told) in users.iter().zip(told) {
        let balance = shop.balance(*user).await;
        assert_eq!((Usd::dollars(1) - balance.available, balance.held), (told, Usd::ZERO), "charged what was acknowledged; nothing is left held");
    }
    shop.must_be_clean().await;
}
