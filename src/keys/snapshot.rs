//! All keys in memory, by digest: authenticating a request costs one hash and one look into a map.
//!
//! Refreshing reads only what changed since the last time. 100,000 keys take about 13 MB; what limits a key or a user is kept apart, since most have nothing.

use super::{Access, Allowance, ApiKey, KeyOptions, UserLimits, store};
use crate::db::{Db, revision};
use crate::kernel::{Id, Usd};
use crate::ledger::Budgets;
use crate::limits::Rules;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, RwLock};

/// What the relay needs to know about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key_id: Id,
    /// Whose it is.
    pub user_id: Id,
    /// What the key may spend in all; none for no bound of its own.
    pub budget: Option<Usd>,
    /// From when on it no longer works.
    pub expires_at: i64,
    /// Its owner switched it off.
    pub key_disabled: bool,
    /// The shop switched its owner off.
    pub user_disabled: bool,
    /// Its owner's address is verified.
    pub user_verified: bool,
    /// What else limits the key; none for nothing.
    pub options: Option<Arc<KeyOptions>>,
    /// What was set for its owner; none for the shop's defaults. Keys of one owner share it.
    pub user_limits: Option<Arc<UserLimits>>,
}

impl Entry {
    /// Whether calls with this key may be served at all.
    pub fn is_live(&self, now_ms: i64) -> bool {
        !self.key_disabled && !self.user_disabled && self.user_verified && now_ms < self.ends_at()
    }

    /// What the key and its owner may call, and from where.
    fn access(&self) -> impl Iterator<Item = &Access> {
        let own = self.options.as_ref().map(|options| &options.access);
        own.into_iter().chain(self.user_limits.as_ref().map(|limits| &limits.access))
    }

    /// Whether it may call a model: the key and its owner both may.
    pub fn may_use(&self, model: &str) -> bool {
        self.access().all(|access| access.may_use(model))
    }

    /// Whether it may be called from an address: the key and its owner both may.
    pub fn allows(&self, address: IpAddr) -> bool {
        self.access().all(|access| access.allows(address))
    }

    /// Whether a list says which models it may call: its own, or its owner's.
    pub fn has_model_rule(&self) -> bool {
        self.access().any(|access| access.models.is_some())
    }

    /// From when on it no longer works: its own end, or that of its owner's access.
    pub fn ends_at(&self) -> i64 {
        let of_owner = self.user_limits.as_ref().and_then(|limits| limits.expires_at);
        of_owner.map_or(self.expires_at, |end| end.min(self.expires_at))
    }

    /// How much may be asked for with it.
    pub fn rules(&self) -> Rules {
        self.options.as_ref().map_or_else(Rules::default, |options| options.allowance.rules)
    }

    /// What may be spent with it.
    pub fn budgets(&self) -> Budgets {
        let periods = self.options.as_ref().map_or_else(Budgets::default, |options| options.allowance.budgets);
        Budgets { total: self.budget, ..periods }
    }

    /// How much its owner may ask for and spend, with all keys together, when these are the shop's defaults.
    pub fn user_allowance(&self, defaults: &Allowance) -> Allowance {
        self.user_limits.as_ref().map_or(*defaults, |limits| limits.with_defaults(defaults))
    }
}

/// A key that changed: its new state, or none when it was deleted.
pub(super) struct Change {
    pub revision: i64,
    pub digest: [u8; 32],
    pub entry: Option<Entry>,
}

/// A digest is uniform already, so eight bytes of it are as good as any hash.
#[derive(Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    // The length of an array, which says nothing.
    fn write_usize(&mut self, _len: usize) {}
}

type Map = HashMap<[u8; 32], Arc<Entry>, BuildHasherDefault<DigestHasher>>;

/// The keys as of the last refresh.
#[derive(Default)]
pub struct Snapshot {
    map: RwLock<Map>,
    seen: AtomicI64,
    /// One refresh at a time: an older answer must not overwrite a newer one.
    refreshing: tokio::sync::Mutex<()>,
}

impl Snapshot {
    /// Reads all keys.
    ///
    /// # Errors
    /// The database's.
    pub async fn load(db: &Db) -> Result<Self, sqlx::Error> {
        let snapshot = Self::default();
        snapshot.refresh(db).await?;
        Ok(snapshot)
    }

    /// Reads what changed since the last time.
    ///
    /// # Errors
    /// The database's; then nothing has changed here.
    pub async fn refresh(&self, db: &Db) -> Result<(), sqlx::Error> {
        let _turn = self.refreshing.lock().await;
        let mut conn = db.read().await?;
        // The number is read before the rows: what commits in between is read twice, never missed.
        let current = revision::current(&mut conn).await?.of(revision::Topic::Keys);
        let seen = self.revision();
        let changes = store::changes(&mut conn, seen).await?;
        let newest = changes.iter().map(|change| change.revision).fold(seen.max(current), i64::max);
        self.apply(changes);
        self.seen.store(newest, Ordering::Release);
        Ok(())
    }

    fn apply(&self, changes: Vec<Change>) {
        let mut map = self.map.write().unwrap_or_else(|e| e.into_inner());
        for change in changes {
            match change.entry {
                Some(entry) => map.insert(change.digest, Arc::new(entry)),
                None => map.remove(&change.digest),
            };
        }
    }

    /// The revision of the topic `keys` that this shows.
    pub fn revision(&self) -> i64 {
        self.seen.load(Ordering::Acquire)
    }

    /// The entry of a key, if such a key exists. Whether it may be used is for [`Entry::is_live`] to say.
    pub fn get(&self, key: &ApiKey) -> Option<Arc<Entry>> {
        self.map.read().unwrap_or_else(|e| e.into_inner()).get(key.digest()).cloned()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.map.read().unwrap_or_else(|e| e.into_inner()).len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::NEVER;

    fn entry() -> Entry {
        Entry {
            key_id: Id(1),
            user_id: Id(2),
            budget: None,
            expires_at: NEVER,
            key_disabled: false,
            user_disabled: false,
            user_verified: true,
            options: None,
            user_limits: None,
        }
    }

    #[test]
    fn a_key_works_only_while_everything_about_it_is_right() {
        assert!(entry().is_live(5));
        assert!(Entry { expires_at: 6, ..entry() }.is_live(5));
        for dead in [
            Entry { expires_at: 5, ..entry() },
            Entry { key_disabled: true, ..entry() },
            Entry { user_disabled: true, ..entry() },
            Entry { user_verified: false, ..entry() },
            Entry { user_limits: Some(Arc::new(UserLimits { expires_at: Some(5), ..UserLimits::default() })), ..entry() },
        ] {
            assert!(!dead.is_live(5), "{dead:?}");
        }
    }

    #[test]
    fn an_entry_stays_small() {
        assert!(size_of::<Entry>() <= 64, "{}", size_of::<Entry>());
    }

    #[test]
    fn digests_spread_over_the_map() {
        let hash = |digest: [u8; 32]| std::hash::BuildHasher::hash_one(&BuildHasherDefault::<DigestHasher>::default(), digest);
        let mut digest = [7u8; 32];
        let before = hash(digest);
        digest[0] = 8;
        assert_ne!(before, hash(digest));
    }
}
