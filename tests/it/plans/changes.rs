//! What becomes of a subscription: renewals, failures, cancellations, changes.

use super::{Shop, at};
use farebox::kernel::{Id, Usd};
use farebox::ledger::House;
use farebox::plans::{self, Ending, NewTerm, Renewed, State, Stretch, SubscriptionError, When};

fn stretch(from: &str, until: &str) -> Option<Stretch> {
    Some(Stretch { from: at(from), until: at(until) })
}

#[tokio::test]
async fn each_invoice_makes_one_term() {
    let shop = Shop::open().await;
    shop.go_to("2026-01-31T10:00:00Z").await;
    let (user, plan) = (shop.customer().await, shop.plan(&[]).await);
    let subscription = shop.subscribe(user, plan, Usd::dollars(10)).await;
    let first = stretch("2026-01-31T10:00:03Z", "2026-02-28T10:00:03Z");
    assert_eq!(shop.renew(user, subscription, "in_1", first, Usd::dollars(10)).await, Renewed::Covered, "the order has paid it");
    shop.go_to("2026-02-28T11:00:00Z").await;
    assert_eq!((shop.in_plans(user).await, shop.views(user).await[0].state), (Usd::ZERO, State::Active), "its renewal is on its way");
    let second = stretch("2026-02-28T10:00:03Z", "2026-03-31T10:00:03Z");
    assert_eq!(shop.renew(user, subscription, "in_2", second, Usd::dollars(10)).await, Renewed::Fresh);
    assert_eq!(shop.renew(user, subscription, "in_2", second, Usd::dollars(10)).await, Renewed::Known);
    assert_eq!((shop.in_plans(user).await, shop.views(user).await[0].paid_until), (Usd::dollars(12), at("2026-03-31T10:00:03Z")));
    let external = format!("sub_{}", 0);
    assert_eq!(plans::standing(&mut shop.test.db.read().await.unwrap(), &external).await.unwrap(), None);
    shop.cancel(subscription, Ending::PeriodEnd).await.unwrap();
    shop.go_to("2026-03-31T10:00:03Z").await;
    assert_eq!(shop.views(user).await[0].state, State::Ended);
    assert_eq!(shop.renew(user, subscription, "in_3", None, Usd::dollars(10)).await, Renewed::Ended);
    shop.close().await;
}

#[tokio::test]
async fn a_failed_renewal_rests_until_it_is_paid() {
    let shop = Shop::open().await;
    let (user, plan) = (shop.customer().await, shop.plan(&[]).await);
    let subscription = shop.subscribe(user, plan, Usd::dollars(10)).await;
    shop.go_to("2026-02-01T02:00:00Z").await;
    let mut tx = shop.test.db.write().await.unwrap();
    plans::past_due(&mut tx, &shop.kit, &shop.books, subscription).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(shop.views(user).await[0].state, State::PastDue);
    shop.go_to("2026-02-05T00:00:00Z").await;
    assert_eq!(shop.renew(user, subscription, "in_2", stretch("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"), Usd::dollars(10)).await, Renewed::Fresh);
    assert_eq!((shop.views(user).await[0].state, shop.in_plans(user).await), (State::Active, Usd::dollars(12)));
    // Nobody hears of the next one: after a day it counts as failed, after two months it is over.
    shop.go_to("2026-03-02T00:00:00Z").await;
    assert_eq!(shop.views(user).await[0].state, State::PastDue);
    shop.go_to("2026-05-01T00:00:00Z").await;
    assert_eq!(shop.views(user).await[0].state, State::Ended);
    let wishes = plans::untold(&mut shop.test.db.read().await.unwrap(), i64::MAX, 10).await.unwrap();
    assert!(wishes.len() == 1 && wishes[0].ended, "the provider is told");
    shop.close().await;
}

#[tokio::test]
async fn a_cancellation_is_taken_back_and_the_provider_is_told_of_both() {
    let shop = Shop::open().await;
    let (user, plan) = (shop.customer().await, shop.plan(&[]).await);
    let subscription = shop.subscribe(user, plan, Usd::dollars(10)).await;
    shop.cancel(subscription, Ending::PeriodEnd).await.unwrap();
    let wish = plans::untold(&mut shop.test.db.read().await.unwrap(), i64::MAX, 10).await.unwrap().remove(0);
    assert!(wish.cancelled && !wish.ended);
    let mut tx = shop.test.db.write().await.unwrap();
    plans::resume(&mut tx, &shop.kit, &shop.books, subscription).await.unwrap();
    // The word about the cancellation comes back late.
    plans::told(&mut tx, subscription, wish.revision).await.unwrap();
    tx.commit().await.unwrap();
    let wish = plans::untold(&mut shop.test.db.read().await.unwrap(), i64::MAX, 10).await.unwrap().remove(0);
    assert!(!wish.cancelled);
    let mut tx = shop.test.db.write().await.unwrap();
    plans::told(&mut tx, subscription, wish.revision).await.unwrap();
    tx.commit().await.unwrap();
    assert!(plans::untold(&mut shop.test.db.read().await.unwrap(), i64::MAX, 10).await.unwrap().is_empty());
    shop.cancel(subscription, Ending::PeriodEnd).await.unwrap();
    shop.go_to("2026-02-01T00:00:00Z").await;
    let mut tx = shop.test.db.write().await.unwrap();
    assert!(matches!(plans::resume(&mut tx, &shop.kit, &shop.books, subscription).await, Err(SubscriptionError::Ended)));
    drop(tx);
    shop.close().await;
}

