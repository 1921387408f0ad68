//! The figures of the books: whatever comes in whatever order, what is added up is what the transfers say.

use crate::harness::TestApp;
use crate::harness::app::Customer;
use crate::web::{Visitor, owner};
use farebox::accounting::{self, Period, Report};
use farebox::db::Conn;
use farebox::kernel::{Clock, Days, Id, IdGen, Kit, NEVER, Random, Usd};
use farebox::ledger::{self, Books, CreditKind, EVERYTHING, Grant, House, NOBODY, Posting, Spent, Take, TakeBack, TransferKind, rolls};
use farebox::settings;
use jiff::tz::TimeZone;
use reqwest::StatusCode;

/// 2026-03-27 12:00 UTC: Berlin's summer time begins two days later.
const NOON: i64 = 1_774_612_800_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// Something of everything that moves money, as chance has it.
async fn act(shop: &TestApp, books: &Books, kit: &Kit, user: Id) {
    let dice = |sides: u8| i64::from(kit.random.bytes::<1>()[0] % sides);
    let mut tx = shop.app.db.write().await.unwrap();
    let (key, amount) = (format!("test:{}", kit.ids.next()), Usd(1_000_000 + dice(200) * 7_919));
    let grant = |from, kind| Grant {
        user,
        kind,
        from,
        amount,
        priority: 100,
        effective_at: 0,
        expires_at: NEVER,
        scope: EVERYTHING,
        reference: "test".to_owned(),
        idempotency_key: key.clone(),
    };
    let post = |debit, credit, kind, user| Posting { user, debit, credit, amount, kind, reference: "test".to_owned(), idempotency_key: key.clone() };
    match dice(9) {
        0 | 1 => {
            books.grant(&mut tx, grant(House::Cash, CreditKind::Paid)).await.unwrap();
        }
        2 => {
            books.grant(&mut tx, grant(House::Promotion, CreditKind::Gift)).await.unwrap();
        }
        3 => {
            let id = books.grant(&mut tx, grant(House::Cash, CreditKind::Paid)).await.unwrap().credit_id;
            let (to, kind) = if dice(2) == 0 { (House::Cash, TransferKind::Refund) } else { (House::Cash, TransferKind::Chargeback) };
            let spent = if dice(2) == 0 { Spent::Owed } else { Spent::Lost };
            let back =
                TakeBack { user, credit: id, amount: amount + Usd(5), to, spent, kind, reference: "test".to_owned(), idempotency_key: format!("{key}:back") };
            books.take_back(&mut tx, &back).await.unwrap();
        }
        4 => {
            let take = Take {
                user,
                amount: Usd(11),
                to: House::Cards,
                kind: TransferKind::Purchase,
                kinds: Take::ANY,
                reference: "test".into(),
                idempotency_key: key.clone(),
            };
            let _ = books.take(&mut tx, &take).await; // there may be nothing to take
        }
        5 => {
            // Sold and delivered at once: what lies in the account of plans is what subscriptions say.
            books.post(&mut tx, &post(House::Cash, House::Plans, TransferKind::Sale, user)).await.unwrap();
            let earned = Posting { idempotency_key: format!("{key}:earned"), ..post(House::Plans, House::Revenue, TransferKind::Recognised, user) };
            books.post(&mut tx, &earned).await.unwrap();
        }
        6 => {
            books.post(&mut tx, &post(House::Cash, House::Cards, TransferKind::Sale, user)).await.unwrap();
        }
        7 => {
            books.post(&mut tx, &post(House::Fees, House::Cash, TransferKind::Fee, NOBODY)).await.unwrap();
        }
        _ => books.adjust(&mut tx, user, amount, "test".to_owned(), key.clone()).await.unwrap(),
    }
    tx.commit().await.unwrap();
}

/// A shop in which so many things have happened in about ten days, to three customers; and its clock.
async fn busy(n: usize) -> (TestApp, Clock, Vec<Customer>) {
    let clock = Clock::manual(NOON);
    let shop = TestApp::at_time(&clock, &[]).await;
    let mut people = Vec::new();
    for _ in 0..3 {
        people.push(shop.customer(Usd::dollars(1)).await);
    }
    let kit = Kit { random: Random::seeded(11), ..shop.app.kit.clone() };
    for turn in 0..n {
        act(&shop, &shop.app.books, &kit, people[turn % 3].user.id).await;
        clock.advance(10 * DAY / n as i64);
    }
    (shop, clock, people)
}

