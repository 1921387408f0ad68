use super::*;
use crate::relay::dialect::canonical::Unfit;
use serde_json::{Value, json};

fn value(bytes: Result<Vec<u8>, Unfit>) -> Value {
    serde_json::from_slice(&bytes.unwrap()).unwrap()
}

fn written(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[test]
fn requests_go_both_ways() {
    let one = json!({"model": "models/x", "content": {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}, "task_type": "RETRIEVAL_QUERY", "output_dimensionality": 8});
    assert_eq!(value(gemini_to_openai(&written(&one), "up")), json!({"model": "up", "input": "a\nb", "dimensions": 8, "encoding_format": "float"}));
    let batch =
        json!({"requests": [{"model": "models/x", "content": {"parts": [{"text": "a"}]}}, {"model": "models/x", "content": {"parts": [{"text": "b"}]}}]});
    assert_eq!(value(gemini_to_openai(&written(&batch), "up")), json!({"model": "up", "input": ["a", "b"], "encoding_format": "float"}));
    let openai = json!({"model": "m", "input": ["a", "b"], "dimensions": 8, "encoding_format": "base64", "user": "u", "task_type": "clustering"});
    let request = |text: &str| json!({"model": "models/up", "content": {"parts": [{"text": text}]}, "taskType": "CLUSTERING", "outputDimensionality": 8});
    assert_eq!(value(openai_to_gemini(&written(&openai), "up")), json!({"requests": [request("a"), request("b")]}));
    assert_eq!(value(openai_to_gemini(br#"{"input":"a"}"#, "models/up"))["requests"][0], json!({"model": "models/up", "content": {"parts": [{"text": "a"}]}}));
}

#[test]
fn what_cannot_be_said_is_refused_by_name() {
    let part = |part: Value| json!({"content": {"parts": [part]}});
    for (body, field) in [
        (json!({}), "content"),
        (part(json!({"inlineData": {}})), "content.parts[0].text"),
        (part(json!({"text": "a", "odd": 1})), "content.parts[0].odd"),
        (json!({"content": {"parts": [{"text": "a"}]}, "title": "t"}), "title"),
        (json!({"requests": []}), "requests"),
        (json!({"requests": [part(json!({"text": "a"})), {"content": {"parts": []}, "outputDimensionality": 5}]}), "requests[1].outputDimensionality"),
    ] {
        assert_eq!(gemini_to_openai(&written(&body), "m").unwrap_err().field, field, "{body}");
    }
    for (body, field) in [
        (json!({}), "input"),
        (json!({"input": []}), "input"),
        (json!({"input": [1, 2]}), "input"),
        (json!({"input": ["a", [1, 2]]}), "input[1]"),
        (json!({"input": "a", "encoding_format": "hex"}), "encoding_format"),
        (json!({"input": "a", "dimensions": 1.5}), "dimensions"),
        (json!({"input": "a", "odd": 1}), "odd"),
    ] {
        assert_eq!(openai_to_gemini(&written(&body), "m").unwrap_err().field, field, "{body}");
    }
}

#[test]
fn answers_go_both_ways_and_keep_their_digits() {
    let gemini = br#"{"embeddings":[{"values":[0.10,-1e-9]},{"values":[1,2]}],"usageMetadata":{"promptTokenCount":7}}"#;
    let floats = gemini_answer_to_openai(gemini, br#"{"input":["a","b"]}"#, "m").unwrap();
    let expected = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10,-1e-9]},{"object":"embedding","index":1,"embedding":[1,2]}],"model":"m","usage":{"prompt_tokens":7,"total_tokens":7}}"#;
    assert_eq!(std::str::from_utf8(&floats).unwrap(), expected);
    let packed = gemini_answer_to_openai(gemini, br#"{"input":["a","b"],"encoding_format":"base64"}"#, "m").unwrap();
    let packed: Value = serde_json::from_slice(&packed).unwrap();
    assert_eq!(packed["data"][1]["embedding"], "AACAPwAAAEA=");
    let single = gemini_answer_to_openai(br#"{"embedding":{"values":[0.5]}}"#, br#"{"input":"a"}"#, "m").unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&single).unwrap()["usage"]["prompt_tokens"], 0);

    let openai =
        br#"{"object":"list","data":[{"index":1,"embedding":"AACAPwAAAEA="},{"index":0,"embedding":[0.10]}],"usage":{"prompt_tokens":7,"total_tokens":7}}"#;
    let batch = openai_answer_to_gemini(openai, true).unwrap();
    let expected = r#"{"embeddings":[{"values":[0.10]},{"values":[1.0,2.0]}],"usageMetadata":{"promptTokenCount":7,"totalTokenCount":7}}"#;
    assert_eq!(std::str::from_utf8(&batch).unwrap(), expected);
    assert_eq!(openai_answer_to_gemini(br#"{"data":[{"embedding":[1]}]}"#, false).unwrap(), br#"{"embedding":{"values":[1]}}"#);
}

#[test]
fn broken_answers_are_faults_of_the_upstream() {
    for body in ["", "[]", "{}", r#"{"embeddings":[]}"#, r#"{"embedding":{"values":["a"]}}"#, r#"{"embedding":{"values":5}}"#] {
        assert!(gemini_answer_to_openai(body.as_bytes(), br#"{"input":"a"}"#, "m").is_err(), "{body}");
    }
    for body in ["", "{}", r#"{"data":[]}"#, r#"{"data":[{"embedding":"AAA="}]}"#, r#"{"data":[{"embedding":"!"}]}"#, r#"{"data":[{"embedding":"AADAfw=="}]}"#]
    {
        assert!(openai_answer_to_gemini(body.as_bytes(), false).is_err(), "{body}");
    }
}
