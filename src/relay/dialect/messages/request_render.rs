//! Writing a Messages request.

use super::{reasoning, schema, tools, turns};
use crate::relay::dialect::Target;
use crate::relay::dialect::canonical::{Format, Instruction, Request, Unfit};
use serde_json::{Map, Value, json};

/// The longest word on who asks that Anthropic takes.
const MAX_USER: usize = 256;
/// JSON mode, which Anthropic has with a schema only.
const JSON_MODE: &str = "Answer with a single JSON object and nothing else: no words around it, and no code fence.";

/// Writes the body for an upstream.
///
/// # Errors
/// [`Unfit`] with what Messages has no words for.
pub fn render_request(request: &Request, target: &Target<'_>) -> Result<Vec<u8>, Unfit> {
    let cap = target.output_cap.unwrap_or(target.default_cap);
    let (instructions, messages) = conversation(request)?;
    let goes_on = goes_on_without_thoughts(&messages);
    let mut body = Map::new();
    body.insert("model".to_owned(), target.model.into());
    body.insert("max_tokens".to_owned(), cap.into());
    if let Some(system) = turns::system(&instructions) {
        body.insert("system".to_owned(), system);
    }
    body.insert("messages".to_owned(), messages.into());
    tools::render(&mut body, request);
    let thinking = reasoning::render(request, target.model, cap, goes_on);
    reasoning::sampling(&mut body, request, target.model, thinking.thinks());
    output_config(&mut body, request, thinking.effort)?;
    body.extend(thinking.thinking.map(|thinking| ("thinking".to_owned(), thinking)));
    if let Some(blank) = request.stop.iter().position(|stop| stop.trim().is_empty()) {
        return Err(Unfit::new(format!("stop[{blank}]"), "The providers of this model cannot end an answer at white space alone."));
    }
    if !request.stop.is_empty() {
        body.insert("stop_sequences".to_owned(), request.stop.clone().into());
    }
    if let Some(user) = request.user.as_deref().filter(|user| user.len() <= MAX_USER) {
        body.insert("metadata".to_owned(), json!({"user_id": user}));
    }
    if let Some(tier) = request.service_tier.as_deref().filter(|tier| ["auto", "standard_only"].contains(tier)) {
        body.insert("service_tier".to_owned(), tier.into());
    }
    if request.stream {
        body.insert("stream".to_owned(), true.into());
    }
    Ok(serde_json::to_vec(&Value::Object(body)).unwrap_or_default())
}

/// The prompts and the turns. When there are prompts only, the last of them is what the user says.
fn conversation(request: &Request) -> Result<(Vec<Instruction>, Vec<Value>), Unfit> {
    let mut instructions = request.instructions.clone();
    let messages = match instructions.pop_if(|_| request.messages.is_empty()) {
        Some(last) => vec![json!({"role": "user", "content": last.text.text})],
        None => turns::render(request)?,
    };
    if request.format == Some(Format::JsonObject) {
        instructions.push(Instruction { developer: false, text: JSON_MODE.into() });
    }
    Ok((instructions, messages))
}

/// Whether the model is in the middle of a turn that called tools and whose thoughts are not there.
fn goes_on_without_thoughts(messages: &[Value]) -> bool {
    let last = messages.iter().rev().find(|message| message["role"] == "assistant").and_then(|message| message["content"].as_array());
    last.is_some_and(|blocks| {
        let has = |kinds: &[&str], block: &Value| kinds.iter().any(|kind| block["type"] == *kind);
        blocks.iter().any(|block| has(&["tool_use"], block)) && !blocks.first().is_some_and(|block| has(&["thinking", "redacted_thinking"], block))
    })
}

