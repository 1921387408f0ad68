//! Farebox: a shop for AI API credit and the meter behind it. One line per room; `docs/ARCHITECTURE.md` walks through them.

pub mod catalog;
pub mod channels;
pub mod config;
pub mod db;
pub mod demo;
pub mod failpoint;
pub mod kernel;
pub mod keys;
pub mod ledger;
pub mod telemetry;
pub mod usage;
