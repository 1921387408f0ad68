//! Keys: who gets one, who may touch it, and what the relay's snapshot sees of it.

use crate::harness::{TestDb, kit, people, user, verified_user};
use farebox::db::Db;
use farebox::kernel::{Id, Kit, NEVER, Usd, secrets};
use farebox::keys::{self, Allowance, AllowanceFields, ApiKey, CreatedKey, KeyChange, KeyError, KeyFields, NewKey, Snapshot, UserLimits};

fn named(name: &str) -> NewKey {
    NewKey::named(name)
}

async fn make(db: &Db, kit: &Kit, user: Id) -> CreatedKey {
    keys::create(db, kit, user, named("laptop")).await.expect("a key")
}

async fn list(db: &Db, user: Id) -> Vec<keys::KeyView> {
    keys::list(&mut db.read().await.unwrap(), user).await.unwrap()
}

#[tokio::test]
async fn a_key_is_listed_without_its_text() {
    let (test, kit) = (TestDb::new().await, kit());
    let user = verified_user(&test.db, &kit).await;
    let new = NewKey { budget: Some(Usd::dollars(5)), expires_at: kit.clock.now_ms() + 1, ..named("laptop") };
    let created = keys::create(&test.db, &kit, user, new).await.unwrap();
    let [view] = list(&test.db, user).await.try_into().unwrap();
    assert_eq!((view.id, view.name.as_str(), view.budget), (created.id, "laptop", Some(Usd::dollars(5))));
    assert_eq!((view.spent, view.held, view.requests, view.last_used_at), (Usd::ZERO, Usd::ZERO, 0, None));
    assert!(created.key.reveal().starts_with(&view.prefix) && view.prefix.len() == 8);
    let stored: (String, String) = sqlx::query_as("SELECT hash, prefix FROM api_key").fetch_one(&mut *test.db.read().await.unwrap()).await.unwrap();
    assert_eq!(stored, (secrets::hash(created.key.reveal()), view.prefix));
}

#[tokio::test]
async fn the_list_shows_what_the_meter_counted() {
    let (test, kit) = (TestDb::new().await, kit());
    let user = verified_user(&test.db, &kit).await;
    let key = make(&test.db, &kit, user).await;
    let mut tx = test.db.write().await.unwrap();
    let meter = sqlx::query("INSERT INTO key_meter (key_id, spent, held, requests, last_used_at) VALUES ($1, 7, 3, 2, 99)");
    meter.bind(key.id.0).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let [view] = list(&test.db, user).await.try_into().unwrap();
    assert_eq!((view.spent, view.held, view.requests, view.last_used_at), (Usd(7), Usd(3), 2, Some(99)));
}

#[tokio::test]
async fn only_verified_enabled_users_get_keys() {
    let (test, kit) = (TestDb::new().await, kit());
    let unverified = user(&test.db, &kit, None, None).await;
    let disabled = user(&test.db, &kit, Some(1), Some(2)).await;
    assert!(matches!(keys::create(&test.db, &kit, unverified, named("k")).await, Err(KeyError::NotVerified)));
    assert!(matches!(keys::create(&test.db, &kit, disabled, named("k")).await, Err(KeyError::UserDisabled)));
    assert!(matches!(keys::create(&test.db, &kit, Id(404), named("k")).await, Err(KeyError::UserDisabled)));
    let verified = verified_user(&test.db, &kit).await;
    for bad in [named(" "), NewKey { budget: Some(Usd(-1)), ..named("k") }, NewKey { expires_at: kit.clock.now_ms(), ..named("k") }] {
        assert!(matches!(keys::create(&test.db, &kit, verified, bad).await, Err(KeyError::Invalid(mistakes)) if mistakes.len() == 1));
    }
    assert!(list(&test.db, verified).await.is_empty());
}

#[tokio::test]
async fn nobody_touches_the_key_of_another() {
    let (test, kit) = (TestDb::new().await, kit());
    let (owner, other) = (verified_user(&test.db, &kit).await, verified_user(&test.db, &kit).await);
    let key = make(&test.db, &kit, owner).await;
    let before = list(&test.db, owner).await;
    assert!(matches!(keys::set_disabled(&test.db, &kit, other, key.id, true).await, Err(KeyError::NotFound)));
    assert!(matches!(keys::delete(&test.db, &kit, other, key.id).await, Err(KeyError::NotFound)));
    assert_eq!(list(&test.db, owner).await, before);
    assert!(list(&test.db, other).await.is_empty());
}

