//! Terms and periods as the calendar has them: the clock is moved over month ends, leap days and summer time.

use super::{Shop, at};
use farebox::kernel::Usd;
use farebox::plans::State;
use jiff::tz::TimeZone;

#[tokio::test]
async fn a_plan_grants_its_allowance_and_ends_in_its_millisecond() {
    let shop = Shop::open().await;
    let (user, plan) = (shop.customer().await, shop.plan(&[]).await);
    let bought = shop.buy(user, plan).await;
    assert_eq!(shop.in_plans(user).await, Usd::dollars(12));
    shop.spend(user, bought.subscription, Usd::dollars(5)).await;
    let house = shop.house().await;
    assert_eq!((house["plans"], house["promotion"], house["cash"]), (Usd::ZERO, Usd::dollars(2), Usd::dollars(10)), "10 of the 12 were paid");
    shop.go_to("2026-01-31T23:59:59.999Z").await;
    assert_eq!((shop.in_plans(user).await, shop.views(user).await[0].state), (Usd::dollars(7), State::Active));
    shop.go_to("2026-02-01T00:00:00Z").await;
    let view = shop.views(user).await.remove(0);
    assert_eq!((shop.in_plans(user).await, view.state, view.ended_at), (Usd::ZERO, State::Ended, Some(at("2026-02-01T00:00:00Z"))));
    assert_eq!(shop.house().await["breakage"], -Usd::dollars(7));
    shop.close().await;
}

#[tokio::test]
async fn a_quarter_from_a_month_s_last_day_resets_each_month_and_shares_its_price() {
    let shop = Shop::open().await;
    shop.go_to("2026-01-31T10:00:00Z").await;
    let (user, plan) = (shop.customer().await, shop.plan(&[("length", "3"), ("reset", "month"), ("allowance", "3")]).await);
    let bought = shop.buy(user, plan).await;
    for (moment, left) in [("2026-02-28T09:59:59.999Z", 1), ("2026-02-28T10:00:00Z", 3), ("2026-03-31T09:59:59.999Z", 3), ("2026-03-31T10:00:00Z", 3)] {
        if left == 1 {
            shop.spend(user, bought.subscription, Usd::dollars(2)).await;
        }
        shop.go_to(moment).await;
        assert_eq!(shop.in_plans(user).await, Usd::dollars(left), "{moment}");
    }
    let house = shop.house().await;
    assert_eq!(house["plans"], -(Usd(10_000_000_000 / 3 + 1) - Usd::dollars(3)), "what the running period's price exceeds its allowance is not earned yet");
    shop.go_to("2026-04-30T10:00:00Z").await;
    let house = shop.house().await;
    assert_eq!((house["revenue"], house["breakage"]), (-Usd::dollars(3), -Usd::dollars(7)), "two spent, one earned beyond the allowances; seven never used");
    shop.close().await;
}

#[tokio::test]
async fn what_carries_over_stays_until_the_subscription_ends() {
    let shop = Shop::open().await;
    let (user, plan) =
        (shop.customer().await, shop.plan(&[("length", "2"), ("length_unit", "week"), ("reset", "week"), ("carry_over", "on"), ("allowance", "6")]).await);
    let bought = shop.buy(user, plan).await;
    shop.spend(user, bought.subscription, Usd::dollars(1)).await;
    shop.go_to("2026-01-08T00:00:00Z").await;
    assert_eq!(shop.in_plans(user).await, Usd::dollars(11));
    shop.go_to("2026-01-15T00:00:00Z").await;
    assert_eq!((shop.in_plans(user).await, shop.house().await["breakage"]), (Usd::ZERO, -Usd::dollars(11)));
    shop.close().await;
}

