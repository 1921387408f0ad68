//! What an upstream still says to clients that have gone: it is charged, and nobody waits for it without end.

use super::wild::{Step, Wild, send, stream_head, word};
use super::{INPUT, OUTPUT, ask, ask_stream, input_tokens, model, read_words};
use crate::harness::TestApp;
use axum::body::Body;
use axum::http::Request;
use farebox::catalog::ModelFields;
use farebox::channels::ChannelFields;
use farebox::demo::upstream::{Outcome, count_tokens};
use farebox::kernel::Usd;
use farebox::{ledger, router, usage};
use http_body_util::BodyExt;
use serde_json::json;
use tower::ServiceExt;

/// Longer than any test waits: whoever is waited for is waited for to the end.
const LONG: (&str, &str) = ("UPSTREAM_READ_ON_MS", "60000");

#[tokio::test]
async fn who_leaves_after_the_last_word_pays_for_what_was_thought() {
    for kind in ["openai", "anthropic"] {
        let shop = TestApp::with(&[LONG]).await;
        shop.sell("demo-chat", "1", "10").await;
        let fields = TestApp::channel_fields("upstream", &shop.upstream.base_url(), &["demo-chat"]);
        shop.channel_as(None, &ChannelFields { kind: kind.into(), ..fields }).await;
        let customer = shop.customer(Usd::dollars(1)).await;
        let question = "[[reasoning=400, tokens=5, gate=5]] Hello";
        let mut body = ask_stream("demo-chat", question);
        body["max_completion_tokens"] = json!(5_000);
        let mut answer = shop.chat(&customer.key, body).await;
        read_words(&mut answer, 5).await;
        shop.upstream.log().wait_held().await.unwrap();
        drop(answer);
        assert_eq!(shop.open_holds().await, 1, "{kind}: it is waited for");
        shop.upstream.release_gate();
        shop.settled(&customer, 1).await;
        let row = &shop.requests(customer.user.id).await[0];
        assert_eq!((row.outcome.as_str(), row.counted, row.output_tokens), ("client_gone", false, 405), "{kind}: {row:?}");
        assert_eq!(row.cost, Usd(row.input_tokens * INPUT + 405 * OUTPUT), "{kind}");
        let served = shop.upstream.log().wait_idle().await.unwrap();
        assert_eq!(served[0].outcome, Outcome::Completed, "{kind}");
        shop.finish().await;
    }
}

#[tokio::test]
async fn an_upstream_that_falls_silent_is_not_waited_for_without_end() {
    let shop = TestApp::with(&[("UPSTREAM_READ_ON_MS", "300")]).await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let question = "[[reasoning=400, stall=3, tokens=9]] Hello";
    let mut answer = shop.chat(&customer.key, ask_stream("demo-chat", question)).await;
    read_words(&mut answer, 3).await;
    drop(answer);
    shop.settled(&customer, 1).await;
    let row = &shop.requests(customer.user.id).await[0];
    let served = shop.upstream.log().wait_idle().await.unwrap();
    assert_eq!((row.outcome.as_str(), row.counted, row.output_tokens), ("client_gone", true, count_tokens(&served[0].text) as i64), "{row:?}");
    assert_eq!(served[0].outcome, Outcome::CallerLeft);
    shop.finish().await;
}

#[tokio::test]
async fn an_upstream_without_end_is_read_on_for_no_more_than_is_held() {
    let wild = Wild::start(vec![stream_head(), send(word("one two")), Step::Repeat(word(&" three".repeat(100)).into_bytes(), 1_000_000)]).await;
    let shop = TestApp::with(&[LONG]).await;
    shop.sell("demo-chat", "1", "10").await;
    shop.channel("wild", &wild.base_url, &["demo-chat"], 0).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let mut body = ask_stream("demo-chat", "Hello");
    body["max_tokens"] = json!(10_000);
    let request = Request::post("/v1/chat/completions").header("authorization", format!("Bearer {}", customer.key)).body(Body::from(body.to_string()));
    let mut answer = router::build(shop.app.clone()).oneshot(request.unwrap()).await.unwrap().into_body();
    let seen = answer.frame().await.expect("the stream goes on").unwrap().into_data().unwrap();
    let words = seen.windows(6).filter(|window| *window == b" three").count() as i64 + 2;
    drop(answer);
    shop.settled(&customer, 1).await;
    let row = &shop.requests(customer.user.id).await[0];
    assert_eq!((row.outcome.as_str(), row.counted, row.output_tokens), ("client_gone", true, words), "what was handed over: {row:?}");
    shop.until("the upstream is hung up on", || async { wild.left() == 1 }).await;
    shop.finish().await;
}

#[tokio::test]
async fn a_whole_answer_is_charged_though_nobody_waits_for_it() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let other = shop.channel("other", &shop.upstream.base_url(), &["demo-chat"], 0).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    // An answer, and an error that nobody else is asked after.
    for (rows, question, outcome, output) in
        [(1, "[[gate=0, reasoning=40, tokens=20]] Hello", "client_gone", 60), (2, "[[gate=0, error-event]] Hello", "upstream_error", 0)]
    {
        let request = shop.http.post(shop.at("/v1/chat/completions")).bearer_auth(&customer.key).json(&ask("demo-chat", question)).send();
        let pending = tokio::spawn(request);
        shop.upstream.log().wait_held().await.unwrap();
        let asked = shop.upstream.log().count();
        pending.abort();
        assert!(pending.await.is_err());
        shop.until("it is known that the client has gone", || async { shop.app.relay.tasks.len() == 1 }).await;
        shop.upstream.release_gate();
        shop.settled(&customer, rows).await;
        let row = &shop.requests(customer.user.id).await[0];
        assert_eq!((row.outcome.as_str(), row.counted, row.output_tokens), (outcome, false, output), "{row:?}");
        let cost = if output > 0 { Usd(input_tokens(question) * INPUT + output * OUTPUT) } else { Usd::ZERO };
        assert_eq!((row.cost, shop.upstream.log().count()), (cost, asked));
    }
    shop.remove(&[other]).await;
    shop.finish().await;
}

#[tokio::test]
async fn what_is_broken_off_pays_for_the_sound_that_it_brought() {
    let wild = Wild::start(vec![Step::Hang]).await;
    let mut shop = TestApp::with(&[("DRAIN_SECONDS", "0")]).await;
    shop.sell_as(ModelFields { audio_minute: "0.006".to_owned(), ..model("by-minute", "0", "0") }).await;
    shop.sell_as(ModelFields { characters: "15".to_owned(), ..model("by-letter", "0", "0") }).await;
    shop.channel("wild", &wild.base_url, &["by-minute", "by-letter"], 0).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let hear = shop.http.post(shop.at("/v1/audio/transcriptions")).header("content-type", "multipart/form-data; boundary=b");
    let hear = hear.body(super::metering::sound_form(&[("model", "by-minute")]));
    let speak = shop.http.post(shop.at("/v1/audio/speech")).json(&json!({"model": "by-letter", "input": "Hello there", "voice": "alloy"}));
    for request in [hear, speak] {
        tokio::spawn(request.bearer_auth(&customer.key).send());
    }
    shop.until("both are asked for", || async { wild.asked() == 2 }).await;
    shop.take_server().shutdown().await;
    let db = &shop.db.db;
    assert!(ledger::audit(db).await.unwrap().is_clean());
    let mut costs: Vec<Usd> = usage::recent(&mut db.read().await.unwrap(), customer.user.id, None, 9).await.unwrap().iter().map(|row| row.cost).collect();
    costs.sort();
    assert_eq!(costs, [Usd(11 * 15_000), Usd(2_000_000)]);
}
