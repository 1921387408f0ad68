//! The integration tests: one program, so that it links once.

mod catalog;
mod channels;
mod database;
mod gift_cards;
mod harness;
mod keys;
mod revision;
