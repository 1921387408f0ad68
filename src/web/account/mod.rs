//! The customer's side: dashboard, keys, requests, the redeem box.

pub mod dashboard;
pub mod keys;
pub mod orders;
pub mod requests;
#[cfg(test)]
pub(super) mod samples;
pub mod views;