#[tokio::test]
async fn what_ends_now_gives_its_rest_where_it_is_told() {
    let shop = Shop::open().await;
    let (user, plan) =
        (shop.customer().await, shop.plan(&[("length", "10"), ("length_unit", "day"), ("reset", "day"), ("allowance", "0.4"), ("carry_over", "on")]).await);
    let bought = shop.buy(user, plan).await;
    shop.go_to("2026-01-03T12:00:00Z").await;
    shop.spend(user, bought.subscription, Usd(1_000_000_000)).await;
    assert!(matches!(shop.cancel(bought.subscription, Ending::PeriodEnd).await, Err(SubscriptionError::NotRenewing)));
    // Seven days have not begun, and the third leaves 0.6 of its dollar.
    assert_eq!(shop.cancel(bought.subscription, Ending::Now(House::Cash)).await.unwrap(), Usd(7_600_000_000));
    assert_eq!(shop.cancel(bought.subscription, Ending::Now(House::Cash)).await.unwrap(), Usd::ZERO, "once");
    let house = shop.house().await;
    assert_eq!((house["cash"], house["breakage"], shop.in_plans(user).await), (Usd(2_400_000_000), -Usd(200_000_000), Usd::ZERO));
    assert_eq!(shop.views(user).await[0].ended_at, Some(at("2026-01-03T12:00:00Z")));
    shop.go_to("2026-03-01T00:00:00Z").await;
    shop.close().await;
}

#[tokio::test]
async fn a_smaller_plan_follows_at_the_period_s_end_and_a_larger_one_at_once() {
    let shop = Shop::open().await;
    let user = shop.customer().await;
    let (small, large) = (
        shop.plan(&[("name", "Small"), ("allowance", "4")]).await,
        shop.plan(&[("name", "Large"), ("length", "2"), ("reset", "month"), ("allowance", "5")]).await,
    );
    let subscription = shop.subscribe(user, large, Usd::dollars(10)).await;
    let change = async |plan: Id, when: When<'_>| {
        let mut tx = shop.test.db.write().await.unwrap();
        plans::change_to(&mut tx, &shop.kit, &shop.books, subscription, plan, &when).await.unwrap();
        tx.commit().await.unwrap();
    };
    change(small, When::PeriodEnd).await;
    assert_eq!(shop.views(user).await[0].next.as_ref().map(|(plan, terms)| (*plan, terms.name.clone())), Some((small, "Small".into())));
    shop.go_to("2026-02-01T00:00:00Z").await;
    assert_eq!(shop.in_plans(user).await, Usd::dollars(5), "still the large one's second month");
    shop.go_to("2026-03-01T00:00:00Z").await;
    assert_eq!(shop.renew(user, subscription, "in_2", stretch("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"), Usd::dollars(3)).await, Renewed::Fresh);
    assert_eq!((shop.in_plans(user).await, shop.views(user).await[0].plan), (Usd::dollars(4), small));
    // Up again, in the middle of the month: what is paid now counts, and the small one's allowance stays until its month is over.
    shop.go_to("2026-03-16T00:00:00Z").await;
    let upgrade = || When::Now(NewTerm { source: "invoice:in_3", paid: Usd::ZERO, bounds: None, version: None, order: None, credited: false });
    change(large, upgrade()).await;
    change(large, upgrade()).await;
    assert_eq!((shop.in_plans(user).await, shop.views(user).await[0].paid_until), (Usd::dollars(9), at("2026-05-16T00:00:00Z")));
    shop.go_to("2026-04-01T00:00:00Z").await;
    assert_eq!(shop.in_plans(user).await, Usd::dollars(5));
    // And once more before its second month begins: that one's money is not lost.
    let before = shop.house().await["plans"];
    change(small, When::Now(NewTerm { source: "order:9", paid: Usd::ZERO, bounds: None, version: None, order: None, credited: false })).await;
    assert_eq!(before, Usd::ZERO);
    shop.cancel(subscription, Ending::Now(House::Revenue)).await.unwrap();
    shop.go_to("2026-08-01T00:00:00Z").await;
    shop.close().await;
}
