//! The node says that it lives, and settles what dead ones left.

use super::{App, StartError, millis};
use crate::db::{Db, Engine, node};
use crate::kernel::Kit;
use crate::ledger::{self, NodeRun};
use crate::usage::Journal;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Settles the open holds of every node that is not alive, and frees its slot. On SQLite only this process can be: it has the
/// lock of the file. On PostgreSQL a node is alive while its heartbeat is young.
pub(super) async fn recover_dead(db: &Db, kit: &Kit, own: node::Node, timeout: Duration) -> Result<(), StartError> {
    let rows = node::all(&mut *db.read().await?).await?;
    let oldest = kit.clock.now_ms() - millis(timeout);
    let own_run = NodeRun { slot: own.slot, incarnation: own.incarnation };
    let is_alive = |run: NodeRun| {
        let heard = |row: &node::NodeRow| row.slot == run.slot && row.incarnation == run.incarnation && !row.stopped && row.heartbeat_at >= oldest;
        run == own_run || (db.engine() == Engine::Postgres && rows.iter().any(heard))
    };
    ledger::recover_dead(db, kit, Journal, is_alive).await?;
    for row in rows.iter().filter(|row| !row.stopped && row.heartbeat_at < oldest && row.slot != own.slot) {
        node::stop(db, &kit.clock, row.slot, row.incarnation).await?;
    }
    Ok(())
}

/// Beats until `stop`; between two beats looks for dead nodes. A node whose slot another has claimed is not ready any more: both would make the
/// same ids.
pub(super) async fn run(app: App, node: node::Node, timeout: Duration, stop: CancellationToken) {
    let mut tick = tokio::time::interval(timeout / 5);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        match node::beat(&app.db, &app.kit.clock, node).await {
            Ok(true) => {}
            Ok(false) => {
                app.draining.store(true, Ordering::Release);
                tracing::error!(slot = node.slot, "this node was silent for so long that another has taken its slot: restart it");
            }
            Err(error) => tracing::warn!(%error, "the heartbeat could not be written"),
        }
        if app.db.engine() == Engine::Postgres
            && let Err(error) = recover_dead(&app.db, &app.kit, node, timeout).await
        {
            tracing::warn!(%error, "looking for dead nodes failed");
        }
    }
}
