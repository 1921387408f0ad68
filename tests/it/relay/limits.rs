//! Limits of keys and users, end to end: on counters in the process and, when `FAREBOX_TEST_REDIS_URL` names one, in Redis.

use super::{ask, ask_stream, error_of, read_words, told};
use crate::harness::TestApp;
use farebox::kernel::Usd;
use farebox::keys::{Allowance, AllowanceFields};
use farebox::settings;
use reqwest::Response;
use serde_json::json;

/// A shop for each kind of counters, which sells one model.
async fn shops() -> Vec<TestApp> {
    let mut shops = vec![TestApp::new().await];
    if let Ok(url) = std::env::var("FAREBOX_TEST_REDIS_URL") {
        shops.push(TestApp::with(&[("REDIS_URL", &url)]).await);
    }
    for shop in &shops {
        shop.stock(&["demo-chat"]).await;
    }
    shops
}

fn number(answer: &Response, name: &str) -> u64 {
    answer.headers().get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap().parse().unwrap()
}

fn has_limits(answer: &Response) -> bool {
    answer.headers().keys().any(|name| name.as_str().contains("ratelimit"))
}

#[tokio::test]
async fn without_limits_nothing_is_said_of_them() {
    for shop in shops().await {
        let customer = shop.customer(Usd::dollars(1)).await;
        for body in [ask("demo-chat", "Hello"), ask_stream("demo-chat", "Hello")] {
            let answer = shop.chat(&customer.key, body).await;
            assert!(answer.status() == 200 && !has_limits(&answer));
            answer.bytes().await.unwrap();
        }
        shop.finish().await;
    }
}

#[tokio::test]
async fn a_key_s_requests_per_minute_are_limited_and_told() {
    for shop in shops().await {
        let customer = shop.customer(Usd::dollars(1)).await;
        let key = shop.limited_key(customer.user.id, &[("rpm", "3")]).await;
        for (body, left) in [(ask("demo-chat", "Hello"), 2), (ask_stream("demo-chat", "Hello"), 1), (ask("demo-chat", "Hello"), 0)] {
            let answer = shop.chat(&key, body).await;
            assert_eq!(answer.status(), 200);
            assert_eq!((number(&answer, "x-ratelimit-limit-requests"), number(&answer, "x-ratelimit-remaining-requests")), (3, left));
            assert!(answer.headers()["x-ratelimit-reset-requests"].to_str().unwrap().ends_with('s') && !answer.headers().contains_key("retry-after"));
            assert!(!answer.headers().contains_key("x-ratelimit-limit-tokens"));
            answer.bytes().await.unwrap();
        }
        let refused = shop.chat(&key, ask("demo-chat", "Hello")).await;
        assert!((1..=20).contains(&number(&refused, "retry-after")) && number(&refused, "retry-after-ms") <= 20_000);
        assert_eq!((number(&refused, "x-ratelimit-limit-requests"), number(&refused, "x-ratelimit-remaining-requests")), (3, 0));
        let (status, error) = error_of(refused).await;
        assert_eq!((status, &error["type"], &error["code"]), (429, &json!("rate_limit_error"), &json!("rate_limit_exceeded")));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("3 requests per minute") && message.contains("this key"), "{message}");
        let row = &shop.requests(customer.user.id).await[0];
        assert_eq!((row.status, row.outcome.as_str(), row.cost), (429, "refused", Usd::ZERO));
        assert_eq!(shop.chat(&customer.key, ask("demo-chat", "Hello")).await.status(), 200, "another key goes on");
        assert_eq!(shop.upstream.log().count(), 4, "what was refused went nowhere");
        shop.finish().await;
    }
}

#[tokio::test]
async fn a_customer_s_limit_counts_all_keys_and_reaches_the_relay_at_once() {
    for shop in shops().await {
        let customer = shop.customer(Usd::dollars(1)).await;
        let (second, _) = shop.key(customer.user.id, None).await;
        shop.limit_user(customer.user.id, &[("rpd", "2")]).await;
        assert_eq!(shop.chat(&customer.key, ask("demo-chat", "Hello")).await.status(), 200);
        assert_eq!(shop.chat(&second, ask("demo-chat", "Hello")).await.status(), 200);
        for key in [&customer.key, &second] {
            let (status, error) = error_of(shop.chat(key, ask("demo-chat", "Hello")).await).await;
            let message = error["message"].as_str().unwrap();
            assert!(status == 429 && message.contains("2 requests per day") && message.contains("your account"), "{message}");
        }
        shop.limit_user(customer.user.id, &[("rpd", "3")]).await;
        assert_eq!(shop.chat(&second, ask("demo-chat", "Hello")).await.status(), 200);
        shop.limit_user(customer.user.id, &[]).await;
        let answer = shop.chat(&second, ask("demo-chat", "Hello")).await;
        assert!(answer.status() == 200 && !has_limits(&answer));
        shop.finish().await;
    }
}

