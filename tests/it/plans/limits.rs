//! How often a plan may be bought, and who may buy it.

use super::{Shop, draft};
use farebox::kernel::{Id, Usd};
use farebox::plans::{self, BuyWay, Refused, Visibility};

#[tokio::test]
async fn reservations_count_and_are_given_back() {
    let shop = Shop::open().await;
    let (ann, bob) = (shop.customer().await, shop.customer().await);
    let plan = shop.plan(&[("stock", "2"), ("per_customer", "1")]).await;
    shop.reserve(ann, plan, Id(1), BuyWay::Once).await.unwrap();
    shop.reserve(ann, plan, Id(1), BuyWay::Once).await.expect("once per order");
    assert!(matches!(shop.reserve(ann, plan, Id(2), BuyWay::Once).await, Err(Refused::LimitReached)));
    shop.release(Id(1)).await;
    shop.release(Id(1)).await;
    shop.reserve(ann, plan, Id(2), BuyWay::Once).await.unwrap();
    shop.reserve(bob, plan, Id(3), BuyWay::Once).await.unwrap();
    let carl = shop.customer().await;
    assert!(matches!(shop.reserve(carl, plan, Id(4), BuyWay::Once).await, Err(Refused::SoldOut)));
    let view = plans::find(&mut shop.test.db.read().await.unwrap(), plan).await.unwrap().unwrap();
    assert_eq!((view.taken, view.left()), (2, Some(0)));
    shop.close().await;
}

#[tokio::test]
async fn what_is_not_sold_is_not_bought() {
    let shop = Shop::open().await;
    let ann = shop.customer().await;
    let off = shop.plan(&[("visibility", "off")]).await;
    assert!(matches!(shop.reserve(ann, off, Id(1), BuyWay::Once).await, Err(Refused::NotForSale)));
    assert!(matches!(shop.reserve(ann, Id(404), Id(1), BuyWay::Once).await, Err(Refused::NotForSale)));
    let once = shop.plan(&[("sold", "once")]).await;
    assert!(matches!(shop.reserve(ann, once, Id(1), BuyWay::Subscription).await, Err(Refused::NotSoldThisWay)));
    let monthly = shop.plan(&[("sold", "subscription")]).await;
    assert!(matches!(shop.reserve(ann, monthly, Id(1), BuyWay::Once).await, Err(Refused::NotSoldThisWay)));
    let hidden = shop.plan(&[("visibility", "link")]).await;
    shop.reserve(ann, hidden, Id(1), BuyWay::Once).await.expect("whoever has the link may");
    let mut conn = shop.test.db.read().await.unwrap();
    let public = plans::list(&mut conn, Some(Visibility::Public), None, 10).await.unwrap();
    assert_eq!(public.iter().map(|plan| plan.id).collect::<Vec<_>>(), [once, monthly]);
    assert_eq!(plans::list(&mut conn, None, Some((0, once)), 1).await.unwrap()[0].id, monthly);
    drop(conn);
    plans::take_off(&shop.test.db, &shop.kit, Id(1), once).await.unwrap();
    assert!(matches!(shop.reserve(ann, once, Id(5), BuyWay::Once).await, Err(Refused::NotForSale)));
    shop.close().await;
}

#[tokio::test]
async fn a_paid_order_is_honoured_although_its_place_was_given_back() {
    let shop = Shop::open().await;
    let (ann, bob) = (shop.customer().await, shop.customer().await);
    let plan = shop.plan(&[("stock", "1")]).await;
    shop.reserve(ann, plan, Id(1), BuyWay::Once).await.unwrap();
    shop.release(Id(1)).await;
    shop.buy(bob, plan).await;
    shop.pay_in(ann, Usd::dollars(10)).await;
    let paid = shop.pay(ann, plan, Id(1)).await;
    assert!(paid.late && !paid.replayed);
    let again = shop.pay(ann, plan, Id(1)).await;
    assert!(again.replayed && again.subscription == paid.subscription);
    shop.release(Id(1)).await;
    let view = plans::find(&mut shop.test.db.read().await.unwrap(), plan).await.unwrap().unwrap();
    assert_eq!((view.taken, view.left(), shop.in_plans(ann).await), (2, Some(0), Usd::dollars(12)), "one more than there were");
    shop.go_to("2026-02-01T00:00:00Z").await;
    shop.close().await;
}

