//! OpenAI chat: calls in parallel, thoughts, structured output, refusals, pictures and sound, usage in odd places.

use super::*;

fn offering(names: &[&str]) -> Value {
    let tool =
        |name: &&str| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}});
    json!({"tools": names.iter().map(tool).collect::<Vec<_>>()})
}

#[tokio::test]
async fn several_tools_are_called_at_once_and_streamed_one_after_the_other() {
    let upstream = upstream().await;
    let body = with(streaming("demo-preamble", "The weather and the time in Kyoto?"), offering(&["get_weather", "get_time", "get_news"]));
    let whole = value(chat(&upstream, &with(body.clone(), json!({"stream": false})))).await;
    let message = &whole["choices"][0]["message"];
    assert_eq!(message["content"], "Let me look that up.");
    let names: Vec<&Value> = message["tool_calls"].as_array().unwrap().iter().map(|call| &call["function"]["name"]).collect();
    assert_eq!(names, ["get_weather", "get_time"]);
    assert_ne!(message["tool_calls"][0]["id"], message["tool_calls"][1]["id"]);

    let events = stream(chat(&upstream, &body)).await;
    let pieces: Vec<&Value> = events.iter().map(|event| &event["choices"][0]["delta"]["tool_calls"][0]).filter(|piece| piece.is_object()).collect();
    for index in 0..2 {
        let mine: Vec<&&Value> = pieces.iter().filter(|piece| piece["index"] == index).collect();
        assert!(mine[0]["id"].is_string() && mine[1]["id"].is_null() && mine.len() > 2);
        let joined: String = mine.iter().filter_map(|piece| piece["function"]["arguments"].as_str()).collect();
        assert_eq!(joined, message["tool_calls"][index]["function"]["arguments"].as_str().unwrap());
    }
    let single = value(chat(&upstream, &with(body, json!({"stream": false, "parallel_tool_calls": false})))).await;
    assert_eq!(single["choices"][0]["message"]["tool_calls"].as_array().unwrap().len(), 1);
    let many = value(chat(&upstream, &with(question("demo-parallel-5", "Go"), offering(&["a", "b"])))).await;
    assert_eq!(many["choices"][0]["message"]["tool_calls"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn thoughts_show_in_a_field_of_their_own_when_that_is_the_habit() {
    let upstream = upstream().await;
    let hidden = value(chat(&upstream, &with(question("demo-chat", "Hi"), json!({"reasoning_effort": "high"})))).await;
    assert_eq!(hidden["usage"]["completion_tokens_details"]["reasoning_tokens"], 24);
    assert!(hidden["choices"][0]["message"].get("reasoning_content").is_none());
    let model = "demo-reasoning-content-reasoning-9";
    let shown = value(chat(&upstream, &question(model, "Hi"))).await;
    let thought = shown["choices"][0]["message"]["reasoning_content"].as_str().unwrap();
    assert_eq!(count_tokens(thought), 9);
    let events = stream(chat(&upstream, &streaming(model, "Hi"))).await;
    assert_eq!(texts(&events, "/choices/0/delta/reasoning_content"), thought);
    assert_eq!(said(&events, 0), shown["choices"][0]["message"]["content"].as_str().unwrap());
    assert_eq!(said(&events, 0), answer_to("Hi"));
}

#[tokio::test]
async fn an_answer_fits_the_schema_that_it_was_asked_for() {
    let upstream = upstream().await;
    let schema = json!({
        "type": "object",
        "$defs": {"place": {"type": "object", "properties": {"city": {"type": "string"}}}},
        "properties": {
            "at": {"$ref": "#/$defs/place"},
            "stars": {"type": "integer", "minimum": 3, "maximum": 3},
            "note": {"anyOf": [{"type": "null"}, {"type": "string"}]},
            "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2},
        },
    });
    let format = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "trip", "schema": schema}}});
    let whole = value(chat(&upstream, &with(question("demo-chat", "A trip to Kyoto"), format.clone()))).await;
    let text = whole["choices"][0]["message"]["content"].as_str().unwrap();
    let fits = json!({"at": {"city": "Kyoto"}, "stars": 3, "note": "Kyoto", "tags": ["a", "a"]});
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), fits);
    assert_eq!(said(&stream(chat(&upstream, &with(streaming("demo-chat", "A trip to Kyoto"), format))).await, 0), text);
}

