//! How much memory the bodies of requests may take while they arrive and while they are answered.

use super::{ask, told};
use crate::harness::TestApp;
use crate::harness::app::Customer;
use farebox::kernel::Usd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a body may have, and how many of that size one customer may have under way.
const LIMIT: usize = 128 * 1024;
const OF_ONE: usize = 8;

/// A request that announces a body of the largest size, and is asked for it.
async fn begin(shop: &TestApp, customer: &Customer) -> TcpStream {
    let mut stream = TcpStream::connect(shop.url.trim_start_matches("http://")).await.unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: shop\r\nexpect: 100-continue\r\nconnection: close";
    let head = format!("{head}\r\nauthorization: Bearer {}\r\ncontent-length: {LIMIT}\r\n\r\n", customer.key);
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[tokio::test]
async fn one_customer_cannot_fill_the_memory_with_bodies() {
    let shop = TestApp::with(&[("BODY_LIMIT", "128KiB")]).await;
    shop.stock(&["demo-mini"]).await;
    let (greedy, other) = (shop.customer(Usd::dollars(1)).await, shop.customer(Usd::dollars(1)).await);
    let mut large = ask("demo-mini", "Hello");
    large["user"] = "x".repeat(LIMIT - 1024).into();
    let mut begun = Vec::new();
    for _ in 0..OF_ONE {
        begun.push(begin(&shop, &greedy).await);
    }
    let (status, kind, code) = told(shop.chat(&greedy.key, large.clone()).await).await;
    assert_eq!((status, kind.as_str(), code.as_str()), (429, "rate_limit_error", Some("rate_limit_exceeded")));
    assert_eq!(shop.chat(&greedy.key, ask("demo-mini", "Hello")).await.status(), 200, "what is small needs no room");
    assert_eq!(shop.chat(&other.key, large.clone()).await.status(), 200, "nobody else notices");
    begun.pop();
    shop.until("the room of the one that left is free", || async { shop.chat(&greedy.key, large.clone()).await.status() == 200 }).await;
    drop(begun);
    shop.finish().await;
}

#[tokio::test]
async fn a_body_has_its_room_until_it_is_answered() {
    let shop = TestApp::with(&[("BODY_LIMIT", "128KiB")]).await;
    shop.stock(&["demo-mini"]).await;
    let customer = shop.customer(Usd::dollars(5)).await;
    let mut large = ask("demo-mini", "[[gate=0]] Hello");
    large["user"] = "x".repeat(LIMIT - 1024).into();
    let running: Vec<_> =
        (0..OF_ONE).map(|_| tokio::spawn(shop.http.post(shop.at("/v1/chat/completions")).bearer_auth(&customer.key).json(&large).send())).collect();
    shop.until("all of them are asked for", || async { shop.upstream.log().count() == OF_ONE as u64 }).await;
    assert_eq!(shop.chat(&customer.key, large.clone()).await.status(), 429);
    shop.upstream.release_gate();
    for request in running {
        assert_eq!(request.await.unwrap().unwrap().status(), 200);
    }
    large["messages"][0]["content"] = "Hello".into();
    shop.until("there is room again", || async { shop.chat(&customer.key, large.clone()).await.status() == 200 }).await;
    shop.finish().await;
}
