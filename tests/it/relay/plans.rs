//! Plans at the relay: who pays, at which price, and what a plan sets for its customer.

use super::{INPUT, OUTPUT, ask, error_of, input_tokens};
use crate::harness::TestApp;
use crate::harness::app::Customer;
use farebox::kernel::{Id, PriceFactor, Usd};
use farebox::keys::{self, NewKey};
use farebox::ledger::House;
use farebox::plans::{self, Activation, Ending, PlanDraft, Renewal};
use farebox::usage;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

impl TestApp {
    /// A plan for a month that covers `demo-chat`.
    pub async fn offer(&self, fields: &[(&'static str, &'static str)]) -> Id {
        let usual = [
            ("name", "Starter"),
            ("price", "10"),
            ("sold", "both"),
            ("length", "1"),
            ("length_unit", "month"),
            ("allowance", "1"),
            ("reset", "none"),
            ("used_up", "stop"),
            ("stacking", "stack"),
            ("visibility", "public"),
            ("model_rule", "allow"),
            ("models", "demo-ch*"),
        ];
        let value = |name: &str| fields.iter().chain(&usual).find(|(known, _)| *known == name).map_or("", |(_, value)| *value);
        let draft = PlanDraft::parse(value).expect("a valid plan");
        plans::save(&self.app.db, &self.app.kit, Id(1), None, &draft).await.expect("the plan is saved")
    }

    /// Gives somebody a plan.
    pub async fn give_plan(&self, user: Id, plan: Id) -> Id {
        let mut tx = self.app.db.write().await.expect("a transaction");
        let order = self.app.kit.ids.next();
        let gift = Activation { user, plan, order, paid: Usd::ZERO, funding: House::Promotion, renewal: Renewal::Once, zone: &TimeZone::UTC };
        let activated = plans::activate(&mut tx, &self.app.kit, &self.app.books, &gift).await.expect("the plan begins");
        tx.commit().await.expect("a commit");
        self.app.refresh().await.expect("the snapshots follow");
        activated.subscription
    }

    async fn in_plans(&self, user: Id) -> Usd {
        self.app.books.balance(&mut self.app.db.read().await.unwrap(), user).await.unwrap().in_plans
    }

    /// The latest request's plan and factor.
    async fn paid_by(&self, customer: &Customer) -> (Option<Id>, Option<PriceFactor>) {
        let latest = self.requests(customer.user.id).await.remove(0).id;
        let row = usage::find(&mut self.app.db.read().await.unwrap(), latest).await.unwrap().unwrap();
        (row.plan, row.factor)
    }
}

/// Answers with 20 tokens, and may answer with so many.
fn short(model: &str, most: u64) -> Value {
    let mut body = ask(model, "[[tokens=20]] Hello");
    body["max_tokens"] = json!(most);
    body
}

fn cost() -> i64 {
    input_tokens("[[tokens=20]] Hello") * INPUT + 20 * OUTPUT
}

async fn shop() -> TestApp {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat", "other"]).await;
    shop
}

#[tokio::test]
async fn a_plan_pays_at_its_price_and_stops_when_it_is_used_up() {
    let shop = shop().await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let plan = shop.offer(&[("factor", "0.5"), ("allowance", "0.0004"), ("name", "Half price")]).await;
    shop.give_plan(customer.user.id, plan).await;
    let answer = shop.chat(&customer.key, short("demo-chat", 30)).await;
    assert_eq!(answer.status(), 200);
    let half = Usd((cost() + 1) / 2);
    assert_eq!(answer.headers()["x-farebox-cost-usd"].to_str().unwrap(), half.to_string());
    answer.bytes().await.unwrap();
    assert_eq!((shop.in_plans(customer.user.id).await, shop.available(customer.user.id).await), (Usd(400_000) - half, Usd::dollars(1)));
    assert_eq!(shop.paid_by(&customer).await, (Some(plan), PriceFactor::parse("0.5").ok()));
    // Less and less is left, the cap is lowered, and then it stops: the wallet is not asked.
    let mut last = shop.chat(&customer.key, short("demo-chat", 30)).await;
    for _ in 0..10 {
        if last.status() != 200 {
            break;
        }
        last.bytes().await.unwrap();
        last = shop.chat(&customer.key, short("demo-chat", 30)).await;
    }
    let (status, error) = error_of(last).await;
    let message = error["message"].as_str().unwrap();
    assert_eq!((status, error["code"].as_str()), (402, Some("plan_used_up")));
    assert!(message.contains("'Half price'") && message.contains("/account/plan"), "{message}");
    assert_eq!(shop.available(customer.user.id).await, Usd::dollars(1));
    // What it does not cover is paid as ever.
    let other = shop.chat(&customer.key, short("other", 30)).await;
    assert_eq!(other.status(), 200);
    other.bytes().await.unwrap();
    assert_eq!((shop.available(customer.user.id).await, shop.paid_by(&customer).await), (Usd::dollars(1) - Usd(cost()), (None, None)));
    shop.finish().await;
}

