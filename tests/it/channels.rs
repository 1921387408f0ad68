//! Channels: sealed keys, edits that keep them, and what the relay's snapshot serves.

use crate::harness::{TestDb, kit};
use farebox::channels::{self, ChannelDraft, ChannelError, ChannelFields, Dialect, Snapshot, Target};
use farebox::db::Db;
use farebox::kernel::secrets::{AppSecret, Secret};
use farebox::kernel::{FieldError, Id, Kit, Random};
use std::time::Duration;

const KEY: &str = "upstream-key-0123456789";

fn fields(name: &str, models: &str) -> ChannelFields {
    ChannelFields {
        name: name.into(),
        base_url: "https://api.example.com".into(),
        key: Secret::new(KEY.into()),
        models: models.into(),
        enabled: "on".into(),
        ..ChannelFields::default()
    }
}

fn draft(fields: &ChannelFields) -> ChannelDraft {
    ChannelDraft::parse(fields, true).expect("a right form")
}

fn secret() -> AppSecret {
    AppSecret::generate(&Random::seeded(9))
}

async fn load(db: &Db, secret: &AppSecret, kit: &Kit) -> Result<Snapshot, sqlx::Error> {
    Snapshot::load(db, secret, kit, Duration::from_secs(5)).await
}

fn names(snapshot: &Snapshot, model: &str) -> Vec<String> {
    snapshot.candidates(model).iter().map(|channel| channel.name.clone()).collect()
}

#[tokio::test]
async fn a_key_is_sealed_kept_and_never_shown() {
    let (test, kit, secret) = (TestDb::new().await, kit(), secret());
    let id = channels::save(&test.db, &kit, &secret, None, &draft(&fields("main", "a"))).await.unwrap();
    let stored: String = sqlx::query_scalar("SELECT credential FROM channel").fetch_one(&mut *test.db.read().await.unwrap()).await.unwrap();
    assert!(stored.starts_with("v1.") && !stored.contains(KEY));
    let view = channels::find(&mut test.db.read().await.unwrap(), &secret, id).await.unwrap().unwrap();
    assert_eq!((view.base_url.as_str(), view.key_tails[0].as_deref(), view.broken), ("https://api.example.com/v1", Some("6789"), false));
    assert!(!format!("{view:?}").contains(KEY));

    let edit = ChannelFields { key: Secret::default(), weight: "7".into(), ..fields("renamed", "a\nb") };
    channels::save(&test.db, &kit, &secret, Some(id), &draft(&edit)).await.unwrap();
    let snapshot = load(&test.db, &secret, &kit).await.unwrap();
    let [channel] = &*snapshot.candidates("b") else { panic!("one channel") };
    assert_eq!((channel.id, channel.name.as_str(), channel.weight, channel.keys[0].secret.reveal().as_str()), (id, "renamed", 7, KEY));
    let endpoint = channel.endpoint(&channel.keys[0], Target::Chat(Dialect::Chat), "b", false).unwrap();
    assert_eq!(endpoint.url.as_str(), "https://api.example.com/v1/chat/completions");
    assert_eq!(endpoint.headers["authorization"], format!("Bearer {KEY}"));
    assert!(!format!("{endpoint:?}").contains(KEY));
    assert!(!format!("{channel:?}").contains(KEY));

    let edit = ChannelFields { key: Secret::new("another-key".into()), ..fields("renamed", "a") };
    channels::save(&test.db, &kit, &secret, Some(id), &draft(&edit)).await.unwrap();
    snapshot.refresh(&test.db).await.unwrap();
    assert_eq!(snapshot.candidates("a")[0].keys[0].secret.reveal(), "another-key");
    let view = channels::find(&mut test.db.read().await.unwrap(), &secret, id).await.unwrap().unwrap();
    assert_eq!(view.key_tails, [None], "a short key shows nothing");
}

