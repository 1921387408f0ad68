//! OpenAI Responses: items, typed events, calls, thoughts, structured output, incomplete answers.

use super::*;

fn ask(upstream: &Upstream, body: &Value) -> RequestBuilder {
    post(upstream, "/v1/responses", body)
}

#[tokio::test]
async fn a_text_and_a_list_of_items_mean_the_same() {
    let upstream = upstream().await;
    let short = value(ask(&upstream, &json!({"model": "demo-chat", "input": "How do ships float?"}))).await;
    let items = json!([{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "How do ships float?"}]}]);
    let long = value(ask(&upstream, &json!({"model": "demo-chat", "input": items, "instructions": "Be brief"}))).await;
    let text = short["output"][0]["content"][0]["text"].as_str().unwrap();
    assert_eq!((text, long["output"][0]["content"][0]["text"].as_str().unwrap()), (answer_to("How do ships float?").as_str(), text));
    assert_eq!((&short["status"], &short["object"], &long["instructions"]), (&json!("completed"), &json!("response"), &json!("Be brief")));
    let input = count_tokens("How do ships float?") + 7;
    assert_eq!((&short["usage"]["input_tokens"], &short["usage"]["output_tokens"]), (&json!(input), &json!(count_tokens(text))));
    assert_eq!(long["usage"]["input_tokens"], input + 4 + count_tokens("Be brief"));
    assert_eq!(ask(&upstream, &json!({"model": "demo-chat"})).send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn the_events_of_a_message_come_in_their_order() {
    let upstream = upstream().await;
    let body = json!({"model": "demo-cached-3", "input": "How do ships float?", "stream": true});
    let raw = ask(&upstream, &body).send().await.unwrap().text().await.unwrap();
    let events = events(&raw);
    let order = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(kinds(&events), order);
    assert!(order.iter().all(|kind| raw.contains(&format!("event: {kind}\ndata: "))));
    let numbers: Vec<usize> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap() as usize).collect();
    assert_eq!(numbers, (0..events.len()).collect::<Vec<_>>());
    let last = &events.last().unwrap()["response"];
    assert_eq!(texts(&events, "/delta"), last["output"][0]["content"][0]["text"].as_str().unwrap());
    assert_eq!(last["usage"]["input_tokens_details"]["cached_tokens"], 3);
    let whole = value(ask(&upstream, &with(body, json!({"stream": false})))).await;
    assert_eq!((&whole["usage"], &whole["output"][0]["content"]), (&last["usage"], &last["output"][0]["content"]));
    let served = outcome(&upstream).await;
    assert_eq!((served.task, served.dialect), (Some(Task::Responses), Some(Dialect::OpenAi)));
    assert_eq!(served.output_tokens, served.report.unwrap().completion as u64);
}

