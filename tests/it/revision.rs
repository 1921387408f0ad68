//! Revisions: the order of the numbers is the order of the commits.

use crate::harness::{TestApp, TestDb};
use farebox::channels;
use farebox::db::revision::{Topic, bump, current};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

#[tokio::test]
async fn topics_count_apart_and_a_dropped_transaction_counts_for_nothing() {
    let test = TestDb::new().await;
    assert_eq!(current(&mut test.db.read().await.unwrap()).await.unwrap().of(Topic::Keys), 0);
    let mut tx = test.db.write().await.unwrap();
    assert_eq!(bump(&mut tx, Topic::Keys).await.unwrap(), 1);
    assert_eq!(bump(&mut tx, Topic::Keys).await.unwrap(), 2);
    assert_eq!(bump(&mut tx, Topic::Settings).await.unwrap(), 1);
    tx.commit().await.unwrap();
    let mut dropped = test.db.write().await.unwrap();
    assert_eq!(bump(&mut dropped, Topic::Keys).await.unwrap(), 3);
    drop(dropped);
    let revisions = current(&mut test.db.read().await.unwrap()).await.unwrap();
    assert_eq!([Topic::Keys, Topic::Catalog, Topic::Channels, Topic::Settings].map(|topic| revisions.of(topic)), [2, 0, 0, 1]);
}

/// Whoever sees number n must also see what the transactions with smaller numbers wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_of_a_number_misses_nothing_under_it() {
    const WRITERS: i64 = 8;
    const EACH: i64 = 10;
    let test = TestDb::new().await;
    let done = Arc::new(AtomicI64::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (db, done) = (test.db.clone(), done.clone());
            tokio::spawn(async move {
                for _ in 0..EACH {
                    let mut tx = db.write().await.unwrap();
                    let n = bump(&mut tx, Topic::Keys).await.unwrap();
                    let insert = sqlx::query("INSERT INTO setting (name, value, updated_at) VALUES ($1, 'x', $2)");
                    insert.bind(format!("r{n}")).bind(n).execute(&mut *tx).await.unwrap();
                    tx.commit().await.unwrap();
                }
                done.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    let mut looks = 0;
    loop {
        let last = done.load(Ordering::SeqCst) == WRITERS;
        let mut conn = test.db.read().await.unwrap();
        let n = current(&mut conn).await.unwrap().of(Topic::Keys);
        let seen: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM setting WHERE updated_at <= $1").bind(n).fetch_one(&mut *conn).await.unwrap();
        assert_eq!(seen, n, "a commit under {n} was not visible");
        looks += 1;
        if last {
            assert_eq!(n, WRITERS * EACH);
            break;
        }
    }
    assert!(looks > 1);
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_read_keeps_nothing_else_from_following() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-mini"]).await;
    let rename = async |sql: &'static str| {
        let mut tx = shop.app.db.write().await.unwrap();
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
        bump(&mut tx, Topic::Catalog).await.unwrap();
        tx.commit().await.unwrap();
    };
    rename("ALTER TABLE model RENAME TO model_away").await;
    let id = shop.app.channels.all()[0].id;
    channels::delete(&shop.app.db, &shop.app.kit, id).await.unwrap();
    shop.until("the channels have followed", || async { shop.app.channels.all().is_empty() }).await;
    let failed = shop.app.refresh().await.unwrap_err().to_string();
    assert!(failed.starts_with("catalog: ") && !failed.contains(';'), "{failed}");
    assert!(shop.app.catalog.get("demo-mini").is_some(), "the last known state is served");
    rename("ALTER TABLE model_away RENAME TO model").await;
    shop.app.refresh().await.unwrap();
    shop.finish().await;
}
