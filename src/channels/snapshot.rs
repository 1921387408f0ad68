//! The channels in memory, swapped as a whole: the relay reads them without a lock, their credentials already open.

use super::{Channel, open, store};
use crate::db::{Db, revision};
use crate::kernel::secrets::AppSecret;
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Default)]
struct Content {
    revision: i64,
    serving: HashMap<String, Arc<[Arc<Channel>]>>,
    nobody: Arc<[Arc<Channel>]>,
}

/// The enabled channels as of the last refresh.
pub struct Snapshot {
    secret: AppSecret,
    content: ArcSwap<Content>,
    /// One refresh at a time: an older answer must not overwrite a newer one.
    refreshing: tokio::sync::Mutex<()>,
}

impl Snapshot {
    /// Reads the channels and opens their credentials.
    ///
    /// # Errors
    /// The database's. A credential that cannot be opened is none: its channel is left out and the log says why.
    pub async fn load(db: &Db, secret: &AppSecret) -> Result<Self, sqlx::Error> {
        let snapshot = Self { secret: secret.clone(), content: ArcSwap::default(), refreshing: tokio::sync::Mutex::default() };
        snapshot.refresh(db).await?;
        Ok(snapshot)
    }

    /// Reads the channels again.
    ///
    /// # Errors
    /// The database's; then nothing has changed here.
    pub async fn refresh(&self, db: &Db) -> Result<(), sqlx::Error> {
        let _turn = self.refreshing.lock().await;
        let (revision, rows) = {
            let mut conn = db.read().await?;
            // The number is read before the rows: what commits in between is read twice, never missed.
            let revision = revision::current(&mut conn).await?.of(revision::Topic::Channels);
            (revision, store::all(&mut conn).await?)
        };
        let mut serving: HashMap<String, Vec<Arc<Channel>>> = HashMap::new();
        for row in rows.into_iter().filter(|row| row.enabled) {
            match open(&self.secret, &row) {
                Ok(channel) => {
                    let channel = Arc::new(channel);
                    row.models.into_iter().for_each(|model| serving.entry(model).or_default().push(Arc::clone(&channel)));
                }
                Err(error) => tracing::error!(channel = %row.name, id = %row.id, "channel left out: {error}"),
            }
        }
        let serving = serving.into_iter().map(|(model, channels)| (model, channels.into())).collect();
        self.content.store(Arc::new(Content { revision, serving, nobody: Arc::default() }));
        Ok(())
    }

    /// The revision of the topic `channels` that this shows.
    pub fn revision(&self) -> i64 {
        self.content.load().revision
    }

    /// The enabled channels that serve a model, highest priority first, oldest first within one priority.
    pub fn serving(&self, model: &str) -> Arc<[Arc<Channel>]> {
        let content = self.content.load();
        Arc::clone(content.serving.get(model).unwrap_or(&content.nobody))
    }
}
