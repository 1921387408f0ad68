//! What takes an upstream out of use and what brings it back, end to end.

use super::wild::{Wild, send};
use super::{ask, ask_stream, read_words};
use crate::harness::TestApp;
use farebox::channels::{ChannelFields, Standing};
use farebox::demo::upstream::{Options, Upstream};
use farebox::kernel::{Id, Usd};

/// A shop with two channels for `demo-mini`: one at an upstream of its own that is asked first, and one that always answers.
pub(super) async fn beside_a_steady_one() -> (TestApp, Upstream, Id) {
    let first = Upstream::start(Options::default()).await.unwrap();
    let shop = TestApp::new().await;
    shop.sell("demo-mini", "1", "10").await;
    let id = shop.channel("first", &first.base_url(), &["demo-mini"], 5).await;
    shop.channel("steady", &shop.upstream.base_url(), &["demo-mini"], 0).await;
    (shop, first, id)
}

#[tokio::test]
async fn an_answer_that_was_under_way_does_not_end_the_pause_that_was_asked_for() {
    let (shop, limited, id) = beside_a_steady_one().await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let mut stream = shop.chat(&customer.key, ask_stream("demo-mini", "[[gate=3, tokens=9]] Hello")).await;
    read_words(&mut stream, 3).await;
    limited.behave("429, retry-after=600").unwrap();
    assert_eq!(shop.chat(&customer.key, ask("demo-mini", "Question")).await.status(), 200);
    limited.behave("").unwrap();
    limited.release_gate();
    assert!(stream.text().await.unwrap().contains("[DONE]"));
    shop.settled(&customer, 2).await;
    for n in 0..3 {
        assert_eq!(shop.chat(&customer.key, ask("demo-mini", &format!("Question {n}"))).await.status(), 200);
    }
    assert_eq!((limited.log().count(), shop.upstream.log().count()), (2, 4), "the first stream and the refusal, then nothing");
    assert_eq!(shop.app.channels.find(id).unwrap().health().view().keys, [Standing::Open]);
    shop.finish().await;
    limited.stop().await;
}

/// An answer of these bytes from an upstream that would be asked again if it had asked for nothing.
async fn pauses(kind: &str, answer: String) -> u64 {
    let wild = Wild::start(vec![send(answer)]).await;
    let shop = TestApp::new().await;
    shop.sell("demo-mini", "1", "10").await;
    let fields = TestApp::channel_fields("first", &wild.base_url, &["demo-mini"]);
    shop.channel_as(None, &ChannelFields { kind: kind.into(), priority: "5".into(), ..fields }).await;
    let steady = shop.channel("steady", &shop.upstream.base_url(), &["demo-mini"], 0).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    for n in 0..3 {
        assert_eq!(shop.chat(&customer.key, ask("demo-mini", &format!("Question {n}"))).await.status(), 200);
    }
    assert_eq!(wild.asked(), 1, "once is enough when it says for how long");
    shop.remove(&[steady]).await;
    let answer = shop.chat(&customer.key, ask("demo-mini", "Hello")).await;
    assert_eq!(answer.status(), 503);
    let pause = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    shop.finish().await;
    pause
}

#[tokio::test]
async fn a_pause_is_understood_in_whatever_words_it_is_asked_for() {
    let status = |status: &str, headers: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\n{headers}content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
    };
    let google = r#"{"error":{"code":429,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"605.5s"}]}}"#;
    let dates = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 08:59:42 GMT\r\n";
    let cases = [
        ("openai", status("429 Too Many Requests", "retry-after-ms: 605500\r\n", "{}")),
        ("openai", status("503 Service Unavailable", dates, "{}")),
        ("anthropic", status("529 Overloaded", "retry-after: 605\r\n", "{}")),
        ("openai", status("409 Conflict", "retry-after: 605\r\n", "{}")),
        ("gemini", status("429 Too Many Requests", "", google)),
        ("openai", status("429 Too Many Requests", "", &format!("[{google}]"))),
    ];
    for (kind, answer) in cases {
        let pause = pauses(kind, answer.clone()).await;
        assert!((595..=667).contains(&pause), "{pause} s after {answer}");
    }
}