async fn run(shop: &TestApp, days: &Days) {
    while accounting::run(&shop.app.db, &shop.app.kit, days).await.unwrap() > 0 {}
}

async fn report(shop: &TestApp, days: &Days, period: &str) -> Report {
    let today = days.day(shop.app.kit.clock.now_ms());
    accounting::report(&mut shop.app.db.snapshot().await.unwrap(), days, period.parse().unwrap(), today).await.unwrap()
}

async fn audit(shop: &TestApp) -> Vec<String> {
    let mut snapshot = shop.app.db.snapshot().await.unwrap();
    let books = ledger::audit_in(&mut snapshot).await.unwrap();
    assert!(books.is_clean(), "{:?}", books.findings);
    accounting::audit(&mut snapshot, &books).await.unwrap()
}

/// (id, debit, credit, amount, kind) of every transfer.
async fn transfers(conn: &mut Conn) -> Vec<(i64, i64, i64, i64, String)> {
    sqlx::query_as("SELECT id, debit, credit, amount, kind FROM transfer ORDER BY id").fetch_all(conn).await.unwrap()
}

/// Holds every line of a report against the table of transfers.
async fn hold(shop: &TestApp, days: &Days, period: &str) {
    let report = report(shop, days, period).await;
    let rows = transfers(&mut shop.app.db.read().await.unwrap()).await;
    let net = |ids: std::ops::Range<i64>, is: &dyn Fn(i64) -> bool| -> i64 {
        let sum = |debits: bool| rows.iter().filter(|row| ids.contains(&row.0) && is(if debits { row.1 } else { row.2 })).map(|row| row.3).sum::<i64>();
        sum(true) - sum(false)
    };
    let (first, last) = period.parse::<Period>().unwrap().bounds();
    let before = -net(0..days.ids(first).0.0, &|account| account == 7 || account == 8 || account >= 1000);
    assert_eq!(report.opening.deferred().0 - report.opening.receivable.0, before, "{period}");
    for line in report.lines.iter().chain([&report.total]) {
        let (from, until) = line.period.bounds();
        let (from, until) = (days.ids(from).0.0, days.ids(until).0.0);
        let house = |house: House| net(from..until, &|account| account == house.number());
        let cash = |kind: &str| {
            rows.iter()
                .filter(|row| (from..until).contains(&row.0) && row.4 == kind)
                .map(|row| {
                    if row.2 == 1 {
                        row.3
                    } else if row.1 == 1 {
                        -row.3
                    } else {
                        0
                    }
                })
                .sum::<i64>()
        };
        let figures = &line.figures;
        assert_eq!(
            (figures.revenue.0, figures.promotion.0, figures.fees.0),
            (-house(House::Revenue), house(House::Promotion), house(House::Fees)),
            "{}",
            line.period
        );
        assert_eq!((figures.refunds.0, figures.disputes.0), (cash("refund"), cash("chargeback")), "{}", line.period);
        assert_eq!(figures.received.0, house(House::Cash) + cash("refund") + cash("chargeback") + cash("fee"), "{}", line.period);
        assert_eq!((figures.losses.0, figures.adjustments.0), (house(House::Loss) + house(House::Absorbed), house(House::Adjustment)), "{}", line.period);
        assert_eq!(figures.difference(), Usd::ZERO, "{}", line.period);
        let standing = -net(0..until, &|account| account == 7 || account == 8 || account >= 1000);
        assert_eq!(line.closing.deferred().0 - line.closing.receivable.0, standing, "{}", line.period);
    }
    let ids = days.ids(first).0.0..days.ids(last).0.0;
    assert!(rows.iter().any(|row| ids.contains(&row.0)) != report.lines.is_empty());
}

