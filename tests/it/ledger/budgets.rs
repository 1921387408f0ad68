//! What a key, or a customer, may spend in a day, a week, a month and in all.

use super::{Notes, START, Shop, kit};
use crate::harness::TestDb;
use farebox::kernel::{Clock, Id, Usd, clock::DAY_MS};
use farebox::ledger::{
    Account, Budgets, Hold, HoldRequest, House, LedgerError, Meter, NodeRun, Pays, Period, Shortage, Transfer, TransferKind, Whose, audit, recover_node,
};

fn day(budget: i64) -> Budgets {
    Budgets { day: Some(Usd(budget)), ..Budgets::default() }
}

impl Shop {
    async fn hold_with(&self, user: Id, full: i64, key_budget: Budgets, user_budget: Budgets) -> Result<Hold, LedgerError> {
        self.meter.hold(HoldRequest { key_budget, user_budget, ..self.ask(user, Usd(full)) }).await
    }

    async fn spend(&self, hold: Hold, cost: i64) {
        assert_eq!(self.meter.settle(hold, Usd(cost), None).await.unwrap().charged, Usd(cost));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_lowered_to_what_the_tightest_budget_leaves_and_says_which_it_is() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(10_000)).await;
    let none = Budgets::default();
    let first = shop.hold_with(user, 100, day(250), none).await.unwrap();
    assert_eq!((first.amount, first.short_of_budget), (Usd(100), None));
    let by_key = Shortage { whose: Whose::Key, period: Some(Period::Day), resets_at_ms: START + DAY_MS };
    let second = shop.hold_with(user, 200, day(250), none).await.unwrap();
    assert_eq!((second.amount, second.short_of_budget), (Usd(150), Some(by_key)), "what is in flight counts");
    let refused = shop.hold_with(user, 1, day(250), none).await.unwrap_err();
    assert!(
        matches!(refused, LedgerError::PeriodBudgetExhausted { whose: Whose::Key, period: Period::Day, left: Usd::ZERO, resets_at_ms } if resets_at_ms == START + DAY_MS),
        "{refused}"
    );
    shop.spend(first, 60).await;
    shop.spend(second, 0).await;

    // Another key of the same customer: the customer's budget counts both.
    let other = HoldRequest { key: Id(user.0 + 2), user_budget: Budgets { month: Some(Usd(100)), ..none }, ..shop.ask(user, Usd(90)) };
    let hold = shop.meter.hold(other).await.unwrap();
    let month_ends = "2026-02-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
    assert_eq!((hold.amount, hold.short_of_budget), (Usd(40), Some(Shortage { whose: Whose::User, period: Some(Period::Month), resets_at_ms: month_ends })));
    shop.spend(hold, 40).await;
    let refused = shop.hold_with(user, 1, none, Budgets::total(Some(Usd(99)))).await.unwrap_err();
    assert!(matches!(refused, LedgerError::UserBudgetExhausted { left: Usd(-1) }), "{refused}");
    let refused = shop.hold_with(user, 1, Budgets::total(Some(Usd(60))), none).await.unwrap_err();
    assert!(matches!(refused, LedgerError::KeyBudgetExhausted { left: Usd::ZERO }), "{refused}");

