//! The website: server-rendered pages that work without scripts.
//!
//! A handler is one thought long: an extractor that authorises ([`who`]), a form that keeps what was typed ([`form`]), one call
//! into a feature, a template. `public` is the shop window, `account` the customer's side, `admin` the back office; the
//! templates of each lie in the folder of the same name under `templates/`. Every path stands in `crate::router`.

pub mod assets;
pub mod form;
pub mod format;
pub mod headers;
pub mod page;
pub mod public;
pub mod snippets;
#[cfg(test)]
mod tests;
pub mod ui;

pub use form::Form;
pub use page::Page;
