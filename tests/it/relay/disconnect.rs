//! Clients that go away: what they received is charged, what they did not is not, and nothing stays held.

use super::wild::{DONE, Wild, send, stream_head, usage, word};
use super::{INPUT, OUTPUT, ask, ask_stream, input_tokens, read_words, words};
use crate::harness::TestApp;
use axum::body::Body;
use axum::http::Request;
use farebox::demo::upstream::{Outcome, count_tokens};
use farebox::kernel::Usd;
use farebox::ledger::{Budgets, HoldRequest, Pays};
use farebox::router;
use http_body_util::BodyExt;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_stream_pays_for_what_it_got() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let question = "[[gate=7, tokens=50]] Hello";
    let mut answer = shop.chat(&customer.key, ask_stream("demo-chat", question)).await;
    let read = read_words(&mut answer, 7).await;
    let served = shop.upstream.log().wait_held().await.unwrap().pop().unwrap();
    assert_eq!((words(&read), served.chunks), (served.text.clone(), 7));
    assert_eq!(shop.open_holds().await, 1);
    drop(answer);
    shop.settled(&customer, 1).await;
    let row = &shop.requests(customer.user.id).await[0];
    assert_eq!(
        (row.outcome.as_str(), row.counted, row.input_tokens, row.output_tokens),
        ("client_gone", true, input_tokens(question), count_tokens(&served.text) as i64)
    );
    assert_eq!(row.cost, Usd(row.input_tokens * INPUT + row.output_tokens * OUTPUT));
    assert_eq!(shop.spent(&customer, Usd::dollars(1)).await, row.cost);
    let served = shop.upstream.log().wait_idle().await.unwrap();
    assert_eq!(served[0].outcome, Outcome::CallerLeft, "the upstream's connection is closed, so it stops too");
    shop.finish().await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_byte_of_a_stream_pays_for_no_output() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let question = "[[gate=0]] Hello";
    let customer = shop.customer(Usd::dollars(1)).await;
    let body = ask_stream("demo-chat", question);
    let request = shop.http.post(shop.at("/v1/chat/completions")).bearer_auth(&customer.key).json(&body).send();
    let pending = tokio::spawn(request);
    shop.upstream.log().wait_held().await.unwrap();
    pending.abort();
    shop.settled(&customer, 1).await;
    let row = &shop.requests(customer.user.id).await[0];
    assert_eq!((row.outcome.as_str(), row.output_tokens, row.input_tokens), ("client_gone", 0, input_tokens(question)));
    assert_eq!((row.cost, shop.spent(&customer, Usd::dollars(1)).await), (Usd(row.input_tokens * INPUT), row.cost));
    let served = shop.upstream.log().wait_idle().await.unwrap();
    assert_eq!(served.last().unwrap().outcome, Outcome::CallerLeft);
    shop.finish().await;
}

