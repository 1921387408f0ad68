//! Answers that are right: words, usage, caps, choices, tools, keys, in both dialects.

use super::*;

#[tokio::test]
async fn the_usage_of_an_answer_counts_its_words() {
    let upstream = upstream().await;
    let answer = value(chat(&upstream, &question("demo-chat", "How do ships float?"))).await;
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.starts_with("You asked: “How do ships float?”."), "{text}");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["usage"]["completion_tokens"], count_tokens(text));
    assert_eq!(answer["usage"]["prompt_tokens"], count_tokens("How do ships float?") + 7);
    assert_eq!(answer["usage"]["total_tokens"], count_tokens(text) + count_tokens("How do ships float?") + 7);
    let served = outcome(&upstream).await;
    assert_eq!((served.status, served.outcome, served.text.as_str(), served.model()), (200, Outcome::Completed, text, "demo-chat"));
    assert_eq!(served.output_tokens, count_tokens(text));
}

#[tokio::test]
async fn a_stream_says_the_same_as_an_answer_at_once() {
    let upstream = upstream().await;
    for text in ["Why is the sky blue?", "为什么天空是蓝色的？请简单解释。"] {
        let whole = value(chat(&upstream, &question("demo-chat", text))).await;
        let response = chat(&upstream, &streaming("demo-chat", text)).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        let events = events(&response.text().await.unwrap());
        assert_eq!(whole["choices"][0]["message"]["content"], said(&events, 0));
        assert_eq!(events.last().unwrap(), "[DONE]");
        let usage = &events[events.len() - 2];
        assert_eq!((&usage["choices"], &usage["usage"]), (&json!([]), &whole["usage"]));
        assert_eq!(events[0]["usage"], Value::Null);
        assert_eq!(events[events.len() - 3]["choices"][0]["finish_reason"], "stop");
    }
}