#[tokio::test]
async fn a_new_channel_needs_a_key_and_a_free_name() {
    let (test, kit, secret) = (TestDb::new().await, kit(), secret());
    let keyless = ChannelFields { key: Secret::default(), ..fields("main", "a") };
    let outcome = channels::save(&test.db, &kit, &secret, None, &draft(&keyless)).await;
    assert!(matches!(outcome, Err(ChannelError::Invalid(m)) if m == [FieldError::new("key", "field.required")]));
    let id = channels::save(&test.db, &kit, &secret, None, &draft(&fields("main", "a"))).await.unwrap();
    let outcome = channels::save(&test.db, &kit, &secret, None, &draft(&fields("main", "a"))).await;
    assert!(matches!(outcome, Err(ChannelError::Invalid(m)) if m == [FieldError::new("name", "channels.error.name_taken")]));
    channels::delete(&test.db, &kit, id).await.unwrap();
    let left: String = sqlx::query_scalar("SELECT credential FROM channel").fetch_one(&mut *test.db.read().await.unwrap()).await.unwrap();
    assert_eq!(left, "", "the key goes with the channel");
    for id in [id, Id(404)] {
        assert!(matches!(channels::delete(&test.db, &kit, id).await, Err(ChannelError::NotFound)));
        assert!(matches!(channels::save(&test.db, &kit, &secret, Some(id), &draft(&fields("x", "a"))).await, Err(ChannelError::NotFound)));
    }
    channels::save(&test.db, &kit, &secret, None, &draft(&fields("main", "a"))).await.unwrap();
}

#[tokio::test]
async fn the_snapshot_serves_enabled_channels_highest_priority_first() {
    let (test, kit, secret) = (TestDb::new().await, kit(), secret());
    let snapshot = load(&test.db, &secret, &kit).await.unwrap();
    for (name, models, priority, enabled) in
        [("low", "a\nb", "-5", "on"), ("first", "a", "10", "on"), ("second", "a\nc", "10", "on"), ("off", "a", "99", ""), ("default", "a", "", "on")]
    {
        let fields = ChannelFields { priority: priority.into(), enabled: enabled.into(), ..fields(name, models) };
        channels::save(&test.db, &kit, &secret, None, &draft(&fields)).await.unwrap();
    }
    assert!(snapshot.candidates("a").is_empty());
    snapshot.refresh(&test.db).await.unwrap();
    assert_eq!(names(&snapshot, "a"), ["first", "second", "default", "low"]);
    assert_eq!(names(&snapshot, "b"), ["low"]);
    assert_eq!(names(&snapshot, "c"), ["second"]);
    assert!(snapshot.candidates("A").is_empty() && snapshot.candidates("").is_empty());
    assert_eq!(snapshot.revision(), 5);
    let listed = channels::list(&mut test.db.read().await.unwrap(), &secret).await.unwrap();
    assert_eq!(listed.iter().map(|view| view.name.as_str()).collect::<Vec<_>>(), ["off", "first", "second", "default", "low"]);
}

#[tokio::test]
async fn a_changed_app_secret_breaks_the_channel_and_not_the_shop() {
    let (test, kit, secret) = (TestDb::new().await, kit(), secret());
    let changed = AppSecret::generate(&Random::seeded(10));
    let old = channels::save(&test.db, &kit, &secret, None, &draft(&fields("old", "a"))).await.unwrap();
    channels::save(&test.db, &kit, &changed, None, &draft(&fields("new", "a"))).await.unwrap();
    let snapshot = load(&test.db, &changed, &kit).await.unwrap();
    assert_eq!(names(&snapshot, "a"), ["new"]);
    let view = channels::find(&mut test.db.read().await.unwrap(), &changed, old).await.unwrap().unwrap();
    assert!(view.broken && view.key_tails.is_empty());
    channels::save(&test.db, &kit, &changed, Some(old), &draft(&fields("old", "a"))).await.unwrap();
    snapshot.refresh(&test.db).await.unwrap();
    assert_eq!(names(&snapshot, "a"), ["old", "new"], "typing the key again repairs it");
}

#[tokio::test]
async fn a_key_moved_to_another_row_does_not_open() {
    let (test, kit, secret) = (TestDb::new().await, kit(), secret());
    channels::save(&test.db, &kit, &secret, None, &draft(&fields("one", "a"))).await.unwrap();
    let thief = channels::save(&test.db, &kit, &secret, None, &draft(&fields("two", "b"))).await.unwrap();
    let mut tx = test.db.write().await.unwrap();
    let moved = "UPDATE channel SET credential = (SELECT credential FROM channel WHERE name = 'one') WHERE id = $1";
    sqlx::query(moved).bind(thief.0).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let snapshot = load(&test.db, &secret, &kit).await.unwrap();
    assert!(snapshot.candidates("b").is_empty());
    assert_eq!(names(&snapshot, "a"), ["one"]);
}
