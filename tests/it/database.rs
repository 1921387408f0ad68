//! The database layer on the engine under test.

use crate::harness::TestDb;

#[tokio::test]
async fn each_test_gets_a_migrated_database_of_its_own() {
    let (a, b) = (TestDb::new().await, TestDb::new().await);
    let mut tx = a.db.write().await.unwrap();
    sqlx::query("INSERT INTO setting (name, value, updated_at) VALUES ($1, $2, $3)").bind("x").bind("1").bind(1_i64).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let count = async |db: &farebox::db::Db| {
        let mut conn = db.read().await.unwrap();
        sqlx::query_scalar::<sqlx::Any, i64>("SELECT COUNT(*) FROM setting").fetch_one(&mut *conn).await.unwrap()
    };
    let again = farebox::db::Db::connect(&a.url).await.unwrap();
    assert_eq!((count(&a.db).await, count(&b.db).await, count(&again).await), (1, 0, 1));
}

#[tokio::test]
async fn a_checkpoint_brings_what_is_committed_into_the_file() {
    let test = TestDb::new().await;
    let Some(file) = farebox::db::sqlite_path(&test.url) else { return test.db.checkpoint().await.unwrap() };
    test.run((0..500).map(|n| format!("INSERT INTO setting (name, value, updated_at) VALUES ('{n}', '{}', 1)", "x".repeat(100)))).await;
    let before = std::fs::metadata(&file).unwrap().len();
    test.db.checkpoint().await.unwrap();
    assert!(std::fs::metadata(&file).unwrap().len() >= before + 50_000, "the file has the rows that the log had");
    // The file alone, without the log beside it.
    let copy = file.with_file_name("copy.db");
    std::fs::copy(&file, &copy).unwrap();
    let copy = farebox::db::Db::connect(&format!("sqlite://{}", copy.display())).await.unwrap();
    let rows = sqlx::query_scalar::<sqlx::Any, i64>("SELECT COUNT(*) FROM setting").fetch_one(&mut *copy.read().await.unwrap()).await.unwrap();
    assert_eq!(rows, 500);
}