    // When the balance ends before the budget, it was not the budget's fault.
    let poor = shop.customer(Usd(50)).await;
    let hold = shop.hold_with(poor, 300, day(200), day(100)).await.unwrap();
    assert_eq!((hold.amount, hold.short_of_budget), (Usd(50), None));
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_day_a_new_week_and_a_new_month_begin_anew() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(1_000_000)).await;
    let budgets = Budgets { total: Some(Usd(5_000)), day: Some(Usd(100)), week: Some(Usd(250)), month: Some(Usd(600)) };
    // From Thursday, 2026-01-01 on, whoever spends all that can be spent each day.
    let mut days = Vec::new();
    for n in 0..40 {
        let (by_key, by_user) = if n % 2 == 0 { (budgets, Budgets::default()) } else { (Budgets::default(), budgets) };
        let mut spent = 0;
        while let Ok(hold) = shop.hold_with(user, 70, by_key, by_user).await {
            spent += hold.amount.0;
            let amount = hold.amount.0;
            shop.spend(hold, amount).await;
        }
        days.push(spent);
        shop.must_be_clean().await;
        shop.kit.clock.advance(DAY_MS);
    }
    let first_week = [100, 100, 50, 0];
    let week = [100, 100, 50, 0, 0, 0, 0];
    let mut said = [first_week.as_slice(), &week, &[100, 0, 0, 0, 0, 0, 0]].concat();
    // 600 of January are gone on Monday, the 12th; the 1st of February is a Sunday.
    said.extend([0; 13]);
    said.push(100);
    said.extend(week);
    said.push(100);
    assert_eq!(days, said);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_flight_over_midnight_counts_in_the_day_in_which_it_is_charged() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(10_000)).await;
    shop.kit.clock.advance(DAY_MS - 1);
    let long = shop.hold_with(user, 80, day(100), Budgets::default()).await.unwrap();
    shop.kit.clock.advance(1);
    let short = shop.hold_with(user, 80, day(100), Budgets::default()).await.unwrap();
    assert_eq!(short.amount, Usd(20), "what is still in flight may yet be charged today");
    shop.spend(long, 30).await;
    shop.spend(short, 20).await;
    assert_eq!(shop.hold_with(user, 80, day(100), day(100)).await.unwrap().amount, Usd(50));
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_clock_is_behind_does_not_bring_yesterday_back() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(10_000)).await;
    let behind = kit(&Clock::manual(START - 1), 2);
    let (other, _) = Meter::start(shop.db().clone(), behind, NodeRun { slot: 2, incarnation: 1 }, Notes::default());
    let ask = |full| HoldRequest { key_budget: day(100), user_budget: day(150), ..shop.ask(user, Usd(full)) };
    let hold = other.hold(ask(60)).await.unwrap();
    shop.spend(hold, 60).await;
    let hold = other.hold(ask(60)).await.unwrap();
    assert_eq!(hold.amount, Usd(40), "the day that has begun elsewhere has begun here");
    assert_eq!(other.settle(hold, Usd(40), None).await.unwrap().charged, Usd(40));
    shop.must_be_clean().await;
    // A key that it is the first to use stands in the customer's day, not in its own.
    let fresh = HoldRequest { key: Id(user.0 + 2), ..ask(90) };
    let hold = other.hold(fresh.clone()).await.unwrap();
    assert_eq!((hold.amount, hold.short_of_budget.map(|s| s.whose)), (Usd(50), Some(Whose::User)));
    assert_eq!(other.settle(hold, Usd(30), None).await.unwrap().charged, Usd(30));
    let again = HoldRequest { id: shop.kit.ids.next(), user_budget: Budgets::default(), ..fresh };
    assert_eq!(shop.meter.hold(again).await.unwrap().amount, Usd(70));
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_costs_beyond_its_hold_is_charged_and_uses_up_the_budget() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(10_000)).await;
    let hold = shop.hold_with(user, 100, day(120), Budgets::total(Some(Usd(150)))).await.unwrap();
    shop.spend(hold, 160).await;
    let by_key = shop.hold_with(user, 1, day(120), Budgets::default()).await.unwrap_err();
    assert!(matches!(by_key, LedgerError::PeriodBudgetExhausted { whose: Whose::Key, left: Usd(-40), .. }), "{by_key}");
    let by_user = shop.hold_with(user, 1, Budgets::default(), Budgets::total(Some(Usd(150)))).await.unwrap_err();
    assert!(matches!(by_user, LedgerError::UserBudgetExhausted { left: Usd(-10) }), "{by_user}");
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_recovery_charged_too_much_is_given_back_to_the_day_in_which_it_was_charged() {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(10_000)).await;
    let request = HoldRequest { checkpoint: Usd(90), key_budget: day(100), ..shop.ask(user, Usd(100)) };
    let lost = shop.meter.hold(request).await.unwrap();
    recover_node(shop.db(), &shop.kit, shop.notes.clone(), shop.run).await.unwrap();
    shop.kit.clock.advance(DAY_MS);
    let today = shop.hold_with(user, 40, day(100), day(100)).await.unwrap();
    shop.spend(today, 40).await;
    shop.spend(lost, 10).await;
    shop.must_be_clean().await;
    let budget = Budgets { week: Some(Usd(100)), ..day(100) };
    let hold = shop.hold_with(user, 100, budget, day(100)).await.unwrap();
    assert_eq!(hold.amount, Usd(50), "60 are left of the day, and 50 of the week, to which 80 came back");
    shop.must_be_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_is_older_than_the_budgets_of_periods_goes_on() {
    let test = TestDb::as_of(3).await;
    let user = Id(1_000_000);
    // What the first release had written: two requests of 100, one of which recovery charged with 40 more than it cost, and one in flight.
    let (one, two) = (Id(2_000_001).to_string(), Id(2_000_002).to_string());
    let (gift, revenue, promotion) = (Account::Credit(Id(3000)), Account::House(House::Revenue), Account::House(House::Promotion));
    let transfer = |id, (debit, credit): (Account, Account), amount, kind: TransferKind, reference: &str| {
        let row =
            Transfer { id: Id(id), debit, credit, amount: Usd(amount), kind, user, reference: reference.to_owned(), idempotency_key: String::new(), at: 0 };
        let (debit, credit, word, hash) = (debit.number(), credit.number(), kind.word(), row.payload_hash());
        format!("INSERT INTO transfer VALUES ({id}, {debit}, {credit}, {amount}, '{word}', {}, '{reference}', 'k{id}', {hash}, {})", user.0, START - 10 + id)
    };
    let hold = |id: i64, amount: i64, state: &str, captured: i64, released: i64| {
        format!(
            "INSERT INTO hold (id, user_id, key_id, node, incarnation, amount, checkpoint, legs, memo, state, captured, released, created_at) \
             VALUES ({id}, {}, 7, 1, 1, {amount}, 0, '3000:{amount}', '', '{state}', {captured}, {released}, 0)",
            user.0
        )
    };
    test.run([
        format!("INSERT INTO wallet (user_id, version, owed, overdraft_limit, created_at) VALUES ({}, 5, 0, 0, 0)", user.0),
        format!("INSERT INTO credit VALUES (3000, {}, 'gift', 1000, 840, 30, 100, 0, 9223372036854775807, 'gift', 0)", user.0),
        transfer(1, (promotion, gift), 1000, TransferKind::Grant, "gift"),
        transfer(2, (gift, revenue), 100, TransferKind::Capture, &one),
        transfer(3, (gift, revenue), 100, TransferKind::Capture, &two),
        transfer(4, (revenue, gift), 40, TransferKind::Correction, &two),
        hold(2_000_001, 100, "captured", 100, 0),
        hold(2_000_002, 120, "corrected", 100, 20),
        hold(2_000_003, 30, "open", 0, 0),
        "INSERT INTO key_meter (key_id, spent, held, requests) VALUES (7, 160, 30, 2)".to_owned(),
    ])
    .await;
    farebox::db::migrate(&test.db).await.unwrap();
    let report = audit(&test.db).await.unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);

    let kit = kit(&Clock::manual(START), 2);
    let (meter, _) = Meter::start(test.db.clone(), kit.clone(), NodeRun { slot: 2, incarnation: 1 }, Notes::default());
    let budget = Budgets { total: Some(Usd(500)), ..day(100) };
    let request = HoldRequest {
        id: kit.ids.next(),
        user,
        key: Id(7),
        key_budget: budget,
        user_budget: Budgets { total: Some(Usd(250)), ..Budgets::default() },
        full: Usd(100),
        floor: Usd(1),
        pays: Pays::default(),
        checkpoint: Usd::ZERO,
        memo: String::new(),
    };
    let hold = meter.hold(request).await.unwrap();
    assert_eq!((hold.amount, hold.short_of_budget.map(|s| (s.whose, s.period))), (Usd(60), Some((Whose::User, None))), "250, less 160 spent and 30 in flight");
    meter.settle(hold, Usd(60), None).await.unwrap();
    let report = audit(&test.db).await.unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);
}