#[tokio::test]
async fn the_terms_of_an_order_are_those_of_its_day() {
    let shop = Shop::open().await;
    let ann = shop.customer().await;
    let plan = shop.plan(&[]).await;
    shop.reserve(ann, plan, Id(1), BuyWay::Once).await.unwrap();
    let seen = plans::find(&mut shop.test.db.read().await.unwrap(), plan).await.unwrap().unwrap();
    plans::save(&shop.test.db, &shop.kit, Id(1), Some((plan, seen.version)), &draft(&[("allowance", "1")])).await.unwrap();
    shop.pay_in(ann, Usd::dollars(10)).await;
    shop.pay(ann, plan, Id(1)).await;
    assert_eq!(shop.in_plans(ann).await, Usd::dollars(12));
    shop.go_to("2026-02-01T00:00:00Z").await;
    shop.close().await;
}

#[tokio::test]
async fn a_trial_is_had_once() {
    let shop = Shop::open().await;
    let ann = shop.customer().await;
    let plan = shop.plan(&[("trial_days", "7")]).await;
    let subscription = shop.subscribe(ann, plan, Usd::ZERO).await;
    let view = shop.views(ann).await.remove(0);
    assert!(view.terms[0].trial && view.paid_until == super::at("2026-01-08T00:00:00Z"));
    assert_eq!((shop.in_plans(ann).await, shop.house().await["promotion"]), (Usd::dollars(12), Usd::dollars(12)), "the shop gives it");
    assert!(matches!(shop.reserve(ann, plan, Id(9), BuyWay::Subscription).await, Err(Refused::AlreadySubscribed)));
    shop.cancel(subscription, plans::Ending::PeriodEnd).await.unwrap();
    shop.go_to("2026-01-08T00:00:00Z").await;
    assert_eq!(shop.reserve(ann, plan, Id(9), BuyWay::Subscription).await.unwrap().trial_days, 0);
    shop.close().await;
}

#[tokio::test]
async fn what_a_plan_sets_ends_by_the_clock_and_without_anybody_s_help() {
    let shop = Shop::open().await;
    let (ann, bob) = (shop.customer().await, shop.customer().await);
    let plan = shop.plan(&[("rpm", "60")]).await;
    shop.buy(ann, plan).await;
    let snapshot = plans::Snapshot::load(&shop.test.db, &shop.kit.clock).await.unwrap();
    let rpm = |user, moment: &str| snapshot.limits(user, super::at(moment)).rpm.map(|rpm| rpm.get());
    assert_eq!((rpm(ann, "2026-01-31T23:59:59.999Z"), rpm(ann, "2026-02-01T00:00:00Z")), (Some(60), None));
    assert!(snapshot.of(bob).is_none());
    // A renewal that is on its way keeps it for a day; one that has failed does not.
    let subscription = shop.subscribe(bob, plan, Usd::dollars(10)).await;
    snapshot.refresh(&shop.test.db).await.unwrap();
    assert_eq!((rpm(bob, "2026-02-01T23:59:59.999Z"), rpm(bob, "2026-02-02T00:00:00Z")), (Some(60), None));
    let mut tx = shop.test.db.write().await.unwrap();
    plans::past_due(&mut tx, &shop.kit, &shop.books, subscription).await.unwrap();
    tx.commit().await.unwrap();
    snapshot.refresh(&shop.test.db).await.unwrap();
    assert_eq!((rpm(bob, "2026-01-31T23:59:59.999Z"), rpm(bob, "2026-02-01T00:00:00Z")), (Some(60), None));
    shop.cancel(subscription, plans::Ending::Now(farebox::ledger::House::Revenue)).await.unwrap();
    snapshot.refresh(&shop.test.db).await.unwrap();
    assert!(snapshot.of(bob).is_none() && snapshot.of(ann).is_some(), "what has ended is forgotten");
    assert!(plans::Snapshot::load(&shop.test.db, &shop.kit.clock).await.unwrap().of(bob).is_none());
    shop.go_to("2026-02-01T00:00:00Z").await;
    shop.close().await;
}

#[tokio::test]
async fn money_that_subscriptions_know_nothing_of_is_found() {
    let shop = Shop::open().await;
    let (ann, plan) = (shop.customer().await, shop.plan(&[("length", "3"), ("reset", "month"), ("allowance", "1")]).await);
    let bought = shop.buy(ann, plan).await;
    let audit = async || plans::audit(&mut shop.test.db.snapshot().await.unwrap()).await.unwrap();
    assert_eq!(audit().await, None);
    let mut tx = shop.test.db.write().await.unwrap();
    sqlx::query("UPDATE plan_term SET paid = paid + 1 WHERE subscription_id = $1").bind(bought.subscription.0).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert!(audit().await.is_some_and(|line| line.contains("not delivered")));
}
