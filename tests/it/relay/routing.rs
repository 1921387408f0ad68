//! Who is asked: names and their upstream's names, keys in turn, what fails and comes back, and what an admin switches off.

use super::{ask, ask_stream, error_of};
use crate::harness::{TestApp, db};
use farebox::channels::{self, ChannelDraft, ChannelFields};
use farebox::demo::upstream::{Options, Upstream};
use farebox::kernel::Usd;
use farebox::kernel::secrets::Secret;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[tokio::test]
async fn two_names_for_one_model_have_their_own_prices_and_a_pool_is_drawn_from() {
    let shop = TestApp::new().await;
    shop.sell("cheap", "1", "10").await;
    shop.sell("dear", "3", "30").await;
    shop.sell("pool", "1", "10").await;
    let fields = TestApp::channel_fields("main", &shop.upstream.base_url(), &["cheap", "dear", "po*"]);
    let mapping = "cheap = demo-mini\ndear = demo-mini\npool = demo-chat, demo-mini";
    shop.channel_as(None, &ChannelFields { model_mapping: mapping.into(), ..fields }).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    for model in ["cheap", "dear"] {
        let answer = shop.chat(&customer.key, ask(model, "Hello")).await;
        assert_eq!(answer.status(), 200);
        let body: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(body["model"], model, "the customer reads the name that was asked for");
    }
    let rows = shop.requests(customer.user.id).await;
    assert_eq!(rows[0].cost, Usd(rows[1].cost.0 * 3), "the same answer at three times the price");
    assert!(shop.upstream.log().requests().iter().all(|served| served.model() == "demo-mini"));
    for n in 0..24 {
        assert_eq!(shop.chat(&customer.key, ask("pool", &format!("Question {n}"))).await.status(), 200);
    }
    let asked: BTreeSet<String> = shop.upstream.log().requests().iter().skip(2).map(|served| served.model().to_owned()).collect();
    assert_eq!(asked.into_iter().collect::<Vec<_>>(), ["demo-chat", "demo-mini"]);
    shop.finish().await;
}

#[tokio::test]
async fn a_refused_key_gives_way_to_another_and_is_left_alone() {
    let upstream = Upstream::start(Options { key: Some("the-good-key".into()), ..Options::default() }).await.unwrap();
    let shop = TestApp::new().await;
    shop.sell("demo-mini", "1", "10").await;
    let fields = TestApp::channel_fields("main", &upstream.base_url(), &["demo-mini"]);
    let id = shop.channel_as(None, &ChannelFields { key: Secret::new("the-bad-key\nthe-good-key".into()), ..fields }).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let bad = || upstream.log().requests().iter().filter(|served| served.key.as_deref() == Some("the-bad-key")).count();
    for n in 0..12 {
        assert_eq!(shop.chat(&customer.key, ask("demo-mini", &format!("Question {n}"))).await.status(), 200, "{n}");
    }
    assert_eq!(bad(), 2, "twice is enough");
    let view = shop.app.channels.find(id).unwrap().health().view();
    assert_eq!(view.keys, [channels::Standing::Open, channels::Standing::Healthy]);
    assert_eq!(shop.requests(customer.user.id).await.len(), 12);
    shop.finish().await;
    upstream.stop().await;
}

#[tokio::test]
async fn an_upstream_that_asks_for_a_pause_gets_it() {
    let limited = Upstream::start(Options::default()).await.unwrap();
    let shop = TestApp::new().await;
    shop.sell("demo-mini", "1", "10").await;
    shop.channel("limited", &limited.base_url(), &["demo-mini"], 5).await;
    let steady = shop.channel("steady", &shop.upstream.base_url(), &["demo-mini"], 0).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    limited.behave("429, retry-after=600").unwrap();
    for n in 0..4 {
        assert_eq!(shop.chat(&customer.key, ask("demo-mini", &format!("Question {n}"))).await.status(), 200);
    }
    assert_eq!(limited.log().count(), 1, "once is enough when it says for how long");
    shop.remove(&[steady]).await;
    let answer = shop.chat(&customer.key, ask("demo-mini", "Hello")).await;
    let pause: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert_eq!(error_of(answer).await.0, 503);
    assert!((590..=661).contains(&pause), "the caller is told the same: {pause}");
    shop.finish().await;
    limited.stop().await;
}

