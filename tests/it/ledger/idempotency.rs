//! The same thing said twice, or fifty times at once, happens once.

use super::Shop;
use farebox::kernel::{Id, Usd};
use farebox::ledger::{Grant, Granted, House, LedgerError};
use futures_util::future::join_all;

#[tokio::test(flavor = "multi_thread")]
async fn the_same_grant_fifty_times_at_once_credits_once() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd::ZERO).await;
    let grant = shop.gift(user, Usd(700));
    let all: Vec<Granted> = join_all((0..50).map(|_| shop.grant(grant.clone()))).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(all.iter().filter(|granted| !granted.replayed).count(), 1);
    assert!(all.iter().all(|granted| granted.credit_id == all[0].credit_id));
    assert_eq!(shop.balance(user).await.available, Usd(700));
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_key_with_other_content_is_a_conflict() {
    let shop = Shop::open().await;
    let (user, other) = (shop.customer(Usd::ZERO).await, shop.customer(Usd::ZERO).await);
    let grant = shop.gift(user, Usd(700));
    shop.grant(grant.clone()).await.unwrap();
    let conflicts = [
        Grant { amount: Usd(701), ..grant.clone() },
        Grant { user: other, ..grant.clone() },
        Grant { from: House::Cash, ..grant.clone() },
        Grant { reference: "another".into(), ..grant.clone() },
    ];
    for conflict in conflicts {
        assert!(matches!(shop.grant(conflict).await, Err(LedgerError::IdempotencyConflict(key)) if key == grant.idempotency_key));
    }
    assert_eq!((shop.balance(user).await.available, shop.balance(other).await.available), (Usd(700), Usd::ZERO));
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_who_race_with_one_key_get_one_credit_and_conflicts() {
    let shop = Shop::open().await;
    let mut grants = Vec::new();
    for _ in 0..8 {
        let user = shop.customer(Usd::ZERO).await;
        grants.push(Grant { idempotency_key: "card:1".into(), ..shop.gift(user, Usd(50)) });
    }
    let results = join_all(grants.into_iter().map(|grant| shop.grant(grant))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(results.iter().filter(|result| matches!(result, Err(LedgerError::IdempotencyConflict(_)))).count(), 7);
    assert_eq!(shop.count("SELECT COUNT(*) FROM credit").await, 1);
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_repeated_twenty_times_at_once_charges_once() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(1000)).await;
    let hold = shop.meter.hold(shop.ask(user, Usd(600))).await.unwrap();
    let again = (0..20).map(|_| shop.meter.settle(hold.clone(), Usd(450), shop.note(hold.id)));
    for charge in join_all(again).await {
        assert_eq!(charge.unwrap().charged, Usd(450), "a replay tells the same");
    }
    let other = shop.meter.settle(hold.clone(), Usd(1), None).await.unwrap();
    assert_eq!(other.charged, Usd(450), "a later word about an ended hold changes nothing");
    assert_eq!(shop.balance(user).await.available, Usd(550));
    assert_eq!(shop.key(hold.key).await, (450, 0, 1));
    assert_eq!(shop.notes_of(hold.id).await.len(), 1);
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_by_hand_is_posted_once_per_key() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(1000)).await;
    for result in join_all((0..20).map(|_| shop.adjust(user, Usd(-300), "a"))).await {
        result.unwrap();
    }
    for result in join_all((0..20).map(|_| shop.adjust(user, Usd(200), "b"))).await {
        result.unwrap();
    }
    assert_eq!(shop.balance(user).await.available, Usd(900));
    for (delta, key) in [(-301, "a"), (300, "a"), (-200, "b"), (201, "b")] {
        assert!(matches!(shop.adjust(user, Usd(delta), key).await, Err(LedgerError::IdempotencyConflict(_))), "{delta} {key}");
    }
    assert!(matches!(shop.adjust(user, Usd(-901), "c").await, Err(LedgerError::InsufficientBalance { available: Usd(900) })));
    shop.must_be_clean().await;
}

#[tokio::test]
async fn what_a_grant_cannot_be_is_refused() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(1000)).await;
    for amount in [0, -1, i64::MIN, i64::MAX] {
        assert!(matches!(shop.grant(shop.gift(user, Usd(amount))).await, Err(LedgerError::BadAmount(_))), "{amount}");
    }
    for delta in [0, i64::MIN, i64::MAX] {
        assert!(matches!(shop.adjust(user, Usd(delta), "x").await, Err(LedgerError::BadAmount(_))), "{delta}");
    }
    assert!(matches!(shop.grant(shop.gift(Id(77), Usd(5))).await, Err(LedgerError::NoWallet(Id(77)))));
    assert_eq!(shop.balance(user).await.available, Usd(1000));
    shop.must_be_clean().await;
}