#[tokio::test]
async fn the_snapshot_follows_every_change() {
    let (test, kit) = (TestDb::new().await, kit());
    let (db, owner) = (&test.db, verified_user(&test.db, &kit).await);
    let snapshot = Snapshot::load(db).await.unwrap();
    assert!(snapshot.is_empty());
    let key = make(db, &kit, owner).await;
    let other = make(db, &kit, owner).await;
    let parsed = ApiKey::parse(key.key.reveal()).unwrap();
    assert!(snapshot.get(&parsed).is_none(), "not before it is refreshed");
    let live = async || {
        snapshot.refresh(db).await.unwrap();
        snapshot.get(&parsed).map(|entry| entry.is_live(kit.clock.now_ms()))
    };
    assert_eq!(live().await, Some(true));
    let entry = snapshot.get(&parsed).unwrap();
    assert_eq!((entry.key_id, entry.user_id, entry.budget), (key.id, owner, None));
    keys::set_disabled(db, &kit, owner, key.id, true).await.unwrap();
    assert_eq!(live().await, Some(false));
    keys::set_disabled(db, &kit, owner, key.id, false).await.unwrap();
    assert_eq!(live().await, Some(true));
    people::disable(db, owner, Some(5)).await;
    assert_eq!(live().await, Some(false));
    people::disable(db, owner, None).await;
    assert_eq!(live().await, Some(true));
    keys::delete(db, &kit, owner, key.id).await.unwrap();
    assert_eq!(live().await, None);
    assert_eq!(snapshot.len(), 1);
    assert!(matches!(keys::set_disabled(db, &kit, owner, key.id, false).await, Err(KeyError::NotFound)), "deleted is for good");
    assert_eq!(list(db, owner).await.len(), 1);
    let fresh = Snapshot::load(db).await.unwrap();
    assert_eq!((fresh.len(), fresh.revision()), (1, snapshot.revision()));
    assert!(fresh.get(&ApiKey::parse(other.key.reveal()).unwrap()).is_some());
}

#[tokio::test]
async fn the_snapshot_knows_what_limits_a_key_and_its_owner() {
    let (test, kit) = (TestDb::new().await, kit());
    let (db, owner) = (&test.db, verified_user(&test.db, &kit).await);
    let typed = |name: &str| match name {
        "name" => "laptop",
        "rpm" => "5",
        "budget_day" => "2",
        "models" => "demo-*",
        "addresses" => "10.0.0.0/8",
        _ => "",
    };
    let new = NewKey::parse(&KeyFields::read(typed), NEVER, kit.clock.now_ms()).unwrap();
    let limited = keys::create(db, &kit, owner, new).await.unwrap();
    let plain = make(db, &kit, owner).await;
    let snapshot = Snapshot::load(db).await.unwrap();
    let entry = |key: &CreatedKey| snapshot.get(&ApiKey::parse(key.key.reveal()).unwrap());
    let found = entry(&limited).unwrap();
    assert_eq!((found.rules().rpm.map(u64::from), found.budgets().day, found.budgets().total), (Some(5), Some(Usd::dollars(2)), None));
    assert!(found.may_use("demo-chat") && !found.may_use("other"));
    assert!(found.allows("10.1.2.3".parse().unwrap()) && !found.allows("11.1.2.3".parse().unwrap()));
    let found = entry(&plain).unwrap();
    assert!(found.options.is_none() && found.user_limits.is_none() && found.may_use("anything") && found.allows("::1".parse().unwrap()));
    // What an admin sets reaches all keys, which share it.
    let set = UserLimits { allowance: Allowance::parse(&AllowanceFields { tpm: "70", ..AllowanceFields::default() }).unwrap(), ..UserLimits::default() };
    people::limit(db, owner, set.write()).await;
    snapshot.refresh(db).await.unwrap();
    let (one, two) = (entry(&limited).unwrap(), entry(&plain).unwrap());
    assert!(std::sync::Arc::ptr_eq(one.user_limits.as_ref().unwrap(), two.user_limits.as_ref().unwrap()));
    let defaults = Allowance::parse(&AllowanceFields { rpm: "9", tpm: "10", ..AllowanceFields::default() }).unwrap();
    let held = two.user_allowance(&defaults).rules;
    assert_eq!((held.rpm.map(u64::from), held.tpm.map(u64::from)), (Some(9), Some(70)));
    let change = KeyChange::parse(&KeyFields { name: "plain now", ..KeyFields::default() }, None, kit.clock.now_ms()).unwrap();
    keys::update(db, owner, limited.id, &change).await.unwrap();
    people::limit(db, owner, None).await;
    snapshot.refresh(db).await.unwrap();
    let found = entry(&limited).unwrap();
    assert!(found.options.is_none() && found.user_limits.is_none() && found.may_use("other"));
    assert!(matches!(keys::update(db, verified_user(db, &kit).await, limited.id, &change).await, Err(KeyError::NotFound)));
}

