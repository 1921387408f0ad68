//! What the tests stand on.

pub mod db;

pub use db::TestDb;
