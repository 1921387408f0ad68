//! The customer's side: dashboard, wallet, keys, requests, gift cards, referrals.

pub mod dashboard;
pub mod gift_cards;
pub mod invoices;
pub mod keys;
pub mod notices;
pub mod orders;
pub mod payment;
pub mod plan;
pub mod plans;
pub mod referrals;
pub mod requests;
#[cfg(test)]
pub(super) mod samples;
pub mod views;
pub mod wallet;