#[tokio::test]
async fn bought_again_it_lasts_longer_or_stacks() {
    let shop = Shop::open().await;
    shop.go_to("2028-01-31T12:00:00Z").await;
    let (user, plan) = (shop.customer().await, shop.plan(&[]).await);
    let first = shop.buy(user, plan).await;
    let second = shop.buy(user, plan).await;
    assert_eq!(first.subscription, second.subscription);
    assert_eq!((shop.in_plans(user).await, shop.views(user).await[0].paid_until), (Usd::dollars(12), at("2028-03-31T12:00:00Z")), "counted from the anchor");
    shop.go_to("2028-02-29T12:00:00Z").await;
    assert_eq!(shop.in_plans(user).await, Usd::dollars(12), "the second month begins on the leap day with an allowance of its own");
    let other = shop.plan(&[("stacking", "stack")]).await;
    let (one, two) = (shop.buy(user, other).await, shop.buy(user, other).await);
    assert_ne!(one.subscription, two.subscription);
    assert_eq!(shop.in_plans(user).await, Usd::dollars(36));
    shop.go_to("2028-04-01T00:00:00Z").await;
    assert!(shop.views(user).await.iter().all(|view| view.state == State::Ended));
    let again = shop.buy(user, plan).await;
    assert_ne!(again.subscription, first.subscription, "what has ended begins anew");
    shop.close().await;
}

#[tokio::test]
async fn days_are_those_of_the_shop_s_zone() {
    let shop = Shop { zone: TimeZone::get("Europe/Berlin").unwrap(), ..Shop::open().await };
    shop.go_to("2026-03-28T08:00:00Z").await;
    let (user, plan) = (shop.customer().await, shop.plan(&[("length", "3"), ("length_unit", "day"), ("reset", "day"), ("allowance", "4")]).await);
    let bought = shop.buy(user, plan).await;
    for (moment, left) in [("2026-03-29T06:59:59.999Z", 1), ("2026-03-29T07:00:00Z", 4), ("2026-03-30T06:59:59.999Z", 4), ("2026-03-30T07:00:00Z", 4)] {
        if left == 1 {
            shop.spend(user, bought.subscription, Usd::dollars(3)).await;
        }
        shop.go_to(moment).await;
        assert_eq!(shop.in_plans(user).await, Usd::dollars(left), "{moment}");
    }
    shop.go_to("2026-03-31T07:00:00Z").await;
    assert_eq!(shop.views(user).await[0].state, State::Ended);
    shop.close().await;
}

#[tokio::test]
async fn a_job_that_was_down_grants_nothing_that_has_passed() {
    let shop = Shop::open().await;
    let (user, plan) = (shop.customer().await, shop.plan(&[("length", "5"), ("length_unit", "day"), ("reset", "day"), ("allowance", "2")]).await);
    shop.buy(user, plan).await;
    shop.go_to("2026-01-04T12:00:00Z").await;
    assert_eq!((shop.in_plans(user).await, shop.views(user).await[0].periods.len()), (Usd::dollars(2), 4));
    shop.run().await;
    assert_eq!(shop.in_plans(user).await, Usd::dollars(2), "each period once");
    shop.go_to("2026-02-01T00:00:00Z").await;
    let house = shop.house().await;
    assert_eq!(
        (house["breakage"], house["revenue"]),
        (-Usd::dollars(4), -Usd::dollars(6)),
        "two days granted and unused; three that nobody could use are earned"
    );
    shop.close().await;
}

#[tokio::test]
async fn whoever_has_a_plan_keeps_its_terms() {
    let shop = Shop::open().await;
    let (user, plan) = (shop.customer().await, shop.plan(&[]).await);
    shop.buy(user, plan).await;
    let seen = farebox::plans::find(&mut shop.test.db.read().await.unwrap(), plan).await.unwrap().unwrap();
    let dearer = super::draft(&[("allowance", "1"), ("name", "Smaller")]);
    farebox::plans::save(&shop.test.db, &shop.kit, farebox::kernel::Id(1), Some((plan, seen.version)), &dearer).await.unwrap();
    let late = farebox::plans::save(&shop.test.db, &shop.kit, farebox::kernel::Id(1), Some((plan, seen.version)), &dearer).await;
    assert!(matches!(late, Err(farebox::plans::PlanError::Changed)), "somebody else has saved it meanwhile");
    assert_eq!(shop.views(user).await[0].terms[0].terms.name, "Starter");
    shop.buy(user, plan).await;
    shop.go_to("2026-02-01T00:00:00Z").await;
    assert_eq!(shop.in_plans(user).await, Usd::dollars(1), "what is bought later has the new terms");
    shop.go_to("2026-03-01T00:00:00Z").await;
    shop.close().await;
}
