//! Anthropic: thoughts, several tools, the cache, counting, refusals, errors in a stream.

use super::*;

fn thinking(model: &str, text: &str) -> Value {
    with(question(model, text), json!({"max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 1024}}))
}

fn tools() -> Value {
    let tool = |name: &str| json!({"name": name, "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}});
    json!({"tools": [tool("get_weather"), tool("get_time")]})
}

#[tokio::test]
async fn thoughts_words_and_calls_are_blocks_in_that_order() {
    let upstream = upstream().await;
    let body = with(thinking("claude-demo-preamble", "The weather and the time in Kyoto?"), tools());
    let whole = value(messages(&upstream, &body)).await;
    let blocks: Vec<&str> = whole["content"].as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap()).collect();
    assert_eq!(blocks, ["thinking", "text", "tool_use", "tool_use"]);
    let events = stream(messages(&upstream, &with(body.clone(), json!({"stream": true})))).await;
    assert_eq!(texts(&events, "/delta/thinking"), whole["content"][0]["thinking"].as_str().unwrap());
    assert_eq!(texts(&events, "/delta/signature"), whole["content"][0]["signature"].as_str().unwrap());
    assert_eq!(texts(&events, "/delta/text"), whole["content"][1]["text"].as_str().unwrap());
    for index in [2, 3] {
        let mine = events.iter().filter(|event| event["index"] == index).filter_map(|event| event["delta"]["partial_json"].as_str());
        assert_eq!(serde_json::from_str::<Value>(&mine.collect::<String>()).unwrap(), whole["content"][index]["input"]);
    }
    assert_eq!(events.iter().filter(|event| event["type"] == "ping").count(), 1);
    let last = &events[events.len() - 2];
    assert_eq!((&last["delta"]["stop_reason"], &last["usage"]["output_tokens"]), (&json!("tool_use"), &whole["usage"]["output_tokens"]));
    assert_eq!(last["usage"]["input_tokens"], whole["usage"]["input_tokens"]);
    let one = with(body, json!({"tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}));
    assert_eq!(value(messages(&upstream, &one)).await["content"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn thoughts_can_be_redacted_or_left_out_and_need_a_budget_that_fits() {
    let upstream = upstream().await;
    let redacted = value(messages(&upstream, &thinking("claude-redacted", "Hi"))).await;
    assert_eq!((&redacted["content"][0]["type"], redacted["content"][0]["data"].is_string()), (&json!("redacted_thinking"), true));
    let omitted = with(thinking("claude-demo", "Hi"), json!({"thinking": {"type": "adaptive", "display": "omitted"}}));
    let block = &value(messages(&upstream, &omitted)).await["content"][0];
    assert_eq!((&block["thinking"], block["signature"].as_str().unwrap().is_empty()), (&json!(""), false));
    for wrong in [json!({"thinking": {"type": "enabled", "budget_tokens": 100}}), json!({"max_tokens": 1024})] {
        assert_eq!(messages(&upstream, &with(thinking("claude-demo", "Hi"), wrong)).send().await.unwrap().status(), 400);
    }
}

#[tokio::test]
async fn a_strict_provider_checks_signatures_and_pairs() {
    let upstream = upstream().await;
    let asked = json!({"role": "user", "content": "The weather in Kyoto?"});
    let said = value(messages(&upstream, &with(thinking("claude-demo", "The weather in Kyoto?"), tools()))).await["content"].clone();
    let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": said[1]["id"], "content": "rain"}]});
    let body = |said: &Value| with(with(thinking("claude-strict", ""), tools()), json!({"messages": [asked, {"role": "assistant", "content": said}, result]}));
    let fine = value(messages(&upstream, &body(&said))).await;
    assert_eq!(fine["content"][1]["type"], "text", "{fine}");
    let mut forged = said.clone();
    forged[0]["thinking"] = json!("Something else.");
    let mut strange = said.clone();
    strange[1]["id"] = json!("toolu_other");
    for (wrong, message) in [(forged, "Invalid `signature`"), (strange, "unexpected `tool_use_id`"), (json!([{"type": "text", "text": ""}]), "non-empty")] {
        let refused = messages(&upstream, &body(&wrong)).send().await.unwrap();
        assert_eq!(refused.status(), 400);
        let error = refused.json::<Value>().await.unwrap();
        assert!(error["error"]["message"].as_str().unwrap().contains(message), "{error}");
    }
    let unknown = with(question("claude-strict", "Hi"), json!({"n": 2}));
    assert_eq!(value(messages(&upstream, &unknown)).await["error"]["message"], "n: Extra inputs are not permitted");
}

#[tokio::test]
async fn what_is_marked_goes_into_the_cache_and_comes_out_again() {
    let upstream = upstream().await;
    let mark = |ttl: &str| json!({"type": "text", "text": "Many words. ".repeat(20), "cache_control": {"type": "ephemeral", "ttl": ttl}});
    let ask = |model: &str, ttl: &str| with(question(model, "Hi"), json!({"system": [mark(ttl)]}));
    let long = 4 + count_tokens(&"Many words. ".repeat(20));
    for (model, ttl, parts) in [
        ("claude-caching-a", "1h", ["ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens"]),
        ("claude-caching-b", "5m", ["ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"]),
    ] {
        let first = value(messages(&upstream, &ask(model, ttl))).await["usage"].clone();
        assert_eq!((&first["cache_creation_input_tokens"], &first["cache_creation"][parts[0]]), (&json!(long), &json!(long)));
        assert_eq!((&first["cache_creation"][parts[1]], &first["cache_read_input_tokens"]), (&json!(0), &json!(0)));
        let second = value(messages(&upstream, &ask(model, ttl))).await["usage"].clone();
        assert_eq!((&second["cache_creation_input_tokens"], &second["cache_read_input_tokens"]), (&json!(0), &json!(long)));
        assert_eq!(second["input_tokens"], 1 + 4 + 3);
    }
    let parts = value(messages(&upstream, &question("claude-cache-write-2-cache-write-1h-3", "Many more words than five"))).await["usage"].clone();
    assert_eq!(parts["cache_creation"], json!({"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3}));
    assert_eq!(parts["cache_creation_input_tokens"], 5);
}

#[tokio::test]
async fn tokens_are_counted_without_an_answer_and_pictures_and_documents_count() {
    let upstream = upstream().await;
    let content = json!([
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}},
        {"type": "text", "text": "See"},
    ]);
    let body = json!({"model": "claude-demo", "messages": [{"role": "user", "content": content}]});
    let count = value(post(&upstream, "/v1/messages/count_tokens", &body).header("anthropic-version", "2023-06-01")).await;
    assert_eq!(count, json!({"input_tokens": 1 + 4 + 3 + PICTURE_TOKENS + DOCUMENT_TOKENS}));
    let answer = value(messages(&upstream, &with(body, json!({"max_tokens": 9})))).await;
    assert_eq!(answer["usage"]["input_tokens"], count["input_tokens"]);
}

#[tokio::test]
async fn answers_end_for_many_reasons_and_streams_can_fail() {
    let upstream = upstream().await;
    let reasons = [("refuse", "refusal"), ("filtered", "refusal"), ("pause-turn", "pause_turn"), ("context-full", "model_context_window_exceeded")];
    for (switch, reason) in reasons {
        let answer = value(messages(&upstream, &question(&format!("claude-{switch}"), "Hi"))).await;
        assert_eq!(answer["stop_reason"], reason);
        assert_eq!(answer["stop_details"]["type"] == "refusal", reason == "refusal");
    }
    let blocked = value(messages(&upstream, &question("claude-blocked", "Hi"))).await;
    assert_eq!((&blocked["content"], &blocked["stop_reason"]), (&json!([]), &json!("refusal")));
    let failed = stream(messages(&upstream, &streaming("claude-overload-2", "Hi"))).await;
    assert_eq!(failed.last().unwrap()["error"]["type"], "overloaded_error");
    let lean = stream(messages(&upstream, &streaming("claude-lean-usage-tokens-4", "Hi"))).await;
    assert_eq!(lean[lean.len() - 2]["usage"], json!({"output_tokens": 4}));
}