#[tokio::test]
async fn refusals_and_filters_end_an_answer_in_their_own_ways() {
    let upstream = upstream().await;
    let refused = &value(chat(&upstream, &question("demo-refuse", "Hi"))).await["choices"][0];
    assert_eq!((&refused["message"]["content"], &refused["finish_reason"]), (&Value::Null, &json!("stop")));
    let events = stream(chat(&upstream, &streaming("demo-refuse", "Hi"))).await;
    assert_eq!(texts(&events, "/choices/0/delta/refusal"), refused["message"]["refusal"].as_str().unwrap());
    let filtered = value(chat(&upstream, &question("demo-filtered", "Hi"))).await;
    assert_eq!((&filtered["choices"][0]["finish_reason"], &filtered["usage"]["completion_tokens"]), (&json!("content_filter"), &json!(5)));
    let blocked = chat(&upstream, &question("demo-blocked", "Hi")).send().await.unwrap();
    assert_eq!((blocked.status().as_u16(), &blocked.json::<Value>().await.unwrap()["error"]["code"]), (400, &json!("invalid_prompt")));
}

#[tokio::test]
async fn pictures_sound_and_files_are_taken_and_counted() {
    let upstream = upstream().await;
    let parts = json!([
        {"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, {"type": "file", "file": {"file_data": "AAAA"}},
    ]);
    let body = json!({"model": "demo-audio-out-7", "messages": [{"role": "user", "content": parts}]});
    let usage = value(chat(&upstream, &body)).await["usage"].clone();
    assert_eq!(usage["prompt_tokens"], 1 + 4 + 3 + PICTURE_TOKENS + SOUND_TOKENS + DOCUMENT_TOKENS);
    assert_eq!((&usage["prompt_tokens_details"]["audio_tokens"], &usage["prompt_tokens_details"]["image_tokens"]), (&json!(50), &json!(85)));
    assert_eq!(usage["completion_tokens_details"]["audio_tokens"], 7);
}

#[tokio::test]
async fn usage_can_stand_in_every_chunk_and_a_stream_can_lack_its_end() {
    let upstream = upstream().await;
    let text = chat(&upstream, &streaming("demo-every-usage-no-done-tokens-6", "Hi")).send().await.unwrap().text().await.unwrap();
    assert!(!text.contains("[DONE]"));
    let counts: Vec<i64> = events(&text).iter().filter_map(|event| event["usage"]["completion_tokens"].as_i64()).collect();
    assert_eq!(counts, [1, 2, 3, 4, 5, 6, 6, 6]);
}

#[tokio::test]
async fn a_strict_provider_refuses_histories_that_do_not_fit() {
    let upstream = upstream().await;
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let (ask, calls, result) = (
        json!({"role": "user", "content": "Hi"}),
        json!({"role": "assistant", "content": null, "tool_calls": [call]}),
        json!({"role": "tool", "tool_call_id": "call_1", "content": "ok"}),
    );
    let ask_with = |messages: Value| chat(&upstream, &json!({"model": "demo-strict", "messages": messages})).send();
    assert_eq!(ask_with(json!([ask, calls, result])).await.unwrap().status(), 200);
    assert_eq!(ask_with(json!([ask, calls])).await.unwrap().status(), 400);
    assert_eq!(ask_with(json!([ask, result])).await.unwrap().status(), 400);
    let unknown = chat(&upstream, &with(question("demo-strict", "Hi"), json!({"top_k": 3}))).send().await.unwrap();
    assert_eq!(unknown.json::<Value>().await.unwrap()["error"]["message"], "Unknown parameter: 'top_k'.");
}