#[tokio::test]
async fn calls_of_functions_and_of_custom_tools_are_streamed() {
    let upstream = upstream().await;
    let function = json!({"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}});
    let body =
        json!({"model": "demo-chat", "input": "The weather and a patch for Kyoto?", "tools": [function, {"type": "custom", "name": "patch"}], "stream": true});
    let events = stream(ask(&upstream, &body)).await;
    let output = &events.last().unwrap()["response"]["output"];
    assert_eq!((&output[0]["type"], &output[0]["arguments"]), (&json!("function_call"), &json!("{\"city\":\"Kyoto\"}")));
    assert_eq!((&output[1]["type"], &output[1]["input"]), (&json!("custom_tool_call"), &json!("The weather and a patch for Kyoto?")));
    let deltas = |kind: &str| events.iter().filter(|event| event["type"] == kind).filter_map(|event| event["delta"].as_str()).collect::<String>();
    assert_eq!(deltas("response.function_call_arguments.delta"), output[0]["arguments"].as_str().unwrap());
    assert_eq!(deltas("response.custom_tool_call_input.delta"), output[1]["input"].as_str().unwrap());
    let result = |id: &str| {
        let call = json!({"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"});
        json!({"input": [{"role": "user", "content": "weather?"}, call, {"type": "function_call_output", "call_id": id, "output": "rain"}]})
    };
    let after = value(ask(&upstream, &with(body.clone(), with(result("call_1"), json!({"model": "demo-strict", "stream": false}))))).await;
    assert_eq!(after["output"][0]["type"], "message");
    let lost = ask(&upstream, &with(body, with(result("call_2"), json!({"model": "demo-strict"})))).send().await.unwrap();
    assert_eq!(lost.status(), 400);
}

#[tokio::test]
async fn thoughts_are_items_summed_up_and_sealed_for_those_who_ask() {
    let upstream = upstream().await;
    let bare = value(ask(&upstream, &json!({"model": "demo-reasoning-6", "input": "Hi"}))).await;
    assert_eq!((&bare["output"][0]["type"], &bare["output"][0]["summary"]), (&json!("reasoning"), &json!([])));
    assert_eq!(bare["usage"]["output_tokens_details"]["reasoning_tokens"], 6);
    let asked = json!({"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"], "stream": true});
    let events = stream(ask(&upstream, &with(json!({"model": "demo-chat", "input": "Hi"}), asked))).await;
    let item = &events.last().unwrap()["response"]["output"][0];
    let thought = item["summary"][0]["text"].as_str().unwrap();
    assert_eq!((count_tokens(thought), item["encrypted_content"].as_str().unwrap().len() > 50), (24, true));
    let summary: Vec<&Value> = events.iter().filter(|event| event["type"] == "response.reasoning_summary_text.delta").collect();
    assert_eq!(summary.iter().map(|event| event["delta"].as_str().unwrap()).collect::<String>(), thought);
    assert_eq!(events.last().unwrap()["response"]["output"][1]["type"], "message");
}

#[tokio::test]
async fn an_answer_can_be_incomplete_refused_or_structured() {
    let upstream = upstream().await;
    let cut = value(ask(&upstream, &json!({"model": "demo-chat", "input": "Hi", "max_output_tokens": 16}))).await;
    assert_eq!((&cut["status"], &cut["incomplete_details"]["reason"]), (&json!("incomplete"), &json!("max_output_tokens")));
    assert_eq!(cut["usage"]["output_tokens"], 16);
    let events = stream(ask(&upstream, &json!({"model": "demo-filtered", "input": "Hi", "stream": true}))).await;
    let last = events.last().unwrap();
    assert_eq!((&last["type"], &last["response"]["incomplete_details"]["reason"]), (&json!("response.incomplete"), &json!("content_filter")));
    let refused = stream(ask(&upstream, &json!({"model": "demo-refuse", "input": "Hi", "stream": true}))).await;
    let part = &refused.last().unwrap()["response"]["output"][0]["content"][0];
    assert_eq!((&part["type"], part["refusal"].as_str().unwrap()), (&json!("refusal"), texts(&refused, "/delta").as_str()));
    let format = json!({"type": "json_schema", "name": "n", "schema": {"type": "object", "properties": {"city": {"type": "string"}}}});
    let whole = value(ask(&upstream, &json!({"model": "demo-chat", "input": "Kyoto", "text": {"format": format}}))).await;
    assert_eq!((&whole["output"][0]["content"][0]["text"], &whole["text"]["format"]), (&json!("{\"city\":\"Kyoto\"}"), &format));
}

#[tokio::test]
async fn a_stream_can_fail_and_a_server_may_have_no_responses() {
    let upstream = upstream().await;
    let failed = stream(ask(&upstream, &json!({"model": "demo-overload-2", "input": "Hi", "stream": true}))).await;
    let last = failed.last().unwrap();
    assert_eq!((&last["type"], &last["response"]["status"], &last["sequence_number"]), (&json!("response.failed"), &json!("failed"), &json!(6)));
    assert_eq!(last["response"]["id"], failed[0]["response"]["id"]);
    let error = stream(ask(&upstream, &json!({"model": "demo-error-event-2", "input": "Hi", "stream": true}))).await;
    assert_eq!((&error.last().unwrap()["type"], error.len()), (&json!("error"), 7));
    upstream.behave("no-responses").unwrap();
    let absent = ask(&upstream, &json!({"model": "demo-chat", "input": "Hi"})).send().await.unwrap();
    assert_eq!((absent.status().as_u16(), absent.json::<Value>().await.unwrap()), (404, json!({"detail": "Not Found"})));
    assert_eq!(chat(&upstream, &question("demo-chat", "Hi")).send().await.unwrap().status(), 200);
}
