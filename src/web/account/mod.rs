//! The customer's side: dashboard, keys, requests, the redeem box.

pub mod dashboard;
pub mod keys;
pub mod requests;
#[cfg(test)]
mod samples;
pub mod views;