#[tokio::test]
async fn the_shop_s_defaults_hold_for_whom_nothing_else_was_set() {
    for shop in shops().await {
        let allowance = Allowance::parse(&AllowanceFields { rpm: "2", tpm: "100000", ..AllowanceFields::default() }).unwrap();
        let mut tx = shop.app.db.write().await.unwrap();
        settings::set_allowance(&mut tx, shop.app.kit.clock.now_ms(), &allowance).await.unwrap();
        tx.commit().await.unwrap();
        shop.app.refresh().await.unwrap();
        let [usual, favoured, free] = [shop.customer(Usd::dollars(1)).await, shop.customer(Usd::dollars(1)).await, shop.customer(Usd::dollars(1)).await];
        shop.limit_user(favoured.user.id, &[("rpm", "50")]).await;
        shop.limit_user(free.user.id, &[("alone", "on")]).await;
        let mut limits = Vec::new();
        for customer in [&usual, &favoured, &free] {
            let answer = shop.chat(&customer.key, ask("demo-chat", "Hello")).await;
            let of = |name: &str| answer.headers().get(name).map(|_| number(&answer, name));
            limits.push((of("x-ratelimit-limit-requests"), of("x-ratelimit-limit-tokens")));
        }
        assert_eq!(limits, [(Some(2), Some(100_000)), (Some(50), Some(100_000)), (None, None)]);
        shop.finish().await;
    }
}

#[tokio::test]
async fn tokens_are_corrected_when_the_answer_is_known() {
    for shop in shops().await {
        let customer = shop.customer(Usd::dollars(1)).await;
        // The estimate has the output cap in it, and most of that is given back.
        let key = shop.limited_key(customer.user.id, &[("tpm", "1000")]).await;
        for stream in [false, true] {
            let mut body = ask("demo-chat", "[[tokens=20]] Hello");
            (body["max_tokens"], body["stream"]) = (json!(700), json!(stream));
            let answer = shop.chat(&key, body).await;
            assert_eq!(answer.status(), 200, "the first one's reserve was given back");
            assert!((200..=300).contains(&number(&answer, "x-ratelimit-remaining-tokens")), "{:?}", answer.headers());
            answer.bytes().await.unwrap();
        }
        // An answer may use more than was estimated: what it used counts.
        let key = shop.limited_key(customer.user.id, &[("tpm", "300")]).await;
        let long = shop.chat(&key, ask("demo-chat", "[[tokens=400]] Hello")).await;
        assert_eq!(long.status(), 200);
        long.bytes().await.unwrap();
        let refused = shop.chat(&key, ask("demo-chat", "Hello")).await;
        assert_eq!((number(&refused, "x-ratelimit-limit-tokens"), number(&refused, "x-ratelimit-remaining-tokens")), (300, 0));
        assert!(number(&refused, "retry-after") >= 10, "the debt must leak away");
        assert!(error_of(refused).await.1["message"].as_str().unwrap().contains("300 tokens per minute"));
        shop.finish().await;
    }
}

#[tokio::test]
async fn a_request_that_failed_gives_its_tokens_back() {
    for shop in shops().await {
        let customer = shop.customer(Usd(50_000)).await;
        let key = shop.limited_key(customer.user.id, &[("tpm", "1000")]).await;
        for _ in 0..5 {
            let mut body = ask("demo-chat", "Hello");
            body["max_tokens"] = json!(900);
            // The balance is too short for any answer.
            body["messages"][0]["content"] = json!("Hello ".repeat(20));
            assert_eq!(told(shop.chat(&key, body).await).await.0, 402);
        }
        shop.finish().await;
    }
}

