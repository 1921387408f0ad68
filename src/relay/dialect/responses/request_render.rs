//! A request's body, written for an upstream.

use super::super::canonical::{
    Effort, File, Format, Message, Part, Reasoning, Request, Role, Source, Thought, ToolCall, ToolResult, Unfit, call_id, tool_name,
};
use super::super::{Dialect, Target, data_url};
use super::tools::{self, Reader};
use serde_json::{Map, Number, Value, json};

/// The longest id of a caller, a cache or a call that OpenAI takes.
const LONGEST_KEY: usize = 64;
/// The least output that OpenAI lets be asked for here, where other dialects take one token: who asks for less gets no more than these few.
const LEAST_OUTPUT: u64 = 16;
const TIERS: [&str; 5] = ["auto", "default", "flex", "scale", "priority"];

/// Writes a request.
///
/// # Errors
/// Names what Responses has no words for.
pub fn render_request(request: &Request, target: &Target<'_>) -> Result<Vec<u8>, Unfit> {
    if !request.stop.is_empty() {
        return Err(Unfit::inexpressible("stop"));
    }
    let mut out = Map::new();
    out.insert("model".to_owned(), target.model.into());
    let mut input = Vec::new();
    for (at, instruction) in request.instructions.iter().enumerate() {
        let role = if instruction.developer { "developer" } else { "system" };
        let text = instruction.text.text.as_str();
        match role {
            "system" if at == 0 => drop(out.insert("instructions".to_owned(), text.into())),
            _ => input.push(json!({"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]})),
        }
    }
    for (at, message) in request.messages.iter().enumerate() {
        render_message(message, &format!("messages[{at}]"), target, &mut input)?;
    }
    out.insert("input".to_owned(), input.into());
    if !request.tools.is_empty() {
        out.insert("tools".to_owned(), request.tools.iter().map(|tool| tools::render(tool, Reader::of(target))).collect::<Vec<_>>().into());
    }
    if let Some(choice) = &request.tool_choice {
        out.insert("tool_choice".to_owned(), tools::render_choice(choice, request, Reader::of(target)));
    }
    if let Some(parallel) = request.parallel_tool_calls {
        out.insert("parallel_tool_calls".to_owned(), parallel.into());
    }
    if let Some(cap) = target.output_cap {
        out.insert("max_output_tokens".to_owned(), cap.max(LEAST_OUTPUT).into());
    }
    render_hints(request, target, &mut out);
    render_text(request, &mut out);
    render_reasoning(request, &mut out);
    out.insert("store".to_owned(), false.into());
    out.insert("stream".to_owned(), request.stream.into());
    serde_json::to_vec(&out).map_err(|error| Unfit::new("", format!("The request cannot be written: {error}.")))
}

fn render_hints(request: &Request, target: &Target<'_>, out: &mut Map<String, Value>) {
    let mut number = |name: &str, value: &Option<Number>, highest: f64| {
        if let Some(value) = value {
            let high = value.as_f64().is_some_and(|value| value > highest);
            out.insert(name.to_owned(), if high { highest.into() } else { value.clone().into() });
        }
    };
    number("temperature", &request.sampling.temperature, 2.0);
    number("top_p", &request.sampling.top_p, 1.0);
    if let Some(key) = &request.cache_key {
        out.insert("prompt_cache_key".to_owned(), call_id::shorten(key, LONGEST_KEY).into());
    }
    if let Some(user) = &request.user {
        out.insert(if target.is_openai { "safety_identifier" } else { "user" }.to_owned(), call_id::shorten(user, LONGEST_KEY).into());
    }
    if let Some(tier) = request.service_tier.as_ref().filter(|tier| TIERS.contains(&tier.as_str())) {
        out.insert("service_tier".to_owned(), tier.clone().into());
    }
}

fn render_text(request: &Request, out: &mut Map<String, Value>) {
    let mut text = Map::new();
    if let Some(format) = &request.format {
        text.insert("format".to_owned(), format_value(format));
    }
    if let Some(verbosity) = request.verbosity.as_ref().filter(|word| ["low", "medium", "high"].contains(&word.as_str())) {
        text.insert("verbosity".to_owned(), verbosity.clone().into());
    }
    if !text.is_empty() {
        out.insert("text".to_owned(), text.into());
    }
}

/// A `text.format`.
pub(super) fn format_value(format: &Format) -> Value {
    match format {
        Format::JsonObject => json!({"type": "json_object"}),
        Format::JsonSchema { name, description, schema, strict } => {
            let mut out = Map::new();
            out.insert("type".to_owned(), "json_schema".into());
            out.insert("name".to_owned(), name.as_deref().unwrap_or("answer").into());
            if let Some(description) = description {
                out.insert("description".to_owned(), description.clone().into());
            }
            out.insert("schema".to_owned(), schema.clone());
            if let Some(strict) = strict {
                out.insert("strict".to_owned(), (*strict).into());
            }
            Value::Object(out)
        }
    }
}

/// The word for how much to think; none leaves it to the model.
pub(super) fn effort(reasoning: &Reasoning) -> Option<Effort> {
    reasoning.effort.or(reasoning.budget.map(Effort::of_budget))
}

fn render_reasoning(request: &Request, out: &mut Map<String, Value>) {
    let Some(reasoning) = &request.reasoning else { return };
    let effort = effort(reasoning);
    let mut object = Map::new();
    if let Some(effort) = effort {
        object.insert("effort".to_owned(), effort.word().into());
    }
    if let Some(summary) = &reasoning.summary {
        let word = if ["concise", "detailed"].contains(&summary.as_str()) { summary } else { "auto" };
        object.insert("summary".to_owned(), word.into());
    }
    if !object.is_empty() {
        out.insert("reasoning".to_owned(), object.into());
    }
    // Nothing is stored, so the model can go on from its thoughts only when the caller carries them.
    if reasoning.sealed || effort != Some(Effort::None) {
        out.insert("include".to_owned(), json!(["reasoning.encrypted_content"]));
    }
}

/// A turn, as items: neighbouring texts are one message, all else an item of its own.
fn render_message(message: &Message, path: &str, target: &Target<'_>, input: &mut Vec<Value>) -> Result<(), Unfit> {
    let (role, text_type) = match message.role {
        Role::User => ("user", "input_text"),
        Role::Assistant => ("assistant", "output_text"),
        Role::System { developer: true } => ("developer", "input_text"),
        Role::System { developer: false } => ("system", "input_text"),
    };
    let mut content = Vec::new();
    let flush = |content: &mut Vec<Value>, input: &mut Vec<Value>| {
        if !content.is_empty() {
            input.push(json!({"type": "message", "role": role, "content": std::mem::take(content)}));
        }
    };
    for (at, part) in message.parts.iter().enumerate() {
        let path = format!("{path}.content[{at}]");
        let item = match part {
            Part::Refusal(text) if message.role == Role::Assistant => {
                content.push(json!({"type": "refusal", "refusal": text}));
                continue;
            }
            Part::ToolCall(call) => Some(render_call(call, target)),
            Part::ToolResult(result) => Some(render_result(result, target, &path)?),
            Part::Thought(thought) => render_thought(thought, target),
            part => {
                content.push(render_content(part, text_type, &path)?);
                continue;
            }
        };
        flush(&mut content, input);
        input.extend(item);
    }
    flush(&mut content, input);
    Ok(())
}

/// OpenAI knows tools that take free text; other servers of this dialect often do not.
fn render_call(call: &ToolCall, target: &Target<'_>) -> Value {
    let (id, name) = (call_id::fit(&call.id, LONGEST_KEY), tool_name::fit(&call.name));
    if call.custom && target.is_openai {
        json!({"type": "custom_tool_call", "call_id": id, "name": name, "input": call.arguments})
    } else {
        json!({"type": "function_call", "call_id": id, "name": name, "arguments": call.as_function()})
    }
}

fn render_result(result: &ToolResult, target: &Target<'_>, path: &str) -> Result<Value, Unfit> {
    let kind = if result.custom && target.is_openai { "custom_tool_call_output" } else { "function_call_output" };
    let failed = if result.is_error { "Error: " } else { "" };
    let output = match result.parts.as_slice() {
        [] => failed.trim_end().into(),
        [Part::Text(text)] => format!("{failed}{}", text.text).into(),
        parts => {
            let mark = result.is_error.then(|| Ok(json!({"type": "input_text", "text": failed.trim_end()})));
            let parts = parts.iter().enumerate().map(|(at, part)| render_content(part, "input_text", &format!("{path}.content[{at}]")));
            Value::Array(mark.into_iter().chain(parts).collect::<Result<_, _>>()?)
        }
    };
    Ok(json!({"type": kind, "call_id": call_id::fit(&result.call_id, LONGEST_KEY), "output": output}))
}

/// Thoughts that this provider can go on from: OpenAI wants its seal on them, an open server takes the words.
fn render_thought(thought: &Thought, target: &Target<'_>) -> Option<Value> {
    let seal = thought.signature.as_ref().and_then(|signature| signature.for_provider(Dialect::Responses));
    let foreign = thought.signature.is_some() && seal.is_none();
    if thought.redacted.is_some() || foreign || (seal.is_none() && target.is_openai) {
        return None;
    }
    let mut out = Map::new();
    out.insert("type".to_owned(), "reasoning".into());
    if let Some(id) = &thought.id {
        out.insert("id".to_owned(), id.clone().into());
    }
    let summary = if thought.summary && !thought.text.is_empty() { json!([{"type": "summary_text", "text": thought.text}]) } else { json!([]) };
    out.insert("summary".to_owned(), summary);
    if !thought.summary && !thought.text.is_empty() {
        out.insert("content".to_owned(), json!([{"type": "reasoning_text", "text": thought.text}]));
    }
    if let Some(seal) = seal {
        out.insert("encrypted_content".to_owned(), seal.into());
    }
    Some(Value::Object(out))
}

fn render_content(part: &Part, text_type: &str, path: &str) -> Result<Value, Unfit> {
    match part {
        Part::Text(text) => Ok(json!({"type": text_type, "text": text.text})),
        Part::Image(image) if text_type == "input_text" => {
            let mut out = Map::new();
            out.insert("type".to_owned(), "input_image".into());
            out.extend(address(&image.source, "image_url", "image_url").ok_or_else(|| Unfit::inexpressible(path))?);
            if let Some(detail) = &image.detail {
                out.insert("detail".to_owned(), detail.clone().into());
            }
            Ok(Value::Object(out))
        }
        Part::File(file) if text_type == "input_text" => render_file(file, path),
        _ => Err(Unfit::inexpressible(path)),
    }
}

/// The field that says where a picture or a document is.
fn address(source: &Source, url: &str, here: &str) -> Option<[(String, Value); 1]> {
    match source {
        // A file of OpenAI's has one name in both of its dialects.
        Source::FileId { of: Dialect::Chat | Dialect::Responses, id } => Some([("file_id".to_owned(), id.clone().into())]),
        Source::Url(at) => Some([(url.to_owned(), at.clone().into())]),
        source => Some([(here.to_owned(), data_url::write(source)?.into_owned().into())]),
    }
}

fn render_file(file: &File, path: &str) -> Result<Value, Unfit> {
    if let Source::Text(text) = &file.source {
        let text = file.name.as_ref().map_or(text.clone(), |name| format!("{name}\n\n{text}"));
        return Ok(json!({"type": "input_text", "text": text}));
    }
    let mut out = Map::new();
    out.insert("type".to_owned(), "input_file".into());
    // OpenAI tells what a file is by its name.
    let name = match (&file.name, &file.source) {
        (Some(name), Source::Base64 { .. }) => Some(name.clone()),
        (None, Source::Base64 { media_type, .. }) => Some(format!("document.{}", if media_type == "application/pdf" { "pdf" } else { "txt" })),
        _ => None,
    };
    if let Some(name) = name {
        out.insert("filename".to_owned(), name.into());
    }
    out.extend(address(&file.source, "file_url", "file_data").ok_or_else(|| Unfit::inexpressible(path))?);
    Ok(Value::Object(out))
}
