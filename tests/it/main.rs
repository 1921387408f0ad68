//! The integration tests: one program, so that it links once.

mod accounts;
mod architecture;
mod catalog;
mod channels;
mod coupons;
mod crash;
mod database;
mod dialects;
mod gift_cards;
mod gift_sales;
mod harness;
mod jobs;
mod keys;
mod ledger;
mod mail;
mod nodes;
mod payments;
mod plans;
mod process;
mod relay;
mod revision;
mod schema;
mod sessions;
mod setup;
mod statements;
mod web;
