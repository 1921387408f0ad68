//! The audit finds what somebody altered behind the ledger's back.

use super::Shop;
use farebox::kernel::{Id, Usd};
use farebox::ledger::{HoldRequest, audit, recover_node};

/// Books with one of everything: grants, a debt paid, charges of every kind, an open hold, a correction, an expiry.
async fn books() -> Shop {
    let shop = Shop::open().await;
    let user = shop.customer(Usd(1000)).await;
    shop.customer(Usd(1000)).await;
    shop.allow_debt(user, Usd(50)).await;
    let over = shop.meter.hold(shop.ask(user, Usd(600))).await.unwrap();
    shop.meter.settle(over, Usd(1070), shop.note(Id(1))).await.unwrap();
    shop.grant(shop.gift(user, Usd(30))).await.unwrap();
    shop.grant(shop.gift(user, Usd(500))).await.unwrap();
    shop.adjust(user, Usd(-20), "a").await.unwrap();
    shop.meter.hold(HoldRequest { checkpoint: Usd(70), ..shop.ask(user, Usd(100)) }).await.unwrap();
    recover_node(shop.db(), &shop.kit, shop.notes.clone(), shop.run).await.unwrap();
    shop.meter.hold(shop.ask(user, Usd(100))).await.unwrap();
    let expires_at = shop.kit.clock.now_ms() + 1;
    shop.grant(farebox::ledger::Grant { expires_at, ..shop.gift(user, Usd(8)) }).await.unwrap();
    shop.kit.clock.advance(1);
    shop.books.expire(shop.db()).await.unwrap();
    shop.must_be_clean().await;
    shop
}

#[tokio::test(flavor = "multi_thread")]
async fn each_alteration_is_found() {
    let alterations = [
        ("posted", "UPDATE credit SET posted = posted + 1 WHERE id = (SELECT MIN(id) FROM credit WHERE held > 0)"),
        ("posted, out of range", "UPDATE credit SET posted = 9223372036854775807"),
        ("posted of an empty credit", "UPDATE credit SET posted = 1 WHERE posted = 0"),
        ("two credits that cancel out", "UPDATE credit SET posted = CASE WHEN held > 0 THEN posted - 1 ELSE posted + 1 END WHERE posted > 400"),
        ("held", "UPDATE credit SET held = held + 1 WHERE held > 0"),
        ("held where nothing is held", "UPDATE credit SET held = 1 WHERE held = 0 AND posted > 0"),
        ("a credit that seems empty", "UPDATE credit SET live = 0 WHERE posted > 0"),
        ("granted", "UPDATE credit SET granted = granted + 1"),
        ("a credit's owner", "UPDATE credit SET user_id = (SELECT MAX(user_id) FROM wallet) WHERE held > 0"),
        ("a deleted credit", "DELETE FROM credit WHERE held > 0"),
        ("owed", "UPDATE wallet SET owed = owed + 1"),
        ("a transfer's amount", "UPDATE transfer SET amount = amount + 1 WHERE kind = 'capture'"),
        ("a transfer's account", "UPDATE transfer SET credit = 3 WHERE kind = 'capture'"),
        ("a transfer's kind", "UPDATE transfer SET kind = 'overage' WHERE kind = 'capture'"),
        ("a transfer's reference", "UPDATE transfer SET reference = 'x' WHERE kind = 'grant'"),
        ("a transfer's customer", "UPDATE transfer SET user_id = user_id + 1 WHERE kind = 'grant'"),
        ("the amount of what was absorbed", "UPDATE transfer SET amount = amount + 1 WHERE kind = 'absorbed'"),
        ("a deleted grant", "DELETE FROM transfer WHERE kind = 'grant' AND amount = 500"),
        ("a deleted capture", "DELETE FROM transfer WHERE kind = 'capture' AND amount = 70"),
        ("a deleted overage", "DELETE FROM transfer WHERE kind = 'overage'"),
        ("a deleted overdraft", "DELETE FROM transfer WHERE kind = 'overdraft'"),
        ("a deleted debt payment", "DELETE FROM transfer WHERE kind = 'debt'"),
        ("a deleted expiry", "DELETE FROM transfer WHERE kind = 'expiry'"),
        ("a deleted adjustment", "DELETE FROM transfer WHERE kind = 'adjustment'"),
        ("a hold's amount", "UPDATE hold SET amount = amount + 1 WHERE state = 'open'"),
        ("a hold's legs", "UPDATE hold SET legs = legs || '0' WHERE state = 'open'"),
        ("a hold's unreadable legs", "UPDATE hold SET legs = 'x' WHERE state = 'open'"),
        ("a hold's key", "UPDATE hold SET key_id = key_id + 1 WHERE state = 'open'"),
        ("a deleted hold", "DELETE FROM hold WHERE state = 'open'"),
        ("a deleted ended hold", "DELETE FROM hold WHERE state = 'recovered'"),
        ("an ended hold that is open again", "UPDATE hold SET state = 'open' WHERE state = 'recovered'"),
        ("an open hold that has ended", "UPDATE hold SET state = 'released', released = amount WHERE state = 'open'"),
        ("what a hold captured", "UPDATE hold SET captured = captured - 1, released = released + 1 WHERE state = 'recovered'"),
        ("a wallet's spent", "UPDATE wallet SET spent = spent + 1"),
        ("what a customer spent before this day", "UPDATE wallet SET day_start = day_start - 1 WHERE spent > 0"),
        ("what a customer spent before this week", "UPDATE wallet SET week_start = week_start + 1 WHERE spent > 0"),
        ("what a customer spent before this month", "UPDATE wallet SET month_start = spent WHERE spent > 0"),
        ("a customer's day", "UPDATE wallet SET day = day - 1 WHERE spent > 0"),
        ("what a key spent before this day", "UPDATE key_meter SET day_start = day_start + 1 WHERE spent > 0"),
        ("what a key spent before this month", "UPDATE key_meter SET month_start = month_start - 1 WHERE spent > 0"),
        ("a key's week", "UPDATE key_meter SET week = week + 1 WHERE spent > 0"),
        ("a meter's spent", "UPDATE key_meter SET spent = spent - 1"),
        ("a meter's held", "UPDATE key_meter SET held = held - 1 WHERE held > 0"),
        ("a deleted meter", "DELETE FROM key_meter"),
    ];
    let shop = books().await;
    for (what, sql) in alterations {
        let mut tx = shop.db().write().await.unwrap();
        let rows = sqlx::query(sql).execute(&mut *tx).await.unwrap_or_else(|error| panic!("{what}: {error}")).rows_affected();
        assert!(rows > 0, "{what}: nothing to alter");
        let report = farebox::ledger::audit_in(&mut tx).await.unwrap();
        assert!(!report.is_clean(), "{what} was not found");
        drop(tx);
    }
    assert!(audit(shop.db()).await.unwrap().is_clean(), "the alterations were rolled back");
}
