//! What the tests stand on.

pub mod app;
pub mod child;
pub mod db;
pub mod people;
pub mod shop;
pub mod source;

pub use app::TestApp;
pub use db::TestDb;
pub use people::{START_MS, kit, user, verified_user};
pub use shop::Shop;
