//! The channels in memory, swapped as a whole: the relay reads them without a query, their keys already open, their addresses and headers made.
//!
//! What lives longer than one reading: the HTTP clients, which hold open connections, and the channels' health.

use super::channel::{Broken, Opened, fingerprint};
use super::clients::{Clients, Way};
use super::health::Registry;
use super::{Channel, pattern, store};
use crate::db::{Db, revision};
use crate::kernel::secrets::AppSecret;
use crate::kernel::{Id, Kit};
use arc_swap::ArcSwap;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Channels in the order in which they are tried: highest priority first, oldest first within one priority.
type Serving = Arc<[Arc<Channel>]>;

/// How many names that only patterns cover are remembered with the channels that serve them.
const REMEMBERED: usize = 1_000;

#[derive(Default)]
struct Content {
    revision: i64,
    /// All enabled channels.
    all: Serving,
    /// By the names that stand in the channels' lists, those included that cover the name with a pattern.
    by_name: HashMap<String, Serving>,
    /// Every pattern, with the places in `all` of the channels that have it.
    patterns: Vec<(String, Vec<usize>)>,
    /// What was found for other names. They come from callers: few are kept, and none that nobody serves.
    found: RwLock<HashMap<String, Serving>>,
    nobody: Serving,
}

/// What lives longer than a reading.
struct Kept {
    clients: Clients,
    health: Registry,
}

/// The enabled channels as of the last refresh.
pub struct Snapshot {
    secret: AppSecret,
    connect_timeout: Duration,
    content: ArcSwap<Content>,
    /// One refresh at a time: an older answer must not overwrite a newer one.
    kept: tokio::sync::Mutex<Kept>,
}

impl Snapshot {
    /// Reads the channels and opens their credentials. `connect_timeout` is for channels that have none of their own.
    ///
    /// # Errors
    /// The database's. A channel that cannot be used is none: it is left out and the log says why.
    pub async fn load(db: &Db, secret: &AppSecret, kit: &Kit, connect_timeout: Duration) -> Result<Self, sqlx::Error> {
        let kept = Kept { clients: Clients::default(), health: Registry::new(kit.clock.clone(), kit.random.clone()) };
        let snapshot = Self { secret: secret.clone(), connect_timeout, content: ArcSwap::default(), kept: tokio::sync::Mutex::new(kept) };
        snapshot.refresh(db).await?;
        Ok(snapshot)
    }

    /// Reads the channels again.
    ///
    /// # Errors
    /// The database's; then nothing has changed here.
    pub async fn refresh(&self, db: &Db) -> Result<(), sqlx::Error> {
        let mut kept = self.kept.lock().await;
        let (revision, rows) = {
            let mut conn = db.read().await?;
            // The number is read before the rows: what commits in between is read twice, never missed.
            let revision = revision::current(&mut conn).await?.of(revision::Topic::Channels);
            (revision, store::all(&mut conn).await?)
        };
        let (mut ways, mut served) = (Vec::new(), Vec::new());
        for mut row in rows.into_iter().filter(|row| row.enabled) {
            match self.open(&row, &mut kept, &mut ways) {
                Ok(channel) => served.push((Arc::new(channel), std::mem::take(&mut row.models))),
                Err(error) => tracing::error!(channel = %row.name, id = %row.id, "channel left out: {error}"),
            }
        }
        let in_use: HashSet<Id> = served.iter().map(|(channel, _)| channel.id).collect();
        kept.clients.keep(&ways);
        kept.health.keep(|id| in_use.contains(&id));
        self.content.store(Arc::new(Content::new(revision, served)));
        Ok(())
    }

    fn open(&self, row: &store::Row, kept: &mut Kept, ways: &mut Vec<Way>) -> Result<Channel, Broken> {
        let opened = Opened::read(&self.secret, row)?;
        let way = opened.way(self.connect_timeout);
        let client = kept.clients.client(&way)?;
        let identity = format!("{} {} {}", row.kind, row.base_url, way.proxy_url.as_deref().unwrap_or_default());
        let fingerprints: Vec<u64> = opened.keys.iter().map(fingerprint).collect();
        if !ways.contains(&way) {
            ways.push(way);
        }
        opened.into_channel(row, client, kept.health.of(row.id, &identity, &fingerprints))
    }

    /// The revision of the topic `channels` that this shows.
    pub fn revision(&self) -> i64 {
        self.content.load().revision
    }

    /// The enabled channels that serve a model by its public name, highest priority first, oldest first within one priority.
    pub fn candidates(&self, model: &str) -> Arc<[Arc<Channel>]> {
        self.content.load().candidates(model)
    }

    /// All enabled channels, in the same order.
    pub fn all(&self) -> Arc<[Arc<Channel>]> {
        Arc::clone(&self.content.load().all)
    }

    /// The enabled channel with this id.
    pub fn find(&self, id: Id) -> Option<Arc<Channel>> {
        self.content.load().all.iter().find(|channel| channel.id == id).cloned()
    }
}

impl Content {
    fn new(revision: i64, served: Vec<(Arc<Channel>, Vec<String>)>) -> Self {
        let mut exact: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut patterns: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, (_, models)) in served.iter().enumerate() {
            for model in models {
                let places = if pattern::is_pattern(model) { patterns.entry(model) } else { exact.entry(model) };
                places.or_default().push(at);
            }
        }
        let patterns: Vec<(String, Vec<usize>)> = patterns.into_iter().map(|(pattern, places)| (pattern.to_owned(), places)).collect();
        let all: Serving = served.iter().map(|(channel, _)| Arc::clone(channel)).collect();
        let by_name = exact.into_iter().map(|(name, places)| (name.to_owned(), collect(&all, name, places, &patterns))).collect();
        Self { revision, by_name, patterns, all, ..Self::default() }
    }

    fn candidates(&self, model: &str) -> Serving {
        if let Some(known) = self.by_name.get(model) {
            return Arc::clone(known);
        }
        if self.patterns.is_empty() {
            return Arc::clone(&self.nobody);
        }
        if let Some(found) = self.found.read().unwrap_or_else(PoisonError::into_inner).get(model) {
            return Arc::clone(found);
        }
        let serving = collect(&self.all, model, Vec::new(), &self.patterns);
        if !serving.is_empty() {
            let mut found = self.found.write().unwrap_or_else(PoisonError::into_inner);
            if found.len() >= REMEMBERED {
                found.clear();
            }
            found.insert(model.to_owned(), Arc::clone(&serving));
        }
        serving
    }
}

/// The channels at `places` and those with a pattern that covers the name, in the order of `all`.
fn collect(all: &[Arc<Channel>], name: &str, mut places: Vec<usize>, patterns: &[(String, Vec<usize>)]) -> Serving {
    places.extend(patterns.iter().filter(|(pattern, _)| pattern::covers(pattern, name)).flat_map(|(_, places)| places));
    places.sort_unstable();
    places.dedup();
    places.into_iter().filter_map(|at| all.get(at).cloned()).collect()
}