#[tokio::test]
async fn at_the_ordinary_price_plan_and_wallet_pay_together() {
    let shop = shop().await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let plan = shop.offer(&[("used_up", "wallet"), ("allowance", "0.0003")]).await;
    shop.give_plan(customer.user.id, plan).await;
    let both = |left: Usd, wallet: Usd| left + wallet;
    for n in 1..=3 {
        let answer = shop.chat(&customer.key, short("demo-chat", 30)).await;
        assert_eq!(answer.status(), 200);
        answer.bytes().await.unwrap();
        let spent = Usd::dollars(1) + Usd(300_000) - both(shop.in_plans(customer.user.id).await, shop.available(customer.user.id).await);
        assert_eq!(spent, Usd(n * cost()), "to the last fraction of both");
    }
    assert_eq!((shop.in_plans(customer.user.id).await, shop.paid_by(&customer).await), (Usd::ZERO, (None, None)), "the wallet alone at last");
    shop.finish().await;
}

#[tokio::test]
async fn another_price_is_left_for_the_ordinary_one_when_the_plan_cannot_pay_for_all_of_it() {
    let shop = shop().await;
    let customer = shop.customer(Usd(cost() + 100_000)).await;
    let plan = shop.offer(&[("used_up", "wallet"), ("factor", "0.5"), ("allowance", "0.0004")]).await;
    shop.give_plan(customer.user.id, plan).await;
    let ask = async || {
        let answer = shop.chat(&customer.key, short("demo-chat", 40)).await;
        assert_eq!(answer.status(), 200);
        answer.bytes().await.unwrap();
        (shop.paid_by(&customer).await.0, shop.in_plans(customer.user.id).await)
    };
    let half = Usd((cost() + 1) / 2);
    assert_eq!(ask().await, (Some(plan), Usd(400_000) - half));
    assert_eq!(ask().await, (Some(plan), Usd(400_000) - half - half));
    assert_eq!(ask().await, (None, Usd(400_000) - half - half), "the wallet pays for all of it");
    let (payer, left) = ask().await;
    assert!(payer == Some(plan) && left < Usd(400_000) - half - half, "the wallet is nearly empty: the plan pays for what it can");
    shop.finish().await;
}

#[tokio::test]
async fn a_key_s_budget_keeps_no_plan_from_paying() {
    let shop = shop().await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let plan = shop.offer(&[("used_up", "wallet"), ("factor", "0.5")]).await;
    shop.give_plan(customer.user.id, plan).await;
    let (key, _) = shop.key(customer.user.id, Some(Usd(cost()))).await;
    // Without a cap of its own the worst case is more than the key may spend.
    let answer = shop.chat(&key, ask("demo-chat", "[[tokens=20]] Hello")).await;
    assert_eq!(answer.status(), 200);
    answer.bytes().await.unwrap();
    assert_eq!((shop.paid_by(&customer).await.0, shop.available(customer.user.id).await), (Some(plan), Usd::dollars(1)));
    shop.finish().await;
}

#[tokio::test]
async fn the_best_of_the_plans_is_better_than_the_default_and_what_was_set_for_one_is_nearer() {
    let shop = shop().await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let limit = async || {
        let answer = shop.chat(&customer.key, short("other", 30)).await;
        answer.headers().get("x-ratelimit-limit-requests").map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(limit().await, None);
    let (slow, fast) = (shop.offer(&[("rpm", "100"), ("tpm", "900000")]).await, shop.offer(&[("rpm", "500"), ("keys", "2")]).await);
    shop.give_plan(customer.user.id, slow).await;
    assert_eq!(limit().await.as_deref(), Some("100"), "of the customer, whatever the model");
    let running = shop.give_plan(customer.user.id, fast).await;
    assert_eq!(limit().await.as_deref(), Some("500"));
    shop.limit_user(customer.user.id, &[("rpm", "7")]).await;
    assert_eq!(limit().await.as_deref(), Some("7"));
    shop.limit_user(customer.user.id, &[]).await;
    let most = shop.app.plans.limits(customer.user.id, shop.app.kit.clock.now_ms()).keys.unwrap().get() as i64;
    keys::create_within(&shop.app.db, &shop.app.kit, customer.user.id, NewKey::named("second"), most).await.unwrap();
    let third = keys::create_within(&shop.app.db, &shop.app.kit, customer.user.id, NewKey::named("third"), most).await;
    assert!(matches!(third, Err(keys::KeyError::TooMany)));
    // It ends, and the other one holds again.
    let mut tx = shop.app.db.write().await.unwrap();
    plans::cancel(&mut tx, &shop.app.kit, &shop.app.books, running, Ending::Now(House::Revenue)).await.unwrap();
    tx.commit().await.unwrap();
    shop.app.refresh().await.unwrap();
    assert_eq!(limit().await.as_deref(), Some("100"));
    shop.finish().await;
}

#[tokio::test]
async fn fifty_at_once_never_take_more_than_the_allowance() {
    let shop = shop().await;
    let customer = shop.customer(Usd::ZERO).await;
    let plan = shop.offer(&[("allowance", "0.003")]).await;
    shop.give_plan(customer.user.id, plan).await;
    let asks = (0..50).map(|_| shop.chat(&customer.key, short("demo-chat", 25)));
    let mut served = 0;
    for answer in futures_util::future::join_all(asks).await {
        served += i64::from(answer.status() == 200);
        answer.bytes().await.unwrap();
    }
    shop.settled(&customer, 50).await;
    assert_eq!(shop.in_plans(customer.user.id).await, Usd(3_000_000 - served * cost()));
    assert!(served > 0 && served < 50);
    shop.finish().await;
}
