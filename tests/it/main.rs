//! The integration tests: one program, so that it links once.

mod database;
mod harness;
