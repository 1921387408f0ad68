//! Custom tools take free text. For a provider that knows functions only, one becomes a function with a single string, `input`, and its calls are turned back.

use serde_json::{Value, json};

/// The schema that stands for free text. A grammar is told in words, since the provider cannot hold the model to it.
pub fn schema(format: Option<&Value>) -> Value {
    let grammar = format.filter(|format| format["type"] == "grammar");
    let mut input = json!({"type": "string"});
    if let Some(definition) = grammar.and_then(|grammar| grammar["definition"].as_str()) {
        let syntax = grammar.and_then(|grammar| grammar["syntax"].as_str()).unwrap_or("lark");
        input["description"] = format!("Text that keeps to this {syntax} grammar:\n{definition}").into();
    }
    json!({"type": "object", "properties": {"input": input}, "required": ["input"], "additionalProperties": false})
}

/// The arguments of the function that stands for a custom tool.
pub fn wrap(input: &str) -> String {
    json!({"input": input}).to_string()
}

/// The free text in the arguments of a function that stands for a custom tool; arguments of another form are the text themselves.
pub fn unwrap(arguments: &str) -> String {
    match serde_json::from_str::<Value>(arguments) {
        Ok(Value::Object(mut fields)) => match fields.get_mut("input").map(Value::take) {
            Some(Value::String(input)) => input,
            _ => arguments.to_owned(),
        },
        Ok(Value::String(input)) => input,
        _ => arguments.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_text_goes_into_a_function_and_comes_back() {
        for text in ["", "*** Begin Patch\n\"x\"", "{\"input\":1}", "ü"] {
            assert_eq!(unwrap(&wrap(text)), text);
        }
        for (written, text) in [("bare", "bare"), ("\"quoted\"", "quoted"), ("{\"other\":1}", "{\"other\":1}"), ("{\"input\":", "{\"input\":")] {
            assert_eq!(unwrap(written), text);
        }
    }

    #[test]
    fn a_grammar_is_told_in_words() {
        let schema = schema(Some(&json!({"type": "grammar", "syntax": "lark", "definition": "start: \"a\""})));
        assert_eq!(schema["properties"]["input"]["description"], "Text that keeps to this lark grammar:\nstart: \"a\"");
        assert_eq!(super::schema(None)["required"], json!(["input"]));
    }
}
