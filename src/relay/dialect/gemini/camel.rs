//! Google takes the names of fields in snake case, too.

use serde_json::{Map, Value};

/// Fields whose content is the caller's own and has no names of Google's, or those of a schema, which [`super::schema`] reads.
const OPAQUE: [&str; 9] =
    ["args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema", "labels", "partMetadata", "generationOutputConfig"];

/// `generation_config` as `generationConfig`. Where both are written, the first wins.
pub fn names(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut out = Map::with_capacity(fields.len());
            for (name, value) in fields {
                let name = name_of(&name);
                let value = if OPAQUE.contains(&name.as_str()) { value } else { names(value) };
                out.entry(name).or_insert(value);
            }
            Value::Object(out)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(names).collect()),
        other => other,
    }
}

/// One name.
pub(super) fn name_of(name: &str) -> String {
    let name = if name == "_response_json_schema" || name == "_responseJsonSchema" { &name[1..] } else { name };
    let mut out = String::with_capacity(name.len());
    let mut rises = false;
    for letter in name.chars() {
        match letter {
            '_' => rises = true,
            letter if rises => {
                out.extend(letter.to_uppercase());
                rises = false;
            }
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn googles_names_change_and_the_callers_do_not() {
        let written =
            json!({"generation_config": {"max_output_tokens": 5}, "contents": [{"parts": [{"function_call": {"name": "a_b", "args": {"my_arg": 1}}}]}]});
        let read = json!({"generationConfig": {"maxOutputTokens": 5}, "contents": [{"parts": [{"functionCall": {"name": "a_b", "args": {"my_arg": 1}}}]}]});
        assert_eq!(names(written), read);
        assert_eq!(names(read.clone()), read);
        assert_eq!(name_of("_response_json_schema"), "responseJsonSchema");
    }
}
