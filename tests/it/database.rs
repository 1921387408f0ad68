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
