//! Farebox: a shop for AI API credit and the meter behind it. One line per room; `docs/ARCHITECTURE.md` walks through them.

rust_i18n::i18n!("src/i18n/locales", fallback = "en");

pub mod accounting;
pub mod accounts;
pub mod admin_log;
pub mod app;
pub mod catalog;
pub mod channels;
pub mod cli;
pub mod config;
pub mod coupons;
pub mod db;
pub mod demo;
pub mod failpoint;
pub mod gift_cards;
pub mod i18n;
pub mod invoices;
pub mod jobs;
pub mod kernel;
pub mod keys;
pub mod ledger;
pub mod limits;
pub mod mail;
pub mod notices;
pub mod payments;
pub mod plans;
pub mod referrals;
pub mod relay;
pub mod router;
pub mod sessions;
pub mod settings;
pub mod telemetry;
pub mod tokens;
pub mod usage;
pub mod web;
