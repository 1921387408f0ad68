//! Days that are added up, where one day has many movements, and where several add it up at once.

use crate::harness::TestDb;
use farebox::db::{Conn, Db};
use farebox::kernel::{Clock, Days, Id, IdGen, Kit, Random, Usd};
use farebox::ledger::rolls;
use farebox::ledger::statement::{self, Sort, Wanted};
use jiff::tz::TimeZone;

/// 2026-03-27 00:00 UTC.
const MIDNIGHT: i64 = 1_774_569_600_000;
const DAY: i64 = 86_400_000;
const USER: Id = Id(7_000_000);
const ALL: Wanted = Wanted { from: Id(0), until: Id(i64::MAX), sort: None };

/// A customer with so many charges of 1 to 7 nano-dollars on the first day, half as many on the second, and after every hundredth one a credit of 1,000.
async fn crowded(db: &Db, charges: i64) {
    let mut tx = db.write().await.unwrap();
    let insert = "INSERT INTO transfer (id, debit, credit, amount, kind, user_id, reference, idempotency_key, payload_hash, at) \
                  WITH RECURSIVE n (n) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT n + 1 FROM n WHERE n + 1 < $1) \
                  SELECT $2 + n * 4194304 * 20000, CASE WHEN n % 100 = 0 THEN 1 ELSE 8000000 END, CASE WHEN n % 100 = 0 THEN 8000000 ELSE 2 END, \
                  CASE WHEN n % 100 = 0 THEN 1000 ELSE 1 + n % 7 END, CASE WHEN n % 100 = 0 THEN 'grant' ELSE 'capture' END, $3, 'test', CAST($2 + n AS TEXT), 0, 0 FROM n";
    for (day, n) in [(0, charges), (1, charges / 2)] {
        sqlx::query(insert).bind(n).bind(Id::first_at(MIDNIGHT + day * DAY).0).bind(USER.0).execute(&mut *tx).await.unwrap();
    }
    sqlx::query("INSERT INTO wallet (user_id, version, owed, overdraft_limit, created_at) VALUES ($1, 0, 0, 0, 0)")
        .bind(USER.0)
        .execute(&mut *tx)
        .await
        .unwrap();
    let credit = "INSERT INTO credit (id, user_id, kind, granted, posted, held, priority, effective_at, expires_at, reference, created_at, live) \
                  SELECT 8000000, $1, 'paid', 1, CAST(SUM(CASE WHEN kind = 'grant' THEN amount ELSE -amount END) AS BIGINT), 0, 100, 0, 1, '', 0, 1 FROM transfer";
    sqlx::query(credit).bind(USER.0).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

fn kit() -> Kit {
    let clock = Clock::manual(MIDNIGHT + 2 * DAY + 2 * 3_600_000);
    Kit { ids: IdGen::new(clock.clone(), 1, 0), random: Random::seeded(1), clock }
}

/// Balances at some places of the statement, and its days.
async fn seen(conn: &mut Conn, days: &Days) -> (Vec<(Id, Usd)>, Vec<statement::DayLine>) {
    let mut balances = Vec::new();
    for sort in [None, Some(Sort::Grant)] {
        let mut until = ALL.until;
        while let Some(last) = statement::lines(conn, days, USER, Wanted { until, sort, ..ALL }, 23).await.unwrap().last() {
            balances.push((last.row.id, last.balance));
            // On to a place further back: the pages between are like these.
            until = Id(last.row.id.0 - 97 * (20_000 << 22));
        }
    }
    (balances, statement::days(conn, days, USER, ALL, 10).await.unwrap())
}

#[tokio::test]
async fn a_statement_of_thousands_of_charges_a_day_is_the_same_when_its_days_are_added_up() {
    let (test, kit) = (TestDb::new().await, kit());
    crowded(&test.db, 3_500).await;
    for zone in ["UTC", "Asia/Kathmandu"] {
        let days = Days::of(&TimeZone::get(zone).unwrap());
        let live = seen(&mut test.db.snapshot().await.unwrap(), &days).await;
        assert!(live.0.len() > 40 && live.1.iter().map(|line| line.sum.movements).sum::<i64>() == 3_500 + 1_750, "{zone}");
        assert!(rolls::run(&test.db, &kit, &days).await.unwrap() > 0);
        let mut conn = test.db.snapshot().await.unwrap();
        let parts: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM ledger_roll_part").fetch_one(&mut *conn).await.unwrap();
        assert!(parts >= 5, "a thousand at a time: {parts}");
        assert!(seen(&mut conn, &days).await == live, "{zone}");
        assert_eq!(rolls::audit(&mut conn).await.unwrap(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn many_who_add_up_the_same_days_at_once_add_them_up_once() {
    let (test, kit) = (TestDb::new().await, kit());
    crowded(&test.db, 300).await;
    let days = Days::of(&TimeZone::UTC);
    let one = || rolls::run(&test.db, &kit, &days);
    // Whoever comes second to a day may fail, and comes again at its next turn.
    let _ = tokio::join!(one(), one(), one(), one());
    rolls::run(&test.db, &kit, &days).await.unwrap();
    assert_eq!(rolls::audit(&mut test.db.snapshot().await.unwrap()).await.unwrap(), Vec::<String>::new());
    kit.clock.advance(2 * 3_600_000);
    rolls::run(&test.db, &kit, &days).await.unwrap();
    let mut conn = test.db.read().await.unwrap();
    let (rolls, days): (i64, i64) = sqlx::query_as("SELECT COUNT(*), COUNT(DISTINCT day) FROM ledger_roll").fetch_one(&mut *conn).await.unwrap();
    assert_eq!((rolls, days), (2, 2), "what was begun and not finished is gone");
}