fn output_config(body: &mut Map<String, Value>, request: &Request, effort: Option<&str>) -> Result<(), Unfit> {
    let mut config = Map::new();
    config.extend(effort.map(|effort| ("effort".to_owned(), effort.into())));
    if let Some(Format::JsonSchema { schema, .. }) = &request.format {
        let field = "response_format.json_schema.schema";
        let fitted = schema::fit(schema).ok_or_else(|| {
            Unfit::new(field, format!("'{field}' has an object with keys of any name, which the providers of this model cannot keep to. List its properties."))
        })?;
        config.insert("format".to_owned(), json!({"type": "json_schema", "schema": fitted}));
    }
    if !config.is_empty() {
        body.insert("output_config".to_owned(), config.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::dialect::Dialect;
    use crate::relay::dialect::canonical::{
        Choice, Effort, Message, Part, Reasoning, Role, Sampling, Signature, Thought, Tool, ToolCall, ToolKind, ToolResult,
    };

    fn render(request: &Request) -> Result<Value, Unfit> {
        let target = Target { model: "claude-sonnet-4-5", output_cap: None, default_cap: 4_096, is_openai: false };
        render_request(request, &target).map(|body| serde_json::from_slice(&body).unwrap())
    }

    fn says(role: Role, text: &str) -> Message {
        Message { role, parts: vec![Part::Text(text.into())] }
    }

    fn call(id: &str) -> Part {
        Part::ToolCall(ToolCall { id: id.to_owned(), name: "f".to_owned(), arguments: String::new(), custom: false, signature: None, cache: None })
    }

    fn result(id: &str) -> Part {
        Part::ToolResult(ToolResult { call_id: id.to_owned(), name: None, parts: vec![], is_error: true, custom: false, cache: None })
    }

    fn asks(messages: Vec<Message>) -> Request {
        Request { messages, ..Request::default() }
    }

    #[test]
    fn turns_alternate_and_nothing_is_lost() {
        let messages = vec![
            says(Role::Assistant, "hello"),
            says(Role::User, "a"),
            says(Role::System { developer: true }, "b"),
            says(Role::User, " "),
            Message { role: Role::Assistant, parts: vec![call("a.b")] },
            says(Role::User, "c"),
            Message { role: Role::User, parts: vec![result("a.b")] },
            says(Role::Assistant, "so \n"),
        ];
        let body = render(&asks(messages)).unwrap();
        let id = body["messages"][3]["content"][0]["id"].clone();
        let expected = json!([
            {"role": "user", "content": "."},
            {"role": "assistant", "content": "hello"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "<system>\nb\n</system>"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "is_error": true}, {"type": "text", "text": "c"}]},
            {"role": "assistant", "content": "so"},
        ]);
        assert_eq!((&body["messages"], &body["max_tokens"]), (&expected, &json!(4_096)));
        assert!(id.as_str().unwrap().starts_with("call_"));
    }

    #[test]
    fn prompts_alone_are_a_question() {
        let instruction = |text: &str| Instruction { developer: false, text: text.into() };
        let body = render(&Request { instructions: vec![instruction("a"), instruction("b")], ..Request::default() }).unwrap();
        assert_eq!((&body["system"], &body["messages"]), (&json!("a"), &json!([{"role": "user", "content": "b"}])));
        assert_eq!(render(&asks(vec![says(Role::User, "")])).unwrap_err().field, "messages");
    }

    #[test]
    fn only_anthropics_own_thoughts_go_back() {
        let thought =
            |of: Dialect| Part::Thought(Thought { text: "t".to_owned(), signature: Some(Signature { of, value: "s".to_owned() }), ..Thought::default() });
        let plain = Part::Thought(Thought { text: "p".to_owned(), ..Thought::default() });
        let parts = vec![plain, thought(Dialect::Gemini), thought(Dialect::Messages), Part::Text("x".into())];
        let body = render(&asks(vec![says(Role::User, "q"), Message { role: Role::Assistant, parts }])).unwrap();
        assert_eq!(body["messages"][1]["content"], json!([{"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "text", "text": "x"}]));
    }

    #[test]
    fn thinking_yields_to_what_it_does_not_go_with() {
        let reasoning = Some(Reasoning { effort: Some(Effort::Low), ..Reasoning::default() });
        let tools = vec![Tool { name: "f".to_owned(), description: None, kind: ToolKind::Function { parameters: None, strict: None }, cache: None }];
        let sampling = Sampling { temperature: serde_json::Number::from_f64(1.5), top_p: serde_json::Number::from_f64(0.5), ..Sampling::default() };
        let base = Request { reasoning, tools, sampling, messages: vec![says(Role::User, "q")], ..Request::default() };
        let body = render(&base).unwrap();
        assert_eq!((&body["thinking"]["budget_tokens"], &body["temperature"]), (&json!(2_048), &Value::Null));

        let body = render(&Request { tool_choice: Some(Choice::Required), ..base.clone() }).unwrap();
        assert_eq!((&body["thinking"], &body["temperature"], &body["top_p"]), (&Value::Null, &json!(1), &Value::Null));

        let messages =
            vec![says(Role::User, "q"), Message { role: Role::Assistant, parts: vec![call("a")] }, Message { role: Role::User, parts: vec![result("a")] }];
        assert_eq!(render(&Request { messages, ..base }).unwrap()["thinking"], Value::Null);
    }

    #[test]
    fn json_mode_is_an_instruction_and_a_schema_a_format() {
        let base = asks(vec![says(Role::User, "q")]);
        assert_eq!(render(&Request { format: Some(Format::JsonObject), ..base.clone() }).unwrap()["system"], JSON_MODE);
        let schema = |schema| Some(Format::JsonSchema { name: None, description: None, schema, strict: None });
        let body = render(&Request { format: schema(json!({"type": "object", "properties": {}})), ..base.clone() }).unwrap();
        assert_eq!(body["output_config"]["format"]["schema"]["additionalProperties"], false);
        assert_eq!(render(&Request { format: schema(json!({"type": "object"})), ..base }).unwrap_err().field, "response_format.json_schema.schema");
    }

    #[test]
    fn what_messages_cannot_say_is_named() {
        let audio = Part::Audio { data: String::new(), format: "wav".to_owned() };
        assert_eq!(render(&asks(vec![Message { role: Role::User, parts: vec![audio] }])).unwrap_err().field, "messages[0].content[0]");
        let stop = Request { stop: vec!["x".to_owned(), "\n".to_owned()], ..asks(vec![says(Role::User, "q")]) };
        assert_eq!(render(&stop).unwrap_err().field, "stop[1]");
    }
}
