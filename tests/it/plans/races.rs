//! Fifty at once.

use super::{Shop, at};
use farebox::kernel::{Id, Usd};
use farebox::ledger::House;
use farebox::plans::{self, BuyWay, Ending, Refused, Renewed, State, Stretch};
use std::sync::Arc;
use tokio::task::JoinSet;

async fn race<T: Send + 'static, F: Future<Output = T> + Send + 'static>(shop: &Arc<Shop>, n: i64, run: impl Fn(Arc<Shop>, i64) -> F) -> Vec<T> {
    let mut racers = JoinSet::new();
    for turn in 0..n {
        racers.spawn(run(Arc::clone(shop), turn));
    }
    racers.join_all().await
}

fn alone(shop: Arc<Shop>) -> Shop {
    Arc::into_inner(shop).expect("nobody else has it")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_orders_of_one_customer_stay_within_the_purchase_limit() {
    let shop = Arc::new(Shop::open().await);
    let (user, plan) = (shop.customer().await, shop.plan(&[("per_customer", "3"), ("stacking", "stack")]).await);
    shop.pay_in(user, Usd::dollars(500)).await;
    let outcomes = race(&shop, 50, move |shop, n| async move {
        shop.reserve(user, plan, Id(n + 1), BuyWay::Once).await?;
        Ok::<_, Refused>(shop.pay(user, plan, Id(n + 1)).await)
    })
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(Refused::LimitReached))), "{outcomes:?}");
    assert_eq!((shop.in_plans(user).await, shop.views(user).await.len()), (Usd::dollars(36), 3));
    shop.go_to("2026-02-01T00:00:00Z").await;
    alone(shop).close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_customers_after_seven_plans() {
    let shop = Arc::new(Shop::open().await);
    let plan = shop.plan(&[("stock", "7")]).await;
    let mut users = Vec::new();
    for _ in 0..50 {
        users.push(shop.customer().await);
    }
    let outcomes = race(&shop, 50, move |shop, n| {
        let user = users[n as usize];
        async move { shop.reserve(user, plan, Id(n + 1), BuyWay::Once).await.map(|_| n) }
    })
    .await;
    let won: Vec<i64> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok().copied()).collect();
    assert_eq!(won.len(), 7);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(Refused::SoldOut))), "{outcomes:?}");
    // Giving places back races, too: each frees one.
    race(&shop, 50, move |shop, n| async move { shop.release(Id(n + 1)).await }).await;
    let view = plans::find(&mut shop.test.db.read().await.unwrap(), plan).await.unwrap().unwrap();
    assert_eq!(view.taken, 0);
    alone(shop).close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_order_paid_fifty_times_is_one_term_and_fifty_orders_extend_fifty_times() {
    let shop = Arc::new(Shop::open().await);
    let (user, plan) = (shop.customer().await, shop.plan(&[("length_unit", "day"), ("allowance", "1")]).await);
    shop.pay_in(user, Usd::dollars(500)).await;
    let outcomes = race(&shop, 50, move |shop, _| async move { shop.pay(user, plan, Id(1)).await }).await;
    assert_eq!(outcomes.iter().filter(|outcome| !outcome.replayed).count(), 1);
    race(&shop, 49, move |shop, n| async move { shop.pay(user, plan, Id(n + 2)).await }).await;
    let views = shop.views(user).await;
    assert_eq!((views.len(), views[0].paid_until, views[0].terms.len()), (1, at("2026-02-20T00:00:00Z"), 50));
    assert_eq!(shop.in_plans(user).await, Usd::dollars(1));
    for day in 2..=31 {
        shop.go_to(&format!("2026-01-{day:02}T00:00:00Z")).await;
        assert_eq!(shop.in_plans(user).await, Usd::dollars(1), "January {day}");
    }
    shop.go_to("2026-03-01T00:00:00Z").await;
    alone(shop).close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_runs_of_the_job_open_a_period_once() {
    let shop = Arc::new(Shop::open().await);
    let (user, plan) =
        (shop.customer().await, shop.plan(&[("length", "10"), ("length_unit", "day"), ("reset", "day"), ("carry_over", "on"), ("allowance", "1")]).await);
    shop.buy(user, plan).await;
    shop.kit.clock.advance(at("2026-01-06T00:00:00Z") - shop.kit.clock.now_ms());
    race(&shop, 20, |shop, _| async move { shop.run().await }).await;
    assert_eq!(shop.in_plans(user).await, Usd::dollars(6));
    shop.go_to("2026-02-01T00:00:00Z").await;
    alone(shop).close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_renewal_and_a_cancellation_at_once_agree_on_the_money() {
    for round in 0..6 {
        let shop = Arc::new(Shop::open().await);
        let (user, plan) = (shop.customer().await, shop.plan(&[]).await);
        let subscription = shop.subscribe(user, plan, Usd::dollars(10)).await;
        shop.go_to("2026-02-01T00:30:00Z").await;
        let now = round % 2 == 0;
        let outcomes = race(&shop, 50, move |shop, n| async move {
            if n % 5 == 4 {
                let ending = if now { Ending::Now(House::Revenue) } else { Ending::PeriodEnd };
                shop.cancel(subscription, ending).await.unwrap();
                return None;
            }
            let bounds = Some(Stretch { from: at("2026-02-01T00:00:00Z"), until: at("2026-03-01T00:00:00Z") });
            Some(shop.renew(user, subscription, "in_2", bounds, Usd::dollars(10)).await)
        })
        .await;
        let fresh = outcomes.iter().filter(|outcome| **outcome == Some(Renewed::Fresh)).count();
        let refused = outcomes.iter().filter(|outcome| **outcome == Some(Renewed::Ended)).count();
        assert!(fresh == 1 || refused > 0, "{outcomes:?}");
        let view = shop.views(user).await.remove(0);
        assert_eq!(view.terms.len(), 1 + fresh);
        if now {
            assert_eq!((view.state, shop.in_plans(user).await), (State::Ended, Usd::ZERO));
        } else {
            // What was paid is had, and then it is over.
            assert_eq!(shop.in_plans(user).await, if fresh == 1 { Usd::dollars(12) } else { Usd::ZERO });
        }
        shop.go_to("2026-03-01T00:00:00Z").await;
        assert_eq!(shop.views(user).await[0].state, State::Ended);
        alone(shop).close().await;
    }
}
