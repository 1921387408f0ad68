//! Every SQL statement of the program is prepared on the engine under test, and no SQL hides where this test would not find it.

use crate::harness::{TestDb, source, source::SourceFile};
use farebox::db::{Bulk, Engine, node, revision};
use farebox::{
    accounting, accounts, admin_log, catalog, channels, coupons, gift_cards, invoices, jobs, keys, ledger, mail, notices, payments, plans, referrals, sessions,
    settings, usage,
};
use sqlx::any::{AnyTypeInfo, AnyTypeInfoKind};
use sqlx::{AssertSqlSafe, Column, Either, Executor, SqlSafeStr, Statement};
use std::collections::BTreeSet;

type Statements = &'static [(&'static str, &'static str)];

/// Every file with SQL, its statements, and its statements over many rows.
const STORES: &[(&str, Statements, &[&Bulk])] = &[
    ("accounting/store.rs", accounting::store::STATEMENTS, &[]),
    ("accounts/store.rs", accounts::store::STATEMENTS, &[]),
    ("admin_log/store.rs", admin_log::store::STATEMENTS, &[]),
    ("catalog/store.rs", catalog::store::STATEMENTS, &[]),
    ("channels/store.rs", channels::store::STATEMENTS, &[]),
    ("coupons/store.rs", coupons::store::STATEMENTS, &[]),
    ("db/node.rs", node::STATEMENTS, &[]),
    ("db/revision.rs", revision::STATEMENTS, &[]),
    ("gift_cards/sale/store.rs", gift_cards::sale::store::STATEMENTS, &[]),
    ("gift_cards/store.rs", gift_cards::store::STATEMENTS, gift_cards::store::BULK),
    ("invoices/store.rs", invoices::store::STATEMENTS, &[]),
    ("jobs/store.rs", jobs::store::STATEMENTS, &[]),
    ("keys/store.rs", keys::store::STATEMENTS, &[]),
    ("ledger/rolls/store.rs", ledger::rolls::store::STATEMENTS, ledger::rolls::store::BULK),
    ("ledger/statement/store.rs", ledger::statement::store::STATEMENTS, &[]),
    ("ledger/store.rs", ledger::store::STATEMENTS, ledger::store::BULK),
    ("ledger/watch/store.rs", ledger::watch::store::STATEMENTS, &[]),
    ("mail/store.rs", mail::store::STATEMENTS, &[]),
    ("payments/compare/store.rs", payments::compare::store::STATEMENTS, &[]),
    ("payments/subscriptions/store.rs", payments::subscriptions::store::STATEMENTS, &[]),
    ("notices/store.rs", notices::store::STATEMENTS, &[]),
    ("payments/automatic/store.rs", payments::automatic::store::STATEMENTS, &[]),
    ("payments/store.rs", payments::store::STATEMENTS, &[]),
    ("plans/store.rs", plans::store::STATEMENTS, &[]),
    ("plans/renewing/store.rs", plans::renewing::store::STATEMENTS, &[]),
    ("referrals/store.rs", referrals::store::STATEMENTS, &[]),
    ("sessions/store.rs", sessions::store::STATEMENTS, &[]),
    ("settings/store.rs", settings::store::STATEMENTS, &[]),
    ("usage/store.rs", usage::store::STATEMENTS, usage::store::BULK),
];

/// How a statement over many rows begins.
const BULKS: [&str; 3] = ["Bulk::new(", "Bulk::reading(", "Bulk::locking("];

/// Files of the database layer that speak to one engine in its own words: begin a transaction, set a pragma, migrate.
const ENGINE_FILES: [&str; 7] = ["db/bulk.rs", "db/connect.rs", "db/embedded.rs", "db/migrate.rs", "db/mod.rs", "db/procedure.rs", "db/script.rs"];