#[tokio::test]
async fn requests_that_are_wrong_in_themselves_are_limited_like_others() {
    for shop in shops().await {
        let customer = shop.customer(Usd::dollars(1)).await;
        let bad: [(&str, u16); 4] = [
            ("{", 400),
            (r#"{"model":"nowhere","messages":[{"role":"user","content":"Hi"}]}"#, 404),
            (r#"{"model":"demo-mini","messages":[{"role":"user","content":"Hi"}]}"#, 403),
            ("", 400),
        ];
        shop.sell("demo-mini", "1", "10").await;
        let key = shop.limited_key(customer.user.id, &[("rpd", "4"), ("models", "demo-chat\nnowhere")]).await;
        let send = async |body: &str| {
            let request = shop.http.post(shop.at("/v1/chat/completions")).bearer_auth(&key).header("content-type", "application/json");
            request.body(body.to_owned()).send().await.unwrap()
        };
        for (turn, (body, status)) in bad.into_iter().enumerate() {
            let answer = send(body).await;
            assert_eq!((answer.status().as_u16(), number(&answer, "x-ratelimit-remaining-requests")), (status, 3 - turn as u64), "{body}");
        }
        for (body, _) in bad {
            assert_eq!(told(send(body).await).await, (429, "rate_limit_error".to_owned(), json!("rate_limit_exceeded")), "{body}");
        }
        assert_eq!(shop.chat(&key, ask("demo-chat", "Hello")).await.status(), 429);
        let rows = shop.requests(customer.user.id).await;
        let of = |status: u16| rows.iter().filter(|row| row.status == i64::from(status) && row.outcome == "refused").count();
        assert_eq!((of(400), of(404), of(403), of(429), rows.len()), (2, 1, 1, 5, 9));
        shop.finish().await;
    }
}

#[tokio::test]
async fn whoever_goes_on_when_nothing_is_let_in_does_not_fill_the_table() {
    for shop in shops().await {
        let customer = shop.customer(Usd::dollars(1)).await;
        let full = shop.limited_key(customer.user.id, &[("rpd", "1")]).await;
        assert_eq!(shop.chat(&full, ask("demo-chat", "Hello")).await.status(), 200);
        for _ in 0..100 {
            assert_eq!(shop.chat(&full, ask("demo-chat", "Hello")).await.status(), 429);
        }
        // Thirty in a minute, and a test may see two of them.
        let rows = shop.requests(customer.user.id).await.len();
        assert!((31..=61).contains(&rows), "{rows}");
        // A thief far away uses up nothing of what the owner is allowed.
        let other = shop.customer(Usd::dollars(1)).await;
        let key = shop.limited_key(other.user.id, &[("rpd", "1"), ("addresses", "203.0.113.0/24")]).await;
        for _ in 0..100 {
            assert_eq!(shop.chat(&key, ask("demo-chat", "Hello")).await.status(), 403);
        }
        let rows = shop.requests(other.user.id).await.len();
        assert!((30..=60).contains(&rows), "{rows}");
        shop.finish().await;
    }
}

#[tokio::test]
async fn an_answer_that_is_a_failure_tells_of_the_limits_that_it_counted_in() {
    for shop in shops().await {
        shop.sell("demo-down", "1", "10").await;
        shop.channel("down", &shop.upstream.base_url(), &["demo-down"], 0).await;
        let customer = shop.customer(Usd::dollars(1)).await;
        let poor = shop.customer(Usd(50_000)).await;
        let key = shop.limited_key(customer.user.id, &[("rpm", "50"), ("tpm", "1000000")]).await;
        let spent = shop.limited_key(customer.user.id, &[("rpm", "50"), ("budget_day", "0")]).await;
        let poor = shop.limited_key(poor.user.id, &[("rpm", "50")]).await;
        let long = "Hello ".repeat(20);
        for (key, body, status) in [
            (&poor, ask("demo-chat", &long), 402),
            (&spent, ask("demo-chat", "Hello"), 429),
            (&key, ask("demo-down", "[[400]] Hello"), 400),
            (&key, ask("demo-down", "[[503, retry-after=7]] Hello"), 502),
        ] {
            let answer = shop.chat(key, body).await;
            assert_eq!((answer.status().as_u16(), number(&answer, "x-ratelimit-limit-requests")), (status, 50), "{:?}", answer.headers());
            assert!(number(&answer, "x-ratelimit-remaining-requests") < 50);
            if status == 502 {
                assert_eq!(number(&answer, "retry-after"), 7, "as long as the upstream asked for");
            }
        }
        // Out of use by now, with a time at which it comes back.
        shop.until("the channel rests", || async {
            let answer = shop.chat(&key, ask("demo-down", "[[503, retry-after=7]] Hello")).await;
            let is_out = answer.status() == 503;
            assert!(answer.headers().contains_key("x-ratelimit-limit-requests") && (!is_out || answer.headers().contains_key("retry-after")));
            is_out || answer.status() == 429
        })
        .await;
        shop.finish().await;
    }
}

#[tokio::test]
async fn requests_at_the_same_time_are_limited_until_one_ends_or_its_client_leaves() {
    for shop in shops().await {
        let customer = shop.customer(Usd::dollars(1)).await;
        let key = shop.limited_key(customer.user.id, &[("concurrency", "2")]).await;
        let gated = || ask_stream("demo-chat", "[[gate=3, tokens=9]] Hello");
        let mut first = shop.chat(&key, gated()).await;
        read_words(&mut first, 3).await;
        let mut second = shop.chat(&key, gated()).await;
        read_words(&mut second, 3).await;
        let refused = shop.chat(&key, ask("demo-chat", "Hello")).await;
        assert_eq!(number(&refused, "retry-after"), 1);
        let (status, error) = error_of(refused).await;
        assert!(status == 429 && error["message"].as_str().unwrap().contains("2 requests at the same time"), "{error}");
        // A client that leaves in the middle of its stream.
        drop(first);
        shop.until("the place is free again", || async { shop.chat(&key, ask("demo-chat", "Hello")).await.status() == 200 }).await;
        // One that leaves before the first byte.
        let arrived = shop.upstream.log().count();
        let waiting = shop.http.post(shop.at("/v1/chat/completions")).bearer_auth(&key).json(&ask("demo-chat", "[[gate=0]] Hello")).send();
        let waiting = tokio::spawn(waiting);
        shop.until("it has reached the upstream", || async { shop.upstream.log().count() > arrived }).await;
        assert_eq!(shop.chat(&key, ask("demo-chat", "Hello")).await.status(), 429);
        waiting.abort();
        shop.until("the place is free again", || async { shop.chat(&key, ask("demo-chat", "Hello")).await.status() == 200 }).await;
        drop(second);
        // One after the other is one at a time.
        let alone = shop.limited_key(customer.user.id, &[("concurrency", "1")]).await;
        for turn in 0..20 {
            let body = if turn % 2 == 0 { ask("demo-chat", "Hello") } else { ask_stream("demo-chat", "Hello") };
            let answer = shop.chat(&alone, body).await;
            assert_eq!(answer.status(), 200, "turn {turn}");
            answer.bytes().await.unwrap();
        }
        shop.upstream.release_gate();
        shop.until("all is settled", || async { shop.open_holds().await == 0 }).await;
        shop.finish().await;
    }
}

#[tokio::test]
async fn many_at_once_get_no_more_than_the_limit() {
    for shop in shops().await {
        let customer = shop.customer(Usd::dollars(5)).await;
        let key = shop.limited_key(customer.user.id, &[("rpd", "10")]).await;
        let all = futures_util::future::join_all((0..30).map(|_| shop.chat(&key, ask("demo-chat", "Hello")))).await;
        let served = all.iter().filter(|answer| answer.status() == 200).count();
        assert_eq!((served, all.iter().filter(|answer| answer.status() == 429).count()), (10, 20));
        assert_eq!(shop.requests(customer.user.id).await.len(), 30, "every request leaves its row");
        shop.finish().await;
    }
}

#[tokio::test]
async fn budgets_of_a_period_and_of_a_customer_are_held() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(5)).await;
    let key = shop.limited_key(customer.user.id, &[("budget_day", "0.0003")]).await;
    let until_refused = async |key: &str| {
        for served in 0..20 {
            let answer = shop.chat(key, ask("demo-chat", "[[tokens=10]] Hello")).await;
            if answer.status() != 200 {
                assert!(answer.status() == 402 || answer.headers().contains_key("retry-after"));
                return (served, told(answer).await);
            }
        }
        panic!("the budget has no effect");
    };
    let (served, refusal) = until_refused(&key).await;
    assert!(served > 0);
    assert_eq!(refusal, (429, "rate_limit_error".to_owned(), json!("key_period_budget_exhausted")));
    let spent = Usd::dollars(5) - shop.available(customer.user.id).await;
    assert!(spent <= Usd(300_000), "{spent}");
    shop.limit_user(customer.user.id, &[("budget", &(spent + Usd(300_000)).to_string())]).await;
    let (served, (status, _, _)) = until_refused(&customer.key).await;
    assert!(served > 0 && status == 402);
    assert!(Usd::dollars(5) - shop.available(customer.user.id).await <= spent + Usd(300_000));
    shop.finish().await;
}

#[tokio::test]
async fn readiness_tells_that_limits_are_counted_per_node() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let shop = TestApp::with(&[("REDIS_URL", &format!("redis://{free}"))]).await;
    shop.stock(&["demo-chat"]).await;
    let ready = shop.http.get(shop.at("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 200);
    assert!(ready.text().await.unwrap().contains("per node"));
    let customer = shop.customer(Usd::dollars(1)).await;
    let key = shop.limited_key(customer.user.id, &[("rpd", "1"), ("concurrency", "1")]).await;
    assert_eq!(shop.chat(&key, ask("demo-chat", "Hello")).await.status(), 200);
    assert_eq!(shop.chat(&key, ask("demo-chat", "Hello")).await.status(), 429, "its own counters hold");
    shop.finish().await;
    for shop in shops().await {
        assert_eq!(shop.http.get(shop.at("/readyz")).send().await.unwrap().text().await.unwrap(), "ready");
        shop.finish().await;
    }
}
