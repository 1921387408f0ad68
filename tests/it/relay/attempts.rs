//! How long a request looks for an answer, at whom, and what is kept of the search.

use super::health::beside_a_steady_one;
use super::wild::{Step, Wild, head, send, stream_head};
use super::{ask, ask_stream, error_of, read_words};
use crate::harness::TestApp;
use crate::harness::app::Customer;
use farebox::channels::{self, ChannelFields};
use farebox::demo::upstream::{Options, Upstream};
use farebox::kernel::Usd;
use farebox::kernel::secrets::Secret;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Asks without waiting for the answer.
fn begin(shop: &TestApp, customer: &Customer, body: &Value) -> JoinHandle<reqwest::Result<reqwest::Response>> {
    tokio::spawn(shop.http.post(shop.at("/v1/chat/completions")).bearer_auth(&customer.key).json(body).send())
}

/// The explanation in the customer's only row.
async fn explained(shop: &TestApp, customer: &Customer) -> Value {
    shop.settled(customer, 1).await;
    let mut conn = shop.db.db.read().await.unwrap();
    let route: Option<String> =
        sqlx::query_scalar("SELECT route FROM request WHERE user_id = $1").bind(customer.user.id.0).fetch_one(&mut *conn).await.unwrap();
    serde_json::from_str(&route.expect("an explanation")).unwrap()
}

#[tokio::test]
async fn a_channel_that_is_switched_off_while_another_is_asked_gets_nothing() {
    let (shop, first, _) = beside_a_steady_one().await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let pending = begin(&shop, &customer, &ask("demo-mini", "[[gate=0]] Hello"));
    first.log().wait_held().await.unwrap();
    let steady = shop.app.channels.all()[1].id;
    let fields = ChannelFields { enabled: String::new(), ..TestApp::channel_fields("steady", &shop.upstream.base_url(), &["demo-mini"]) };
    shop.channel_as(Some(steady), &fields).await;
    first.stop().await;
    assert_eq!(error_of(pending.await.unwrap().unwrap()).await.0, 502);
    assert_eq!(shop.upstream.log().count(), 0);
    let route = explained(&shop, &customer).await;
    assert_eq!((&route["a"][0]["r"], &route["s"]), (&json!("broken"), &json!([[steady, "disabled"]])));
    shop.finish().await;
}

#[tokio::test]
async fn no_more_channels_are_asked_than_the_setting_says() {
    let shop = TestApp::with(&[("UPSTREAM_ATTEMPTS", "2")]).await;
    shop.sell("demo-mini", "1", "10").await;
    let bad = [Upstream::start(Options::default()).await.unwrap(), Upstream::start(Options::default()).await.unwrap()];
    for (n, upstream) in bad.iter().enumerate() {
        upstream.behave("500").unwrap();
        shop.channel(&format!("bad {n}"), &upstream.base_url(), &["demo-mini"], 5).await;
    }
    shop.channel("good", &shop.upstream.base_url(), &["demo-mini"], 0).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    assert_eq!(error_of(shop.chat(&customer.key, ask("demo-mini", "Hello")).await).await.0, 502);
    assert_eq!((bad[0].log().count(), bad[1].log().count(), shop.upstream.log().count()), (1, 1, 0));
    shop.finish().await;
}

#[tokio::test]
async fn the_keys_of_one_channel_do_not_use_up_the_attempts() {
    let (shop, limited, id) = beside_a_steady_one().await;
    let fields = TestApp::channel_fields("first", &limited.base_url(), &["demo-mini"]);
    let keys = Secret::new("a-key\nb-key\nc-key\nd-key\ne-key\nf-key".into());
    shop.channel_as(Some(id), &ChannelFields { key: keys, priority: "5".into(), ..fields }).await;
    limited.behave("429, no-retry-after").unwrap();
    let customer = shop.customer(Usd::dollars(1)).await;
    assert_eq!(shop.chat(&customer.key, ask("demo-mini", "Hello")).await.status(), 200);
    assert_eq!((limited.log().count(), shop.upstream.log().count()), (2, 1), "a second key, then the next channel");
    shop.finish().await;
    limited.stop().await;
}

/// The settings say that an upstream may be silent for a minute, and all of them together for much less.
#[tokio::test]
async fn the_time_for_all_attempts_ends_each_of_them() {
    let shop = TestApp::with(&[("UPSTREAM_TOTAL_TIMEOUT_MS", "300"), ("UPSTREAM_FIRST_BYTE_TIMEOUT_MS", "60000")]).await;
    let cases = [
        ("nothing", vec![Step::Hang], false),
        ("a head and nothing", vec![stream_head(), Step::Hang], true),
        ("an answer's head", vec![head("200 OK", "application/json"), Step::Hang], false),
        ("an error's head", vec![head("429 Too Many Requests", "application/json"), Step::Hang], false),
        ("a refusal's head", vec![head("400 Bad Request", "application/json"), Step::Hang], false),
    ];
    for (n, (what, steps, streamed)) in cases.into_iter().enumerate() {
        let model = format!("demo-{n}");
        let wild = Wild::start(steps).await;
        shop.sell(&model, "1", "10").await;
        let slow = shop.channel(&format!("slow {n}"), &wild.base_url, &[&model], 5).await;
        let customer = shop.customer(Usd::dollars(1)).await;
        let began = Instant::now();
        let answer = shop.chat(&customer.key, if streamed { ask_stream(&model, "Hello") } else { ask(&model, "Hello") }).await;
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        assert!(matches!(answer.status().as_u16(), 400 | 502 | 504), "{what}: {}", answer.status());
        shop.until("the upstream is left alone", || async { wild.left() == 1 }).await;
        let view = shop.app.channels.find(slow).unwrap().health().view();
        assert!(view.models_out.is_empty() && view.in_flight == 0, "{what}");
        shop.settled(&customer, 1).await;
    }
    shop.finish().await;
}

