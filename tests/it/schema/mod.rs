//! Answers against OpenAI's own description of its API. `tests/data/openai/schemas.json` is an excerpt of it; the keywords that it uses are all that is
//! understood here, and an unknown one fails.

mod answers;

use serde_json::{Map, Value};
use std::sync::LazyLock;

static SCHEMAS: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(include_str!("../../data/openai/schemas.json")).unwrap());

/// Panics unless the value is what the schema `name` says: `Response`, `ResponseStreamEvent`, `CreateChatCompletionResponse` and so on.
pub fn check(name: &str, value: &Value) {
    let faults = faults(name, value);
    assert!(faults.is_empty(), "not a valid {name}:\n{}\n{value:#}", faults.join("\n"));
}

/// What is wrong with the value, by the schema `name`.
pub fn faults(name: &str, value: &Value) -> Vec<String> {
    let mut out = Vec::new();
    validate(definition(name), value, name, &mut out);
    out
}

fn definition(name: &str) -> &'static Value {
    SCHEMAS["$defs"].get(name).unwrap_or_else(|| panic!("no schema {name}"))
}

fn validate(schema: &'static Value, value: &Value, path: &str, out: &mut Vec<String>) {
    let Value::Object(keywords) = schema else { return };
    if value.is_null() && keywords.get("nullable") == Some(&Value::Bool(true)) {
        return;
    }
    for (keyword, rule) in keywords {
        let mut fault = |what: String| out.push(format!("{path}: {what}"));
        let number = |value: &Value| value.as_f64().unwrap_or(0.0);
        match keyword.as_str() {
            "$ref" => validate(definition(rule.as_str().unwrap().trim_start_matches("#/$defs/")), value, path, out),
            "type" if !of_type(rule, value) => fault(format!("{value} is no {rule}")),
            "enum" if !rule.as_array().unwrap().contains(value) => fault(format!("{value} is none of {rule}")),
            "minimum" if value.is_number() && number(value) < number(rule) => fault(format!("{value} is below {rule}")),
            "maximum" if value.is_number() && number(value) > number(rule) => fault(format!("{value} is above {rule}")),
            "minLength" if value.as_str().is_some_and(|text| (text.chars().count() as f64) < number(rule)) => fault("too short".to_owned()),
            "maxLength" if value.as_str().is_some_and(|text| text.chars().count() as f64 > number(rule)) => fault("too long".to_owned()),
            "minItems" if value.as_array().is_some_and(|items| (items.len() as f64) < number(rule)) => fault("too few items".to_owned()),
            "anyOf" | "oneOf" => any_of(rule.as_array().unwrap(), value, path, out),
            "allOf" => rule.as_array().unwrap().iter().for_each(|schema| validate(schema, value, path, out)),
            "items" => value.as_array().into_iter().flatten().enumerate().for_each(|(at, item)| validate(rule, item, &format!("{path}[{at}]"), out)),
            "required" => {
                let missing = rule.as_array().unwrap().iter().filter(|name| value.is_object() && value.get(name.as_str().unwrap()).is_none());
                missing.for_each(|name| fault(format!("{name} is missing")));
            }
            "properties" => properties(rule.as_object().unwrap(), value, path, out),
            "additionalProperties" => rest(rule, keywords, value, path, out),
            "type" | "enum" | "minimum" | "maximum" | "minLength" | "maxLength" | "minItems" | "nullable" | "pattern" => {}
            unknown => panic!("the keyword {unknown} is not understood"),
        }
    }
}

fn of_type(rule: &Value, value: &Value) -> bool {
    match rule {
        Value::Array(kinds) => kinds.iter().any(|kind| of_type(kind, value)),
        kind => match kind.as_str().unwrap() {
            "string" => value.is_string(),
            "number" => value.is_number(),
            "integer" => value.is_u64() || value.is_i64(),
            "boolean" => value.is_boolean(),
            "object" => value.is_object(),
            "array" => value.is_array(),
            "null" => value.is_null(),
            unknown => panic!("the type {unknown} is not understood"),
        },
    }
}

fn properties(rules: &'static Map<String, Value>, value: &Value, path: &str, out: &mut Vec<String>) {
    for (name, schema) in rules {
        if let Some(field) = value.get(name) {
            validate(schema, field, &format!("{path}.{name}"), out);
        }
    }
}

fn rest(rule: &'static Value, keywords: &'static Map<String, Value>, value: &Value, path: &str, out: &mut Vec<String>) {
    let known = |name: &str| keywords.get("properties").is_some_and(|properties| properties.get(name).is_some());
    for (name, field) in value.as_object().into_iter().flatten().filter(|(name, _)| !known(name)) {
        if *rule == Value::Bool(false) {
            out.push(format!("{path}: {name} is unknown"));
        }
        validate(rule, field, &format!("{path}.{name}"), out);
    }
}

/// One of the schemas must fit. The faults are told of the one of the same `type`, or of that with the fewest.
fn any_of(schemas: &'static [Value], value: &Value, path: &str, out: &mut Vec<String>) {
    let tried: Vec<(bool, Vec<String>)> = schemas.iter().map(|schema| tried(schema, value, path)).collect();
    if tried.iter().any(|(_, faults)| faults.is_empty()) {
        return;
    }
    let nearest = tried.into_iter().min_by_key(|(same_type, faults)| (!same_type, faults.len()));
    out.extend(nearest.map(|(_, faults)| faults).unwrap_or_default());
}

fn tried(schema: &'static Value, value: &Value, path: &str) -> (bool, Vec<String>) {
    let mut faults = Vec::new();
    validate(schema, value, path, &mut faults);
    let own = format!("{path}.type: ");
    (value.get("type").is_some() && !faults.iter().any(|fault| fault.starts_with(&own)), faults)
}

#[test]
fn what_is_wrong_is_found_and_what_is_right_is_not() {
    let message = |content: Value| serde_json::json!({"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": content});
    let text = serde_json::json!({"type": "output_text", "text": "a", "annotations": [], "logprobs": []});
    check("OutputItem", &message(serde_json::json!([text])));
    for (item, fault) in [
        (message(serde_json::json!([{"type": "output_text", "text": "a", "annotations": []}])), "OutputItem.content[0]: \"logprobs\" is missing"),
        (message(serde_json::json!([{"type": "output_text", "text": 5, "annotations": [], "logprobs": []}])), "OutputItem.content[0].text: 5 is no \"string\""),
        (serde_json::json!({"type": "reasoning", "id": "r"}), "OutputItem: \"summary\" is missing"),
    ] {
        assert_eq!(faults("OutputItem", &item), [fault]);
    }
    assert!(!faults("Response", &serde_json::json!({})).is_empty());
    assert!(!faults("ResponseStreamEvent", &serde_json::json!({"type": "response.new", "sequence_number": 1})).is_empty());
}
