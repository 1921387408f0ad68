//! The website: server-rendered pages that work without scripts.
//!
//! A handler is one thought long: an extractor that authorises ([`who`]), a form that keeps what was typed ([`form`]), one call
//! into a feature, a template. `public` is the shop window, `account` the customer's side, `admin` the back office; the
//! templates of each lie in the folder of the same name under `templates/`. Every path stands in `crate::router`.

pub mod account;
pub mod admin;
pub mod assets;
pub mod csv;
pub mod error;
pub mod flash;
pub mod form;
pub mod format;
pub mod headers;
pub mod origin;
pub mod page;
mod plans;
pub mod prices;
pub mod public;
mod site;
pub mod snippets;
pub mod statement;
#[cfg(test)]
mod tests;
pub mod ui;
pub mod visit;
pub mod webhooks;
pub mod who;

pub use error::Problem;
pub use form::Form;
pub use page::Page;
pub use site::{Parts, Site};
