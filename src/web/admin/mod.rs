//! The back office: what is sold, through which channels, to whom.

pub mod accounting;
pub mod channels;
pub mod coupons;
pub mod gift_cards;
pub mod invoices;
pub mod models;
pub mod money_views;
pub mod orders;
pub mod overview;
pub mod payments;
pub mod plans;
pub mod reconciliation;
pub mod referrals;
pub mod requests;
#[cfg(test)]
mod samples;
pub mod settings;
pub mod users;
pub mod views;

use super::{Problem, Site};
use crate::accounts::User;
use crate::admin_log;

/// Notes what an admin did, after it was done.
async fn note(site: &Site, actor: &User, action: &str, target: &str, detail: &str) -> Result<(), Problem> {
    let mut tx = site.db.write().await?;
    admin_log::record(&mut tx, &site.kit, Some(actor.id), action, target, detail).await?;
    tx.commit().await?;
    Ok(())
}
