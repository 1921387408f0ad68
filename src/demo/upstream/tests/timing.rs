//! When answers come: gates, stalls, pace, and what happens when one side goes away.

use super::*;

#[tokio::test]
async fn a_stalled_answer_notices_that_the_caller_left() {
    let upstream = upstream().await;
    let request = tokio::spawn(chat(&upstream, &question("demo-stall", "Go")).send());
    let silent = |requests: &[Served]| requests.iter().any(|request| request.outcome == Outcome::Silent);
    assert_eq!(upstream.log().wait_until(silent).await.unwrap()[0].status, 0);
    request.abort();
    assert_eq!(outcome(&upstream).await.outcome, Outcome::CallerLeft);

    upstream.log().clear();
    let mut response = chat(&upstream, &streaming("demo-stall-2", "Go")).send().await.unwrap();
    assert_eq!(events(&read_events(&mut response, 3).await).len(), 3);
    assert_eq!(upstream.log().wait_until(silent).await.unwrap()[0].chunks, 2);
    drop(response);
    assert_eq!(outcome(&upstream).await.outcome, Outcome::CallerLeft);
}

#[tokio::test]
async fn a_gate_holds_an_answer_until_it_is_released() {
    let upstream = upstream().await;
    let mut response = chat(&upstream, &streaming("demo-gate-2", "Go")).send().await.unwrap();
    let start = read_events(&mut response, 3).await;
    let held = upstream.log().wait_held().await.unwrap();
    assert_eq!((held[0].chunks, held[0].text.clone()), (2, said(&events(&start), 0)));
    upstream.release_gate();
    let (rest, end) = drain(response).await;
    assert!(end.is_ok() && rest.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(outcome(&upstream).await.outcome, Outcome::Completed);

    let mut response = chat(&upstream, &streaming("demo-gate-2", "Go")).send().await.unwrap();
    read_events(&mut response, 3).await;
    upstream.log().wait_held().await.unwrap();
    drop(response);
    let left = outcome(&upstream).await;
    assert_eq!((left.outcome, left.chunks), (Outcome::CallerLeft, 2));
}

#[tokio::test]
async fn a_gate_can_stand_before_the_first_byte() {
    let upstream = upstream().await;
    for body in [question("demo-gate", "Go"), question("demo-gate-0", "Go"), streaming("demo-gate-0", "Go")] {
        let request = tokio::spawn(chat(&upstream, &body).send());
        assert_eq!(upstream.log().wait_held().await.unwrap().last().unwrap().status, 0);
        assert!(!request.is_finished());
        upstream.release_gate();
        assert_eq!(request.await.unwrap().unwrap().status(), 200);
        upstream.log().wait_idle().await.unwrap();
    }
}

#[tokio::test]
async fn stopping_closes_the_port_and_breaks_answers_off() {
    let upstream = upstream().await;
    let (url, log) = (upstream.base_url(), upstream.log().clone());
    let mut response = chat(&upstream, &streaming("demo-stall-2", "Go")).send().await.unwrap();
    read_events(&mut response, 3).await;
    upstream.stop().await;
    assert_eq!(log.last().unwrap().outcome, Outcome::Stopped);
    assert!(drain(response).await.1.is_err());
    assert!(client().get(url + "/v1/models").send().await.unwrap_err().is_connect());
}

#[tokio::test]
async fn only_loopback_and_only_so_much_memory() {
    let everywhere = Options { listen: "0.0.0.0:0".parse().unwrap(), ..Options::default() };
    assert!(matches!(Upstream::start(everywhere).await, Err(StartError::NotLoopback(_))));
    let upstream = Upstream::start(Options { remember: 2, ..Options::default() }).await.unwrap();
    for _ in 0..5 {
        value(chat(&upstream, &question("demo-chat", "Hi"))).await;
    }
    let numbers: Vec<u64> = upstream.log().requests().iter().map(|request| request.number).collect();
    assert_eq!((numbers, upstream.log().count()), (vec![4, 5], 5));
}

#[tokio::test]
async fn a_pace_is_kept() {
    let upstream = Upstream::start(Options { pace: Pace { first_byte_ms: 30, chunk_ms: 5 }, ..Options::default() }).await.unwrap();
    let start = tokio::time::Instant::now();
    let response = chat(&upstream, &streaming("demo-tokens-20", "Go")).send().await.unwrap();
    assert!(start.elapsed().as_millis() >= 30);
    response.text().await.unwrap();
    assert!(start.elapsed().as_millis() >= 30 + 20 * 5);
}
