//! JSON schemas for `output_config.format`. Anthropic enforces a part of JSON Schema and refuses the rest
//! (<https://platform.claude.com/docs/en/build-with-claude/structured-outputs>): what it refuses is told in the description instead.

use serde_json::{Map, Value};

/// What is not enforced and would be refused.
const REFUSED: [&str; 14] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "minContains",
    "maxContains",
    "minProperties",
    "maxProperties",
    "propertyNames",
];

/// Makes a schema one that Anthropic takes; none when it has a map of any keys, which cannot be said.
pub(super) fn fit(schema: &Value) -> Option<Value> {
    let Value::Object(object) = schema else { return Some(schema.clone()) };
    let mut out = Map::new();
    let mut told = Vec::new();
    for (name, value) in object {
        let too_many = name == "minItems" && value.as_u64().is_none_or(|least| least > 1);
        match name.as_str() {
            refused if REFUSED.contains(&refused) || too_many => told.push(format!("{refused}: {value}")),
            "properties" | "$defs" | "definitions" => drop(out.insert(name.clone(), each(value)?)),
            // Of alternatives, any may hold.
            "oneOf" => drop(out.insert("anyOf".to_owned(), all(value)?)),
            "anyOf" | "allOf" => drop(out.insert(name.clone(), all(value)?)),
            "items" => drop(out.insert(name.clone(), fit(value)?)),
            "additionalProperties" if value.is_object() => return None,
            "additionalProperties" => {}
            _ => drop(out.insert(name.clone(), value.clone())),
        }
    }
    if out.contains_key("properties") || out.get("type").is_some_and(|kind| kind == "object") {
        if !out.contains_key("properties") && object.get("additionalProperties") != Some(&Value::Bool(false)) {
            return None;
        }
        out.insert("additionalProperties".to_owned(), false.into());
    }
    if !told.is_empty() {
        let before = out.get("description").and_then(Value::as_str).map(|text| format!("{text}\n\n")).unwrap_or_default();
        out.insert("description".to_owned(), format!("{before}{{{}}}", told.join(", ")).into());
    }
    Some(Value::Object(out))
}

fn each(schemas: &Value) -> Option<Value> {
    let Value::Object(schemas) = schemas else { return Some(schemas.clone()) };
    let fitted = schemas.iter().map(|(name, schema)| Some((name.clone(), fit(schema)?)));
    fitted.collect::<Option<Map<_, _>>>().map(Value::Object)
}

fn all(schemas: &Value) -> Option<Value> {
    let Value::Array(schemas) = schemas else { return Some(schemas.clone()) };
    schemas.iter().map(fit).collect::<Option<Vec<_>>>().map(Value::Array)
}

/// Whether OpenAI would keep to a schema by the letter: every object lists all its fields as required and forbids others.
pub(super) fn is_strict(schema: &Value) -> bool {
    match schema {
        Value::Array(items) => items.iter().all(is_strict),
        Value::Object(object) => {
            let fields = object.get("properties").and_then(Value::as_object);
            let is_required = |name: &String| object.get("required").and_then(Value::as_array).is_some_and(|names| names.iter().any(|known| known == name));
            let is_closed = object.get("additionalProperties") == Some(&Value::Bool(false));
            fields.is_none_or(|fields| is_closed && fields.keys().all(is_required)) && object.values().all(is_strict)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_refused_is_told_instead() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "integer", "minimum": 1, "description": "A."}, "b": {"oneOf": [{"type": "string", "maxLength": 3}]}}});
        let expected = json!({
            "type": "object",
            "properties": {"a": {"type": "integer", "description": "A.\n\n{minimum: 1}"}, "b": {"anyOf": [{"type": "string", "description": "{maxLength: 3}"}]}},
            "additionalProperties": false,
        });
        assert_eq!(fit(&schema), Some(expected.clone()));
        assert_eq!(fit(&expected), Some(expected));
    }

    #[test]
    fn a_map_of_any_keys_cannot_be_said() {
        for schema in [json!({"type": "object"}), json!({"type": "array", "items": {"type": "object", "additionalProperties": {"type": "string"}}})] {
            assert_eq!(fit(&schema), None, "{schema}");
        }
    }

    #[test]
    fn strictness_is_seen() {
        let object = |required: Value| json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": required, "additionalProperties": false});
        assert!(is_strict(&object(json!(["a"]))) && !is_strict(&object(json!([]))) && !is_strict(&json!({"items": {"properties": {}}})));
    }
}
