//! Nodes: slots, heartbeats, and coming back from being taken for dead.

use crate::harness::{TestDb, kit};
use farebox::db::node;

const TIMEOUT_MS: i64 = 1000;

#[tokio::test]
async fn a_node_that_was_only_slow_lives_again_until_its_slot_is_taken() {
    let (test, kit) = (TestDb::new().await, kit());
    let slow = node::claim(&test.db, &kit.clock, TIMEOUT_MS).await.unwrap();
    assert!(node::beat(&test.db, &kit.clock, slow).await.unwrap());

    node::stop(&test.db, &kit.clock, slow.slot, slow.incarnation).await.unwrap();
    assert!(node::beat(&test.db, &kit.clock, slow).await.unwrap(), "nobody took the slot: it is still its own");
    let rows = node::all(&mut test.db.read().await.unwrap()).await.unwrap();
    assert!(!rows[0].stopped, "and others see that it lives");
    let other = node::claim(&test.db, &kit.clock, TIMEOUT_MS).await.unwrap();
    assert_ne!(other.slot, slow.slot);

    node::stop(&test.db, &kit.clock, slow.slot, slow.incarnation).await.unwrap();
    let heir = node::claim(&test.db, &kit.clock, TIMEOUT_MS).await.unwrap();
    assert_eq!(heir.slot, slow.slot);
    assert!(!node::beat(&test.db, &kit.clock, slow).await.unwrap(), "the slot is somebody else's now");
    assert!(node::beat(&test.db, &kit.clock, heir).await.unwrap());
}