#[tokio::test]
async fn usage_is_streamed_only_to_those_who_ask() {
    let upstream = upstream().await;
    let body = with(question("demo-chat", "Hi"), json!({"stream": true}));
    let text = chat(&upstream, &body).send().await.unwrap().text().await.unwrap();
    assert!(!text.contains("usage"), "{text}");
    let inline = events(&chat(&upstream, &with(body, json!({"model": "demo-inline-usage"}))).send().await.unwrap().text().await.unwrap());
    let last = &inline[inline.len() - 2];
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert!(last["usage"]["completion_tokens"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn an_output_cap_is_kept_to_the_token() {
    let upstream = upstream().await;
    for cap in [json!({"max_tokens": 5}), json!({"max_tokens": 500, "max_completion_tokens": 5})] {
        let answer = value(chat(&upstream, &with(question("demo-chat", "Tell me a lot"), cap))).await;
        assert_eq!((&answer["usage"]["completion_tokens"], &answer["choices"][0]["finish_reason"]), (&json!(5), &json!("length")));
    }
    let exact = value(chat(&upstream, &question("demo-tokens-123", "Tell me a lot"))).await;
    assert_eq!((&exact["usage"]["completion_tokens"], &exact["choices"][0]["finish_reason"]), (&json!(123), &json!("stop")));
    let thinking = value(chat(&upstream, &with(question("demo-reasoning-8", "Think"), json!({"max_tokens": 20})))).await;
    assert_eq!(thinking["usage"]["completion_tokens"], 20);
    assert_eq!(thinking["usage"]["completion_tokens_details"]["reasoning_tokens"], 8);
    assert_eq!(count_tokens(thinking["choices"][0]["message"]["content"].as_str().unwrap()), 12);
}

#[tokio::test]
async fn several_choices_differ_and_are_all_counted() {
    let upstream = upstream().await;
    let answer = value(chat(&upstream, &with(question("demo-chat", "Choose"), json!({"n": 3})))).await;
    let texts: Vec<&str> = answer["choices"].as_array().unwrap().iter().map(|choice| choice["message"]["content"].as_str().unwrap()).collect();
    assert_eq!(texts.len(), 3);
    assert!(texts[0] != texts[1] && texts[1] != texts[2]);
    assert_eq!(answer["usage"]["completion_tokens"], texts.iter().map(|text| count_tokens(text)).sum::<u64>());
    let stream = events(&chat(&upstream, &with(streaming("demo-chat", "Choose"), json!({"n": 3}))).send().await.unwrap().text().await.unwrap());
    assert_eq!(vec![said(&stream, 0), said(&stream, 1), said(&stream, 2)], texts);
    for n in [json!(0), json!(-1), json!(1e9), json!("two")] {
        let refused = chat(&upstream, &with(question("demo-chat", "Choose"), json!({"n": n}))).send().await.unwrap();
        assert_eq!(refused.status(), 400);
        assert_eq!(refused.json::<Value>().await.unwrap()["error"]["param"], "n");
    }
}

#[tokio::test]
async fn stop_sequences_end_the_words_before_them() {
    let upstream = upstream().await;
    let body = question("demo-echo", "one two three four");
    let answer = value(chat(&upstream, &with(body.clone(), json!({"stop": ["four", " three"]})))).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "one two");
    assert_eq!((&answer["usage"]["completion_tokens"], &answer["choices"][0]["finish_reason"]), (&json!(2), &json!("stop")));
    let answer = value(messages(&upstream, &with(body, json!({"stop_sequences": [" three"]})))).await;
    assert_eq!(answer["content"][0]["text"], "one two");
    assert_eq!((&answer["stop_reason"], &answer["stop_sequence"]), (&json!("stop_sequence"), &json!(" three")));
}

fn weather_schema() -> Value {
    let properties = json!({"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["celsius", "kelvin"]}});
    json!({"type": "object", "properties": properties, "required": ["city"]})
}

#[tokio::test]
async fn a_tool_is_called_with_arguments_that_fit_its_schema() {
    let upstream = upstream().await;
    let tools = json!({"tools": [{"type": "function", "function": {"name": "get_weather", "parameters": weather_schema()}}]});
    let body = with(streaming("demo-chat", "What will the weather be in Kyoto?"), tools.clone());
    let whole = value(chat(&upstream, &with(body.clone(), json!({"stream": false})))).await;
    let call = &whole["choices"][0]["message"]["tool_calls"][0];
    let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!((&arguments["city"], &arguments["unit"]), (&json!("Kyoto"), &json!("celsius")));
    assert!(arguments["days"].is_u64());
    assert_eq!((&call["function"]["name"], &whole["choices"][0]["finish_reason"]), (&json!("get_weather"), &json!("tool_calls")));
    assert!(whole["choices"][0]["message"]["content"].is_null());

    let stream = events(&chat(&upstream, &body).send().await.unwrap().text().await.unwrap());
    let parts: Vec<&Value> = stream.iter().map(|event| &event["choices"][0]["delta"]["tool_calls"][0]).filter(|part| part.is_object()).collect();
    assert_eq!(parts[0]["function"]["name"], "get_weather");
    let joined: String = parts.iter().map(|part| part["function"]["arguments"].as_str().unwrap()).collect();
    assert_eq!(serde_json::from_str::<Value>(&joined).unwrap(), arguments);
    assert!(parts.len() > 4, "the arguments come in parts");
    assert_eq!(stream[stream.len() - 2]["usage"], whole["usage"]);

    let unrelated = with(question("demo-chat", "Tell me a joke"), tools.clone());
    assert!(value(chat(&upstream, &unrelated)).await["choices"][0]["message"]["content"].is_string());
    let required = value(chat(&upstream, &with(unrelated.clone(), json!({"tool_choice": "required"})))).await;
    assert_eq!(required["choices"][0]["finish_reason"], "tool_calls");
    let result = json!({"messages": [{"role": "user", "content": "What will the weather be?"}, {"role": "tool", "tool_call_id": "x", "content": "rain"}]});
    assert!(value(chat(&upstream, &with(unrelated, result))).await["choices"][0]["message"]["content"].is_string());
}

#[tokio::test]
async fn the_anthropic_dialect_keeps_its_order_of_events() {
    let upstream = upstream().await;
    let whole = value(messages(&upstream, &question("claude-demo-cached-4-cache-write-2", "How do ships float?"))).await;
    let text = whole["content"][0]["text"].as_str().unwrap();
    assert_eq!((&whole["type"], &whole["stop_reason"]), (&json!("message"), &json!("end_turn")));
    assert_eq!(whole["usage"]["output_tokens"], count_tokens(text));
    assert_eq!(whole["usage"]["input_tokens"], count_tokens("How do ships float?") + 7 - 4 - 2);
    assert_eq!((&whole["usage"]["cache_read_input_tokens"], &whole["usage"]["cache_creation_input_tokens"]), (&json!(4), &json!(2)));

    let body = with(question("claude-demo-cached-4-cache-write-2", "How do ships float?"), json!({"stream": true}));
    let stream = messages(&upstream, &body).send().await.unwrap().text().await.unwrap();
    let events = events(&stream);
    let mut kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert!(kinds.iter().all(|kind| stream.contains(&format!("event: {kind}\n"))));
    kinds.dedup();
    let order = ["message_start", "content_block_start", "ping", "content_block_delta", "content_block_stop", "message_delta", "message_stop"];
    assert_eq!(kinds, order);
    assert_eq!(events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect::<String>(), text);
    assert_eq!(events[0]["message"]["usage"]["input_tokens"], whole["usage"]["input_tokens"]);
    assert_eq!(events[events.len() - 2]["usage"]["output_tokens"], whole["usage"]["output_tokens"]);
}

#[tokio::test]
async fn the_anthropic_dialect_calls_tools_and_refuses_what_the_real_one_refuses() {
    let upstream = upstream().await;
    let tools = json!({"tools": [{"name": "get_weather", "input_schema": weather_schema()}], "stream": true});
    let body = with(question("claude-demo", "What will the weather be in Kyoto?"), tools);
    let events = events(&messages(&upstream, &body).send().await.unwrap().text().await.unwrap());
    assert_eq!((&events[1]["content_block"]["type"], &events[1]["content_block"]["input"]), (&json!("tool_use"), &json!({})));
    let joined: String = events.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
    let whole = value(messages(&upstream, &with(body, json!({"stream": false})))).await;
    assert_eq!((&whole["content"][0]["input"], &whole["stop_reason"]), (&serde_json::from_str(&joined).unwrap(), &json!("tool_use")));

    let uncapped = json!({"model": "claude-demo", "messages": [{"role": "user", "content": "Hi"}]});
    let refused = messages(&upstream, &uncapped).send().await.unwrap();
    assert_eq!(refused.status(), 400);
    assert_eq!(refused.json::<Value>().await.unwrap()["error"]["message"], "max_tokens: Field required");
    let unversioned = client().post(upstream.base_url() + "/v1/messages").json(&question("claude-demo", "Hi")).send().await.unwrap();
    assert_eq!(unversioned.status(), 400);
}

#[tokio::test]
async fn a_wrong_key_is_refused_in_the_dialect() {
    let upstream = Upstream::start(Options { key: Some("sk-right".into()), ..Options::default() }).await.unwrap();
    let body = question("demo-chat", "Hi");
    for key in ["sk-wrong", "", "sk-right2"] {
        let openai = chat(&upstream, &body).bearer_auth(key).send().await.unwrap();
        assert_eq!(openai.status(), 401);
        assert_eq!(openai.json::<Value>().await.unwrap()["error"]["code"], "invalid_api_key");
        let anthropic = messages(&upstream, &body).header("x-api-key", key).send().await.unwrap();
        assert_eq!(anthropic.status(), 401);
        assert_eq!(anthropic.json::<Value>().await.unwrap()["error"]["type"], "authentication_error");
    }
    assert_eq!(chat(&upstream, &body).bearer_auth("sk-right").send().await.unwrap().status(), 200);
    assert_eq!(messages(&upstream, &body).header("x-api-key", "sk-right").send().await.unwrap().status(), 200);
    assert_eq!(upstream.log().requests()[0].header("authorization"), "Bearer sk-wrong");
}

#[tokio::test]
async fn models_are_listed_in_both_dialects() {
    let upstream = upstream().await;
    let list = value(client().get(upstream.base_url() + "/v1/models")).await;
    assert_eq!((&list["object"], &list["data"][0]["id"], &list["data"][0]["object"]), (&json!("list"), &json!("demo-chat"), &json!("model")));
    let list = value(client().get(upstream.base_url() + "/v1/models").header("anthropic-version", "2023-06-01")).await;
    assert_eq!((&list["data"][0]["type"], &list["has_more"]), (&json!("model"), &json!(false)));
    assert_eq!(client().get(upstream.base_url() + "/v2").send().await.unwrap().status(), 404);
    assert_eq!(upstream.log().count(), 3);
}

#[test]
fn pieces_join_to_the_text_and_count_like_it() {
    for text in ["", "plain words", "混合 text 与 emoji 👩‍👩‍👧‍👦 done", "a\u{301}\u{0}\n\n\t "] {
        let pieces = tokens::pieces(text);
        assert_eq!(pieces.iter().map(|piece| piece.text.as_str()).collect::<String>(), text);
        assert_eq!(tokens::total(&pieces), count_tokens(text));
    }
}
