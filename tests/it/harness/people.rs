//! Users without the ceremony of signing up, and a kit whose clock stands still.

use farebox::db::Db;
use farebox::kernel::{Clock, Id, IdGen, Kit, Random};

/// Where the hands of a test's clock stand at first: 2026-01-01T00:00:00Z.
pub const START_MS: i64 = 1_767_225_600_000;

/// A clock at [`START_MS`], its ids, and repeatable randomness.
pub fn kit() -> Kit {
    let clock = Clock::manual(START_MS);
    Kit { ids: IdGen::new(clock.clone(), 1, 0), random: Random::seeded(1), clock }
}

/// A customer who can spend.
pub async fn verified_user(db: &Db, kit: &Kit) -> Id {
    user(db, kit, Some(kit.clock.now_ms()), None).await
}

/// A customer whose address was verified, and who was disabled, at these moments.
pub async fn user(db: &Db, kit: &Kit, verified_at: Option<i64>, disabled_at: Option<i64>) -> Id {
    const INSERT: &str = "INSERT INTO users (id, email, email_key, password_hash, role, verified_at, disabled_at, created_at) \
                          VALUES ($1, $2, $2, 'none', 'customer', $3, $4, $5)";
    let id = kit.ids.next();
    let mut tx = db.write().await.expect("a transaction");
    let query = sqlx::query(INSERT).bind(id.0).bind(format!("{id}@example.com")).bind(verified_at).bind(disabled_at).bind(kit.clock.now_ms());
    query.execute(&mut *tx).await.expect("the user is made");
    tx.commit().await.expect("the user is kept");
    id
}

/// Sets a column of a user, as whatever changes users does, and tells the snapshots.
pub async fn disable(db: &Db, id: Id, disabled_at: Option<i64>) {
    let mut tx = db.write().await.expect("a transaction");
    sqlx::query("UPDATE users SET disabled_at = $2 WHERE id = $1").bind(id.0).bind(disabled_at).execute(&mut *tx).await.expect("the user is changed");
    farebox::keys::touch_user(&mut tx, id).await.expect("the keys are touched");
    tx.commit().await.expect("the change is kept");
}

/// The same for what an admin set as a user's limits.
pub async fn limit(db: &Db, id: Id, limits: Option<String>) {
    let mut tx = db.write().await.expect("a transaction");
    sqlx::query("UPDATE users SET limits = $2 WHERE id = $1").bind(id.0).bind(limits).execute(&mut *tx).await.expect("the user is changed");
    farebox::keys::touch_user(&mut tx, id).await.expect("the keys are touched");
    tx.commit().await.expect("the change is kept");
}
