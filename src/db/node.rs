//! Running nodes: a slot for the ids that a node makes, a heartbeat, and who is dead.

use super::{Conn, Db};
use crate::kernel::Clock;
use crate::statements;
use sqlx::Any;

statements! {
    ALL = "SELECT slot, incarnation, heartbeat_at, COALESCE(stopped_at, 0) FROM node ORDER BY slot";
    CLAIM = "INSERT INTO node (slot, incarnation, started_at, heartbeat_at, stopped_at) VALUES ($1, $2, $3, $3, NULL) \
             ON CONFLICT (slot) DO UPDATE SET incarnation = excluded.incarnation, started_at = excluded.started_at, heartbeat_at = excluded.heartbeat_at, stopped_at = NULL \
             WHERE node.incarnation = $4 AND (node.stopped_at IS NOT NULL OR node.heartbeat_at < $5)";
    /// Also takes a node back to life that others had declared dead: the slot is its own until somebody else has claimed it.
    BEAT = "UPDATE node SET heartbeat_at = $3, stopped_at = NULL WHERE slot = $1 AND incarnation = $2";
    STOP = "UPDATE node SET stopped_at = $3 WHERE slot = $1 AND incarnation = $2";
}

/// A run of a slot, as long as its heartbeat goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// The slot, part of every id that this node makes.
    pub slot: i64,
    /// Which run of the slot: grows with every claim.
    pub incarnation: i64,
    /// Unix milliseconds before which an earlier run of the slot may have made ids.
    pub ids_after: i64,
}

/// A row of the table of nodes.
#[derive(Clone, Copy, Debug)]
pub struct NodeRow {
    /// The slot.
    pub slot: i64,
    /// Which run of it.
    pub incarnation: i64,
    /// When it was last heard of, in unix milliseconds.
    pub heartbeat_at: i64,
    /// Whether it said good-bye.
    pub stopped: bool,
}

/// Every node that ever ran, by slot.
///
/// # Errors
/// The database's.
pub async fn all(conn: &mut Conn) -> Result<Vec<NodeRow>, sqlx::Error> {
    let rows: Vec<(i64, i64, i64, i64)> = sqlx::query_as::<Any, _>(ALL).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(slot, incarnation, heartbeat_at, stopped_at)| NodeRow { slot, incarnation, heartbeat_at, stopped: stopped_at != 0 }).collect())
}

/// Takes the lowest slot that nobody uses: never used, stopped, or silent for `timeout_ms`.
///
/// # Errors
/// The database's.
pub async fn claim(db: &Db, clock: &Clock, timeout_ms: i64) -> Result<Node, sqlx::Error> {
    loop {
        let mut tx = db.write().await?;
        let now = clock.now_ms();
        let rows = all(&mut tx).await?;
        let free = rows.iter().find(|row| row.stopped || row.heartbeat_at < now - timeout_ms);
        let slot = free.map_or_else(|| (0..).find(|slot| rows.iter().all(|row| row.slot != *slot)).unwrap_or_default(), |row| row.slot);
        let before = free.map_or(0, |row| row.incarnation);
        let incarnation = now.max(before + 1);
        let query = sqlx::query(CLAIM).bind(slot).bind(incarnation).bind(now).bind(before).bind(now - timeout_ms);
        let claimed = query.execute(&mut *tx).await?.rows_affected() == 1;
        tx.commit().await?;
        if claimed {
            // The clock may have stepped back since the last run; its ids went at most a little past its last heartbeat.
            let ids_after = free.map_or(0, |row| row.heartbeat_at + timeout_ms);
            return Ok(Node { slot, incarnation, ids_after });
        }
    }
}

/// Says that the node lives, also after others have declared it dead. `false` when somebody else has claimed its slot since.
///
/// # Errors
/// The database's.
pub async fn beat(db: &Db, clock: &Clock, node: Node) -> Result<bool, sqlx::Error> {
    let mut tx = db.write().await?;
    let beaten = sqlx::query(BEAT).bind(node.slot).bind(node.incarnation).bind(clock.now_ms()).execute(&mut *tx).await?.rows_affected();
    tx.commit().await?;
    Ok(beaten == 1)
}

/// Frees the slot: on a clean shutdown, or when a dead node has been recovered.
///
/// # Errors
/// The database's.
pub async fn stop(db: &Db, clock: &Clock, slot: i64, incarnation: i64) -> Result<(), sqlx::Error> {
    let mut tx = db.write().await?;
    sqlx::query(STOP).bind(slot).bind(incarnation).bind(clock.now_ms()).execute(&mut *tx).await?;
    tx.commit().await
}
