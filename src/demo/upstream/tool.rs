//! Calling a tool: which one, and with arguments that fit its schema.

use super::prompt::{Prompt, Tool, ToolChoice};
use super::words::Dice;
use serde_json::{Map, Value, json};

/// The tool that this prompt asks for: the one that the caller insists on, or the first that the last user message speaks of.
pub(super) fn wanted(prompt: &Prompt, insist: bool) -> Option<&Tool> {
    match &prompt.tool_choice {
        ToolChoice::None => None,
        ToolChoice::Named(name) => prompt.tools.iter().find(|tool| tool.name == *name),
        ToolChoice::Required => prompt.tools.first(),
        ToolChoice::Auto if prompt.tool_has_answered => None,
        ToolChoice::Auto if insist => prompt.tools.first(),
        ToolChoice::Auto => prompt.tools.iter().find(|tool| is_spoken_of(&tool.name, &prompt.question)),
    }
}

/// `get_weather` is spoken of in "what is the weather in Kyoto?".
fn is_spoken_of(tool: &str, question: &str) -> bool {
    let question = question.to_lowercase();
    tool.to_lowercase().split(['_', '-', '.']).any(|word| word.len() > 3 && question.contains(word))
}

/// Arguments, as JSON text, that fit the tool's schema.
pub(super) fn arguments(tool: &Tool, question: &str) -> String {
    value(&tool.schema, "", question, &mut Dice::of(question, 0), 4).to_string()
}

fn value(schema: &Value, name: &str, question: &str, dice: &mut Dice, depth: u8) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|choices| choices.first()) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("integer") => json!(1 + dice.below(20)),
        Some("number") => json!(0.5 + dice.below(20) as f64),
        Some("boolean") => json!(dice.below(2) == 1),
        Some("array") if depth > 0 => json!([value(&schema["items"], name, question, dice, depth - 1)]),
        Some("array") => json!([]),
        Some("string") => Value::String(phrase(name, question)),
        _ => Value::Object(properties(schema, question, dice, depth)),
    }
}

fn properties(schema: &Value, question: &str, dice: &mut Dice, depth: u8) -> Map<String, Value> {
    let known = schema["properties"].as_object().filter(|_| depth > 0);
    known.into_iter().flatten().map(|(name, inner)| (name.clone(), value(inner, name, question, dice, depth - 1))).collect()
}

/// The last capitalised word of the question ("Kyoto") makes a better argument than none; else the name of the argument itself.
fn phrase(name: &str, question: &str) -> String {
    let word = question.split(|c: char| !c.is_alphanumeric()).rfind(|word| word.chars().next().is_some_and(char::is_uppercase) && word.len() > 3);
    word.unwrap_or(name).to_owned()
}
