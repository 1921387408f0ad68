//! Where the numbers of a charge come from: the upstream's report, or, when there is none, the real tokenizer.

use super::{INPUT, OUTPUT, ask, ask_stream, chunks, input_tokens, model, words};
use crate::harness::TestApp;
use farebox::catalog::ModelFields;
use farebox::demo::upstream::count_tokens;
use farebox::kernel::Usd;
use serde_json::{Value, json};

#[tokio::test]
async fn cached_input_has_its_own_price() {
    let shop = TestApp::new().await;
    shop.sell_as(ModelFields { cached_input: "0.25".to_owned(), ..model("demo-chat", "1", "10") }).await;
    shop.channel("upstream", &shop.upstream.base_url(), &["demo-chat"], 0).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let text = format!("[[cached=50, tokens=30]] {}", "again and ".repeat(60));
    for body in [ask("demo-chat", &text), ask_stream("demo-chat", &text)] {
        let before = shop.available(customer.user.id).await;
        shop.chat(&customer.key, body).await.text().await.unwrap();
        let fresh = input_tokens(&text) - 50;
        let cost = Usd(fresh * INPUT + 50 * 250 + 30 * OUTPUT);
        assert_eq!(before - shop.available(customer.user.id).await, cost);
        let row = &shop.requests(customer.user.id).await[0];
        assert_eq!((row.input_tokens, row.cached_tokens, row.output_tokens, row.cost), (fresh, 50, 30, cost));
    }
    shop.finish().await;
}

#[tokio::test]
async fn usage_that_does_not_come_is_counted_and_marked() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let text = "[[no-usage, tokens=42]] Tell me about the sea";
    for stream in [false, true] {
        let answer = shop.chat(&customer.key, if stream { ask_stream("demo-chat", text) } else { ask("demo-chat", text) }).await;
        assert_eq!(answer.status(), 200);
        let answer = answer.text().await.unwrap();
        let said = if stream {
            words(&answer)
        } else {
            serde_json::from_str::<Value>(&answer).unwrap()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
        };
        let row = &shop.requests(customer.user.id).await[0];
        assert!(row.counted && row.outcome == "complete");
        assert_eq!((row.input_tokens, row.output_tokens), (input_tokens(text), count_tokens(&said) as i64));
        assert_eq!(row.cost, Usd(row.input_tokens * INPUT + row.output_tokens * OUTPUT));
    }
    let all: Usd = shop.requests(customer.user.id).await.iter().map(|row| row.cost).sum();
    assert_eq!(shop.spent(&customer, Usd::dollars(1)).await, all);
    shop.finish().await;
}

#[tokio::test]
async fn calls_of_tools_pass_and_count() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let tools =
        json!([{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]);
    for (directive, stream) in [("", false), ("", true), ("[[no-usage]] ", false), ("[[no-usage]] ", true)] {
        let text = format!("{directive}What is the weather in Kyoto?");
        let mut body = if stream { ask_stream("demo-chat", &text) } else { ask("demo-chat", &text) };
        body["tools"] = tools.clone();
        let answer = shop.chat(&customer.key, body).await.text().await.unwrap();
        assert!(answer.contains("get_weather") && (stream || answer.contains("Kyoto")), "{answer}");
        let (row, served) = (&shop.requests(customer.user.id).await[0], shop.upstream.log().last().unwrap());
        assert_eq!(row.counted, !directive.is_empty());
        let arguments = served.text.clone();
        let expected = count_tokens("get_weather") + count_tokens(&arguments);
        // Counted as one text, the two may meet in a token.
        assert!((row.output_tokens - expected as i64).abs() <= 1, "{} for {expected}", row.output_tokens);
        assert!(row.input_tokens >= input_tokens(&text) + 20, "the definition of the tool is input: {row:?}");
    }
    shop.finish().await;
}

#[tokio::test]
async fn the_usage_chunk_is_asked_for_always_and_passed_on_only_when_asked_for() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    for (options, passed_on) in [
        (None, false),
        (Some(json!(null)), false),
        (Some(json!({})), false),
        (Some(json!({"include_usage": false, "include_obfuscation": false})), false),
        (Some(json!({"include_usage": null, "x": {"y": [1]}})), false),
        (Some(json!({"include_usage": true, "include_obfuscation": true})), true),
    ] {
        let mut body = ask_stream("demo-chat", "[[tokens=10]] Hello");
        if let Some(options) = &options {
            body["stream_options"] = options.clone();
        }
        let text = shop.chat(&customer.key, body).await.text().await.unwrap();
        let asked = shop.upstream.log().last().unwrap();
        let mut expected = options.clone().filter(|options| !options.is_null()).unwrap_or(json!({}));
        expected["include_usage"] = json!(true);
        assert_eq!(asked.body["stream_options"], expected, "everything else in it stays");
        let told: Vec<Value> = chunks(&text).into_iter().filter(|chunk| chunk["usage"].is_object()).collect();
        assert_eq!(told.len(), usize::from(passed_on), "{options:?}: {text}");
        let row = &shop.requests(customer.user.id).await[0];
        assert_eq!((row.output_tokens, row.counted), (10, false));
        assert!(told.iter().all(|chunk| chunk["usage"]["completion_tokens"] == 10));
    }
    shop.finish().await;
}

#[tokio::test]
async fn a_stream_may_be_cut_into_bytes_in_any_way() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let plain = words(&shop.chat(&customer.key, ask_stream("demo-chat", "[[tokens=25]] Hello")).await.text().await.unwrap());
    for switch in ["split", "crlf", "comments", "inline-usage", "reasoning=9"] {
        let text = shop.chat(&customer.key, ask_stream("demo-chat", &format!("[[tokens=25, {switch}]] Hello"))).await.text().await.unwrap();
        assert_eq!(words(&text), plain, "{switch}");
        assert!(text.ends_with("data: [DONE]\n\n"), "{switch}: {text}");
        let row = &shop.requests(customer.user.id).await[0];
        let thought = if switch == "reasoning=9" { 9 } else { 0 };
        assert_eq!((row.output_tokens, row.counted, row.outcome.as_str()), (25 + thought, false, "complete"), "{switch}");
    }
    shop.finish().await;
}

#[tokio::test]
async fn what_costs_nothing_needs_no_balance() {
    let shop = TestApp::new().await;
    shop.sell("demo-chat", "0", "0").await;
    shop.channel("upstream", &shop.upstream.base_url(), &["demo-chat"], 0).await;
    let customer = shop.customer(Usd::ZERO).await;
    let answer = shop.chat(&customer.key, ask("demo-chat", "Hello")).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["x-farebox-cost-usd"].to_str().unwrap()), (200, "0"));
    shop.chat(&customer.key, ask_stream("demo-chat", "Hello")).await.text().await.unwrap();
    let rows = shop.requests(customer.user.id).await;
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.cost == Usd::ZERO && row.output_tokens > 0), "{rows:?}");
    shop.finish().await;
}

#[tokio::test]
async fn a_price_below_a_nano_dollar_rounds_up_once() {
    let shop = TestApp::new().await;
    shop.sell("demo-chat", "0.000000001", "0.0003").await;
    shop.channel("upstream", &shop.upstream.base_url(), &["demo-chat"], 0).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let answer = shop.chat(&customer.key, ask("demo-chat", "[[tokens=10]] Hello")).await;
    // 10 tokens at 0.3 nano-dollars and a little input: 3.00001, so 4.
    assert_eq!(answer.headers()["x-farebox-cost-usd"], "0.000000004");
    assert_eq!(shop.spent(&customer, Usd::dollars(1)).await, Usd(4));
    shop.finish().await;
}
