//! Money from outside: orders, what the payment provider tells about them, refunds and disputes.
//!
//! [`provider`] is what the shop asks of a payment provider, in this project's own words; no other room knows which one there is. It moves no money in the
//! books and writes nothing: what it answers is a claim of somebody else, which is held against the order before anything is credited.
//!
//! Callers: `web` (the pages that sell, and the door at which webhooks arrive), `app` (start-up and periodic work). No room below calls it.

pub mod provider;
