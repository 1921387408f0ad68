//! Upstreams that talk nonsense after the first byte: what was delivered is charged, nothing else.

use super::wild::{DONE, Step, Wild, head, send, stream_head, usage, word};
use super::{INPUT, OUTPUT, ask, ask_stream, chunks, error_of, input_tokens, words};
use crate::harness::TestApp;
use crate::harness::app::Customer;
use farebox::demo::upstream::count_tokens;
use farebox::kernel::Usd;
use serde_json::json;

/// Input tokens, output tokens, and whether they were counted.
type Report = (i64, i64, bool);

/// The stream ends with an error event in the dialect, and the row says that its words were counted and charged.
async fn broke_off(shop: &TestApp, customer: &Customer, question: &str, text: &str, what: &str) {
    assert!(!text.contains("[DONE]"), "{what}: {text}");
    let events = chunks(text);
    let error = &events.last().expect("an event")["error"];
    assert_eq!((&error["type"], &error["code"]), (&json!("api_error"), &json!("upstream_error")), "{what}: {text}");
    assert_eq!(text.matches("\"error\"").count(), 1, "{what}: only ours: {text}");
    let said: String = words(text);
    let row = &shop.requests(customer.user.id).await[0];
    assert_eq!((row.outcome.as_str(), row.counted), ("upstream_error", true), "{what}");
    assert_eq!((row.input_tokens, row.output_tokens), (input_tokens(question), count_tokens(&said) as i64), "{what}: {said}");
    assert_eq!(row.cost, Usd(row.input_tokens * INPUT + row.output_tokens * OUTPUT), "{what}");
    assert!(!said.is_empty(), "{what}");
    let all: Usd = shop.requests(customer.user.id).await.iter().map(|row| row.cost).sum();
    assert_eq!((shop.spent(customer, Usd::dollars(1)).await, shop.open_holds().await), (all, 0), "{what}");
}

/// Sells a model of its own through this upstream.
async fn sell_through(shop: &TestApp, wild: &Wild, n: usize) -> String {
    let model = format!("demo-{n}");
    shop.sell(&model, "1", "10").await;
    shop.channel(&format!("wild {n}"), &wild.base_url, &[&model], 0).await;
    model
}

#[tokio::test]
async fn a_stream_that_breaks_is_charged_for_what_was_delivered() {
    let shop = TestApp::with(&[("UPSTREAM_IDLE_TIMEOUT_MS", "300")]).await;
    shop.sell("demo-chat", "1", "10").await;
    let customer = shop.customer(Usd::dollars(1)).await;
    for switch in ["cut=4", "short=4", "torn=4", "error-event=4", "bad-sse=4", "noise=4", "stall=4", "negative-usage", "absurd-usage"] {
        let channel = shop.channel("upstream", &shop.upstream.base_url(), &["demo-chat"], 0).await;
        let question = format!("[[tokens=12, {switch}]] Hello");
        let answer = shop.chat(&customer.key, ask_stream("demo-chat", &question)).await;
        assert_eq!(answer.status(), 200, "{switch}");
        let text = answer.text().await.unwrap_or_else(|error| panic!("{switch}: the stream ends well towards the client: {error}"));
        broke_off(&shop, &customer, &question, &text, switch).await;
        assert!(!text.contains("org-upstream"), "{switch}: names stay here: {text}");
        shop.remove(&[channel]).await;
    }
    shop.upstream.log().wait_idle().await.expect("no connection to the upstream is left");
    shop.finish().await;
}

