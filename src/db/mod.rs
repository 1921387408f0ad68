//! The database: one SQL text for SQLite and PostgreSQL behind `sqlx::Any`.
//!
//! Only [`Db::read`] and [`Db::write`] exist. On SQLite all writes go through one connection and begin with
//! `BEGIN IMMEDIATE`, so that writers queue for it and never fail with "busy"; on PostgreSQL writers lock the rows they
//! change. SQL stands only in the `store.rs` of each feature, inside [`statements!`](crate::statements) or a [`Bulk`], where a test finds and
//! prepares it on both engines.

mod bulk;
mod connect;
mod embedded;
mod migrate;
pub mod node;
mod procedure;
pub mod revision;
mod script;

pub use bulk::Bulk;
pub use connect::{ConnectError, Db, Durability, Engine, Tx, make_private_folder, sqlite_path};
pub use embedded::Turn;
pub use migrate::{MigrateError, migrate, migrate_to};
pub use procedure::{AT_ONCE, changed};
pub use script::{Answer, Part, Record, Values};

/// A connection of either engine.
pub type Conn = sqlx::AnyConnection;

/// Names SQL statements and lists them in `STATEMENTS`, so that a test can prepare each on both engines.
#[macro_export]
macro_rules! statements {
    ($($(#[$meta:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$meta])* const $name: &str = $sql;)*
        /// Every statement of this store by its name, for the test that prepares them all on both engines.
        pub const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

/// A flag as the database keeps it: 0 or 1.
pub fn flag(on: bool) -> i64 {
    i64::from(on)
}

/// A pattern for `LOWER(x) LIKE $n ESCAPE '\'` that finds `text` anywhere, with the text's own wildcards escaped.
pub fn contains(text: &str) -> String {
    let mut out = String::from("%");
    for c in text.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('%');
    out
}