#[tokio::test]
async fn a_client_that_leaves_between_the_last_word_and_the_end_pays_for_every_word() {
    // The last word, the usage and the end come in one piece, and the client goes away with that word in its hands.
    for (end, output, counted) in [(format!("{}{}{DONE}", word(" two three"), usage(9, 3)), 3, false), (format!("{}{DONE}", word(" two three")), 3, true)] {
        let wild = Wild::start(vec![stream_head(), send(word("one")), send(end)]).await;
        let shop = TestApp::new().await;
        shop.sell("demo-chat", "1", "10").await;
        shop.channel("wild", &wild.base_url, &["demo-chat"], 0).await;
        let customer = shop.customer(Usd::dollars(1)).await;
        let request = Request::post("/v1/chat/completions")
            .header("authorization", format!("Bearer {}", customer.key))
            .body(Body::from(ask_stream("demo-chat", "Hello").to_string()))
            .unwrap();
        let mut body = router::build(shop.app.clone()).oneshot(request).await.unwrap().into_body();
        let mut seen = String::new();
        while !seen.contains("three") {
            let frame = body.frame().await.expect("the stream goes on").unwrap();
            seen.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
        assert!(!seen.contains("[DONE]"));
        drop(body);
        shop.settled(&customer, 1).await;
        let row = &shop.requests(customer.user.id).await[0];
        assert_eq!((row.output_tokens, row.counted, row.outcome.as_str()), (output, counted, "complete"));
        shop.finish().await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_its_body_is_on_the_way_leaves_nothing() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 5000\r\n\r\n{{\"model\":", customer.key);
    let address = shop.url.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
    drop(stream);
    assert_eq!(shop.chat(&customer.key, ask("demo-chat", "Hello")).await.status(), 200, "others are served");
    assert_eq!((shop.requests(customer.user.id).await.len(), shop.open_holds().await), (1, 0));
    shop.finish().await;
}

/// Polls once: begun, and not yet done.
async fn is_begun<F: Future>(mut future: Pin<&mut F>) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

#[tokio::test]
async fn a_hold_that_its_caller_never_received_is_released_at_once() {
    let shop = TestApp::new().await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let meter = &shop.app.relay.meter;
    let request = |full: i64| HoldRequest {
        id: shop.app.kit.ids.next(),
        user: customer.user.id,
        key: customer.key_id,
        key_budget: Budgets::default(),
        user_budget: Budgets::default(),
        full: Usd(full),
        floor: Usd(1),
        pays: Pays::default(),
        checkpoint: Usd(1_000),
        memo: String::new(),
    };
    // Begun, and dropped before the writer has answered.
    let mut early = Box::pin(meter.hold(request(5_000)));
    assert!(is_begun(early.as_mut()).await);
    drop(early);
    // Begun, answered, and dropped before the answer was looked at: the writer cannot know.
    let mut late = Box::pin(meter.hold(request(7_000)));
    assert!(is_begun(late.as_mut()).await);
    let behind = meter.hold(request(9_000)).await.unwrap();
    drop(late);
    // No other request comes: the shop is idle, and must let go by itself.
    shop.until("only the hold that was received is open", || async { shop.open_holds().await == 1 }).await;
    assert_eq!(shop.available(customer.user.id).await, Usd::dollars(1) - Usd(9_000));
    meter.settle(behind, Usd::ZERO, None).await.unwrap();
    assert_eq!((shop.available(customer.user.id).await, shop.open_holds().await), (Usd::dollars(1), 0));
    shop.finish().await;
}

#[tokio::test]
async fn many_clients_that_leave_at_any_moment_leave_clean_books() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let mut sent = 0;
    for round in 0..60u32 {
        let body = if round % 2 == 0 { ask_stream("demo-chat", "[[tokens=30]] Hello") } else { ask("demo-chat", "[[tokens=30]] Hello") };
        let request = shop.http.post(shop.at("/v1/chat/completions")).bearer_auth(&customer.key).json(&body).send();
        let pending = tokio::spawn(async move { request.await.ok()?.bytes().await.ok() });
        // Leaves after a number of turns of the scheduler that differs each time.
        for _ in 0..round * 3 {
            tokio::task::yield_now().await;
        }
        pending.abort();
        sent += 1;
    }
    shop.until("nothing is held or under way", || async { shop.open_holds().await == 0 && shop.app.relay.tasks.is_empty() }).await;
    assert_eq!(shop.chat(&customer.key, ask("demo-chat", "Hello")).await.status(), 200);
    let rows = shop.requests(customer.user.id).await;
    assert!(rows.len() <= sent + 1);
    assert_eq!(shop.spent(&customer, Usd::dollars(1)).await, rows.iter().map(|row| row.cost).sum());
    shop.finish().await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_keeps_nothing() {
    // The time that an upstream may be silent is also how long a client may take nothing.
    let shop = TestApp::with(&[("UPSTREAM_IDLE_TIMEOUT_MS", "400")]).await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(20)).await;
    let key = shop.limited_key(customer.user.id, &[("concurrency", "1")]).await;
    // Over HTTP/2 without a window: the connection is well and answers pings, and the stream never goes on.
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().http2_initial_stream_window_size(0).build().unwrap();
    let question = "[[tokens=50]] Hello";
    let answer = client.post(shop.at("/v1/chat/completions")).bearer_auth(&key).json(&ask_stream("demo-chat", question)).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    assert_eq!(shop.chat(&key, ask("demo-chat", "Hello")).await.status(), 429, "its place is taken");
    shop.until("it is settled", || async { shop.open_holds().await == 0 }).await;
    assert_eq!(shop.chat(&key, ask("demo-chat", "Hello")).await.status(), 200, "its place is free");
    let rows = shop.requests(customer.user.id).await;
    let row = rows.iter().find(|row| row.streamed && row.status == 200).unwrap();
    assert_eq!((row.outcome.as_str(), row.input_tokens), ("client_gone", input_tokens(question)));
    shop.upstream.log().wait_idle().await.unwrap();
    drop(answer);

    // Over HTTP/1, until every buffer on the way is full.
    let stream = tokio::net::TcpSocket::new_v4().unwrap();
    stream.set_recv_buffer_size(4096).unwrap();
    let mut stream = stream.connect(shop.url.trim_start_matches("http://").parse().unwrap()).await.unwrap();
    let mut body = ask_stream("demo-chat", "[[tokens=80000]] Hello");
    body["max_tokens"] = serde_json::json!(80_000);
    let body = body.to_string();
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {key}\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    shop.until("it has begun", || async { shop.open_holds().await == 1 }).await;
    shop.until("it is settled", || async { shop.open_holds().await == 0 }).await;
    let row = shop.requests(customer.user.id).await.remove(0);
    assert!((row.outcome.as_str(), row.streamed, row.output_tokens > 0) == ("client_gone", true, true), "{row:?}");
    assert!(row.output_tokens < 80_000, "{row:?}");
    // The connection is closed, too: what was on its way can still be read, and then it breaks off.
    let (mut read, mut piece) = (Vec::new(), [0; 64 * 1024]);
    while let Ok(n @ 1..) = stream.read(&mut piece).await {
        read.extend_from_slice(&piece[..n]);
    }
    assert!(read.starts_with(b"HTTP/1.1 200") && !read.ends_with(b"0\r\n\r\n"));
    shop.finish().await;
}