#[tokio::test]
async fn events_that_keep_no_rule_end_the_stream() {
    let endless = [stream_head(), send(word("one")), send("data: {\"choices\":[{\"delta\":{\"content\":\""), Step::Repeat(vec![b'x'; 64 * 1024], 4096)];
    let tail = |text: &str| vec![stream_head(), send(word("one")), send(text), send(word("never"))];
    let cases: Vec<(&str, Vec<Step>)> = vec![
        ("an endless event", endless.into()),
        ("no JSON", tail("data: hello\n\n")),
        ("an array", tail("data: []\n\n")),
        ("usage that is no object", tail("data: {\"choices\":[],\"usage\":[1]}\n\n")),
        ("negative usage", tail(&usage(5, -1))),
        ("fractional usage", tail("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1.5,\"completion_tokens\":1}}\n\n")),
        (
            "more cached than there was",
            tail("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"prompt_tokens_details\":{\"cached_tokens\":7}}}\n\n"),
        ),
        ("invalid UTF-8 around an error", vec![stream_head(), send(word("one")), Step::Send(b"data: {\"error\":\"\xff\"}\n\n".to_vec())]),
    ];
    let shop = TestApp::new().await;
    for (n, (what, steps)) in cases.into_iter().enumerate() {
        let (wild, customer) = (Wild::start(steps).await, shop.customer(Usd::dollars(1)).await);
        let model = sell_through(&shop, &wild, n).await;
        let text = shop.chat(&customer.key, ask_stream(&model, "Hello")).await.text().await.unwrap();
        broke_off(&shop, &customer, "Hello", &text, what).await;
        assert!(!text.contains("never"), "{what}");
        if what == "an endless event" {
            shop.until("the upstream is hung up on", || async { wild.left() == 1 }).await;
        }
    }
    shop.finish().await;
}

#[tokio::test]
async fn odd_but_honest_streams_are_charged_as_they_report() {
    let odd = |events: &[String]| vec![stream_head(), send(events.concat())];
    let both = "data: {\"choices\":[{\"delta\":{\"reasoning\":\"hm\",\"reasoning_content\":\"hm\",\"content\":\"one\"}}],\"usage\":{}}\n\n".to_owned();
    let cases: [(&str, Vec<Step>, Report); 6] = [
        ("usage twice: the last one stands", odd(&[word("one"), usage(5, 1), usage(5, 9), DONE.to_owned()]), (5, 9, false)),
        ("no space after the colon", odd(&[word("one").replace("data: ", "data:"), usage(3, 2), DONE.replace(": ", ":")]), (3, 2, false)),
        ("events with names and ids", odd(&[format!("event: message\nid: 7\n{}", word("one")), usage(3, 2), DONE.to_owned()]), (3, 2, false)),
        ("more after the end", odd(&[word("one"), usage(3, 2), DONE.to_owned(), usage(900, 900)]), (3, 2, false)),
        ("usage without numbers", odd(&[word("one"), both, DONE.to_owned()]), (input_tokens("Hello"), count_tokens("oneonehm") as i64, true)),
        (
            "half a report",
            odd(&[word("one two"), "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4}}\n\n".to_owned(), DONE.to_owned()]),
            (input_tokens("Hello"), 2, true),
        ),
    ];
    let shop = TestApp::new().await;
    for (n, (what, steps, (input, output, counted))) in cases.into_iter().enumerate() {
        let (wild, customer) = (Wild::start(steps).await, shop.customer(Usd::dollars(1)).await);
        let model = sell_through(&shop, &wild, n).await;
        let text = shop.chat(&customer.key, ask_stream(&model, "Hello")).await.text().await.unwrap();
        assert!(text.ends_with(DONE) && text.contains("one"), "{what}: {text}");
        let row = &shop.requests(customer.user.id).await[0];
        assert_eq!((row.input_tokens, row.output_tokens, row.counted, row.outcome.as_str()), (input, output, counted, "complete"), "{what}");
    }
    shop.finish().await;
}