#[tokio::test]
async fn days_that_are_added_up_say_what_their_transfers_say() {
    let (shop, _, _) = busy(160).await;
    for zone in ["UTC", "Europe/Berlin", "America/New_York", "Asia/Shanghai"] {
        let days = Days::of(&TimeZone::get(zone).unwrap());
        let mut live = Vec::new();
        for period in ["2026-03", "2026-04", "2026", "2026-03-29", "2025"] {
            hold(&shop, &days, period).await;
            live.push(report(&shop, &days, period).await);
        }
        run(&shop, &days).await;
        let rolled = rolls::rolled(&mut shop.app.db.read().await.unwrap(), &days).await.unwrap().expect("days are rolled");
        assert!(days.begin(rolled.1.next()) <= shop.app.kit.clock.now_ms() && rolled.0 < rolled.1, "{zone}: {rolled:?}");
        for (period, live) in ["2026-03", "2026-04", "2026", "2026-03-29", "2025"].iter().zip(live) {
            assert_eq!(report(&shop, &days, period).await, live, "{zone} {period}");
        }
        assert_eq!(audit(&shop).await, Vec::<String>::new(), "{zone}");
        let zones = rolls::zones(&mut shop.app.db.read().await.unwrap()).await.unwrap();
        assert_eq!(zones, [zone], "those of the zone before are gone");
    }
    shop.finish().await;
}

