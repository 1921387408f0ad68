//! What runs for whom, in memory: the relay asks it for every request, by the clock, so that what a plan does begins and ends in its millisecond.
//!
//! Refreshing reads only what changed since the last time. For customers without a plan it costs one look into a map.

use super::calendar::Stretch;
use super::periods::GRACE_MS;
use super::store;
use super::terms::{PlanLimits, Terms};
use crate::db::Db;
use crate::db::revision::{self, Topic};
use crate::kernel::clock::DAY_MS;
use crate::kernel::{Clock, Id};
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, RwLock};

/// A term of a subscription, for as long as it does something.
#[derive(Clone, Debug)]
pub struct Running {
    /// The subscription, which is the scope of its credits.
    pub subscription: Id,
    /// The plan.
    pub plan: Id,
    /// From when until when.
    pub when: Stretch,
    /// Under which terms.
    pub terms: Arc<Terms>,
}

/// A subscription that changed, with one of its terms; without, when none is left.
pub(super) struct Change {
    pub revision: i64,
    pub subscription: Id,
    pub user: Id,
    pub plan: Id,
    /// Its renewal may be on its way when it ends.
    pub waits: bool,
    pub paid_until: i64,
    /// The version of the terms, when they hold, and what they are.
    pub term: Option<(Id, Stretch, String)>,
}

#[derive(Default)]
struct Content {
    of_user: HashMap<Id, Arc<[Running]>>,
    versions: HashMap<Id, Arc<Terms>>,
}

/// The running subscriptions as of the last refresh.
pub struct Snapshot {
    clock: Clock,
    content: RwLock<Content>,
    seen: AtomicI64,
    /// One refresh at a time: an older answer must not overwrite a newer one.
    refreshing: tokio::sync::Mutex<()>,
}

impl Snapshot {
    /// Reads what runs.
    ///
    /// # Errors
    /// The database's.
    pub async fn load(db: &Db, clock: &Clock) -> Result<Self, sqlx::Error> {
        let snapshot = Self { clock: clock.clone(), content: RwLock::default(), seen: AtomicI64::new(0), refreshing: tokio::sync::Mutex::default() };
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
        let current = revision::current(&mut conn).await?.of(Topic::Plans);
        let seen = self.revision();
        let changes = store::changes(&mut conn, seen, self.clock.now_ms() - GRACE_MS - DAY_MS).await?;
        let newest = changes.iter().map(|change| change.revision).fold(seen.max(current), i64::max);
        self.apply(changes);
        self.seen.store(newest, Ordering::Release);
        Ok(())
    }

    fn apply(&self, changes: Vec<Change>) {
        let mut content = self.content.write().unwrap_or_else(|e| e.into_inner());
        let Content { of_user, versions } = &mut *content;
        let mut fresh: HashMap<Id, Vec<Running>> = HashMap::new();
        let mut seen = std::collections::HashSet::new();
        for change in changes {
            let all = fresh.entry(change.user).or_insert_with(|| of_user.get(&change.user).map_or_else(Vec::new, |all| all.to_vec()));
            if seen.insert(change.subscription) {
                all.retain(|running| running.subscription != change.subscription);
            }
            let Some((version, when, text)) = change.term else { continue };
            let terms = match versions.get(&version) {
                Some(terms) => Arc::clone(terms),
                None => match Terms::read(&text) {
                    Ok(terms) => {
                        let terms = Arc::new(terms);
                        versions.insert(version, Arc::clone(&terms));
                        terms
                    }
                    Err(error) => {
                        tracing::error!(subscription = %change.subscription, %error, "the terms of a plan cannot be read; it does nothing");
                        continue;
                    }
                },
            };
            let is_last = when.until == change.paid_until;
            let until = if is_last && change.waits { when.until.saturating_add(GRACE_MS) } else { when.until };
            all.push(Running { subscription: change.subscription, plan: change.plan, when: Stretch { until, ..when }, terms });
        }
        for (user, all) in fresh {
            if all.is_empty() {
                of_user.remove(&user)
            } else {
                of_user.insert(user, all.into())
            };
        }
        versions.retain(|_, terms| Arc::strong_count(terms) > 1);
    }

    /// The revision of the topic `plans` that this shows.
    pub fn revision(&self) -> i64 {
        self.seen.load(Ordering::Acquire)
    }

    /// What a customer has, of which some may not run now; none for whoever has nothing.
    pub fn of(&self, user: Id) -> Option<Arc<[Running]>> {
        self.content.read().unwrap_or_else(|e| e.into_inner()).of_user.get(&user).cloned()
    }

    /// What a customer's plans set at a moment: of several the best.
    pub fn limits(&self, user: Id, now_ms: i64) -> PlanLimits {
        self.of(user).map_or_else(PlanLimits::default, |all| limits(&all, now_ms))
    }
}

/// What plans set at a moment: of several the best.
pub fn limits(all: &[Running], now_ms: i64) -> PlanLimits {
    all.iter().filter(|running| running.when.contains(now_ms)).fold(PlanLimits::default(), |best, running| best.best(running.terms.limits))
}