#[tokio::test]
async fn what_fails_again_and_again_rests_until_a_probe_finds_it_well() {
    let shaky = Upstream::start(Options::default()).await.unwrap();
    let shop = TestApp::new().await;
    shop.sell("demo-mini", "1", "10").await;
    let fields = TestApp::channel_fields("shaky", &shaky.base_url(), &["demo-mini"]);
    let fields = ChannelFields { priority: "5".into(), probe_interval: "1".into(), ..fields };
    let id = shop.channel_as(None, &fields).await;
    shop.channel("steady", &shop.upstream.base_url(), &["demo-mini"], 0).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    shaky.behave("500").unwrap();
    for n in 0..12 {
        assert_eq!(shop.chat(&customer.key, ask("demo-mini", &format!("Question {n}"))).await.status(), 200);
    }
    let ours = || shaky.log().requests().iter().filter(|served| served.raw.windows(8).any(|part| part == b"Question")).count() as u64;
    assert_eq!(ours(), 5, "then it rests");
    let probes = shaky.log().count() - ours();
    let failing = shop.app.channels.find(id).unwrap().health().view();
    assert_eq!((failing.models_out, failing.last_fault.unwrap().verdict), (vec!["demo-mini".to_owned()], channels::Verdict::Status(500)));
    shaky.behave("").unwrap();
    shop.until("a probe finds it well", || async { shop.app.channels.find(id).unwrap().health().view().models_out.is_empty() }).await;
    assert!(shaky.log().count() - ours() > probes);
    assert_eq!(shop.chat(&customer.key, ask("demo-mini", "Question again")).await.status(), 200);
    assert_eq!(ours(), 6);
    assert_eq!(shop.requests(customer.user.id).await.len(), 13, "nobody pays for a probe");
    shop.finish().await;
    shaky.stop().await;
}

#[tokio::test]
async fn a_channel_that_is_switched_off_anywhere_gets_nothing_new_within_a_second() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-mini"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let second = if db::postgres_url().is_some() { Some(shop.beside().await) } else { None };
    if let Some(second) = &second {
        assert_eq!(second.chat(&customer.key, ask("demo-mini", "Hello")).await.status(), 200, "the second node serves");
    }
    let id = shop.app.channels.all()[0].id;
    let fields = ChannelFields { enabled: String::new(), ..TestApp::channel_fields("upstream", &shop.upstream.base_url(), &["demo-mini"]) };
    let draft = ChannelDraft::parse(&fields, Some(&farebox::channels::Private::default())).unwrap();
    // Saved, and no snapshot told: each node has to notice by itself, as of a change that another node has made.
    channels::save(&shop.app.db, &shop.app.kit, &shop.app.secret, Some(id), &draft).await.unwrap();
    let saved = Instant::now();
    for node in std::iter::once(&shop).chain(&second) {
        node.until("the node has noticed", || async { node.app.channels.candidates("demo-mini").is_empty() }).await;
    }
    assert!(saved.elapsed() < Duration::from_secs(1), "{:?}", saved.elapsed());
    let before = shop.upstream.log().count();
    for node in std::iter::once(&shop).chain(&second) {
        let (status, error) = error_of(node.chat(&customer.key, ask("demo-mini", "Hello")).await).await;
        assert_eq!((status, error["code"].as_str()), (503, Some("no_channel")));
    }
    assert_eq!(shop.upstream.log().count(), before);
    if let Some(second) = second {
        second.finish().await;
    }
    shop.finish().await;
}

