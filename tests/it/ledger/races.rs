//! Many at once for the same money.

use super::{Notes, START, Shop, kit};
use farebox::kernel::{Clock, Id, Kit, Random, Usd};
use farebox::ledger::{Budgets, HoldRequest, LedgerError, Meter, NodeRun, Pays};
use futures_util::future::join_all;
use std::sync::Arc;

const DOLLAR: Usd = Usd::dollars(1);

/// How one racer's purse ended: what it was charged, and whether it stopped because nothing was left.
struct Race {
    charged: Usd,
    requests: u64,
}

/// What may be spent with which key.
#[derive(Clone, Copy)]
struct Purse {
    user: Id,
    key: Id,
    key_budget: Budgets,
    user_budget: Budgets,
}

impl Purse {
    fn of(user: Id) -> Self {
        Self { user, key: Id(user.0 + 1), key_budget: Budgets::default(), user_budget: Budgets::default() }
    }
}

/// Holds and settles until the money, or a budget, is gone.
async fn spend_all(meter: Meter<Notes>, kit: Kit, random: Random, purse: Purse) -> Race {
    let Purse { user, key, key_budget, user_budget } = purse;
    let mut race = Race { charged: Usd::ZERO, requests: 0 };
    loop {
        let full = Usd(1 + random.below(40_000_000) as i64);
        let request = HoldRequest {
            id: kit.ids.next(),
            user,
            key,
            key_budget,
            user_budget,
            full,
            floor: Usd(1),
            pays: Pays::default(),
            checkpoint: Usd::ZERO,
            memo: String::new(),
        };
        let hold = match meter.hold(request).await {
            Ok(hold) => hold,
            Err(LedgerError::InsufficientBalance { available }) => {
                assert_eq!(available, Usd::ZERO, "refused although something was available");
                return race;
            }
            Err(LedgerError::KeyBudgetExhausted { left } | LedgerError::UserBudgetExhausted { left } | LedgerError::PeriodBudgetExhausted { left, .. }) => {
                assert_eq!(left, Usd::ZERO, "refused although the budget had something left");
                return race;
            }
            Err(error) => panic!("{error}"),
        };
        assert!(Usd::ZERO < hold.amount && hold.amount <= full);
        // Most requests cost less than was held; some cost all of it, so that the race ends.
        let cost = if random.below(3) == 0 { hold.amount } else { Usd(random.below(hold.amount.0 as u64 + 1) as i64) };
        let charge = meter.settle(hold, cost, None).await.unwrap();
        assert_eq!((charge.charged, charge.absorbed), (cost, Usd::ZERO));
        race.charged += cost;
        race.requests += 1;
    }
}

/// Runs so many racers over these meters and purses at once; returns what each purse was charged.
async fn race(tasks: usize, meters: &[(Meter<Notes>, Kit)], purses: &[Purse]) -> Vec<(Usd, u64)> {
    let random = Random::seeded(7);
    let racers = (0..tasks).map(|n| {
        let (meter, kit) = meters[n % meters.len()].clone();
        let which = n / meters.len() % purses.len();
        let (random, purse) = (random.clone(), purses[which]);
        tokio::spawn(async move { (which, spend_all(meter, kit, random, purse).await) })
    });
    let mut sums = vec![(Usd::ZERO, 0); purses.len()];
    for racer in join_all(racers).await {
        let (which, race) = racer.unwrap();
        let sum = &mut sums[which];
        sum.0 += race.charged;
        sum.1 += race.requests;
    }
    sums
}

