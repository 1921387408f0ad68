//! Calling tools: which, and with arguments that fit their schemas; and answers that fit a schema.

use super::prompt::{Prompt, Tool, ToolChoice};
use super::switches::Switches;
use super::words::Dice;
use serde_json::{Map, Value, json};

/// How deep a value that fits a schema goes.
const DEEPEST: u8 = 6;

/// The tools that this prompt asks for: those that the caller insists on, or those that the last user message speaks of.
pub(super) fn wanted<'a>(prompt: &'a Prompt, switches: &Switches) -> Vec<&'a Tool> {
    let tools = &prompt.tools;
    let chosen: Vec<&Tool> = match &prompt.tool_choice {
        ToolChoice::None => Vec::new(),
        ToolChoice::Named(name) => tools.iter().filter(|tool| tool.name == *name).take(1).collect(),
        ToolChoice::Required if switches.parallel == 0 => spoken_of_or_first(prompt),
        ToolChoice::Required => tools.iter().collect(),
        ToolChoice::Auto if prompt.tool_has_answered => Vec::new(),
        ToolChoice::Auto if switches.parallel > 0 => tools.iter().collect(),
        ToolChoice::Auto if switches.tool => spoken_of_or_first(prompt),
        ToolChoice::Auto => tools.iter().filter(|tool| is_spoken_of(&tool.name, &prompt.question)).collect(),
    };
    match switches.parallel as usize {
        _ if !prompt.parallel => chosen.into_iter().take(1).collect(),
        0 => chosen,
        calls => chosen.iter().copied().cycle().take(if chosen.is_empty() { 0 } else { calls }).collect(),
    }
}

fn spoken_of_or_first(prompt: &Prompt) -> Vec<&Tool> {
    let spoken: Vec<&Tool> = prompt.tools.iter().filter(|tool| is_spoken_of(&tool.name, &prompt.question)).collect();
    if spoken.is_empty() { prompt.tools.iter().take(1).collect() } else { spoken }
}

/// `get_weather` is spoken of in "what is the weather in Kyoto?".
fn is_spoken_of(tool: &str, question: &str) -> bool {
    let question = question.to_lowercase();
    tool.to_lowercase().split(['_', '-', '.']).any(|word| word.len() > 3 && question.contains(word))
}

/// Arguments of the nth call: JSON text that fits the tool's schema, or the question for a tool that takes free text.
pub(super) fn arguments(tool: &Tool, question: &str, nth: u64) -> String {
    if tool.custom { question.to_owned() } else { sample(&tool.schema, question, nth) }
}

/// JSON text that fits a schema.
pub(super) fn sample(schema: &Value, question: &str, variant: u64) -> String {
    Sampler { root: schema, question, dice: Dice::of(question, variant) }.value(schema, "", DEEPEST).to_string()
}

struct Sampler<'a> {
    root: &'a Value,
    question: &'a str,
    dice: Dice,
}

impl Sampler<'_> {
    fn value(&mut self, schema: &Value, name: &str, depth: u8) -> Value {
        if let Some(inner) = self.elsewhere(schema).filter(|_| depth > 0) {
            return self.value(&inner, name, depth - 1);
        }
        if let Some(only) = schema.get("const").or_else(|| schema["enum"].as_array()?.first()) {
            return only.clone();
        }
        match kind(schema).as_str() {
            "integer" => json!(self.whole(schema)),
            "number" => json!(self.whole(schema) as f64 + if schema["maximum"].is_number() { 0.0 } else { 0.5 }),
            "boolean" => json!(self.dice.below(2) == 1),
            "null" => Value::Null,
            "array" if depth > 0 => {
                let items = schema["minItems"].as_u64().unwrap_or(1).clamp(1, 8);
                (0..items).map(|_| self.value(&schema["items"], name, depth - 1)).collect()
            }
            "array" => json!([]),
            "string" => Value::String(phrase(name, self.question)),
            _ => Value::Object(self.properties(schema, depth)),
        }
    }

    /// The schema that stands for this one: behind a `$ref`, or the first of several that is not null.
    fn elsewhere(&self, schema: &Value) -> Option<Value> {
        if let Some(pointer) = schema["$ref"].as_str() {
            return self.root.pointer(pointer.trim_start_matches('#')).cloned();
        }
        let several = ["anyOf", "oneOf", "allOf"].iter().find_map(|key| schema[key].as_array())?;
        several.iter().find(|one| kind(one) != "null").cloned()
    }

    fn whole(&mut self, schema: &Value) -> i64 {
        let number = 1 + self.dice.below(20) as i64;
        let bound = |key: &str| schema[key].as_f64().map(|n| n as i64);
        number.max(bound("minimum").unwrap_or(i64::MIN)).min(bound("maximum").unwrap_or(i64::MAX))
    }

    fn properties(&mut self, schema: &Value, depth: u8) -> Map<String, Value> {
        let known = schema["properties"].as_object().filter(|_| depth > 0);
        known.into_iter().flatten().map(|(name, inner)| (name.clone(), self.value(inner, name, depth - 1))).collect()
    }
}

/// The type that a schema asks for, in lower case (Gemini's are in capitals); of several the first that is not null.
fn kind(schema: &Value) -> String {
    let several = schema["type"].as_array().into_iter().flatten().filter_map(Value::as_str).find(|kind| *kind != "null");
    schema["type"].as_str().or(several).unwrap_or("object").to_lowercase()
}

/// The last capitalised word of the question ("Kyoto") makes a better argument than none; else the name of the argument itself.
fn phrase(name: &str, question: &str) -> String {
    let word = question.split(|c: char| !c.is_alphanumeric()).rfind(|word| word.chars().next().is_some_and(char::is_uppercase) && word.len() > 3);
    word.unwrap_or(name).to_owned()
}
