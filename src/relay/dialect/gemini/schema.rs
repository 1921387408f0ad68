//! Google's `Schema`, a piece of OpenAPI 3.0, as JSON Schema: types in small letters, `nullable` as a type of its own.

use super::camel;
use serde_json::{Map, Value, json};

/// The JSON schema that says the same.
pub(super) fn to_json_schema(schema: Value) -> Value {
    let Value::Object(fields) = schema else { return schema };
    let mut out = Map::with_capacity(fields.len());
    let mut nullable = false;
    for (name, value) in fields {
        let name = camel::name_of(&name);
        match (name.as_str(), value) {
            ("type", Value::String(kind)) => drop(out.insert(name, kind.to_ascii_lowercase().into())),
            ("nullable", value) => nullable = value == Value::Bool(true),
            // The order in which Gemini writes them; the others keep the schema's own.
            ("propertyOrdering", _) => {}
            ("properties" | "defs", Value::Object(inner)) => {
                let inner = inner.into_iter().map(|(name, schema)| (name, to_json_schema(schema))).collect();
                out.insert(if name == "defs" { "$defs".to_owned() } else { name }, Value::Object(inner));
            }
            ("ref", value) => drop(out.insert("$ref".to_owned(), value)),
            ("example", value) => drop(out.insert("examples".to_owned(), json!([value]))),
            ("anyOf", Value::Array(items)) => drop(out.insert(name, items.into_iter().map(to_json_schema).collect())),
            ("items" | "additionalProperties", value) => drop(out.insert(name, to_json_schema(value))),
            // Protobuf writes whole numbers of 64 bits as strings.
            ("maxItems" | "minItems" | "maxLength" | "minLength" | "maxProperties" | "minProperties", Value::String(digits)) => {
                out.insert(name, digits.parse::<u64>().map_or(Value::String(digits), Value::from));
            }
            (_, value) => drop(out.insert(name, value)),
        }
    }
    if nullable { or_null(out) } else { Value::Object(out) }
}

fn or_null(mut schema: Map<String, Value>) -> Value {
    if let Some(Value::String(kind)) = schema.get("type") {
        let kinds = json!([kind, "null"]);
        schema.insert("type".to_owned(), kinds);
        if let Some(Value::Array(choices)) = schema.get_mut("enum") {
            choices.push(Value::Null);
        }
        return Value::Object(schema);
    }
    json!({"anyOf": [schema, {"type": "null"}]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_openapi_schema_becomes_a_json_schema() {
        let written = json!({
            "type": "OBJECT", "property_ordering": ["type"], "required": ["type"],
            "properties": {
                "type": {"type": "STRING", "enum": ["a", "b"], "nullable": true},
                "max_items": {"type": "ARRAY", "items": {"type": "INTEGER"}, "max_items": "3"},
                "either": {"any_of": [{"type": "STRING"}, {"type": "NUMBER"}], "nullable": true},
            },
        });
        let read = json!({
            "type": "object", "required": ["type"],
            "properties": {
                "type": {"type": ["string", "null"], "enum": ["a", "b", null]},
                "max_items": {"type": "array", "items": {"type": "integer"}, "maxItems": 3},
                "either": {"anyOf": [{"anyOf": [{"type": "string"}, {"type": "number"}]}, {"type": "null"}]},
            },
        });
        assert_eq!(to_json_schema(written), read);
    }
}
