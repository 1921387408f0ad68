//! Custom tools, which take free text, for dialects that know functions alone: such a tool becomes a function with one string `input`, and a call of that
//! function becomes a custom call again for a caller who asked for one.

use super::{Delta, Event, Opening, Request, ToolCall, ToolKind};
use serde_json::{Value, json};
use std::borrow::Cow;

/// The one argument of such a function.
const INPUT: &str = "input";

/// The schema of the function that stands for a custom tool of this `format`. A grammar is told in words, since nothing can enforce it.
pub fn parameters(format: Option<&Value>) -> Value {
    let grammar = format.filter(|format| format["type"] == "grammar");
    // Chat has the grammar one level deeper than Responses.
    let grammar = grammar.map(|format| format.get("grammar").unwrap_or(format));
    let text = |grammar: &Value, name: &str| grammar[name].as_str().unwrap_or_default().to_owned();
    let description = match grammar {
        Some(grammar) => format!("The bare input. It must follow this {} grammar:\n{}", text(grammar, "syntax"), text(grammar, "definition")),
        None => "The bare input.".to_owned(),
    };
    json!({"type": "object", "properties": {INPUT: {"type": "string", "description": description}}, "required": [INPUT], "additionalProperties": false})
}

/// The arguments of the function for a custom call's input.
pub fn wrap(input: &str) -> String {
    json!({ INPUT: input }).to_string()
}

/// The input of a custom call from the function's arguments; what is not of that form is taken as it stands.
pub fn unwrap(arguments: &str) -> String {
    let value: Option<Value> = serde_json::from_str(arguments).ok();
    let input = value.as_ref().and_then(|value| value.get(INPUT)).and_then(Value::as_str);
    input.unwrap_or(arguments).to_owned()
}

impl Request {
    /// Whether the caller defined a custom tool of this name.
    pub fn is_custom(&self, name: &str) -> bool {
        self.tools.iter().any(|tool| tool.name == name && matches!(tool.kind, ToolKind::Custom { .. }))
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
    use crate::relay::dialect::canonical::Tool;

    #[test]
    fn an_input_survives_the_way_there_and_back() {
        for input in ["", "plain", "*** Begin Patch\n\"quoted\" \\ \u{1f600}\n", "{\"input\":\"x\"}"] {
            assert_eq!(unwrap(&wrap(input)), input);
        }
        assert_eq!(unwrap("not json"), "not json");
        assert_eq!(unwrap(r#"{"other":1}"#), r#"{"other":1}"#);
    }

    #[test]
    fn a_grammar_is_told_in_words() {
        for format in
            [json!({"type":"grammar","grammar":{"syntax":"lark","definition":"start: X"}}), json!({"type":"grammar","syntax":"lark","definition":"start: X"})]
        {
            assert!(parameters(Some(&format))["properties"]["input"]["description"].as_str().unwrap().ends_with("this lark grammar:\nstart: X"));
        }
        assert_eq!(parameters(Some(&json!({"type":"text"}))), parameters(None));
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