#[tokio::test]
async fn every_statement_prepares() {
    let test = TestDb::new().await;
    let mut conn = test.db.read().await.unwrap();
    for (file, statements, bulk) in STORES {
        let single = statements.iter().map(|(name, sql)| (*name, (*sql).to_owned()));
        let many = bulk.iter().flat_map(|bulk| bulk.all_texts(test.db.engine()).map(|sql| (bulk.name, sql)));
        for (name, sql) in single.chain(many) {
            let statement = conn.prepare(AssertSqlSafe(sql.clone()).into_sql_str()).await.unwrap_or_else(|error| panic!("{file}: {name}: {error}\n{sql}"));
            // SQLite has no types before it has values; PostgreSQL says what it takes each placeholder and column for.
            if test.db.engine() == Engine::Postgres {
                let Some(Either::Left(parameters)) = statement.parameters() else { panic!("{file}: {name}: no types") };
                let columns = statement.columns().iter().map(Column::type_info);
                let odd: Vec<&AnyTypeInfo> = parameters.iter().chain(columns).filter(|info| !is_ours(info)).collect();
                assert!(odd.is_empty(), "{file}: {name} has other types than BIGINT, TEXT and DOUBLE PRECISION: {odd:?}\n{sql}");
            }
        }
    }
}

fn is_ours(info: &AnyTypeInfo) -> bool {
    matches!(info.kind(), AnyTypeInfoKind::BigInt | AnyTypeInfoKind::Text | AnyTypeInfoKind::Double)
}

#[test]
fn every_store_is_listed_with_all_its_bulk_statements() {
    let listed: BTreeSet<&str> = STORES.iter().map(|(file, ..)| *file).collect();
    let files = source::all();
    let with_sql: BTreeSet<&str> = files.iter().filter(|file| has_sql(file)).map(|file| file.path.as_str()).collect();
    assert_eq!(with_sql, listed, "left: files with SQL; right: files in the list of this test");
    for (path, _, bulk) in STORES {
        let file = files.iter().find(|file| file.path == *path).unwrap();
        assert_eq!(BULKS.iter().map(|opening| file.code.matches(opening).count()).sum::<usize>(), bulk.len(), "{path}: every Bulk stands in its BULK");
        assert!(file.code.matches("statements! {").count() <= 1, "{path}: one list of statements");
    }
}

fn has_sql(file: &SourceFile) -> bool {
    !ENGINE_FILES.contains(&file.path.as_str()) && (file.code.contains("statements! {") || BULKS.iter().any(|opening| file.code.contains(opening)))
}

/// Whether a text is SQL: begins as a statement does, in capitals.
fn is_sql(text: &str) -> bool {
    let words = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH ", "REPLACE ", "MERGE ", "CREATE ", "ALTER ", "DROP ", "TRUNCATE ", "BEGIN", "PRAGMA "];
    words.iter().any(|word| text.trim_start().starts_with(word))
}

/// SQL that the test above would not see.
fn hidden_sql(file: &SourceFile) -> Vec<String> {
    if ENGINE_FILES.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let named: Vec<_> = ["statements! {", BULKS[0], BULKS[1], BULKS[2]].iter().flat_map(|opening| file.spans(opening)).collect();
    let is_store = file.path.ends_with("/store.rs") || file.path.starts_with("db/");
    let hidden = |at: &usize| !is_store || !named.iter().any(|span| span.contains(at));
    let mut found: Vec<String> = file.strings.iter().filter(|(at, text)| is_sql(text) && hidden(at)).map(|(_, text)| text.clone()).collect();
    if !is_store {
        found.extend(
            ["sqlx::query", "sqlx::raw_sql", "AssertSqlSafe", "statements! {", BULKS[0], BULKS[1], BULKS[2]]
                .iter()
                .filter(|word| file.code.contains(*word))
                .map(ToString::to_string),
        );
    }
    found
}

#[test]
fn sql_stands_only_in_named_statements_of_stores() {
    for file in source::all() {
        let found = hidden_sql(&file);
        assert!(found.is_empty(), "src/{} has SQL outside `statements!` and `Bulk` of a store: {found:#?}", file.path);
    }
}

#[test]
fn hidden_sql_is_found() {
    let found = |path: &str, text: &str| hidden_sql(&SourceFile::parse(path, text)).len();
    assert_eq!(found("web/x.rs", r#"f("SELECT 1")"#), 1);
    assert_eq!(found("web/x.rs", r#"sqlx::query(NAME)"#), 1);
    assert_eq!(found("keys/store.rs", r#"statements! { A = "SELECT 1"; } fn f() { sqlx::query("DELETE FROM x") }"#), 1);
    assert_eq!(found("keys/store.rs", r#"statements! { A = "SELECT 1"; } // "DELETE FROM x""#), 0);
}
