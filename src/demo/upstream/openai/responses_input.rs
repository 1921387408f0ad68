//! `POST /v1/responses`: what is asked, as one text or as a list of items.

use super::super::prompt::{self, Prompt, Refused, Tool, ToolChoice, Unit};
use super::chat::{any_object, thinks};
use serde_json::{Value, json};

/// Reads a request.
pub fn parse(body: &Value) -> Result<Prompt, Refused> {
    let items = match &body["input"] {
        Value::String(text) => vec![json!({"role": "user", "content": text})],
        Value::Array(items) if !items.is_empty() => items.clone(),
        _ => return Err(Refused { code: Some("missing_required_parameter"), ..Refused::new("input", "Missing required parameter: 'input'.") }),
    };
    let reasoning = &body["reasoning"];
    let prompt = Prompt {
        model: prompt::model(body)?,
        stream: prompt::flag(body, "stream")?,
        include_usage: true,
        max_tokens: prompt::count(body, "max_output_tokens", 16..=u64::MAX)?,
        choices: 1,
        tools: body["tools"].as_array().into_iter().flatten().filter_map(offered).collect(),
        tool_choice: tool_choice(&body["tool_choice"]),
        parallel: body["parallel_tool_calls"] != false,
        tool_has_answered: items.last().is_some_and(|item| kind(item).ends_with("_output")),
        question: prompt::question(&items),
        schema: schema(&body["text"]["format"]),
        think: thinks(&reasoning["effort"]) || reasoning["summary"].is_string(),
        show_thoughts: reasoning["summary"].is_string(),
        ..Prompt::default()
    };
    let instructions = body["instructions"].as_str().map(|text| Unit::message(&json!(text)));
    Ok(prompt.with_units(instructions.into_iter().chain(items.iter().map(unit)).chain(Unit::definitions(&body["tools"]))))
}

/// The type of an item; one without is a message.
pub fn kind(item: &Value) -> &str {
    item["type"].as_str().unwrap_or("message")
}

fn unit(item: &Value) -> Unit {
    match kind(item) {
        "function_call" => Unit { calls: item["arguments"].as_str().unwrap_or_default().to_owned(), ..Unit::message(&item["name"]) },
        "custom_tool_call" => Unit { calls: item["input"].as_str().unwrap_or_default().to_owned(), ..Unit::message(&item["name"]) },
        "function_call_output" | "custom_tool_call_output" => Unit::message(&item["output"]),
        "reasoning" => Unit::default(), // thoughts of earlier turns do not count
        _ => Unit::message(&item["content"]),
    }
}

fn offered(tool: &Value) -> Option<Tool> {
    let custom = tool["type"] == "custom";
    let name = tool["name"].as_str().filter(|_| custom || tool["type"] == "function")?.to_owned();
    Some(Tool { name, schema: tool["parameters"].clone(), custom })
}

fn tool_choice(choice: &Value) -> ToolChoice {
    match (choice.as_str().or(choice["mode"].as_str()), choice["name"].as_str()) {
        (Some("none"), _) => ToolChoice::None,
        (Some("required"), _) => ToolChoice::Required,
        (_, Some(name)) => ToolChoice::Named(name.to_owned()),
        _ => ToolChoice::Auto,
    }
}

fn schema(format: &Value) -> Option<Value> {
    match format["type"].as_str()? {
        "json_schema" => Some(format["schema"].clone()),
        "json_object" => Some(any_object()),
        _ => None,
    }
}
