//! Channels: sealed keys, edits that keep them, and what the relay's snapshot serves.

use crate::harness::{TestDb, kit};
use farebox::channels::{self, ChannelDraft, ChannelError, ChannelFields, Dialect, Prober, Refusal, Snapshot, Standing, Target, Verdict};
use farebox::db::Db;
use farebox::demo::upstream::{Options, Upstream};
use farebox::kernel::secrets::{AppSecret, Secret};
use farebox::kernel::{FieldError, Id, Kit, Random};
use std::sync::Arc;
use std::time::Duration;

const KEY: &str = "upstream-key-0123456789";

fn fields(name: &str, models: &str) -> ChannelFields {
    ChannelFields {
        name: name.into(),
        base_url: "https://api.example.com".into(),
        key: Secret::new(KEY.into()),
        models: models.into(),
        enabled: "on".into(),
        chat: "on".into(),
        ..ChannelFields::default()
    }
}

fn draft(fields: &ChannelFields) -> ChannelDraft {
    ChannelDraft::parse(fields, Some(&channels::Private::default())).expect("a right form")
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

/// A channel for `a` whose form is changed by `change`.
async fn save(test: &TestDb, kit: &Kit, secret: &AppSecret, change: impl FnOnce(&mut ChannelFields)) -> Id {
    let mut fields = fields("main", "a");
    change(&mut fields);
    channels::save(&test.db, kit, secret, None, &draft(&fields)).await.unwrap()
}

#[tokio::test]
async fn patterns_serve_what_they_cover() {
    let (test, kit, secret) = (TestDb::new().await, kit(), secret());
    for (name, models, priority) in [("all", "*", "-1"), ("fours", "gpt-4*\n*-mini", ""), ("one", "gpt-4o", "5"), ("off", "gpt-4*", "9")] {
        save(&test, &kit, &secret, |f| {
            (f.name, f.models, f.priority) = (name.into(), models.into(), priority.into());
            f.enabled = if name == "off" { String::new() } else { "on".into() };
        })
        .await;
    }
    let snapshot = load(&test.db, &secret, &kit).await.unwrap();
    for _ in 0..2 {
        assert_eq!(names(&snapshot, "gpt-4o"), ["one", "fours", "all"]);
        assert_eq!(names(&snapshot, "gpt-4o-mini"), ["fours", "all"], "once, though two patterns cover it");
        assert_eq!(names(&snapshot, "o3"), ["all"]);
    }
    for n in 0..3_000 {
        assert_eq!(names(&snapshot, &format!("made-up-{n}")), ["all"], "more names than are remembered");
    }
}

#[tokio::test]
async fn options_are_kept_and_what_may_be_secret_is_sealed() {
    let (test, kit, secret) = (TestDb::new().await, kit(), secret());
    let id = save(&test, &kit, &secret, |f| {
        f.key = Secret::new("first-key-0123456789\nsecond-key-987654321\n".into());
        f.models = "a\nb".into();
        f.model_mapping = "a = up-1, up-2\nb = up-1".into();
        f.extra_headers = "x-team: blue".into();
        f.proxy_url = "http://me:hush@127.0.0.1:9".into();
        f.responses = "on".into();
        f.costs = "up-1 2.5 10".into();
        f.body_overrides = "{\"store\":false}".into();
    })
    .await;
    let row: (String, String, String) =
        sqlx::query_as("SELECT credential, private, options FROM channel").fetch_one(&mut *test.db.read().await.unwrap()).await.unwrap();
    let stored = format!("{row:?}");
    assert!(!stored.contains("blue") && !stored.contains("hush") && !stored.contains("first-key"), "{stored}");
    let snapshot = load(&test.db, &secret, &kit).await.unwrap();
    let channel = &snapshot.candidates("a")[0];
    assert_eq!(channel.keys.iter().map(|key| key.secret.reveal().as_str()).collect::<Vec<_>>(), ["first-key-0123456789", "second-key-987654321"]);
    assert!(channel.speaks.contains(Dialect::Responses) && !channel.speaks.contains(Dialect::Messages));
    assert_eq!((channel.upstream_model("a", 0), channel.upstream_model("a", u64::MAX), channel.upstream_model("b", u64::MAX)), ("up-1", "up-2", "up-1"));
    assert_eq!(channel.cost("up-1").unwrap().prices().input, farebox::kernel::Price(2_500_000_000));
    let endpoint = channel.endpoint(&channel.keys[1], Target::Chat(Dialect::Responses), "up-1", true).unwrap();
    assert_eq!((endpoint.headers["authorization"].to_str().unwrap(), endpoint.headers["x-team"].to_str().unwrap()), ("Bearer second-key-987654321", "blue"));
    assert!(endpoint.headers.values().all(|value| value.is_sensitive()));
    assert!(channel.endpoint(&channel.keys[0], Target::Chat(Dialect::Gemini), "up-1", true).is_none());

    let view = channels::find(&mut test.db.read().await.unwrap(), &secret, id).await.unwrap().unwrap();
    let texts = view.option_texts();
    let again = ChannelFields::from_lookup(|name| match name {
        "name" => "main".into(),
        "base_url" => view.base_url.clone(),
        "models" => "a\nb".into(),
        "enabled" => "on".into(),
        name => texts.iter().find(|(known, _)| *known == name).map(|(_, text)| text.clone()).unwrap_or_default(),
    });
    let unchanged = ChannelDraft::parse(&again, Some(&view.options.private)).unwrap();
    channels::save(&test.db, &kit, &secret, Some(id), &unchanged).await.unwrap();
    snapshot.refresh(&test.db).await.unwrap();
    let after = &snapshot.candidates("a")[0];
    assert_eq!((&after.options, after.keys.len()), (&channel.options, 2), "an edit that changes nothing changes nothing");
    channels::delete(&test.db, &kit, id).await.unwrap();
    let left: String = sqlx::query_scalar("SELECT private FROM channel").fetch_one(&mut *test.db.read().await.unwrap()).await.unwrap();
    assert_eq!(left, "");
}

/// Kind, the box for Messages, what is asked in, and the address and the headers that come of it.
type Case = (&'static str, &'static str, Dialect, &'static str, &'static [(&'static str, &'static str)]);

#[tokio::test]
async fn each_kind_is_called_in_its_own_way() {
    let (test, kit, secret) = (TestDb::new().await, kit(), secret());
    let cases: [Case; 5] = [
        ("openai", "", Dialect::Chat, "https://api.example.com/v1/chat/completions", &[("authorization", "Bearer")]),
        (
            "openai",
            "on",
            Dialect::Messages,
            "https://api.example.com/v1/messages",
            &[("authorization", "Bearer"), ("x-api-key", ""), ("anthropic-version", "2023-06-01")],
        ),
        ("anthropic", "", Dialect::Messages, "https://api.example.com/v1/messages", &[("x-api-key", ""), ("anthropic-version", "2023-06-01")]),
        ("gemini", "", Dialect::Gemini, "https://api.example.com/v1beta/models/m:streamGenerateContent?alt=sse", &[("x-goog-api-key", "")]),
        ("azure-openai", "", Dialect::Responses, "https://api.example.com/openai/v1/responses", &[("api-key", "")]),
    ];
    for (n, (kind, messages, dialect, url, headers)) in cases.into_iter().enumerate() {
        let id = save(&test, &kit, &secret, |f| {
            (f.name, f.kind, f.messages) = (format!("{kind} {n}"), kind.into(), messages.into());
            f.responses = "on".into();
        })
        .await;
        let channel = load(&test.db, &secret, &kit).await.unwrap().find(id).unwrap();
        let endpoint = channel.endpoint(&channel.keys[0], Target::Chat(dialect), "m", true).unwrap();
        assert_eq!(endpoint.url.as_str(), url);
        assert_eq!(endpoint.headers.len(), headers.len(), "{:?}", endpoint.headers.keys());
        for (name, value) in headers {
            let expected = match *value {
                "" => KEY.to_owned(),
                "Bearer" => format!("Bearer {KEY}"),
                value => value.to_owned(),
            };
            assert_eq!(endpoint.headers[*name], expected, "{kind}: {name}");
        }
    }
}

#[tokio::test]
async fn health_survives_a_refresh_and_clients_are_shared() {
    let (test, kit, secret) = (TestDb::new().await, kit(), secret());
    let id = save(&test, &kit, &secret, |_| ()).await;
    let snapshot = load(&test.db, &secret, &kit).await.unwrap();
    let before = snapshot.find(id).unwrap();
    for _ in 0..3 {
        before.permit("a", None, &[]).unwrap().report(Verdict::Connect, None);
    }
    let running = snapshot.find(id).unwrap();
    save(&test, &kit, &secret, |f| f.name = "other".into()).await;
    snapshot.refresh(&test.db).await.unwrap();
    let after = snapshot.find(id).unwrap();
    assert!(matches!(after.permit("a", None, &[]), Err(Refusal::Open(_))), "and the time until it may be asked again");
    assert!(matches!(running.permit("a", None, &[]), Err(Refusal::Open(_))));
    let edit = ChannelFields { base_url: "https://elsewhere.example.com".into(), ..fields("main", "a") };
    channels::save(&test.db, &kit, &secret, Some(id), &draft(&edit)).await.unwrap();
    snapshot.refresh(&test.db).await.unwrap();
    assert!(snapshot.find(id).unwrap().permit("a", None, &[]).is_ok(), "what is pointed elsewhere begins anew");
    assert!(snapshot.all().iter().all(|channel| channel.health().view().in_flight == 0));
}

#[tokio::test]
async fn a_probe_brings_a_channel_back_and_a_failed_one_does_not() {
    let (test, kit, secret) = (TestDb::new().await, kit(), secret());
    let upstream = Upstream::start(Options { key: Some(KEY.to_owned()), ..Options::default() }).await.unwrap();
    let kinds = ["openai", "anthropic", "gemini", "azure-openai"];
    for kind in kinds {
        save(&test, &kit, &secret, |f| {
            (f.name, f.kind, f.base_url) = (kind.into(), kind.into(), upstream.base_url());
            (f.probe_model, f.probe_interval) = ("demo-mini".into(), "1".into());
        })
        .await;
    }
    let snapshot = Arc::new(load(&test.db, &secret, &kit).await.unwrap());
    let prober = Prober::new(Arc::clone(&snapshot));
    assert_eq!(prober.probe_due().await, 0, "what works is left alone");
    for channel in &*snapshot.all() {
        (0..3).for_each(|_| channel.permit("a", None, &[]).unwrap().report(Verdict::Connect, None));
    }
    assert_eq!(prober.probe_due().await, 0, "not before the interval");
    let standings = || snapshot.all().iter().map(|channel| channel.health().view().standing).collect::<Vec<_>>();
    for (misbehaviour, standing) in [("500", Standing::Open), ("html", Standing::Open), ("hang-up", Standing::Open), ("", Standing::Degraded)] {
        upstream.behave(misbehaviour).unwrap();
        kit.clock.advance(1_000);
        assert_eq!(prober.probe_due().await, kinds.len());
        assert_eq!(standings(), [standing; 4], "{misbehaviour}");
    }
    assert_eq!(prober.probe_due().await, 0, "in use again, if with a bad memory");
    let asked = upstream.log().requests();
    assert_eq!(asked.len(), 4 * kinds.len());
    assert!(asked.iter().all(|served| served.model() == "demo-mini" && served.raw.len() < 200), "{asked:#?}");
    upstream.stop().await;
}

/// A client of a channel asks nobody whom an answer points to: the key would go there.
#[tokio::test]
async fn redirects_are_not_followed() {
    let (test, kit, secret) = (TestDb::new().await, kit(), secret());
    let upstream = Upstream::start(Options::default()).await.unwrap();
    upstream.behave("redirect").unwrap();
    let id = save(&test, &kit, &secret, |f| f.base_url = upstream.base_url()).await;
    let channel = load(&test.db, &secret, &kit).await.unwrap().find(id).unwrap();
    let endpoint = channel.endpoint(&channel.keys[0], Target::Chat(Dialect::Chat), "demo-mini", false).unwrap();
    let body = r#"{"model":"demo-mini","messages":[{"role":"user","content":"Hi"}]}"#;
    let answer = channel.client().post(endpoint.url.into_owned()).headers(endpoint.headers.clone()).body(body).send().await.unwrap();
    assert_eq!((answer.status(), upstream.log().count()), (reqwest::StatusCode::FOUND, 1));
    upstream.stop().await;
}

/// The table of the first release, from its migration.
fn first_table() -> &'static str {
    let text = include_str!("../../migrations/0001_foundation.sql");
    let start = text.find("CREATE TABLE channel (").unwrap();
    let end = start + text[start..].find("-- One row per relayed request").unwrap();
    &text[start..end]
}

