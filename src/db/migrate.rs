//! Migrations: the files of `migrations/`, built into the program, run once each, under a lock.

use super::{Db, Engine};
use rust_embed::RustEmbed;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr};

#[derive(RustEmbed)]
#[folder = "migrations/"]
struct Files;

/// Why the database could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A file of `migrations/` is not named `NNNN_what.sql`: a fault of this build.
    #[error("the migration file {0} is misnamed")]
    Misnamed(String),
    /// The engine refused, or the database was made by a newer or altered build.
    #[error("the database could not be migrated: {0}")]
    Failed(#[from] sqlx::migrate::MigrateError),
    /// The connection failed.
    #[error("the database could not be migrated: {0}")]
    Database(#[from] sqlx::Error),
}

/// Brings the database up to date. Two nodes that start at once wait for each other.
///
/// # Errors
/// As [`MigrateError`] says; a failed migration leaves the database as it was.
pub async fn migrate(db: &Db) -> Result<(), MigrateError> {
    migrate_to(db, i64::MAX).await
}

/// As [`migrate`], no further than this version: makes the database of an older release, for the tests of what came later.
///
/// # Errors
/// As [`migrate`].
pub async fn migrate_to(db: &Db, version: i64) -> Result<(), MigrateError> {
    let mut files: Vec<String> = Files::iter().map(|name| name.into_owned()).filter(|name| name.ends_with(".sql")).collect();
    files.sort();
    let migrations: Vec<Migration> = files.iter().map(|name| read(name, db.engine())).collect::<Result<_, _>>()?;
    let migrations = migrations.into_iter().filter(|migration| migration.version <= version).collect();
    let mut conn = db.exclusive().await?;
    Migrator::with_migrations(migrations).run_direct(None, &mut *conn, false).await?;
    Ok(())
}

fn read(name: &str, engine: Engine) -> Result<Migration, MigrateError> {
    let misnamed = || MigrateError::Misnamed(name.to_owned());
    let (number, what) = name.trim_end_matches(".sql").split_once('_').ok_or_else(misnamed)?;
    let version: i64 = number.parse().map_err(|_| misnamed())?;
    let file = Files::get(name).ok_or_else(misnamed)?;
    let text = String::from_utf8(file.data.into_owned()).map_err(|_| misnamed())?;
    // On SQLite only the words INTEGER PRIMARY KEY make a column the row's own number; any other key costs a second tree.
    let text = if engine == Engine::Sqlite { text.replace("BIGINT PRIMARY KEY", "INTEGER PRIMARY KEY") } else { text };
    Ok(Migration::new(version, what.replace('_', " ").into(), MigrationType::Simple, AssertSqlSafe(text).into_sql_str(), false))
}