async fn must_be_spent(shop: &Shop, users: &[Id], sums: &[(Usd, u64)]) {
    for (user, (charged, requests)) in users.iter().zip(sums) {
        let balance = shop.balance(*user).await;
        assert_eq!(*charged, DOLLAR - balance.available, "charges and balance agree to the nano-dollar");
        assert_eq!((balance.available, balance.held, balance.owed), (Usd::ZERO, Usd::ZERO, Usd::ZERO));
        assert_eq!(shop.key(Id(user.0 + 1)).await, (charged.0, 0, *requests as i64));
    }
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_tasks_race_for_one_dollar() {
    let shop = Shop::open().await;
    let users = [shop.customer(DOLLAR).await];
    let sums = race(64, &[(shop.meter.clone(), shop.kit.clone())], &users.map(Purse::of)).await;
    must_be_spent(&shop, &users, &sums).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_customers_race_through_one_writer_each_for_their_own_dollar() {
    let shop = Shop::open().await;
    let mut users = [Id(0); 5];
    for user in &mut users {
        *user = shop.customer(DOLLAR).await;
    }
    let sums = race(64, &[(shop.meter.clone(), shop.kit.clone())], &users.map(Purse::of)).await;
    must_be_spent(&shop, &users, &sums).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_race_for_the_same_dollars() {
    let shop = Shop::open().await;
    let users = [shop.customer(DOLLAR).await, shop.customer(DOLLAR).await, shop.customer(DOLLAR).await];
    let other_kit = kit(&Clock::manual(START), 2);
    let other_db = farebox::db::Db::connect(&shop.test.url).await.unwrap();
    let (other, _) = Meter::start(other_db, other_kit.clone(), NodeRun { slot: 2, incarnation: 1 }, Notes::default());
    let sums = race(64, &[(shop.meter.clone(), shop.kit.clone()), (other, other_kit)], &users.map(Purse::of)).await;
    must_be_spent(&shop, &users, &sums).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keys_budget_is_exact_when_many_spend_it_on_two_nodes() {
    let shop = Shop::open().await;
    let user = shop.customer(DOLLAR).await;
    let other_kit = kit(&Clock::manual(START), 2);
    let (other, _) = Meter::start(shop.db().clone(), other_kit.clone(), NodeRun { slot: 2, incarnation: 1 }, Notes::default());
    let budget = Usd(300_000_001);
    let purse = Purse { key: Id(user.0 + 2), key_budget: Budgets::total(Some(budget)), ..Purse::of(user) };
    let sums = race(32, &[(shop.meter.clone(), shop.kit.clone()), (other, other_kit)], &[purse]).await;
    assert_eq!(sums[0].0, budget, "spent to the last nano-dollar, and not one more");
    assert_eq!(shop.balance(user).await.available, DOLLAR - budget);
    assert_eq!(shop.key(Id(user.0 + 2)).await, (budget.0, 0, sums[0].1 as i64));
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_of_periods_are_exact_when_many_keys_spend_them_on_two_nodes() {
    let shop = Shop::open().await;
    let user = shop.customer(DOLLAR).await;
    let clock = Clock::manual(START);
    let other_kit = kit(&clock, 2);
    let (other, _) = Meter::start(shop.db().clone(), other_kit.clone(), NodeRun { slot: 2, incarnation: 1 }, Notes::default());
    let meters = [(shop.meter.clone(), shop.kit.clone()), (other, other_kit)];
    // The first key has a budget of its own for the day, the second only the customer's for the week.
    let user_budget = Budgets { week: Some(Usd(300_000_001)), ..Budgets::default() };
    let first = Purse { key: Id(user.0 + 2), key_budget: Budgets { day: Some(Usd(90_000_007)), ..Budgets::default() }, user_budget, ..Purse::of(user) };
    let second = Purse { key: Id(user.0 + 3), user_budget, ..Purse::of(user) };
    // 2026-01-01 is a Thursday: four days are left of its week.
    let mut by_first = Usd::ZERO;
    for _ in 0..3 {
        by_first += race(16, &meters, &[first]).await[0].0;
        assert_eq!(by_first.0 % 90_000_007, 0, "the day's budget to the last nano-dollar");
        shop.kit.clock.advance(farebox::kernel::clock::DAY_MS);
        clock.advance(farebox::kernel::clock::DAY_MS);
    }
    assert_eq!(by_first, Usd(3 * 90_000_007));
    let sums = race(32, &meters, &[first, second]).await;
    assert_eq!(by_first + sums[0].0 + sums[1].0, Usd(300_000_001), "the week's budget to the last nano-dollar");
    assert_eq!(shop.balance(user).await.available, DOLLAR - Usd(300_000_001));
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postings_by_hand_and_the_sweep_run_beside_the_writer() {
    let shop = Arc::new(Shop::open().await);
    let user = shop.customer(DOLLAR).await;
    let spender = tokio::spawn(spend_all(shop.meter.clone(), shop.kit.clone(), Random::seeded(3), Purse::of(user)));
    let poster = tokio::spawn({
        let shop = shop.clone();
        async move {
            let mut given = Usd::ZERO;
            for n in 0..20_i64 {
                let expires_at = shop.kit.clock.now_ms() + n % 3;
                let grant = farebox::ledger::Grant { expires_at, ..shop.gift(user, Usd(1_000_000 + n)) };
                shop.grant(grant).await.unwrap();
                given += Usd(1_000_000 + n);
                shop.kit.clock.advance(1);
                shop.books.expire(shop.db()).await.unwrap();
                match shop.adjust(user, Usd(-1_000 - n), &format!("take:{n}")).await {
                    Ok(()) => given -= Usd(1_000 + n),
                    Err(LedgerError::InsufficientBalance { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            given
        }
    });
    let given = poster.await.unwrap();
    let first = spender.await.unwrap();
    let rest = spend_all(shop.meter.clone(), shop.kit.clone(), Random::seeded(4), Purse::of(user)).await;
    shop.kit.clock.advance(10);
    shop.books.expire(shop.db()).await.unwrap();
    let expired = shop.count("SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM transfer WHERE kind = 'expiry'").await;
    assert_eq!(first.charged + rest.charged + Usd(expired), DOLLAR + given, "everything given was charged, taken or has expired");
    shop.must_be_clean().await;
}
