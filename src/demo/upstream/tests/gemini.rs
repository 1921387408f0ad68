//! Gemini: content, both forms of streams, calls, thoughts, structured output, blocks, counting, vectors, errors, keys.

use super::*;

fn contents(text: &str) -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": text}]}]})
}

fn generate(upstream: &Upstream, model: &str, body: &Value) -> RequestBuilder {
    post(upstream, &format!("/v1beta/models/{model}:generateContent"), body)
}

fn sse(upstream: &Upstream, model: &str, body: &Value) -> RequestBuilder {
    post(upstream, &format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"), body)
}

fn parts(events: &[Value]) -> Vec<&Value> {
    events.iter().flat_map(|event| event["candidates"][0]["content"]["parts"].as_array().into_iter().flatten()).collect()
}

#[tokio::test]
async fn all_three_forms_say_the_same_and_report_usage_everywhere() {
    let upstream = upstream().await;
    let body = contents("How do ships float?");
    let whole = value(generate(&upstream, "demo-cached-2", &body)).await;
    let candidate = &whole["candidates"][0];
    assert_eq!(
        (candidate["content"]["parts"][0]["text"].as_str().unwrap(), &candidate["finishReason"]),
        (answer_to("How do ships float?").as_str(), &json!("STOP"))
    );
    let (input, output) = (count_tokens("How do ships float?") + 7, count_tokens(&answer_to("How do ships float?")));
    let usage = &whole["usageMetadata"];
    assert_eq!(
        (&usage["promptTokenCount"], &usage["candidatesTokenCount"], &usage["totalTokenCount"]),
        (&json!(input), &json!(output), &json!(input + output))
    );
    assert_eq!(usage["cachedContentTokenCount"], 2);

    let raw = sse(&upstream, "demo-cached-2", &body).send().await.unwrap().text().await.unwrap();
    assert!(raw.ends_with("\r\n\r\n") && !raw.contains("[DONE]"));
    let array = post(&upstream, "/v1beta/models/demo-cached-2:streamGenerateContent", &body).send().await.unwrap();
    assert_eq!(array.headers()["content-type"], "application/json; charset=UTF-8");
    let array: Vec<Value> = array.json().await.unwrap();
    for events in [events(&raw), array] {
        let text: String = parts(&events).iter().filter_map(|part| part["text"].as_str()).collect();
        assert_eq!(text, answer_to("How do ships float?"));
        let counts: Vec<u64> = events.iter().map(|event| event["usageMetadata"]["candidatesTokenCount"].as_u64().unwrap()).collect();
        assert_eq!(counts, (1..=output).chain([output]).collect::<Vec<_>>());
        let last = events.last().unwrap();
        assert_eq!((&last["usageMetadata"], &last["candidates"][0]["finishReason"]), (usage, &json!("STOP")));
    }
    assert_eq!(outcome(&upstream).await.model(), "demo-cached-2");
}

#[tokio::test]
async fn functions_are_called_with_and_without_ids_and_signed_when_thought_over() {
    let upstream = upstream().await;
    let declared = |name: &str| json!({"name": name, "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}});
    let tools = json!({"tools": [{"functionDeclarations": [declared("get_weather"), declared("get_time")]}]});
    let body = with(contents("The weather and the time in Kyoto?"), tools.clone());
    let plain = value(generate(&upstream, "demo-chat", &body)).await;
    let call = &plain["candidates"][0]["content"]["parts"][0];
    assert_eq!(call["functionCall"], json!({"name": "get_weather", "args": {"city": "Kyoto"}}));
    assert!(call.get("thoughtSignature").is_none());

    let events = stream(sse(&upstream, "demo-call-ids-reasoning-5", &body)).await;
    let calls: Vec<&Value> = parts(&events).into_iter().filter(|part| part["functionCall"].is_object()).collect();
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|part| part["functionCall"]["id"].is_string()));
    assert!(calls[0]["thoughtSignature"].is_string() && calls[1].get("thoughtSignature").is_none());

    let result = |name: &str| json!({"functionResponse": {"name": name, "response": {"result": "fine"}}});
    let history = |calls: Value, results: Value| {
        let asked = contents("The weather and the time in Kyoto?")["contents"][0].clone();
        with(json!({"contents": [asked, {"role": "model", "parts": calls}, {"role": "user", "parts": results}]}), tools.clone())
    };
    let both = json!([result("get_weather"), result("get_time")]);
    let answered = value(generate(&upstream, "demo-strict", &history(json!(calls), both.clone()))).await;
    assert!(answered["candidates"][0]["content"]["parts"][0]["text"].is_string(), "{answered}");
    let one = generate(&upstream, "demo-strict", &history(json!(calls), json!([result("get_weather")]))).send().await.unwrap();
    assert_eq!(one.status(), 400);
    let thought = json!({"text": "Hm.", "thought": true});
    let unsigned = json!([thought, {"functionCall": calls[0]["functionCall"]}, calls[1]]);
    let lost = value(generate(&upstream, "demo-strict", &history(unsigned, both))).await;
    assert!(lost["error"]["message"].as_str().unwrap().contains("thought_signature"), "{lost}");
    let none = with(body.clone(), json!({"toolConfig": {"functionCallingConfig": {"mode": "NONE"}}}));
    assert!(value(generate(&upstream, "demo-chat", &none)).await["candidates"][0]["content"]["parts"][0]["text"].is_string());
    let only = with(body, json!({"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_time"]}}}));
    assert_eq!(value(generate(&upstream, "demo-chat", &only)).await["candidates"][0]["content"]["parts"][0]["functionCall"]["name"], "get_time");
}

