//! Custom tools take free text. For a provider that knows functions only, one becomes a function with a single string, `input`, and its calls are turned back.

use super::canonical::{Delta, Event, Opening, Request, ToolCall};
use serde_json::{Value, json};
use std::borrow::Cow;

/// The schema that stands for free text. A grammar is told in words, since the provider cannot hold the model to it.
pub fn schema(format: Option<&Value>) -> Value {
    let grammar = format.filter(|format| format["type"] == "grammar");
    // Chat has the grammar one level deeper than Responses.
    let grammar = grammar.map(|format| format.get("grammar").unwrap_or(format));
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

impl ToolCall {
    /// The arguments as JSON, also of a custom call.
    pub fn as_function(&self) -> Cow<'_, str> {
        if self.custom { Cow::Owned(wrap(&self.arguments)) } else { Cow::Borrowed(&self.arguments) }
    }

    /// The call as the caller of `request` knows it: custom where the tool is.
    pub fn as_asked(&self, request: &Request) -> Cow<'_, Self> {
        if self.custom || !request.is_custom(&self.name) {
            return Cow::Borrowed(self);
        }
        Cow::Owned(Self { custom: true, arguments: unwrap(&self.arguments), ..self.clone() })
    }
}

/// The same for a stream: calls of functions that stand for custom tools are kept until they are whole, then passed on as what they are.
#[derive(Debug, Default)]
pub struct CustomCalls {
    kept: Vec<(usize, String)>,
}

impl CustomCalls {
    /// Hands each event that is due to `then`.
    pub fn pass(&mut self, request: &Request, event: Event, mut then: impl FnMut(Event)) {
        match event {
            Event::Open { index, part: Opening::ToolCall { id, name, custom: false, signature } } if request.is_custom(&name) => {
                self.kept.push((index, String::new()));
                then(Event::Open { index, part: Opening::ToolCall { id, name, custom: true, signature } });
            }
            Event::Grow { index, delta: Delta::Arguments(piece) } => match self.kept.iter_mut().find(|(kept, _)| *kept == index) {
                Some((_, arguments)) => arguments.push_str(&piece),
                None => then(Event::Grow { index, delta: Delta::Arguments(piece) }),
            },
            Event::Close { index } => {
                if let Some(at) = self.kept.iter().position(|(kept, _)| *kept == index) {
                    let (_, arguments) = self.kept.swap_remove(at);
                    then(Event::Grow { index, delta: Delta::Arguments(unwrap(&arguments)) });
                }
                then(Event::Close { index });
            }
            other => then(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::dialect::canonical::{Tool, ToolKind};

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
        let nested = json!({"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: \"a\""}});
        assert_eq!(super::schema(Some(&nested)), schema);
    }

    #[test]
    fn a_streamed_call_comes_out_whole_and_custom() {
        let tool = Tool { name: "patch".to_owned(), description: None, kind: ToolKind::Custom { format: None }, cache: None };
        let request = Request { tools: vec![tool], ..Request::default() };
        let open =
            |index, name: &str, custom| Event::Open { index, part: Opening::ToolCall { id: "c".to_owned(), name: name.to_owned(), custom, signature: None } };
        let grow = |index, text: &str| Event::Grow { index, delta: Delta::Arguments(text.to_owned()) };
        let events =
            vec![open(0, "patch", false), open(1, "other", false), grow(0, r#"{"inp"#), grow(1, "{}"), grow(0, r#"ut":"x"}"#), Event::Close { index: 0 }];
        let (mut calls, mut out) = (CustomCalls::default(), Vec::new());
        events.into_iter().for_each(|event| calls.pass(&request, event, |event| out.push(event)));
        assert_eq!(out, [open(0, "patch", true), open(1, "other", false), grow(1, "{}"), grow(0, "x"), Event::Close { index: 0 }]);
        assert!(calls.kept.is_empty());
    }
}
