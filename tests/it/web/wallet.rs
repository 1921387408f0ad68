//! The wallet's page and its statement: every movement, in order, with the balance after it, however far one turns the pages.

use super::Visitor;
use crate::harness::TestApp;
use farebox::accounting;
use farebox::db::Conn;
use farebox::kernel::{Clock, Days, Id, Usd};
use farebox::ledger::statement::{self, Sort, Wanted};
use farebox::ledger::{CreditKind, House, Take, TransferKind};
use jiff::tz::TimeZone;
use reqwest::StatusCode;

/// 2026-03-27 12:00 UTC: two days before Berlin's summer time begins.
const NOON: i64 = 1_774_612_800_000;
const HOUR: i64 = 3_600_000;
const ALL: Wanted = Wanted { from: Id(0), until: Id(i64::MAX), sort: None };

/// A shop whose customer has `n` movements in some days: credit, purchases, corrections and debt.
async fn busy(n: usize) -> (TestApp, crate::harness::app::Customer) {
    let clock = Clock::manual(NOON);
    let shop = TestApp::at_time(&clock, &[]).await;
    let customer = shop.customer(Usd::dollars(5)).await;
    let (user, books, ids) = (customer.user.id, &shop.app.books, &shop.app.kit.ids);
    for turn in 1..n {
        let mut tx = shop.app.db.write().await.unwrap();
        let (key, reference) = (format!("test:{}", ids.next()), format!("gift_card:A{turn}"));
        if turn % 3 == 0 {
            books.adjust(&mut tx, user, Usd(-7 - turn as i64), "=HYPERLINK(\"x\")".to_owned(), key).await.unwrap();
        } else if turn % 7 == 0 {
            let take = Take { user, amount: Usd(1), to: House::Cards, kind: TransferKind::Purchase, kinds: Take::ANY, reference, idempotency_key: key };
            books.take(&mut tx, &take).await.unwrap();
        } else {
            books.adjust(&mut tx, user, Usd(1_000 + turn as i64), "Goodwill, \"thanks\"".to_owned(), key).await.unwrap();
        }
        tx.commit().await.unwrap();
        clock.advance(if turn % 10 == 0 { 5 * HOUR } else { 1 });
    }
    (shop, customer)
}

/// (id, effect, kind) of every transfer of a customer that touches their own accounts, oldest first.
async fn transfers(conn: &mut Conn, user: Id) -> Vec<(i64, i64, String)> {
    let rows: Vec<(i64, i64, i64, i64, String)> =
        sqlx::query_as("SELECT id, debit, credit, amount, kind FROM transfer WHERE user_id = $1 ORDER BY id").bind(user.0).fetch_all(conn).await.unwrap();
    let of = |account: i64| i64::from(account >= 1000);
    let theirs = rows.into_iter().filter(|(_, debit, credit, ..)| *debit >= 1000 || *credit >= 1000);
    theirs.map(|(id, debit, credit, amount, kind)| (id, amount * (of(credit) - of(debit)), kind)).collect()
}

#[tokio::test]
async fn every_line_has_the_balance_after_it_on_every_page_and_for_every_filter() {
    let (shop, customer) = busy(120).await;
    let days = Days::of(&TimeZone::UTC);
    check_lines(&shop, customer.user.id, &days).await;
    // The same when the days that are over were added up.
    assert!(accounting::run(&shop.app.db, &shop.app.kit, &days).await.unwrap() > 0);
    check_lines(&shop, customer.user.id, &days).await;
    shop.finish().await;
}

async fn check_lines(shop: &TestApp, user: Id, days: &Days) {
    let mut conn = shop.app.db.snapshot().await.unwrap();
    let all = transfers(&mut conn, user).await;
    let mut after = 0;
    let mut running = |(id, effect, kind): &(i64, i64, String)| {
        after += effect;
        (*id, after, kind.clone())
    };
    let expected: Vec<(i64, i64, String)> = all.iter().map(&mut running).collect();
    assert_eq!(statement::total(&mut conn, user).await.unwrap(), Usd(after), "the last line is what the wallet has");
    for sort in std::iter::once(None).chain(Sort::ALL.into_iter().map(Some)) {
        let (mut until, mut seen) = (ALL.until, Vec::new());
        loop {
            let lines = statement::lines(&mut conn, days, user, Wanted { until, sort, ..ALL }, 7).await.unwrap();
            let Some(last) = lines.last() else { break };
            until = last.row.id;
            seen.extend(lines.iter().map(|line| (line.row.id.0, line.balance.0, line.row.kind.clone())));
        }
        seen.reverse();
        let wanted: Vec<_> = expected.iter().filter(|(.., kind)| sort.is_none_or(|sort| Sort::of_kind(kind) == Some(sort))).cloned().collect();
        assert!(seen == wanted, "{sort:?}: {seen:?} {wanted:?}");
    }
    let kinds: std::collections::BTreeSet<&str> = all.iter().map(|(.., kind)| kind.as_str()).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["adjustment", "grant", "purchase"]);
}