#[tokio::test]
async fn thoughts_are_parts_and_count_beside_the_words() {
    let upstream = upstream().await;
    let config = json!({"generationConfig": {"thinkingConfig": {"includeThoughts": true, "thinkingBudget": 512}, "maxOutputTokens": 30}});
    let body = with(contents("Hi"), config);
    let whole = value(generate(&upstream, "demo-chat", &body)).await;
    let said = &whole["candidates"][0]["content"]["parts"];
    assert_eq!((&said[0]["thought"], said[1]["thoughtSignature"].is_string()), (&json!(true), true));
    let usage = &whole["usageMetadata"];
    assert_eq!((&usage["thoughtsTokenCount"], &usage["candidatesTokenCount"]), (&json!(24), &json!(6)));
    assert_eq!(whole["candidates"][0]["finishReason"], "MAX_TOKENS");
    let events = stream(sse(&upstream, "demo-chat", &body)).await;
    let thought: String = parts(&events).iter().filter(|part| part["thought"] == true).filter_map(|part| part["text"].as_str()).collect();
    assert_eq!(thought, said[0]["text"].as_str().unwrap());
    assert_eq!(&events.last().unwrap()["usageMetadata"], usage);
}

#[tokio::test]
async fn answers_fit_schemas_of_both_kinds_and_can_be_blocked_or_stopped() {
    let upstream = upstream().await;
    let asked = |schema: Value| with(contents("Kyoto"), json!({"generationConfig": with(json!({"responseMimeType": "application/json"}), schema)}));
    let text = |answer: Value| answer["candidates"][0]["content"]["parts"][0]["text"].clone();
    let own = asked(json!({"responseSchema": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}}));
    assert_eq!(text(value(generate(&upstream, "demo-chat", &own)).await), "{\"city\":\"Kyoto\"}");
    let common = asked(json!({"responseJsonSchema": {"type": "object", "properties": {"city": {"type": ["null", "string"]}}}}));
    assert_eq!(text(value(generate(&upstream, "demo-chat", &common)).await), "{\"city\":\"Kyoto\"}");
    let foreign = asked(json!({"responseSchema": {"type": "OBJECT", "additionalProperties": false}}));
    assert_eq!(generate(&upstream, "demo-strict", &foreign).send().await.unwrap().status(), 400);

    let blocked = value(generate(&upstream, "demo-blocked", &contents("Hi"))).await;
    assert_eq!((&blocked["promptFeedback"]["blockReason"], blocked.get("candidates")), (&json!("SAFETY"), None));
    let blocked = stream(sse(&upstream, "demo-blocked", &contents("Hi"))).await;
    assert_eq!((blocked.len(), &blocked[0]["promptFeedback"]["blockReason"]), (1, &json!("SAFETY")));
    for (switch, reason) in [("filtered", "SAFETY"), ("recitation", "RECITATION"), ("malformed-call", "MALFORMED_FUNCTION_CALL")] {
        let answer = value(generate(&upstream, &format!("demo-{switch}"), &contents("Hi"))).await;
        assert_eq!(answer["candidates"][0]["finishReason"], reason);
    }
}

