//! A request's body, written for an upstream. Model and stream stand in its address.

use super::super::canonical::{Choice, Format, Request, Tool, ToolKind, Unfit, tool_name};
use super::super::{Target, custom};
use super::{contents_render, thinking};
use serde_json::{Map, Number, Value, json};
use std::borrow::Cow;

/// Gemini has no switch for this.
const ONE_CALL: &str = "Call at most one function at a time, and wait for its response before you call the next.";

/// Writes a request.
///
/// # Errors
/// Names what Gemini has no words for.
pub fn render_request(request: &Request, target: &Target<'_>) -> Result<Vec<u8>, Unfit> {
    let mut out = Map::new();
    let mut system: Vec<Value> =
        request.instructions.iter().filter(|prompt| !prompt.text.text.is_empty()).map(|prompt| json!({"text": prompt.text.text})).collect();
    let may_call = !request.tools.is_empty() && request.tool_choice != Some(Choice::None);
    if request.parallel_tool_calls == Some(false) && may_call {
        system.push(json!({"text": ONE_CALL}));
    }
    let mut contents = contents_render::render(request, target.model)?;
    // Somebody has to speak: with instructions alone, they are the user's words.
    if contents.is_empty() && !system.is_empty() {
        contents.push(json!({"role": "user", "parts": std::mem::take(&mut system)}));
    }
    if !system.is_empty() {
        out.insert("systemInstruction".to_owned(), json!({"parts": system}));
    }
    out.insert("contents".to_owned(), contents.into());
    if !request.tools.is_empty() {
        let declarations: Vec<_> = request.tools.iter().map(declaration).collect();
        out.insert("tools".to_owned(), json!([{"functionDeclarations": declarations}]));
    }
    if let Some(choice) = request.tool_choice.as_ref().filter(|_| !request.tools.is_empty()) {
        out.insert("toolConfig".to_owned(), json!({"functionCallingConfig": calling(choice)}));
    }
    let config = config(request, target);
    if !config.is_empty() {
        out.insert("generationConfig".to_owned(), config.into());
    }
    serde_json::to_vec(&out).map_err(|error| Unfit::new("", format!("The request cannot be written: {error}.")))
}

fn declaration(tool: &Tool) -> Value {
    let mut out = Map::new();
    out.insert("name".to_owned(), tool_name::fit(&tool.name).into());
    if let Some(description) = &tool.description {
        out.insert("description".to_owned(), description.clone().into());
    }
    let parameters = match &tool.kind {
        ToolKind::Function { parameters, .. } => parameters.clone(),
        ToolKind::Custom { format } => Some(custom::schema(format.as_ref())),
    };
    if let Some(parameters) = parameters {
        out.insert("parametersJsonSchema".to_owned(), parameters);
    }
    Value::Object(out)
}

fn fitted(names: &[String]) -> Vec<Cow<'_, str>> {
    names.iter().map(|name| tool_name::fit(name)).collect()
}

fn calling(choice: &Choice) -> Value {
    match choice {
        Choice::Auto => json!({"mode": "AUTO"}),
        Choice::Required => json!({"mode": "ANY"}),
        Choice::None => json!({"mode": "NONE"}),
        Choice::Named(name) => json!({"mode": "ANY", "allowedFunctionNames": [tool_name::fit(name)]}),
        Choice::Among { names, required: true } => json!({"mode": "ANY", "allowedFunctionNames": fitted(names)}),
        // Of the modes that leave the model free, this alone takes names.
        Choice::Among { names, required: false } => json!({"mode": "VALIDATED", "allowedFunctionNames": fitted(names)}),
    }
}

fn config(request: &Request, target: &Target<'_>) -> Map<String, Value> {
    let mut out = Map::new();
    let mut number = |name: &str, value: &Option<Number>, highest: f64| {
        if let Some(value) = value {
            let high = value.as_f64().is_some_and(|value| value > highest);
            out.insert(name.to_owned(), if high { highest.into() } else { value.clone().into() });
        }
    };
    let sampling = &request.sampling;
    number("temperature", &sampling.temperature, 2.0);
    number("topP", &sampling.top_p, 1.0);
    number("topK", &sampling.top_k, f64::MAX);
    number("presencePenalty", &sampling.presence_penalty, f64::MAX);
    number("frequencyPenalty", &sampling.frequency_penalty, f64::MAX);
    // A seed has 32 bits here.
    let seed = sampling.seed.clone().filter(|seed| seed.as_i64().is_some_and(|seed| i32::try_from(seed).is_ok()));
    number("seed", &seed, f64::MAX);
    if let Some(cap) = target.output_cap {
        out.insert("maxOutputTokens".to_owned(), cap.into());
    }
    if !request.stop.is_empty() {
        out.insert("stopSequences".to_owned(), request.stop.clone().into());
    }
    if let Some(format) = &request.format {
        out.insert("responseMimeType".to_owned(), "application/json".into());
        if let Format::JsonSchema { schema, .. } = format {
            out.insert("responseJsonSchema".to_owned(), schema.clone());
        }
    }
    if let Some(config) = request.reasoning.as_ref().and_then(|reasoning| thinking::render(reasoning, target.model)) {
        out.insert("thinkingConfig".to_owned(), config);
    }
    out
}
