//! Channels that fail before the first byte: the next one answers, and when none does, nobody pays.

use super::wild::{DONE, Step, Wild, head, send, stream_head, usage, word};
use super::{ask, ask_stream, error_of};
use crate::harness::TestApp;
use farebox::channels::{self, ChannelFields};
use farebox::demo::upstream::{Options, Upstream};
use farebox::kernel::{Id, Usd};
use serde_json::json;

/// A port that nobody listens on.
async fn closed_port() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A shop with a bad channel that is tried first and a good one behind it.
async fn shop_behind(bad: &str, settings: &[(&str, &str)]) -> TestApp {
    let shop = TestApp::with(settings).await;
    shop.sell("demo-chat", "1", "10").await;
    channels_of(&shop, bad).await;
    shop
}

/// A bad channel and a good one, both with nothing against them.
async fn channels_of(shop: &TestApp, bad: &str) -> [Id; 2] {
    [shop.channel("first", bad, &["demo-chat"], 10).await, shop.channel("second", &shop.upstream.base_url(), &["demo-chat"], 5).await]
}

/// The good channel answers, both ways, and each answer is charged once.
async fn second_answers(shop: &TestApp, model: &str, what: &str) {
    let customer = shop.customer(Usd::dollars(1)).await;
    let before = shop.upstream.log().count();
    for body in [ask(model, "Hello"), ask_stream(model, "Hello")] {
        let answer = shop.chat(&customer.key, body).await;
        assert_eq!(answer.status(), 200, "{what}");
        answer.text().await.unwrap();
    }
    assert_eq!(shop.upstream.log().count() - before, 2, "{what}");
    let rows = shop.requests(customer.user.id).await;
    assert_eq!(rows.len(), 2, "{what}");
    assert!(rows.iter().all(|row| row.outcome == "complete" && row.cost > Usd::ZERO && !row.counted), "{what}: {rows:?}");
    assert_eq!(shop.spent(&customer, Usd::dollars(1)).await, rows.iter().map(|row| row.cost).sum(), "{what}");
}

#[tokio::test]
async fn the_next_channel_answers_when_one_fails_before_the_first_byte() {
    let bad = Upstream::start(Options::default()).await.unwrap();
    let shop = TestApp::with(&[("UPSTREAM_FIRST_BYTE_TIMEOUT_MS", "300")]).await;
    shop.sell("demo-chat", "1", "10").await;
    for fault in ["401", "402", "403", "408", "409", "429, no-retry-after", "500", "502", "503", "529", "hang-up", "html", "redirect", "stall"] {
        let channels = channels_of(&shop, &bad.base_url()).await;
        // An upstream that asks for a pause gets one, and would not be asked twice.
        bad.behave(&format!("{fault}, no-retry-after")).unwrap();
        second_answers(&shop, "demo-chat", fault).await;
        shop.remove(&channels).await;
    }
    assert_eq!(bad.log().count(), 28, "the first is tried first, and once each time");
    shop.finish().await;
}

#[tokio::test]
async fn a_channel_that_cannot_be_reached_is_passed_over() {
    let shop = shop_behind(&closed_port().await, &[]).await;
    second_answers(&shop, "demo-chat", "closed port").await;
    shop.finish().await;
}

