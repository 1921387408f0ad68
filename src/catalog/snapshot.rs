//! The catalog in memory, swapped as a whole: the relay reads it without a lock.

use super::{Model, store};
use crate::db::{Db, revision};
use crate::kernel::Clock;
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::Arc;

/// How far back prices are known: a request whose body is still on its way is charged the price of when it began, and no body may take so long.
const LOOK_BACK_MS: i64 = 10 * 60 * 1000;

#[derive(Default)]
struct Content {
    revision: i64,
    by_name: HashMap<String, Arc<Model>>,
    /// In the order of their names.
    all: Vec<Arc<Model>>,
}

/// The models as of the last refresh. Prices that were announced for later are in it and take effect by the clock.
pub struct Snapshot {
    clock: Clock,
    content: ArcSwap<Content>,
    /// One refresh at a time: an older answer must not overwrite a newer one.
    refreshing: tokio::sync::Mutex<()>,
}

impl Snapshot {
    /// Reads the catalog.
    ///
    /// # Errors
    /// The database's.
    pub async fn load(db: &Db, clock: &Clock) -> Result<Self, sqlx::Error> {
        let snapshot = Self { clock: clock.clone(), content: ArcSwap::default(), refreshing: tokio::sync::Mutex::default() };
        snapshot.refresh(db).await?;
        Ok(snapshot)
    }

    /// Reads the catalog again.
    ///
    /// # Errors
    /// The database's; then nothing has changed here.
    pub async fn refresh(&self, db: &Db) -> Result<(), sqlx::Error> {
        let _turn = self.refreshing.lock().await;
        let mut conn = db.read().await?;
        // The number is read before the rows: what commits in between is read twice, never missed.
        let revision = revision::current(&mut conn).await?.of(revision::Topic::Catalog);
        let all: Vec<Arc<Model>> = store::all(&mut conn, self.clock.now_ms() - LOOK_BACK_MS).await?.into_iter().map(Arc::new).collect();
        let by_name = all.iter().map(|model| (model.name.clone(), Arc::clone(model))).collect();
        self.content.store(Arc::new(Content { revision, by_name, all }));
        Ok(())
    }

    /// The revision of the topic `catalog` that this shows.
    pub fn revision(&self) -> i64 {
        self.content.load().revision
    }

    /// The model that callers name so, be it callable or not.
    pub fn get(&self, name: &str) -> Option<Arc<Model>> {
        self.content.load().by_name.get(name).cloned()
    }

    /// All models in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = Arc<Model>> + use<> {
        let content = self.content.load_full();
        (0..content.all.len()).map(move |at| Arc::clone(&content.all[at]))
    }
}
