//! `POST /v1/moderations`: finds violence where the word stands, or where the switch `flagged` says so.

use super::super::job::{Job, Reply};
use super::super::prompt::{Prompt, Refused, Unit};
use super::super::words::name;
use super::completions::inputs;
use serde_json::{Map, Value, json};

const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

/// Reads a request: a text, texts, or parts that are judged as one.
pub fn parse(body: &Value) -> Result<Prompt, Refused> {
    let model = body["model"].as_str().unwrap_or("omni-moderation-latest").to_owned();
    if body["input"].as_array().is_some_and(|parts| parts.iter().any(Value::is_object)) {
        let unit = Unit { around: 0, ..Unit::message(&body["input"]) };
        return Ok(Prompt { units: vec![unit.clone()], tokens: unit.tokens(), ..Prompt::of_texts(model, &[unit.words]) });
    }
    Ok(Prompt::of_texts(model, &inputs(&body["input"], "input")?))
}

/// What is handed over.
pub fn reply(job: &Job<'_>) -> Reply {
    let results: Vec<Value> = job.prompt.units.iter().map(|unit| result(job.switches.flagged || unit.words.to_lowercase().contains("violence"))).collect();
    let out = json!({"id": name("modr-", &job.prompt.model, job.number), "model": job.prompt.model, "results": results});
    Reply::json(&out, "", 0, None)
}

fn result(flagged: bool) -> Value {
    let each = |value: &dyn Fn(&str) -> Value| CATEGORIES.iter().map(|name| ((*name).to_owned(), value(name))).collect::<Map<_, _>>();
    let hit = |name: &str| flagged && name == "violence";
    json!({
        "flagged": flagged,
        "categories": each(&|name| json!(hit(name))),
        "category_scores": each(&|name| json!(if hit(name) { 0.97 } else { 0.0001 })),
        "category_applied_input_types": each(&|_| json!(["text"])),
    })
}