#[tokio::test]
async fn what_is_no_answer_is_passed_over() {
    let json = |body: &str| vec![head("200 OK", "application/json"), send(body)];
    let stream = |body: &str| vec![stream_head(), send(body)];
    let cases: Vec<(&str, Vec<Step>)> = vec![
        ("not HTTP", vec![send("SSH-2.0-OpenSSH_9.2\r\n")]),
        ("no content", vec![send("HTTP/1.1 204 No Content\r\n\r\n")]),
        ("empty", json("")),
        ("half JSON", json("{\"choices\":[")),
        ("JSON of another kind", json("{\"ok\":true}")),
        ("an error in a 200", json("{\"error\":{\"message\":\"quota\"},\"choices\":[]}")),
        ("an answer that breaks off", vec![send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"choices\"")]),
        ("an empty stream", stream("")),
        ("a stream of nothing", stream(DONE)),
        ("a stream that begins with an error", stream("data: {\"error\":{\"message\":\"overloaded\",\"code\":503}}\n\n")),
        ("a stream of garbage", stream("data: <html>\n\n")),
        ("negative usage", json("{\"choices\":[{\"message\":{\"content\":\"x\"}}],\"usage\":{\"prompt_tokens\":-5,\"completion_tokens\":-5}}")),
        ("a stream that begins with negative usage", stream(&usage(-5, -5))),
    ];
    let shop = TestApp::new().await;
    for (n, (what, steps)) in cases.into_iter().enumerate() {
        let (wild, model) = (Wild::start(steps).await, format!("demo-{n}"));
        shop.sell(&model, "1", "10").await;
        shop.channel(&format!("first {n}"), &wild.base_url, &[&model], 10).await;
        shop.channel(&format!("second {n}"), &shop.upstream.base_url(), &[&model], 5).await;
        second_answers(&shop, &model, what).await;
        assert_eq!(wild.asked(), 2, "{what}");
    }
    shop.finish().await;
}

#[tokio::test]
async fn when_every_channel_fails_nobody_pays() {
    let other = Upstream::start(Options::default()).await.unwrap();
    let shop = TestApp::with(&[("UPSTREAM_FIRST_BYTE_TIMEOUT_MS", "200")]).await;
    shop.sell("demo-chat", "1", "10").await;
    for (fault, status) in [("500", 502), ("429, no-retry-after", 502), ("401", 502), ("hang-up", 502), ("stall", 504)] {
        let channels = channels_of(&shop, &other.base_url()).await;
        shop.upstream.behave(&format!("{fault}, no-retry-after")).unwrap();
        other.behave(&format!("{fault}, no-retry-after")).unwrap();
        for body in [ask("demo-chat", "Hello"), ask_stream("demo-chat", "Hello")] {
            let customer = shop.customer(Usd::dollars(1)).await;
            let answer = shop.chat(&customer.key, body).await;
            assert!(!answer.headers().contains_key("x-farebox-cost-usd"));
            let (got, error) = error_of(answer).await;
            assert_eq!((got, &error["type"], &error["code"]), (status, &json!("api_error"), &json!("upstream_error")), "{fault}");
            let rows = shop.requests(customer.user.id).await;
            assert_eq!((rows.len(), rows[0].cost, rows[0].outcome.as_str(), rows[0].status), (1, Usd::ZERO, "upstream_error", i64::from(status)), "{fault}");
            assert_eq!((shop.available(customer.user.id).await, shop.open_holds().await), (Usd::dollars(1), 0));
        }
        shop.remove(&channels).await;
    }
    let customer = shop.customer(Usd::dollars(1)).await;
    let error = error_of(shop.chat(&customer.key, ask("demo-chat", "Hello")).await).await.1.to_string();
    assert!(!error.contains("first") && !error.contains("127.0.0.1"), "{error}");
    shop.finish().await;
}

#[tokio::test]
async fn a_request_that_the_upstream_refuses_is_told_as_it_is_and_no_other_channel_is_asked() {
    let bad = Upstream::start(Options::default()).await.unwrap();
    let shop = shop_behind(&bad.base_url(), &[]).await;
    for (fault, status, code) in [("400", 400, "bad_request"), ("404", 404, "model_not_found"), ("413", 413, "request_too_large"), ("422", 422, "bad_request")]
    {
        bad.behave(fault).unwrap();
        for body in [ask("demo-chat", "Hello"), ask_stream("demo-chat", "Hello")] {
            let customer = shop.customer(Usd::dollars(1)).await;
            let (got, error) = error_of(shop.chat(&customer.key, body).await).await;
            assert_eq!((got, &error["code"]), (status, &json!(code)));
            let rows = shop.requests(customer.user.id).await;
            assert_eq!((rows.len(), rows[0].cost, rows[0].status), (1, Usd::ZERO, i64::from(status)));
            assert_eq!((shop.available(customer.user.id).await, shop.open_holds().await), (Usd::dollars(1), 0));
        }
    }
    assert_eq!(shop.upstream.log().count(), 0, "the second channel was left in peace");
    shop.finish().await;
}

