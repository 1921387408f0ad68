//! Work beside the requests: snapshots that follow the database, the heartbeat, periodic jobs.

use super::App;
use super::heartbeat::{self, SharedNode};
use crate::db::revision::{self, Topic};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often the snapshots look for changes: a disabled key stops well within a second, on every node.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);

/// The running background work.
pub(super) struct Background {
    tasks: TaskTracker,
}

impl Background {
    /// Waits until all of it has ended, soon after the stop.
    pub(super) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

pub(super) fn start(app: &App, node: &SharedNode, node_timeout: Duration, stop: &CancellationToken) -> Background {
    let tasks = TaskTracker::new();
    tasks.spawn(heartbeat::run(app.db.clone(), app.kit.clone(), node.clone(), node_timeout, stop.clone()));
    tasks.spawn(follow(app.clone(), stop.clone()));
    Background { tasks }
}

async fn follow(app: App, stop: CancellationToken) {
    let mut tick = tokio::time::interval(FOLLOW_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        match refresh(&app).await {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "the snapshots cannot follow the database; the last known state is served");
            }
            Err(_) => {}
        }
    }
}

/// Reads the snapshots whose topic has moved on.
pub(super) async fn refresh(app: &App) -> Result<(), sqlx::Error> {
    let revisions = revision::current(&mut *app.db.read().await?).await?;
    if revisions.of(Topic::Keys) != app.keys.revision() {
        app.keys.refresh(&app.db).await?;
    }
    if revisions.of(Topic::Catalog) != app.catalog.revision() {
        app.catalog.refresh(&app.db).await?;
    }
    if revisions.of(Topic::Channels) != app.channels.revision() {
        app.channels.refresh(&app.db).await?;
    }
    app.settings.refresh(&app.db).await
}