#[tokio::test]
async fn a_key_whose_limits_cannot_be_read_is_not_served() {
    let (test, kit) = (TestDb::new().await, kit());
    let owner = verified_user(&test.db, &kit).await;
    let (broken, fine) = (make(&test.db, &kit, owner).await, make(&test.db, &kit, owner).await);
    let mut tx = test.db.write().await.unwrap();
    sqlx::query("UPDATE api_key SET options = $2 WHERE id = $1").bind(broken.id.0).bind("{\"rpm\":\"edited by hand").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    people::limit(&test.db, owner, Some("nonsense".to_owned())).await;
    let snapshot = Snapshot::load(&test.db).await.unwrap();
    assert!(snapshot.get(&ApiKey::parse(broken.key.reveal()).unwrap()).is_none());
    let found = snapshot.get(&ApiKey::parse(fine.key.reveal()).unwrap()).unwrap();
    assert_eq!(found.user_limits, None, "the shop's defaults hold");
}

#[tokio::test]
async fn a_change_that_touches_no_key_does_not_leave_the_snapshot_behind() {
    let (test, kit) = (TestDb::new().await, kit());
    let nobody = verified_user(&test.db, &kit).await;
    let snapshot = Snapshot::load(&test.db).await.unwrap();
    people::disable(&test.db, nobody, Some(1)).await;
    snapshot.refresh(&test.db).await.unwrap();
    assert_eq!(snapshot.revision(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_keys_is_the_limit_even_in_a_race() {
    let (test, kit) = (TestDb::new().await, kit());
    let owner = verified_user(&test.db, &kit).await;
    for _ in 0..keys::MAX_PER_USER - 5 {
        make(&test.db, &kit, owner).await;
    }
    let racers: Vec<_> = (0..30)
        .map(|_| {
            let (db, kit) = (test.db.clone(), kit.clone());
            tokio::spawn(async move { keys::create(&db, &kit, owner, named("racer")).await })
        })
        .collect();
    let mut made = Vec::new();
    for racer in racers {
        match racer.await.unwrap() {
            Ok(key) => made.push(key),
            Err(KeyError::TooMany) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(made.len(), 5);
    assert_eq!(list(&test.db, owner).await.len() as i64, keys::MAX_PER_USER);
    keys::delete(&test.db, &kit, owner, made[0].id).await.unwrap();
    make(&test.db, &kit, owner).await;
    let neighbour = verified_user(&test.db, &kit).await;
    make(&test.db, &kit, neighbour).await;
}

/// Writers and refreshers at the same time: once all is quiet, one more refresh shows exactly what the database has.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_snapshot_misses_nothing_while_many_write() {
    let (test, kit) = (TestDb::new().await, kit());
    let snapshot = std::sync::Arc::new(Snapshot::load(&test.db).await.unwrap());
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..12 {
        let owner = verified_user(&test.db, &kit).await;
        let (db, kit, snapshot) = (test.db.clone(), kit.clone(), snapshot.clone());
        writers.spawn(async move {
            let mut keys_now = Vec::new();
            for turn in 0..6 {
                let key = make(&db, &kit, owner).await;
                match (n + turn) % 3 {
                    0 => keys::delete(&db, &kit, owner, key.id).await.unwrap(),
                    1 => keys::set_disabled(&db, &kit, owner, key.id, true).await.unwrap(),
                    _ => people::disable(&db, owner, (turn == 5).then_some(1)).await,
                }
                snapshot.refresh(&db).await.unwrap();
                keys_now.push((ApiKey::parse(key.key.reveal()).unwrap(), (n + turn) % 3));
            }
            keys_now
        });
    }
    let all = writers.join_all().await;
    let fresh = Snapshot::load(&test.db).await.unwrap();
    for (key, what) in all.into_iter().flatten() {
        assert_eq!(snapshot.get(&key), fresh.get(&key));
        assert_eq!(snapshot.get(&key).is_none(), what == 0);
        assert_eq!(snapshot.get(&key).is_some_and(|entry| entry.key_disabled), what == 1);
    }
    assert_eq!(snapshot.len(), fresh.len());
}