#[tokio::test]
async fn channels_of_the_first_release_are_kept() {
    let (test, kit, secret) = (TestDb::new().await, kit(), secret());
    let sealed = secret.seal(&kit.random, "channel-credential", &Id(77).to_string(), KEY);
    let mut tx = test.db.write().await.unwrap();
    for sql in ["DROP TABLE channel", first_table()] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
    }
    let insert = "INSERT INTO channel (id, name, kind, base_url, credential, models, priority, weight, enabled, created_at, updated_at, deleted_at) \
                  VALUES ($1, $2, 'openai', 'https://api.example.com/v1', $3, $4, 3, 4, 1, 5, 6, $5)";
    for (id, sealed, deleted_at) in [(77, sealed.as_str(), None), (78, "", Some(9_i64))] {
        sqlx::query(insert).bind(id).bind("old").bind(sealed).bind("a\nb").bind(deleted_at).execute(&mut *tx).await.unwrap();
    }
    sqlx::raw_sql(include_str!("../../migrations/0004_channels.sql")).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let channel = load(&test.db, &secret, &kit).await.unwrap().find(Id(77)).unwrap();
    assert_eq!((channel.priority, channel.weight, channel.keys[0].secret.reveal().as_str()), (3, 4, KEY));
    let view = channels::find(&mut test.db.read().await.unwrap(), &secret, Id(77)).await.unwrap().unwrap();
    assert_eq!((view.created_at, view.updated_at, view.models.len(), view.kind), (5, 6, 2, channels::Kind::OpenAi));
    let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM channel").fetch_one(&mut *test.db.read().await.unwrap()).await.unwrap();
    assert_eq!(rows, 2, "deleted ones stay on record");
    let twice = channels::save(&test.db, &kit, &secret, None, &draft(&fields("old", "a"))).await;
    assert!(matches!(twice, Err(ChannelError::Invalid(_))), "the index on names is there again");
}