#[tokio::test]
async fn a_transfer_that_comes_after_its_day_was_added_up_is_not_lost() {
    let (shop, clock, people) = busy(60).await;
    let days = Days::of(&TimeZone::UTC);
    run(&shop, &days).await;
    // A node whose clock is days behind, and one whose clock is behind everything.
    for behind in [3 * DAY, 9 * DAY, 30 * DAY] {
        let late = Clock::manual(clock.now_ms() - behind);
        let kit = Kit { clock: late.clone(), ids: IdGen::new(late, 7, 0), random: Random::seeded(behind as u64) };
        for person in &people {
            act(&shop, &Books::new(kit.clone()), &kit, person.user.id).await;
        }
        let before = report(&shop, &days, "2026-04").await;
        if behind < 30 * DAY {
            assert!(!audit(&shop).await.is_empty(), "the audit sees that {behind} ms is late");
        }
        // The last days are counted at every run, each of the others in its turn.
        for _ in 0..12 {
            clock.advance(HOUR / 6);
            run(&shop, &days).await;
        }
        assert_eq!(audit(&shop).await, Vec::<String>::new(), "{behind}");
        for period in ["2026-02", "2026-03", "2026-04"] {
            hold(&shop, &days, period).await;
        }
        drop(before);
    }
    // What was rolled anew leaves nothing behind.
    clock.advance(2 * HOUR);
    run(&shop, &days).await;
    let mut conn = shop.app.db.read().await.unwrap();
    let (idle,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM ledger_roll WHERE state <> 'made'").fetch_one(&mut *conn).await.unwrap();
    assert_eq!(idle, 0);
    drop(conn);
    shop.finish().await;
}

#[tokio::test]
async fn the_audit_finds_a_figure_that_was_tampered_with() {
    let (shop, _, _) = busy(60).await;
    let days = Days::of(&TimeZone::UTC);
    shop.stock(&["small"]).await;
    run(&shop, &days).await;
    assert_eq!(audit(&shop).await, Vec::<String>::new());
    let tamper = [
        (
            "UPDATE ledger_roll_sum SET amount = amount + 1 WHERE roll_id = (SELECT MIN(roll_id) FROM ledger_roll_sum) AND kind = 'grant'",
            "UPDATE ledger_roll_sum SET amount = amount - 1 WHERE roll_id = (SELECT MIN(roll_id) FROM ledger_roll_sum) AND kind = 'grant'",
        ),
        (
            "UPDATE ledger_roll_part SET change = change + 1 WHERE first_id = (SELECT MIN(first_id) FROM ledger_roll_part)",
            "UPDATE ledger_roll_part SET change = change - 1 WHERE first_id = (SELECT MIN(first_id) FROM ledger_roll_part)",
        ),
        ("UPDATE ledger_roll SET transfers = transfers + 1 WHERE day = 20260329", "UPDATE ledger_roll SET transfers = transfers - 1 WHERE day = 20260329"),
        ("UPDATE ledger_roll SET state = 'old' WHERE day = 20260330", "UPDATE ledger_roll SET state = 'made' WHERE day = 20260330"),
        ("INSERT INTO cost_day (zone, day, requests, cost, unknown) VALUES ('UTC', 20260329, 1, 5, 0)", "DELETE FROM cost_day WHERE day = 20260329"),
    ];
    for (wrong, right) in tamper {
        for (sql, is_clean) in [(wrong, false), (right, true)] {
            let mut tx = shop.app.db.write().await.unwrap();
            sqlx::query(sql).execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(audit(&shop).await.is_empty(), is_clean, "{sql}");
        }
    }
    shop.finish().await;
}

#[tokio::test]
async fn the_page_and_the_file_say_what_the_report_says_and_only_to_admins() {
    let (shop, _, people) = busy(60).await;
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let mut tx = shop.app.db.write().await.unwrap();
    settings::set_time_zone(&mut tx, NOON, &berlin).await.unwrap();
    tx.commit().await.unwrap();
    shop.app.settings.refresh(&shop.app.db).await.unwrap();
    let days = Days::of(&berlin);
    run(&shop, &days).await;
    let admin = Visitor::logged_in(&shop, &owner(&shop).await).await;
    let said = report(&shop, &days, "2026-04").await;
    let page = admin.read("/admin/accounting").await;
    assert!(page.contains("2026-04-01") && page.contains("Europe/Berlin") && page.contains(&said.total.figures.revenue.display()), "{page}");
    for exact in [said.total.closing.deferred(), said.total.figures.received, said.total.figures.margin(), said.opening.deferred()] {
        assert!(page.contains(&exact.display()), "{exact:?}");
    }
    let file = admin.read("/admin/accounting/figures.csv?period=2026-04").await;
    let lines: Vec<Vec<&str>> = file.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!((lines.len(), lines[0].len()), (said.lines.len() + 2, 22));
    for (cells, line) in lines[1..].iter().zip(said.lines.iter().chain([&said.total])) {
        let usd = |column: &str| cells[lines[0].iter().position(|name| *name == column).unwrap()].parse::<Usd>().unwrap();
        assert_eq!(cells[0], line.period.to_string());
        assert_eq!(
            (usd("revenue"), usd("deferred"), usd("received"), usd("fees")),
            (line.figures.revenue, line.closing.deferred(), line.figures.received, line.figures.fees)
        );
        assert_eq!((usd("margin"), usd("difference")), (line.figures.margin(), Usd::ZERO));
    }
    for path in ["/admin/accounting?period=2026", "/admin/accounting?period=2026-04-01", "/admin/accounting?period=2031-01"] {
        admin.read(path).await;
    }
    assert_eq!(admin.get("/admin/accounting?period=April").await.status(), StatusCode::NOT_FOUND);
    let customer = Visitor::logged_in(&shop, &people[0].user).await;
    for path in ["/admin/accounting", "/admin/accounting/figures.csv", "/admin/reconciliation"] {
        assert_eq!(customer.get(path).await.status(), StatusCode::FORBIDDEN, "{path}");
    }
    shop.finish().await;
}

#[tokio::test]
async fn what_upstreams_ask_is_counted_on_the_day_on_which_a_request_began() {
    let clock = Clock::manual(NOON);
    let shop = TestApp::at_time(&clock, &[]).await;
    let customer = shop.customer(Usd::dollars(5)).await;
    shop.stock(&["small"]).await;
    for _ in 0..3 {
        let answer = shop.chat(&customer.key, serde_json::json!({"model": "small", "messages": [{"role": "user", "content": "Hello"}]})).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.bytes().await.unwrap();
        clock.advance(DAY);
    }
    let mut tx = shop.app.db.write().await.unwrap();
    sqlx::query("UPDATE request SET upstream_cost = 1234").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let days = Days::of(&TimeZone::UTC);
    let live = report(&shop, &days, "2026-03").await;
    assert_eq!((live.total.figures.cost.cost, live.total.figures.cost.requests), (Usd(3 * 1234), 3));
    run(&shop, &days).await;
    assert_eq!(report(&shop, &days, "2026-03").await, live);
    // A request that is settled late changes what its day has cost.
    let mut tx = shop.app.db.write().await.unwrap();
    sqlx::query("UPDATE request SET upstream_cost = NULL WHERE id = (SELECT MIN(id) FROM request)").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert!(!audit(&shop).await.is_empty());
    run(&shop, &days).await;
    let cost = report(&shop, &days, "2026-03").await.total.figures.cost;
    assert_eq!((cost.cost, cost.unknown), (Usd(2 * 1234), 1));
    assert_eq!(audit(&shop).await, Vec::<String>::new());
    shop.finish().await;
}