#[tokio::test]
async fn a_whole_answer_that_is_nonsense_is_a_502_and_free() {
    let shop = TestApp::with(&[("UPSTREAM_IDLE_TIMEOUT_MS", "300")]).await;
    shop.sell("demo-chat", "1", "10").await;
    let customer = shop.customer(Usd::dollars(1)).await;
    for (switch, status) in
        [("negative-usage", 502), ("absurd-usage", 502), ("bad-json", 502), ("html", 502), ("cut", 502), ("torn", 502), ("error-event", 502), ("stall=1", 504)]
    {
        let channel = shop.channel("upstream", &shop.upstream.base_url(), &["demo-chat"], 0).await;
        let (got, error) = error_of(shop.chat(&customer.key, ask("demo-chat", &format!("[[{switch}]] Hello"))).await).await;
        shop.remove(&[channel]).await;
        assert_eq!((got, &error["code"]), (status, &json!("upstream_error")), "{switch}");
        let row = &shop.requests(customer.user.id).await[0];
        assert_eq!((row.cost, row.outcome.as_str(), row.status), (Usd::ZERO, "upstream_error", i64::from(status)), "{switch}");
    }
    assert_eq!((shop.available(customer.user.id).await, shop.open_holds().await), (Usd::dollars(1), 0));
    shop.finish().await;
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let wild =
        Wild::start(vec![head("200 OK", "application/json"), send("{\"choices\":[{\"message\":{\"content\":\""), Step::Repeat(vec![b'x'; 1 << 20], 1000)])
            .await;
    let shop = TestApp::new().await;
    shop.sell("demo-chat", "1", "10").await;
    shop.channel("wild", &wild.base_url, &["demo-chat"], 0).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let (status, error) = error_of(shop.chat(&customer.key, ask("demo-chat", "Hello")).await).await;
    assert_eq!((status, &error["code"]), (502, &json!("upstream_error")));
    shop.until("the upstream is hung up on", || async { wild.left() == 1 }).await;
    assert_eq!((shop.available(customer.user.id).await, shop.open_holds().await), (Usd::dollars(1), 0));
    shop.finish().await;
}

#[tokio::test]
async fn a_stream_without_end_is_cut_at_the_cap_that_was_asked_for() {
    let wild = Wild::start(vec![stream_head(), Step::Repeat(word(" one two").into_bytes(), 1_000_000)]).await;
    let shop = TestApp::new().await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let model = sell_through(&shop, &wild, 0).await;
    let mut body = ask_stream(&model, "Hello");
    body["max_tokens"] = json!(50);
    let text = shop.chat(&customer.key, body).await.text().await.unwrap();
    broke_off(&shop, &customer, "Hello", &text, "no end").await;
    shop.until("the upstream is hung up on", || async { wild.left() == 1 }).await;
    shop.finish().await;
}

#[tokio::test]
async fn an_answer_that_nobody_limited_is_cut_where_its_cost_reaches_what_is_held() {
    let steps = vec![stream_head(), Step::Repeat(word(" one two").into_bytes(), 66_000), send(usage(10, 132_000)), send(DONE)];
    let wild = Wild::start(steps).await;
    let shop = TestApp::new().await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let model = sell_through(&shop, &wild, 0).await;
    let text = shop.chat(&customer.key, ask_stream(&model, "Hello")).await.text().await.unwrap();
    broke_off(&shop, &customer, "Hello", &text, "nobody set a limit").await;
    // 32,768 tokens are held for; a tenth more is forgiven, and what one look at a piece of the stream may miss.
    let row = &shop.requests(customer.user.id).await[0];
    assert!((32_768..=40_000).contains(&row.output_tokens), "{}", row.output_tokens);
    shop.finish().await;
}

#[tokio::test]
async fn an_upstream_that_ignores_the_cap_cannot_overdraw_anybody() {
    let long = "word ".repeat(2_000);
    let wild = Wild::start(vec![stream_head(), send(word(&long)), send(usage(10, 5_000_000)), send(DONE)]).await;
    let shop = TestApp::new().await;
    shop.sell("demo-chat", "1", "10").await;
    shop.channel("wild", &wild.base_url, &["demo-chat"], 0).await;
    let customer = shop.customer(Usd(1_000_000)).await;
    let text = shop.chat(&customer.key, ask_stream("demo-chat", "Hello")).await.text().await.unwrap();
    assert!(text.ends_with(DONE));
    let row = &shop.requests(customer.user.id).await[0];
    assert_eq!((shop.available(customer.user.id).await, row.cost, row.output_tokens), (Usd::ZERO, Usd(1_000_000), 2_001));
    shop.finish().await;
}