#[tokio::test]
async fn tokens_are_counted_and_vectors_are_those_of_the_other_dialect() {
    let upstream = upstream().await;
    let picture = json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}});
    let body = json!({"contents": [{"parts": [{"text": "See"}, picture]}]});
    let count = value(post(&upstream, "/v1beta/models/demo-chat:countTokens", &body)).await;
    assert_eq!(count["totalTokens"], 1 + 4 + 3 + PICTURE_TOKENS);
    let wrapped = json!({"generateContentRequest": with(body, json!({"model": "models/demo-chat"}))});
    assert_eq!(value(post(&upstream, "/v1beta/models/demo-chat:countTokens", &wrapped)).await, count);

    let request = |text: &str| json!({"model": "models/e", "content": {"parts": [{"text": text}]}, "outputDimensionality": 4});
    let one = value(post(&upstream, "/v1beta/models/e:embedContent", &request("a"))).await;
    let many = value(post(&upstream, "/v1beta/models/e:batchEmbedContents", &json!({"requests": [request("a"), request("b")]}))).await;
    assert_eq!((&one["embedding"], many["embeddings"].as_array().unwrap().len()), (&many["embeddings"][0], 2));
    let other = value(post(&upstream, "/v1/embeddings", &json!({"model": "e", "input": "a", "dimensions": 4}))).await;
    assert_eq!(one["embedding"]["values"], other["data"][0]["embedding"]);
}

#[tokio::test]
async fn errors_have_the_form_of_google_also_in_streams() {
    let upstream = upstream().await;
    let limited = generate(&upstream, "demo-429", &with(contents("[[retry-after=7]] Hi"), json!({}))).send().await.unwrap();
    assert_eq!((limited.status().as_u16(), &limited.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    let error = limited.json::<Value>().await.unwrap()["error"].clone();
    assert_eq!((&error["status"], &error["details"][1]["retryDelay"]), (&json!("RESOURCE_EXHAUSTED"), &json!("7s")));
    assert!(generate(&upstream, "demo-429", &contents("Hi")).send().await.unwrap().headers().get("retry-after").is_none());
    let array = post(&upstream, "/v1beta/models/demo-503:streamGenerateContent", &contents("Hi")).send().await.unwrap();
    assert_eq!(array.json::<Value>().await.unwrap()[0]["error"]["status"], "UNAVAILABLE");
    let events = stream(sse(&upstream, "demo-overload-2", &contents("Hi"))).await;
    assert_eq!((events.len(), &events[2]["error"]["code"]), (3, &json!(503)));
    let array: Value = post(&upstream, "/v1beta/models/demo-error-event-2:streamGenerateContent", &contents("Hi")).send().await.unwrap().json().await.unwrap();
    assert_eq!((array.as_array().unwrap().len(), &array[2]["error"]["status"]), (3, &json!("INTERNAL")));
    let role = json!({"contents": [{"role": "assistant", "parts": [{"text": "Hi"}]}]});
    assert_eq!(value(generate(&upstream, "demo-chat", &role)).await["error"]["status"], "INVALID_ARGUMENT");
}

#[tokio::test]
async fn a_key_stands_in_a_header_or_in_the_query() {
    let upstream = Upstream::start(Options { key: Some("g-right".into()), ..Options::default() }).await.unwrap();
    let ask = || generate(&upstream, "demo-chat", &contents("Hi"));
    assert_eq!(ask().send().await.unwrap().status(), 403);
    let wrong = ask().header("x-goog-api-key", "g-wrong").send().await.unwrap();
    assert_eq!(wrong.status(), 400);
    assert_eq!(wrong.json::<Value>().await.unwrap()["error"]["details"][0]["reason"], "API_KEY_INVALID");
    assert_eq!(ask().header("x-goog-api-key", "g-right").send().await.unwrap().status(), 200);
    let by_query = post(&upstream, "/v1beta/models/demo-chat:generateContent?key=g-right", &contents("Hi"));
    assert_eq!(by_query.send().await.unwrap().status(), 200);
    let auths: Vec<Auth> = upstream.log().requests().iter().map(|request| request.auth).collect();
    assert_eq!(auths, [Auth::None, Auth::XGoogApiKey, Auth::XGoogApiKey, Auth::Query]);
    assert_eq!(upstream.log().last().unwrap().key.as_deref(), Some("g-right"));
    for path in ["/v1beta/models?key=g-right", "/v1/models?key=g-right"] {
        let list = value(client().get(upstream.base_url() + path)).await;
        assert_eq!(list["models"][0]["name"], "models/demo-chat");
    }
}
