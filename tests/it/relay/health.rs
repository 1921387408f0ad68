//! What takes an upstream out of use and what brings it back, end to end.

use super::{ask, ask_stream, read_words};
use crate::harness::TestApp;
use farebox::channels::Standing;
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
