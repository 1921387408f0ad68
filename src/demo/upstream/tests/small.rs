//! The smaller OpenAI paths: completions, vectors, moderation, reranking.

use super::*;

#[tokio::test]
async fn each_prompt_is_completed_as_often_as_was_asked() {
    let upstream = upstream().await;
    let body = json!({"model": "demo-chat", "prompt": ["One", "Two"], "n": 2, "max_tokens": 5});
    let whole = value(post(&upstream, "/v1/completions", &body)).await;
    assert_eq!((whole["choices"].as_array().unwrap().len(), &whole["object"]), (4, &json!("text_completion")));
    assert_eq!((&whole["usage"]["prompt_tokens"], &whole["usage"]["completion_tokens"]), (&json!(2), &json!(20)));
    let events = stream(post(&upstream, "/v1/completions", &with(body, json!({"stream": true, "stream_options": {"include_usage": true}})))).await;
    for (index, choice) in whole["choices"].as_array().unwrap().iter().enumerate() {
        let mine = events.iter().map(|event| &event["choices"][0]).filter(|choice| choice["index"] == index);
        assert_eq!(mine.filter_map(|choice| choice["text"].as_str()).collect::<String>(), choice["text"].as_str().unwrap());
    }
    assert_eq!(events[events.len() - 2]["usage"], whole["usage"]);
    let numbers = value(post(&upstream, "/v1/completions", &json!({"model": "demo-chat", "prompt": [1, 2, 3]}))).await;
    assert_eq!(numbers["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn vectors_are_the_same_as_numbers_and_as_bytes() {
    let upstream = upstream().await;
    let ask = |more: Value| post(&upstream, "/v1/embeddings", &with(json!({"model": "e", "input": ["a", "b"], "dimensions": 16}), more));
    let numbers = value(ask(json!({}))).await;
    let packed = value(ask(json!({"encoding_format": "base64"}))).await;
    for index in 0..2 {
        let bytes = data_encoding::BASE64.decode(packed["data"][index]["embedding"].as_str().unwrap().as_bytes()).unwrap();
        let unpacked: Vec<f32> = bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        let plain: Vec<f32> = numbers["data"][index]["embedding"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        assert_eq!(unpacked, plain);
        assert!((plain.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-3);
    }
    assert_ne!(numbers["data"][0]["embedding"], numbers["data"][1]["embedding"]);
    assert_eq!(numbers["usage"], json!({"prompt_tokens": 2, "total_tokens": 2}));
    assert_eq!(value(post(&upstream, "/v1/embeddings", &json!({"model": "e", "input": "a"}))).await["data"][0]["embedding"].as_array().unwrap().len(), 1536);
    assert_eq!(ask(json!({"dimensions": 0})).send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn moderation_flags_each_input_for_itself() {
    let upstream = upstream().await;
    let list = value(post(&upstream, "/v1/moderations", &json!({"input": ["peace", "violence"]}))).await;
    assert_eq!((&list["results"][0]["flagged"], &list["results"][1]["categories"]["violence"]), (&json!(false), &json!(true)));
    let parts =
        json!({"model": "demo-flagged", "input": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}]});
    let one = value(post(&upstream, "/v1/moderations", &parts)).await;
    assert_eq!((one["results"].as_array().unwrap().len(), &one["results"][0]["flagged"]), (1, &json!(true)));
}

#[tokio::test]
async fn documents_are_ranked_in_both_shapes() {
    let upstream = upstream().await;
    let body = json!({"model": "rerank", "query": "blue ships", "documents": ["red cars", {"text": "blue ships sail"}, "blue cars"], "top_n": 2});
    let jina = value(post(&upstream, "/v1/rerank", &body)).await;
    let order: Vec<&Value> = jina["results"].as_array().unwrap().iter().map(|row| &row["index"]).collect();
    assert_eq!((order, &jina["results"][0]["document"]["text"]), (vec![&json!(1), &json!(2)], &json!("blue ships sail")));
    let tokens: u64 = ["red cars", "blue ships sail", "blue cars", "blue ships"].iter().map(|text| count_tokens(text)).sum();
    assert_eq!(jina["usage"]["total_tokens"], tokens);
    let cohere = value(post(&upstream, "/v2/rerank", &body)).await;
    assert_eq!((&cohere["meta"]["billed_units"]["search_units"], cohere["results"][0].get("document")), (&json!(1), None));
    assert_eq!(post(&upstream, "/v1/rerank", &json!({"model": "rerank", "query": "x"})).send().await.unwrap().status(), 400);
}
