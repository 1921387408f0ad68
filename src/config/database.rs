//! Which database: all that `audit` and `migrate` need.

use super::ConfigError;
use super::reader::Reader;
use crate::db::{Durability, Engine, sqlite_path};
use crate::kernel::secrets::Secret;
use std::path::PathBuf;
use url::Url;

/// Where the books are.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// `sqlite://` and a path, or `postgres://`. It may hold a password.
    pub url: Secret<String>,
    /// Which of the two it is.
    pub engine: Engine,
    /// What a commit survives on SQLite.
    pub durability: Durability,
}

impl DatabaseConfig {
    /// Reads the settings of the database and no others, so that `audit` and `migrate` need no secret.
    ///
    /// # Errors
    /// Everything that is wrong, in one error.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(&lookup);
        let config = read(&mut reader);
        reader.finish(config)
    }
}

const DATABASE_URL: &str = "DATABASE_URL";

pub(super) fn read(reader: &mut Reader) -> DatabaseConfig {
    let durability = reader.choice("SQLITE_SYNCHRONOUS", &[("normal", Durability::Crash), ("full", Durability::PowerLoss)]);
    let Some(url) = reader.text(DATABASE_URL) else {
        return DatabaseConfig { url: Secret::new(default_url(reader)), engine: Engine::Sqlite, durability };
    };
    let engine = if url.starts_with("sqlite:") { Engine::Sqlite } else { Engine::Postgres };
    match engine {
        Engine::Sqlite => check_sqlite(reader, &url),
        Engine::Postgres => check_postgres(reader, &url),
    }
    DatabaseConfig { url: Secret::new(url), engine, durability }
}

/// The folder of everything that is kept in files.
pub(super) fn data_dir(reader: &mut Reader) -> PathBuf {
    reader.text("DATA_DIR").map_or_else(|| PathBuf::from("data"), PathBuf::from)
}

fn default_url(reader: &mut Reader) -> String {
    let folder = data_dir(reader).display().to_string();
    if folder.contains(|c: char| c.is_whitespace() || matches!(c, '%' | '?' | '#')) {
        reader.problem("DATA_DIR", "must have no space, %, ? or # in it, since the address of the database is made of it");
    }
    format!("sqlite://{}/farebox.db", folder.trim_end_matches('/'))
}

fn check_sqlite(reader: &mut Reader, url: &str) {
    if sqlite_path(url).is_none() || url.contains("mode=memory") {
        reader.problem(DATABASE_URL, "must name a file, such as sqlite://data/farebox.db: books that live in memory end with the process");
    }
}

fn check_postgres(reader: &mut Reader, text: &str) {
    match Url::parse(text).ok().filter(|url| matches!(url.scheme(), "postgres" | "postgresql")) {
        None => reader.problem(DATABASE_URL, "is not the address of a database; write sqlite://data/farebox.db or postgres://user:password@host:5432/name"),
        Some(url) => reader.refuse_example_password(DATABASE_URL, &url),
    }
}