#[tokio::test]
async fn a_stream_that_flows_is_not_ended_by_the_time_for_all_attempts() {
    let shop = TestApp::with(&[("UPSTREAM_TOTAL_TIMEOUT_MS", "300")]).await;
    shop.stock(&["demo-mini"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let mut stream = shop.chat(&customer.key, ask_stream("demo-mini", "[[gate=3, tokens=9]] Hello")).await;
    read_words(&mut stream, 3).await;
    let stalled = shop.chat(&customer.key, ask("demo-mini", "[[stall]] Hello")).await;
    assert_eq!(stalled.status(), 504, "so much time has passed");
    shop.upstream.release_gate();
    assert!(stream.text().await.unwrap().contains("[DONE]"));
    shop.settled(&customer, 2).await;
    shop.finish().await;
}

/// As the upstream wants to be paid for it.
#[tokio::test]
async fn an_answer_that_flows_is_not_ended_by_the_time_for_all_attempts_but_by_a_pause() {
    let shop = TestApp::with(&[("UPSTREAM_TOTAL_TIMEOUT_MS", "300"), ("UPSTREAM_IDLE_TIMEOUT_MS", "1000")]).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
    let answer = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Late."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}});
    let pieces = answer.to_string();
    let pieces: Vec<&str> = pieces.split_inclusive(',').collect();
    let drips = pieces.iter().flat_map(|piece| [Step::Wait(Duration::from_millis(100)), send(*piece)]);
    let steps = [("flows", [send(head)].into_iter().chain(drips).collect::<Vec<_>>(), 200), ("stops", vec![send(head), send("{\"choices\""), Step::Hang], 504)];
    for (model, steps, status) in steps {
        let wild = Wild::start(steps).await;
        shop.sell(model, "1", "10").await;
        shop.channel(model, &wild.base_url, &[model], 0).await;
        let customer = shop.customer(Usd::dollars(1)).await;
        let answer = shop.chat(&customer.key, ask(model, "Hello")).await;
        assert_eq!(answer.status(), status, "{model}: {}", answer.text().await.unwrap());
        shop.settled(&customer, 1).await;
        let row = &shop.requests(customer.user.id).await[0];
        assert!(row.duration_ms >= 300, "{row:?}");
        assert_eq!(row.cost, if status == 200 { Usd(9 * 1_000 + 2 * 10_000) } else { Usd::ZERO }, "{model}");
    }
    shop.finish().await;
}

#[tokio::test]
async fn a_search_is_explained_that_found_nobody_or_that_nobody_waited_for() {
    let (shop, first, id) = beside_a_steady_one().await;
    let steady = shop.app.channels.all()[1].id;
    first.behave("500").unwrap();
    shop.upstream.behave("gate=0").unwrap();
    let customer = shop.customer(Usd::dollars(1)).await;
    let pending = begin(&shop, &customer, &ask_stream("demo-mini", "Hello"));
    shop.upstream.log().wait_held().await.unwrap();
    pending.abort();
    let route = explained(&shop, &customer).await;
    assert_eq!((&route["n"], &route["a"][0]["c"], &route["a"][0]["r"]), (&json!(2), &json!(id), &json!(500)));
    assert_eq!(route["a"].as_array().unwrap().len(), 1, "what came of the second is not known");

    for channel in [id, steady] {
        let channel = shop.app.channels.find(channel).unwrap();
        channel.permit("demo-mini", None, &[]).unwrap().report(channels::Verdict::Status(429), Some(Duration::from_secs(60)));
    }
    let customer = shop.customer(Usd::dollars(1)).await;
    assert_eq!(error_of(shop.chat(&customer.key, ask("demo-mini", "Hello")).await).await.0, 503);
    assert_eq!(explained(&shop, &customer).await, json!({"n": 2, "s": [[id, "keys"], [steady, "keys"]]}));
    shop.finish().await;
}

/// A channel whose dialect has no words for a request is passed over, and the next one answers.
#[tokio::test]
async fn a_channel_that_cannot_say_the_request_stands_in_the_explanation() {
    let (shop, first, id) = beside_a_steady_one().await;
    let fields = TestApp::channel_fields("first", &first.base_url(), &["demo-mini"]);
    shop.channel_as(Some(id), &ChannelFields { kind: "anthropic".into(), priority: "5".into(), ..fields }).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let mut body = ask("demo-mini", "Hello");
    body["n"] = json!(2);
    assert_eq!(shop.chat(&customer.key, body).await.status(), 200);
    let route = explained(&shop, &customer).await;
    assert_eq!((&route["s"], route["a"].as_array().unwrap().len()), (&json!([[id, "unfit"]]), 1));
    assert_eq!(first.log().count(), 0);
    shop.finish().await;
    first.stop().await;
}
