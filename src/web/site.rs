//! What the website's handlers can reach, and nothing else of the program.

use crate::accounts::Accounts;
use crate::config::{PublicUrl, TrustedProxies};
use crate::db::Db;
use crate::kernel::Kit;
use crate::kernel::secrets::AppSecret;
use crate::ledger::Books;
use crate::limits::Limits;
use crate::payments::Payments;
use crate::{catalog, channels, keys, plans, settings};
use std::ops::Deref;
use std::sync::Arc;

/// The website's state. Clones share it.
#[derive(Clone)]
pub struct Site(Arc<Parts>);

/// What the website is made with.
pub struct Parts {
    /// The database.
    pub db: Db,
    /// Time, ids, randomness.
    pub kit: Kit,
    /// Seals the channels' keys.
    pub secret: AppSecret,
    /// The books.
    pub books: Books,
    /// People.
    pub accounts: Accounts,
    /// Orders.
    pub payments: Payments,
    /// Limits on attempts.
    pub limits: Limits,
    /// The shop's name.
    pub settings: settings::Snapshot,
    /// The models in memory, refreshed at once after a change here.
    pub catalog: Arc<catalog::Snapshot>,
    /// The channels in memory.
    pub channels: Arc<channels::Snapshot>,
    /// The keys in memory.
    pub keys: Arc<keys::Snapshot>,
    /// What runs of plans, in memory.
    pub plans: Arc<plans::Snapshot>,
    /// How customers reach the shop.
    pub public_url: PublicUrl,
    /// Whose word for a caller's address is believed.
    pub proxies: TrustedProxies,
}

impl Site {
    /// The website of these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Unix milliseconds.
    pub fn now(&self) -> i64 {
        self.kit.clock.now_ms()
    }
}

impl Deref for Site {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
