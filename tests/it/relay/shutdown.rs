//! Going down: streams may end, what does not end in time is broken off, and everything is settled.

use super::{ask, ask_stream, input_tokens, read_words, words};
use crate::harness::TestApp;
use crate::harness::app::Customer;
use axum::body::Body;
use axum::http::Request;
use farebox::demo::upstream::count_tokens;
use farebox::kernel::Usd;
use farebox::usage::{self, RequestView};
use farebox::{ledger, router};
use std::sync::atomic::Ordering;
use tower::ServiceExt;

/// The customer's rows, read beside the server, which is gone; the books must be clean.
async fn rows_afterwards(shop: &TestApp, customer: &Customer) -> Vec<RequestView> {
    let db = &shop.db.db;
    let report = ledger::audit(db).await.unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);
    assert_eq!(usage::audit(&mut db.snapshot().await.unwrap()).await.unwrap(), Vec::<String>::new());
    assert_eq!(shop.open_holds().await, 0, "nothing is left for recovery");
    usage::recent(&mut db.read().await.unwrap(), customer.user.id, None, 100).await.unwrap()
}

#[tokio::test]
async fn a_stream_may_end_while_the_server_goes_down() {
    let mut shop = TestApp::with(&[("DRAIN_SECONDS", "30")]).await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let mut answer = shop.chat(&customer.key, ask_stream("demo-chat", "[[gate=4, tokens=12]] Hello")).await;
    let mut text = read_words(&mut answer, 4).await;
    let server = shop.take_server();
    let going_down = tokio::spawn(server.shutdown());
    shop.until("it is draining", || async { shop.app.draining.load(Ordering::Acquire) }).await;
    let ready = router::build(shop.app.clone()).oneshot(Request::get("/readyz").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(ready.status(), 503);
    let alive = router::build(shop.app.clone()).oneshot(Request::get("/healthz").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(alive.status(), 200);
    let connect = || async { tokio::net::TcpStream::connect(shop.url.trim_start_matches("http://")).await.is_err() };
    shop.until("nothing new is accepted", connect).await;
    assert!(!going_down.is_finished());
    shop.upstream.release_gate();
    while let Some(piece) = answer.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    going_down.await.unwrap();
    let rows = rows_afterwards(&shop, &customer).await;
    assert_eq!((rows.len(), rows[0].outcome.as_str(), rows[0].output_tokens, rows[0].counted), (1, "complete", 12, false));
}

#[tokio::test]
async fn what_does_not_end_in_time_is_broken_off_and_settled() {
    for streams in [1usize, 20] {
        let mut shop = TestApp::with(&[("DRAIN_SECONDS", "0")]).await;
        shop.stock(&["demo-chat"]).await;
        let customer = shop.customer(Usd::dollars(30)).await;
        let question = "[[gate=4, tokens=12]] Hello";
        let (mut answers, mut said) = (Vec::new(), String::new());
        for _ in 0..streams {
            let mut answer = shop.chat(&customer.key, ask_stream("demo-chat", question)).await;
            said = words(&read_words(&mut answer, 4).await);
            answers.push(answer);
        }
        // One more waits for a whole answer.
        let request = shop.http.post(shop.at("/v1/chat/completions")).bearer_auth(&customer.key).json(&ask("demo-chat", "[[gate=0]] Hello")).send();
        let waiting = tokio::spawn(request);
        shop.upstream.log().wait_until(|served| served.len() == streams + 1).await.unwrap();
        shop.take_server().shutdown().await;
        assert!(waiting.await.unwrap().is_err(), "the connection was closed");
        for mut answer in answers {
            assert!(answer.chunk().await.is_err(), "a stream that was cut does not look complete");
        }
        let rows = rows_afterwards(&shop, &customer).await;
        assert_eq!(rows.len(), streams + 1);
        assert!(rows.iter().all(|row| row.outcome == "client_gone" && row.counted), "{rows:?}");
        assert!(rows[1..].iter().all(|row| (row.input_tokens, row.output_tokens) == (input_tokens(question), count_tokens(&said) as i64)), "{rows:?}");
        assert_eq!(rows[0].output_tokens, 0);
    }
}

#[tokio::test]
async fn an_idle_server_goes_down_at_once() {
    let mut shop = TestApp::with(&[("DRAIN_SECONDS", "3600")]).await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    // The connection stays open, and is idle.
    shop.chat(&customer.key, ask("demo-chat", "Hello")).await.text().await.unwrap();
    shop.take_server().shutdown().await;
    assert_eq!(rows_afterwards(&shop, &customer).await.len(), 1);
}
