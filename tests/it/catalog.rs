//! Models and prices: what is saved, what it costs when, and what the relay's snapshot sees.

use crate::harness::{START_MS, TestDb, kit};
use farebox::catalog::{self, CatalogError, ModelDraft, ModelFields, Snapshot};
use farebox::kernel::{FieldError, Id, Price, Prices};

fn draft(name: &str, input: &str, output: &str) -> ModelDraft {
    let [name, enabled, input, output, cache_write] = [name, "on", input, output, input].map(str::to_owned);
    let fields = ModelFields { name, enabled, input, output, cache_write, ..ModelFields::default() };
    ModelDraft::parse(&fields).expect("a right form")
}

fn flat(dollars: i64) -> Prices {
    let price = Price(dollars * 1_000_000_000);
    Prices { input: price, output: price, cached_input: price, cache_write: price, ..Prices::default() }
}

async fn price_rows(test: &TestDb) -> i64 {
    sqlx::query_scalar("SELECT COUNT(*) FROM price").fetch_one(&mut *test.db.read().await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn prices_are_appended_only_when_they_change() {
    let (test, kit) = (TestDb::new().await, kit());
    let id = catalog::save(&test.db, &kit, None, &draft("m", "1", "1")).await.unwrap();
    kit.clock.advance(1000);
    catalog::save(&test.db, &kit, Some(id), &draft("m-renamed", "1.0", "1.00")).await.unwrap();
    assert_eq!(price_rows(&test).await, 1, "the same price in other words is no change");
    catalog::save(&test.db, &kit, Some(id), &draft("m-renamed", "2", "2")).await.unwrap();
    catalog::save(&test.db, &kit, Some(id), &draft("m-renamed", "3", "3")).await.unwrap();
    assert_eq!(price_rows(&test).await, 3);
    let model = catalog::find(&mut test.db.read().await.unwrap(), id, kit.clock.now_ms()).await.unwrap().unwrap();
    assert_eq!((model.name.as_str(), model.prices_at(kit.clock.now_ms())), ("m-renamed", Some(flat(3))), "of two in one millisecond the later");
    catalog::save(&test.db, &kit, Some(id), &draft("m-renamed", "", "")).await.unwrap();
    catalog::save(&test.db, &kit, Some(id), &draft("m-renamed", "", "")).await.unwrap();
    assert_eq!(price_rows(&test).await, 4);
    let model = catalog::find(&mut test.db.read().await.unwrap(), id, kit.clock.now_ms()).await.unwrap().unwrap();
    assert_eq!(model.prices_at(kit.clock.now_ms()), None, "emptied prices take the price away");
}

#[tokio::test]
async fn names_are_unique_and_free_again_after_a_delete() {
    let (test, kit) = (TestDb::new().await, kit());
    let first = catalog::save(&test.db, &kit, None, &draft("gpt-4o", "1", "1")).await.unwrap();
    let second = catalog::save(&test.db, &kit, None, &draft("other", "1", "1")).await.unwrap();
    let taken = [FieldError::new("name", "catalog.error.name_taken")];
    for id in [None, Some(second)] {
        assert!(matches!(catalog::save(&test.db, &kit, id, &draft("gpt-4o", "1", "1")).await, Err(CatalogError::Invalid(m)) if m == taken));
    }
    catalog::delete(&test.db, &kit, first).await.unwrap();
    assert!(matches!(catalog::delete(&test.db, &kit, first).await, Err(CatalogError::NotFound)));
    assert!(matches!(catalog::save(&test.db, &kit, Some(first), &draft("back", "1", "1")).await, Err(CatalogError::NotFound)));
    assert!(matches!(catalog::announce(&test.db, &kit, Id(404), 1, None).await, Err(CatalogError::NotFound)));
    let again = catalog::save(&test.db, &kit, None, &draft("gpt-4o", "9", "9")).await.unwrap();
    assert_ne!(again, first);
    let names: Vec<String> = catalog::list(&mut test.db.read().await.unwrap(), START_MS).await.unwrap().into_iter().map(|m| m.name).collect();
    assert_eq!(names, ["gpt-4o", "other"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_admins_cannot_make_one_name_twice() {
    let (test, kit) = (TestDb::new().await, kit());
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (db, kit) = (test.db.clone(), kit.clone());
        racers.spawn(async move { catalog::save(&db, &kit, None, &draft("gpt-4o", "1", "1")).await });
    }
    let outcomes = racers.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(CatalogError::Invalid(_)))));
    assert_eq!(price_rows(&test).await, 1);
}

#[tokio::test]
async fn the_snapshot_follows_and_knows_what_is_callable() {
    let (test, kit) = (TestDb::new().await, kit());
    let snapshot = Snapshot::load(&test.db, &kit.clock).await.unwrap();
    let priced = catalog::save(&test.db, &kit, None, &draft("Zeta", "1", "2")).await.unwrap();
    catalog::save(&test.db, &kit, None, &draft("alpha", "", "")).await.unwrap();
    let off = ModelFields { name: "off".into(), input: "1".into(), output: "1".into(), max_output_tokens: "4096".into(), ..ModelFields::default() };
    catalog::save(&test.db, &kit, None, &ModelDraft::parse(&off).unwrap()).await.unwrap();
    assert!(snapshot.get("Zeta").is_none(), "not before it is refreshed");
    snapshot.refresh(&test.db).await.unwrap();
    assert_eq!(snapshot.revision(), 3);
    let now = kit.clock.now_ms();
    let callable: Vec<(String, bool)> = snapshot.iter().map(|m| (m.name.clone(), m.is_callable(now))).collect();
    assert_eq!(callable, [("Zeta".into(), true), ("alpha".into(), false), ("off".into(), false)]);
    let model = snapshot.get("Zeta").unwrap();
    assert_eq!((model.id, model.max_output_tokens), (priced, None));
    assert_eq!(model.prices_at(now).unwrap().cache_write, Price(1_000_000_000));
    assert_eq!(snapshot.get("off").unwrap().max_output_tokens, Some(4096));
    assert!(snapshot.get("zeta").is_none(), "names are exact");
    catalog::delete(&test.db, &kit, priced).await.unwrap();
    snapshot.refresh(&test.db).await.unwrap();
    assert!(snapshot.get("Zeta").is_none());
}

#[tokio::test]
async fn announced_prices_take_effect_when_their_time_comes_without_a_refresh() {
    let (test, kit) = (TestDb::new().await, kit());
    let id = catalog::save(&test.db, &kit, None, &draft("m", "1", "1")).await.unwrap();
    catalog::announce(&test.db, &kit, id, START_MS + 100, Some(flat(2))).await.unwrap();
    catalog::announce(&test.db, &kit, id, START_MS + 200, None).await.unwrap();
    kit.clock.advance(50);
    let snapshot = Snapshot::load(&test.db, &kit.clock).await.unwrap();
    let model = snapshot.get("m").unwrap();
    assert_eq!([50, 99, 100, 199, 200].map(|ms| model.prices_at(START_MS + ms)), [Some(flat(1)), Some(flat(1)), Some(flat(2)), Some(flat(2)), None]);
    assert_eq!(model.upcoming(START_MS + 50).count(), 2);
    catalog::save(&test.db, &kit, Some(id), &draft("m", "5", "5")).await.unwrap();
    kit.clock.advance(60);
    snapshot.refresh(&test.db).await.unwrap();
    assert_eq!(snapshot.get("m").unwrap().prices_at(kit.clock.now_ms()), Some(flat(2)), "an edit does not undo what was announced");
}

#[tokio::test]
async fn every_field_of_the_form_is_kept_and_old_rows_keep_their_meaning() {
    let (test, kit) = (TestDb::new().await, kit());
    let fields = ModelFields {
        cache_write_1h: "6".into(),
        audio_minute: "0.006".into(),
        request: "0.000000001".into(),
        tier1_above: "200000".into(),
        tier1_input: "6".into(),
        tier1_output: "22.5".into(),
        context_length: "1000000".into(),
        cache_ttl: "60".into(),
        cache_when: "always".into(),
        cache_factor: "0.1".into(),
        cache_shared: "on".into(),
        ..ModelFields { name: "m".into(), enabled: "on".into(), input: "3".into(), output: "15".into(), ..ModelFields::default() }
    };
    let all = ModelDraft::parse(&fields).unwrap();
    let id = catalog::save(&test.db, &kit, None, &all).await.unwrap();
    let read = || async { catalog::find(&mut test.db.read().await.unwrap(), id, kit.clock.now_ms()).await.unwrap().unwrap() };
    let model = read().await;
    assert_eq!(ModelDraft::parse(&ModelFields::of(&model, kit.clock.now_ms())), Ok(all.clone()));
    let (price, prices) = model.price_at(kit.clock.now_ms()).unwrap();
    assert_eq!(prices.rare.as_ref().and_then(|rare| rare.request), Some(Price(1)));
    catalog::save(&test.db, &kit, Some(id), &all).await.unwrap();
    assert_eq!((price_rows(&test).await, read().await.price_at(kit.clock.now_ms()).unwrap().0), (1, price), "the same prices are no change");

    let plain = ModelFields { name: "m".into(), input: "3".into(), output: "15".into(), ..ModelFields::default() };
    catalog::save(&test.db, &kit, Some(id), &ModelDraft::parse(&plain).unwrap()).await.unwrap();
    let model = read().await;
    assert_eq!((model.context_length, model.caching, price_rows(&test).await), (None, None, 2));
    assert!(model.prices_at(kit.clock.now_ms()).is_some_and(|prices| prices.rare.is_none()), "a row without them has none");
    assert_eq!(model.prices_at(kit.clock.now_ms()).unwrap(), Prices { output: Price(15_000_000_000), cache_write: Price(3_750_000_000), ..flat(3) });
}

#[tokio::test]
async fn a_price_that_cannot_be_read_is_no_price() {
    let (test, kit) = (TestDb::new().await, kit());
    let id = catalog::save(&test.db, &kit, None, &draft("m", "1", "1")).await.unwrap();
    let other = catalog::save(&test.db, &kit, None, &draft("other", "1", "1")).await.unwrap();
    let mut tx = test.db.write().await.unwrap();
    let broken = sqlx::query("UPDATE price SET rare = '{\"per_moon\":\"1\"}' WHERE model_id = $1").bind(id.0);
    broken.execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let models = catalog::list(&mut test.db.read().await.unwrap(), kit.clock.now_ms()).await.unwrap();
    let callable: Vec<(Id, bool)> = models.iter().map(|model| (model.id, model.is_callable(kit.clock.now_ms()))).collect();
    assert_eq!(callable, [(id, false), (other, true)]);
}