#[tokio::test]
async fn names_of_the_upstream_do_not_reach_the_customer() {
    let refuse = |body: String| vec![head("400 Bad Request", "application/json"), send(body)];
    let message = "channel reseller-nine at http://127.0.0.1 says upstream-key-of-the-test or token-of-the-proxy is wrong";
    let shop = TestApp::new().await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let cases = [
        (json!({"error": {"message": message, "type": "odd_reseller-nine", "param": "127.0.0.1", "code": 1210}}).to_string(), json!(1210)),
        (json!({"error": message}).to_string(), json!(null)),
        (json!({"detail": message}).to_string(), json!(null)),
        (json!({"message": message, "code": "x"}).to_string(), json!("x")),
        (format!("<html>{message}</html>"), json!(null)),
        (format!("{{\"error\":{{\"message\":\"{}\"}}}}", "long ".repeat(50_000)), json!(null)),
    ];
    for (n, (body, kept)) in cases.into_iter().enumerate() {
        let (wild, model) = (Wild::start(refuse(body.clone())).await, format!("demo-{n}"));
        shop.sell(&model, "1", "10").await;
        let headers = "x-proxy-auth: Bearer token-of-the-proxy\nx-team: blue".to_owned();
        let fields = ChannelFields { extra_headers: headers, ..TestApp::channel_fields("reseller-nine", &wild.base_url, &[&model]) };
        let id = shop.channel_as(None, &fields).await;
        let (status, error) = error_of(shop.chat(&customer.key, ask(&model, "Hello")).await).await;
        assert_eq!((status, &error["code"]), (400, &kept));
        let text = error.to_string();
        assert!(["reseller-nine", "127.0.0.1", "upstream-key", "token-of"].iter().all(|name| !text.contains(name)) && text.len() < 4000, "{text}");
        assert_eq!(text.contains("is wrong"), !body.starts_with('<') && body.len() < 1000, "{text}");
        channels::delete(&shop.app.db, &shop.app.kit, id).await.unwrap(); // the next one has its name
    }
    shop.finish().await;
}

#[tokio::test]
async fn priority_decides_and_equals_share_by_weight() {
    let shop = TestApp::new().await;
    shop.sell("demo-chat", "1", "10").await;
    let (left, right, spare) = (start().await, start().await, start().await);
    shop.channel("left", &left.base_url(), &["demo-chat"], 5).await;
    shop.channel("right", &right.base_url(), &["demo-chat"], 5).await;
    shop.channel("spare", &spare.base_url(), &["demo-chat"], 1).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    for n in 0..40 {
        assert_eq!(shop.chat(&customer.key, ask("demo-chat", &format!("[[tokens=2]] Hello {n}"))).await.status(), 200);
    }
    let (left, right) = (left.log().count(), right.log().count());
    assert_eq!((left + right, spare.log().count()), (40, 0));
    assert!(left > 0 && right > 0, "{left} and {right}: one in 2^39 by chance");
    shop.finish().await;
}

async fn start() -> Upstream {
    Upstream::start(Options::default()).await.unwrap()
}

#[tokio::test]
async fn a_stream_that_has_begun_stays_with_its_channel() {
    let wild = Wild::start(vec![stream_head(), send(word("one")), send("data: {\"error\":{\"message\":\"late\"}}\n\n")]).await;
    let shop = shop_behind(&wild.base_url, &[]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let text = shop.chat(&customer.key, ask_stream("demo-chat", "Hello")).await.text().await.unwrap();
    assert!(text.contains("\"one\"") && text.contains("upstream_error"), "{text}");
    assert_eq!((wild.asked(), shop.upstream.log().count()), (1, 0));
    shop.finish().await;
}
