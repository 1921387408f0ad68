//! What a channel's options and a caller's hints really come to at the upstream.

use super::ask;
use super::health::beside_a_steady_one;
use crate::harness::TestApp;
use farebox::channels::ChannelFields;
use farebox::demo::upstream::{Options, Upstream};
use farebox::kernel::Usd;
use serde_json::{Value, json};

#[tokio::test]
async fn extra_headers_overrides_and_a_proxy_reach_the_upstream() {
    let shop = TestApp::new().await;
    shop.sell("demo-mini", "1", "10").await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    // The simulated upstream stands in for a proxy, which gets whole addresses: nobody listens at the channel's own.
    let fields = TestApp::channel_fields("far", &format!("http://{closed}"), &["demo-mini"]);
    let fields = ChannelFields {
        extra_headers: "X-Team: blue\nX-Region: north".into(),
        body_overrides: r#"{"store": false, "user": null, "metadata": {"shop": "yes"}}"#.into(),
        proxy_url: shop.upstream.base_url(),
        ..fields
    };
    shop.channel_as(None, &fields).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let mut body = ask("demo-mini", "Hello");
    (body["user"], body["store"]) = (json!("ann"), json!(true));
    assert_eq!(shop.chat(&customer.key, body).await.status(), 200);
    let served = shop.upstream.log().last().unwrap();
    assert_eq!((served.header("x-team"), served.header("x-region"), served.header("host")), ("blue", "north", closed.to_string().as_str()));
    let sent: Value = serde_json::from_slice(&served.raw).unwrap();
    assert_eq!((&sent["store"], sent.get("user"), &sent["metadata"]["shop"]), (&json!(false), None, &json!("yes")));
    shop.finish().await;
}

#[tokio::test]
async fn every_beta_that_is_asked_for_reaches_the_upstream_beside_the_channels_own() {
    let shop = TestApp::new().await;
    shop.sell("claude-demo", "1", "10").await;
    let fields = TestApp::channel_fields("main", &shop.upstream.base_url(), &["claude-demo"]);
    shop.channel_as(None, &ChannelFields { kind: "anthropic".into(), extra_headers: "anthropic-beta: own-1".into(), ..fields }).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let body = json!({"model": "claude-demo", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]});
    let request = shop.http.post(shop.at("/v1/messages")).header("x-api-key", &customer.key).header("anthropic-version", "2023-06-01");
    let answer = request.header("anthropic-beta", "a-1,b-2").header("anthropic-beta", "c-3").json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(shop.upstream.log().last().unwrap().header("anthropic-beta"), "own-1,a-1,b-2,c-3");
    shop.finish().await;
}

#[tokio::test]
async fn no_more_requests_run_on_a_channel_than_may() {
    let (shop, small, id) = beside_a_steady_one().await;
    let fields = TestApp::channel_fields("first", &small.base_url(), &["demo-mini"]);
    shop.channel_as(Some(id), &ChannelFields { max_concurrency: "2".into(), priority: "5".into(), ..fields }).await;
    small.behave("gate=0").unwrap();
    let customer = shop.customer(Usd::dollars(1)).await;
    let begin = |n: usize| {
        let request = shop.http.post(shop.at("/v1/chat/completions")).bearer_auth(&customer.key);
        let mut body = ask("demo-mini", &format!("Question {n}"));
        // Little enough that the balance holds all of them at the same time.
        body["max_tokens"] = json!(20);
        tokio::spawn(request.json(&body).send())
    };
    let pending: Vec<_> = (0..12).map(begin).collect();
    shop.until("the others are answered elsewhere", || async { shop.upstream.log().count() == 10 && small.log().count() == 2 }).await;
    assert_eq!(shop.app.channels.find(id).unwrap().health().view().in_flight, 2);
    small.behave("").unwrap();
    small.release_gate();
    for answer in pending {
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    }
    assert_eq!(shop.chat(&customer.key, ask("demo-mini", "Hello")).await.status(), 200);
    assert_eq!((small.log().count(), shop.upstream.log().count()), (3, 10));
    shop.finish().await;
    small.stop().await;
}

#[tokio::test]
async fn a_session_and_a_user_of_the_callers_stay_on_one_channel_and_on_one_model_of_a_pool() {
    let shop = TestApp::new().await;
    shop.sell("pool", "1", "10").await;
    let mut upstreams = Vec::new();
    for n in 0..4 {
        let upstream = Upstream::start(Options::default()).await.unwrap();
        let fields = TestApp::channel_fields(&format!("channel {n}"), &upstream.base_url(), &["pool"]);
        shop.channel_as(None, &ChannelFields { model_mapping: "pool = demo-chat, demo-mini, demo-third".into(), ..fields }).await;
        upstreams.push(upstream);
    }
    let customer = shop.customer(Usd::dollars(1)).await;
    // Where requests went since the last look: the channel, and the model there.
    let went = || {
        let all =
            upstreams.iter().enumerate().flat_map(|(n, upstream)| upstream.log().requests().into_iter().map(move |served| (n, served.model().to_owned())));
        let all: std::collections::BTreeSet<(usize, String)> = all.collect();
        upstreams.iter().for_each(|upstream| upstream.log().clear());
        all.len()
    };
    let message = |n: usize| json!([{"role": "user", "content": format!("Nothing alike: {n}")}]);
    let post = |path: &str| shop.http.post(shop.at(path)).bearer_auth(&customer.key);
    for n in 0..8 {
        let body = json!({"model": "pool", "messages": message(n)});
        assert_eq!(post("/v1/chat/completions").header("session_id", "one session").json(&body).send().await.unwrap().status(), 200);
    }
    assert_eq!(went(), 1, "a session");
    for n in 0..8 {
        let body = json!({"model": "pool", "max_tokens": 9, "metadata": {"user_id": "user_1_session_2"}, "messages": message(n)});
        assert_eq!(post("/v1/messages").json(&body).send().await.unwrap().status(), 200);
    }
    assert_eq!(went(), 1, "a user");
    for n in 0..24 {
        let body = json!({"model": "pool", "messages": message(n)});
        assert_eq!(post("/v1/chat/completions").json(&body).send().await.unwrap().status(), 200);
    }
    assert!(went() > 2, "what belongs nowhere spreads");
    shop.finish().await;
}

/// A pool alone is a choice, too: its conversations stay on one of its models.
#[tokio::test]
async fn a_conversation_stays_on_one_model_of_the_only_channels_pool() {
    let shop = TestApp::new().await;
    shop.sell("pool", "1", "10").await;
    let fields = TestApp::channel_fields("only", &shop.upstream.base_url(), &["pool"]);
    shop.channel_as(None, &ChannelFields { model_mapping: "pool = demo-chat, demo-mini, demo-third".into(), ..fields }).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    for _ in 0..12 {
        assert_eq!(shop.chat(&customer.key, ask("pool", "How do lighthouses work?")).await.status(), 200);
    }
    let asked: std::collections::BTreeSet<String> = shop.upstream.log().requests().iter().map(|served| served.model().to_owned()).collect();
    assert_eq!(asked.len(), 1, "{asked:?}");
    shop.finish().await;
}
