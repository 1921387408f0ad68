//! The customer's side: dashboard, keys, requests, the redeem box.

#[cfg(test)]
mod samples;
pub mod views;