#[tokio::test]
async fn a_conversation_stays_on_one_channel_and_others_spread() {
    let shop = TestApp::new().await;
    shop.sell("demo-mini", "1", "10").await;
    let upstreams = [
        Upstream::start(Options::default()).await.unwrap(),
        Upstream::start(Options::default()).await.unwrap(),
        Upstream::start(Options::default()).await.unwrap(),
    ];
    for (n, upstream) in upstreams.iter().enumerate() {
        shop.channel(&format!("channel {n}"), &upstream.base_url(), &["demo-mini"], 0).await;
    }
    let customer = shop.customer(Usd::dollars(1)).await;
    let counts = || upstreams.each_ref().map(|upstream| upstream.log().count());
    let mut body = ask("demo-mini", "How do lighthouses work?");
    for _ in 0..6 {
        assert_eq!(shop.chat(&customer.key, body.clone()).await.status(), 200);
        let messages = body["messages"].as_array_mut().unwrap();
        messages.extend([json!({"role": "assistant", "content": "With light."}), json!({"role": "user", "content": "And then?"})]);
    }
    let mut after = counts();
    after.sort_unstable();
    assert_eq!(after, [0, 0, 6]);
    for n in 0..30 {
        assert_eq!(shop.chat(&customer.key, ask("demo-mini", &format!("Another question, number {n}"))).await.status(), 200);
    }
    assert!(counts().iter().all(|count| *count > 1), "{:?}", counts());
    let keyed = |n: usize| {
        let mut body = ask("demo-mini", &format!("Not the same words: {n}"));
        body["prompt_cache_key"] = json!("the same task");
        body
    };
    let before = counts();
    for n in 0..5 {
        assert_eq!(shop.chat(&customer.key, keyed(n)).await.status(), 200);
    }
    let grown = std::iter::zip(before, counts()).filter(|(before, after)| after > before).count();
    assert_eq!(grown, 1, "what says that it belongs together stays together");
    shop.finish().await;
}

/// A client that marks the newest turn for the prompt cache, and says nothing else of its conversation.
#[tokio::test]
async fn a_conversation_stays_where_its_prompt_is_cached_while_the_mark_moves_on() {
    let shop = TestApp::new().await;
    shop.sell("demo-mini", "1", "10").await;
    let upstreams = [Upstream::start(Options::default()).await.unwrap(), Upstream::start(Options::default()).await.unwrap()];
    for (n, upstream) in upstreams.iter().enumerate() {
        let fields = TestApp::channel_fields(&format!("channel {n}"), &upstream.base_url(), &["demo-mini"]);
        shop.channel_as(None, &ChannelFields { kind: "anthropic".into(), ..fields }).await;
    }
    let customer = shop.customer(Usd::dollars(1)).await;
    for conversation in 0..6 {
        let before = upstreams.each_ref().map(|upstream| upstream.log().count());
        let said = |n: usize| format!("Conversation {conversation}, turn {n}");
        let turn = |n: usize| json!({"role": if n.is_multiple_of(2) { "user" } else { "assistant" }, "content": said(n)});
        for last in [0, 2, 4] {
            let mut messages: Vec<Value> = (0..=last).map(turn).collect();
            messages[last]["content"] = json!([{"type": "text", "text": said(last), "cache_control": {"type": "ephemeral", "ttl": "1h"}}]);
            let mark = if last == 0 { json!({"type": "ephemeral"}) } else { Value::Null };
            let system = json!([{"type": "text", "text": "Be kind.", "cache_control": mark}]);
            let body = json!({"model": "demo-mini", "max_tokens": 50, "system": system, "messages": messages});
            let answer = shop.http.post(shop.at("/v1/messages")).header("x-api-key", &customer.key).json(&body).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
        }
        let after = upstreams.each_ref().map(|upstream| upstream.log().count());
        assert!(after.iter().zip(before).any(|(after, before)| after - before == 3), "{before:?} {after:?}");
    }
    shop.finish().await;
}

#[tokio::test]
async fn what_no_channel_can_do_is_said_and_costs_nothing() {
    let shop = TestApp::new().await;
    shop.sell("demo-mini", "1", "10").await;
    let fields = TestApp::channel_fields("plain", &shop.upstream.base_url(), &["demo-mini"]);
    shop.channel_as(None, &ChannelFields { no_streaming: "on".into(), no_tools: "on".into(), ..fields }).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let mut with_tools = ask("demo-mini", "Hello");
    with_tools["tools"] = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    for body in [ask_stream("demo-mini", "Hello"), with_tools] {
        let answer = shop.chat(&customer.key, body).await;
        assert!(!answer.status().is_success(), "{}", answer.status());
        error_of(answer).await;
    }
    assert_eq!(shop.chat(&customer.key, ask("demo-mini", "Hello")).await.status(), 200);
    assert_eq!(shop.upstream.log().count(), 1);
    shop.finish().await;
}
