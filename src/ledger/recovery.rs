//! What happens to the holds of a node that died: each is settled at what the request had certainly cost (its input, then
//! the last checkpoint) and marked recovered. If the node was only slow, its own late settlement posts the difference.

use super::request::{Journal, LostRequest};
use super::store::{self, HoldRow};
use super::writer::{NodeRun, Writer};
use super::{LedgerError, Watch};
use crate::db::Db;
use crate::kernel::{Id, Kit, Usd};

/// How many holds one transaction recovers.
const PAGE: i64 = 128;

/// What a recovery did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// How many holds it ended.
    pub holds: u64,
    /// What they were charged.
    pub charged: Usd,
}

pub(super) fn lost_request(row: &HoldRow, now: i64) -> LostRequest {
    LostRequest { id: row.id, user: row.user, key: row.key, memo: row.memo.clone(), held_at: row.created_at, recovered_at: now }
}

/// Settles every open hold of one run of a node. Running it again, or on two nodes at once, changes nothing more.
///
/// # Errors
/// The database's; what was recovered before stays so.
pub async fn recover_node<J: Journal>(db: &Db, kit: &Kit, journal: J, dead: NodeRun) -> Result<Recovery, LedgerError> {
    let mut writer = Writer::new(db.clone(), kit.clone(), dead, journal, Watch::default());
    let mut sum = Recovery::default();
    let mut after = Id(0);
    loop {
        let rows = store::open_holds_of_node(&mut *db.read().await?, dead.slot, dead.incarnation, after, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(sum) };
        after = last.id;
        let page = writer.recover(rows).await?;
        sum.holds += page.holds;
        sum.charged += page.charged;
    }
}

/// Settles the open holds of every node run of which `is_alive` says no.
///
/// # Errors
/// As [`recover_node`].
pub async fn recover_dead<J: Journal + Clone>(db: &Db, kit: &Kit, journal: J, is_alive: impl Fn(NodeRun) -> bool) -> Result<Recovery, LedgerError> {
    let nodes = store::nodes_with_open_holds(&mut *db.read().await?).await?;
    let mut sum = Recovery::default();
    for (slot, incarnation) in nodes {
        let run = NodeRun { slot, incarnation };
        if is_alive(run) {
            continue;
        }
        let part = recover_node(db, kit, journal.clone(), run).await?;
        tracing::warn!(slot, incarnation, holds = part.holds, charged = %part.charged, "recovered the open holds of a node that died");
        sum.holds += part.holds;
        sum.charged += part.charged;
    }
    Ok(sum)
}