#[tokio::test]
async fn days_are_those_of_the_shops_calendar_and_add_up() {
    let (shop, customer) = busy(120).await;
    let user = customer.user.id;
    // Of each zone first as the transfers say it, then with the days that are over added up.
    for (zone, is_rolled) in ["UTC", "Europe/Berlin", "America/New_York", "Asia/Shanghai"].iter().flat_map(|zone| [(zone, false), (zone, true)]) {
        let days = Days::of(&TimeZone::get(zone).unwrap());
        if is_rolled {
            assert!(accounting::run(&shop.app.db, &shop.app.kit, &days).await.unwrap() > 0);
        }
        let mut conn = shop.app.db.snapshot().await.unwrap();
        let all = transfers(&mut conn, user).await;
        let mut pages = Vec::new();
        let mut until = ALL.until;
        loop {
            let lines = statement::days(&mut conn, &days, user, Wanted { until, ..ALL }, 2).await.unwrap();
            let Some(last) = lines.last() else { break };
            until = days.ids(last.day).0;
            pages.extend(lines);
        }
        let mut balance = 0;
        for line in pages.iter().rev() {
            let (from, until) = days.ids(line.day);
            let of_day: Vec<_> = all.iter().filter(|(id, ..)| (from.0..until.0).contains(id)).collect();
            balance += of_day.iter().map(|(_, effect, _)| effect).sum::<i64>();
            assert_eq!((line.balance, line.sum.movements), (Usd(balance), of_day.len() as i64), "{zone} {}", line.day);
            let came = of_day.iter().filter(|(_, effect, _)| *effect > 0).map(|(_, effect, _)| effect).sum::<i64>();
            assert_eq!((line.sum.added, line.sum.taken(), line.sum.charges), (Usd(came), line.sum.change - Usd(came), 0));
        }
        assert_eq!(pages.iter().map(|line| line.sum.movements).sum::<i64>(), all.len() as i64, "{zone}");
        assert!(pages.len() >= 3, "{zone}: {}", pages.len());
    }
    shop.finish().await;
}

#[tokio::test]
async fn the_file_has_every_movement_of_the_filter_and_runs_nothing() {
    let (shop, customer) = busy(120).await;
    let visitor = Visitor::logged_in(&shop, &customer.user).await;
    let all = transfers(&mut shop.app.db.read().await.unwrap(), customer.user.id).await;
    let answer = visitor.get("/account/wallet/statement.csv").await;
    assert_eq!((answer.status(), answer.headers()["content-type"].to_str().unwrap()), (StatusCode::OK, "text/csv; charset=utf-8"));
    assert!(answer.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"));
    let text = answer.text().await.unwrap();
    let lines: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(lines.len(), all.len());
    assert!(lines.iter().zip(&all).all(|(line, (id, ..))| line.starts_with(&Id(*id).to_string())), "oldest first: {text}");
    let total: i64 = all.iter().map(|(_, effect, _)| effect).sum();
    assert!(lines.last().unwrap().ends_with(&format!(",{}", Usd(total))), "{}", lines.last().unwrap());
    assert!(!text.contains(",=") && text.contains("\"'=HYPERLINK(\"\"x\"\")\""), "{text}");
    let few = visitor.read("/account/wallet/statement.csv?sort=purchase&from=2026-03-27&until=2026-03-27").await;
    let purchases: Vec<_> = all.iter().filter(|(id, _, kind)| kind == "purchase" && Id(*id).made_at_ms() < NOON + 12 * HOUR).collect();
    assert_eq!(few.lines().count(), purchases.len() + 1, "{few}");
    let (last, _, _) = purchases.last().unwrap();
    let balance: i64 = all.iter().filter(|(id, ..)| id <= last).map(|(_, effect, _)| effect).sum();
    assert!(few.lines().last().unwrap().ends_with(&format!(",-0.000000001,{}", Usd(balance))), "{few}");
    assert_eq!(visitor.get("/account/wallet/statement.csv?from=yesterday").await.status(), StatusCode::BAD_REQUEST);
    shop.finish().await;
}

#[tokio::test]
async fn the_page_shows_what_there_is_and_where_each_movement_comes_from() {
    let (shop, customer) = busy(120).await;
    shop.stock(&["small"]).await;
    let visitor = Visitor::logged_in(&shop, &customer.user).await;
    let answer = shop.chat(&customer.key, serde_json::json!({"model": "small", "messages": [{"role": "user", "content": "Hello"}]})).await;
    assert_eq!(answer.status(), StatusCode::OK);
    answer.bytes().await.unwrap();
    let request = shop.requests(customer.user.id).await[0].id;
    let days = visitor.read("/account/wallet").await;
    assert!(days.contains("from=2026-03-27") && days.contains("sort=charge"), "{days}");
    let all = visitor.read("/account/wallet?view=all").await;
    assert!(all.contains(&format!("/account/requests?only={request}")) && all.contains("before="), "{all}");
    let next = all.split("href=\"/account/wallet?view=all&#38;before=").nth(1).unwrap().split(['"', '#']).next().unwrap();
    let second = visitor.read(&format!("/account/wallet?view=all&before={next}")).await;
    assert!(!second.contains(&request.to_string()) && second.contains("Goodwill"), "{second}");
    assert!(visitor.read(&format!("/account/requests?only={request}")).await.contains("small"));
    let other = shop.customer(Usd::ZERO).await;
    let stranger = Visitor::logged_in(&shop, &other.user).await;
    assert_eq!(stranger.get(&format!("/account/requests?only={request}")).await.status(), StatusCode::NOT_FOUND);
    let nothing = stranger.read("/account/wallet?view=all").await;
    assert!(!nothing.contains("Goodwill") && !nothing.contains(&request.to_string()));
    for bad in ["from=x", "from=2026-03-28&until=2026-03-27"] {
        assert!(visitor.read(&format!("/account/wallet?{bad}")).await.contains("aria-invalid"), "{bad}");
    }
    assert_eq!(visitor.get("/account/wallet?before=x").await.status(), StatusCode::NOT_FOUND);
    let credits = shop.app.books.balance(&mut shop.app.db.read().await.unwrap(), customer.user.id).await.unwrap().credits;
    assert!(credits.iter().any(|credit| credit.bucket.kind == CreditKind::Paid));
    shop.finish().await;
}
